"""How much of the class's address pools is in use, as the statuses of Services say."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from prometheus_client.core import GaugeMetricFamily, Metric

from headrace.objects.kinds import Service
from headrace.pools.pool import Pools
from headrace.store import Store

_LABELS = ('pool', 'family')
_FAMILIES = {4: 'IPv4', 6: 'IPv6'}


@dataclass(slots=True)
class PoolUsage:
    """Counts the addresses when asked; the edge's agents all see the same ones."""

    store: Store
    pools: Pools
    # The pool of each address that was seen last.
    _places: dict[str, str] = field(default_factory=dict)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        used = self._count()
        size = GaugeMetricFamily('headrace_address_pool_addresses', 'Addresses of a pool.', labels=_LABELS)
        in_use = GaugeMetricFamily(
            'headrace_address_pool_addresses_in_use', 'Addresses of a pool that Services have.', labels=_LABELS
        )
        for pool in self.pools.items:
            for family, name in _FAMILIES.items():
                if total := pool.size(family):
                    size.add_metric((pool.name, name), total)
                    in_use.add_metric((pool.name, name), used[pool.name, family])
        yield size
        yield in_use

    def _count(self) -> Counter[tuple[str, int]]:
        # In one step, since the store changes in another thread.
        services = [item for item in (*self.store.objects(),) if isinstance(item, Service)]
        places: dict[str, str] = {}
        for service in services:
            for address in service.load_balancer_ips:
                if address not in places:
                    places[address] = self._places[address] if address in self._places else self._pool_of(address)
        self._places = places
        return Counter((pool, 6 if ':' in address else 4) for address, pool in places.items() if pool)

    def _pool_of(self, address: str) -> str:
        pool = self.pools.of(address)
        return pool.name if pool is not None else ''
