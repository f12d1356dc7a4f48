"""Traffic of each Service, from HAProxy's counters of backends.

Promises: a series is named by namespace, Service and port alone, so no change of shape breaks it; totals only grow, over
reloads and backends that come and go; workers that finish their connections are counted as long as they live. The cost
is bounded: backends are read without their servers, not too often, on a connection of its own, and taken apart in a
thread, so that no change waits for it.
"""

import asyncio
import contextlib
import csv
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from headrace.agent.pace import Pace
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.resolve.model_snapshot import ModelSnapshot

LABELS = ('namespace', 'service', 'port')
Key = tuple[str, str, str]
_SHORTEST_INTERVAL = 5.0
_SECONDS, _HURRIED_SECONDS = 10.0, 0.5
# Counter of ours: column of `show stat` (management guide, 9.1).
_TOTALS = {
    'headrace_service_sessions': ('stot', 'Sessions that were sent to the Service.'),
    'headrace_service_bytes_in': ('bin', 'Bytes from clients.'),
    'headrace_service_bytes_out': ('bout', 'Bytes to clients.'),
    'headrace_service_connection_errors': ('econ', 'Connections to endpoints that failed.'),
    'headrace_service_retries': ('wretr', 'Connections to endpoints that were tried again.'),
}
_GAUGES = {
    'headrace_service_current_sessions': ('scur', 'Sessions now.'),
    'headrace_service_queue': ('qcur', 'Requests that wait for an endpoint.'),
    'headrace_service_usable_endpoints': ('act', 'Endpoints that take traffic.'),
}
# Averages over the last 1,024 requests, in milliseconds there.
_TIMES = {
    'headrace_service_queue_seconds': ('qtime', 'Time in the queue.'),
    'headrace_service_connect_seconds': ('ctime', 'Time to connect.'),
    'headrace_service_response_seconds': ('rtime', 'Time until the response begins.'),
    'headrace_service_total_seconds': ('ttime', 'Time of a request or connection.'),
}
_CLASSES = ('1xx', '2xx', '3xx', '4xx', '5xx')
_RESPONSES = 'headrace_service_responses'
_GROWING = (*(column for column, _ in _TOTALS.values()), *(f'hrsp_{each}' for each in _CLASSES))
# What of a worker that only finishes its connections counts as well.
_CURRENT = ('scur', 'qcur')
_NOTHING = [0.0] * len(_GROWING)
_SHOWN = tuple(column for column, _ in {**_GAUGES, **_TIMES}.values())
# The columns of a row of `Traffic.page`, after namespace, Service and port.
COLUMNS = (*_GROWING, *_SHOWN)
# Of each Service port the values of some columns, in their order: a dictionary entry for each value would take five times the memory.
Series = dict[Key, list[float]]


@dataclass(slots=True, eq=False)
class Traffic:
    """Totals and last values by Service port."""

    enabled: bool
    clock: Callable[[], float] = time.monotonic
    totals: Series = field(default_factory=dict)
    # What is shown; exchanged as a whole, because a reader may be using it.
    series: tuple[Series, Series] = ({}, {})
    _last: dict[tuple[int, str], list[float]] = field(default_factory=dict)
    # Backends that workers had at the last reading: those of a former shape finish their connections.
    _names: dict[str, Key] = field(default_factory=dict)
    _read_at: float = float('-inf')
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def read(self, applier: Applier, *, force: bool = False) -> None:
        """Read the counters of all workers, unless they were read a moment ago; `force` reads them all the same."""
        async with self._turn:
            worker = applier.worker
            if not self.enabled or worker is None or (self.clock() - self._read_at < _SHORTEST_INTERVAL and not force):
                return
            self._read_at = self.clock()
            workers = (worker.facts.pid, *applier.old_workers)
            # A reload does not wait for an old worker that may have ended just now.
            patience = dict.fromkeys(applier.old_workers, _HURRIED_SECONDS) if force else {}
            texts: dict[int, str] = {}
            for pid in workers:
                with contextlib.suppress(RuntimeSocketError):
                    texts[pid] = await applier.instance.haproxy.master.tell(
                        pid, 'show stat -1 2 -1', patience.get(pid, _SECONDS)
                    )
            # What is about to be replaced, or stays until a reload, has clients still.
            owners = {**_owners(worker.snapshot), **_owners(applier.desired)}
            await asyncio.to_thread(self.take, texts, workers, owners)

    def take(self, texts: Mapping[int, str], workers: Sequence[int], owners: Mapping[str, Key]) -> None:
        """Take the answers of workers, by PID, to `show stat`; the first of `workers` serves, and one may not have answered."""
        gauges: Series = {}
        keys_by_name, names, places = {**self._names, **owners}, set[str](), set[tuple[int, str]]()
        for pid, text in texts.items():
            rows = csv.reader(text.lstrip('# \n').splitlines())
            header = {column: number for number, column in enumerate(next(rows, ()))}
            growing, gauged = ([header.get(column) for column in columns] for columns in (_GROWING, _SHOWN))
            for row in rows:
                name = row[0] if row else ''
                if key := keys_by_name.get(name):
                    names.add(name)
                    places.add((pid, name))
                    self._grow(key, _values(row, growing), (pid, name))
                    _gauge(key, _values(row, gauged), gauges, serves=pid == workers[0])
        # Of backends that a worker has no more, and which would begin anew, nothing is kept.
        self._last = {
            (pid, name): values
            for (pid, name), values in self._last.items()
            if (pid in workers and pid not in texts) or (pid, name) in places
        }
        current_keys = set(owners.values())
        self._names = {name: keys_by_name[name] for name in names if keys_by_name[name] in current_keys}
        self.totals = {key: values for key, values in self.totals.items() if key in current_keys}
        self.series = dict(self.totals), gauges

    async def page(self) -> bytes:
        """Return all series as JSON: a row for each port of a Service that has any, with the values of `columns`."""
        totals, gauges = self.series
        pace, parts = Pace(), list[msgspec.Raw]()
        no_gauges = [0.0] * len(_SHOWN)
        for key in totals.keys() | gauges.keys():
            values = (*totals.get(key, _NOTHING), *gauges.get(key, no_gauges))
            parts.append(msgspec.Raw(msgspec.json.encode([*key, *values])))
            await pace.rest()
        age = max(0.0, self.clock() - self._read_at) if parts else 0.0
        return msgspec.json.encode({'enabled': self.enabled, 'age': age, 'columns': COLUMNS, 'rows': parts})

    def _grow(self, key: Key, values: list[float], counters: tuple[int, str]) -> None:
        before = self._last.get(counters, _NOTHING)
        self._last[counters] = values
        # A backend that went and came again begins anew.
        self.totals[key] = [
            total + (value - earlier if value >= earlier else value)
            for total, value, earlier in zip(self.totals.get(key, _NOTHING), values, before, strict=True)
        ]

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        totals, gauges = self.series
        for number, (name, (_, text)) in enumerate(_TOTALS.items()):
            counter = CounterMetricFamily(name, text, labels=LABELS)
            for key, values in totals.items():
                counter.add_metric(key, values[number])
            yield counter
        responses = CounterMetricFamily(_RESPONSES, 'Responses by class of status.', labels=(*LABELS, 'class'))
        for number, each in enumerate(_CLASSES, len(_TOTALS)):
            for key, values in totals.items():
                responses.add_metric((*key, each), values[number])
        yield responses
        for number, (name, (_, text)) in enumerate({**_GAUGES, **_TIMES}.items()):
            gauge = GaugeMetricFamily(name, text, labels=LABELS)
            for key, values in gauges.items():
                gauge.add_metric(key, values[number])
            yield gauge


def _owners(snapshot: ModelSnapshot) -> dict[str, Key]:
    return {
        backend.name: (backend.service.namespace, backend.service.name, backend.port)
        for fragment in snapshot.fragments.values()
        for backend in fragment.backends
    }


def _values(row: list[str], places: list[int | None]) -> list[float]:
    return [float(row[place] or 0) if place is not None and place < len(row) else 0.0 for place in places]


def _gauge(key: Key, values: list[float], gauges: Series, *, serves: bool) -> None:
    """Note the values of a backend: of a worker that only finishes its connections those of `_CURRENT` alone."""
    mine = gauges.setdefault(key, [0.0] * len(_SHOWN))
    for number, (column, value) in enumerate(zip(_SHOWN, values, strict=True)):
        if number >= len(_GAUGES):
            mine[number] = max(mine[number], value / 1000) if serves else mine[number]
        elif serves or column in _CURRENT:
            mine[number] += value
