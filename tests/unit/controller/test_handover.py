"""Each step of a hand-over, and that none is taken too early."""

import asyncio
import datetime as dt
import logging

import pytest

from headrace.controller import handover
from headrace.controller.agents import Agents
from headrace.controller.handover import Facts, Handover
from headrace.diagnostics import Diagnostic
from headrace.kube.calls import CallError, NotFoundError
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import NODES
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.leading import agent
from support.objects import node, service


@pytest.fixture(autouse=True)
def loop():
    """Let all that a test runs have one event loop."""
    with asyncio.Runner() as World.runner:
        yield


CHOSEN, HANDED = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
OURS = {CHOSEN: 'headrace'}


def facts(**given):
    known = {'wished': True, 'blocked': False, 'behind': False, 'waited': 0.0, 'next_epoch': 8}
    return Facts(class_name='headrace', **{**known, **given})


def read(labels=None, **annotations):
    return parse.read(service(labels=labels, annotations=annotations or None, clusterIP='10.96.0.1')).object


@pytest.mark.parametrize(
    ('labels', 'given', 'expected'),
    [
        pytest.param(None, {}, {'labels': OURS, 'annotations': {'headrace.io/epoch': '8'}}, id='a wish is chosen'),
        pytest.param(None, {'blocked': True}, None, id='what cannot be served is not'),
        pytest.param(None, {'wished': False}, None, id='no wish'),
        pytest.param(OURS, {'behind': True}, None, id='a Node is behind'),
        pytest.param(OURS, {'blocked': True}, None, id='it has become one that cannot be served'),
        pytest.param(OURS, {}, {'labels': {HANDED: 'headrace'}}, id='all have applied it'),
        pytest.param(OURS, {'foreign': True}, {'labels': {}, 'annotations': {'headrace.io/epoch': '8'}}, id='a foreign epoch'),
        pytest.param({**OURS, HANDED: 'headrace'}, {}, None, id='done'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'foreign': True}, None, id='done, whatever its epoch is'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'behind': True}, None, id='a new Node changes nothing'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'blocked': True}, None, id='a mistake later does not bounce it'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'wished': False}, {'labels': {HANDED: None}}, id='back, first step'),
        pytest.param(OURS, {'wished': False, 'waited': 9.0}, None, id='kube-proxy gets time'),
        pytest.param(OURS, {'wished': False, 'waited': 10.0}, {'labels': {CHOSEN: None}, 'annotations': {'headrace.io/epoch': None}}, id='back, last step'),
        pytest.param({HANDED: 'headrace'}, {'wished': False}, None, id='set by hand to our name'),
        pytest.param({HANDED: 'other'}, {}, None, id='set by hand to another name'),
        pytest.param({**OURS, HANDED: 'other'}, {'wished': False}, {'labels': {CHOSEN: None}, 'annotations': {'headrace.io/epoch': None}}, id='taken by another one'),
    ],
)  # fmt: skip
def test_a_service_takes_the_next_step(labels, given, expected):
    waited = {'waited': 10.0} if labels and labels.get(HANDED) == 'other' else {}
    found = handover.step(read(labels), facts(**{**waited, **given}))
    assert (found or {}).get('metadata') == expected


def test_a_load_balancer_with_health_checks_of_nodes_is_handed_over():
    world = World('n1', leases=[agent('a', 'node', 5, 'n1')])
    local = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 30999}
    world.put(OURS, local, proxy='node', epoch='5')
    world.advance()
    assert world.written == [('shop', 'web', {HANDED: 'headrace'})]


def test_a_node_is_behind_until_its_agent_has_applied_the_epoch():
    nodes, applied = ('n1', 'n2', 'n3'), {'n1': 5, 'n2': 4}
    assert handover.behind(read(OURS, epoch='5'), nodes, applied) == ('n2', 'n3')
    assert handover.behind(read(OURS, epoch='5'), (), applied) == ()
    # What carries no epoch has been applied by no agent.
    assert handover.behind(read(OURS), nodes, applied) == nodes


REF = Ref('Service', 'shop', 'web')


class Count:
    """A counter that keeps nothing."""

    value, upcoming = 7, 8

    async def use(self):
        self.value, self.upcoming = self.upcoming, self.upcoming + 1


class Watched(Store):
    """A store that counts what is read from it."""

    reads = 0

    def get(self, ref, kind):
        self.reads += 1
        return super().get(ref, kind)

    def slices(self, service):
        self.reads += 1
        return super().slices(service)


SOON = 0.05


class World:
    """A hand-over with what it writes and asks for, and a Node for each name."""

    runner: asyncio.Runner

    def __init__(self, *nodes, leases=(), **annotations):
        self.store, self.written, self.asked, self.agents = Watched(), [], [], Agents()
        for name in nodes:
            self.store.put(parse.read(node(name)).object)
        made = build_context.make(Settings(node_role=True))
        self.handover = Handover(made, self.store, self.write, self.agents, self.asked.append, Count())
        self.lease(*leases)
        self.put(**annotations)

    def lease(self, *leases):
        """Let agents tell what their Leases hold."""
        refs = World.runner.run(self.agents.take(leases, dt.datetime.now(dt.UTC), self.handover.counter.value))
        self.handover.progressed()
        self.handover.changed(refs)

    def put(self, labels=None, spec=None, name='web', **annotations):
        said = {key.replace('_', '-'): value for key, value in annotations.items()}
        spec = {'clusterIP': '10.96.0.1', **(spec or {})}
        self.store.put(parse.read(service(name, labels=labels, annotations=said, **spec)).object)
        self.handover.changed(self.store.take())

    def drop(self, ref=REF):
        self.store.drop(ref)
        self.handover.changed(self.store.take())

    async def write(self, namespace, name, body):
        self.written.append((namespace, name, body['metadata']['labels']))

    def advance(self, ref=REF):
        World.runner.run(self.handover.advance(ref))
        return [(diagnostic.reason, diagnostic.message) for diagnostic in self.handover.diagnostics(ref)]

    def work(self):
        """Look at all that is due, as `run` does, and return what was looked at."""

        async def look():
            looked, queue = [], self.handover._queue
            while True:
                try:
                    async with asyncio.timeout(SOON):
                        ref, _ = await queue.take()
                except TimeoutError:
                    # On a busy machine what is due may come after this.
                    due = queue._until_due()
                    if queue._ready or (due is not None and due < SOON):
                        continue
                    return looked
                looked.append(ref)
                await self.handover.advance(ref)
                queue.done(ref)

        return World.runner.run(look())

    def wait(self, seconds, ref=REF):
        """Let time go by for one Service."""
        self.handover._states[ref].since -= seconds


def test_a_node_that_does_not_answer_is_named_after_seconds_and_as_a_mistake_after_a_minute(caplog):
    caplog.set_level('INFO')
    world = World('n1', 'n2', 'n3', leases=[agent('a', 'node', 5, 'n1'), agent('b', 'edge', 9, 'n2')])
    world.put(OURS, proxy='node', epoch='5')
    assert world.advance() == []
    assert caplog.records == []
    for seconds, expected in ((10.0, 'HandoverPending'), (0.0, 'HandoverPending'), (50.0, 'HandoverBlocked')):
        world.wait(seconds)
        [(reason, message)] = world.advance()
        assert reason == expected
        assert 'n2, n3' in message
        assert 'n1' not in message
    assert [(record.levelname, record.message, record.waiting) for record in caplog.records] == [
        ('INFO', 'a hand-over waits', 1)
    ]
    assert 'n2, n3' in caplog.records[0].error
    assert world.written == []


def test_many_hand_overs_that_wait_are_logged_in_one_line(caplog):
    caplog.set_level('INFO')
    world = World('n1')
    refs = [Ref('Service', 'shop', f's-{number}') for number in range(5)]
    for ref in refs:
        world.put(OURS, name=ref.name, proxy='node', epoch='5')
        world.advance(ref)
    for ref in refs:
        world.wait(10.0, ref)
        assert [reason for reason, _ in world.advance(ref)] == ['HandoverPending']
    assert [record.waiting for record in caplog.records] == [5]


def test_a_service_that_nothing_has_changed_for_is_not_looked_at_again():
    world = World('n1', leases=[agent('a', 'node', 5, 'n1')])
    for number in range(20):
        world.put({**OURS, HANDED: 'headrace'}, name=f's-{number}', proxy='node', epoch='5')
    assert len(world.work()) == 21
    before = world.store.reads
    world.lease(agent('a', 'node', 6, 'n1'))
    assert world.work() == []
    assert world.store.reads == before
    world.put({**OURS, HANDED: 'headrace'}, name='s-3', proxy='node', epoch='5', allow='10.0.0.0/8')
    assert world.work() == [Ref('Service', 'shop', 's-3')]


def test_services_that_wait_are_looked_at_when_the_agents_of_all_nodes_have_come_so_far():
    world = World('n1', 'n2', leases=[agent('a', 'node', 4, 'n1'), agent('b', 'node', 4, 'n2')])
    for number in (4, 5, 6):
        world.put(OURS, name=f's-{number}', proxy='node', epoch=str(number))
    world.work()
    assert [name for _, name, _ in world.written] == ['s-4']
    world.put({**OURS, HANDED: 'headrace'}, name='s-4', proxy='node', epoch='4')
    world.work()
    world.lease(agent('a', 'node', 6, 'n1'), agent('b', 'node', 4, 'n2'))
    assert world.work() == []
    world.lease(agent('a', 'node', 6, 'n1'), agent('b', 'node', 5, 'n2'))
    assert Ref('Service', 'shop', 's-5') in world.work()
    assert [name for _, name, _ in world.written] == ['s-4', 's-5']
    # Those of a Node that has gone are not waited for.
    world.store.drop(Ref('Node', '', 'n2'))
    world.handover.changed(world.store.take())
    world.work()
    assert [name for _, name, _ in world.written] == ['s-4', 's-5', 's-6']


def test_a_canary_and_the_nodes_of_an_external_address_have_their_readers_looked_at():
    world = World('n1', leases=[agent('a', 'node', 5, 'n1')])
    handed = {**OURS, HANDED: 'headrace'}
    world.put(handed, {'externalIPs': ['192.0.2.50']}, name='outside', proxy='node', epoch='5')
    world.put(handed, name='front', proxy='node', epoch='5', mode='http', canary_service='next', canary_weight='5')
    world.work()
    world.put(name='next')
    assert world.work() == [Ref('Service', 'shop', 'next'), Ref('Service', 'shop', 'front')]
    world.store.put(parse.read(node('n1', addresses=['192.0.2.50'])).object)
    world.handover.changed(world.store.take())
    assert world.work() == [Ref('Service', 'shop', 'outside')]
    outside = Ref('Service', 'shop', 'outside')
    assert [diagnostic.reason for diagnostic in world.handover.diagnostics(outside)] == ['AddressRefused']
    assert NODES in world.handover._readers


def test_of_a_deleted_service_nothing_is_kept():
    world = World('n1', proxy='node', epoch='x', mode='http', canary_service='next', client_ip='preserve')
    world.put(OURS, name='late', proxy='node', epoch='5')
    handed = Ref('Service', 'shop', 'handed')
    world.put({**OURS, HANDED: 'headrace'}, name='handed', proxy='node', epoch='5')
    world.work()
    assert world.handover.diagnostics(REF)
    world.asked.clear()
    for ref in (REF, Ref('Service', 'shop', 'late'), handed):
        world.drop(ref)
    world.work()
    kept = world.handover
    assert (kept._states, kept._waiting, kept._readers, kept._epochs_handed_over) == ({}, set(), {}, {})
    # Its condition is looked at once more.
    assert world.asked == [REF]


def test_a_service_that_gives_up_its_wish_and_is_not_chosen_is_forgotten():
    world = World('n1', proxy='node', mode='http', client_ip='preserve')
    assert world.advance()
    world.put()
    assert world.advance() == []
    assert world.handover._states == {}


def test_a_service_that_leaves_is_given_back_when_its_time_has_come(monkeypatch):
    monkeypatch.setattr(handover, '_GRACE_SECONDS', 0.02)
    world = World('n1')
    world.put(OURS)
    assert world.work()[0] == REF
    assert world.written == [('shop', 'web', {CHOSEN: None})]


def test_what_could_not_be_written_is_tried_again(monkeypatch, caplog):
    monkeypatch.setattr(handover, '_RETRY_SECONDS', 0.01)
    world = World('n1', proxy='node')
    refusals = [CallError('the server is away')]

    async def refuse(namespace, name, body):
        if refusals:
            raise refusals.pop()
        await world.write(namespace, name, body)

    world.handover.patch = refuse
    world.work()
    assert world.written == [('shop', 'web', OURS)]
    warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.error for record in warnings] == ['the server is away']


def test_a_service_that_goes_while_it_is_written_is_not_tried_again():
    world = World('n1', proxy='node')
    tried = []

    async def gone(namespace, name, body):
        tried.append(name)
        raise NotFoundError('gone')

    world.handover.patch = gone
    world.work()
    assert tried == ['web']


def test_an_unexpected_error_about_one_service_costs_that_service_alone(caplog):
    world = World('n1', proxy='node', **{'class': 'headrace'})
    world.put(name='good', proxy='node')
    slices = world.store.slices

    def fail(ref):
        if ref == REF:
            raise ValueError('a defect')
        return slices(ref)

    world.store.slices = fail

    async def run():
        running = asyncio.create_task(world.handover.run())
        while not world.written:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    World.runner.run(run())
    assert [name for _, name, _ in world.written] == ['good']
    assert ('internal error', str(REF)) in [(record.message, record.object) for record in caplog.records]


def test_a_controller_that_leads_again_looks_at_all_services_and_knows_nothing_of_before():
    world = World('n1')
    world.put(OURS, proxy='node', epoch='5')
    world.work()
    world.wait(60.0)
    world.handover.begin()
    world.handover.changed([REF])
    assert world.work() == [REF]
    assert world.handover.diagnostics(REF) == ()


def test_what_is_written_once_is_not_written_again_before_the_watch_shows_it():
    world = World('n1', proxy='node')
    for _ in range(3):
        world.advance()
    assert world.written == [('shop', 'web', OURS)]


@pytest.mark.parametrize(
    ('annotations', 'told'),
    [
        pytest.param({'client_ip': 'preserve', 'mode': 'http'}, (), id='a key that is not applied'),
        pytest.param({}, (Diagnostic(REF, 'RefusedByHaproxy', 'no'),), id='an agent cannot'),
    ],
)
def test_what_cannot_be_served_completely_is_told_and_not_begun(annotations, told):
    world = World('n1', leases=[agent('a', 'edge', 0, '', *told)], proxy='node', **annotations)
    assert [reason for reason, _ in world.advance()] in (['HandoverBlocked'], ['RefusedByHaproxy'])
    assert world.written == []


@pytest.mark.parametrize(
    ('role', 'handed'), [pytest.param('node', False, id='of the node'), pytest.param('edge', True, id='of the edge')]
)
def test_a_secret_that_the_agents_of_nodes_cannot_use_holds_a_hand_over_up(role, handed):
    said = Diagnostic(REF, 'SecretMissing', 'Secret shop/users does not exist')
    world = World('n1', leases=[agent('a', 'node', 5, 'n1'), agent('b', role, 5, 'n1', said)])
    world.put(OURS, proxy='node', epoch='5', mode='http', basic_auth_secret='users')
    assert [reason for reason, _ in world.advance()] == ([] if handed else ['SecretMissing'])
    assert len(world.written) == int(handed)


def test_without_any_node_nothing_is_handed_over():
    world = World()
    world.put(OURS, proxy='node', epoch='5')
    world.advance()
    assert world.written == []


@pytest.mark.parametrize('forged', ['999999999999999999', '8', '0', 'x'])
def test_a_chosen_service_with_a_foreign_epoch_gets_one_and_is_not_handed_over_before(forged):
    world = World('n1', leases=[agent('a', 'node', 7, 'n1')])
    world.put(OURS, proxy='node', epoch=forged)
    world.advance()
    assert world.written == [('shop', 'web', {})]
    assert world.handover.counter.value == 8


def test_the_epoch_of_a_handed_over_service_counts_only_up_to_the_counter():
    world = World('n1')
    world.put({**OURS, HANDED: 'headrace'}, proxy='node', epoch='999999999999999999')
    assert world.handover.highest_epoch_handed_over == 0
    assert world.handover.epochs() == [999999999999999999]
    world.put({**OURS, HANDED: 'headrace'}, proxy='node', epoch='7')
    assert world.handover.highest_epoch_handed_over == 7
