"""The allocations of all Services, kept up to date change by change.

Promises: no address is that of two Services, but of those that can share it, and of one that another controller gave it to. A
Service keeps its addresses while they are its own by `allocation`, so that statuses alone say what an allocator of another
process, or after a restart, begins with.
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from headrace.names import Ref
from headrace.pools import allocation
from headrace.pools.occupancy import Holder, Occupancy
from headrace.pools.pool import Pools
from headrace.pools.requests import NOTHING, Allocation, Foreign, Request
from headrace.pools.waiting import Queue

# Of those that wait for room at a shared address, so many are decided about when one leaves it.
_MOST_TRIED = 64
# To decide about a Service takes a tenth of a millisecond.
_STEP = 50


def plan(pools: Pools, holders: Iterable[Holder]) -> Mapping[Ref, Allocation]:
    """Return the allocations of all Services, from nothing but what they ask for and show."""
    allocator = Allocator(pools)
    everyone = [*holders]
    allocator.begin(everyone)
    return {each.ref: allocator.of(each.ref) for each in everyone if isinstance(each, Request)}


class Allocator:
    """Gives Services their addresses."""

    def __init__(self, pools: Pools) -> None:
        self.pools = pools
        self.occupancy = Occupancy(pools)
        self._holders: dict[Ref, Holder] = {}
        self._allocations: dict[Ref, Allocation] = {}
        # What a Service waits for: an address, one of a family of a pool (`NAME/FAMILY`), or room at an address of its key
        # (`NAMESPACE:KEY`); and who waits for each.
        self._needs: dict[Ref, tuple[str, ...]] = {}
        self._waiting: dict[str, Queue] = {}
        # What is to be decided after a change: about Services that others have an effect on, and who gets addresses that were
        # released, or room at those that are shared.
        self._affected = Queue()
        self._released: list[str] = []

    @property
    def waiting(self) -> int:
        """Return how many Services wait for an address."""
        return len(self._needs)

    def of(self, ref: Ref) -> Allocation:
        """Return the allocation of a Service."""
        return self._allocations.get(ref, NOTHING)

    def has(self, ref: Ref) -> bool:
        """Tell whether a Service asks for an address."""
        return ref in self._allocations

    def begin(self, holders: Iterable[Holder]) -> None:
        """Take all Services at once: what they show is theirs before any other gets an address; the oldest come first."""
        for _ in self.beginning(holders):
            pass

    def beginning(self, holders: Iterable[Holder]) -> Iterator[None]:
        """Do what `begin` does in steps, after each of which other work can be done."""
        ordered = sorted(holders, key=lambda holder: holder.age)
        requests = [holder for holder in ordered if isinstance(holder, Request)]
        for holder in ordered:
            self._note(holder)
        for number, request in enumerate(requests, 1):
            addresses = allocation.kept(request, request.shown, self.pools, self.occupancy)
            for address in addresses:
                self.occupancy.add(address, request)
            self._allocations[request.ref] = Allocation(addresses)
            if not number % _STEP:
                yield
        for number, request in enumerate(requests, 1):
            self._decide(request.ref, request.shown)
            if not number % _STEP:
                yield
        self._settle()

    def put(self, holder: Holder) -> set[Ref]:
        """Take a Service, new or changed; return those whose allocations have changed."""
        ref = holder.ref
        before, had = self._holders.get(ref), self.of(ref)
        if before == holder:
            return set()
        is_shown_anew = before is None or before.shown != holder.shown
        self._forget(ref)
        self._note(holder)
        changed: set[Ref] = set()
        if isinstance(holder, Request):
            self._decide(ref, (*holder.shown, *had.addresses) if is_shown_anew else (*had.addresses, *holder.shown))
            changed = {ref} if self.of(ref) != had else set()
            if isinstance(before, Request) and before.ports <= holder.ports and not _differ(before, holder):
                self._released = [each for each in self._released if each not in self.of(ref).addresses]
        return changed | self._settle()

    def drop(self, ref: Ref) -> set[Ref]:
        """Forget a Service; return those whose allocations have changed."""
        self._forget(ref)
        return self._settle()

    def _note(self, holder: Holder) -> None:
        self._holders[holder.ref] = holder
        if isinstance(holder, Foreign):
            for address in holder.shown:
                self.occupancy.add(address, holder)
                self._affect(address)

    def _affect(self, address: str) -> None:
        """Have those decided about again that have an address which a foreign Service shows, or shows no more."""
        for other in self.occupancy.holders(address):
            if isinstance(other, Request):
                self._affected.add(other.age, other.ref)

    def _forget(self, ref: Ref) -> None:
        """Take from a Service what it has."""
        holder = self._holders.pop(ref, None)
        found = self._allocations.pop(ref, NOTHING)
        self._needs.pop(ref, None)
        for address in holder.shown if isinstance(holder, Foreign) else found.addresses:
            self._release(address, ref)
            if isinstance(holder, Foreign):
                self._affect(address)

    def _release(self, address: str, ref: Ref) -> None:
        self.occupancy.remove(address, ref)
        self._released.append(address)

    def _decide(self, ref: Ref, current: Iterable[str]) -> None:
        """Decide about a Service, and take from younger ones what is its own."""
        request, before = self._holders[ref], self.of(ref)
        assert isinstance(request, Request)
        found = allocation.allocate(request, dict.fromkeys(current), self.pools, self.occupancy)
        self._allocations[ref] = found
        for address in before.addresses:
            if address not in found.addresses:
                self._release(address, ref)
        for address in found.addresses:
            if address not in before.addresses:
                self._take_from_others(address, request)
                self.occupancy.add(address, request)
                # Others of its key may find room there.
                self._released += [address] if request.sharing_key else []
        self._wait(request, found)

    def _take_from_others(self, address: str, request: Request) -> None:
        for other in self.occupancy.in_the_way(address, request):
            if isinstance(other, Request):
                self.occupancy.remove(address, other.ref)
                had = self.of(other.ref)
                rest = tuple(each for each in had.addresses if each != address)
                self._allocations[other.ref] = Allocation(rest, had.diagnostics, had.missing)
                self._affected.add(other.age, other.ref)

    def _wait(self, request: Request, found: Allocation) -> None:
        """Note what a Service waits for, if it does."""
        needs: tuple[str, ...] = ()
        if request.addresses:
            needs = tuple(address for address in request.addresses if address not in found.addresses)
        elif found.missing:
            candidates = self.pools.for_service(request.namespace, request.labels, request.pool)
            needs = tuple(
                _need(pool.name, family) for pool in candidates for family in found.missing if pool.size(family)
            )
        if needs and request.sharing_key:
            needs = (*needs, _key_need(request.ref.namespace, request.sharing_key))
        self._needs.pop(request.ref, None)
        if needs:
            self._needs[request.ref] = needs
        for need in needs:
            self._waiting.setdefault(need, Queue()).add(request.age, request.ref)

    def _settle(self) -> set[Ref]:
        """Decide about all that the last changes have an effect on; return those whose allocations have changed."""
        changed: set[Ref] = set()
        while self._affected or self._released:
            if self._affected:
                _, ref = self._affected.take()
                if self.has(ref):
                    self._decide(ref, self.of(ref).addresses)
                    changed.add(ref)
                continue
            address = self._released.pop()
            if (key := self.occupancy.key_of(address)) is not None:
                changed |= self._wake(_key_need(*key), lambda: True, _MOST_TRIED)
                continue
            is_free = partial(self.occupancy.is_free, address)
            changed |= self._wake(address, is_free)
            if (pool := self.pools.of(address)) is not None:
                changed |= self._wake(_need(pool.name, 6 if ':' in address else 4), is_free)
        return changed

    def _wake(self, need: str, can_go_on: Callable[[], bool], most: int | None = None) -> set[Ref]:
        """Decide about those that wait, the oldest first, while there may be something for them; about so many at most."""
        queue, changed = self._waiting.pop(need, None), set[Ref]()
        for _ in itertools.count() if most is None else range(most):
            if not queue or not can_go_on():
                break
            _, ref = queue.take()
            if need not in self._needs.get(ref, ()):
                continue
            before = self.of(ref)
            self._decide(ref, before.addresses)
            if self.of(ref) != before:
                changed.add(ref)
        # Those that go on waiting have begun a queue of their own.
        still = self._waiting.pop(need, None)
        while queue is not None and still:
            queue.add(*still.take())
        if queue:
            self._waiting[need] = queue
        return changed


def _need(pool: str, family: int) -> str:
    return f'{pool}/{family}'


def _key_need(namespace: str, key: str) -> str:
    return f'{namespace}:{key}'


def _differ(before: Request, after: Request) -> bool:
    """Tell whether others can share an address with a Service that could not before."""
    return (before.sharing_key, before.local_endpoints) != (after.sharing_key, after.local_endpoints)
