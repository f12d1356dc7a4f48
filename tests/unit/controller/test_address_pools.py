"""Addresses of pools, from Services to their statuses: what a controller that leads wants to write."""

import asyncio
import dataclasses

import pytest

from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.status import Status
from headrace.settings.address_pools import AddressPool, LabelSelector
from support.leading import VIP, lead, put
from support.objects import service

PUBLIC = AddressPool(name='public', addresses=('192.0.2.0/31', '2001:db8::/127'))
WEB = Ref('Service', 'aaa', 'web')


def balanced(name='web', namespace='aaa', *, shown=(), annotations=None, ports=(80,), mode='VIP', labels=None, **spec):
    document = service(
        name,
        namespace,
        annotations=annotations or {},
        labels=labels,
        created=spec.pop('created', None),
        ports=[{'name': f'p{port}', 'port': port} for port in ports],
        **{'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace', 'clusterIPs': ['10.96.0.1'], **spec},
    )
    document['status'] = {'loadBalancer': {'ingress': [{'ip': each, 'ipMode': mode} for each in shown]}}
    return parse.read(document, statuses=True).object


def settled(*steps, **settings):
    """Return what Services shall show once a controller has settled on each step; later steps change or remove them."""
    wanted = {}

    async def script(controller, calls):
        for step in steps:
            if isinstance(step, Ref):
                controller.store.drop(step)
            else:
                for item in step if isinstance(step, tuple) else (step,):
                    controller.store.put(item)
            put(controller)
            while is_busy(controller):  # noqa: ASYNC110
                await asyncio.sleep(0)
        wanted.update({ref.name: controller.decide(ref) for ref in controller.store.services()})

    lead(script, **{'status_addresses': (), 'address_pools': (PUBLIC,), **settings})
    return wanted


def is_busy(controller):
    begins = controller.pools.pools.items and controller.pools.allocator is None
    return begins or controller._dirty or controller.store._dirty or controller.store._statuses


def shown(wanted):
    return {name: tuple(ip for ip, _ in each.addresses or ()) for name, each in wanted.items() if each is not None}


def said(wanted, name='web'):
    return [(each.status, each.reason) for each in wanted[name].conditions]


def test_a_service_of_the_class_gets_an_address_that_service_proxies_lead_to_its_endpoints():
    found = settled(balanced())['web']
    assert (found.addresses, found.ip_mode) == ((('192.0.2.0', ''),), 'VIP')
    assert found.conditions[0].status == 'True'
    assert found.conditions[0].message.startswith('it has the address 192.0.2.0 of pool public')


@pytest.mark.parametrize(
    ('spec', 'addresses'),
    [
        pytest.param({}, ('192.0.2.0',), id='of one family'),
        pytest.param({'ipFamilies': ['IPv6']}, ('2001:db8::',), id='of the other family'),
        pytest.param({'ipFamilies': ['IPv6', 'IPv4'], 'ipFamilyPolicy': 'PreferDualStack'}, ('2001:db8::', '192.0.2.0'), id='dual stack, in the order of the Service'),
        pytest.param({'loadBalancerIP': '192.0.2.1'}, ('192.0.2.1',), id='by its field'),
        pytest.param({'annotations': {'address': '192.0.2.1'}, 'loadBalancerIP': '192.0.2.0'}, ('192.0.2.1',), id='by its annotation, which counts first'),
        pytest.param({'annotations': {'address': '2001:db8::1, 192.0.2.1'}, 'ipFamilies': ['IPv4', 'IPv6']}, ('2001:db8::1', '192.0.2.1'), id='of both families by name'),
        pytest.param({'annotations': {'address-pool': 'public'}}, ('192.0.2.0',), id='of a pool by name'),
        pytest.param({'shown': ['192.0.2.1']}, ('192.0.2.1',), id='that it has'),
        pytest.param({'shown': ['192.0.2.1'], 'mode': 'Proxy'}, ('192.0.2.0',), id='instead of the edge that it had'),
        pytest.param({'shown': ['203.0.113.9']}, ('203.0.113.9',), id='that was written by hand'),
        pytest.param({'loadBalancerClass': None}, None, id='of the class of another controller'),
        pytest.param({'type': 'ClusterIP', 'loadBalancerClass': ''}, None, id='of no load balancer'),
        pytest.param({'annotations': {'class': 'other'}}, None, id='of another class of headrace'),
    ],
)  # fmt: skip
def test_a_service_gets_the_address(spec, addresses):
    spec = {**spec, 'loadBalancerClass': 'metallb.io/x'} if spec.get('loadBalancerClass', '') is None else spec
    found = settled(balanced(**spec))['web']
    assert (found and found.addresses and tuple(ip for ip, _ in found.addresses)) == addresses


@pytest.mark.parametrize(
    ('spec', 'reason'),
    [
        pytest.param({'loadBalancerIP': '198.51.100.1'}, 'AddressNotInPool', id='an address of no pool'),
        pytest.param({'loadBalancerIP': 'lb.example.com'}, 'AddressNotInPool', id='no address'),
        pytest.param({'annotations': {'address': '192.0.2.x'}}, 'AddressNotInPool', id='an annotation that is no address'),
        pytest.param({'annotations': {'address': '2001:db8::1'}}, 'AddressNotInPool', id='another family'),
        pytest.param({'annotations': {'address-pool': 'private'}}, 'AddressPoolUnusable', id='an unknown pool'),
        pytest.param({'annotations': {'allow': '10.0.0.0/8'}}, 'AddressWithheld', id='a key that protects it'),
        pytest.param({'annotations': {'rate-limit': '5/s'}}, 'AddressWithheld', id='a limit'),
        pytest.param({'annotations': {'deny': 'everybody'}}, 'AddressWithheld', id='a key that protects it and does not parse'),
        pytest.param({'annotations': {'basic-auth-secret.p80': 'users'}}, 'AddressWithheld', id='a key that protects a port'),
    ],
)  # fmt: skip
def test_a_service_that_cannot_have_what_it_asks_for_has_no_address(spec, reason):
    found = settled(balanced(**spec))
    assert shown(found) == {'web': ()}
    assert said(found)[0][0] == 'False'
    assert reason in {each.reason for each in found['web'].events}


def test_keys_that_protect_hold_once_the_node_role_serves():
    keys = {'allow': '10.0.0.0/8', 'proxy': 'node'}
    label = {'service.kubernetes.io/service-proxy-name': 'headrace'}
    wished = balanced(annotations=keys)
    assert shown(settled(wished, node_role=True)) == {'web': ()}
    assert shown(settled(wished, balanced(annotations=keys, labels=label), node_role=True)) == {'web': ('192.0.2.0',)}


def test_a_service_that_asks_for_the_edge_has_the_addresses_of_the_edge():
    edge = balanced(annotations={'host': 'a.example.com', 'mode': 'http'}, shown=['192.0.2.0'])
    found = settled(edge, status_addresses=(VIP,))['web']
    assert (found.addresses, found.ip_mode) == (((VIP, ''),), 'Proxy')


def test_a_pool_is_exhausted_and_its_next_free_address_is_for_the_oldest_that_waits():
    old, young = (balanced(name, created=f'2026-01-0{day}T00:00:00Z') for name, day in (('old', 1), ('young', 2)))
    has = (balanced('a', shown=['192.0.2.0']), balanced('b', shown=['192.0.2.1']))
    found = settled(has, young, old)
    assert shown(found) == {'a': ('192.0.2.0',), 'b': ('192.0.2.1',), 'old': (), 'young': ()}
    assert said(found, 'old') == [('False', 'AddressPoolExhausted')]
    found = settled(has, young, old, has[1].ref)
    assert shown(found) == {'a': ('192.0.2.0',), 'old': ('192.0.2.1',), 'young': ()}
    found = settled(has, young, old, balanced('b', shown=['192.0.2.1'], type='ClusterIP', loadBalancerClass=''))
    assert shown(found)['old'] == ()  # until its status has gone
    found = settled(has, young, old, balanced('b', type='ClusterIP', loadBalancerClass=''))
    assert shown(found)['old'] == ('192.0.2.1',)


@pytest.mark.parametrize(
    ('more', 'address'),
    [
        pytest.param({'ports': (443,)}, '192.0.2.0', id='with other ports'),
        pytest.param({'ports': (80, 443)}, '192.0.2.1', id='not with the same port'),
        pytest.param({'ports': (443,), 'annotations': {'address-sharing-key': 'other'}}, '192.0.2.1', id='not with another key'),
        pytest.param({'ports': (443,), 'annotations': {}}, '192.0.2.1', id='not without a key'),
        pytest.param({'ports': (443,), 'namespace': 'zzz'}, '192.0.2.1', id='not in another namespace'),
        pytest.param({'ports': (443,), 'externalTrafficPolicy': 'Local'}, '192.0.2.1', id='not with another policy'),
    ],
)  # fmt: skip
def test_services_of_a_namespace_share_an_address_by_a_key(more, address):
    key = {'annotations': {'address-sharing-key': 'mail'}}
    found = settled((balanced('first', **key), balanced('second', **{**key, **more})))
    assert shown(found)['second'] == (address,)


def test_a_released_address_is_shared_at_once_by_those_of_one_key_that_wait():
    waiting = [
        balanced(
            f's{port}', ports=(port,), created=f'2026-01-01T00:00:0{port}Z', annotations={'address-sharing-key': 'mail'}
        )
        for port in (1, 2, 3)
    ]
    has = (balanced('a', shown=['192.0.2.0']), balanced('b', shown=['192.0.2.1']))
    found = settled(has, *waiting, has[0].ref)
    assert shown(found) == {'b': ('192.0.2.1',), **{f's{port}': ('192.0.2.0',) for port in (1, 2, 3)}}


def test_services_with_the_policy_local_share_an_address_where_they_have_the_same_pods():
    made = {'annotations': {'address-sharing-key': 'mail'}, 'externalTrafficPolicy': 'Local'}
    pods = [balanced(f's{n}', ports=(n,), selector={'app': app}, **made) for n, app in ((1, 'x'), (2, 'x'), (3, 'y'))]
    assert shown(settled(tuple(pods))) == {'s1': ('192.0.2.0',), 's2': ('192.0.2.0',), 's3': ('192.0.2.1',)}


def test_an_address_that_another_service_has_is_said_and_given_when_it_is_free():
    first = balanced('first', created='2026-01-01T00:00:00Z')
    second = balanced('second', loadBalancerIP='192.0.2.0', created='2026-01-02T00:00:00Z')
    found = settled(first, second)
    assert shown(found) == {'first': ('192.0.2.0',), 'second': ()}
    assert 'aaa/first' in found['second'].conditions[0].message
    assert shown(settled(first, second, first.ref)) == {'second': ('192.0.2.0',)}


def test_a_service_that_asks_for_another_address_keeps_its_own_until_it_can_have_that():
    first = balanced('first', shown=['192.0.2.0'])
    moving = balanced('second', shown=['192.0.2.1'], loadBalancerIP='192.0.2.0')
    found = settled(first, balanced('second', shown=['192.0.2.1']), moving)
    assert shown(found)['second'] == ('192.0.2.1',)
    assert said(found, 'second') == [('False', 'AddressInUse')]
    assert shown(settled(first, moving, first.ref))['second'] == ('192.0.2.0',)


def test_a_foreign_service_with_an_address_of_a_pool_is_not_touched_and_its_address_not_given_again():
    foreign = balanced('foreign', shown=['192.0.2.0'], loadBalancerClass='metallb.io/x', created='2026-01-01T00:00:00Z')
    ours = balanced('ours', shown=['192.0.2.0'], created='2026-01-02T00:00:00Z')
    found = settled((foreign, ours))
    assert (shown(found)['ours'], found['foreign'].addresses) == (('192.0.2.1',), None)
    older = balanced('ours', shown=['192.0.2.0'], created='2025-01-01T00:00:00Z')
    found = settled((foreign, older))
    assert shown(found)['ours'] == ('192.0.2.0',)
    assert said(found, 'ours') == [('False', 'AddressInUse')]


def test_pools_are_for_namespaces_and_labels_and_may_give_only_on_request():
    pools = (
        AddressPool(name='zzz', addresses=('198.51.100.0/31',), namespaces=('zzz',)),
        AddressPool(name='gold', addresses=('203.0.113.0/31',), service_selector=LabelSelector(match_labels={'tier': 'gold'})),
        AddressPool(name='asked', addresses=('203.0.113.8/31',), auto_assign=False),
        PUBLIC,
    )  # fmt: skip
    found = settled(
        (
            balanced('plain'),
            balanced('zzz', 'zzz'),
            balanced('gold', labels={'tier': 'gold'}),
            balanced('asking', annotations={'address-pool': 'asked'}),
            balanced('forbidden', annotations={'address-pool': 'zzz'}),
            balanced('named', loadBalancerIP='198.51.100.1'),
        ),
        address_pools=pools,
    )
    assert shown(found) == {
        'plain': ('192.0.2.0',), 'zzz': ('198.51.100.0',), 'gold': ('203.0.113.0',), 'asking': ('203.0.113.8',),
        'forbidden': (), 'named': (),
    }  # fmt: skip


def test_without_pools_everything_is_as_before():
    found = settled(balanced(), address_pools=(), status_addresses=(VIP,))['web']
    assert (found.addresses, found.ip_mode) == ((), 'Proxy')
    assert settled(balanced(), address_pools=())['web'].addresses is None


def test_without_pools_the_addresses_that_were_given_are_taken_back():
    ours = balanced(shown=['192.0.2.0'])
    owned = dataclasses.replace(ours, status=Status(addresses=(('192.0.2.0', ''),), owners=('headrace-headrace',)))
    assert settled(owned, address_pools=())['web'].addresses == ()
    assert settled(ours, address_pools=())['web'].addresses is None
