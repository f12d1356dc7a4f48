"""Pages for administrators: what is served, and why. They name objects of all namespaces, so each request is authorised first.

Promises: one page at a time is made, in pieces that hold the event loop for some milliseconds, however many objects
there are; each page is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import cast

import msgspec
from aiohttp import web
from multidict import MultiMapping

from headrace.agent import backend_figures, listings, overview, route_page, status
from headrace.agent.listings import Query, QueryError
from headrace.agent.loop import Loop
from headrace.agent.pace import Pace
from headrace.agent.source import Source
from headrace.agent.status import DiagnosticsView, Page
from headrace.agent.traffic import Traffic
from headrace.explain import expressions, trace, tracing
from headrace.explain import request as requests
from headrace.explain.request import CLIENT, RequestError
from headrace.explain.trace import Trace
from headrace.names import Ref
from headrace.nft.sync import TableSync
from headrace.resolve import explanation
from headrace.store import TRANSLATED

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Parameters = MultiMapping[str]
List = Callable[[Loop, Query, Parameters], Awaitable[bytes]]
_MOST, _USUAL = 1000, 500
_LONGEST_QUERY = 16_384


class Pages:
    """The pages of one agent; before there is a loop there is a source only."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.loop: Loop | None = None
        self.traffic: Traffic | None = None
        self.table_sync: TableSync | None = None
        self._turn = asyncio.Lock()

    def routes(self) -> dict[str, Handler]:
        """Return the handlers by path."""
        return {
            '/status': self.serve_status,
            '/status/{namespace}/{name}': self.serve_object,
            '/status/{kind}/{namespace}/{name}': self.serve_object,
            '/explain': self.serve_explanation,
            '/overview': self._list(self._overview, ()),
            '/routes': self._list(_routes, listings.ROUTE_ORDERS),
            '/route': self.serve_route,
            '/problems': self._list(self._problems, listings.PROBLEM_ORDERS),
            '/certificates': self._list(_certificates, listings.CERTIFICATE_ORDERS),
            '/gateways': self._list(_gateways, listings.GATEWAY_ORDERS),
            '/journal': self._list(_journal, ()),
            '/traffic': self._list(self._traffic, ()),
            '/backends': self._list(_backends, ()),
        }

    def _view(self, loop: Loop) -> DiagnosticsView:
        return DiagnosticsView(loop.diagnostics_index.diagnostics, self._source.diagnostics)

    def _list(self, make: List, orders: tuple[str, ...]) -> Handler:
        """Return the handler of a page that is made from its query; one page at a time is made."""

        async def handle(request: web.Request) -> web.Response:
            if self.loop is None:
                return _unread()
            try:
                wanted = listings.query(request.query, orders)
                async with self._turn:
                    return _json(await make(self.loop, wanted, request.query))
            except QueryError as error:
                return _error(400, str(error))

        return handle

    async def _overview(self, loop: Loop, _: Query, __: Parameters) -> bytes:
        return overview.of_agent(loop, self._source, self.table_sync)

    async def _problems(self, loop: Loop, wanted: Query, query: Parameters) -> bytes:
        unread = await asyncio.to_thread(self._source.diagnostics)
        return await listings.problems(loop.diagnostics_index.diagnostics, unread, wanted, query.get('level', ''))

    async def _traffic(self, loop: Loop, _: Query, __: Parameters) -> bytes:
        if self.traffic is None:
            return b'{}'
        await self.traffic.read(loop.applier)
        return await self.traffic.page()

    async def serve_status(self, request: web.Request) -> web.Response:
        """Return a page of what is served; `limit` and `continue` as in lists of the Kubernetes API."""
        loop = self.loop
        if loop is None:
            return _unread()
        limit, token = request.query.get('limit', str(_USUAL)), request.query.get('continue', '')
        if not (limit.isascii() and limit.isdigit() and len(limit) <= len(str(_MOST)) and 1 <= int(limit) <= _MOST):
            return _error(400, f'limit must be a number from 1 to {_MOST}')
        after = Ref(*token.split('/')) if token.count('/') == 2 else None  # noqa: PLR2004
        page = Page(int(limit), after)
        async with self._turn:
            return _json(await status.of_agent(loop.state, loop.applier, self._view(loop), page))

    async def serve_object(self, request: web.Request) -> web.Response:
        """Return one object, a Service where no kind is named, with its servers."""
        loop = self.loop
        ref = Ref(
            _kind(request.match_info.get('kind', 'Service')),
            request.match_info['namespace'],
            request.match_info['name'],
        )
        async with self._turn:
            body = await status.of_object(loop.state, loop.applier, self._view(loop), ref) if loop else None
        return _json(body) if body else _error(404, f'no {ref}')

    async def serve_route(self, request: web.Request) -> web.Response:
        """Return one route, of a kind and key as `/routes` lists it, with its candidates."""
        loop, kind, key = self.loop, request.query.get('kind', ''), request.query.get('key', '')
        if loop is None:
            return _unread()
        async with self._turn:
            body = route_page.of_route(loop.state, kind, key)
        return _json(body) if body else _error(404, 'no such route')

    async def serve_explanation(self, request: web.Request) -> web.Response:
        """Return why something is served, or not, or what becomes of a request."""
        loop = self.loop
        if loop is None:
            return _unread()
        if len(request.query_string) > _LONGEST_QUERY:
            return _error(400, f'the query must have {_LONGEST_QUERY} characters at most')
        async with self._turn:
            if 'request' not in request.query:
                return _json(await _explained(loop, request.query.get('of', '')))
            try:
                return _json(await _traced(loop, request))
            except RequestError as error:
                return _error(400, str(error))


def _kind(text: str) -> str:
    """Return a kind as the API spells it, of a text in any case."""
    return {kind.lower(): kind for kind in TRANSLATED}.get(text.lower(), text)


async def _explained(loop: Loop, target: str) -> bytes:
    pace, diagnostics = Pace(), loop.diagnostics_index.diagnostics
    steps = explanation.explaining(loop.state, loop.store, target, lambda ref: diagnostics.get(ref, ()))
    while True:
        try:
            next(steps)
        except StopIteration as done:
            return msgspec.json.encode(explanation.value(done.value))
        await pace.rest()


async def _traced(loop: Loop, asked: web.Request) -> bytes:
    """Return the trace of a request, and the states of the servers that could get it; raises RequestError."""
    query = asked.query
    request = requests.parse(
        query['request'],
        [requests.parse_header(text) for text in query.getall('header', [])],
        query.get('from') or CLIENT,
        query.get('listener', ''),
        certificate=query.get('certificate') == 'true',
    )
    traced = await _paced(tracing.tracing(loop.state, loop.store, request))
    names = [each.backend for each in traced.outcome.destinations]
    states = await status.server_states(loop.applier, names)
    return msgspec.json.encode({**trace.value(traced), 'servers': states})


async def _paced(turns: Generator[str, None, Trace]) -> Trace:
    """Return the trace that comes of some turns, between which the loop does other work."""
    while True:
        try:
            form = next(turns)
        except StopIteration as done:
            return cast('Trace', done.value)
        await asyncio.to_thread(expressions.compiled, form)


async def _routes(loop: Loop, wanted: Query, _: Parameters) -> bytes:
    return await listings.routes(loop.state, wanted)


async def _certificates(loop: Loop, wanted: Query, _: Parameters) -> bytes:
    return await listings.certificates(loop.state, loop.store, wanted)


async def _gateways(loop: Loop, wanted: Query, _: Parameters) -> bytes:
    return await listings.gateways(loop.state, loop.store, wanted)


async def _journal(loop: Loop, wanted: Query, _: Parameters) -> bytes:
    return loop.journal.page(loop.applier.stats.last_reloads, ' '.join(wanted.search), wanted.limit)


async def _backends(loop: Loop, _: Query, query: Parameters) -> bytes:
    names = query.getall('name', [])
    if len(names) > backend_figures.MOST_BACKENDS or not all(map(backend_figures.allowed, names)):
        raise QueryError(f'name must be a backend, {backend_figures.MOST_BACKENDS} of them at most')
    return await backend_figures.read(loop.applier, dict.fromkeys(names))


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type='application/json')


def _error(status: int, message: str) -> web.Response:
    return web.json_response({'error': message}, status=status)


def _unread() -> web.Response:
    return _error(503, 'the source is still being read')
