"""What processes hold, over time: memory and descriptors, and by how much they grow."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tools.bench import town
from tools.bench.figures import Figures

_SETTLE_SECONDS, _LOOK = 60.0, 0.5


def children(pid: int) -> list[int]:
    """Return the PIDs of the processes that one has started, and that are there."""
    found = list[int]()
    for task in Path(f'/proc/{pid}/task').iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / 'children').read_text().split())
    return found


def descriptors(pid: int) -> int:
    """Return how many descriptors a process has open."""
    return len(os.listdir(f'/proc/{pid}/fd'))  # noqa: PTH208  only their number is wanted


@dataclass(slots=True)
class Growth:
    """Samples of one process, each beside how much had been done."""

    name: str
    done: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    first: int = 0

    def take(self, pid: int, done: float) -> None:
        """Take a sample."""
        if not self.done:
            self.first = descriptors(pid)
        self.done.append(done)
        self.memory.append(town.rss(pid))

    def figures(self, pid: int, unit: str, step: float) -> Figures:
        """Yield where memory began and ended, its slope over the second half, and descriptors more than at first.

        Call it when nothing goes on any more: what is open then stays open.
        """
        half = len(self.done) // 2
        yield f'{self.name} RSS at first, MB', self.memory[0]
        yield f'{self.name} RSS at last, MB', self.memory[-1]
        yield f'{self.name} RSS, slope, MB {unit}', slope(self.done[half:], self.memory[half:]) * step
        yield f'{self.name} descriptors, more than at first', settled(lambda: descriptors(pid) - self.first)


def settled(left: Callable[[], float]) -> float:
    """Return what is left once nothing is left, or after a while."""
    deadline = time.monotonic() + _SETTLE_SECONDS
    while (found := left()) > 0 and time.monotonic() < deadline:
        time.sleep(_LOOK)
    return found


def slope(done: Sequence[float], values: Sequence[float]) -> float:
    """Return the slope of the line that fits some values best (least squares), 0 for fewer than two."""
    count = len(done)
    if count < 2 or done[0] == done[-1]:  # noqa: PLR2004
        return 0.0
    middle, mean = sum(done) / count, sum(values) / count
    wide = sum((each - middle) ** 2 for each in done)
    return sum((x - middle) * (y - mean) for x, y in zip(done, values, strict=True)) / wide


def workers(agent: int) -> Iterator[int]:
    """Yield the PIDs of HAProxy's workers, which are the children of the master that an agent has started."""
    for master in children(agent):
        yield from children(master)
