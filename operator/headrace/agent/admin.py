"""The admin port: liveness, health, readiness and metrics for all clients, pages for administrators on loopback.

`/livez` fails when the loop stands still: restarting helps. `/healthz` fails when something stands in the way, and says
what: it is for alerts, not for restarts. `/readyz` fails until the first full sync, and while draining. It takes no orders.
"""

import asyncio
import time
from collections import Counter

from aiohttp import web
from aiohttp.typedefs import Handler
from prometheus_client import exposition

from headrace.agent import guard
from headrace.agent.certificates import Certificates
from headrace.agent.kernel_traffic import KernelTraffic
from headrace.agent.loop import Loop
from headrace.agent.metrics import AgentCollector, Metrics, Sources, TableCollector
from headrace.agent.pages import Pages
from headrace.agent.pool_usage import PoolUsage
from headrace.agent.source import Source
from headrace.agent.traffic import Traffic
from headrace.kube.reviews import Reviews
from headrace.names import HOPS
from headrace.nft.sync import TableSync
from headrace.pools import pool

# A loop that has not come round for so long hangs.
_STILL_ALIVE_SECONDS = 30.0


@web.middleware
async def _unpublished(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer nothing to what an edge passes on: a user has published this port by a Service of his own."""
    if HOPS in request.headers:
        raise web.HTTPNotFound
    return await handler(request)


class Admin:
    """The handlers of the admin port."""

    def __init__(self, metrics: Metrics, source: Source) -> None:
        self.metrics, self.source = metrics, source
        self.loop: Loop | None = None
        self.traffic: Traffic | None = None
        self.kernel_traffic: KernelTraffic | None = None
        self.certificates = Certificates()
        self.pages = Pages(source)
        self.synced = False
        self._scrape = asyncio.Lock()

    def attach(self, loop: Loop, traffic: Traffic, table_sync: TableSync | None) -> None:
        """Attach the loop, from which pages and metrics are made from now on; before it there is a source only."""
        self.loop = self.pages.loop = loop
        self.traffic = self.pages.traffic = traffic
        self.pages.table_sync = table_sync
        name = loop.state.context.class_name
        sources = Sources(name, loop.applier, self.source, lambda: loop.batches, lambda: self._counts(loop))
        self.metrics.registry.register(AgentCollector(sources))
        self.metrics.registry.register(traffic)
        self.metrics.registry.register(self.certificates)
        if table_sync is not None:
            self.metrics.registry.register(TableCollector(table_sync))
            self.kernel_traffic = KernelTraffic(traffic.enabled, table_sync)
            self.metrics.registry.register(self.kernel_traffic)
        elif (pools := pool.make(loop.state.context.settings.address_pools)).items:
            self.metrics.registry.register(PoolUsage(loop.store, pools))

    def _counts(self, loop: Loop) -> Counter[tuple[str, str]]:
        counts = Counter((str(diagnostic.level), diagnostic.reason) for diagnostic in self.source.diagnostics())
        return counts + loop.diagnostics_index.counts

    def application(self) -> web.Application:
        """Return what the admin port serves."""
        application = web.Application(middlewares=[_unpublished])
        application.add_routes(
            [
                web.get('/livez', self.livez),
                web.get('/healthz', self.healthz),
                web.get('/readyz', self.readyz),
                web.get('/metrics', self.serve_metrics),
                *(web.get(path, guard.local(handler)) for path, handler in self.pages.routes().items()),
            ]
        )
        return application

    def api(self, reviews: Reviews) -> web.Application:
        """Return what is served to those whose token has the right."""
        application = web.Application()
        handlers = {**self.pages.routes(), '/healthz': self.serve_troubles}
        application.add_routes([web.get(path, guard.by_token(handler, reviews)) for path, handler in handlers.items()])
        return application

    async def livez(self, _: web.Request) -> web.Response:
        """Tell whether the loop comes round."""
        alive = self.loop is None or time.monotonic() - self.loop.last_beat < _STILL_ALIVE_SECONDS
        return web.Response(status=200 if alive else 503, text='alive\n' if alive else 'the loop stands still\n')

    async def healthz(self, request: web.Request) -> web.Response:
        """Tell whether something stands in the way; what exactly names objects of all namespaces, and is for loopback."""
        if guard.is_local(request):
            return await self.serve_troubles(request)
        words = sorted({subject.partition(' ')[0] for subject in self._troubles()})
        return web.Response(status=503 if words else 200, text=''.join(f'{word}\n' for word in words) or 'healthy\n')

    async def serve_troubles(self, _: web.Request) -> web.Response:
        """Tell what stands in the way."""
        problems = self._troubles()
        body = ''.join(f'{subject}: {text}\n' for subject, text in sorted(problems.items()))
        return web.Response(status=503 if problems else 200, text=body or 'healthy\n')

    def _troubles(self) -> dict[str, str]:
        return self.source.problems() | (self.loop.applier.stats.problems if self.loop else {})

    async def readyz(self, _: web.Request) -> web.Response:
        """Tell whether HAProxy has had the whole model once, and is not draining."""
        loop = self.loop
        ready = self.synced and loop is not None and loop.applier.ready and loop.applier.worker is not None
        return web.Response(status=200 if ready else 503, text='ready\n' if ready else 'not ready\n')

    async def serve_metrics(self, request: web.Request) -> web.Response:
        """Return all metrics, in the form that the scraper takes; one request at a time has them made."""
        encode, content_type = exposition.choose_encoder(request.headers.get('Accept', ''))
        async with self._scrape:
            if self.loop is not None and self.traffic is not None:
                await self.traffic.read(self.loop.applier)
                if self.kernel_traffic is not None:
                    await self.kernel_traffic.read()
                self.certificates.read(self.loop.state, self.loop.store)
            # Thousands of Services make megabytes of text; changes do not wait for it.
            body = await asyncio.to_thread(encode, self.metrics.registry)
        return web.Response(body=body, headers={'Content-Type': content_type})
