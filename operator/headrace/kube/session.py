"""The HTTP session to the API server that kopf and our own calls share.

Owns four things that kopf leaves open: a token that is read again for each request, so that a 401 is tried again here
and never reaches kopf, which can hang after one; lists and events that are taken where kopf reads them, so that kopf
follows resource versions and handles no objects, which costs it a task, a memory and three loggers for each; the time at
which each watch was last heard, bookmarks included; and a kind that is not served any more, on which kopf would end.
"""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

import aiohttp
import msgspec

import headrace
from headrace.kube.access import Access, AccessError

_FIRST_PAUSES = (0.2, 0.5, 1.0)
_CONNECT_SECONDS = 5.0
_CHANGES = frozenset(('ADDED', 'MODIFIED', 'DELETED'))
_BOOKMARK = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}\n'


class Pauses:
    """Pauses between attempts, in seconds, without end: short at first, then one to three at random."""

    def __iter__(self) -> Iterator[float]:
        """Yield them."""
        yield from _FIRST_PAUSES
        while True:
            yield random.uniform(1.0, 3.0)  # noqa: S311  it spreads load, and keeps no secret


class Listener(Protocol):
    """What receives the events of a watched path."""

    async def page(self, body: dict[str, Any], *, first: bool) -> None:
        """Take one page of a list."""

    async def event(self, kind: str, document: dict[str, Any]) -> None:
        """Take one event of the watch: ADDED, MODIFIED or DELETED, and the object. They come one at a time, in their order."""

    def heard(self) -> None:
        """Note that the watch has brought something."""

    def note_refusal(self, status: int) -> None:
        """Note that the server did not give what it was asked for."""

    def missing(self) -> bool:
        """Note that the path is not served; return whether that may be so, and is tried again."""


Listeners = Mapping[str, Listener]


def make(
    access: Access, listeners: Listeners, note_token: Callable[[bool], None] = lambda _: None
) -> aiohttp.ClientSession:
    """Return a session that adds the token, and tells listeners (by path) of their lists and watches.

    `note_token` is called with whether the API server takes the token, at each request.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=access.tls, limit=0),
        response_class=_response_class(listeners),
        middlewares=(_missing(listeners), _bearer(access, note_token)),
        headers={'User-Agent': f'headrace/{headrace.__version__}'},
        timeout=aiohttp.ClientTimeout(sock_connect=_CONNECT_SECONDS),
        proxy=access.proxy or None,
    )


def _bearer(access: Access, note_token: Callable[[bool], None]) -> aiohttp.ClientMiddlewareType:
    """Return the middleware that adds the token and tries again what was refused for it."""

    async def bearer(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        renew = False
        for pause in Pauses():
            try:
                token = await access.token(renew)
            except AccessError as error:
                # As a lost connection, which all callers retry.
                raise aiohttp.ClientConnectionError(str(error)) from error
            request.headers.pop('Authorization', None)
            request.server_hostname = access.server_name or None
            if token:
                request.headers['Authorization'] = f'{access.scheme} {token}'
            response = await handler(request)
            note_token(response.status != 401)  # noqa: PLR2004
            if response.status != 401:  # noqa: PLR2004
                return response
            renew = True
            # Not to be used again: a new credential may be the certificate that a new connection shows.
            response.close()
            await asyncio.sleep(pause)
        raise AssertionError

    return bearer


def _missing(listeners: Listeners) -> aiohttp.ClientMiddlewareType:
    """Return the middleware that makes a lost connection of "not found" for what may be missing."""

    async def missing(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        response = await handler(request)
        listener = listeners.get(request.url.path) if response.status == 404 else None  # noqa: PLR2004
        if listener is not None and listener.missing():
            response.close()
            raise aiohttp.ClientConnectionError(f'{request.url.path} is not served')
        return response

    return missing


class _Event(msgspec.Struct):
    """A line of a watch."""

    type: str
    object: dict[str, Any]


class _WatchContent:
    """A watch's content that gives its listener the events, and kopf a bookmark in the place of each.

    A line that is no event of an object is kopf's: bookmarks, errors, and what is no JSON. What follows the last line
    break of a watch that ends is no event, on which kopf would end too.
    """

    def __init__(self, content: aiohttp.StreamReader, listener: Listener) -> None:
        self._content, self._listener = content, listener

    def __getattr__(self, name: str) -> Any:
        return getattr(self._content, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Yield the lines as they come."""
        rest_of_line = b''
        async for data in self._content.iter_chunked(size):
            self._listener.heard()
            lines, end, rest = data.rpartition(b'\n')
            if end:
                for line in (rest_of_line + lines).split(b'\n'):
                    yield await self._take(line)
                rest_of_line = rest
            else:
                rest_of_line += data

    async def _take(self, line: bytes) -> bytes:
        """Return what kopf reads in the place of a line."""
        try:
            event = _EVENT.decode(line)
        except (msgspec.DecodeError, RecursionError):
            return line + b'\n'
        if event.type not in _CHANGES:
            return line + b'\n'
        try:
            version = int(event.object['metadata']['resourceVersion'])
        except (LookupError, TypeError, ValueError) as error:
            # As a lost connection: kopf would end on what is no object.
            raise aiohttp.ClientPayloadError(f'an event of no object: {error}') from error
        await self._listener.event(event.type, event.object)
        return _BOOKMARK % version


_EVENT = msgspec.json.Decoder(_Event)


def _response_class(listeners: Listeners) -> type[aiohttp.ClientResponse]:
    """Return a response class that gives lists and news of watches to their listeners."""

    class Response(aiohttp.ClientResponse):
        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            await super().start(connection)
            listener = listeners.get(self.url.path)
            if listener is None:
                return self
            if self.status != 200:  # noqa: PLR2004
                listener.note_refusal(self.status)
            elif 'watch' in self.url.query:
                listener.heard()
                self.content = _WatchContent(self.content, listener)  # type: ignore[assignment]
            return self

        async def json(self, **_: Any) -> Any:
            raw = await self.read()
            try:
                body = msgspec.json.decode(raw)
            except (msgspec.DecodeError, RecursionError) as error:
                if self.status >= 400:  # noqa: PLR2004
                    raise json.JSONDecodeError(str(error), '', 0) from error
                raise aiohttp.ClientPayloadError(f'{self.url.path}: {error}') from error
            listener = listeners.get(self.url.path)
            if listener is not None and isinstance(body, dict) and 'items' in body:
                try:
                    await listener.page(body, first='continue' not in self.url.query)
                except (LookupError, TypeError, ValueError) as error:
                    # As a lost connection: kopf would end on what is no list of objects.
                    raise aiohttp.ClientPayloadError(f'{self.url.path}: no list of objects: {error}') from error
                body['items'] = []
            return body

    return Response
