"""The plot of docs/performance.md: latency, memory and cold start against the size of the cluster, from a run's figures.

Pure: it places what tools/templates/performance.svg.j2 draws. Latency has a logarithmic axis.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.bench.figures import shown
from tools.bench.report import Report

WIDTH, HEIGHT, GAP = 230, 190, 62
_ROUND = (1, 2, 5, 10)
Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Series:
    """A line: what it shows, where its figures are, and whether it is dashed. `name` has {n} for the size."""

    label: str
    part: str
    name: str
    colour: int
    dashed: bool = False

    def points(self, report: Report) -> list[Point]:
        """Return its figures by size, as far as they were found."""
        part = report.parts.get(self.part)
        sizes = sorted({figure.size for figure in part.figures} - {0}) if part else []
        found = ((size, report.figure(self.part, self.name.format(n=size))) for size in sizes)
        return [(size, figure.value) for size, figure in found if figure is not None]


PANELS: tuple[tuple[str, bool, tuple[Series, ...]], ...] = (
    (
        'From a change to the first request, ms',
        True,
        (
            Series('folder, p50', 'live', '{n}: 50 changes/s: to the first request, ms, p50', 0),
            Series('folder, p99', 'live', '{n}: 50 changes/s: to the first request, ms, p99', 0, dashed=True),
            Series('cluster, p50', 'cluster', '{n}: API write to request, ms, p50', 1),
            Series('cluster, p99', 'cluster', '{n}: API write to request, ms, p99', 1, dashed=True),
        ),
    ),
    (
        'Memory, MB',
        False,
        (
            Series('agent', 'live', '{n}: agent RSS, MB', 0),
            Series('HAProxy', 'live', '{n}: HAProxy RSS, MB', 1),
        ),
    ),
    (
        'Cold start, s',
        False,
        (
            Series('folder', 'live', '{n}: cold start, s', 0),
            Series('cluster', 'cluster', '{n}: cold start, s', 1),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Axis:
    """A scale from values to places of a panel; `ticks` are places and their texts."""

    low: float
    high: float
    length: float
    logarithmic: bool
    ticks: tuple[tuple[float, str], ...] = ()

    def place(self, value: float) -> float:
        """Return where a value is, from the low end."""
        low, high, value = ((math.log10(each) if self.logarithmic else each) for each in (self.low, self.high, value))
        return round((value - low) / (high - low) * self.length, 1)


def logarithmic(values: Sequence[float], length: float) -> Axis:
    """Return an axis of whole decades."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values) * 1.01))
    axis = Axis(10**low, 10**high, length, logarithmic=True)
    return replace(axis, ticks=tuple((axis.place(10**power), shown(10**power)) for power in range(low, high + 1)))


def linear(values: Sequence[float], length: float, steps: int) -> Axis:
    """Return an axis from zero, with at most so many steps at round numbers."""
    most = max(values) or 1.0
    power = 10.0 ** math.floor(math.log10(most / steps))
    step = next(each * power for each in _ROUND if each * power * steps >= most)
    count = math.ceil(most / step)
    axis = Axis(0, count * step, length, logarithmic=False)
    return replace(axis, ticks=tuple((axis.place(each * step), shown(each * step)) for each in range(count + 1)))


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it is drawn: places from the left and from the top, and where its label is."""

    label: str
    colour: int
    dashed: bool
    places: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Panel:
    """One of the plots, by its left edge."""

    title: str
    left: float
    across: Axis
    up: Axis
    lines: tuple[Line, ...]


def panels(report: Report) -> tuple[Panel, ...]:
    """Return the plots of which there are figures."""
    made = list[Panel]()
    for title, by_decades, wanted in PANELS:
        found = [(series, points) for series in wanted if (points := series.points(report))]
        if not found:
            continue
        sizes = [size for _, points in found for size, _ in points]
        values = [value for _, points in found for _, value in points]
        across = linear(sizes, WIDTH, 2)
        up = logarithmic(values, HEIGHT) if by_decades else linear(values, HEIGHT, 5)
        lines = tuple(
            Line(series.label, series.colour, series.dashed, tuple((across.place(x), HEIGHT - up.place(y)) for x, y in points))
            for series, points in found
        )  # fmt: skip
        made.append(Panel(title, GAP + len(made) * (WIDTH + GAP), across, up, lines))
    return tuple(made)
