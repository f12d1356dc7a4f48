"""What a whole agent of the node role costs: start, start beside what is there, changes until they are served, memory.

It runs in the network namespace that this process has moved to (see `tools.bench.node`), on a folder. Nothing listens at
the endpoints: what is measured is when the kernel and HAProxy know them.
"""

import contextlib
import itertools
import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import yaml
from tools.bench import town, varied

from headrace.nft.kernel import Reading

Figures = Iterator[tuple[str, float]]
_ADMIN = '127.0.0.1:10285'
_ENDPOINTS, _PORT = 10, 8080
_START_SECONDS = 300.0
# linux/netlink.h, and the group of linux/netfilter/nfnetlink.h
_NETFILTER, _OF_NFTABLES = 12, 7
# Changes here go by files and take milliseconds each: so many show what they cost.
_MOST = 100


class Resident:
    """An agent on a folder of so many Services, which HAProxy serves by plain TCP, with ten endpoints each."""

    agent: subprocess.Popen[bytes]

    def __init__(self, binary: str, services: int, node: varied.Document) -> None:
        self._binary, self._services, self._node = binary, services, node
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with self._held as held:
            self._root = Path(held.enter_context(tempfile.TemporaryDirectory(prefix='hrn')))
            self._source, self._sockets = self._root / 'src', self._root / 'st' / 'sockets'
            varied.write(self._source, (each for number in range(self._services) for each in served(number)))
            self._put('node', self._node)
            self._put_settings()
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def _put_settings(self) -> None:
        settings = {'threads': 1, 'maxconn': 1000, 'fileDescriptors': 0, 'drainDelay': '10ms', 'hardStopAfter': '1s'}
        (self._root / 'settings.yaml').write_text(yaml.safe_dump(settings))

    def start(self) -> float:
        """Start the agent, and return the seconds until it serves, and nothing goes past HAProxy."""
        command = [
            str(Path(sys.executable).with_name('headrace')), 'run', '--source', str(self._source), '--role', 'node',
            '--node', self._node['metadata']['name'], '--start-haproxy', self._binary, '--state', str(self._root / 'st'), '--admin', _ADMIN,
            '--config', str(self._root / 'settings.yaml'), '--log-format', 'json', '--log-level', 'warning',
        ]  # fmt: skip
        began = time.perf_counter()
        with (self._root / 'log').open('ab') as log:
            self.agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._held.callback(self._end)
        town.until(self._serves, 'the agent serves', _START_SECONDS)
        return time.perf_counter() - began

    def _serves(self) -> bool:
        if self.agent.poll() is not None:
            raise SystemExit((self._root / 'log').read_text())
        with contextlib.suppress(OSError):
            self._get('/readyz')
            # Not by metrics: those of so many Services take the agent longer than what is left of its start.
            with contextlib.closing(Reading()) as reading:
                return all(chain != 'bypass' for chain, _ in reading.rules())
        return False

    def _get(self, path: str) -> bytes:
        with urllib.request.urlopen(f'http://{_ADMIN}{path}', timeout=town.SECONDS) as answer:
            data: bytes = answer.read()
        return data

    def kill(self) -> None:
        """End the agent without a word; the table and HAProxy stay."""
        self.agent.kill()
        self.agent.wait()

    def stop(self) -> None:
        """Let the agent end, and HAProxy with it; the table stays."""
        self.agent.terminate()
        self.agent.wait(town.SECONDS)

    def _end(self) -> None:
        if self.agent.poll() is None:
            self.stop()

    def transactions(self) -> float:
        """Return how many transactions nft was given by this agent."""
        return float(self._get('/metrics').partition(b'\nheadrace_table_transactions_total ')[2].split()[0])

    def worker(self) -> int:
        """Return the PID of HAProxy's worker."""
        return int(self._ask('show info').partition('\nPid: ')[2].split()[0])

    def put(self, number: int, first: str) -> tuple[float, float]:
        """Write a Service with an endpoint that is new, and return the seconds until HAProxy and the kernel know it."""
        documents, at = served(number, first), f'10.{96 + (number >> 16)}.{number >> 8 & 255}.{number & 255}'
        with _commits() as commits:
            began = time.perf_counter()
            self._put(f'probe-{number}', *documents)
            town.until(lambda: self._haproxy_knows(at, first), f'HAProxy knows {first}')
            known = time.perf_counter() - began
            while socket.inet_aton(first) not in commits.recv(1 << 20):
                pass
            return known, time.perf_counter() - began

    def _haproxy_knows(self, at: str, first: str) -> bool:
        said = self._ask(f'get map maps/addresses.map {at}:{_PORT}')
        backend = said.partition('value="')[2].partition('|')[0]
        return bool(backend) and f' {first} ' in self._ask(f'show servers state {backend}')

    def _ask(self, command: str) -> str:
        return town.ask(self._sockets / 'runtime.sock', command)

    def _put(self, name: str, *documents: varied.Document) -> None:
        temporary = self._source / f'.{name}'
        temporary.write_text(json.dumps({'apiVersion': 'v1', 'kind': 'List', 'items': documents}))
        temporary.replace(self._source / f'{name}.json')


@contextlib.contextmanager
def _commits() -> Iterator[socket.socket]:
    """Give a socket to which the kernel tells what is new in its tables; to ask `nft` takes as long as to read them all."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER) as told:
        told.bind((0, 1 << _OF_NFTABLES - 1))
        told.settimeout(town.SECONDS)
        yield told


def served(number: int, *first: str) -> tuple[varied.Document, ...]:
    """Return a Service that HAProxy serves by plain TCP, and its endpoints; the first one may be another."""
    made = varied.service(number, {})
    made['metadata']['annotations'] = {f'{varied.PREFIX}proxy': 'node', f'{varied.PREFIX}datapath': 'haproxy'}
    made['spec']['ports'][0]['port'] = _PORT
    rest = varied.addresses(number, _ENDPOINTS)[len(first) :]
    return made, varied.endpoint_slice(number, [*first, *rest])


def measure(binary: str, services: int, samples: int, node: varied.Document) -> Figures:
    """Yield the figures of an agent with so many Services, in this process's network."""
    with Resident(binary, services, node) as resident:
        for what, value in _figures(resident, services, max(2, min(samples // 5, _MOST))):
            yield f'{services}, an agent: {what}', value


def _figures(resident: Resident, services: int, samples: int) -> Figures:
    yield 'start beside nothing, s', resident.start()
    yield 'agent RSS, MB', town.rss(resident.agent.pid)
    yield 'HAProxy RSS, MB', town.rss(resident.worker())
    fresh = (f'10.100.{number >> 8 & 255}.{number & 255}' for number in itertools.count(1))
    for what, numbers in (
        ('one more Service', range(services, services + samples)),
        ('one endpoint', range(services, services + samples)),
    ):
        before, spent = town.cpu(resident.agent.pid), [resident.put(number, next(fresh)) for number in numbers]
        yield from town.ranked(f'{what}: to HAProxy, ms', [known for known, _ in spent])
        yield from town.ranked(f'{what}: to the kernel too, ms', [told for _, told in spent])
        yield f'{what}: agent CPU, ms', (town.cpu(resident.agent.pid) - before) / samples * 1000
    yield 'agent RSS after, MB', town.rss(resident.agent.pid)
    resident.kill()
    yield 'start beside its table and HAProxy, s', resident.start()
    yield 'transactions of that start', resident.transactions()
    resident.stop()
    yield 'start beside its table, s', resident.start()
