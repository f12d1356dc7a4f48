"""The healthCheckNodePorts of Services that this node serves in kube-proxy's stead: load balancers ask which nodes have endpoints.

Promises: a port is listened on while a Service of the model has it; the answer is made from the model as it is then. A port
that another process has, as kube-proxy until a hand-over is done, is tried again each second.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import web

from headrace.agent.loop import Loop
from headrace.ir.fragment import Kind
from headrace.ir.l4 import HealthCheck
from headrace.resolve.changes import Change

log = logging.getLogger(__name__)
_RETRY_SECONDS = 1.0
_BACKLOG = 128
_HTTP: dict[str, Any] = {'access_log': None, 'keepalive_timeout': 15.0, 'max_headers': 64}
WEIGHT = 'X-Load-Balancing-Endpoint-Weight'


class HealthChecks:
    """What answers on these ports. `healthy` tells whether this node leads clients as it should."""

    def __init__(self, loop: Loop, healthy: Callable[[], bool]) -> None:
        self._loop, self._healthy = loop, healthy
        self._sites: dict[int, web.SockSite] = {}
        self._changed = asyncio.Event()
        self._refused: set[int] = set()
        loop.noted = self.note

    def note(self, change: Change) -> None:
        """Look at the ports again where a change has touched one."""
        if any(pointer.key[0] is Kind.HEALTH_CHECK for pointer in change.pointers):
            self._changed.set()

    async def run(self) -> None:
        """Listen on the ports of the model until cancelled."""
        application = web.Application()
        application.router.add_route('*', '/{path:.*}', self._answer)
        runner = web.AppRunner(application, **_HTTP)
        await runner.setup()
        try:
            while True:
                self._changed.clear()
                await self._listen(runner)
                timeout = _RETRY_SECONDS if self._refused else None
                try:
                    await asyncio.wait_for(self._changed.wait(), timeout)
                except TimeoutError:
                    continue
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        """Listen on what is wanted, and on nothing else."""
        wanted = {int(key) for key in self._loop.state.claims.keys_of(Kind.HEALTH_CHECK)}
        for port in self._sites.keys() - wanted:
            await self._sites.pop(port).stop()
        refused: set[int] = set()
        for port in sorted(wanted - self._sites.keys()):
            try:
                site = web.SockSite(runner, _socket(port))
                await site.start()
            except OSError as error:
                refused.add(port)
                self._note_refusal(port, error)
            else:
                self._sites[port] = site
        for port in self._refused - refused:
            self._loop.applier.stats.problem(f'health-check {port}', '')
        self._refused = refused

    def _note_refusal(self, port: int, error: OSError) -> None:
        check = self._check(port)
        text = f'healthCheckNodePort of {check.service if check else "no Service"}: {error.strerror or error}'
        if self._loop.applier.stats.problem(f'health-check {port}', text):
            log.warning('a health check cannot be answered', extra={'port': port, 'error': error.strerror})

    def _check(self, port: int) -> HealthCheck | None:
        state = self._loop.state
        content = state.claims.content((Kind.HEALTH_CHECK, str(port)), state.fragments)
        return content if isinstance(content, HealthCheck) else None

    async def _answer(self, request: web.Request) -> web.Response:
        """Answer as kube-proxy does: 200 while there are endpoints on this node, and it is healthy."""
        assert request.transport is not None
        check = self._check(request.transport.get_extra_info('sockname')[1])
        if check is None:
            return web.Response(status=503)
        healthy = self._healthy()
        return web.json_response(
            {
                'service': {'namespace': check.service.namespace, 'name': check.service.name},
                'localEndpoints': check.endpoints,
                'serviceProxyHealthy': healthy,
            },
            status=200 if check.endpoints and healthy else 503,
            headers={WEIGHT: str(check.endpoints), 'X-Content-Type-Options': 'nosniff'},
        )


def _socket(port: int) -> socket.socket:
    """Return a socket that listens at all addresses; two agents of a node share the port while one takes over."""
    has_both = socket.has_dualstack_ipv6()
    family, address = (socket.AF_INET6, '::') if has_both else (socket.AF_INET, '0.0.0.0')  # noqa: S104
    return socket.create_server(
        (address, port), family=family, backlog=_BACKLOG, reuse_port=True, dualstack_ipv6=has_both
    )
