"""An HTTP proxy before the API server: it answers in its stead, holds watches back, and keeps what was asked.

It runs in a thread of its own, and shows the API server's certificate; each method returns when its effect is there.
For faults of connections see `support.proxy`.
"""

import asyncio
import contextlib
import json
import ssl
import threading
import time
from dataclasses import dataclass, field

import aiohttp
from aiohttp import web

from support import ports

_NOT_PASSED_ON = {'Connection', 'Keep-Alive', 'Transfer-Encoding', 'Content-Length'}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: when, what, and the status of its answer; 0 while there is none."""

    at: float
    method: str
    path: str
    query: dict
    bearer: str
    status: int

    @property
    def is_watch(self):
        return 'watch' in self.query


@dataclass(slots=True, eq=False)
class Fault:
    """An answer in the API server's stead, for requests that match: so many times, or (None) while it lasts."""

    status: int
    watch: bool | None = None
    method: str | None = None
    path: str = ''
    times: int | None = None
    headers: dict = field(default_factory=dict)
    used: int = 0

    def matches(self, method, path, is_watch):
        """Tell whether a request gets this answer."""
        return (
            self.method in (None, method)
            and self.watch in (None, is_watch)
            and path.endswith(self.path)
            and (self.times is None or self.used < self.times)
        )


@dataclass(slots=True, eq=False)
class _Stream:
    """A watch that passes through."""

    path: str
    response: web.StreamResponse
    frozen: bool = False
    ends: asyncio.Event = field(default_factory=asyncio.Event)


class Gate:
    """A proxy to the API server of a control plane; a context manager, which leaves no connection and no thread."""

    def __init__(self, plane):
        self._plane = plane
        self.port, self._held = ports.reserve()
        self.url = f'https://{ports.LOCAL}:{self.port}'
        self.asked = []
        self._faults, self._streams = [], set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name='gate', daemon=True)

    def __enter__(self):
        """Listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_):
        """End all connections, and the thread."""
        self._do(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._held.close()

    # --- faults ----------------------------------------------------------------------------------

    @contextlib.contextmanager
    def answering(self, status, **which):
        """Answer requests that match (see Fault) in the API server's stead; yields the fault, which counts them."""
        fault = Fault(status, **which)
        self._faults.append(fault)
        try:
            yield fault
        finally:
            self._faults.remove(fault)

    def freeze(self):
        """Let nothing more through on the watches that are open now, which stay open; return how many there are."""
        return self._do(self._freeze())

    def tell(self, path, raw):
        """Write bytes into the open watches of a path, frozen ones too, as if the API server had sent them."""
        self._do(self._tell(path, raw))

    def end(self, path=''):
        """End the open watches of a path (all paths) in order, wherever in a line they are."""
        self._do(self._end(path))

    def watches(self, path=''):
        """Return how many watches of a path (all paths) are open and not frozen."""
        return sum(stream.path.endswith(path) and not stream.frozen for stream in self._streams)

    def times(self, method, path, *, watch=None):
        """Return when something was asked for, in monotonic seconds."""
        return [
            each.at
            for each in list(self.asked)
            if each.method == method and each.path.endswith(path) and watch in (None, each.is_watch)
        ]

    # --- in the thread ---------------------------------------------------------------------------

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=20)

    async def _listen(self):
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(self._plane.folder / 'server.crt', self._plane.folder / 'server.key')
        trusted = ssl.create_default_context(cafile=self._plane.ca)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=trusted, limit=0),
            timeout=aiohttp.ClientTimeout(total=None),
            auto_decompress=False,
            skip_auto_headers=('Content-Type', 'Accept-Encoding'),
        )
        app = web.Application(client_max_size=1 << 24)
        app.router.add_route('*', '/{path:.*}', self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, ports.LOCAL, self.port, ssl_context=tls, reuse_port=True).start()

    async def _close(self):
        for stream in self._streams:
            stream.ends.set()
        await self._runner.cleanup()
        await self._session.close()
        # TLS takes some rounds to say goodbye; nothing but the loop's own socket is left at the end.
        while len(self._loop._selector.get_map()) > 1:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def _answer(self, request):
        at, is_watch = time.monotonic(), 'watch' in request.query
        for fault in self._faults:
            if fault.matches(request.method, request.path, is_watch):
                fault.used += 1
                self._note(at, request, fault.status)
                status = {'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'code': fault.status}
                return web.json_response(
                    {**status, 'message': 'as the test wants it'}, status=fault.status, headers=fault.headers
                )
        kept = {key: value for key, value in request.headers.items() if key not in {*_NOT_PASSED_ON, 'Host'}}
        try:
            async with self._session.request(
                request.method, f'{self._plane.url}{request.path_qs}', headers=kept, data=await request.read() or None
            ) as answer:
                self._note(at, request, answer.status)
                return await self._pass_on(request, answer, watch=is_watch and answer.status == web.HTTPOk.status_code)
        except aiohttp.ClientError:
            request.transport.abort()
            raise

    def _note(self, at, request, status):
        bearer = request.headers.get('Authorization', '').removeprefix('Bearer ')
        self.asked.append(Asked(at, request.method, request.path, dict(request.query), bearer, status))

    async def _pass_on(self, request, answer, *, watch):
        headers = {key: value for key, value in answer.headers.items() if key not in _NOT_PASSED_ON}
        if not watch:
            return web.Response(body=await answer.read(), status=answer.status, headers=headers)
        response = web.StreamResponse(headers=headers)
        await response.prepare(request)
        stream = _Stream(request.path, response)
        self._streams.add(stream)
        passing = asyncio.create_task(self._pump(answer, stream))
        ending = asyncio.create_task(stream.ends.wait())
        try:
            await asyncio.wait([passing, ending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._streams.discard(stream)
            for task in (passing, ending):
                task.cancel()
            await asyncio.gather(passing, ending, return_exceptions=True)
        return response

    async def _pump(self, answer, stream):
        async for chunk in answer.content.iter_any():
            if stream.frozen:
                return await asyncio.Event().wait()
            await stream.response.write(chunk)
        return None

    async def _freeze(self):
        for stream in self._streams:
            stream.frozen = True
        return len(self._streams)

    async def _tell(self, path, raw):
        for stream in list(self._streams):
            if stream.path.endswith(path):
                await stream.response.write(raw)

    async def _end(self, path):
        for stream in list(self._streams):
            if stream.path.endswith(path):
                stream.ends.set()


def gone():
    """Return the event of a watch that says that its version is too old."""
    status = {'kind': 'Status', 'apiVersion': 'v1', 'status': 'Failure', 'reason': 'Expired', 'code': 410}
    return json.dumps({'type': 'ERROR', 'object': {**status, 'metadata': {}, 'message': 'too old'}}).encode() + b'\n'
