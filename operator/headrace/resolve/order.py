"""The order in which objects are built: the oldest first, with those that come to be built meanwhile in their place."""

import heapq

from headrace.names import Ref
from headrace.resolve.hosts import Rank

_Ranked = tuple[Rank, Ref]


class Order:
    """Ranked objects that wait to be built. Those of the beginning are sorted once, so that only later ones cost a search."""

    __slots__ = ('_later', '_sorted')

    def __init__(self, ranked: list[_Ranked]) -> None:
        """Take objects in their order."""
        self._sorted = ranked[::-1]
        self._later: list[_Ranked] = []

    def __len__(self) -> int:
        """Return how many objects wait."""
        return len(self._sorted) + len(self._later)

    def push(self, rank: Rank, ref: Ref) -> None:
        """Let another object wait."""
        heapq.heappush(self._later, (rank, ref))

    def pop(self) -> Ref:
        """Return the oldest object, which waits no more."""
        if self._later and (not self._sorted or self._later[0] < self._sorted[-1]):
            return heapq.heappop(self._later)[1]
        return self._sorted.pop()[1]
