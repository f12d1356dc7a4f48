"""Connections to one of the agent's own ports: limits of their number, in all and by peer, and of their time.

Promises: a client that is slow, silent or one of many costs a bounded part of the memory and of the event loop, and keeps
no other client out: at a limit the oldest connection without a request gives way to a new one. TLS handshakes, which cost
the loop the most, are begun at a bounded rate.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler

from headrace.buckets import Buckets, peer

log = logging.getLogger(__name__)
MOST, MOST_BY_PEER = 128, 16
HANDSHAKES, HANDSHAKES_BY_PEER = 100.0, 50.0
MOST_BYTES = 64 * 1024
# Of answers that clients have not read; the metrics of thousands of Services are megabytes.
MOST_UNREAD = 32 * 1024 * 1024
_HANDSHAKE_SECONDS = 5.0
_REQUEST_SECONDS = 5.0
_ANSWER_SECONDS = 60.0
# For the client to read an answer, and to send another request.
_READ_SECONDS = 30.0
_ACCEPTED_AT_ONCE = 8
# Without a free file descriptor nothing can be accepted.
_PAUSE_SECONDS = 0.2


class Connection(asyncio.Protocol):
    """One connection, with the limits of its time and bytes; `busy` while a request is answered."""

    def __init__(self, port: 'Port', peer: str) -> None:
        self.peer, self.busy = peer, False
        self.opening: asyncio.Task[Any] | None = None
        self._port, self._handler = port, port.server()
        self._transport: asyncio.Transport | None = None
        self._received = 0
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the first request."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._port.by_transport[transport] = self
        self._limit(_REQUEST_SECONDS)
        self._handler.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        """Pass on what arrives, up to so many bytes a request."""
        self._received += len(data)
        if self._received > MOST_BYTES:
            self.end_for('large')
            return
        self._handler.data_received(data)

    def eof_received(self) -> None:
        """Pass on that the client sends no more."""
        self._handler.eof_received()

    def pause_writing(self) -> None:
        """Pass on that the client does not read."""
        self._handler.pause_writing()
        self._port.limit_unread()

    def resume_writing(self) -> None:
        """Pass on that the client reads again."""
        self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget the connection."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            del self._port.by_transport[self._transport]
        self._port.forget(self)
        self._handler.connection_lost(exc)

    def begin(self) -> None:
        """Note a request."""
        self.busy, self._received = True, 0
        self._limit(_ANSWER_SECONDS)

    def end(self) -> None:
        """Note that its answer is made."""
        self.busy = False
        self._limit(_READ_SECONDS)

    def abort(self) -> None:
        """End the connection at once, during a handshake too."""
        if self._transport is not None:
            self._transport.abort()
        elif self.opening is not None:
            self.opening.cancel()

    @property
    def unread(self) -> int:
        """Return how many bytes of answers wait for the client to read."""
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def end_for(self, why: str) -> None:
        """End the connection, and note why."""
        self._port.note(why)
        self.abort()

    def _limit(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, self.end_for, 'slow')


class Port:
    """The connections of one port; `note` counts those that are refused or ended, by a word for why."""

    server: Callable[[], Any]

    def __init__(self, tls: ssl.SSLContext | None, note: Callable[[str], None]) -> None:
        self.note = note
        self.by_transport: dict[asyncio.BaseTransport, Connection] = {}
        self._tls = tls
        self._handshakes = Buckets(HANDSHAKES_BY_PEER, HANDSHAKES)
        # In the order in which they came.
        self._open: dict[Connection, None] = {}
        self._peers: Counter[str] = Counter()
        self._sockets: list[socket.socket] = []

    def listen(self, sockets: Iterable[socket.socket], server: Callable[[], Any]) -> None:
        """Accept connections of sockets that listen; `server` makes what answers each of them."""
        self.server = server
        for listener in sockets:
            listener.setblocking(False)  # noqa: FBT003  the name of the method says it
            self._sockets.append(listener)
            self._accept_from(listener)

    def _accept_from(self, listener: socket.socket) -> None:
        if listener.fileno() >= 0:
            asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_ACCEPTED_AT_ONCE):
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError:
                self.note('descriptors')
                loop = asyncio.get_running_loop()
                loop.remove_reader(listener)
                loop.call_later(_PAUSE_SECONDS, self._accept_from, listener)
                return
            if (why := self._refusal(peer_name := peer(str(address[0])))) is not None:
                self.note(why)
                accepted.close()
                continue
            self._open_one(accepted, peer_name)

    def _refusal(self, peer_name: str) -> str | None:
        if self._tls is not None and not self._handshakes.take(peer_name, time.monotonic()):
            return 'handshakes'
        return None if self._has_room(peer_name) else 'full'

    def _has_room(self, peer_name: str) -> bool:
        """Make room for a connection of a peer: one of its own gives way, or one of the peer that has the most."""
        if self._peers[peer_name] < MOST_BY_PEER:
            if len(self._open) < MOST:
                return True
            peer_name = max(self._peers, key=self._peers.__getitem__)
        oldest = next(
            (connection for connection in self._open if connection.peer == peer_name and not connection.busy), None
        )
        if oldest is None:
            return False
        self.note('older')
        self.forget(oldest)
        oldest.abort()
        return True

    def _open_one(self, accepted: socket.socket, peer_name: str) -> None:
        accepted.setblocking(False)  # noqa: FBT003  the name of the method says it
        connection = Connection(self, peer_name)
        self._open[connection] = None
        self._peers[peer_name] += 1
        limits = {'ssl_handshake_timeout': _HANDSHAKE_SECONDS, 'ssl_shutdown_timeout': 1.0} if self._tls else {}
        opening = asyncio.get_running_loop().connect_accepted_socket(
            lambda: connection, accepted, ssl=self._tls, **limits
        )
        connection.opening = asyncio.create_task(opening)
        connection.opening.add_done_callback(lambda done: self._opened(connection, accepted, done))

    def _opened(self, connection: Connection, accepted: socket.socket, task: asyncio.Task[Any]) -> None:
        """Forget a connection whose handshake failed, was too slow, or has given way."""
        error = None if task.cancelled() else task.exception()
        if task.cancelled() or error is not None:
            accepted.close()
            self.forget(connection)
        if error is not None and not isinstance(error, OSError):
            log.error('a connection could not be opened', exc_info=error)

    def limit_unread(self) -> None:
        """End connections whose clients do not read, the oldest of the peer with the most unread bytes first."""
        while True:
            unread = {connection: size for connection in self._open if (size := connection.unread)}
            # One alone may be as large as it is.
            if len(unread) < 2 or sum(unread.values()) <= MOST_UNREAD:  # noqa: PLR2004
                return
            peers = Counter[str]()
            for connection, size in unread.items():
                peers[connection.peer] += size
            ((heaviest, _),) = peers.most_common(1)
            oldest = next(connection for connection in unread if connection.peer == heaviest)
            self.forget(oldest)
            oldest.end_for('unread')

    def forget(self, connection: Connection) -> None:
        """Forget a connection that has ended."""
        if connection in self._open:
            del self._open[connection]
            self._peers[connection.peer] -= 1
            if not self._peers[connection.peer]:
                del self._peers[connection.peer]

    @web.middleware
    async def follow(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Note on its connection that a request is answered."""
        connection = self.by_transport.get(request.transport) if request.transport is not None else None
        if connection is None:
            return await handler(request)
        connection.begin()
        try:
            return await handler(request)
        finally:
            connection.end()

    def close(self) -> None:
        """End all of it."""
        loop = asyncio.get_running_loop()
        for listener in self._sockets:
            loop.remove_reader(listener)
            listener.close()
        for connection in [*self._open]:
            connection.abort()
