"""The healthCheckNodePorts of Services that this node serves in kube-proxy's stead: load balancers ask which nodes have endpoints.

And the port of the node's own health, where there is one. Promises: a port is listened on while a Service of the model has it, and
only by the agent that has the node's table; the answer is made from the model as it is then. A port that another process has,
as kube-proxy until a hand-over is done, is tried again each second.
"""

import asyncio
import contextlib
import logging
import socket
from typing import Any

from aiohttp import web

from headrace.agent import node_health
from headrace.agent.loop import Loop
from headrace.agent.node_health import NodeHealth
from headrace.agent.node_table import NodeTable
from headrace.ir.fragment import Kind
from headrace.ir.l4 import HealthCheck
from headrace.resolve.changes import Change

log = logging.getLogger(__name__)
# How often refused ports are tried again, and the health is looked at.
_LOOK_SECONDS = 1.0
_BACKLOG = 128
_HTTP: dict[str, Any] = {'access_log': None, 'keepalive_timeout': 15.0, 'max_headers': 64}
WEIGHT = 'X-Load-Balancing-Endpoint-Weight'


class HealthChecks:
    """What answers on these ports."""

    def __init__(self, loop: Loop, table: NodeTable) -> None:
        self._loop, self._table, self._health = loop, table, NodeHealth(loop, table)
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
        await self._table.owned.wait()
        application = web.Application()
        application.router.add_route('*', '/{path:.*}', self._answer)
        runner = web.AppRunner(application, **_HTTP)
        await runner.setup()
        try:
            while True:
                self._changed.clear()
                self._health.look()
                await self._listen(runner)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), _LOOK_SECONDS)
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner) -> None:
        """Listen on what is wanted, and on nothing else."""
        wanted = self._wanted()
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

    def _wanted(self) -> set[int]:
        """Return the ports to listen on; none once another agent of the node may have the table."""
        if self._table.table_sync.leaving:
            return set()
        own = self._loop.state.context.settings.node_healthz_port
        return {*map(int, self._loop.state.claims.keys_of(Kind.HEALTH_CHECK)), *([own] if own else [])}

    def _note_refusal(self, port: int, error: OSError) -> None:
        check = self._check(port)
        name = f'healthCheckNodePort of {check.service}' if check else 'nodeHealthzPort'
        text = f'{name}: {error.strerror or error}'
        if self._loop.applier.stats.problem(f'health-check {port}', text):
            log.warning('a health check cannot be answered', extra={'port': port, 'error': error.strerror})

    def _check(self, port: int) -> HealthCheck | None:
        state = self._loop.state
        content = state.claims.content((Kind.HEALTH_CHECK, str(port)), state.fragments)
        return content if isinstance(content, HealthCheck) else None

    async def _answer(self, request: web.Request) -> web.Response:
        """Answer as kube-proxy does: 200 while there are endpoints on this node, and it is healthy."""
        assert request.transport is not None
        port = request.transport.get_extra_info('sockname')[1]
        if port == self._loop.state.context.settings.node_healthz_port:
            known = request.path in (node_health.HEALTHZ, node_health.LIVEZ)
            return self._health.answer(request.path) if known else web.Response(status=404)
        check = self._check(port)
        if check is None:
            return web.Response(status=503)
        healthy = self._health.good
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
