"""Which addresses one Service shall have, decided from what it asks for and what others have.

Promises: an address that a Service has stays its own while it may have it, whatever becomes of other Services. Of two that
have one address and cannot share it the older one keeps it. An address that was asked for by name is never replaced by another
one; until it can be had the Service keeps what it has.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.diagnostics import Diagnostic, shorten
from headrace.pools.occupancy import Holder, Occupancy
from headrace.pools.pool import Pool, Pools
from headrace.pools.requests import Allocation, Foreign, Request

_FAMILIES = {4: 'IPv4', 6: 'IPv6'}


def allocate(request: Request, current: Iterable[str], pools: Pools, occupancy: Occupancy) -> Allocation:
    """Return what a Service shall have that has the addresses `current`, of several in a family those that count most first."""
    decision = _Decision(request, pools, occupancy)
    found = decision.kept(tuple(current))
    return decision.named(found) if request.addresses else decision.of_pools(found)


def kept(request: Request, current: Iterable[str], pools: Pools, occupancy: Occupancy) -> tuple[str, ...]:
    """Return which of the addresses `current` a Service keeps."""
    return _Decision(request, pools, occupancy).kept(tuple(current))


@dataclass(frozen=True, slots=True)
class _Decision:
    """The decision about one Service."""

    request: Request
    pools: Pools
    occupancy: Occupancy

    def kept(self, current: tuple[str, ...]) -> tuple[str, ...]:
        """Return the addresses that the Service has and may keep: one of each of its families, and those that it asks for."""
        chosen: dict[int, str] = {}
        named: list[str] = []
        for address in current:
            if _family(address) not in self.request.families or not self._keeps(address):
                continue
            if address in self.request.addresses:
                named.append(address)
            elif self._is_of_its_pool(address):
                chosen.setdefault(_family(address), address)
        taken = {_family(address) for address in named}
        return (*named, *(address for family, address in chosen.items() if family not in taken))

    def _keeps(self, address: str) -> bool:
        """Tell whether all that have an address too, and cannot share it, are younger."""
        others = self.occupancy.in_the_way(address, self.request)
        return not others or self.request.age < others[0].age

    def _is_of_its_pool(self, address: str) -> bool:
        """Tell whether an address is of the pool that the Service names, if it names one."""
        if not self.request.pool:
            return True
        pool = self.pools.of(address)
        return pool is not None and pool.name == self.request.pool

    def named(self, kept: tuple[str, ...]) -> Allocation:
        """Return the addresses that the Service asks for, if it can have all of them, else those that it keeps."""
        refusals = (self._refusal(address) for address in self.request.addresses if address not in kept)
        problems = [*self.request.problems, *(each for each in refusals if each is not None)]
        if problems:
            return self._allocation(kept, problems)
        return self._allocation(self.request.addresses, ())

    def _refusal(self, address: str) -> Diagnostic | None:
        """Return why the Service cannot have an address that it asks for, None where it can."""
        request, pool = self.request, self.pools.of(address)
        if _family(address) not in request.families:
            return self._diagnostic('AddressNotInPool', f'{address}: the Service has no {_FAMILIES[_family(address)]}')
        if pool is None:
            return self._diagnostic('AddressNotInPool', f'{address} is in no pool of the class')
        if not pool.serves(request.namespace, request.labels):
            return self._diagnostic(
                'AddressNotInPool', f'{address} is in pool {pool.name}, which is not for this Service'
            )
        if not self._is_of_its_pool(address):
            return self._diagnostic('AddressNotInPool', f'{address} is not in pool {request.pool}')
        others = self.occupancy.in_the_way(address, request)
        return self._diagnostic('AddressInUse', f'{address} is {_whose(others[0])}') if others else None

    def of_pools(self, kept: tuple[str, ...]) -> Allocation:
        """Return what the Service keeps, and an address of a pool for each other family."""
        request = self.request
        candidates = self.pools.for_service(request.namespace, request.labels, request.pool)
        found = {_family(address): address for address in kept}
        missing: list[int] = []
        for family in request.families if not request.problems else ():
            if family not in found and (address := self._next(family, candidates)):
                found[family] = address
            elif family not in found:
                missing.append(family)
        if missing and (request.all_families or not found):
            return self._allocation(kept, [self._shortage(missing, candidates)], tuple(missing))
        ordered = tuple(found[family] for family in request.families if family in found)
        return self._allocation(ordered, request.problems, tuple(missing))

    def _next(self, family: int, candidates: Iterable[Pool]) -> str:
        """Return the first address of a family that the Service can have, '' for none."""
        shared = [address for address in self.occupancy.shared(self.request) if _family(address) == family]
        for pool in candidates:
            for address in shared:
                if self.pools.of(address) == pool and not self.occupancy.in_the_way(address, self.request):
                    return address
            if address := self.occupancy.first_free(pool, family):
                return address
        return ''

    def _shortage(self, missing: list[int], candidates: tuple[Pool, ...]) -> Diagnostic:
        """Return why no pool has an address."""
        request, family = self.request, missing[0]
        if request.pool and self.pools.named(request.pool) is None:
            return self._diagnostic('AddressPoolUnusable', f'the class has no pool {shorten(request.pool)}')
        if not candidates:
            whose = f'pool {request.pool} is not' if request.pool else 'no pool of the class is'
            return self._diagnostic('AddressPoolUnusable', f'{whose} for this Service')
        names = ', '.join(pool.name for pool in candidates if pool.size(family))
        if not names:
            names = ', '.join(pool.name for pool in candidates)
            return self._diagnostic('AddressPoolUnusable', f'no {_FAMILIES[family]} addresses are in {names}')
        return self._diagnostic('AddressPoolExhausted', f'all {_FAMILIES[family]} addresses of {names} are in use')

    def _allocation(
        self, addresses: tuple[str, ...], problems: Iterable[Diagnostic], missing: tuple[int, ...] = ()
    ) -> Allocation:
        """Return the allocation, with a diagnostic for each address that another controller's Service has too."""
        diagnostics = [*problems]
        for address in addresses:
            others = self.occupancy.in_the_way(address, self.request)
            foreign = [other for other in others if isinstance(other, Foreign)]
            if foreign:
                diagnostics.append(self._diagnostic('AddressInUse', f'{address} is {_whose(foreign[0])} too'))
            pool = self.pools.of(address)
            if pool is None or not pool.serves(self.request.namespace, self.request.labels):
                message = f'{address} stays, though it is in no pool for this Service now'
                diagnostics.append(self._diagnostic('AddressOutsidePools', message))
        return Allocation(addresses, tuple(sorted(diagnostics)), missing)

    def _diagnostic(self, reason: str, message: str) -> Diagnostic:
        return Diagnostic(self.request.ref, reason, message, self.request.field)


def _whose(holder: Holder) -> str:
    kind = 'of another controller' if isinstance(holder, Foreign) else 'of this class'
    return f'the address of Service {holder.ref.namespace}/{holder.ref.name} {kind}'


def _family(address: str) -> int:
    return 6 if ':' in address else 4
