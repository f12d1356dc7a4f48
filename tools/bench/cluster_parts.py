"""The parts that need an API server: each starts a control plane of its own, in a network namespace of its own."""

import argparse
import asyncio
import os
import sys
from pathlib import Path

from tools.bench.figures import Figures, Hole, prefixed
from tools.bench.parts import Chosen

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / 'tests')]

_RATE = 50.0
# Ingresses that are there before others come, and for how long they come.
_FEW, _ARRIVAL_SECONDS = 1000, 60.0


def _separate(*needed: str) -> None:
    """Move this process into a network namespace of its own, or raise Hole; `needed` is in bin/."""
    from support import network  # noqa: PLC0415  what the tests are made of is needed here alone

    if os.geteuid():
        raise Hole('a network namespace of its own needs root')
    missing = [name for name in needed if not (ROOT / 'bin' / name).exists()]
    if missing:
        raise Hole(f'bin/ has no {", ".join(missing)}')
    try:
        network.isolate()
    except OSError as error:
        raise Hole(f'no network namespace can be made ({error})') from error


def cluster(chosen: Chosen) -> Figures:
    """Measure changes from the API write to the first request, beside clusters of the two largest sizes."""
    _separate('kube-apiserver')
    from tools.bench import cluster as one  # noqa: PLC0415  after the check: it starts real programs

    for count in chosen.sizes[-2:]:
        yield from prefixed(str(count), one.measure(count, chosen.samples, _RATE).items())


def arrivals(chosen: Chosen) -> Figures:
    """Measure new Ingresses from the API write to the first request."""
    _separate('kube-apiserver')
    from tools.bench import arrivals as one  # noqa: PLC0415  as above

    for count in sorted({min(_FEW, chosen.largest), chosen.largest}):
        yield from prefixed(str(count), one.measure(count, chosen.samples, _ARRIVAL_SECONDS).items())


def routes(chosen: Chosen) -> Figures:
    """Measure routes of the Gateway API: attached, one by one, beside changes, under traffic, and of many ListenerSets."""
    _separate('kube-apiserver', 'conformance')
    from tools.bench import routes as each  # noqa: PLC0415  as above

    given = argparse.Namespace(
        routes=min(1000, chosen.largest),
        samples=min(3000, chosen.samples * 3 // 2),
        present=min(5000, chosen.largest // 2),
        edits=min(20, chosen.samples),
        sets=min(500, chosen.largest // 20),
        flaps=min(25, chosen.samples // 10),
    )
    for name in each.PARTS:
        yield from prefixed(name, asyncio.run(each.measure(name, given)).items())
