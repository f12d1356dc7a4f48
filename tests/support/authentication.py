"""An authentication server whose answers a test decides, and which remembers what it was asked."""

import socketserver
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

_SECONDS = 20.0


@dataclass
class Asked:
    """A request as it came."""

    method: str
    path: str
    headers: dict[str, list[str]] = field(default_factory=dict)
    body: bytes = b''

    def header(self, name):
        """Return the only value of a header, None where it did not come."""
        values = self.headers.get(name, [])
        assert len(values) < 2, values
        return values[0] if values else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    timeout = _SECONDS

    def _answer(self):
        headers = {}
        for name, value in self.headers.items():
            headers.setdefault(name.lower(), []).append(value)
        body = self.rfile.read(int(self.headers.get('Content-Length') or 0))
        while self.headers.get('Transfer-Encoding') and (size := int(self.rfile.readline(), 16)):
            body += self.rfile.read(size)
            self.rfile.readline()
        asked = Asked(self.command, self.path, headers, body)
        self.server.asked.append(asked)
        found = self.server.answer(asked)
        if isinstance(found, bytes):
            self.wfile.write(found)
            self.close_connection = True
            return
        status, headers, body = found
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_):
        """Say nothing."""


class Authentication(socketserver.ThreadingTCPServer):
    """Answers by `answer`, a function from what was asked to status, headers and body, or to the bytes of an answer."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 256

    def __init__(self, address='127.0.8.1'):
        super().__init__((address, 0), _Handler)
        self.address = address
        self.asked = []
        self.connections = 0
        self.answer = allow
        self._thread = threading.Thread(target=self.serve_forever, kwargs={'poll_interval': 0.02}, daemon=True)
        self._thread.start()

    @property
    def port(self):
        """The port of the server."""
        return self.server_address[1]

    def get_request(self):
        """Count connections."""
        self.connections += 1
        return super().get_request()

    def handle_error(self, *_):
        """Pass over clients that go away."""

    def __exit__(self, *_):
        self.shutdown()
        self._thread.join()
        self.server_close()


def allow(_):
    """Let every request on."""
    return 200, (), b''
