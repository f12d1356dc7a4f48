"""What the allocation of addresses costs a controller: CPU time and memory, without an API server.

A Service has two ports and an address of each family, all of one pool.
"""

import asyncio
import gc
import time
import tracemalloc
from collections.abc import Callable, Iterable, Mapping

from tools.bench.figures import Figures

from headrace.controller.address_pools import AddressPools
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import Service
from headrace.settings import settings
from headrace.store import Store
from headrace.translate import build_context

_NAMESPACES, _MORE = 50, 1000
_WIDE = ('10.128.0.0/14', 'fd00::/64')
_PORTS = [{'name': 'http', 'port': 80}, {'name': 'https', 'port': 443}]
_SPEC = {
    'type': 'LoadBalancer',
    'loadBalancerClass': 'headrace.io/headrace',
    'clusterIPs': ['10.96.0.1'],
    'ipFamilies': ['IPv4', 'IPv6'],
    'ipFamilyPolicy': 'PreferDualStack',
    'ports': _PORTS,
}
_MICRO, _MILLI = 1e6, 1e3


def measure(size: int) -> Figures:
    """Yield what it costs to begin with so many Services, and what a change costs then."""
    store = _store(range(size), {})
    pools = _pools(store, *_WIDE)
    yield 'a controller begins and gives all Services addresses, ms of CPU', _spent(lambda: _begin(pools)) * _MILLI
    shown = {ref: found.addresses for ref in store.services() if (found := pools.allocation(ref)) is not None}
    store = _store(range(size), shown)
    pools = _pools(store, *_WIDE)
    gc.collect()
    tracemalloc.start()
    _begin(pools)
    memory = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    yield 'memory of the allocations, MB', memory / _MICRO
    spent = _spent(lambda: _begin(pools))
    yield 'a controller begins and all Services have their addresses, ms of CPU', spent * _MILLI
    more = [_service(number, ()) for number in range(size, size + _MORE)]
    for each in more:
        store.put(each)
    refs = [each.ref for each in more]
    yield 'one more Service, µs of CPU', _spent(lambda: _follow(pools, refs)) / _MORE * _MICRO
    for ref in refs:
        store.drop(ref)
    yield 'a Service goes, µs of CPU', _spent(lambda: _follow(pools, refs)) / _MORE * _MICRO
    yield from _released(size)


def _released(size: int) -> Figures:
    """Yield what it costs to give a released address to the oldest Service that waits, when half of them wait."""
    store = _store(range(size), {})
    last = size // 2 - 1
    pools = _pools(store, f'10.128.0.0-10.{128 + last // 65536}.{last // 256 % 256}.{last % 256}')
    _begin(pools)
    having = [ref for ref in store.services() if (found := pools.allocation(ref)) and found.addresses][:_MORE]
    for ref in having:
        store.drop(ref)
    spent = _spent(lambda: _follow(pools, having))
    yield 'an address goes to the oldest that waits, µs of CPU', spent / len(having) * _MICRO


def _pools(store: Store, *addresses: str) -> AddressPools:
    made = settings.make({'addressPools': [{'name': 'public', 'addresses': list(addresses)}]})
    return AddressPools(build_context.make(made), store)


def _begin(pools: AddressPools) -> None:
    asyncio.run(pools.begin())


def _follow(pools: AddressPools, refs: Iterable[Ref]) -> None:
    for ref in refs:
        pools.changed((ref,))


def _store(numbers: Iterable[int], shown: Mapping[Ref, tuple[str, ...]]) -> Store:
    store = Store()
    for number in numbers:
        store.put(_service(number, shown.get(_ref(number), ())))
    return store


def _service(number: int, shown: Iterable[str]) -> Service:
    ref = _ref(number)
    metadata = {'name': ref.name, 'namespace': ref.namespace, 'labels': {'app': ref.name}}
    status = {'loadBalancer': {'ingress': [{'ip': each, 'ipMode': 'VIP'} for each in shown]}}
    document = {'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata, 'spec': _SPEC, 'status': status}
    made = parse.read(document, statuses=True).object
    assert isinstance(made, Service)
    return made


def _ref(number: int) -> Ref:
    return Ref('Service', f'tenant-{number % _NAMESPACES}', f'service-{number}')


def _spent(work: Callable[[], None]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
