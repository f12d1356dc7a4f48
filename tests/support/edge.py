"""A rendered edge with a real HAProxy in front of small real endpoints, and clients that say what they saw.

One endpoint server answers for all addresses of 127.0.0.0/8; it says at which of them it was asked, and what came.
"""

import contextlib
import http.client
import json
import socket
import socketserver
import ssl
import struct
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import files
from headrace.settings.settings import Settings
from support.haproxy import Haproxy, Ports
from support.objects import built, endpoint_slice, service

_SECONDS = 30.0


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = _SECONDS

    def do_GET(self):
        """Say what came, or what `X-Answer` asks for; a path that begins with /wait takes half a second."""
        received = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        while self.headers.get('Transfer-Encoding') and (size := int(self.rfile.readline(), 16)):
            received += self.rfile.read(size)
            self.rfile.readline()
        if self.path.startswith('/wait'):
            time.sleep(0.5)
        seen = {}
        for name, value in self.headers.items():
            seen.setdefault(name.lower(), []).append(value)
        said = {'at': self.server.place(self), 'path': self.path, 'headers': seen, 'length': len(received)}
        wanted = json.loads(self.headers.get('X-Answer') or '{}')
        body = wanted.get('body', json.dumps(said)).encode()
        self.send_response(wanted.get('status', 200))
        for name, value in wanted.get('headers', ()):
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        if self.command == 'HEAD':
            self.send_header('X-Said', json.dumps(said))
            body = b''
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_OPTIONS = do_PUT = do_HEAD = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_):
        """Say nothing."""


class Endpoints(socketserver.ThreadingTCPServer):
    """Endpoints at one port of all addresses of 127.0.0.0/8; `names` are the SNIs that came, with a TLS `context`."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, context=None):
        super().__init__(('0.0.0.0', 0), _Handler)
        self.names = []
        self.context = context
        if context is not None:
            context.sni_callback = lambda _socket, name, _context: self.names.append(name)
        self._thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        self._thread.start()

    def get_request(self):
        """Accept a connection; the handshake is for the thread that serves it."""
        connection, address = super().get_request()
        if self.context is not None:
            connection.settimeout(_SECONDS)
            connection = self.context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, *_):
        """Pass over clients that go away."""

    @property
    def port(self):
        """The port of all endpoints."""
        return self.server_address[1]

    @staticmethod
    def place(handler):
        """Return the address at which a request came."""
        return handler.connection.getsockname()[0]

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


@dataclass
class Answer:
    """What a client got: status, headers by lower-case name, body; `said` is what the endpoint says it saw."""

    status: int
    headers: dict = field(default_factory=dict)
    body: bytes = b''

    @property
    def said(self):
        """What the endpoint says."""
        return json.loads(self.body)


class Edge:
    """A rendered folder served by a HAProxy; a context manager."""

    def __init__(self, binary, *documents, tcp_ports=0, seen=None, addresses=('127.0.0.1',), quic=True, **settings):
        self._closing = contextlib.ExitStack()
        self.addresses, self.quic = addresses, quic
        self.binary, self.documents = binary, documents
        self.tcp_ports, self.settings, self.seen = tcp_ports, settings, seen or {}

    def __enter__(self):
        with contextlib.ExitStack() as closing:
            held = Ports(3 + self.tcp_ports)
            closing.callback(held.close)
            self.http, self.https, self.health, *self.tcp = held.numbers
            folder = Path(closing.enter_context(tempfile.TemporaryDirectory()))
            documents = [place(item, self.tcp) for item in self.documents]
            self.built = made = built(*documents, settings=self._settings(self.health), **self.seen)
            files.write(folder, self.rendered(made))
            self.haproxy = closing.enter_context(Haproxy(self.binary)).start(folder)
            self._closing = closing.pop_all()
        return self

    def renderer(self, context):
        """Return what renders the folder."""
        return Renderer(context, quic=self.quic)

    def rendered(self, made):
        """Return the files of the folder."""
        return self.renderer(made.context).render(made)

    def _settings(self, health):
        return Settings(
            addresses=self.addresses,
            http_port=self.http,
            https_port=self.https,
            health_port=health,
            threads=1,
            tcp_ports=','.join(map(str, self.tcp)),
            **{'maxconn': 1000, **self.settings},
        )

    def __exit__(self, *_):
        self._closing.close()

    def get(self, host, path='/', *, method='GET', headers=(), body=None, sni=None, certificate=None):
        """Send a request and return the answer; `sni` asks over TLS, `certificate` is a file the client shows."""
        port = self.http if sni is None else self.https
        connection = http.client.HTTPConnection('127.0.0.1', port, timeout=_SECONDS)
        with contextlib.closing(connection):
            connection.connect()
            if sni is not None:
                connection.sock = client_context(certificate).wrap_socket(connection.sock, server_hostname=sni)
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in (('Host', host), *headers):
                connection.putheader(name, value)
            if body is not None:
                connection.putheader('Content-Length', str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {}
            for name, value in answer.getheaders():
                found[name.lower()] = f'{found[name.lower()]}, {value}' if name.lower() in found else value
            return Answer(answer.status, found, answer.read())

    def resumed(self, first, second, certificate):
        """Return the status for a host whose TLS session is one of another, made with a certificate; None: no handshake."""
        context, session, status = client_context(certificate), None, None
        # A session of TLS 1.2 names its host, so clients and servers keep those apart by themselves.
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        for host in (first, second):
            with socket.create_connection(('127.0.0.1', self.https), timeout=_SECONDS) as plain:
                try:
                    with context.wrap_socket(plain, server_hostname=host, session=session) as secured:
                        secured.sendall(f'GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
                        status = int(secured.recv(65536).split()[1])
                        session = secured.session
                except (ssl.SSLError, ConnectionError):
                    status = None
            assert host == second or status == 200
        return status

    def post_h2(self, host, *, body, late):
        """Return the status of a POST by HTTP/2 without a Content-Length; `late`: the body comes after the headers."""
        names = ((':method', 'POST'), (':path', '/'), (':scheme', 'http'), (':authority', host))
        block = b''.join(b'\0' + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in names)
        with socket.create_connection(('127.0.0.1', self.http), timeout=_SECONDS) as connection:
            reader = connection.makefile('rb')
            head = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + _frame(4, 0, 0, b'') + _frame(1, 0x04, 1, block)
            data = _frame(0, 0x01, 1, body)
            connection.sendall(head if late else head + data)
            if late:
                # HAProxy has taken the headers when it answers the ping that follows them.
                connection.sendall(_frame(6, 0, 0, b'12345678'))
                _until(reader, lambda kind, flags, _: kind == 6 and flags & 1)
                connection.sendall(data)
            block = _until(reader, lambda kind, _, stream: kind == 1 and stream == 1)
        # The status comes first: indexed (RFC 7541, appendix A), or literal with the indexed name `:status`.
        indexed = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}
        return indexed[block[0] & 0x7F] if block[0] & 0x80 else int(block[2:5])


def _frame(kind, flags, stream, data):
    return struct.pack('>I', len(data))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + data


def _until(reader, wanted):
    while True:
        head = reader.read(9)
        assert len(head) == 9, 'the connection ended'
        size, kind, flags = int.from_bytes(head[:3]), head[3], head[4]
        data = reader.read(size)
        if wanted(kind, flags, int.from_bytes(head[5:])):
            return data


def client_context(certificate=None):
    """Return the context of a client that verifies no certificate and shows a certificate, if one is given."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


def ended(port, sent=b'', address='127.0.0.1'):
    """Connect to a TCP port, and return what came and how it ended: `reset`, or `closed` in good order."""
    came = b''
    try:
        with socket.create_connection((address, port), timeout=_SECONDS) as connection:
            connection.sendall(sent)
            while part := connection.recv(65536):
                came += part
    except (ConnectionResetError, BrokenPipeError):
        return came, 'reset'
    return came, 'closed'


def web(name, endpoints, *, address='127.0.9.1', host=None, **annotations):
    """Return a Service with host NAME.com and its slice; annotations are written with `_` for `-` and `__` for `.`."""
    said = {key.replace('__', '.').replace('_', '-'): value for key, value in annotations.items()}
    wanted = host if host is not None else f'{name}.com'
    ports = [{'name': 'http', 'port': 80}]
    return (
        service(name, annotations={**({'host': wanted} if wanted else {}), **said}, ports=ports),
        endpoint_slice(name, addresses=[address], port=endpoints.port, port_name='http'),
    )


def tcp(name, endpoints, number, *, addresses=('127.0.9.1',), **annotations):
    """Return a Service on the edge's TCP port of this index, and its slice."""
    said = {key.replace('_', '-'): value for key, value in annotations.items()}
    return (
        service(name, annotations={'port': f'TCP{number}', **said}, ports=[{'name': 'tcp', 'port': 80}]),
        endpoint_slice(name, addresses=addresses, port=endpoints.port, port_name='tcp'),
    )


def place(value, ports):
    """Return a document with `TCP0`, `TCP1`, … replaced by the numbers of ports."""
    if isinstance(value, dict):
        return {key: place(item, ports) for key, item in value.items()}
    if isinstance(value, list):
        return [place(item, ports) for item in value]
    return next((str(port) for index, port in enumerate(ports) if value == f'TCP{index}'), value)


def shown(found, name):
    """Return the certificate that a client sees who shows none, None where the handshake fails."""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(('127.0.0.1', found.https), timeout=10) as plain,
        client_context().wrap_socket(plain, server_hostname=name) as secured,
    ):
        # Where a certificate is required, TLS 1.3 says so only after the handshake.
        secured.sendall(b'GET /app HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' % name.encode())
        secured.recv(1)
        return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True)).encode()
    return None
