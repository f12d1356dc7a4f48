"""An unexpected exception about one Service's part of a node's table costs that Service: the agent and all others go on."""

import asyncio
import subprocess

import pytest

from headrace.names import Ref
from headrace.nft import live_state, rules
from headrace.objects import parse
from support import inprocess, live
from support.objects import endpoint_slice, service

BAD, GOOD = '10.96.0.66', '10.96.0.1'


class Poison:
    """Makes functions of the table fail while they are about the bad Service, as long as it is `on`."""

    def __init__(self, monkeypatch):
        self._patch, self.on, self.raised = monkeypatch, False, 0

    def __call__(self, where, name, *, always=False):
        real = getattr(where, name)

        def poisoned(*given, **named):
            if self.on and (always or any(BAD in str(each) for each in given)):
                self.raised += 1
                raise ZeroDivisionError(name)
            return real(*given, **named)

        self._patch.setattr(where, name, poisoned)


@pytest.fixture
def poison(monkeypatch):
    return Poison(monkeypatch)


def web(name, address, *ends, number=80):
    port = {'name': 'p', 'port': number, 'protocol': 'UDP'}
    made = service(name, namespace=name, annotations={'proxy': 'node'}, ports=[port], clusterIP=address)
    return made, endpoint_slice(name, namespace=name, addresses=ends, port=8080, port_name='p', protocol='UDP')


def kernel(text):
    """Tell whether the kernel's table has a text in it."""
    listed = subprocess.run(['nft', 'list', 'table', 'inet', 'headrace'], capture_output=True, text=True, check=False)
    return text in listed.stdout


async def until(check):
    await asyncio.to_thread(live.until, check, 'the table has it')


class Node:
    """An agent of the role node with two Services, one of which fails."""

    def __init__(self, made):
        made.put('bad', *web('bad', BAD, '10.244.1.66'))
        made.put('good', *web('good', GOOD, '10.244.1.5'))
        self.agent = inprocess.agent(made)

    def change(self, *documents):
        for document in documents:
            self.agent.store.put(parse.read(document).object)
        self.agent._wake(asyncio.get_running_loop().time())

    def reasons(self, name):
        return {
            item.reason for item in self.agent.loop.diagnostics_index.diagnostics.get(Ref('Service', name, name), ())
        }


@pytest.mark.parametrize('where', ['elements', 'group'])
def test_a_change_of_a_service_on_which_the_table_fails_costs_that_service(make_agent, poison, where):
    node = Node(make_agent())
    poison(rules, where)

    async def work():
        await until(lambda: kernel('10.244.1.5 . 8080') and kernel('10.244.1.66 . 8080'))
        poison.on = True
        # Another port is another element, and another endpoint, by which it is known here, another group.
        node.change(*web('bad', BAD, '10.244.1.66', BAD, number=81), *web('good', GOOD, '10.244.1.6'))
        await until(lambda: kernel('10.244.1.6 . 8080'))
        await until(lambda: 'InternalError' in node.reasons('bad'))
        assert node.reasons('good') == set()
        poison.on = False
        node.change(*web('bad', BAD, '10.244.1.68'))
        await until(lambda: kernel('10.244.1.68 . 8080'))
        await until(lambda: 'InternalError' not in node.reasons('bad'))

    asyncio.run(inprocess.serving(node.agent, work))
    assert poison.raised


def test_a_table_that_cannot_be_built_at_the_start_is_built_without_the_service_at_fault(make_agent, poison):
    node = Node(make_agent())
    poison(rules, 'elements')
    poison.on = True

    async def work():
        await until(lambda: kernel('10.244.1.5 . 8080'))
        assert not kernel(BAD)
        assert 'InternalError' in node.reasons('bad')

    asyncio.run(inprocess.serving(node.agent, work))
    assert poison.raised


@pytest.mark.parametrize(
    ('where', 'name'),
    [(live_state, 'read'), (live_state, 'differences'), (rules.Table, 'sweep'), (rules.Table, 'copy')],
    ids=lambda item: item if isinstance(item, str) else '',
)
def test_a_comparison_or_a_file_that_fails_ends_no_agent(make_agent, poison, monkeypatch, where, name):
    monkeypatch.setattr('headrace.nft.sync._AGAIN_SECONDS', 0.05)
    # On a busy machine a part of the time that a comparison takes would be longer than the test waits.
    monkeypatch.setattr('headrace.nft.sync._SHARE', 1.0)
    node = Node(make_agent(tableInterval='100ms'))
    poison(where, name, always=True)

    async def work():
        await until(lambda: kernel('10.244.1.5 . 8080'))
        poison.on = True
        table_sync = node.agent.table.table_sync
        table_sync.table.stale.add('b-idle')
        table_sync._unsaved.set()
        await until(lambda: poison.raised > 1)
        node.change(*web('good', GOOD, '10.244.1.6'))
        await until(lambda: kernel('10.244.1.6 . 8080'))
        poison.on = False

    asyncio.run(inprocess.serving(node.agent, work))


def test_a_way_past_haproxy_that_fails_ends_no_agent(make_agent, poison, monkeypatch):
    monkeypatch.setattr('headrace.nft.sync._AGAIN_SECONDS', 0.05)
    # On a busy machine a part of the time that a comparison takes would be longer than the test waits.
    monkeypatch.setattr('headrace.nft.sync._SHARE', 1.0)
    node = Node(make_agent())
    poison(rules.Table, 'switch', always=True)

    async def work():
        await until(lambda: kernel('10.244.1.5 . 8080'))
        poison.on = True
        table_sync = node.agent.table.table_sync
        table_sync.leaving = True
        await until(lambda: poison.raised > 1)
        poison.on = table_sync.leaving = False
        node.change(*web('good', GOOD, '10.244.1.6'))
        await until(lambda: kernel('10.244.1.6 . 8080') and table_sync.good)

    asyncio.run(inprocess.serving(node.agent, work))
