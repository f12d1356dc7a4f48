"""The EndpointSlices of Gateways: which endpoints UDP ports have, and what of it is written."""

import asyncio
from dataclasses import replace

import pytest

from headrace.controller.gateway_slices import BackendSlices, GatewaySlices, documents
from headrace.ir.l4 import UDPBackend, UDPTarget
from headrace.kube.calls import CallError, NotFoundError
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Slice, SlicePort
from support.gateways import CLUSTER, OWN_NAMESPACE

GATEWAY = Ref('Gateway', 'shop', 'web')
SERVICE, BACKEND = Ref('Service', OWN_NAMESPACE, 'gateway-x'), Ref('Service', 'shop', 'dns')


def endpoints(*addresses, name='dns', number=5353, family=4, protocol=Protocol.UDP, port='udp'):
    """Return a slice of a backend."""
    return Slice('shop', name, 'dns', family, (SlicePort(port, protocol, number),), addresses)


def summary(written):
    """Return type, port and addresses of slices by name."""
    return {
        name: (each['addressType'], each['ports'][0]['port'], [item['addresses'][0] for item in each['endpoints']])
        for name, each in written.items()
    }


@pytest.mark.parametrize(
    ('slices', 'wanted'),
    [
        pytest.param([endpoints('10.0.0.2', '10.0.0.1')], {'4': ('IPv4', 5353, ['10.0.0.1', '10.0.0.2'])}, id='plain'),
        pytest.param([endpoints('fd00::1', family=6)], {'6': ('IPv6', 5353, ['fd00::1'])}, id='IPv6'),
        pytest.param([endpoints('10.0.0.1', protocol=Protocol.TCP)], {}, id='TCP'),
        pytest.param([endpoints('10.0.0.1', port='other')], {}, id='another port'),
        pytest.param([endpoints('127.0.0.1', '169.254.169.254')], {}, id='addresses of the node itself'),
        pytest.param([endpoints()], {}, id='no endpoint'),
        pytest.param(
            [endpoints('10.0.0.1'), endpoints('10.0.0.1', '10.0.0.3')],
            {'4': ('IPv4', 5353, ['10.0.0.1', '10.0.0.3'])},
            id='two slices',
        ),
    ],
)
def test_a_udp_port_has_the_ready_endpoints_of_its_backends(slices, wanted):
    backends = [BackendSlices(UDPBackend(BACKEND, 'udp', 3), tuple(slices))]
    written = documents(SERVICE, 53, backends, CLUSTER)
    assert summary(written) == {f'gateway-x-u53-5353-{family}': value for family, value in wanted.items()}
    for each in written.values():
        assert each['ports'][0] == {'name': 'u53', 'port': 5353, 'protocol': 'UDP'}
        assert each['metadata']['labels'] == {
            'kubernetes.io/service-name': 'gateway-x',
            'endpointslice.kubernetes.io/managed-by': 'headrace.io',
            'headrace.io/gateway-class': 'headrace',
            'headrace.io/form': '1',
        }


def weights(*backends):
    """Return the weight that slices name for each endpoint; backends are given as their weight and slices."""
    given = [
        BackendSlices(UDPBackend(Ref('Service', 'shop', f'b{number}'), 'udp', weight), tuple(slices))
        for number, (weight, *slices) in enumerate(backends)
    ]
    found = {}
    for each in documents(SERVICE, 53, given, CLUSTER).values():
        weight = each['metadata'].get('annotations', {}).get('headrace.io/weight')
        found |= {endpoint['addresses'][0]: weight for endpoint in each['endpoints']}
    return found


def test_backends_of_one_weight_share_slices_that_name_none():
    assert weights((3, endpoints('10.0.0.1')), (3, endpoints('10.0.0.2'))) == {'10.0.0.1': None, '10.0.0.2': None}


def test_endpoints_share_the_weight_of_their_backend_within_a_family():
    first = endpoints('10.0.0.1', '10.0.0.2'), endpoints('10.0.0.3', number=54), endpoints('fd00::1', family=6)
    assert weights((6, *first), (3, endpoints('10.0.0.9'), endpoints('fd00::9', family=6))) == {
        **dict.fromkeys(('10.0.0.1', '10.0.0.2', '10.0.0.3'), '20000'),
        '10.0.0.9': '30000',
        'fd00::1': '60000',
        'fd00::9': '30000',
    }


def test_endpoints_that_may_not_be_used_have_no_part_of_a_weight():
    assert weights((2, endpoints('10.0.0.1', '169.254.169.254')), (1, endpoints('10.0.0.9'))) == {
        '10.0.0.1': '20000',
        '10.0.0.9': '10000',
    }


def test_endpoints_that_a_slice_has_no_room_for_have_no_part_of_a_weight():
    many = endpoints(*(f'10.1.{number // 250}.{number % 250 + 1}' for number in range(2000)))
    found = weights((2, many), (1, endpoints('10.0.0.9')))
    assert (len(found), found['10.1.0.1'], found['10.0.0.9']) == (1001, '20', '10000')


class Api:
    """What is asked of the API, and what it has of slices."""

    def __init__(self, *slices, there=()):
        self.slices, self.there, self.calls, self.refused = list(slices), dict.fromkeys(there), [], ()

    async def slices_of(self, service):
        self.calls.append(('list', service.name))
        if service.name in self.refused:
            raise CallError('refused')
        return self.slices

    async def slices_with_label(self, label, namespace):
        assert label == 'endpointslice.kubernetes.io/managed-by=headrace.io,headrace.io/gateway-class=headrace'
        return list(self.there)

    async def apply_slice(self, body):
        self.calls.append(('apply', body['metadata']['name']))
        if body['metadata']['name'] in self.refused:
            raise CallError('refused')
        self.there[body['metadata']['name']] = body

    async def delete_slice(self, namespace, name):
        self.calls.append(('delete', name))
        if name not in self.there:
            raise NotFoundError('gone')
        del self.there[name]


def taken(api):
    """Return the calls since the last time."""
    calls, api.calls = api.calls, []
    return calls


def test_what_differs_is_written_and_what_nothing_wants_is_removed():
    targets = {SERVICE: {53: UDPTarget(GATEWAY, 53, (UDPBackend(BACKEND, 'udp'),))}}
    api = Api(endpoints('10.0.0.1'), there=['left'])
    work = GatewaySlices(api, CLUSTER, lambda: targets)
    asyncio.run(work.step())
    assert taken(api) == [('list', 'dns'), ('apply', 'gateway-x-u53-5353-4'), ('delete', 'left')]
    asyncio.run(work.step())
    assert taken(api) == [('list', 'dns')]
    api.slices = [endpoints('10.0.0.2')]
    asyncio.run(work.step())
    assert taken(api) == [('list', 'dns'), ('apply', 'gateway-x-u53-5353-4')]
    targets.clear()
    api.there.clear()
    asyncio.run(work.step())
    assert taken(api) == [('delete', 'gateway-x-u53-5353-4')]
    asyncio.run(work.step())
    assert taken(api) == []


def to(*names, port=53, namespace='shop'):
    """Return the target of a UDP port by the names of Services."""
    backends = tuple(UDPBackend(Ref('Service', namespace, name), 'udp') for name in names)
    return {port: UDPTarget(GATEWAY, port, backends)}


def test_what_the_api_refuses_of_one_route_keeps_no_other_one_waiting():
    targets = {SERVICE: {**to('bad'), **to('dns', port=54), **to('dns', port=55)}}
    api = Api(endpoints('10.0.0.1'))
    api.refused = ('bad', 'gateway-x-u54-5353-4')
    work = GatewaySlices(api, CLUSTER, lambda: targets)
    asyncio.run(work.step())
    assert list(api.there) == ['gateway-x-u55-5353-4']
    api.refused = ()
    asyncio.run(work.step())
    assert sorted(api.there) == [f'gateway-x-u{port}-5353-4' for port in (53, 54, 55)]


def test_many_backends_of_one_namespace_leave_those_of_others_their_turn():
    crowd = [f's{number:02}' for number in range(30)]
    targets = {SERVICE: to(*crowd), Ref('Service', OWN_NAMESPACE, 'gateway-y'): to('dns', namespace='other')}
    api = Api(endpoints('10.0.0.1'))
    work = GatewaySlices(api, CLUSTER, lambda: targets)
    asyncio.run(work.step())
    first = [name for call, name in taken(api) if call == 'list']
    assert (len(first), 'dns' in first) == (21, True)
    asyncio.run(work.step())
    # Those that have not been read come first.
    assert {name for call, name in taken(api) if call == 'list'} >= set(crowd) - set(first)
    targets.pop(SERVICE)
    asyncio.run(work.step())
    assert [name for call, name in taken(api) if call == 'list'] == ['dns']


def test_slices_that_belong_to_no_cluster_are_not_asked_for():
    async def begun():
        api = Api()
        task = asyncio.create_task(GatewaySlices(api, replace(CLUSTER, own_namespace=''), dict).run())
        await asyncio.sleep(0)
        task.cancel()
        return api.calls

    assert asyncio.run(begun()) == []
