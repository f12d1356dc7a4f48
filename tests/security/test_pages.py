"""Pages about what is served, of a model that tenants have filled: they are bounded, and hold the event loop for little."""

import asyncio
import json
import time
from types import SimpleNamespace

import pytest
from aiohttp.test_utils import make_mocked_request

from headrace import store
from headrace.agent.diagnostics_index import DiagnosticsIndex
from headrace.agent.pages import Pages
from headrace.diagnostics import Diagnostic
from headrace.haproxy.runtime.stats import Stats
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from support.objects import service

HTTP = [{'name': 'http', 'port': 80}]
# Of CPU time, so that a busy machine does not count; before, one call held the loop for two seconds.
MOST_SECONDS = 0.05
PLAIN = 10_000
CONTENDERS = 1_000


def greedy():
    """Return a Service that claims ten thousand routes."""
    hosts = ', '.join(f'h{number}.example.com' for number in range(100))
    paths = ', '.join(f'/p{number}' for number in range(100))
    return service('greedy', 'evil', annotations={'host': hosts, 'path': paths}, ports=HTTP)


def plain():
    """Yield Services with a host each, and those that all want one host."""
    for number in range(PLAIN):
        yield service(f's{number}', 'shop', annotations={'host': f's{number}.example.org'}, ports=HTTP)
    for number in range(CONTENDERS):
        yield service(f'c{number}', 'evil', annotations={'host': 'wanted.example.org'}, ports=HTTP)


@pytest.fixture(scope='module')
def pages():
    """What makes the pages of an agent that has read all of this, and has no HAProxy."""
    held, made = store.Store(), state.State(build_context.make(Settings(max_routes_per_object=10_000)))
    for document in (greedy(), *plain()):
        held.put(parse.read(document).object)
    made.update(held, held.take())
    applier = SimpleNamespace(stats=Stats(), worker=None, old_workers=(), ready=False)
    unread = tuple(Diagnostic(Ref('Service', 'evil', f'u{number}'), 'InvalidObject', 'no') for number in range(PLAIN))
    loop = SimpleNamespace(state=made, store=held, applier=applier, diagnostics_index=DiagnosticsIndex(made))

    def make():
        found = Pages(SimpleNamespace(diagnostics=lambda: unread))
        found.loop = loop
        return found

    return make


def ask(pages, target, *, times=1):
    """Ask so many times at once; return the answers and the longest time that the event loop was held."""

    async def run():
        longest, last = 0.0, time.thread_time()

        async def tick():
            nonlocal longest, last
            while True:
                now = time.thread_time()
                longest, last = max(longest, now - last), now
                await asyncio.sleep(0)

        ticking = asyncio.create_task(tick())
        await asyncio.sleep(0)
        made = pages()
        handler = made.routes().get(target.partition('?')[0], made.serve_object)
        answers = await asyncio.gather(*(handler(request(target)) for _ in range(times)))
        ticking.cancel()
        return [json.loads(answer.body) for answer in answers], longest

    return asyncio.run(run())


def request(target):
    parts = target.strip('/').split('/')
    info = {'namespace': parts[1], 'name': parts[2]} if len(parts) > 2 and '?' not in target else {}
    return make_mocked_request('GET', target, match_info=info)


@pytest.mark.parametrize(
    'target',
    [
        pytest.param('/explain?of=evil/greedy', id='a Service of ten thousand routes'),
        pytest.param('/explain?of=h7.example.com/p7', id='one of its routes'),
        pytest.param('/explain?of=h7.example.com/none', id='a path that its host does not have'),
        pytest.param('/explain?of=wanted.example.org', id='a host that thousands want'),
        pytest.param('/explain?of=nobody.example.org', id='an unknown host'),
        pytest.param('/explain?of=' + 'a.example.com' + '/a' * 1000, id='a path of a thousand elements'),
        pytest.param('/status', id='the first page'),
        pytest.param('/status?limit=1000&continue=Service/shop/s5', id='a page in the middle'),
        pytest.param('/status/evil/greedy', id='one Service'),
    ],
)
def test_no_page_holds_the_event_loop(pages, target):
    for times in (1, 5):
        _, longest = ask(pages, target, times=times)
        print(f'{target[:60]}: {times} at once held the loop for {longest * 1000:.1f} ms')  # noqa: T201
        assert longest < MOST_SECONDS


def test_pages_of_the_status_have_each_service_once_and_in_order(pages):
    names, token, count = [], '', 0
    while count == 0 or token:
        ((found,), _) = ask(pages, f'/status?limit=1000&continue={token}')
        names += [(item['namespace'], item['name']) for item in found['objects']]
        token, count = found['continue'], count + 1
    assert (len(names), count) == (PLAIN + CONTENDERS + 1, 12)
    assert names == sorted(set(names))


def test_a_page_is_bounded_in_all_its_parts(pages):
    ((found,), _) = ask(pages, '/status')
    assert len(found['objects']) == 500
    assert len(json.dumps(found)) < 500_000
    (greedy,) = [item for item in found['objects'] if item['name'] == 'greedy'] or ask(pages, '/status/evil/greedy')[0]
    assert (len(greedy['exposed']), greedy['moreExposed']) == (100, 9900)


@pytest.mark.parametrize('limit', ['0', '1001', '-1', 'x', '9' * 5000, ''])
def test_a_limit_that_is_none_is_refused(pages, limit):
    async def run():
        return await pages().serve_status(make_mocked_request('GET', f'/status?limit={limit}'))

    answer = asyncio.run(run())
    assert answer.status == 400


def test_a_question_that_is_too_long_is_refused(pages):
    async def run():
        return await pages().serve_explanation(make_mocked_request('GET', f'/explain?of={"a" * 16_384}'))

    assert asyncio.run(run()).status == 400
