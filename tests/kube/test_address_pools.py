"""Addresses of pools on a real API server: what Services and Gateways get, and what is said where they get none."""

import pytest

from support import gateway_crds
from support.gateway_objects import gateway_class
from support.gateways import API, gateway, listener
from support.live import until
from support.objects import service

LATE = 40
POOL = {'name': 'public', 'addresses': ['192.0.2.0/31', '2001:db8::/127']}
SHARED = {'annotations': {'address-sharing-key': 'mail'}}


@pytest.fixture
def make_allocator(make_cluster):
    """What makes a controller with pools; `more` are further pools."""

    def make(*more, **options):
        return make_cluster(**{'role': 'controller', 'addressPools': [POOL, *more], **options})

    return make


@pytest.fixture
def controller(make_allocator):
    """A controller with a pool of two addresses of each family, which leads."""
    return led(make_allocator())


def led(controller, *words):
    controller.begin(*words)
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    return controller


def balanced(name, *ports, **spec):
    ports = [{'name': f'p{port}', 'port': port} for port in ports or (80,)]
    return service(name, ports=ports, type='LoadBalancer', loadBalancerClass='headrace.io/headrace', **spec)


def put(controller, *items):
    for item in items:
        controller.put(item['metadata']['name'], item)


def entries(controller, name):
    return controller.service(name)['status']['loadBalancer'].get('ingress', [])


def addresses(controller, *names):
    """Return the addresses of Services, once each has some."""
    until(lambda: all(entries(controller, name) for name in names), f'{names} have addresses', LATE)
    return [tuple(each['ip'] for each in entries(controller, name)) for name in names]


def reason(controller, name, wanted):
    until(lambda: (controller.condition(name) or {}).get('reason') == wanted, f'{name}: {wanted}', LATE)


def test_a_service_gets_an_address_for_service_proxies_and_a_condition(controller):
    put(controller, balanced('web'))
    assert addresses(controller, 'web') == [('192.0.2.0',)]
    assert entries(controller, 'web')[0]['ipMode'] == 'VIP'
    reason(controller, 'web', 'Programmed')
    assert '192.0.2.0 of pool public' in controller.condition('web')['message']


def test_addresses_are_asked_for_by_name(controller):
    put(
        controller, balanced('field', loadBalancerIP='192.0.2.1'), balanced('key', annotations={'address': '192.0.2.0'})
    )
    assert addresses(controller, 'field', 'key') == [('192.0.2.1',), ('192.0.2.0',)]
    put(controller, balanced('third', loadBalancerIP='192.0.2.1'), balanced('outside', loadBalancerIP='198.51.100.1'))
    reason(controller, 'third', 'AddressInUse')
    reason(controller, 'outside', 'AddressNotInPool')
    until(lambda: 'AddressInUse' in controller.kubectl('describe', 'service', 'third'), 'an Event', LATE)
    controller.plane.api.delete(controller.path('Service', 'field'))
    assert addresses(controller, 'third') == [('192.0.2.1',)]
    reason(controller, 'third', 'Programmed')


def test_a_pool_without_free_addresses_serves_whom_it_can_when_one_is_released(controller):
    put(controller, balanced('one'), balanced('two'))
    addresses(controller, 'one', 'two')
    put(controller, balanced('three'))
    reason(controller, 'three', 'AddressPoolExhausted')
    released = entries(controller, 'one')[0]['ip']
    change = {
        'spec': {
            'type': 'ClusterIP',
            'loadBalancerClass': None,
            'ports': [{'name': 'p80', 'port': 80, 'nodePort': None}],
        }
    }
    controller.plane.api.patch(controller.path('Service', 'one'), change)
    assert addresses(controller, 'three') == [(released,)]
    until(
        lambda: not entries(controller, 'one') and controller.condition('one') is None, 'what was written is gone', LATE
    )


def test_services_share_an_address_by_a_key_while_their_ports_differ(controller):
    put(controller, balanced('smtp', 25, **SHARED), balanced('imap', 143, **SHARED))
    assert len({*addresses(controller, 'smtp', 'imap')}) == 1
    put(controller, balanced('mx', 25, **SHARED))
    assert addresses(controller, 'mx') != addresses(controller, 'smtp')
    # Of two of one second the first by name is the older one.
    controller.annotate('smtp', address_sharing_key='other')
    reason(controller, 'smtp', 'AddressPoolExhausted')
    until(lambda: not entries(controller, 'smtp'), 'it has lost what it cannot share', LATE)


def test_a_service_of_both_families_has_an_address_of_each(controller):
    dual = {'ipFamilyPolicy': 'RequireDualStack', 'ipFamilies': ['IPv6', 'IPv4']}
    put(controller, balanced('dual', **dual))
    assert addresses(controller, 'dual') == [('2001:db8::', '192.0.2.0')]
    put(controller, balanced('four'))
    addresses(controller, 'four')
    put(controller, balanced('none', **dual), balanced('some', **{**dual, 'ipFamilyPolicy': 'PreferDualStack'}))
    assert addresses(controller, 'some') == [('2001:db8::1',)]
    reason(controller, 'none', 'AddressPoolExhausted')


def test_addresses_stay_over_a_restart_and_an_election(make_allocator):
    first, second = led(make_allocator()), make_allocator(name='two')
    put(first, balanced('late', loadBalancerIP='192.0.2.1'), balanced('web'))
    before = addresses(first, 'late', 'web')
    second.begin()
    until(lambda: second.times('the controller follows the cluster'), seconds=LATE)
    first.plane.api.patch(first.path('Service', 'late'), {'spec': {'loadBalancerIP': ''}})
    first.kill()
    until(lambda: second.times('this controller leads'), seconds=LATE)
    put(second, balanced('third'))
    reason(second, 'third', 'AddressPoolExhausted')
    assert addresses(second, 'late', 'web') == before


def test_an_address_that_was_written_by_hand_is_adopted_and_one_of_another_service_is_not(make_allocator):
    controller = make_allocator()
    put(controller, balanced('web'), balanced('other', loadBalancerIP='192.0.2.0'))
    shown = {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1'}]}}}
    controller.plane.api.patch(f'{controller.path("Service", "web")}/status', shown)
    led(controller)
    assert addresses(controller, 'web', 'other') == [('192.0.2.1',), ('192.0.2.0',)]
    controller.plane.api.patch(
        f'{controller.path("Service", "web")}/status', {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.0'}]}}}
    )
    reason(controller, 'web', 'HeldByAnother')
    assert addresses(controller, 'other') == [('192.0.2.0',)]


def test_services_of_others_are_not_touched(make_allocator):
    controller = make_allocator()
    foreign = service('theirs', type='LoadBalancer', loadBalancerClass='example.com/other')
    put(controller, foreign, service('nobodys', type='LoadBalancer'))
    controller.plane.api.patch(
        f'{controller.path("Service", "theirs")}/status',
        {'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.0'}]}}},
    )
    before = [controller.service(name)['metadata']['resourceVersion'] for name in ('theirs', 'nobodys')]
    led(controller)
    put(controller, balanced('web'))
    assert addresses(controller, 'web') == [('192.0.2.1',)]
    assert [controller.service(name)['metadata']['resourceVersion'] for name in ('theirs', 'nobodys')] == before


def test_a_service_with_a_key_that_only_headrace_knows_gets_no_address_that_kube_proxy_serves(controller):
    put(controller, balanced('web'))
    addresses(controller, 'web')
    controller.annotate('web', allow='10.0.0.0/8')
    reason(controller, 'web', 'AddressWithheld')
    until(lambda: not entries(controller, 'web'), 'the address is taken away', LATE)
    controller.annotate('web', allow=None)
    assert addresses(controller, 'web') == [('192.0.2.0',)]


@pytest.fixture
def gateways(control_plane, make_allocator):
    """A controller with a pool, and the kinds of the Gateway API."""
    with gateway_crds.defined(control_plane.api, gateway_crds.released):
        control_plane.api.apply(gateway_class('headrace'))
        yield led(make_allocator(), '--edge-selector', 'app=edge')


def gateway_condition(controller, name='web'):
    status = controller.plane.api.get(controller.path('Gateway', name, API)).get('status') or {}
    return next((each for each in status.get('conditions') or () if each['type'] == 'Programmed'), {})


def gateway_addresses(controller, name='web'):
    status = controller.plane.api.get(controller.path('Gateway', name, API)).get('status') or {}
    return [each['value'] for each in status.get('addresses') or ()]


def asking(*values, name='web', **more):
    spec = {'addresses': [{'type': 'IPAddress', 'value': value} for value in values]} if values else {}
    return gateway(name, listener(), spec=spec, **more)


def test_a_gateway_gets_an_address_of_each_family_of_a_pool(gateways):
    gateways.put('web', asking())
    until(
        lambda: gateway_condition(gateways).get('reason') == 'Programmed' or gateway_addresses(gateways),
        'addresses',
        LATE,
    )
    until(lambda: len(gateway_addresses(gateways)) == len({'IPv4', 'IPv6'}), 'both', LATE)
    assert {*gateway_addresses(gateways)} == {'192.0.2.0', '2001:db8::'}


def test_the_addresses_that_a_gateway_asks_for_are_given_or_not_usable(gateways):
    put(gateways, balanced('has', loadBalancerIP='192.0.2.0'))
    addresses(gateways, 'has')
    gateways.put('web', asking('192.0.2.1', '192.0.2.0'))
    until(lambda: '192.0.2.0 is the address of Service' in gateway_condition(gateways).get('message', ''), 'why', LATE)
    assert gateway_condition(gateways)['reason'] == 'AddressNotUsable'
    assert not gateway_addresses(gateways)
    gateways.put('web', asking('192.0.2.1'))
    until(lambda: gateway_addresses(gateways) == ['192.0.2.1'], 'it has the other', LATE)
    until(lambda: gateway_condition(gateways)['reason'] != 'AddressNotUsable', 'and no more is missing', LATE)


def test_a_gateway_that_had_the_service_of_another_load_balancer_goes_over_with_its_slots(
    control_plane, make_cluster, make_allocator
):
    with gateway_crds.defined(control_plane.api, gateway_crds.released):
        control_plane.api.apply(gateway_class('headrace'))
        before = led(make_cluster(role='controller', name='before'), '--edge-selector', 'app=edge')
        before.put('web', asking(), asking(name='next'))
        until(lambda: len(slots(before)) == len(('web', 'next')), 'the Gateways have Services', LATE)
        found = slots(before)
        before.stop()
        after = led(make_allocator(), '--edge-selector', 'app=edge')
        until(lambda: gateway_addresses(after) and gateway_addresses(after, 'next'), 'they have addresses', LATE)
        assert slots(after) == found


def slots(controller):
    label = 'headrace.io/gateway-class=headrace'
    found = controller.plane.api.list(controller.path('Service'), labelSelector=label)['items']
    return {each['metadata']['name']: each['spec']['ports'][0]['targetPort'] for each in found}
