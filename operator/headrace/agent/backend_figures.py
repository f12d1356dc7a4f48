"""Backends with their servers: addresses, state, share of requests and counters, as the worker that serves tells them."""

import csv
import re
from collections.abc import Iterable, Mapping

import msgspec

from headrace import names
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.sockets import RuntimeSocketError

MOST_BACKENDS, _MOST_SERVERS = 20, 500
# What backends of ours are called; a name becomes part of a command.
_NAME = re.compile(r'[A-Za-z0-9_.:-]{1,300}')
_NUMBERS = {
    'sessions': 'stot',
    'current': 'scur',
    'queue': 'qcur',
    'bytesIn': 'bin',
    'bytesOut': 'bout',
    'connectionErrors': 'econ',
    'responseErrors': 'eresp',
    'retries': 'wretr',
    '2xx': 'hrsp_2xx',
    '3xx': 'hrsp_3xx',
    '4xx': 'hrsp_4xx',
    '5xx': 'hrsp_5xx',
}
# Milliseconds there: averages of the last 1,024 requests, and the longest.
_TIMES = {'queueSeconds': 'qtime', 'connectSeconds': 'ctime', 'responseSeconds': 'rtime', 'totalSeconds': 'ttime'}
_LONGEST = {'longestResponseSeconds': 'rtime_max', 'longestTotalSeconds': 'ttime_max'}


def allowed(backend: str) -> bool:
    """Tell whether a text can be the name of a backend of a Service."""
    return _NAME.fullmatch(backend) is not None and backend.count('_') >= 2  # noqa: PLR2004


async def read(applier: Applier, backends: Iterable[str]) -> bytes:
    """Return backends by name, each with what its worker says of it and of its servers."""
    found: dict[str, object] = {}
    worker = applier.worker
    for backend in backends:
        rows: list[dict[str, str]] = []
        if worker is not None:
            try:
                text = await applier.instance.haproxy.master.tell(worker.facts.pid, f'show stat {backend} 6 -1')
                rows = [row for row in csv.DictReader(text.lstrip('# \n').splitlines()) if row.get('pxname') == backend]
            except RuntimeSocketError:
                rows = []
        found[backend] = _backend(backend, rows)
    return msgspec.json.encode(found)


def _backend(name: str, rows: list[dict[str, str]]) -> dict[str, object]:
    service, port = names.owner(name)
    whole = next((row for row in rows if row.get('svname') == 'BACKEND'), None)
    servers = [row for row in rows if row.get('svname') != 'BACKEND']
    total = sum(_weight(row) for row in servers) or 1.0
    return {
        'service': {'namespace': service.namespace, 'name': service.name},
        'port': port,
        'present': whole is not None,
        'figures': _figures(whole) if whole is not None else {},
        'servers': [
            {
                'name': row['svname'],
                'address': row.get('addr', ''),
                'state': row.get('status', ''),
                'check': row.get('check_status', ''),
                'weight': int(row.get('weight') or 0),
                'share': round(_weight(row) / total, 4),
                'figures': _figures(row),
            }
            for row in servers[:_MOST_SERVERS]
        ],
        'moreServers': max(0, len(servers) - _MOST_SERVERS),
    }


def _weight(row: Mapping[str, str]) -> float:
    """Return what a server weighs in the balance: nothing where it takes no new connection."""
    usable = row.get('status', '').startswith(('UP', 'no check'))
    return float(row.get('weight') or 0) if usable else 0.0


def _figures(row: Mapping[str, str]) -> dict[str, float]:
    figures = {name: float(row.get(column) or 0) for name, column in _NUMBERS.items()}
    return figures | {name: float(row.get(column) or 0) / 1000 for name, column in {**_TIMES, **_LONGEST}.items()}
