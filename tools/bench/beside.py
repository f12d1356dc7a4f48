"""What requests notice of changes beside them: their p99 while endpoints change, over that at rest.

It is measured twice. Where all share the cores, requests also wait for a core that the agent has: a program that has nothing
to do with HAProxy and takes as much time of the cores makes as much of a tail. With a core for what carries requests (client,
HAProxy, endpoints) and another for what changes them (agent, writer), what is left is what the changes cost HAProxy.
"""

import contextlib
import itertools
import multiprocessing
import os
import statistics
from collections.abc import Iterable, Iterator
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bench import client, probe
from tools.bench.figures import Figures

if TYPE_CHECKING:
    from tools.bench.town import Town

RATE = 50
_TURNS = 5
# Numbers of addresses beyond those of other changes, and how many a turn has for itself.
_FIRST, _MOST = 10 << 16, 10_000


def measure(town: 'Town', count: int) -> Figures:
    """Yield the p99 of so many requests at rest and while endpoints change 50 times a second: medians of five turns."""
    numbers = itertools.count(_FIRST, _MOST)
    yield from _compared(town, count, numbers, 'cores shared')
    # With one core there is no other one.
    if len(os.sched_getaffinity(0)) == 1:
        return
    with _apart(town):
        yield from _compared(town, count, numbers, 'agent on another core')


def _compared(town: 'Town', count: int, numbers: Iterator[int], how: str) -> Figures:
    quiet, busy = list[float](), list[float]()

    def p99() -> float:
        times = client.http1((town.address, town.http), ['p0.example.com'], count=count, connections=1).times
        return statistics.quantiles(times, n=100)[98]

    for _ in range(_TURNS):
        quiet.append(p99())
        with _changing(town.source, next(numbers), os.sched_getaffinity(town.agent.pid)):
            busy.append(p99())
    yield f'request p99 at rest, {how}, ms', statistics.median(quiet) * 1000
    yield f'request p99 at {RATE} changes/s, {how}, ms', statistics.median(busy) * 1000
    yield f'request p99, {how}, ratio', statistics.median(busy) / statistics.median(quiet)


@contextlib.contextmanager
def _apart(town: 'Town') -> Iterator[None]:
    """Give the agent one core, and all that carries requests another one."""
    before = os.sched_getaffinity(0)
    first, second, *_ = sorted(before)
    agent, others = town.agent.pid, (os.getpid(), town.worker(), town.endpoints.pid)
    _pin((agent,), {first})
    _pin(others, {second})
    try:
        yield
    finally:
        _pin((agent, *others), before)


def _pin(processes: Iterable[int], cores: set[int]) -> None:
    for process in processes:
        for task in Path(f'/proc/{process}/task').iterdir():
            os.sched_setaffinity(int(task.name), cores)


@contextlib.contextmanager
def _changing(folder: Path, first: int, cores: set[int]) -> Iterator[None]:
    """Change endpoints in a process of its own: a thread would hold up the client, whose interpreter it shares."""
    context = multiprocessing.get_context('spawn')
    began, ended = context.Event(), context.Event()
    process = context.Process(target=_change, args=(folder, first, cores, began, ended))
    process.start()
    began.wait()
    try:
        yield
    finally:
        ended.set()
        process.join()


def _change(folder: Path, first: int, cores: set[int], began: Event, ended: Event) -> None:
    os.sched_setaffinity(0, cores)
    began.set()
    for number in itertools.count(first):
        if ended.wait(1 / RATE):
            return
        probe.put(folder, 1 + number % (probe.COUNT - 1), probe.address(number))
