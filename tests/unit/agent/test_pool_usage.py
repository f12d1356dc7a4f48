"""How much of the pools is in use, as an agent counts it from statuses."""

from headrace.agent.pool_usage import PoolUsage
from headrace.names import Ref
from headrace.objects import parse
from headrace.pools import pool
from headrace.settings.address_pools import AddressPool
from headrace.store import Store
from support.objects import service

POOLS = pool.make((
    AddressPool(name='public', addresses=('192.0.2.0/30', '2001:db8::/126')),
    AddressPool(name='spare', addresses=('198.51.100.0/31',)),
))  # fmt: skip


def put(store, name, *addresses, mode='VIP'):
    document = service(name, type='LoadBalancer')
    document['status'] = {'loadBalancer': {'ingress': [{'ip': each, 'ipMode': mode} for each in addresses]}}
    store.put(parse.read(document).object)


def figures(usage):
    return [
        {(sample.labels['pool'], sample.labels['family']): sample.value for sample in metric.samples}
        for metric in usage.collect()
    ]


def test_addresses_of_pools_are_counted_once_each_and_follow_services():
    store = Store()
    usage = PoolUsage(store, POOLS)
    put(store, 'one', '192.0.2.0', '2001:db8::1')
    put(store, 'shares', '192.0.2.0')
    put(store, 'other', '203.0.113.1')
    put(store, 'edge', '192.0.2.3', mode='Proxy')
    size, used = figures(usage)
    assert size == {('public', 'IPv4'): 4, ('public', 'IPv6'): 4, ('spare', 'IPv4'): 2}
    assert used == {('public', 'IPv4'): 1, ('public', 'IPv6'): 1, ('spare', 'IPv4'): 0}
    store.drop(Ref('Service', 'shop', 'one'))
    assert figures(usage)[1] == {('public', 'IPv4'): 1, ('public', 'IPv6'): 0, ('spare', 'IPv4'): 0}
