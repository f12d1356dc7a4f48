"""A small API server of the test: it answers as it is told, and keeps what it was asked."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from headrace.kube import session
from headrace.kube.access import Access
from headrace.kube.calls import Calls


class Server:
    """Answers with what it was given, one after the other; the last answer again and again."""

    def __init__(self):
        self.answers = []
        self.asked = []
        self.url = ''

    async def _answer(self, request):
        self.asked.append((request, await request.read()))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if callable(answer):
            return await answer(request)
        status, body, *headers = answer
        if isinstance(body, bytes):
            return web.Response(status=status, body=body, headers=dict(*headers), content_type='application/json')
        return web.json_response(body, status=status, headers=dict(*headers))

    @asynccontextmanager
    async def up(self, *answers):
        """Listen on a free port with these answers."""
        self.answers, self.asked = list(answers), []
        app = web.Application()
        app.router.add_route('*', '/{path:.*}', self._answer)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, '127.0.0.1', 0)
            await site.start()
            self.url = f'http://127.0.0.1:{runner.addresses[0][1]}'
            yield self
        finally:
            await runner.cleanup()

    @asynccontextmanager
    async def calls(self, *answers):
        """Listen, and give what calls it by a session of its own."""
        async with self.up(*answers), session.make(access(self.url), {}) as made:
            yield Calls(self.url, lambda: made)

    @property
    def tokens(self):
        return [request.headers.get('Authorization') for request, _ in self.asked]

    @property
    def lines(self):
        """Method and path of each request."""
        return [f'{request.method} {request.path}' for request, _ in self.asked]


def access(url, *tokens):
    """Return an access with these tokens, one after the other; an exception is raised."""
    left = list(tokens) or ['']
    refusals = []

    async def token(refused):
        refusals.append(refused)
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found

    made = Access(url, tls=False, token=token, namespace='default')
    token.refusals = refusals
    return made


@pytest.fixture
def server():
    """The API server; it listens within `up` or `calls`."""
    return Server()


@pytest.fixture
def access_of():
    """What makes an access of an address and tokens."""
    return access
