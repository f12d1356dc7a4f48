"""What the demonstration plays on: small real pods, free ports, a temporary folder, HAProxy, and a client.

Promises: all that is started here ends with the stage, however it ends, and nothing is left in the file system.
"""

import contextlib
import http.client
import json
import os
import shutil
import socket
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

# The command beside the Python that runs this: the one of the same .venv.
HEADRACE = Path(sys.executable).with_name('headrace')
OUTSIDE = '127.0.0.1'
# What runs at which address, whatever the folder says of it.
WEB_PODS = {
    '127.10.1.1': 'storefront-1',
    '127.10.1.2': 'storefront-2',
    '127.10.2.1': 'catalog-1',
    '127.10.2.2': 'catalog-2',
    '127.10.3.1': 'back-office-1',
    '127.10.4.1': 'pay-1',
    '127.10.6.1': 'warehouse-1',
}
TCP_PODS = {'127.10.5.1': 'orders-db-1'}
_SECONDS = 10.0


class StageError(Exception):
    """The demonstration cannot go on; the message says why."""


@dataclass(frozen=True)
class Answer:
    """An answer to a request: its status and headers, and what the pod that made it saw (empty: HAProxy made it)."""

    status: int
    headers: Mapping[str, str]
    pod: str = ''
    path: str = ''
    seen: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the status and who answered."""
        return f'{self.status} from {self.pod or "HAProxy itself"}'


class _WebPod(BaseHTTPRequestHandler):
    """A pod that says who it is and what it saw. Its server knows the name by the address that it listens on."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        seen = {name.lower(): value for name, value in self.headers.items()}
        body = json.dumps({'pod': WEB_PODS[self.server.server_address[0]], 'path': self.path, 'seen': seen}).encode()
        self.send_response(http.HTTPStatus.OK)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Stay silent: the demonstration says itself what happens."""


class _TcpPod(socketserver.BaseRequestHandler):
    """A pod that greets with its name, as a database greets with its version."""

    def handle(self) -> None:
        self.request.sendall(TCP_PODS[self.server.server_address[0]].encode())


class _Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *where: Any) -> None:
        """Stay silent when HAProxy drops an idle connection; anything else is a mistake of the demonstration."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(*where)


class Pods:
    """All pods, listening on one port number that is free at each of their addresses."""

    def __init__(self) -> None:
        self.port = 0
        self._servers: list[_Server] = []
        for _ in range(50):
            if self._listen():
                break
        else:
            raise StageError('no port is free for the pods')
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()

    def _listen(self) -> bool:
        port = 0
        for address, handler in (*dict.fromkeys(WEB_PODS, _WebPod).items(), *dict.fromkeys(TCP_PODS, _TcpPod).items()):
            try:
                server = _Server((address, port), handler)
            except OSError:
                for held in self._servers:
                    held.server_close()
                self._servers.clear()
                return False
            self._servers.append(server)
            port = server.server_address[1]
        self.port = port
        return True

    def close(self) -> None:
        """Stop all pods."""
        for server in self._servers:
            server.shutdown()
            server.server_close()


class Ports:
    """Free ports for HAProxy's listeners, held until the end so that nobody else is given them.

    They are bound and not listened on, with SO_REUSEPORT as HAProxy does it: it can bind them too, and has all clients.
    """

    def __init__(self, *names: str) -> None:
        self._held: dict[str, socket.socket] = {}
        for name in names:
            held = self._held[name] = socket.socket()
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind((OUTSIDE, 0))

    def __getitem__(self, name: str) -> int:
        """Return the number of a port."""
        return int(self._held[name].getsockname()[1])

    def close(self) -> None:
        """Give the ports back."""
        for held in self._held.values():
            held.close()


class Stage:
    """The place of one demonstration: `objects` is the copy of its folder that is served, and may be edited."""

    def __init__(self, haproxy: str) -> None:
        self.haproxy, self.version = haproxy, _version(haproxy)
        self._closing = contextlib.ExitStack()

    def set_up(self, source: Path) -> None:
        """Start the pods, choose ports, and copy the objects with those ports into a temporary folder."""
        self.folder = Path(tempfile.mkdtemp(prefix='headrace-demo-'))
        self._closing.callback(shutil.rmtree, self.folder)
        self.pods = Pods()
        self._closing.callback(self.pods.close)
        self.ports = Ports('http', 'https', 'tcp', 'health')
        self._closing.callback(self.ports.close)
        self.objects, self.sockets = self.folder / 'objects', self.folder / 'sockets'
        for path in (self.objects, self.sockets):
            path.mkdir()
        for path in sorted(source.glob('*.yaml')):
            documents = [self._with_free_ports(document) for document in yaml.safe_load_all(path.read_text())]
            (self.objects / path.name).write_text(yaml.safe_dump_all(documents, sort_keys=False))
        self.settings = self.folder / 'settings.yaml'
        settings = {
            'addresses': [OUTSIDE],
            'httpPort': self.ports['http'],
            'httpsPort': self.ports['https'],
            'httpsPublicPort': self.ports['https'],
            'healthPort': self.ports['health'],
            'tcpPorts': str(self.ports['tcp']),
            'maxconn': 100,
            'threads': 1,
        }
        self.settings.write_text(yaml.safe_dump(settings))

    def _with_free_ports(self, document: dict[str, Any]) -> dict[str, Any]:
        if document['kind'] == 'EndpointSlice':
            for port in document['ports']:
                port['port'] = self.pods.port
        annotations = document['metadata'].get('annotations', {})
        if 'headrace.io/port' in annotations:
            annotations['headrace.io/port'] = str(self.ports['tcp'])
        return document

    def close(self) -> None:
        """End all that was started, and remove all that was written."""
        self._closing.close()

    def render(self) -> str:
        """Let the command line render the objects, and return its verdicts."""
        version = '.'.join(self.version.split('.')[:2])
        command = [HEADRACE, 'render', '-f', self.objects, '-o', self.folder / 'rendered', '--config', self.settings]
        try:
            ran = subprocess.run(
                [*command, '--haproxy-version', version], capture_output=True, text=True, timeout=60, check=False
            )
        except OSError as error:
            raise StageError(f'{HEADRACE} cannot be run ({error.strerror}); `make setup` installs it') from error
        if ran.returncode:
            raise StageError(f'headrace render failed:\n{ran.stderr.strip()}')
        return ran.stderr.strip()

    def serve(self) -> None:
        """Start HAProxy with what was rendered, and wait until it answers."""
        log = self.folder / 'haproxy.log'
        with log.open('wb') as output:
            # A session of its own: Ctrl-C is for the demonstration, which then ends HAProxy.
            process = subprocess.Popen(
                [self.haproxy, '-db', '-f', self.folder / 'rendered' / 'haproxy'],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                env={**os.environ, 'HEADRACE_SOCKETS': str(self.sockets)},
            )
        self._closing.callback(_end, process)

        def answers() -> bool:
            if process.poll() is not None:
                raise StageError(f'HAProxy did not start:\n{log.read_text(errors="replace").strip()}')
            with contextlib.suppress(OSError):
                socket.create_connection((OUTSIDE, self.ports['http']), 1).close()
                return True
            return False

        if not wait_for(answers):
            raise StageError('HAProxy does not answer')

    def get(self, url: str, *, client: str = OUTSIDE, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request to HAProxy from a client's address, on a connection of its own."""
        asked = urlsplit(url)
        host = asked.hostname or ''
        where = (OUTSIDE, self.ports[asked.scheme])
        connection = http.client.HTTPConnection(host)
        try:
            connection.sock = socket.create_connection(where, _SECONDS, (client, 0))
            if asked.scheme == 'https':
                context = ssl.create_default_context()
                # Nobody trusts a stand-in.
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
            connection.request('GET', asked.path, headers=dict(headers or {}))
            answer = connection.getresponse()
            body, found = answer.read(), {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, **json.loads(body) if body.startswith(b'{') else {})
        except (OSError, http.client.HTTPException) as error:
            raise StageError(f'GET {url}: {error or type(error).__name__}') from error
        finally:
            connection.close()

    def greeting(self) -> str:
        """Connect to the TCP port, and return what is said there before the connection ends."""
        try:
            with socket.create_connection((OUTSIDE, self.ports['tcp']), _SECONDS) as connection:
                return connection.makefile().read() or 'nothing'
        except OSError as error:
            return f'nothing ({error})'


def wait_for(true: Callable[[], bool]) -> bool:
    """Wait until something is true; return False when it is not in time."""
    until = time.monotonic() + _SECONDS
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _version(haproxy: str) -> str:
    try:
        said = subprocess.run([haproxy, '-v'], capture_output=True, text=True, timeout=60, check=False).stdout.split()
    except OSError as error:
        raise StageError(f'{haproxy} cannot be run ({error.strerror}); `make setup` installs it') from error
    if said[:2] != ['HAProxy', 'version']:
        raise StageError(f'{haproxy} is no HAProxy')
    return said[2].partition('-')[0]
