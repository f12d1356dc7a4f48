"""An unexpected exception about one tenant's object costs that object only, at whatever stage of a live agent it comes.

Functions of one stage are made to fail while they are about one Service. The Services of other namespaces are updated
all the while.
"""

import asyncio
import json

import pytest

from headrace.haproxy.encode import commands, map_entries
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.render import render
from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import changes, hosts
from headrace.translate import services
from support import inprocess
from support.live import until
from support.objects import endpoint_slice, service

TENANTS = ('alpha', 'beta', 'gamma')
BAD = Ref('Service', 'mallory', 'bad')


def about(thing):
    """Tell whether an argument of a stage is about the object that fails."""
    if isinstance(thing, Fragment) and not thing.backends:
        # What stands for an object that is left out.
        return False
    if isinstance(thing, list | tuple):
        return any(map(about, thing))
    return BAD in (getattr(thing, 'ref', None), getattr(thing, 'service', None)) or thing == 'mallory_bad_http'


class Poison:
    """Makes functions fail while they are about the object, as long as it is `on`."""

    def __init__(self, monkeypatch):
        self._patch, self.on, self.raised = monkeypatch, False, 0

    def __call__(self, where, name):
        real = getattr(where, name)

        def poisoned(*given, **named):
            if self.on and any(map(about, given)):
                self.raised += 1
                raise ZeroDivisionError(name)
            return real(*given, **named)

        self._patch.setattr(where, name, poisoned)


@pytest.fixture
def poison(monkeypatch):
    return Poison(monkeypatch)


class Tenants:
    """The Services of several namespaces behind one agent, whose hosts and endpoints change together in one batch."""

    def __init__(self, live, town):
        self.live, self.town = live, town
        self.put(0)
        self.agent = inprocess.agent(live)

    def documents(self, turn):
        for tenant, name in [
            *((tenant, f'web-{number}') for tenant in TENANTS for number in range(3)),
            ('mallory', 'bad'),
        ]:
            said = {'host': f'{name}-{turn}.{tenant}.com', 'mode': 'http', 'max-body-size': f'{1 + turn}k'}
            yield service(name, namespace=tenant, annotations=said, ports=[{'name': 'http', 'port': 80}])
            address = f'10.{turn}.0.{len(tenant)}'
            yield endpoint_slice(name, namespace=tenant, addresses=[address], port_name='http')

    def put(self, turn):
        self.live.put('all', *self.documents(turn))

    async def change(self, turn, *but):
        """Change everything, but for the objects of some names, in one batch."""
        for document in self.documents(turn):
            found = parse.read(document).object
            if not {found.name, getattr(found, 'service', '')} & {*but}:
                self.agent.store.put(found)
        self.agent._wake(asyncio.get_running_loop().time())
        await self.serves(turn, TENANTS)

    async def serves(self, turn, tenants):
        """Wait until HAProxy serves these tenants as of this turn."""
        wanted = {
            item['metadata']['annotations']['headrace.io/host'] + '/'
            for item in self.documents(turn)
            if item['kind'] == 'Service' and item['metadata']['namespace'] in tenants
        }
        addresses = {f'10.{turn}.0.{len(tenant)}' for tenant in tenants}

        def served():
            routes = {key for key in self.live.routes() if key.partition('/')[0].split('.')[1] in tenants}
            found = {
                item.rpartition('/')[2].rpartition(':')[0]
                for item in self.live.servers()
                if item.partition('_')[0] in tenants
            }
            return routes == wanted and found == addresses

        await asyncio.to_thread(until, served, 'the tenants are served')

    def diagnostics(self):
        return {diagnostic.reason for diagnostic in self.agent.loop.diagnostics_index.diagnostics.get(BAD, ())}

    async def until(self, true):
        await asyncio.to_thread(until, true)


CHANGES = [
    pytest.param(services, 'translate', 'translate', id='translate'),
    pytest.param(hosts, 'rank', 'resolve', id='claims'),
    pytest.param(changes.FragmentChange, 'key_changes', 'resolve', id='change'),
    pytest.param(plan, 'backends', 'plan', id='plan'),
    pytest.param(commands, 'add_server', 'plan', id='commands'),
    pytest.param(map_entries, 'of_fragment', 'plan', id='entries'),
]


@pytest.mark.parametrize(('where', 'name', 'stage'), CHANGES)
def test_a_change_of_one_tenant_that_fails_costs_that_change_only(live, town, poison, where, name, stage):
    tenants = Tenants(live, town)
    poison(where, name)

    async def work():
        await tenants.serves(0, (*TENANTS, 'mallory'))
        poison.on = True
        await tenants.change(1)
        assert poison.raised
        await tenants.until(lambda: 'InternalError' in tenants.diagnostics())
        record = tenants.agent.applier.stats
        assert record.internal_errors == {stage: 1}
        assert 'bad-0.mallory.com/' in live.routes()
        raised = poison.raised
        await tenants.change(2, 'bad')
        assert poison.raised == raised, 'what failed is not tried again before it changes'
        worker = live.worker()
        assert tenants.agent.applier.worker.facts.pid == worker
        poison.on = False
        await tenants.change(3)
        await tenants.serves(3, ('mallory',))
        assert 'InternalError' not in tenants.diagnostics()
        assert not record.last_reloads
        labels = {'stage': stage}
        assert tenants.agent.metrics.registry.get_sample_value('headrace_internal_errors_total', labels) == 1

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_files_are_written_without_an_object_that_cannot_be_rendered(live, town, poison):
    tenants = Tenants(live, town)
    poison(render.Renderer, 'backends')

    async def work():
        poison.on = True
        await tenants.change(1)
        await tenants.until(lambda: 'InternalError' in tenants.diagnostics())
        await tenants.until(lambda: not tenants.agent.applier.staging.stale)
        files = ''.join(path.read_text() for path in (live.state / 'candidate').rglob('*.cfg'))
        for tenant in TENANTS:
            assert f'10.1.0.{len(tenant)}' in files
        await tenants.change(2, 'bad')
        await tenants.until(lambda: not tenants.agent.applier.staging.stale)

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_the_comparison_goes_on_without_an_object_that_fails(live, town, poison):
    tenants = Tenants(live, town)
    poison(live_state, 'backend_repairs')

    async def work():
        await tenants.serves(0, (*TENANTS, 'mallory'))
        poison.on = True
        backend = next(item for item in live.servers() if item.startswith('alpha_web-0_'))
        where = backend.rpartition('/')[0]
        server = next(
            line.split(' ')[3]
            for line in live.ask(f'show servers state {where}').splitlines()
            if line.split(' ')[:1] != ['#'] and len(line.split(' ')) > 18
        )
        live.ask(f'disable server {where}/{server}')
        tenants.agent.applier.touched |= {BAD, Ref('Service', 'alpha', 'web-0')}
        await asyncio.to_thread(until, lambda: backend in live.servers(), 'it is enabled again')
        assert tenants.agent.applier.stats.internal_errors['compare']

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_an_agent_starts_without_an_object_that_cannot_be_rendered(live, town, poison):
    tenants = Tenants(live, town)
    poison(render.Renderer, 'backends')
    poison.on = True

    async def work():
        await tenants.serves(0, TENANTS)
        assert 'InternalError' in tenants.diagnostics()
        await tenants.change(1)

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_a_worker_is_adopted_without_an_object_that_fails(live, town, poison):
    tenants = Tenants(live, town)
    poison(plan, 'backends')

    async def work():
        await tenants.serves(0, (*TENANTS, 'mallory'))
        poison.on = True
        tenants.agent.applier.lose('the test says so')
        await tenants.until(lambda: 'InternalError' in tenants.diagnostics())
        await tenants.change(1)

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_changes_are_kept_and_tried_again_where_nothing_can_be_applied(live, town, monkeypatch):
    tenants = Tenants(live, town)
    real, failing = plan.plan, [True]

    def fails(*given):
        if failing:
            raise ZeroDivisionError
        return real(*given)

    async def work():
        await tenants.serves(0, (*TENANTS, 'mallory'))
        monkeypatch.setattr(plan, 'plan', fails)
        changed = asyncio.create_task(tenants.change(1))
        record = tenants.agent.applier.stats
        await tenants.until(lambda: record.internal_errors['batch'] >= 2)
        assert tenants.diagnostics() == set()
        failing.clear()
        await changed
        await tenants.serves(1, ('mallory',))

    asyncio.run(inprocess.serving(tenants.agent, work))


def test_settings_change_without_an_object_that_fails(live, town, poison):
    tenants = Tenants(live, town)
    poison(map_entries, 'of_fragment')

    async def work():
        poison.on = True
        await tenants.agent.settings_file.read(json.dumps({**live.settings, 'drainTimeout': '7s'}))
        assert tenants.agent.applier.settings.drain_timeout == '7s'
        await tenants.change(1)

    asyncio.run(inprocess.serving(tenants.agent, work))
