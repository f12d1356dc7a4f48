"""Clients for measurements: many connections, one process, no more work than it takes to keep HAProxy busy.

Requests are not pipelined and connections are kept: HAProxy is woken for each request, as it is by real clients.
"""

import itertools
import selectors
import socket
import ssl
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

_SECONDS = 20.0
_PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
_DATA, _HEADERS, _RST, _SETTINGS, _PING, _GOAWAY, _WINDOW = 0, 1, 3, 4, 6, 7, 8
_END_STREAM, _END_HEADERS, _ACK = 1, 4, 1
_OPEN_WINDOW = 0x3FFFFFFF


class ClientError(Exception):
    """An answer was not the one that was expected, or a connection ended."""


@dataclass(slots=True)
class Result:
    """How many requests were answered, and how long each took, in seconds."""

    count: int = 0
    times: list[float] = field(default_factory=list)


def http1(
    where: tuple[str, int],
    hosts: Sequence[str],
    *,
    count: int,
    connections: int,
    tls: bool = False,
    headers: str = '',
) -> Result:
    """Send so many requests over HTTP/1.1, one after the other on each connection; `headers` are lines that all have."""
    asks = [f'GET / HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n'.encode() for host in hosts]
    return _run(where, hosts, count, connections, lambda n: _Http1(asks, n), 'http/1.1' if tls else '')


def http2(where: tuple[str, int], hosts: Sequence[str], *, count: int, connections: int) -> Result:
    """Send so many requests over HTTP/2 and TLS, one after the other on each connection."""
    return _run(where, hosts, count, connections, lambda n: _Http2(hosts, n), 'h2')


def new_connections(where: tuple[str, int], *, count: int) -> Result:
    """Make so many connections, one after the other: each is for one request, and the other side closes it."""
    found = Result()
    ask = b'GET / HTTP/1.1\r\nHost: tcp\r\nConnection: close\r\n\r\n'
    for _ in range(count):
        began = time.perf_counter()
        with socket.create_connection(where, _SECONDS) as connection:
            connection.sendall(ask)
            said = connection.recv(65536)
            while part := connection.recv(65536):
                said += part
        _good(said)
        found.times.append(time.perf_counter() - began)
    found.count = count
    return found


_ASK = b'GET / HTTP/1.1\r\nHost: any.example.com\r\n\r\n'


def on_one_connection(where: tuple[str, int], count: int) -> Result:
    """Send so many requests one after the other on one connection, with as little work between them as can be."""
    found = Result(count)
    with _plain(where) as connection:
        for _ in range(count):
            began = time.perf_counter()
            connection.sendall(_ASK)
            _short(connection)
            found.times.append(time.perf_counter() - began)
    return found


def each_on_its_own(where: tuple[str, int], count: int) -> Result:
    """Do the same with a connection for each request, which its client closes."""
    found = Result(count)
    for _ in range(count):
        began = time.perf_counter()
        with _plain(where) as connection:
            connection.sendall(_ASK)
            _short(connection)
        found.times.append(time.perf_counter() - began)
    return found


def _plain(where: tuple[str, int]) -> socket.socket:
    connection = socket.socket()
    connection.settimeout(_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        connection.connect(where)
    except OSError:
        connection.close()
        raise
    return connection


def _short(connection: socket.socket) -> None:
    """Take an answer whose body is one line."""
    said = connection.recv(65536)
    while said and not (said.endswith(b'\n') and said.partition(b'\r\n\r\n')[2]):
        said += connection.recv(65536) or b'\r\n\r\ncut off\n'
    _good(said)


def _good(said: bytes) -> None:
    if not said.startswith(b'HTTP/1.1 200 '):
        raise ClientError(f'answered with {said[:80]!r}')


class _Http1:
    def __init__(self, asks: Sequence[bytes], number: int) -> None:
        self._asks, self._turn = asks, itertools.count(number * 7)
        self._said = b''

    def greeting(self) -> bytes:
        return b''

    def ask(self) -> bytes:
        return self._asks[next(self._turn) % len(self._asks)]

    def take(self, data: bytes) -> tuple[bool, bytes]:
        """Return whether the answer is whole, and what has to be sent meanwhile."""
        self._said += data
        head, found, body = self._said.partition(b'\r\n\r\n')
        if not found:
            return False, b''
        _good(head)
        length = int(head.lower().partition(b'content-length:')[2].partition(b'\r\n')[0] or 0)
        if len(body) < length:
            return False, b''
        self._said = b''
        return True, b''


class _Http2:
    def __init__(self, hosts: Sequence[str], number: int) -> None:
        # Indexed: GET, https, /; then the literal :authority, which HAProxy need not remember.
        self._blocks = [b'\x82\x87\x84\x01' + bytes([len(host)]) + host.encode() for host in hosts]
        self._turn, self._streams = itertools.count(number * 7), itertools.count(1, 2)
        self._buffer = b''

    def greeting(self) -> bytes:
        return _PREFACE + _frame(_SETTINGS, 0, 0, b'') + _frame(_WINDOW, 0, 0, struct.pack('>I', _OPEN_WINDOW))

    def ask(self) -> bytes:
        block = self._blocks[next(self._turn) % len(self._blocks)]
        return _frame(_HEADERS, _END_STREAM | _END_HEADERS, next(self._streams), block)

    def take(self, data: bytes) -> tuple[bool, bytes]:
        """Return whether the answer is whole, and what has to be sent meanwhile."""
        self._buffer += data
        done, send = False, b''
        while len(self._buffer) >= 9:  # noqa: PLR2004
            size = int.from_bytes(self._buffer[:3])
            if len(self._buffer) < 9 + size:
                break
            kind, flags, body = self._buffer[3], self._buffer[4], self._buffer[9 : 9 + size]
            self._buffer = self._buffer[9 + size :]
            if kind in (_RST, _GOAWAY):
                raise ClientError(f'HTTP/2 ended: {body!r}')
            # 200 is the eighth entry of the static table.
            if kind == _HEADERS and body[:1] != b'\x88':
                raise ClientError(f'answered with {body[:20]!r}')
            if kind in (_SETTINGS, _PING) and not flags & _ACK:
                send += _frame(kind, _ACK, 0, body if kind == _PING else b'')
            done = done or (kind in (_HEADERS, _DATA) and bool(flags & _END_STREAM))
        return done, send


def _frame(kind: int, flags: int, stream: int, data: bytes) -> bytes:
    return struct.pack('>I', len(data))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + data


def _run(
    where: tuple[str, int],
    hosts: Sequence[str],
    count: int,
    connections: int,
    make: Callable[[int], '_Http1 | _Http2'],
    alpn: str,
) -> Result:
    found, left = Result(), count
    with selectors.EpollSelector() as waiting:
        open_ones = [_connect(where, hosts[0], alpn) for _ in range(connections)]
        try:
            for number, connection in enumerate(open_ones):
                speech = make(number)
                connection.sendall(speech.greeting() + speech.ask())
                left -= 1
                waiting.register(connection, selectors.EVENT_READ, [speech, time.perf_counter()])
            while found.count < count:
                ready = waiting.select(_SECONDS)
                if not ready:
                    raise ClientError('no answer came')
                for key, _ in ready:
                    left -= _served(key, found, more=left > 0)
        finally:
            for connection in open_ones:
                connection.close()
    return found


def _served(key: selectors.SelectorKey, found: Result, *, more: bool) -> int:
    """Take what came on a connection; return 1 when its answer was whole and it asked again."""
    connection, (speech, began) = key.fileobj, key.data
    assert isinstance(connection, socket.socket)
    data = connection.recv(65536)
    # What TLS has taken out of the kernel no selector sees.
    while isinstance(connection, ssl.SSLSocket) and connection.pending():
        data += connection.recv(65536)
    if not data:
        raise ClientError('a connection was closed')
    done, send = speech.take(data)
    if done:
        found.times.append(time.perf_counter() - began)
        found.count += 1
        if more:
            send += speech.ask()
            key.data[1] = time.perf_counter()
    if send:
        connection.sendall(send)
    return int(done and more)


def _connect(where: tuple[str, int], host: str, alpn: str) -> socket.socket:
    connection = socket.create_connection(where, _SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if not alpn:
        return connection
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols([alpn])
    return context.wrap_socket(connection, server_hostname=host)
