"""What the bench has found: figures with a unit and a direction, and holes where nothing could be measured.

A part yields names and numbers. A name says what was measured and then the unit, perhaps with a quantile behind it:
`5000: cold start, s`, `to HAProxy, ms, p99`. It begins with the size of the cluster where there are several. Unit and
direction follow from the name, so that a part says in one place what it measures.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

Figures = Iterator[tuple[str, float]]


class Hole(Exception):  # noqa: N818  it is a result, and no error
    """A part, or what is left of one, cannot be measured here; the message says why."""


class Better(StrEnum):
    """Which direction of a figure is an improvement; one with neither describes what was measured."""

    LOWER = 'lower'
    HIGHER = 'higher'
    NEITHER = ''


# The first pattern that is found in a name decides. What no pattern knows is a count that is neither good nor bad.
_RULES: tuple[tuple[str, str, Better], ...] = (
    (r'per CPU second, ratio|ratio to \w+$', 'ratio', Better.HIGHER),
    (r'\bratio$', 'ratio', Better.LOWER),
    (r'requests/s$|requests a CPU second', 'requests/s', Better.HIGHER),
    (r'\w a second$', '1/s', Better.HIGHER),
    (r', percent of a core$', '% of a core', Better.LOWER),
    (r', MB a (thousand|million)\b', r'MB per \1', Better.LOWER),
    (r'\bmegabytes$', 'MB', Better.LOWER),
    (r', (µs|ms|s|MB|bytes)\b', r'\1', Better.LOWER),
    (r'\b(reloads|refused|errors|lost|left over|more than at first|failed)$', '', Better.LOWER),
    (r'\breloads(, all$| by )|\banswers? (other than\b|\d+$)|\btransactions of that start$', '', Better.LOWER),
)
_SIZE = re.compile(r'(\d+)(: |, | Services: )')
_TAIL = re.compile(r'p9\d|max$|longest')
_DIGITS = 1000


@dataclass(frozen=True, slots=True)
class Figure:
    """One number that a part has found."""

    name: str
    value: float
    unit: str = ''
    better: Better = Better.NEITHER

    @property
    def size(self) -> int:
        """Return the size of the cluster that the name begins with, 0 for none."""
        found = _SIZE.match(self.name)
        return int(found[1]) if found else 0

    @property
    def tail(self) -> bool:
        """Tell whether it is a high quantile: on a machine with other work mostly the machine's."""
        return bool(_TAIL.search(self.name))

    @property
    def text(self) -> str:
        """Return the value as it is read."""
        return shown(self.value)


def shown(value: float) -> str:
    """Return a number with as many digits as say something."""
    if value == int(value):
        return f'{int(value):,}'
    return f'{value:,.0f}' if abs(value) >= _DIGITS else f'{value:.3g}'


def read(name: str, value: float) -> Figure:
    """Return the figure that a part has yielded."""
    # More digits are no measurement.
    rounded = value if isinstance(value, int) else float(f'{value:.6g}')
    for pattern, unit, better in _RULES:
        if found := re.search(pattern, name):
            return Figure(name, rounded, found.expand(unit), better)
    return Figure(name, rounded)


def prefixed(prefix: str, found: Iterable[tuple[str, float]]) -> Figures:
    """Yield figures with something before each name, as the size of the cluster is."""
    for name, value in found:
        yield f'{prefix}: {name}', value
