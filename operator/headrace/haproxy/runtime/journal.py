"""The journal: what has changed since each generation was frozen.

A worker that starts from a generation is brought up to date by the difference for these references and keys alone, be it
after a reload during which changes went on, or after a crash.
"""

from collections.abc import Iterable

from headrace.names import Ref
from headrace.resolve.changes import Change
from headrace.resolve.claims import ClaimKey


class Journal:
    """References and keys that changed, by generation."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[set[Ref], set[ClaimKey]]] = {}

    def open(self, generation: str) -> None:
        """Begin to note for a generation; open it before its snapshot is taken."""
        self._since[generation] = (set(), set())

    def fork(self, generation: str, base: str, refs: Iterable[Ref], keys: Iterable[ClaimKey]) -> None:
        """Begin to note for a generation that is made from another one, and differs from it in these references and keys."""
        known_refs, known_keys = self._since[base]
        self._since[generation] = ({*known_refs, *refs}, {*known_keys, *keys})

    def note(self, change: Change) -> None:
        """Note a change, for all generations."""
        for refs, keys in self._since.values():
            refs.update(item.ref for item in change.fragments)
            keys.update(item.key for item in change.pointers)

    def since(self, generation: str) -> tuple[frozenset[Ref], frozenset[ClaimKey]] | None:
        """Return what has changed since a generation was frozen, None when it was not noted."""
        entry = self._since.get(generation)
        return None if entry is None else (frozenset(entry[0]), frozenset(entry[1]))

    def keep(self, generations: set[str]) -> None:
        """Forget all other generations."""
        for number in self._since.keys() - generations:
            del self._since[number]
