"""An endpoint that keeps every byte it gets, and reads it as strictly as HTTP/1.1 can be read.

What a laxer parser would read otherwise is a fault: two framings, a line that ends in LF alone, a folded line, …
"""

import contextlib
import re
import socketserver
import threading
from dataclasses import dataclass

SECONDS = 10.0
_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_FIRST = re.compile(rb'(' + _TOKEN + rb') ([\x21-\x7e]+) HTTP/1\.1')
_LINE = re.compile(
    rb'(' + _TOKEN + rb'):[ \t]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)[ \t]*'
)
_CHUNK = re.compile(rb'([0-9A-Fa-f]{1,16})')
_ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n'


class MalformedError(Exception):
    """What came is no message, or one that others would read otherwise."""


@dataclass(frozen=True)
class Message:
    """A request as it came: method, target, headers by lower-case name with all their values, and body."""

    method: str
    target: str
    headers: dict
    body: bytes
    raw: bytes

    @property
    def host(self):
        """Return the only value of Host."""
        (found,) = self.headers['host']
        return found


class _Reader:
    """Reads from a connection, and keeps what it read."""

    def __init__(self, connection):
        self.connection, self.held, self.kept = connection, b'', b''

    def _more(self):
        part = self.connection.recv(65536)
        if not part:
            raise EOFError
        self.held += part

    def line(self):
        while b'\n' not in self.held:
            self._more()
        found, _, self.held = self.held.partition(b'\n')
        self.kept += found + b'\n'
        if not found.endswith(b'\r') or b'\r' in found[:-1]:
            raise MalformedError(f'a line that does not end in CR LF: {found!r}')
        return found[:-1]

    def exactly(self, size):
        while len(self.held) < size:
            self._more()
        found, self.held = self.held[:size], self.held[size:]
        self.kept += found
        return found


def read(reader):
    """Read one message; raises EOFError when none begins, and MalformedError."""
    reader.kept = b''
    if not (first := _FIRST.fullmatch(line := reader.line())):
        raise MalformedError(f'no request line: {line!r}')
    headers = {}
    while line := reader.line():
        if not (found := _LINE.fullmatch(line)):
            raise MalformedError(f'no header: {line!r}')
        headers.setdefault(found[1].lower().decode(), []).append(found[2].decode('latin-1'))
    if len(headers.get('host', ())) != 1:
        raise MalformedError('not one Host')
    body = _body(reader, headers)
    return Message(first[1].decode(), first[2].decode(), headers, body, reader.kept)


def _body(reader, headers):
    length, coding = headers.get('content-length', []), headers.get('transfer-encoding', [])
    if len(length) + len(coding) > 1:
        raise MalformedError(f'framed twice: {length} {coding}')
    if coding:
        if coding != ['chunked']:
            raise MalformedError(f'an unknown coding: {coding}')
        return _chunks(reader)
    if length and not re.fullmatch('[0-9]{1,15}', length[0]):
        raise MalformedError(f'no length: {length}')
    return reader.exactly(int(length[0])) if length else b''


def _chunks(reader):
    found = b''
    while True:
        if not (size := _CHUNK.fullmatch(line := reader.line())):
            raise MalformedError(f'no size of a chunk: {line!r}')
        if not (wanted := int(size[1], 16)):
            break
        found += reader.exactly(wanted)
        if reader.exactly(2) != b'\r\n':
            raise MalformedError('a chunk without an end')
    while line := reader.line():
        if not _LINE.fullmatch(line):
            raise MalformedError(f'no trailer: {line!r}')
    return found


class _Handler(socketserver.BaseRequestHandler):
    def handle(self):
        """Read and answer messages until something is wrong or over."""
        self.request.settimeout(SECONDS)
        reader = _Reader(self.request)
        with contextlib.suppress(OSError):
            while True:
                try:
                    message = read(reader)
                except EOFError:
                    return
                except MalformedError as error:
                    self.server.faults.append(f'{error} in {reader.kept + reader.held!r}')
                    return
                self.server.messages.append(message)
                self.request.sendall(_ANSWER)


class Recorder(socketserver.ThreadingTCPServer):
    """The endpoint, at one port of all addresses of 127.0.0.0/8."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self):
        super().__init__(('0.0.0.0', 0), _Handler)
        self.messages, self.faults = [], []
        self._thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self):
        """The port of the endpoint."""
        return self.server_address[1]

    def clear(self):
        """Forget what came."""
        self.messages, self.faults = [], []

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()
