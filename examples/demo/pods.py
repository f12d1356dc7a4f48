"""Small real pods for the demonstration, and the ports that its HAProxy listens on."""

import collections
import http
import json
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from typing import Any

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
    '127.10.7.1': 'gifts-1',
}
# How many requests each pod has had.
REQUESTS = collections.Counter[str]()
TCP_PODS = {'127.10.5.1': 'orders-db-1', '127.10.5.2': 'orders-db-2'}


class PodsError(Exception):
    """The pods cannot be started; the message says why."""


class _WebPod(BaseHTTPRequestHandler):
    """A pod that says who it is and what it saw. Its server knows the name by the address that it listens on."""

    protocol_version = 'HTTP/1.1'

    def do_GET(self) -> None:
        seen = {name.lower(): value for name, value in self.headers.items()}
        pod = WEB_PODS[self.server.server_address[0]]
        REQUESTS[pod] += 1
        body = json.dumps({'pod': pod, 'path': self.path, 'seen': seen}).encode()
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
            raise PodsError('no port is free for the pods')
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
    """Free ports for HAProxy's listeners, held until the end so that no other process takes them.

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
