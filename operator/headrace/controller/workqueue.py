"""The objects that are to be looked at, each at its time; of those that are due, namespaces take turns.

Promises: an object is in the queue once; what `add` and `take` cost does not grow with what waits; however much of one
namespace is due, another namespace waits for one object of it at most. `take` lets other tasks run each time.
"""

import asyncio
import contextlib
import heapq
import time
from collections import OrderedDict

from headrace.names import Ref

_SPARE = 64
# What is urgent, and what waits until nothing of its namespace is.
_Lanes = tuple['OrderedDict[Ref, None]', 'OrderedDict[Ref, None]']


class WorkQueue:
    """References of objects, with any number of consumers."""

    def __init__(self) -> None:
        self._due: dict[Ref, float] = {}
        # By time. An entry whose time is not that of `_due` is outdated.
        self._later: list[tuple[float, Ref]] = []
        self._ready: OrderedDict[str, _Lanes] = OrderedDict()
        self._busy: set[Ref] = set()
        # What was added while it was busy, and whether in the background only.
        self._again: dict[Ref, bool] = {}
        self._wakeup = asyncio.Event()

    def add(self, ref: Ref, *, after: float = 0.0, background: bool = False) -> None:
        """Have an object taken, at once or after some seconds; what is in the `background` after all else of its namespace."""
        if after > 0:
            self._add_later(ref, time.monotonic() + after)
        else:
            self._due.pop(ref, None)
            self._add_ready(ref, background=background)
        self._wakeup.set()

    def _add_later(self, ref: Ref, due: float) -> None:
        lanes = self._ready.get(ref.namespace)
        if lanes is not None and ref in lanes[0]:
            return
        if due >= self._due.get(ref, float('inf')):
            return
        self._due[ref] = due
        heapq.heappush(self._later, (due, ref))
        if len(self._later) > 2 * len(self._due) + _SPARE:
            self._later = [(due, ref) for ref, due in self._due.items()]
            heapq.heapify(self._later)

    def _add_ready(self, ref: Ref, *, background: bool) -> None:
        if ref in self._busy:
            self._again[ref] = background and self._again.get(ref, True)
            return
        if (lanes := self._ready.get(ref.namespace)) is None:
            lanes = self._ready[ref.namespace] = (OrderedDict(), OrderedDict())
        urgent, background_lane = lanes
        if background:
            if ref not in urgent:
                background_lane[ref] = None
        else:
            background_lane.pop(ref, None)
            urgent[ref] = None

    async def take(self) -> tuple[Ref, bool]:
        """Wait for the next object that is due, and return it, and whether it comes from the background.

        No consumer gets it again before `done`.
        """
        await asyncio.sleep(0)
        while True:
            timeout = self._until_due()
            if self._ready:
                return self._pop()
            self._wakeup.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout):
                    await self._wakeup.wait()

    def done(self, ref: Ref) -> None:
        """Let an object that was taken be taken again, at once if it was added meanwhile."""
        self._busy.discard(ref)
        background = self._again.pop(ref, None)
        if background is not None:
            self._add_ready(ref, background=background)
            self._wakeup.set()

    def _until_due(self) -> float | None:
        """Make ready what is due, and return in how many seconds something else is, None for nothing."""
        now = time.monotonic()
        while self._later and (self._later[0][0] <= now or self._is_outdated(*self._later[0])):
            due, ref = heapq.heappop(self._later)
            if self._due.get(ref) == due:
                del self._due[ref]
                self._add_ready(ref, background=False)
        return self._later[0][0] - now if self._later else None

    def _is_outdated(self, due: float, ref: Ref) -> bool:
        return self._due.get(ref) != due

    def _pop(self) -> tuple[Ref, bool]:
        namespace, lanes = self._ready.popitem(last=False)
        background = not lanes[0]
        ref, _ = lanes[background].popitem(last=False)
        self._busy.add(ref)
        if lanes[0] or lanes[1]:
            self._ready[namespace] = lanes
        return ref, background
