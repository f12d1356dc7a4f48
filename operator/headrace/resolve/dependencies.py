"""Which objects each fragment is made from, and which ports of other Services it demands a backend for.

Follows the fragments one by one, so that an object that changes leads to the fragments that it touches. A fragment that
demands a lot can be expected: its demands count before it is there, so that Services are built for it in steps.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from headrace.ir.backend import Demand
from headrace.ir.fragment import Fragment
from headrace.names import Ref

_NONE: AbstractSet[Ref] = frozenset()


class Dependencies:
    """The dependencies of all fragments, by the object that they depend on."""

    def __init__(self) -> None:
        self._readers: dict[Ref, set[Ref]] = {}
        self._demanders: dict[Ref, dict[Demand, set[Ref]]] = {}
        # Of fragments that are expected: their further demands, and the Services that were not built since.
        self._expected: dict[Ref, tuple[frozenset[Demand], set[Ref]]] = {}

    def readers(self, ref: Ref) -> AbstractSet[Ref]:
        """Return the fragments that are made from an object besides their own, as of now."""
        return self._readers.get(ref, _NONE)

    def demands(self, ref: Ref) -> frozenset[Demand]:
        """Return the backends of a Service that others need."""
        return frozenset(self._demanders.get(ref, ()))

    def read_objects(self, kind: str) -> list[Ref]:
        """Return the objects of a kind that fragments are made from, besides their own, in no order."""
        return [ref for ref in self._readers if ref.kind == kind]

    def follow(self, ref: Ref, old: Fragment | None, new: Fragment | None) -> set[Ref]:
        """Note what a fragment depends on, and return the objects of which others are demanded now."""
        self._note_readers(ref, old, new)
        return self._note_demands(ref, old, new)

    def _note_readers(self, ref: Ref, old: Fragment | None, new: Fragment | None) -> None:
        if old is not None and new is not None and old.needs == new.needs:
            return
        before, after = set(old.needs if old else ()), set(new.needs if new else ())
        for need in before - after:
            self._readers[need].discard(ref)
            if not self._readers[need]:
                del self._readers[need]
        for need in after - before:
            self._readers.setdefault(need, set()).add(ref)

    def _note_demands(self, ref: Ref, old: Fragment | None, new: Fragment | None) -> set[Ref]:
        """Note what a fragment demands of others, and return those of which others are demanded now."""
        expected, services = self._expected.pop(ref, (frozenset(), set()))
        if not expected and not services and old is not None and new is not None and old.demands == new.demands:
            return set()
        before = expected.union(old.demands if old else ())
        return services | self._exchange(ref, before, frozenset(new.demands if new else ()))

    def _exchange(self, ref: Ref, before: frozenset[Demand], after: frozenset[Demand]) -> set[Ref]:
        services: set[Ref] = set()
        for demand in before - after:
            owners = self._demanders[demand.service][demand]
            owners.discard(ref)
            if not owners:
                del self._demanders[demand.service][demand]
                services.add(demand.service)
        for demand in after - before:
            demanders = self._demanders.setdefault(demand.service, {})
            if demand not in demanders:
                services.add(demand.service)
            demanders.setdefault(demand, set()).add(ref)
        return services

    def expect(self, ref: Ref, old: Fragment | None, demands: Iterable[Demand]) -> AbstractSet[Ref]:
        """Note what the next fragment of an object will demand, and return the Services that are to be built before it."""
        before, services = self._expected.get(ref, (frozenset(), set()))
        further = frozenset(demands).difference(old.demands if old else ())
        services |= self._exchange(ref, before, further)
        self._expected[ref] = further, services
        return services

    def expects(self, ref: Ref) -> bool:
        """Tell whether another fragment of an object is expected."""
        return ref in self._expected

    def note_build(self, service: Ref) -> None:
        """Note that a Service was built with all that is demanded of it now."""
        for _, services in self._expected.values():
            services.discard(service)
