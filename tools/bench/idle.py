"""Clients that do nothing: connections that stay, half of them HTTP after one request, half of them plain TCP.

One that is closed is opened again, as its owner would. They live in a thread of their own.
"""

import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Self

_SECONDS = 10.0
_LOOK = 0.2


class Idle:
    """So many clients of two addresses; `closed` counts those that were closed, `errors` those that were not served."""

    def __init__(self, count: int, http: tuple[str, int], host: str, tcp: tuple[str, int]) -> None:
        self.closed, self.errors = 0, 0
        self._count, self._http, self._tcp = count, http, tcp
        self._ask = f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode()
        self._ended, self._renewals = threading.Event(), 0
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._selector = selectors.EpollSelector()
        for number in range(self._count):
            self._open(tcp=bool(number % 2))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self._close(key)
        self._selector.close()

    @property
    def open(self) -> int:
        """Return how many are connected."""
        return len(self._selector.get_map())

    def renew(self, count: int) -> None:
        """Let the clients that have been connected for longest leave, and as many come."""
        self._renewals = count

    def _open(self, *, tcp: bool) -> None:
        try:
            connection = socket.create_connection(self._tcp if tcp else self._http, _SECONDS)
        except OSError:
            self.errors += 1
            return
        try:
            if not tcp:
                connection.sendall(self._ask)
                if not connection.recv(65536).startswith(b'HTTP/1.1 200 '):
                    raise ConnectionError
        except OSError:
            self.errors += 1
            connection.close()
            return
        self._selector.register(connection, selectors.EVENT_READ, tcp)

    def _run(self) -> None:
        while not self._ended.is_set():
            count, self._renewals = self._renewals, 0
            for key in list(self._selector.get_map().values())[:count]:
                self._close(key)
                self._open(tcp=key.data)
            for key, _ in self._selector.select(_LOOK):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                said = b''
                with contextlib.suppress(OSError):
                    said = connection.recv(65536)
                if not said:
                    self._close(key)
                    self.closed += 1
                    self._open(tcp=key.data)

    def _close(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        assert isinstance(key.fileobj, socket.socket)
        key.fileobj.close()
