"""Traffic of each Service, from HAProxy's counters of backends.

Promises: a series is named by namespace, Service and port alone, so no change of shape breaks it; totals only grow, over
reloads and backends that come and go; the cost is bounded by reading backends without their servers, and not too often.
"""

import asyncio
import csv
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from headrace.haproxy.runtime import RuntimeSocketError
from headrace.haproxy.worker import Worker
from headrace.model.picture import Picture

LABELS = ('namespace', 'service', 'port')
Key = tuple[str, str, str]
_SHORTEST_INTERVAL = 5.0
_ROWS_AT_ONCE = 200
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


@dataclass(slots=True, eq=False)
class Traffic:
    """Totals and last values by Service port. `picture` tells which backend is whose."""

    enabled: bool
    clock: Callable[[], float] = time.monotonic
    totals: dict[tuple[Key, str], float] = field(default_factory=dict)
    gauges: dict[tuple[Key, str], float] = field(default_factory=dict)
    _last: dict[tuple[int, str, str], float] = field(default_factory=dict)
    _read_at: float = float('-inf')

    async def read(self, worker: Worker | None, picture: Picture) -> None:
        """Read the counters, unless they were read a moment ago."""
        if not self.enabled or worker is None or self.clock() - self._read_at < _SHORTEST_INTERVAL:
            return
        self._read_at = self.clock()
        try:
            text = await worker.connection.tell('show stat -1 2 -1')
        except RuntimeSocketError:
            return
        owners = {
            backend.name: (backend.service.namespace, backend.service.name, backend.port)
            for fragment in picture.fragments.values()
            for backend in fragment.backends
        }
        await self._take(text, worker.facts.pid, owners)

    async def _take(self, text: str, pid: int, owners: Mapping[str, Key]) -> None:
        self.gauges.clear()
        seen: dict[tuple[int, str, str], float] = {}
        for number, row in enumerate(csv.DictReader(text.lstrip('# ').splitlines())):
            if key := owners.get(row['pxname']):
                self._row(key, row, pid, seen)
            if number % _ROWS_AT_ONCE == 0:
                await asyncio.sleep(0)
        self._last = seen
        kept = set(owners.values())
        for held in [held for held in self.totals if held[0] not in kept]:
            del self.totals[held]

    def _row(self, key: Key, row: Mapping[str, str], pid: int, seen: dict[tuple[int, str, str], float]) -> None:
        columns = [*(column for column, _ in _TOTALS.values()), *(f'hrsp_{each}' for each in _CLASSES)]
        for column in columns:
            value = float(row.get(column) or 0)
            place = (pid, row['pxname'], column)
            before = self._last.get(place, 0.0)
            seen[place] = value
            grown = value - before if value >= before else value
            self.totals[key, column] = self.totals.get((key, column), 0.0) + grown
        for column, _ in _GAUGES.values():
            self.gauges[key, column] = self.gauges.get((key, column), 0.0) + float(row.get(column) or 0)
        for column, _ in _TIMES.values():
            self.gauges[key, column] = max(self.gauges.get((key, column), 0.0), float(row.get(column) or 0) / 1000)

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        for name, (column, text) in _TOTALS.items():
            counter = CounterMetricFamily(name, text, labels=LABELS)
            for (key, held), value in self.totals.items():
                if held == column:
                    counter.add_metric(key, value)
            yield counter
        responses = CounterMetricFamily(_RESPONSES, 'Responses by class of status.', labels=(*LABELS, 'class'))
        for (key, held), value in self.totals.items():
            if held.startswith('hrsp_'):
                responses.add_metric((*key, held.removeprefix('hrsp_')), value)
        yield responses
        for name, (column, text) in {**_GAUGES, **_TIMES}.items():
            gauge = GaugeMetricFamily(name, text, labels=LABELS)
            for (key, held), value in self.gauges.items():
                if held == column:
                    gauge.add_metric(key, value)
            yield gauge
