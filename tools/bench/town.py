"""A running `headrace run` on a folder: how soon HAProxy, and then a client, sees what changes in it.

The cluster is the varied one; changes go to Services beside it, whose endpoints are one HAProxy that answers at every
address of 127.0.0.0/8 with the address that it was reached at.
"""

import concurrent.futures
import contextlib
import http.client
import itertools
import json
import os
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import yaml
from tools.bench import beside, probe, varied
from tools.bench.process import Process, loopback

Figures = Iterator[tuple[str, float]]
RATES = (10, beside.RATE)
# All samples would take the first rate minutes: each rate has the same time.
_SHARE = 100
SECONDS = 60.0
_STEP = 0.001
_TICKS = os.sysconf('SC_CLK_TCK')
_HTTP, _HTTPS, _HEALTH = 8080, 8443, 8404


class Town:
    """An agent with its folder and its HAProxy, and the endpoints that are probed."""

    http, backend_port = _HTTP, probe.PORT

    def __init__(self, binary: str, services: int, **settings: object) -> None:
        self.binary, self.services, self._settings = binary, services, settings
        self._held = contextlib.ExitStack()
        self._addresses = itertools.count(1)

    def __enter__(self) -> Self:
        with self._held as held:
            self.root = Path(held.enter_context(tempfile.TemporaryDirectory(prefix='hrl')))
            self.address, self._pods = (held.enter_context(loopback()) for _ in range(2))
            self.endpoints = held.enter_context(Process(self.binary, {'haproxy/all.cfg': _pods()}))
            self.endpoints.start()
            self.source = self.root / 'src'
            varied.write(self.source, varied.cluster(self.services, network=127))
            for number in range(probe.COUNT):
                self.put(number, self.fresh())
            self._start(held)
            self._held = held.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._held.close()

    def settle(self, **settings: object) -> None:
        """Write the settings of the class, with some that are other than before."""
        self._settings = {
            'addresses': [self.address], 'httpPort': _HTTP, 'httpsPort': _HTTPS, 'healthPort': _HEALTH, 'threads': 1,
            'tcpPorts': varied.tcp_ports(self.services), 'maxconn': 1000, 'fileDescriptors': 0, 'drainDelay': '10ms',
            'hardStopAfter': '1s', **self._settings, **settings,
        }  # fmt: skip
        temporary = self.root / '.settings'
        temporary.write_text(yaml.safe_dump(self._settings))
        temporary.replace(self.root / 'settings.yaml')

    def restart(self) -> None:
        """Kill the agent, and start another one beside the HAProxy that goes on."""
        self.agent.kill()
        self.agent.wait()
        self._run(self._held)

    def _start(self, held: contextlib.ExitStack) -> None:
        self.settle()
        (self.root / 'overrides').mkdir()
        # The varied cluster has more ports and checks than a small machine has descriptors.
        (self.root / 'overrides' / 'global.cfg').write_text('no strict-limits\n')
        self._run(held)

    def _run(self, held: contextlib.ExitStack) -> None:
        command = [
            str(Path(sys.executable).with_name('headrace')), 'run', '--source', str(self.source),
            '--start-haproxy', self.binary, '--state', str(self.root / 'st'), '--admin', '127.0.0.1:0',
            '--config', str(self.root / 'settings.yaml'), '--overrides', str(self.root / 'overrides'), '--log-format', 'json',
        ]  # fmt: skip
        log = held.enter_context((self.root / 'log').open('wb'))
        began = time.perf_counter()
        self.agent = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        held.callback(self._end)
        until(lambda: self._said('serving') or self.agent.poll() is not None, 'the agent serves')
        if self.agent.poll() is not None:
            raise SystemExit((self.root / 'log').read_text())
        self.cold = time.perf_counter() - began
        self.admin = re.findall(r'"admin": "([^"]+)"', (self.root / 'log').read_text())[0]

    def _said(self, message: str) -> bool:
        return f'"message": "{message}"' in (self.root / 'log').read_text()

    def _end(self) -> None:
        self.agent.terminate()
        try:
            self.agent.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.agent.kill()
            self.agent.wait()

    def fresh(self) -> str:
        """Return an address that was not used before."""
        return probe.address(next(self._addresses))

    def put(self, number: int, address: str, **settings: str) -> None:
        """Write the file of a probed Service with one endpoint, whole."""
        probe.put(self.source, number, address, **settings)

    def write(self, name: str, items: list[varied.Document]) -> None:
        """Write a file of the folder, whole."""
        probe.write(self.source, name, items)

    def drop(self, number: int) -> None:
        """Remove the file of a probed Service."""
        (self.source / f'probe-{number}.json').unlink()

    def answer(self, number: int) -> str:
        """Return who answers for a probed Service: an address, or a status that is not 200."""
        connection = http.client.HTTPConnection(self.address, _HTTP, timeout=SECONDS)
        with contextlib.closing(connection):
            connection.request('GET', '/', headers={'Host': f'p{number}.example.com'})
            said = connection.getresponse()
            body = said.read().decode()
            return body if said.status == http.HTTPStatus.OK else str(said.status)

    def ask(self, command: str) -> str:
        """Send a command to HAProxy's worker, and return the answer; '' while none comes."""
        return ask(self.root / 'st' / 'sockets' / 'runtime.sock', command)

    def get(self, path: str) -> bytes:
        """Return what the agent's admin port says."""
        with urllib.request.urlopen(f'http://{self.admin}{path}', timeout=SECONDS) as answer:
            data: bytes = answer.read()
        return data

    def backend(self, number: int) -> str:
        """Return the name of a probed Service's backend."""
        return self.backends(f'/status/probes/probe-{number}')[0]

    def backends(self, path: str) -> list[str]:
        """Return the names of the backends of a Service, by the path of its status."""
        found: dict[str, Any] = json.loads(self.get(path))
        return [str(each['name']) for each in found['backends']]

    def worker(self) -> int:
        """Return the PID of HAProxy's worker."""
        return int(self.ask('show info').partition('\nPid: ')[2].split()[0])

    def reloads(self) -> dict[str, float]:
        """Return the reloads so far, by reason."""
        found = re.findall(
            r'^headrace_reloads_total\{reason="([^"]*)",result="([^"]*)"\} (\S+)',
            self.get('/metrics').decode(), re.MULTILINE,
        )  # fmt: skip
        return {f'{reason}, {result}': float(value) for reason, result, value in found}


def measure(binary: str, services: int, samples: int) -> Figures:
    """Yield the figures of an agent with so many Services."""
    with Town(binary, services) as town:
        for what, value in _one(town, samples):
            yield f'{services}: {what}', value


def _one(town: Town, samples: int) -> Figures:
    yield 'cold start, s', town.cold
    yield 'agent RSS, MB', rss(town.agent.pid)
    yield 'HAProxy RSS, MB', rss(town.worker())
    names = [town.backend(number) for number in range(probe.COUNT)]
    for rate in RATES:
        before, count = cpu(town.agent.pid), max(10, samples * rate // _SHARE)
        states, requests = _changes(town, names, rate, count)
        yield f'{rate} changes/s: agent CPU, ms each', (cpu(town.agent.pid) - before) / count * 1000
        yield from ranked(f'{rate} changes/s: to HAProxy, ms', states)
        yield from ranked(f'{rate} changes/s: to the first request, ms', requests)
    yield from beside.measure(town, max(samples, 10) * 20)
    some = max(2, min(samples // 5, 100))
    yield from ranked(
        'a new Service to its first request, ms', [_comes(town, probe.COUNT + each) for each in range(some)]
    )
    yield from ranked('a Service that goes to 404, ms', [_goes(town, probe.COUNT + each) for each in range(some)])
    yield 'agent RSS after, MB', rss(town.agent.pid)
    yield 'agent CPU, s', cpu(town.agent.pid)
    found = town.reloads()
    yield 'reloads, all', sum(found.values())
    for reason, value in found.items():
        yield f'reloads by {reason}', value


def _changes(town: Town, names: list[str], rate: int, samples: int) -> tuple[list[float], list[float]]:
    """Change endpoints at a rate, each when its time has come, and return the seconds to HAProxy and to a request."""
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        begin = time.perf_counter()
        due = [begin + number / rate for number in range(samples)]
        found = list(pool.map(lambda number: _change(town, names, number, due[number]), range(samples)))
    return [item[0] for item in found], [item[1] for item in found]


def _change(town: Town, names: list[str], number: int, due: float) -> tuple[float, float]:
    place, address = number % probe.COUNT, town.fresh()
    time.sleep(max(0.0, due - time.perf_counter()))
    began = time.perf_counter()
    town.put(place, address)
    until(lambda: f' {address} ' in town.ask(f'show servers state {names[place]}'), f'HAProxy has {address}')
    seen = time.perf_counter() - began
    until(lambda: town.answer(place) == address, f'{address} answers')
    return seen, time.perf_counter() - began


def _comes(town: Town, number: int) -> float:
    address = town.fresh()
    began = time.perf_counter()
    town.put(number, address, **{'request-headers': f'X-New: {number}', 'rate-limit': '100000/s'})
    until(lambda: town.answer(number) == address, 'the new Service serves')
    return time.perf_counter() - began


def _goes(town: Town, number: int) -> float:
    began = time.perf_counter()
    town.drop(number)
    until(lambda: town.answer(number) == '404', 'the Service is gone')
    return time.perf_counter() - began


def ask(path: Path, command: str) -> str:
    """Send a command to a worker's socket, and return the answer; '' while none comes."""
    said = b''
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(SECONDS)
        connection.connect(str(path))
        connection.sendall(f'{command}\n'.encode())
        while part := connection.recv(1 << 20):
            said += part
    return said.decode()


def until(true: Callable[[], bool], what: str, seconds: float = SECONDS, step: float = _STEP) -> None:
    """Wait until something is true, at most so long, and look at it once in each step."""
    deadline = time.perf_counter() + seconds
    while not true():
        if time.perf_counter() > deadline:
            raise SystemExit(f'not in {seconds:.0f} s: {what}')
        time.sleep(step)


def _pods() -> bytes:
    return f"""global
  stats socket "${{HEADRACE_SOCKETS-.}}/runtime.sock" mode 660 level admin
  maxconn 4000
defaults base
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend answers from base
  bind 0.0.0.0:{probe.PORT}
  http-request return status 200 content-type text/plain lf-string "%[dst]"
""".encode()


def ranked(name: str, values: list[float]) -> Figures:
    """Yield quantiles of seconds, as milliseconds."""
    cuts = statistics.quantiles(values, n=100, method='inclusive')
    for what, value in (('p50', cuts[49]), ('p90', cuts[89]), ('p99', cuts[98]), ('max', max(values))):
        yield f'{name}, {what}', value * 1000


def cpu(pid: int) -> float:
    """Return the CPU seconds that a process has taken."""
    cells = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    return (int(cells[11]) + int(cells[12])) / _TICKS


def rss(pid: int) -> float:
    """Return the memory of a process, in MB."""
    return int(Path(f'/proc/{pid}/status').read_text().partition('VmRSS:')[2].split()[0]) / 1024
