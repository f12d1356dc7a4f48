"""A live headrace on a folder: the agent as a process, its HAProxy, and ways to look at both."""

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import urllib.error
import urllib.request
from pathlib import Path

import yaml

from support import logs, prefork, waiting
from support.objects import endpoint_slice, service

HEADRACE = Path(sys.executable).with_name('headrace')
_SECONDS = 90.0


def until(true, what='it', seconds=_SECONDS):
    """Wait until something is true, and return what it returned."""
    return waiting.until(true, what, within=seconds)


class Ports:
    """Free ports, bound and not listened on, as HAProxy can bind them too; no other test gets them meanwhile."""

    def __init__(self, *names):
        self._held = {}
        for name in names:
            held = self._held[name] = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(('127.0.0.1', 0))

    def __getitem__(self, name):
        return self._held[name].getsockname()[1]

    def close(self):
        for held in self._held.values():
            held.close()


class Live:
    """An agent on a folder of its own. `settings` go into its file; what it starts ends with `close`."""

    def __init__(self, haproxy, *, start=True, **settings):
        self.haproxy = haproxy
        self.root = Path(tempfile.mkdtemp(prefix='hr'))
        self.source, self.state, self.log = self.root / 'src', self.root / 'st', self.root / 'log'
        self.sockets = self.state / 'sockets'
        logs.follow(self.log)
        self._read, self._lines, self._reading = 0, [], threading.Lock()
        self.source.mkdir()
        self.ports = Ports('http', 'https', 'health', 'tcp')
        self.start_haproxy = start
        self.settings = {
            'addresses': ['127.0.0.1'],
            'httpPort': self.ports['http'],
            'httpsPort': self.ports['https'],
            'healthPort': self.ports['health'],
            'nodeHealthPort': self.ports['health'],
            'tcpPorts': str(self.ports['tcp']),
            'maxconn': 500,
            'threads': 1,
            'drainDelay': '100ms',
            # Tests may ask for more reloads than tenants.
            'reloadsPerMinute': 1000,
            'totalReloadsPerMinute': 1000,
            **settings,
        }
        self.config = self.root / 'settings.yaml'
        self.set()
        self.process = None
        # The folder that another version's package is in, where it is to run that.
        self.package = None
        self.overrides = None
        self.role = ()

    # What it is given

    def set(self, **settings):
        """Write the file of settings, with some of them changed."""
        self.settings |= settings
        self.write(self.config, yaml.safe_dump(self.settings))

    def write(self, path, text):
        """Write a file whole: no reader sees a part of it."""
        temporary = path.with_name(f'.{path.name}.new')
        temporary.write_text(text)
        temporary.replace(path)

    def put(self, name, *documents):
        """Write a file of the source."""
        self.write(self.source / f'{name}.yaml', json.dumps({'kind': 'List', 'items': list(documents)}))

    def drop(self, name):
        (self.source / f'{name}.yaml').unlink()

    def web(self, addresses, port, name='web', host='shop.example.com', annotations=None, **how):
        """Write a Service with a host, and its endpoints."""
        wanted = {'host': host, **(annotations or {})}
        self.put(name, service(name, annotations=wanted), endpoint_slice(name, addresses=addresses, port=port, **how))

    def tcp(self, addresses, port, name='db', annotations=None):
        """Write a Service on the TCP port, and its endpoints."""
        wanted = {'port': str(self.ports['tcp']), **(annotations or {})}
        self.put(name, service(name, annotations=wanted), endpoint_slice(name, addresses=addresses, port=port))

    # The process

    def command(self, *more):
        command = [HEADRACE, 'run', '--source', self.source, '--state', self.state, '--config', self.config]
        command += ['--admin', '127.0.0.1:0', '--log-format', 'json', *self.role, *more]
        if self.start_haproxy:
            command += ['--start-haproxy', self.haproxy]
        else:
            command += ['--haproxy', self.haproxy]
        if self.overrides:
            command += ['--overrides', self.overrides]
        return [str(word) for word in command]

    def begin(self, *more, **environment):
        """Start the agent, and do not wait for it."""
        command, environment = self.command(*more), {**os.environ, 'TMPDIR': str(self.root), **environment}
        if self.package is not None:
            command[:1] = [sys.executable, '-m', 'headrace']
            environment['PYTHONPATH'] = str(self.package)
        with self.log.open('ab') as output:
            if command[0] == str(HEADRACE) and '--supervised' not in command:
                self.process = prefork.start(command[1:], output, environment)
            else:
                self.process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
                )
        return self

    def start(self, *more):
        """Start the agent, and wait until it serves."""
        told = self.times('serving')
        self.begin(*more)
        until(lambda: self.times('serving') > told or self.process.poll() is not None, 'the agent serves')
        assert self.process.poll() is None, self.log.read_text()
        return self

    def kill(self):
        """End the agent without a word; HAProxy goes on."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Tell the agent to stop, and return its exit code."""
        self.process.terminate()
        return self.process.wait(_SECONDS)

    def close(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for pid in self.haproxies():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until(lambda: not self.haproxies(), 'HAProxy has ended')
        self.ports.close()
        logs.forget(self.log)
        subprocess.run(['chmod', '-R', 'u+w', self.root], check=False)
        shutil.rmtree(self.root)

    def haproxies(self):
        """Return all processes that were started with our master socket and live."""
        found = []
        for path in Path('/proc').glob('[0-9]*/cmdline'):
            with contextlib.suppress(OSError):
                if f'{self.sockets}/master.sock'.encode() in path.read_bytes():
                    state = (path.parent / 'stat').read_text().rpartition(')')[2].split()[0]
                    if state != 'Z':
                        found.append(int(path.parent.name))
        return found

    # What it says

    def lines(self):
        """Return the log as objects."""
        with self._reading:
            if not self.log.exists():
                return []
            with self.log.open('rb') as file:
                # Waiting reads often, and a log may be long: what was read before is kept.
                file.seek(self._read)
                whole, end, _ = file.read().rpartition(b'\n')
            self._read += len(whole) + len(end)
            for line in whole.splitlines():
                with contextlib.suppress(ValueError):
                    self._lines.append(json.loads(line))
            return [*self._lines]

    def times(self, message):
        """Return how often the log says something."""
        return sum(line['message'] == message for line in self.lines())

    def admin(self, path, headers=None):
        """Ask the admin port; return the status and the text."""
        where = [line['admin'] for line in self.lines() if line['message'] == 'listening'][-1]
        asked = urllib.request.Request(f'http://{where}{path}', headers=headers or {})
        try:
            with urllib.request.urlopen(asked, timeout=_SECONDS) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def api(self, path, headers=None):
        """Ask the port for tokens; return the status and the text."""
        where = [line['api'] for line in self.lines() if line['message'] == 'listening'][-1]
        # It is a certificate that cannot be verified.
        tls = ssl._create_unverified_context()
        asked = urllib.request.Request(f'https://{where}{path}', headers=headers or {})
        try:
            with urllib.request.urlopen(asked, timeout=_SECONDS, context=tls) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def status(self):
        return json.loads(self.admin('/status')[1])

    def metric(self, name, **labels):
        """Return the value of a metric, or of all with these labels together; None when it is not there."""
        found = []
        for line in self.admin('/metrics')[1].splitlines():
            match = re.fullmatch(rf'{name}(?:\{{(.*)\}})? (\S+)', line)
            if match:
                held = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ''))
                if labels.items() <= held.items():
                    found.append(float(match[2]))
        return sum(found) if found else None

    def reloads(self):
        return [item for item in self.status()['reloads'] if item['good']]

    def readiness(self):
        """Return what HAProxy's own health port answers; 0 without an answer."""
        try:
            with urllib.request.urlopen(f'http://127.0.0.1:{self.ports["health"]}/readyz', timeout=5) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    # HAProxy

    def ask(self, command, master=False):
        """Send a command to HAProxy, and return the answer."""
        path = self.sockets / ('master.sock' if master else 'runtime.sock')
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(path))
            connection.sendall(f'{command}\n'.encode())
            connection.shutdown(socket.SHUT_WR)
            found = b''
            while data := connection.recv(1 << 20):
                found += data
        return found.decode()

    def worker(self):
        """Return the PID of the worker that serves."""
        return int(re.search(r'^Pid: (\d+)$', self.ask('show info'), re.MULTILINE)[1])

    def master(self):
        return int(re.search(r'^(\d+)\s+master', self.ask('show proc', master=True), re.MULTILINE)[1])

    def old_workers(self):
        """Return the PIDs of workers that only finish their connections."""
        text = self.ask('show proc', master=True)
        return [int(pid) for pid in re.findall(r'^(\d+)\s+worker', text.partition('# old workers')[2], re.MULTILINE)]

    def servers(self, backend=''):
        """Return the servers of Services that take new connections, as BACKEND/ADDRESS:PORT."""
        found = set()
        for line in self.ask(f'show servers state {backend}').splitlines():
            cells = line.split(' ')
            if len(cells) > 18 and cells[0].isdigit() and '_' in cells[1] and not int(cells[6]) & 0x27:
                found.add(f'{cells[1]}/{cells[4]}:{cells[18]}')
        return found

    def addresses(self, backend=''):
        """Return the addresses of servers that take new connections."""
        return {item.rpartition('/')[2].rpartition(':')[0] for item in self.servers(backend)}

    def serves(self, addresses, backend=''):
        """Wait until exactly these addresses take new connections."""
        until(lambda: self.addresses(backend) == set(addresses), f'{addresses} are served')

    def all_servers(self):
        """Return all servers, those too that are on their way out."""
        cells = [line.split(' ') for line in self.ask('show servers state').splitlines()]
        return {f'{one[1]}/{one[4]}' for one in cells if len(one) > 18 and one[0].isdigit()}

    def routes(self, name='routes'):
        """Return a map of HAProxy."""
        lines = self.ask(f'show map maps/{name}.map').splitlines()
        return dict(line.split(' ', 2)[1:] for line in lines if line)
