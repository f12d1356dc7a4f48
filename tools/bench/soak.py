"""What stays behind: many reloads in a row beside idle clients, and many changes of endpoints, through a running agent.

Reloads are those of the settings' file, which may end old workers: half of the clients are plain TCP, and would hold a worker until
the end. Changes replace, add, remove and unready endpoints of Services beside the varied cluster, many in a file; the next file
is written when HAProxy has what the former one says. An endpoint that comes, goes, or changes is one change.
"""

import contextlib
import random
import re
import socket
import time

from tools.bench import growth, idle, varied
from tools.bench.figures import Figures, prefixed
from tools.bench.growth import Growth
from tools.bench.parts import Chosen
from tools.bench.town import Town, until

CLIENTS, _RENEWED = 500, 50
_MOST_OLD = 4
_TCP_PORT = 19999
_SETTINGS = {
    'maxOldWorkers': _MOST_OLD, 'oldWorkerTimeout': '100ms', 'reloadInterval': '100ms', 'hardStopAfter': '10m',
    'drainTimeout': '1s', 'compareInterval': '20s', 'maxconn': 2000,
}  # fmt: skip
_FILES, _PER_FILE, _ENDPOINTS = 5, 20, 10
_FEWEST_READY = 2
# The first addresses of endpoints, of which every change takes a new one.
_SECOND = 210
_PER_SECOND, _SECONDS = 65_536, 40
_SAMPLES = 60
# Of the seconds that the part has.
_RELOADS_SHARE, _CHANGES_SHARE = 0.4, 0.4
Endpoints = dict[str, bool]


def measure(chosen: Chosen) -> Figures:
    """Yield the figures of reloads, and then those of changes, of one agent each."""
    services = min(chosen.largest, 1000)
    with Town(chosen.haproxy, services, **_SETTINGS, tcpPorts=f'{_TCP_PORT},{varied.tcp_ports(services)}') as town:
        yield from prefixed('reloads', _Reloads(town, chosen).measure())
    with Town(chosen.haproxy, services, **_SETTINGS) as town:
        yield from prefixed('changes', _Changes(town, chosen).measure())


def _listens(*where: object) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(where, 1) as connection:  # type: ignore[arg-type]
        connection.sendall(b'GET / HTTP/1.1\r\nHost: any\r\n\r\n')
        return connection.recv(100).startswith(b'HTTP/1.1 200 ')
    return False


def _metric(town: Town, name: str) -> float:
    found = re.findall(rf'^{name}(?:\{{.*\}})? (\S+)$', town.get('/metrics').decode(), re.MULTILINE)
    return sum(map(float, found))


def _refused(town: Town) -> Figures:
    yield 'commands', _metric(town, 'headrace_commands_total')
    yield 'commands refused', _metric(town, 'headrace_commands_refused_total')
    yield 'comparisons that found drift, errors', _metric(town, 'headrace_drift_total')
    yield 'internal errors', _metric(town, 'headrace_internal_errors_total')


class _Reloads:
    """Reloads in a row, each begun when the former one has ended."""

    def __init__(self, town: Town, chosen: Chosen) -> None:
        self.town, self.wanted = town, chosen.reloads
        self.seconds = chosen.seconds * _RELOADS_SHARE
        self.agent, self.master = Growth('agent'), Growth("HAProxy's master")
        self.most, self.done, self.pid = 0, 0, 0

    def measure(self) -> Figures:
        town = self.town
        town.put(0, town.fresh())
        wanted = town.fresh()
        town.put(1, wanted, mode='tcp', port=str(_TCP_PORT))
        until(lambda: _listens(town.address, _TCP_PORT), 'the port of plain TCP is served')
        until(lambda: town.answer(0) != '404', 'the host of HTTP is served')
        with idle.Idle(CLIENTS, (town.address, town.http), 'p0.example.com', (town.address, _TCP_PORT)) as clients:
            yield 'idle clients', clients.open
            began = time.monotonic()
            self._reload(clients, began + self.seconds)
            yield 'reloads done', self.done
            yield 'a reload, s', (time.monotonic() - began) / max(self.done, 1)
            yield 'idle clients that were closed', clients.closed
            yield 'idle clients that were not served, errors', clients.errors
            yield 'idle clients at last', clients.open
        yield 'workers at most', self.most
        yield 'old workers allowed', _MOST_OLD
        # The clients have gone, so that nothing holds an old worker.
        yield 'workers left over', growth.settled(lambda: len(list(growth.workers(town.agent.pid))) - 1)
        yield from self.agent.figures(town.agent.pid, 'a thousand reloads', 1000)
        yield from self.master.figures(self.pid, 'a thousand reloads', 1000)
        yield 'reloads that failed, errors', sum(value for key, value in town.reloads().items() if 'failed' in key)
        yield from _refused(town)

    def _reload(self, clients: idle.Idle, deadline: float) -> None:
        (self.pid,) = growth.children(self.town.agent.pid)
        before = sum(self.town.reloads().values())
        while self.done < self.wanted and time.monotonic() < deadline:
            # So that each worker holds some of them.
            clients.renew(_RENEWED)
            # What only a reload changes.
            self.town.settle(maxconn=2001 + self.done)
            until(lambda: sum(self.town.reloads().values()) > before + self.done, 'HAProxy is reloaded', step=0.05)
            self.done += 1
            self.most = max(self.most, len(list(growth.workers(self.town.agent.pid))))
            self.agent.take(self.town.agent.pid, self.done)
            self.master.take(self.pid, self.done)


class _Changes:
    """Changes of endpoints, a file of Services at a time."""

    def __init__(self, town: Town, chosen: Chosen) -> None:
        self.town, self.wanted = town, chosen.changes
        self.seconds = chosen.seconds * _CHANGES_SHARE
        self.dice, self.addresses, self.done = random.Random(5), 0, 0
        count = _FILES * _PER_FILE
        self.services: list[Endpoints] = [dict.fromkeys(self._fresh(_ENDPOINTS), True) for _ in range(count)]
        self.agent, self.worker = Growth('agent'), Growth("HAProxy's worker")

    def _fresh(self, count: int) -> list[str]:
        first, self.addresses = self.addresses, self.addresses + count
        numbers = [each % (_PER_SECOND * _SECONDS) for each in range(first, first + count)]
        return [f'127.{_SECOND + (each >> 16)}.{each >> 8 & 255}.{each & 255}' for each in numbers]

    def measure(self) -> Figures:
        for file in range(_FILES):
            self._write(file)
        names = [self._backend(number) for number in range(len(self.services))]
        for file in range(_FILES):
            self._applied(file, names)
        self.agent.take(self.town.agent.pid, 0)
        self.worker.take(self.town.worker(), 0)
        began = time.monotonic()
        self._change(names, began + self.seconds)
        took = time.monotonic() - began
        yield 'changes done', self.done
        yield 'changes applied a second', self.done / took
        yield 'removals that wait, left over', growth.settled(lambda: _metric(self.town, 'headrace_pending_removals'))
        yield from self.agent.figures(self.town.agent.pid, 'a million changes', 1e6)
        yield from self.worker.figures(self.town.worker(), 'a million changes', 1e6)
        yield 'servers, left over', sum(len(self._has(name) - self._ready(at)) for at, name in enumerate(names))
        yield 'servers, lost', sum(len(self._ready(at) - self._has(name)) for at, name in enumerate(names))
        yield 'reloads', sum(self.town.reloads().values())
        yield from _refused(self.town)

    def _change(self, names: list[str], deadline: float) -> None:
        file, sampled = 0, 0
        while self.done < self.wanted and time.monotonic() < deadline:
            for number in range(file * _PER_FILE, (file + 1) * _PER_FILE):
                self._draw(number)
            self._write(file)
            self._applied(file, names)
            file = (file + 1) % _FILES
            share = (time.monotonic() - deadline + self.seconds) / self.seconds
            if max(share, self.done / self.wanted) * _SAMPLES > sampled:
                sampled += 1
                self.agent.take(self.town.agent.pid, self.done)
                self.worker.take(self.town.worker(), self.done)

    def _draw(self, number: int) -> None:
        """Change some endpoints of a Service: others, more, fewer, or ones that are ready or not."""
        endpoints, kind = self.services[number], self.dice.choice(('replace', 'replace', 'more', 'fewer', 'ready'))
        chosen = self.dice.sample(sorted(endpoints), min(len(endpoints), self.dice.randrange(1, _ENDPOINTS)))
        if kind in ('replace', 'fewer'):
            for address in chosen if len(endpoints) - len(chosen) >= _FEWEST_READY else chosen[:1]:
                del endpoints[address]
                self.done += 1
        if kind in ('replace', 'more') and len(endpoints) < 2 * _ENDPOINTS:
            endpoints.update(dict.fromkeys(self._fresh(len(chosen)), True))
            self.done += len(chosen)
        if kind == 'ready':
            endpoints.update({address: not endpoints[address] for address in chosen})
            self.done += len(chosen)
        # One that is ready and new shows when all are applied.
        endpoints.update(dict.fromkeys(self._fresh(1), True))
        self.done += 1

    def _write(self, file: int) -> None:
        items = list[varied.Document]()
        for number in range(file * _PER_FILE, (file + 1) * _PER_FILE):
            metadata = {'name': f'soak-{number}', 'namespace': 'soak'}
            said = {f'{varied.PREFIX}host': f's{number}.example.com'}
            items += (
                {
                    'apiVersion': 'v1', 'kind': 'Service', 'metadata': {**metadata, 'annotations': said},
                    'spec': {'ports': [{'name': 'main', 'port': 80}]},
                },
                {
                    'apiVersion': 'discovery.k8s.io/v1', 'kind': 'EndpointSlice', 'addressType': 'IPv4',
                    'metadata': {**metadata, 'labels': {'kubernetes.io/service-name': metadata['name']}},
                    'ports': [{'name': 'main', 'port': self.town.backend_port}],
                    'endpoints': [
                        {'addresses': [address], 'conditions': {'ready': ready}}
                        for address, ready in self.services[number].items()
                    ],
                },
            )  # fmt: skip
        self.town.write(f'soak-{file}', items)

    def _applied(self, file: int, names: list[str]) -> None:
        """Wait until HAProxy has the newest endpoint of each Service of a file."""
        for number in range(file * _PER_FILE, (file + 1) * _PER_FILE):
            newest = next(reversed(self.services[number]))
            until(lambda newest=newest, name=names[number]: newest in self._has(name), f'HAProxy has {newest}')  # type: ignore[misc]

    def _backend(self, number: int) -> str:
        path, found = f'/status/soak/soak-{number}', list[str]()

        def known() -> bool:
            with contextlib.suppress(OSError):
                found[:] = self.town.backends(path)
            return bool(found)

        until(known, f'{path} has a backend')
        return found[0]

    def _ready(self, number: int) -> set[str]:
        return {address for address, ready in self.services[number].items() if ready}

    def _has(self, name: str) -> set[str]:
        """Return the addresses of a backend's servers that take new connections."""
        lines = self.town.ask(f'show servers state {name}').splitlines()
        cells = [line.split() for line in lines[2:] if line.strip()]
        return {each[4] for each in cells}
