"""When the certificates end that are served, as a metric by Secret.

Promises: of very many, those are shown that end first, so the number of series is bounded.
"""

import datetime as dt
import heapq
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.core import GaugeMetricFamily, Metric

from headrace.objects.kinds import Secret
from headrace.resolve.state import State
from headrace.store import Store

_MOST = 1000
_NAME = 'headrace_certificate_not_after_timestamp_seconds'


@dataclass(slots=True, eq=False)
class Certificates:
    """The ends of certificates as they were read last."""

    # Exchanged as a whole, because a scrape is written in a thread.
    series: tuple[tuple[str, str, str], ...] = ()

    def read(self, state: State, store: Store) -> None:
        """Read when the certificates of the Secrets end that something needs."""
        secrets = (store.get(ref, Secret) for ref in state.dependencies.read_objects('Secret'))
        ends = (
            (secret.certificate.not_after, secret.namespace, secret.name)
            for secret in secrets
            if secret is not None and secret.certificate is not None
        )
        # All times are UTC and written alike, so their texts sort as they do.
        self.series = tuple(heapq.nsmallest(_MOST, ends))

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        gauge = GaugeMetricFamily(
            _NAME, f'When a certificate ends; the {_MOST} that end first.', labels=('namespace', 'secret')
        )
        for ends, namespace, name in self.series:
            gauge.add_metric((namespace, name), dt.datetime.fromisoformat(ends).timestamp())
        yield gauge
