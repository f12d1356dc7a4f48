"""Services that wait for something, the oldest first."""

import heapq

from headrace.names import Ref
from headrace.pools.requests import Age


class Queue:
    """Services in the order of their age, each once; adding and taking one costs the logarithm of how many there are."""

    def __init__(self) -> None:
        self._heap: list[tuple[Age, Ref]] = []
        self._refs: set[Ref] = set()

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self._heap)

    def add(self, age: Age, ref: Ref) -> None:
        """Add a Service that is not there yet."""
        if ref not in self._refs:
            self._refs.add(ref)
            heapq.heappush(self._heap, (age, ref))

    def take(self) -> tuple[Age, Ref]:
        """Take the oldest one."""
        age, ref = heapq.heappop(self._heap)
        self._refs.remove(ref)
        return age, ref
