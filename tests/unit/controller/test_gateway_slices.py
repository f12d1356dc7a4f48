"""The EndpointSlices of Gateways: which endpoints UDP ports have, and what of it is written."""

import asyncio
from dataclasses import replace

import pytest

from headrace.controller.gateway_slices import GatewaySlices, documents
from headrace.ir.l4 import UDPTarget
from headrace.kube.calls import CallError, NotFoundError
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Slice, SlicePort
from support.gateways import CLUSTER, OWN_NAMESPACE

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
    written = documents(SERVICE, 53, [(each, 'udp') for each in slices], CLUSTER)
    assert summary(written) == {f'gateway-x-u53-5353-{family}': value for family, value in wanted.items()}
    for each in written.values():
        assert each['ports'][0] == {'name': 'u53', 'port': 5353, 'protocol': 'UDP'}
        assert each['metadata']['labels'] == {
            'kubernetes.io/service-name': 'gateway-x',
            'endpointslice.kubernetes.io/managed-by': 'headrace.io',
            'headrace.io/gateway-class': 'headrace',
        }


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
    targets = {SERVICE: {53: UDPTarget(((BACKEND, 'udp'),))}}
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
    return {port: UDPTarget(tuple((Ref('Service', namespace, name), 'udp') for name in names))}


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
