"""Who has which address of the pools, and which address of a pool is the next free one.

Promises: each question and each change costs what one address or one Service costs, however many there are.
"""

import heapq
import ipaddress
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.names import Ref
from headrace.pools import pool as pools
from headrace.pools.pool import Pool, Pools
from headrace.pools.requests import Foreign, Port, Request

# Of the addresses that the Services of one key have, so many are looked at for free ports.
_MOST_SHARED = 64
Holder = Request | Foreign


@dataclass(slots=True)
class _Use:
    """The use of one address. All Services of this class that have it can share it."""

    holders: dict[Ref, Holder] = field(default_factory=dict)
    foreign: int = 0
    ports: dict[Port, Ref] = field(default_factory=dict)


class _Free:
    """Finds the lowest free address of a family of a pool: those before a cursor are in use or in `gaps`."""

    def __init__(self, pool: Pool, family: int) -> None:
        self._family = family
        self._ranges = [each for each in pool.ranges if each.family == family]
        self._index, self._next = 0, self._ranges[0].first if self._ranges else 0
        # Places in the order in which addresses are given out, and the address at each.
        self._gaps: list[tuple[int, int]] = []

    def first(self, uses: dict[str, _Use]) -> str:
        """Return the first address that is not in use, '' for none."""
        while self._gaps:
            address = pools.text(self._family, self._gaps[0][1])
            if address not in uses:
                return address
            heapq.heappop(self._gaps)
        while self._index < len(self._ranges):
            last = self._ranges[self._index].last
            while self._next <= last:
                address = pools.text(self._family, self._next)
                if address not in uses:
                    return address
                self._next += 1
            self._index += 1
            self._next = self._ranges[self._index].first if self._index < len(self._ranges) else 0
        return ''

    def release(self, address: str) -> None:
        """Take an address back that was in use."""
        number = int(ipaddress.ip_address(address))
        for index, each in enumerate(self._ranges[: self._index + 1]):
            if each.first <= number <= each.last and (index < self._index or number < self._next):
                heapq.heappush(self._gaps, (index, number))


class Occupancy:
    """The addresses that Services have. A Service of this class has an address in order to keep it; a foreign one shows it."""

    def __init__(self, all_pools: Pools) -> None:
        self._pools = all_pools
        self._uses: dict[str, _Use] = {}
        self._free: dict[tuple[str, int], _Free] = {}
        # By namespace of the Service and key: how many Services have each address.
        self._shared: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        # By pool and family, how many of its addresses are in use.
        self.counts: Counter[tuple[str, int]] = Counter()

    def holders(self, address: str) -> Iterable[Holder]:
        """Return who has an address."""
        use = self._uses.get(address)
        return use.holders.values() if use is not None else ()

    def in_the_way(self, address: str, request: Request) -> tuple[Holder, ...]:
        """Return who has an address and cannot share it with a Service, the oldest first."""
        use = self._uses.get(address)
        if use is None:
            return ()
        others = {ref: holder for ref, holder in use.holders.items() if ref != request.ref}
        if not others:
            return ()
        if use.foreign or not _can_share(request, next(iter(others.values()))):
            clashing = (holder for holder in others.values() if clash(request, holder))
            return tuple(sorted(clashing, key=lambda holder: holder.age))
        refs = {use.ports[port] for port in request.ports if port in use.ports} - {request.ref}
        return tuple(sorted((others[ref] for ref in refs), key=lambda holder: holder.age))

    def first_free(self, pool: Pool, family: int) -> str:
        """Return the first address of a family of a pool that no Service has, '' for none."""
        return self._of(pool, family).first(self._uses)

    def shared(self, request: Request) -> tuple[str, ...]:
        """Return addresses of Services with the key of a Service, as far as they are looked at."""
        counts = self._shared.get((request.ref.namespace, request.sharing_key)) if request.sharing_key else None
        # Those that came last have the most free ports.
        return tuple(sorted(itertools.islice(reversed(counts), _MOST_SHARED))) if counts else ()

    def is_free(self, address: str) -> bool:
        """Tell whether no Service has an address."""
        return address not in self._uses

    def key_of(self, address: str) -> tuple[str, str] | None:
        """Return the namespace and key of the Services that have an address, with '' for none; None where it is free."""
        use = self._uses.get(address)
        if use is None:
            return None
        holder = next(iter(use.holders.values()))
        return (holder.ref.namespace, holder.sharing_key) if isinstance(holder, Request) else (holder.ref.namespace, '')

    def add(self, address: str, holder: Holder) -> None:
        """Note that a Service has an address."""
        use = self._uses.get(address)
        if use is None:
            use = self._uses[address] = _Use()
            if (pool := self._pools.of(address)) is not None:
                self.counts[pool.name, _family(address)] += 1
        use.holders[holder.ref] = holder
        if isinstance(holder, Foreign):
            use.foreign += 1
            return
        if holder.sharing_key:
            use.ports.update(dict.fromkeys(holder.ports, holder.ref))
            self._shared[holder.ref.namespace, holder.sharing_key][address] += 1

    def remove(self, address: str, ref: Ref) -> None:
        """Note that a Service has an address no more."""
        use = self._uses[address]
        holder = use.holders.pop(ref)
        if isinstance(holder, Foreign):
            use.foreign -= 1
        elif holder.sharing_key:
            for port in holder.ports:
                if use.ports.get(port) == ref:
                    del use.ports[port]
            self._forget_shared((ref.namespace, holder.sharing_key), address)
        if not use.holders:
            del self._uses[address]
            if (pool := self._pools.of(address)) is not None:
                family = _family(address)
                self.counts[pool.name, family] -= 1
                self._of(pool, family).release(address)

    def _forget_shared(self, key: tuple[str, str], address: str) -> None:
        counts = self._shared[key]
        counts[address] -= 1
        if not counts[address]:
            del counts[address]
        if not counts:
            del self._shared[key]

    def _of(self, pool: Pool, family: int) -> _Free:
        key = pool.name, family
        if key not in self._free:
            self._free[key] = _Free(pool, family)
        return self._free[key]


def _can_share(request: Request, holder: Holder) -> bool:
    """Tell whether a Service may have the address of another one where their ports differ."""
    return (
        isinstance(holder, Request)
        and bool(request.sharing_key)
        and (holder.ref.namespace, holder.sharing_key) == (request.ref.namespace, request.sharing_key)
        and holder.local_endpoints == request.local_endpoints
    )


def clash(request: Request, holder: Holder) -> bool:
    """Tell whether two Services cannot have the same address."""
    return not _can_share(request, holder) or not request.ports.isdisjoint(getattr(holder, 'ports', ()))


def _family(address: str) -> int:
    return 6 if ':' in address else 4
