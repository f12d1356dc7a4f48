"""What each object was last made from without an error: its Service, and the Secrets that it names.

Another state, which other settings make, builds this first, so that an object in error keeps its last good form under
the new settings. Pure.
"""

from collections.abc import Iterable

from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.objects.kinds import Secret, Service
from headrace.store import Store


class LastGood:
    """Objects by the Service whose fragment was made from them. They are shared with the store until they change."""

    def __init__(self) -> None:
        self._made_from: dict[Ref, tuple[Service | Secret, ...]] = {}

    def note(self, store: Store, ref: Ref, fragment: Fragment | None) -> None:
        """Note what a fragment without an error was made from; None for an object that has no fragment."""
        service = store.get(ref, Service)
        if fragment is None or service is None:
            self._made_from.pop(ref, None)
            return
        secrets = (store.get(need, Secret) for need in fragment.needs)
        self._made_from[ref] = (service, *(found for found in secrets if found is not None))

    def of(self, refs: Iterable[Ref]) -> list[Service | Secret]:
        """Return what some objects were last made from; nothing of those that were never without an error."""
        return [item for ref in refs for item in self._made_from.get(ref, ())]
