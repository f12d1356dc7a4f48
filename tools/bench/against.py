"""Compares a run with an earlier one: each figure's ratio to the earlier one, and which are worse than a margin allows."""

from collections.abc import Iterator
from dataclasses import dataclass

from tools.bench.figures import Better, Figure
from tools.bench.report import Report

# Tails depend more on what else a machine does: they have a margin so many times as wide.
TAIL = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """A figure of two runs. `verdict` is worse, better, or '' for a difference within the margin."""

    part: str
    earlier: Figure
    now: Figure
    ratio: float
    verdict: str


def rows(earlier: Report, now: Report, margin: float) -> Iterator[Row]:
    """Yield each figure that both runs have and that can be better or worse."""
    for name, part in now.parts.items():
        for figure in part.figures:
            before = earlier.figure(name, figure.name)
            if before is not None and figure.better is not Better.NEITHER:
                ratio = _ratio(before.value, figure.value)
                yield Row(name, before, figure, ratio, _verdict(figure, ratio, margin))


def _ratio(before: float, after: float) -> float:
    if before == after:
        return 1.0
    return after / before if before else float('inf')


def _verdict(figure: Figure, ratio: float, margin: float) -> str:
    allowed = 1 + margin * (TAIL if figure.tail else 1)
    up, down = ratio > allowed, ratio < 1 / allowed
    if figure.better is Better.HIGHER:
        up, down = down, up
    return 'worse' if up else 'better' if down else ''


def missing(earlier: Report, now: Report) -> Iterator[str]:
    """Yield what the earlier run has and this one has not, where the part was measured at all."""
    for name, part in now.parts.items():
        found = {figure.name for figure in part.figures}
        before = earlier.parts.get(name)
        lost = [figure.name for figure in before.figures if figure.name not in found] if before else []
        if lost:
            yield f'{name}: {len(lost)} figures of the earlier run are missing{f" ({part.hole})" if part.hole else ""}'


def lines(earlier: Report, now: Report, margin: float) -> Iterator[str]:
    """Yield the comparison as it is printed."""
    if earlier.machine != now.machine:
        other = [key for key in now.machine if now.machine[key] != earlier.machine.get(key)]
        yield f'the runs differ in {", ".join(other)}'
    for name, part in now.parts.items():
        before = earlier.parts.get(name)
        if before and before.asked != part.asked:
            yield f'{name}: {before.asked} was asked for, and now {part.asked}'
    yield f'{"part":14} {"figure":70} {"earlier":>10} {"now":>10} {"ratio":>7}'
    found = list(rows(earlier, now, margin))
    for row in found:
        shown = f'{row.earlier.text:>10} {row.now.text:>10} {row.ratio:7.2f}'
        yield f'{row.part:14} {row.now.name:70} {shown} {row.verdict}'.rstrip()
    worse = sum(row.verdict == 'worse' for row in found)
    yield f'{worse} of {len(found)} figures are worse by more than {margin:.0%} (tails: {margin * TAIL:.0%})'
    yield from missing(earlier, now)
