"""Pages for administrators: what is served, and why. They name objects of all namespaces, so each request is authorised first.

Promises: one page at a time is made, in pieces that hold the event loop for some milliseconds, however many objects
there are; each page is bounded.
"""

import asyncio
from collections.abc import Awaitable, Callable, Generator
from typing import cast

import msgspec
from aiohttp import web

from headrace.agent import status
from headrace.agent.loop import Loop
from headrace.agent.pace import Pace
from headrace.agent.source import Source
from headrace.agent.status import DiagnosticsView, Page
from headrace.explain import expressions, trace, tracing
from headrace.explain import request as requests
from headrace.explain.request import CLIENT, RequestError
from headrace.explain.trace import Trace
from headrace.names import Ref
from headrace.resolve import explanation

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_MOST, _USUAL = 1000, 500
_LONGEST_QUERY = 16_384


class Pages:
    """The pages of one agent; before there is a loop there is a source only."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.loop: Loop | None = None
        self._turn = asyncio.Lock()

    def routes(self) -> dict[str, Handler]:
        """Return the handlers by path."""
        return {
            '/status': self.serve_status,
            '/status/{namespace}/{name}': self.serve_object,
            '/status/{kind}/{namespace}/{name}': self.serve_object,
            '/explain': self.serve_explanation,
        }

    def _view(self, loop: Loop) -> DiagnosticsView:
        return DiagnosticsView(loop.diagnostics_index.diagnostics, self._source.diagnostics)

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
        kind = request.match_info.get('kind', 'Service').capitalize()
        ref = Ref(kind, request.match_info['namespace'], request.match_info['name'])
        async with self._turn:
            body = await status.of_object(loop.state, loop.applier, self._view(loop), ref) if loop else None
        return _json(body) if body else _error(404, f'no {ref}')

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


def _json(body: bytes) -> web.Response:
    return web.Response(body=body, content_type='application/json')


def _error(status: int, message: str) -> web.Response:
    return web.json_response({'error': message}, status=status)


def _unread() -> web.Response:
    return _error(503, 'the source is still being read')
