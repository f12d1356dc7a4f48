"""How much text the annotations of a namespace's objects may have together, and what is kept of an object without room.

Pure. An object has some kilobytes for itself; what it has beyond them takes from the budget of its namespace, the oldest
objects first. An object takes nothing if it, or an older one, does not fit. A change costs what it changes.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from headrace.names import Ref
from headrace.objects import annotations
from headrace.objects.ingress import CLASS_ANNOTATION, UNREADABLE, Ingress
from headrace.objects.kinds import Service

# What an object has for itself, and what each annotation takes besides its text.
FREE, EACH = 4096, 200
# Whose an object is, and where it is exposed.
_SERVICE_KEYS = frozenset(
    (
        'address',
        'address-pool',
        'address-sharing-key',
        'class',
        'enabled',
        'epoch',
        'host',
        'mode',
        'path',
        'port',
        'proxy',
    )
)
_INGRESS_KEYS = frozenset((CLASS_ANNOTATION, f'{annotations.PREFIX}class'))
# A key that closes what it is on where its value cannot be read.
_CLOSING = 'allow'

Annotated = TypeVar('Annotated', bound=Service | Ingress)
_Entry = tuple[str, Ref, int]


def size(item: Service | Ingress) -> int:
    """Return how much the annotations of an object take, in characters, about; 0 where it is no more than is free."""
    total = sum([len(key) + len(value) + EACH for key, value in item.annotations])
    return total if total > FREE else 0


def without(item: Annotated) -> Annotated:
    """Return an object without its annotations but those that say whose it is; it is closed."""
    is_service = isinstance(item, Service)
    keys = _SERVICE_KEYS if is_service else _INGRESS_KEYS
    closing = (_CLOSING if is_service else annotations.PREFIX + _CLOSING, UNREADABLE)
    pairs, total = [closing], 0
    for key, value in item.annotations:
        if (key.partition('.')[0] if is_service else key) in keys:
            total += len(key) + len(value) + EACH
            if total <= FREE:
                pairs.append((key, value))
    return replace(item, annotations=tuple(sorted(pairs)), omitted=size(item))


@dataclass(slots=True)
class _Queue:
    """The large objects of a namespace, the oldest first: the first `count` of them have room, and take `total`."""

    entries: list[_Entry] = field(default_factory=list)
    count: int = 0
    total: int = 0

    def remove(self, entry: _Entry) -> None:
        place = bisect_left(self.entries, entry)
        del self.entries[place]
        if place < self.count:
            self.count -= 1
            self.total -= entry[2]

    def add(self, entry: _Entry) -> None:
        insort(self.entries, entry)
        if bisect_left(self.entries, entry) < self.count:
            self.count += 1
            self.total += entry[2]

    def settle(self, most: int) -> Iterator[Ref]:
        """Let as many have room as there is; yield those that had some."""
        while self.total > most:
            self.count -= 1
            self.total -= self.entries[self.count][2]
            yield self.entries[self.count][1]
        while self.count < len(self.entries) and self.total + self.entries[self.count][2] <= most:
            self.total += self.entries[self.count][2]
            self.count += 1


class AnnotationBudget:
    """Which objects have room for their annotations."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._queues: dict[str, _Queue] = {}
        self._entries: dict[Ref, _Entry] = {}

    def note(self, ref: Ref, item: Service | Ingress | None) -> set[Ref]:
        """Note an object as it is now, None for one that is gone; return the objects that have no room any more."""
        amount = size(item) if item is not None else 0
        entry = (item.created, ref, amount) if item is not None and amount else None
        previous = self._entries.pop(ref, None)
        if previous == entry:
            if entry is not None:
                self._entries[ref] = entry
            return set()
        queue = self._queues.setdefault(ref.namespace, _Queue())
        if previous is not None:
            queue.remove(previous)
        if entry is not None:
            queue.add(entry)
            self._entries[ref] = entry
        refs = set(queue.settle(self._most))
        if not queue.entries:
            del self._queues[ref.namespace]
        return refs

    def has_room(self, ref: Ref) -> bool:
        """Tell whether the annotations of an object have room."""
        entry = self._entries.get(ref)
        if entry is None:
            return True
        queue = self._queues[ref.namespace]
        return bisect_left(queue.entries, entry) < queue.count
