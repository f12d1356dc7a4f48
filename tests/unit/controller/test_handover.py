"""Each step of a hand-over, and that none is taken too early."""

import asyncio

import pytest

from headrace.cluster import reading
from headrace.cluster.store import Store
from headrace.controller import handover
from headrace.controller.agents import Agent
from headrace.controller.handover import Facts, Handover
from headrace.model import view
from headrace.names import Ref
from headrace.settings import Settings
from headrace.verdicts import Verdict
from support.objects import node, service

CHOSEN, HANDED = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
OURS = {CHOSEN: 'headrace'}


def facts(**given):
    known = {'wished': True, 'blocked': False, 'behind': (), 'waited': 0.0, 'next_epoch': 8}
    return Facts(class_name='headrace', **{**known, **given})


def read(labels=None, **annotations):
    return reading.read(service(labels=labels, annotations=annotations or None, clusterIP='10.96.0.1')).object


@pytest.mark.parametrize(
    ('labels', 'given', 'expected'),
    [
        pytest.param(None, {}, {'labels': OURS, 'annotations': {'headrace.io/epoch': '8'}}, id='a wish is chosen'),
        pytest.param(None, {'blocked': True}, None, id='what cannot be served is not'),
        pytest.param(None, {'wished': False}, None, id='nobody asked'),
        pytest.param(OURS, {'behind': ('n2',)}, None, id='a Node is behind'),
        pytest.param(OURS, {'blocked': True}, None, id='it has become one that cannot be served'),
        pytest.param(OURS, {}, {'labels': {HANDED: 'headrace'}}, id='all have applied it'),
        pytest.param(OURS, {'foreign': True}, {'labels': {}, 'annotations': {'headrace.io/epoch': '8'}}, id='an epoch of somebody else'),
        pytest.param({**OURS, HANDED: 'headrace'}, {}, None, id='done'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'foreign': True}, None, id='done, whatever its epoch is'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'behind': ('n3',)}, None, id='a new Node changes nothing'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'blocked': True}, None, id='a mistake later does not bounce it'),
        pytest.param({**OURS, HANDED: 'headrace'}, {'blocked': True, 'outgrown': True}, {'labels': {HANDED: None}}, id='only kube-proxy serves all of it now'),
        pytest.param(OURS, {'blocked': True, 'outgrown': True, 'waited': 9.0}, None, id='and gets time'),
        pytest.param(OURS, {'blocked': True, 'outgrown': True, 'waited': 10.0}, {'labels': {CHOSEN: None}, 'annotations': {'headrace.io/epoch': None}}, id='and has it alone'),
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


@pytest.mark.parametrize(
    ('annotations', 'written'),
    [
        pytest.param({}, [('shop', 'web', {HANDED: None})], id='it goes back'),
        pytest.param({'allow': '10.0.0.0/8'}, [], id='kube-proxy would let everybody in'),
    ],
)
def test_a_load_balancer_whose_health_checks_nobody_would_answer_goes_back(annotations, written):
    world = World('n1', agents=(Agent('a', 'node', 5, (), 'n1'),))
    local = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 30999}
    world.put({**OURS, HANDED: 'headrace'}, local, proxy='node', epoch='5', **annotations)
    assert [reason for reason, _ in world.advance()] == ['HandoverBlocked']
    assert world.written == written


def test_a_node_is_behind_until_its_agent_has_applied_the_epoch():
    nodes, applied = ('n1', 'n2', 'n3'), {'n1': 5, 'n2': 4}
    assert handover.behind(read(OURS, epoch='5'), nodes, applied) == ('n2', 'n3')
    assert handover.behind(read(OURS, epoch='5'), (), applied) == ()
    # What carries no epoch has been applied by nobody.
    assert handover.behind(read(OURS), nodes, applied) == nodes


REF = Ref('Service', 'shop', 'web')


class Count:
    """A counter that keeps nothing."""

    value, upcoming = 7, 8

    async def use(self):
        self.value, self.upcoming = self.upcoming, self.upcoming + 1


class World:
    """A hand-over with what it writes and asks for, and a Node for each name."""

    def __init__(self, *nodes, agents=(), told=(), **annotations):
        self.store, self.written = Store(), []
        for name in nodes:
            self.store.put(reading.read(node(name)).object)
        self.put(**annotations)
        made = view.make(Settings(node_role=True))
        self.handover = Handover(made, self.store, self.write, lambda: agents, lambda _: told, lambda _: None, Count())

    def put(self, labels=None, spec=None, **annotations):
        said = {key.replace('_', '-'): value for key, value in annotations.items()}
        spec = {'clusterIP': '10.96.0.1', **(spec or {})}
        self.store.put(reading.read(service(labels=labels, annotations=said, **spec)).object)

    async def write(self, namespace, name, body):
        self.written.append((namespace, name, body['metadata']['labels']))

    def advance(self):
        asyncio.run(self.handover.advance())
        return [(verdict.reason, verdict.message) for verdict in self.handover.verdicts(REF)]


def test_a_node_that_does_not_answer_is_named_after_a_minute_and_not_before():
    world = World('n1', 'n2', 'n3', agents=(Agent('a', 'node', 5, (), 'n1'), Agent('b', 'edge', 9, (), 'n2')))
    world.put(OURS, proxy='node', epoch='5')
    assert world.advance() == []
    shape, since = world.handover._since[REF]
    world.handover._since[REF] = (shape, since - 60.0)
    [(reason, message)] = world.advance()
    assert reason == 'HandoverBlocked'
    assert 'n2, n3' in message
    assert 'n1' not in message
    assert world.written == []


def test_what_is_written_once_is_not_written_again_before_the_watch_shows_it():
    world = World('n1', proxy='node')
    for _ in range(3):
        world.advance()
    assert world.written == [('shop', 'web', OURS)]


@pytest.mark.parametrize(
    ('annotations', 'told'),
    [
        pytest.param({'client_ip': 'preserve', 'mode': 'http'}, (), id='a key that nobody applies'),
        pytest.param({}, (Verdict(REF, 'RefusedByHaproxy', 'no'),), id='an agent cannot'),
    ],
)
def test_what_cannot_be_served_completely_is_told_and_not_begun(annotations, told):
    world = World('n1', proxy='node', told=told, **annotations)
    assert [reason for reason, _ in world.advance()] in (['HandoverBlocked'], ['RefusedByHaproxy'])
    assert world.written == []


@pytest.mark.parametrize(
    ('role', 'handed'), [pytest.param('node', False, id='of the node'), pytest.param('edge', True, id='of the edge')]
)
def test_a_secret_that_the_agents_of_nodes_cannot_use_holds_a_hand_over_up(role, handed):
    said = (Verdict(REF, 'SecretMissing', 'Secret shop/users does not exist'),)
    agents = (Agent('a', 'node', 5, (), 'n1'), Agent('b', role, 5, said, 'n1'))
    world = World('n1', agents=agents)
    world.put(OURS, proxy='node', epoch='5', mode='http', basic_auth_secret='users')
    assert [reason for reason, _ in world.advance()] == ([] if handed else ['SecretMissing'])
    assert len(world.written) == int(handed)


def test_without_any_node_nothing_is_handed_over():
    world = World()
    world.put(OURS, proxy='node', epoch='5')
    world.advance()
    assert world.written == []


@pytest.mark.parametrize('forged', ['999999999999999999', '8', '0', 'x'])
def test_a_chosen_service_with_an_epoch_of_somebody_else_gets_one_and_is_not_handed_over_before(forged):
    world = World('n1', agents=(Agent('a', 'node', 7, (), 'n1'),))
    world.put(OURS, proxy='node', epoch=forged)
    world.advance()
    assert world.written == [('shop', 'web', {})]
    assert world.handover.counter.value == 8


def test_the_epoch_of_a_handed_over_service_counts_only_up_to_the_counter():
    world = World('n1')
    world.put({**OURS, HANDED: 'headrace'}, proxy='node', epoch='999999999999999999')
    assert world.handover.handed_epoch == 0
    assert world.handover.epochs() == [999999999999999999]
    world.put({**OURS, HANDED: 'headrace'}, proxy='node', epoch='7')
    assert world.handover.handed_epoch == 7
