"""Changed objects that wait to be applied: namespaces take turns, so that none waits for all objects of another.

Promises: within a namespace the first that has come goes first, in the order in which they are given; one that changes
again meanwhile keeps its place. An object is done when it has been applied after it was taken from the store.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping

from headrace.names import Ref


class Backlog:
    """Objects that wait, and the epochs of what was taken from the store together."""

    def __init__(self) -> None:
        self._waiting: dict[str, dict[Ref, None]] = {}
        self._batches: deque[tuple[set[Ref], Mapping[Ref, int]]] = deque()

    def __bool__(self) -> bool:
        """Tell whether any object waits."""
        return bool(self._waiting)

    def add(self, refs: Iterable[Ref], epochs: Mapping[Ref, int]) -> None:
        """Let objects wait that were taken from the store together, in this order, with the epochs of those that are Services."""
        order = [*refs]
        for ref in order:
            self._waiting.setdefault(ref.namespace, {}).setdefault(ref)
        if order:
            self._batches.append((set(order), epochs))

    def next(self, limit: int, weight: Callable[[Ref], int] = lambda _: 1) -> list[Ref]:
        """Return the objects whose turn it is, which do not wait any more, sorted: as many as weigh no more, at least one."""
        batch: list[Ref] = []
        total = 0
        while self._waiting:
            namespace = next(iter(self._waiting))
            ref = next(iter(self._waiting[namespace]))
            total += weight(ref)
            if batch and total > limit:
                break
            refs = self._waiting.pop(namespace)
            del refs[ref]
            batch.append(ref)
            if refs:
                self._waiting[namespace] = refs
        return sorted(batch)

    def put_back(self, refs: Iterable[Ref]) -> None:
        """Let objects wait again that could not be applied, or others that follow from them."""
        for ref in refs:
            self._waiting.setdefault(ref.namespace, {}).setdefault(ref)

    def put_first(self, refs: Iterable[Ref]) -> None:
        """Let objects wait before all others of their namespaces."""
        for ref in reversed([*refs]):
            others = self._waiting.get(ref.namespace, {})
            others.pop(ref, None)
            self._waiting[ref.namespace] = {ref: None, **others}

    def complete(self, refs: Iterable[Ref]) -> dict[Ref, int]:
        """Note that objects were applied; return the epochs of what was taken before all that still waits.

        Lower epochs were taken earlier or together, so none of them counts before all of these objects are applied.
        """
        applied, epochs = frozenset(refs), dict[Ref, int]()
        for remaining, _ in self._batches:
            remaining.difference_update(applied)
        while self._batches and not self._batches[0][0]:
            epochs |= self._batches.popleft()[1]
        return epochs

    def clear(self) -> dict[Ref, int]:
        """Note that all objects were applied, and return their epochs."""
        self._waiting.clear()
        return self.complete(frozenset[Ref]().union(*(remaining for remaining, _ in self._batches)))
