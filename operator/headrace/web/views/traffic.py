"""Traffic of Services: rates between two readings of agents' counters, their recent history, and the page made of it.

The history is bounded: so many readings, each with the Services that had most requests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.web.views.answers import Answer, Object
from headrace.web.views.lists import ROWS, Pages, Wanted, columns, pages

KEPT, MOST = 120, 1000
Key = tuple[str, str, str]
# Columns of an agent's rows that count up, and those that tell the present.
_RESPONSES = ('hrsp_1xx', 'hrsp_2xx', 'hrsp_3xx', 'hrsp_4xx', 'hrsp_5xx')
ORDERS = ('service', 'requests', 'errors', 'latency', 'current', 'bytes')


@dataclass(frozen=True, slots=True)
class Rate:
    """What a Service's port has had in a second; `latency` is the average time until a response began, in seconds."""

    requests: float = 0.0
    errors: float = 0.0
    bytes: float = 0.0
    latency: float = 0.0

    def plus(self, other: 'Rate') -> 'Rate':
        """Return both together."""
        requests = self.requests + other.requests
        weighted = self.latency * self.requests + other.latency * other.requests
        latency = weighted / requests if requests else max(self.latency, other.latency)
        return Rate(requests, self.errors + other.errors, self.bytes + other.bytes, latency)


@dataclass(frozen=True, slots=True)
class Counters:
    """Counters of a Service's port as one agent has them, and what is now."""

    requests: float = 0.0
    errors: float = 0.0
    bytes: float = 0.0
    latency: float = 0.0
    current: float = 0.0
    usable: float = 0.0
    queue: float = 0.0


def counters(answer: Answer) -> dict[Key, Counters]:
    """Return the counters of an agent's answer by namespace, Service and port."""
    found: dict[Key, Counters] = {}
    names = answer.get('columns')
    place = {name: number + 3 for number, name in enumerate(names if isinstance(names, list) else ())}
    rows = answer.get('rows')
    for row in rows if isinstance(rows, list) else ():
        if not isinstance(row, list) or len(row) != len(place) + 3:
            continue

        def value(column: str, row: list[float] = row) -> float:
            return float(row[place[column]]) if column in place else 0.0

        responses = sum(map(value, _RESPONSES))
        found[str(row[0]), str(row[1]), str(row[2])] = Counters(
            # Of TCP there are only sessions.
            requests=responses or value('stot'),
            errors=value('hrsp_5xx') + value('econ'),
            bytes=value('bout'),
            latency=value('rtime') if responses else value('ttime'),
            current=value('scur'),
            usable=value('act'),
            queue=value('qcur'),
        )
    return found


def rate(before: Counters, after: Counters, seconds: float) -> Rate:
    """Return what was between two readings; counters that are smaller than before began anew."""

    def grown(old: float, new: float) -> float:
        return (new - old if new >= old else new) / seconds

    return Rate(
        grown(before.requests, after.requests),
        grown(before.errors, after.errors),
        grown(before.bytes, after.bytes),
        after.latency,
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """One reading: when (Unix time), the sum, and the Services with most requests."""

    at: float
    total: Rate
    rates: Mapping[Key, Rate]


@dataclass(slots=True)
class History:
    """The recent readings of all agents."""

    # Exchanged as a whole, because a page may be made of it meanwhile.
    samples: tuple[Sample, ...] = ()
    current: dict[Key, Counters] = field(default_factory=dict)
    _last: dict[str, tuple[float, dict[Key, Counters]]] = field(default_factory=dict)

    def take(self, at: float, answers: Mapping[str, Answer]) -> None:
        """Take the answers of agents, by name, at a Unix time."""
        rates: dict[Key, Rate] = {}
        total, current = Rate(), dict[Key, Counters]()
        known: dict[str, tuple[float, dict[Key, Counters]]] = {}
        for name, answer in answers.items():
            read = counters(answer)
            age = answer.get('age')
            when = at - (float(age) if isinstance(age, int | float) else 0.0)
            last_at, last = self._last.get(name, (0.0, {}))
            known[name] = when, read
            for key, value in read.items():
                current[key] = _sum(current[key], value) if key in current else value
            if not last or when - last_at < 0.5:  # noqa: PLR2004  seconds, of one reading answered twice
                known[name] = (last_at, last) if last else known[name]
                continue
            for key, value in read.items():
                found = rate(last.get(key, Counters()), value, when - last_at)
                if found.requests or found.errors or found.bytes:
                    rates[key] = rates[key].plus(found) if key in rates else found
                    total = total.plus(found)
        busiest = sorted(rates, key=lambda key: rates[key].requests, reverse=True)[:MOST]
        self.current, self._last = current, known
        self.samples = (*self.samples[1 - KEPT :], Sample(at, total, {key: rates[key] for key in busiest}))

    def of(self, key: Key) -> list[Rate]:
        """Return the rates of one Service's port, the oldest first."""
        return [sample.rates.get(key, Rate()) for sample in self.samples]


def _sum(one: Counters, other: Counters) -> Counters:
    return Counters(
        one.requests + other.requests,
        one.errors + other.errors,
        one.bytes + other.bytes,
        max(one.latency, other.latency),
        one.current + other.current,
        max(one.usable, other.usable),
        one.queue + other.queue,
    )


@dataclass(frozen=True, slots=True)
class Row:
    """Traffic of one port of a Service; `points` are those of its sparkline."""

    service: Object
    port: str
    rate: Rate
    now: Counters
    points: str


@dataclass(frozen=True, slots=True)
class Traffic:
    """A page of Services with their traffic, and the sum."""

    rows: tuple[Row, ...]
    pages: Pages
    total: Rate
    current: float
    since: float


def traffic(history: History, asked: Wanted) -> Traffic:
    """Return the page of the last readings."""
    words = asked.search.lower().split()
    newest = history.samples[-1] if history.samples else Sample(0.0, Rate(), {})
    keys = [key for key in history.current if all(word in f'{key[0]}/{key[1]} {key[2]}'.lower() for word in words)]
    sort = asked.sort or '-requests'
    keys.sort()
    keys.sort(key=lambda key: _order(key, sort.removeprefix('-'), history, newest), reverse=sort.startswith('-'))
    rows = tuple(
        Row(
            Object(key[0], key[1], 'Service'),
            key[2],
            newest.rates.get(key, Rate()),
            history.current[key],
            sparkline([rate.requests for rate in history.of(key)]),
        )
        for key in keys[asked.offset : asked.offset + ROWS]
    )
    titles = (
        ('Service', 'service'),
        ('#Requests/s', 'requests'),
        ('#Errors/s', 'errors'),
        ('#Response time', 'latency'),
        ('#Out/s', 'bytes'),
        ('#Open now', 'current'),
        ('#Endpoints', ''),
        ('Requests', ''),
    )
    answer = {'matching': len(keys), 'total': len(history.current)}
    place = pages(asked, answer, len(rows), columns(asked, *titles, usual='-requests'))
    since = newest.at - history.samples[0].at if history.samples else 0.0
    return Traffic(rows, place, newest.total, sum(each.current for each in history.current.values()), since)


def _order(key: Key, sort: str, history: History, newest: Sample) -> tuple[float | str, ...]:
    if sort == 'service':
        return key
    found, now = newest.rates.get(key, Rate()), history.current[key]
    # Of equal rates those come first that had most so far.
    values = {
        'requests': found.requests,
        'errors': found.errors,
        'latency': now.latency,
        'current': now.current,
        'bytes': found.bytes,
    }
    return values[sort], now.requests


WIDTH, HEIGHT = 100, 20


def sparkline(values: Iterable[float]) -> str:
    """Return the points of a line through values, for an SVG of WIDTH by HEIGHT."""
    numbers = list(values)
    highest = max(numbers, default=0.0)
    if len(numbers) < 2 or not highest:  # noqa: PLR2004  a line has two ends
        return ''
    step = WIDTH / (len(numbers) - 1)
    return ' '.join(
        f'{place * step:.1f},{HEIGHT - 1 - value / highest * (HEIGHT - 2):.1f}' for place, value in enumerate(numbers)
    )


def series(history: History, key: Key | None) -> dict[str, list[float]]:
    """Return times and values of the sum, or of one Service's port, for a plot."""
    rates = [sample.total for sample in history.samples] if key is None else history.of(key)
    return {
        'at': [round(sample.at, 1) for sample in history.samples],
        'requests': [round(rate.requests, 3) for rate in rates],
        'errors': [round(rate.errors, 3) for rate in rates],
        'latency': [round(rate.latency * 1000, 3) for rate in rates],
    }
