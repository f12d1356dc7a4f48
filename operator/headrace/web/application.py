"""The pages of the dashboard by path: who may see them, what they ask of agents, and the templates that lay them out."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from aiohttp import web
from aiohttp.typedefs import Handler

from headrace.web import rendering
from headrace.web.access import COOKIE, SESSION_SECONDS, Access, AccessError, OfToken
from headrace.web.agents import AbsentError, Address, AgentError, Agents, Parameters, gather
from headrace.web.rendering import Rendering
from headrace.web.sampling import Sampling
from headrace.web.views import agents as agent_views
from headrace.web.views import (
    backends,
    certificates,
    explained,
    gateways,
    journal,
    lists,
    objects,
    problems,
    routes,
    traffic,
)
from headrace.web.views.agents import Agent
from headrace.web.views.answers import Object
from headrace.web.views.explained import Form

log = logging.getLogger(__name__)
NAVIGATION = (
    ('/', 'Overview'),
    ('/traffic', 'Traffic'),
    ('/routes', 'Routes'),
    ('/explain', 'Explain'),
    ('/journal', 'Changes'),
    ('/problems', 'Problems'),
    ('/certificates', 'Certificates'),
    ('/gateways', 'Gateways'),
    ('/nodes', 'Nodes'),
)
_OPEN = ('/static/', '/healthz', '/login', '/logout')
_SEEN_SECONDS = 2.0
_MOST_BACKENDS, _MOST_ENTRIES, _LONGEST_HEADERS = 20, 100, 8000
_METHODS = ('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS')
_YEAR = 31_536_000


@dataclass(frozen=True, slots=True)
class Scene:
    """What every page shows: all agents, and the one whose model it is about. `problem` tells why there is none."""

    agents: tuple[Agent, ...]
    shown: Agent | None
    address: Address | None
    problem: str = ''


class Dashboard:
    """The handlers of the dashboard."""

    def __init__(self, agents: Agents, access: Access, clock: Callable[[], float] = time.time) -> None:
        self.agents, self.access, self._clock = agents, access, clock
        self.sampling = Sampling(agents)
        self._rendering = Rendering()
        self._seen: tuple[float, Mapping[str, Any], tuple[Address, ...], str] = (float('-inf'), {}, (), '')
        self._turn = asyncio.Lock()

    def application(self) -> web.Application:
        """Return what is served."""
        application = web.Application(middlewares=[self._guard], client_max_size=64 * 1024)
        application.on_response_prepare.append(_add_headers)
        pages: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            '/': self._overview,
            '/traffic': self._traffic,
            '/traffic/series': self._series,
            '/routes': self._routes,
            '/route': self._route,
            '/objects/{kind}/{namespace}/{name}': self._object,
            '/explain': self._explain,
            '/journal': self._journal,
            '/problems': self._problems,
            '/certificates': self._certificates,
            '/gateways': self._gateways,
            '/nodes': self._nodes,
            '/login': self._login,
            '/healthz': _healthz,
            '/static/{name:.+}': self._static,
        }
        application.add_routes([web.get(path, handler) for path, handler in pages.items()])
        application.add_routes([
            web.post('/explain', self._explain),
            web.post('/login', self._sign_in),
            web.post('/logout', self._sign_out),
        ])  # fmt: skip
        return application

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Let those see pages that may, and show what went wrong as a page."""
        try:
            if not request.path.startswith(_OPEN):
                await self.access.judge(request)
                self.sampling.watch()
            return await handler(request)
        except AccessError as error:
            if error.sign_in and error.status == 401:  # noqa: PLR2004
                return self._login_page(request, '', 401)
            return self._message(request, error.status, str(error))
        except AbsentError as error:
            return self._message(request, 404, str(error))
        except AgentError as error:
            return self._message(request, 502, str(error))
        except web.HTTPException as error:
            if error.status >= 400:  # noqa: PLR2004
                return self._message(request, error.status, error.reason)
            raise

    def _message(self, request: web.Request, status: int, message: str) -> web.Response:
        return self._page(request, 'message.html', {'title': 'Not shown', 'message': message}, status=status)

    def _page(
        self,
        request: web.Request,
        template: str,
        values: Mapping[str, Any],
        *,
        scene: Scene | None = None,
        status: int = 200,
    ) -> web.Response:
        given = {
            'navigation': NAVIGATION,
            'path': f'/{request.path.split("/")[1]}',
            'scene': scene,
            'signed_in': isinstance(self.access, OfToken) and COOKIE in request.cookies,
            'now': self._clock(),
            **values,
        }
        body = self._rendering.page(template, given)
        return web.Response(text=body, content_type='text/html', status=status, headers={'Cache-Control': 'no-store'})

    # What agents say

    async def _scene(self, request: web.Request) -> Scene:
        """Return all agents, as of two seconds ago at most, and the one that the request asks for, else the first of the edge."""
        async with self._turn:
            failed = all(isinstance(answer, AgentError) for answer in self._seen[1].values())
            if failed or time.monotonic() - self._seen[0] > _SEEN_SECONDS:
                try:
                    addresses = await self.agents.addresses()
                    self._seen = time.monotonic(), await gather(self.agents, addresses, '/overview'), addresses, ''
                except AgentError as error:
                    self._seen = time.monotonic(), {}, (), str(error)
            _, answers, addresses, problem = self._seen
        found = []
        for address in addresses:
            answer = answers[address.name]
            failed = isinstance(answer, AgentError)
            found.append(
                agent_views.agent(address.name, address.node, None if failed else answer, str(answer) if failed else '')
            )
        shown = agent_views.model_of(found, request.query.get('agent', ''))
        by_name = {address.name: address for address in addresses}
        return Scene(tuple(found), shown, by_name[shown.name] if shown else None, problem)

    async def _ask(self, scene: Scene, path: str, parameters: Parameters = ()) -> dict[str, Any]:
        """Return what the agent that is shown answers; raises AgentError."""
        if scene.address is None:
            raise AgentError(scene.problem or 'no agent answers')
        answer = await self.agents.ask(scene.address, path, parameters)
        return answer if isinstance(answer, dict) else {}

    async def _list(
        self, request: web.Request, path: str, orders: tuple[str, ...], *more: str
    ) -> tuple[Scene, lists.Wanted, dict[str, Any]]:
        scene = await self._scene(request)
        asked = lists.wanted(path, request.query, orders, *more, 'agent')
        parameters = [(name, value) for name, value in asked.parameters.items() if name != 'agent']
        return scene, asked, await self._ask(scene, path, parameters)

    # Pages

    async def _overview(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        found = traffic.traffic(self.sampling.history, lists.Wanted('/traffic'))
        return self._page(request, 'overview.html', {'title': 'Overview', 'traffic': found}, scene=scene)

    async def _traffic(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        asked = lists.wanted('/traffic', request.query, traffic.ORDERS)
        found = traffic.traffic(self.sampling.history, asked)
        return self._page(request, 'traffic.html', {'title': 'Traffic', 'traffic': found, 'asked': asked}, scene=scene)

    async def _series(self, request: web.Request) -> web.Response:
        parts = request.query.get('of', '').split('/')
        key = (parts[0], parts[1], parts[2]) if len(parts) == 3 else None  # noqa: PLR2004
        found = traffic.series(self.sampling.history, key)
        return web.json_response(found, headers={'Cache-Control': 'no-store'})

    async def _routes(self, request: web.Request) -> web.Response:
        scene, asked, answer = await self._list(request, '/routes', routes.ORDERS)
        values = {'title': 'Routes', 'routes': routes.routes(answer, asked), 'asked': asked}
        return self._page(request, 'routes.html', values, scene=scene)

    async def _route(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        parameters = [(name, request.query.get(name, '')) for name in ('kind', 'key')]
        found = routes.route(await self._ask(scene, '/route', parameters))
        values = {
            'title': found.row.shown,
            'route': found,
            'trace': await self._trace(scene, Form(url=found.url)) if found.url else None,
            'backends': await self._backends(scene, found.row.backends),
        }
        return self._page(request, 'route.html', values, scene=scene)

    async def _object(self, request: web.Request) -> web.Response:
        scene, match = await self._scene(request), request.match_info
        subject = Object(match['namespace'], match['name'], match['kind'])
        target = f'{subject.kind}/{subject.namespace}/{subject.name}'
        explanation = await self._ask(scene, '/explain', [('of', target)])
        try:
            status = await self._ask(scene, f'/status/{quote(target)}')
        except AbsentError:
            status = {}
        found = objects.page(subject, explanation, status)
        values = {'title': subject.shown, 'page': found, 'backends': await self._backends(scene, found.backends)}
        return self._page(request, 'object.html', values, scene=scene)

    async def _backends(self, scene: Scene, names: Sequence[str]) -> tuple[backends.Backend, ...]:
        wanted = [name for name in names if name.count('_') >= 2][:_MOST_BACKENDS]  # noqa: PLR2004
        if not wanted:
            return ()
        return backends.backends(await self._ask(scene, '/backends', [('name', name) for name in wanted]))

    async def _trace(self, scene: Scene, form: Form) -> explained.Trace | str:
        """Return what becomes of a request, or why it cannot be told."""
        try:
            return explained.trace(await self._ask(scene, '/explain', form.parameters))
        except AgentError as error:
            return str(error)

    async def _explain(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        given: Mapping[str, Any] = await request.post() if request.method == 'POST' else request.query
        form = _form(given)
        found = await self._trace(scene, form) if form.url else None
        values = {'title': 'Explain a request', 'form': form, 'trace': found, 'methods': _METHODS}
        return self._page(request, 'explain.html', values, scene=scene)

    async def _journal(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        search, name = request.query.get('search', '')[:200], request.query.get('agent', '')
        addresses = [each for each in self._seen[2] if not name or each.name == name]
        parameters = [('limit', str(_MOST_ENTRIES)), *([('search', search)] if search else [])]
        answers = await gather(self.agents, addresses, '/journal', parameters)
        good = {key: answer for key, answer in answers.items() if not isinstance(answer, AgentError)}
        values = {'title': 'Changes', 'journal': journal.journal(good, _MOST_ENTRIES), 'search': search, 'agent': name}
        return self._page(request, 'journal.html', values, scene=scene)

    async def _problems(self, request: web.Request) -> web.Response:
        scene, asked, answer = await self._list(request, '/problems', problems.ORDERS, 'level')
        values = {'title': 'Problems', 'problems': problems.problems(answer, asked), 'asked': asked}
        return self._page(request, 'problems.html', values, scene=scene)

    async def _certificates(self, request: web.Request) -> web.Response:
        scene, asked, answer = await self._list(request, '/certificates', certificates.ORDERS)
        found = certificates.certificates(answer, asked, self._clock())
        values = {'title': 'Certificates', 'certificates': found, 'asked': asked}
        return self._page(request, 'certificates.html', values, scene=scene)

    async def _gateways(self, request: web.Request) -> web.Response:
        scene, asked, answer = await self._list(request, '/gateways', ('object',))
        values = {'title': 'Gateways and addresses', 'gateways': gateways.gateways(answer, asked), 'asked': asked}
        return self._page(request, 'gateways.html', values, scene=scene)

    async def _nodes(self, request: web.Request) -> web.Response:
        scene = await self._scene(request)
        return self._page(request, 'nodes.html', {'title': 'Nodes and agents'}, scene=scene)

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info['name']
        if name not in rendering.FILES:
            raise web.HTTPNotFound
        headers = {'Cache-Control': f'public, max-age={_YEAR}, immutable'} if 'v' in request.query else {}
        kind = rendering.FILES[name]
        return web.Response(body=self._rendering.files[name], content_type=kind, charset='utf-8', headers=headers)

    # Signing in

    def _login_page(self, request: web.Request, message: str, status: int = 200) -> web.Response:
        return self._page(request, 'login.html', {'title': 'Sign in', 'message': message}, status=status)

    async def _login(self, request: web.Request) -> web.Response:
        if not self.access.signs_in:
            raise web.HTTPFound('/')
        return self._login_page(request, '')

    async def _sign_in(self, request: web.Request) -> web.StreamResponse:
        if not isinstance(self.access, OfToken):
            raise web.HTTPFound('/')
        token = str((await request.post()).get('token', '')).strip()
        try:
            if not token:
                return self._login_page(request, 'a token is missing', 401)
            await self.access.review(token, request)
        except AccessError as error:
            return self._login_page(request, str(error), error.status)
        answer = web.HTTPSeeOther('/')
        answer.set_cookie(
            COOKIE,
            self.access.sessions.begin(token),
            max_age=int(SESSION_SECONDS),
            httponly=True,
            samesite='Strict',
            secure=request.secure or request.headers.get('X-Forwarded-Proto') == 'https',
        )
        raise answer

    async def _sign_out(self, request: web.Request) -> web.StreamResponse:
        if isinstance(self.access, OfToken):
            self.access.sessions.end(request.cookies.get(COOKIE, ''))
        answer = web.HTTPSeeOther('/')
        answer.del_cookie(COOKIE)
        raise answer


def _form(given: Mapping[str, Any]) -> Form:
    method = str(given.get('method', 'GET'))
    url = str(given.get('url', '')).strip()[:4000]
    return Form(
        method=method if method in _METHODS else 'GET',
        url=f'http://{url}' if url and '://' not in url else url,
        headers=str(given.get('headers', ''))[:_LONGEST_HEADERS],
        client=str(given.get('from', '')).strip()[:100],
        listener=str(given.get('listener', '')).strip()[:600],
        certificate=given.get('certificate') == 'true',
    )


async def _healthz(_: web.Request) -> web.Response:
    return web.Response(text='healthy\n')


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(rendering.HEADERS)
