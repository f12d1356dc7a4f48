"""All metrics of the agent, by name. Those of HAProxy's process and frontends are on HAProxy's own port."""

import time
from collections import Counter as Counts
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

import headrace
from headrace.agent.source import Source
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.reload_budget import Why
from headrace.nft.sync import TableSync

_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the figures come from, each asked at a scrape."""

    class_name: str
    applier: Applier
    source: Source
    batches: Callable[[], int]
    diagnostics: Callable[[], Counts[tuple[str, str]]]


class Metrics:
    """The agent's registry."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.applied = Histogram(
            'headrace_event_to_applied_seconds',
            "Time from a change in the source to HAProxy's answer.",
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._refused = Counter(
            'headrace_own_connections_refused',
            "Connections to the agent's own ports that were refused or ended, by option and why.",
            ('option', 'why'),
            registry=self.registry,
        )

    def refuse_connection(self, option: str, why: str) -> None:
        """Count a connection to one of the agent's own ports that was refused or ended."""
        self._refused.labels(option.removeprefix('--'), why).inc()


@dataclass(frozen=True, slots=True)
class AgentCollector:
    """Reads the agent's own figures, when asked."""

    sources: Sources

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        applier = self.sources.applier
        stats = applier.stats
        yield _gauge('headrace_info', 'The version that runs.', 1, version=headrace.__version__)
        yield _counter('headrace_events', 'Changes that the source has reported.', self.sources.source.events)
        yield _counter(
            'headrace_missed_changes',
            'Changes that a sweep found and no watch reported.',
            self.sources.source.missed_changes,
        )
        silence = GaugeMetricFamily(
            'headrace_watch_silence_seconds', 'Seconds since the last event of a watch.', labels=('path',)
        )
        for path, seconds in sorted(self.sources.source.silent().items()):
            silence.add_metric((path,), seconds)
        yield silence
        yield _counter('headrace_builds', 'Batches of changes that were built.', self.sources.batches())
        yield _counters('headrace_plans', 'Plans by what they needed.', 'kind', stats.plans)
        yield _counter('headrace_commands', 'Runtime commands that were sent.', stats.commands)
        yield _counters('headrace_commands_refused', 'Runtime commands that HAProxy refused.', 'command', stats.refused)
        reloads = CounterMetricFamily('headrace_reloads', 'Reloads by reason.', labels=('reason', 'result'))
        for (reason, result), value in sorted(stats.reloads.items()):
            reloads.add_metric((reason, result), value)
        yield reloads
        yield self._waiting()
        yield _counters('headrace_internal_errors', 'Unexpected exceptions, by stage.', 'stage', stats.internal_errors)
        yield _counter('headrace_checks', 'Candidates that HAProxy was asked about.', stats.checks)
        yield _counter('headrace_adoptions', 'Running workers that were adopted.', stats.adoptions)
        yield _counter('headrace_haproxy_starts', 'How often HAProxy was started.', stats.starts)
        yield _counter('headrace_drift', 'Comparisons that found HAProxy other than it should be.', stats.drift)
        yield _counter('headrace_old_workers_ended', 'Old workers that were ended to make room.', stats.ended_workers)
        yield _gauge('headrace_old_workers', 'Workers that finish their connections.', len(applier.old_workers))
        pending = len(applier.worker.removals.pending) if applier.worker else 0
        yield _gauge(
            'headrace_pending_removals', 'Servers, backends and files of TLS that wait for connections to end.', pending
        )
        yield _counter('headrace_repairs', 'Commands that set right what HAProxy had otherwise.', stats.repairs)
        age = time.monotonic() - applier.behind_since if applier.staging.stale else 0.0
        yield _gauge('headrace_files_behind_seconds', 'How far the files are behind HAProxy.', age)
        yield _gauge('headrace_worker_connected', 'Whether a worker answers.', float(applier.worker is not None))
        yield _gauge('headrace_problems', 'What stands in the way now.', len(stats.problems))
        labels = {'class': self.sources.class_name, 'release': stats.class_held_by}
        text = 'Whether another release holds the class, so that the controllers of this one write nothing.'
        yield _gauge('headrace_class_held', text, float(bool(stats.class_held_by)), **labels)
        yield from self._diagnostics()

    def _waiting(self) -> Metric:
        counts = Counts({str(why): 0 for why in Why})
        counts.update(item.why for item in self.sources.applier.stats.waiting)
        gauge = GaugeMetricFamily(
            'headrace_reloads_waiting', 'What waits for a reload, by why it waits.', labels=('why',)
        )
        for why, value in sorted(counts.items()):
            gauge.add_metric((why,), value)
        return gauge

    def _diagnostics(self) -> Iterator[Metric]:
        gauge = GaugeMetricFamily(
            'headrace_diagnostics', 'Diagnostics by level and reason.', labels=('level', 'reason')
        )
        for labels, value in sorted(self.sources.diagnostics().items()):
            gauge.add_metric(labels, value)
        yield gauge


@dataclass(frozen=True, slots=True)
class TableCollector:
    """Reads the figures of a node's table, when asked."""

    table_sync: TableSync

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics, as Prometheus' registry asks for them."""
        table_sync, table = self.table_sync, self.table_sync.table
        yield _counter('headrace_table_transactions', 'Transactions that nft was given.', table_sync.transactions)
        yield _counter(
            'headrace_table_repairs', 'Comparisons that found the table other than it should be.', table_sync.repairs
        )
        yield _gauge('headrace_table_good', 'Whether the kernel has the table as it should be.', float(table_sync.good))
        yield _gauge('headrace_table_elements', 'Elements of the table.', table.size if table else 0)
        yield _gauge('headrace_table_held', "Whether the table is this agent's to write.", float(table is not None))
        past = float(table is not None and table.facts.bypass)
        yield _gauge('headrace_table_bypass', 'Whether plain TCP goes past HAProxy.', past)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _counters(name: str, text: str, label: str, values: Counts[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for key, value in sorted(values.items()):
        family.add_metric((key,), value)
    return family


def _gauge(name: str, text: str, value: float, **labels: str) -> Metric:
    family = GaugeMetricFamily(name, text, labels=tuple(labels))
    family.add_metric(tuple(labels.values()), value)
    return family
