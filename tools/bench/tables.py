"""The tables of docs/performance.md, from the figures of a run. Pure.

The page has a pair of comments for each table, and what stands between them is made here; the prose around is written by hand.
"""

import re
from collections.abc import Callable, Iterator, Sequence

from tools.bench import targets
from tools.bench.report import Report

_MARKED = re.compile(r'(<!-- bench: ([\w-]+) -->\n)(.*?)(<!-- end of bench -->\n)', re.DOTALL)
Names = tuple[str, ...]
Rows = list[list[str]]
Maker = Callable[[Report], Iterator[str]]


class UnknownTableError(Exception):
    """A page asks for a table that is not made here."""


def filled(page: str, report: Report) -> str:
    """Return a page with each table that it asks for made anew."""

    def made(match: re.Match[str]) -> str:
        if match[2] not in TABLES:
            raise UnknownTableError(match[2])
        lines = ''.join(f'{line}\n' for line in TABLES[match[2]](report))
        return f'{match[1]}{lines}{match[4]}'

    return _MARKED.sub(made, page)


def _cell(report: Report, part: str, names: Sequence[str]) -> str:
    found = [report.figure(part, name) for name in names]
    return '; '.join(figure.text if figure else '–' for figure in found)


def _table(heads: Sequence[str], rows: Rows) -> Iterator[str]:
    if rows:
        yield f'| {" | ".join(heads)} |'
        yield f'|{" --- |" * len(heads)}'
        for row in rows:
            yield f'| {" | ".join(row)} |'
        yield ''


def _measured(report: Report, part: str) -> Iterator[str]:
    """Yield when and how a part was measured, and why figures are missing."""
    found = report.parts.get(part)
    if found is None:
        yield f'The part `{part}` was not measured.'
        return
    said = f'`{part}`: {found.began[:10]}, commit {found.commit}; others that ran or waited for a core before: {found.load:g}'
    yield f'*{said}{f"; {found.hole}" if found.hole else ""}.*'


def _by_size(part: str, columns: Sequence[tuple[str, Names]]) -> Maker:
    """Make a table with a row for each size of the cluster; names have {n} for it."""

    def make(report: Report) -> Iterator[str]:
        found = report.parts.get(part)
        sizes = sorted({figure.size for figure in found.figures} - {0}) if found else []
        rows = [
            [f'{n:,}', *(_cell(report, part, [name.format(n=n) for name in names]) for _, names in columns)]
            for n in sizes
        ]
        yield from _table(['N', *(head for head, _ in columns)], rows)
        yield from _measured(report, part)

    return make


def _by_kind(part: str, head: str, columns: Sequence[tuple[str, Names]]) -> Maker:
    """Make a table with a row for each kind of thing: all names that end as the first of the first column."""

    def make(report: Report) -> Iterator[str]:
        found, ending = report.parts.get(part), columns[0][1][0]
        names = [figure.name for figure in found.figures] if found else []
        kinds = [name.removesuffix(ending) for name in names if name.endswith(ending)]
        rows = [
            [kind, *(_cell(report, part, [f'{kind}{suffix}' for suffix in suffixes]) for _, suffixes in columns)]
            for kind in kinds
        ]
        yield from _table([head, *(title for title, _ in columns)], rows)
        yield from _measured(report, part)

    return make


def _chosen(part: str, rows: Sequence[tuple[str, Names]]) -> Maker:
    """Make a table of some figures of a part, with a row for those that belong together."""

    def make(report: Report) -> Iterator[str]:
        yield from _table(['what', 'figure'], [[what, _cell(report, part, names)] for what, names in rows])
        yield from _measured(report, part)

    return make


def _quantiles(name: str, *wanted: str) -> Names:
    return tuple(f'{name}, {quantile}' for quantile in wanted or ('p50', 'p90', 'p99'))


def _listed(part: str, pattern: str = '') -> Maker:
    """Make a table of all figures of a part, or those whose names match, with their units."""

    def make(report: Report) -> Iterator[str]:
        found = report.parts.get(part)
        figures = [each for each in found.figures if re.search(pattern, each.name)] if found else []
        rows = [[each.name.replace('|', '\\|'), each.text, each.unit] for each in figures]
        yield from _table(['figure', 'value', 'unit'], rows)
        yield from _measured(report, part)

    return make


def _targets(report: Report) -> Iterator[str]:
    yield from _table(['what', 'target', 'found', 'met'], [list(row) for row in targets.rows(report)])


def _machine(report: Report) -> Iterator[str]:
    yield from _table(['', ''], [[key, str(value)] for key, value in report.machine.items() if value])
    yield from _table(
        ['part', 'seconds', 'others that ran or waited for a core before', 'commit', 'missing'],
        [
            [name, f'{part.seconds:.0f}', f'{part.load:g}', part.commit, part.hole or '–']
            for name, part in report.parts.items()
        ],
    )


TABLES: dict[str, Maker] = {
    'targets': _targets,
    'machine': _machine,
    'live': _by_size('live', (
        ('cold start, s', ('{n}: cold start, s',)),
        ('agent, MB', ('{n}: agent RSS, MB',)),
        ('HAProxy, MB', ('{n}: HAProxy RSS, MB',)),
        ('to HAProxy: p50; p99', _quantiles('{n}: 50 changes/s: to HAProxy, ms', 'p50', 'p99')),
        ('to a request: p50; p90; p99', _quantiles('{n}: 50 changes/s: to the first request, ms')),
        ('new Service: p50; p99', _quantiles('{n}: a new Service to its first request, ms', 'p50', 'p99')),
        ('request p99: at rest; at 50 changes/s', ('{n}: request p99 at rest, agent on another core, ms', '{n}: request p99 at 50 changes/s, agent on another core, ms')),
        ('cores shared', ('{n}: request p99 at rest, cores shared, ms', '{n}: request p99 at 50 changes/s, cores shared, ms')),
        ('reloads', ('{n}: reloads, all',)),
    )),
    'cluster': _by_size('cluster', (
        ('cold start, s', ('{n}: cold start, s',)),
        ('agent, MB', ('{n}: RSS, MB',)),
        ("agent's CPU a change", ('{n}: agent CPU, ms an event',)),
        ('the write alone: p50; p99', _quantiles('{n}: API write alone, ms', 'p50', 'p99')),
        ('to a request: p50; p90; p99', _quantiles('{n}: API write to request, ms')),
        ("after the API server's restart, s", ('{n}: API server back to event, s',)),
    )),
    'arrivals': _by_kind('arrivals', 'N, and the new Ingress', (
        ('samples', (': samples',)),
        ('the writes: p50; p99', _quantiles(': write alone, ms', 'p50', 'p99')),
        ('to a request: p50; p90; p99', _quantiles(': write to request, ms')),
        ('after: p50; p90; p99', _quantiles(': after the write, ms')),
    )),
    'routes': _chosen('routes', (
        ('new routes with a filter, one after the other, which all stay', ('propagation: samples',)),
        ('from the API write to the first 200: p50; p90; p99', _quantiles('propagation: write to request, ms')),
        ("of that after the write's answer", _quantiles('propagation: after the write, ms')),
        ('answers other than 404 before the 200; reloads', ('propagation: errors', 'propagation: reloads')),
        ('new routes beside so many of 50 namespaces, of which 50 change a second', ('churn: samples', 'churn: routes present')),
        ('from the API write to the first 200: p50; p90; p99', _quantiles('churn: write to request, ms')),
        ("of that after the write's answer", _quantiles('churn: after the write, ms')),
        ('answers other than 404 before the 200; reloads', ('churn: errors', 'churn: reloads')),
        ("routes created at once until the Gateway's status counts them, s; of that until all were stored", ('attached: counted, s from the first write', 'attached: created, s')),
        ('the same routes deleted until it counts none, s; of that until all were deleted', ('attached: none counted, s from the first write', 'attached: deleted, s')),
        ('edits of a route under traffic (backend, filter, weights, timeout); requests; answers other than 200', ('edits: edits', 'edits: requests', 'edits: errors')),
        ('ListenerSets; routes of them; the last host after the last write, s', ('sets: sets', 'sets: routes', 'sets: served, s after the last write')),
        ('a further ListenerSet and route, two writes, to the first 200: p50; p90; p99', _quantiles('sets: a set and a route, write to request, ms')),
        ('one of four endpoints ends and comes back, so often; requests; errors', ('flapping: flaps of each', 'flapping: retries: requests', 'flapping: retries: errors')),
        ('the same with `headrace.io/retries: "0"`: requests; errors', ('flapping: no retries: requests', 'flapping: no retries: errors')),
    )),
    'route-kinds': _by_kind('route-kinds', 'route', (
        ('µs of CPU', (', µs of CPU',)), ('requests a CPU second', (', requests a CPU second',)),
    )),
    'requests': _by_kind('requests', 'kind, and the other configuration', (
        ('ratio', (': requests per CPU second, ratio',)),
        ('µs', (': rendered, µs of CPU',)),
        ('of the other one', (': hand-written, µs of CPU',)),
    )),
    'authentication': _by_kind('authentication', 'route', (('µs of CPU', (', µs of CPU',)),)),
    'node': _listed('node', r'^\d.*(?<!p90)(?<!max)$'),
    'ways': _by_kind('node', 'way', (
        ('ratio to direct', (': ratio to direct',)),
        ('requests/s', (': requests/s',)),
        ('p50; p99, µs', (': p50, µs', ': p99, µs')),
    )),
    'controller': _listed('controller'),
    'soak': _listed('soak'),
}  # fmt: skip
