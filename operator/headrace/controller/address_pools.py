"""The addresses of pools that the controller has given to Services, kept as Services change.

Promises: a change costs what the Services that it concerns cost. While this controller does not lead it allocates nothing, and
when it begins to lead it takes from statuses who has what.
"""

import asyncio
from collections.abc import Iterable

from headrace.controller import pool_requests
from headrace.diagnostics import Level
from headrace.names import Ref
from headrace.objects.kinds import Service
from headrace.objects.status import Addresses
from headrace.pools import pool
from headrace.pools.allocator import Allocator
from headrace.pools.requests import Allocation, Foreign, Request
from headrace.store import Store
from headrace.translate.build_context import BuildContext

# To read a Service takes some hundredths of a millisecond.
_STEP = 100


class AddressPools:
    """The pools of a class, and who has their addresses; without pools nothing is allocated."""

    def __init__(self, context: BuildContext, store: Store) -> None:
        self._context, self._store = context, store
        self.pools = pool.make(context.settings.address_pools)
        self.allocator: Allocator | None = None

    async def begin(self) -> None:
        """Take all Services as their statuses show them, in steps; what changes meanwhile comes by `changed`."""
        self.allocator = None
        if not self.pools.items:
            return
        holders: list[Request | Foreign] = []
        for number, ref in enumerate(self._store.services(), 1):
            service = self._store.get(ref, Service)
            holder = self._holder(service) if service is not None else None
            holders += [holder] if holder is not None else []
            if not number % _STEP:
                await asyncio.sleep(0)
        allocator = Allocator(self.pools)
        for _ in allocator.beginning(holders):
            await asyncio.sleep(0)
        self.allocator = allocator

    def end(self) -> None:
        """Forget everything: another controller may lead."""
        self.allocator = None

    def changed(self, refs: Iterable[Ref]) -> set[Ref]:
        """Take Services that have changed; return those that shall have other addresses than before."""
        changed: set[Ref] = set()
        if self.allocator is None:
            return changed
        for ref in refs:
            if ref.kind != 'Service':
                continue
            service = self._store.get(ref, Service)
            holder = self._holder(service) if service is not None else None
            changed |= self.allocator.put(holder) if holder is not None else self.allocator.drop(ref)
        return changed

    def _holder(self, service: Service) -> Request | Foreign | None:
        holder = pool_requests.of_service(service, self._context)
        if isinstance(holder, Foreign):
            in_pools = tuple(address for address in holder.shown if self.pools.of(address) is not None)
            return Foreign(holder.ref, holder.created, in_pools) if in_pools else None
        return holder

    def allocation(self, ref: Ref) -> Allocation | None:
        """Return the allocation of a Service, None where it gets no address of a pool."""
        allocator = self.allocator
        return allocator.of(ref) if allocator is not None and allocator.has(ref) else None

    def shortage(self, ref: Ref) -> str:
        """Return why a Service does not get what it asks for, '' where it does."""
        allocation = self.allocation(ref)
        errors = (
            (each for each in allocation.diagnostics if each.level is Level.ERROR) if allocation is not None else ()
        )
        return '; '.join(each.message for each in errors)

    def message(self, addresses: Iterable[str]) -> str:
        """Return what the condition of a Service says of its addresses."""
        found = ((address, self.pools.of(address)) for address in addresses)
        return ', '.join(f'{address} of pool {place.name}' if place else address for address, place in found)


def pairs(addresses: Iterable[str]) -> Addresses:
    """Return addresses as a status has them."""
    return tuple((address, '') for address in addresses)
