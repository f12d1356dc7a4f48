"""The admin port: liveness, health, readiness, metrics and status. It tells nothing that is secret, and takes no orders.

`/livez` fails when the loop stands still: restarting helps. `/healthz` fails when something stands in the way, and says
what: it is for alerts, not for restarts. `/readyz` fails until the first full sync, and while draining.
"""

import asyncio
import json
import time
from collections import Counter

from aiohttp import web
from prometheus_client import exposition

from headrace.agent import status
from headrace.agent.certificates import Certificates
from headrace.agent.loop import Loop
from headrace.agent.metrics import AgentCollector, Metrics, Sources, TableCollector
from headrace.agent.source import Source
from headrace.agent.traffic import Traffic
from headrace.model import explanation
from headrace.names import Ref
from headrace.node.steering import Steering

# A loop that has not come round for so long hangs.
_STILL_ALIVE_SECONDS = 30.0


class Admin:
    """The handlers of the admin port."""

    def __init__(self, metrics: Metrics, source: Source) -> None:
        self.metrics, self.source = metrics, source
        self.loop: Loop | None = None
        self.traffic: Traffic | None = None
        self.certificates = Certificates()
        self.synced = False

    def attach(self, loop: Loop, traffic: Traffic, steering: Steering | None) -> None:
        """Tell of a loop from now on; before it there is a source only."""
        self.loop, self.traffic = loop, traffic
        sources = Sources(loop.applier, self.source, lambda: loop.batches, lambda: self._counts(loop))
        self.metrics.registry.register(AgentCollector(sources))
        self.metrics.registry.register(traffic)
        self.metrics.registry.register(self.certificates)
        if steering is not None:
            self.metrics.registry.register(TableCollector(steering))

    def _counts(self, loop: Loop) -> Counter[tuple[str, str]]:
        held = Counter((str(verdict.level), verdict.reason) for verdict in self.source.verdicts())
        return held + loop.judged.counts

    def application(self) -> web.Application:
        """Return the application with its routes."""
        made = web.Application()
        made.add_routes(
            [
                web.get('/livez', self.livez),
                web.get('/healthz', self.healthz),
                web.get('/readyz', self.readyz),
                web.get('/metrics', self.serve_metrics),
                web.get('/status', self.serve_status),
                web.get('/status/{namespace}/{name}', self.serve_service),
                web.get('/explain', self.serve_explanation),
            ]
        )
        return made

    async def livez(self, _: web.Request) -> web.Response:
        """Tell whether the loop comes round."""
        alive = self.loop is None or time.monotonic() - self.loop.last_beat < _STILL_ALIVE_SECONDS
        return web.Response(status=200 if alive else 503, text='alive\n' if alive else 'the loop stands still\n')

    async def healthz(self, _: web.Request) -> web.Response:
        """Tell what stands in the way."""
        troubles = self.source.troubles() | (self.loop.applier.record.troubles if self.loop else {})
        said = ''.join(f'{subject}: {text}\n' for subject, text in sorted(troubles.items()))
        return web.Response(status=503 if troubles else 200, text=said or 'healthy\n')

    async def readyz(self, _: web.Request) -> web.Response:
        """Tell whether HAProxy has been told everything once, and is not draining."""
        loop = self.loop
        ready = self.synced and loop is not None and loop.applier.ready and loop.applier.worker is not None
        return web.Response(status=200 if ready else 503, text='ready\n' if ready else 'not ready\n')

    async def serve_metrics(self, request: web.Request) -> web.Response:
        """Return all metrics, in the form that the scraper takes."""
        if self.loop is not None and self.traffic is not None:
            await self.traffic.read(self.loop.applier)
            self.certificates.read(self.loop.state, self.loop.store)
        encode, content_type = exposition.choose_encoder(request.headers.get('Accept', ''))
        # Thousands of Services make megabytes of text; changes do not wait for it.
        body = await asyncio.to_thread(encode, self.metrics.registry)
        return web.Response(body=body, headers={'Content-Type': content_type})

    async def serve_status(self, _: web.Request) -> web.Response:
        """Return what is served."""
        loop = self.loop
        if loop is None:
            return web.json_response({'error': 'the source is still being read'}, status=503)
        found = await status.of_agent(loop.state, loop.applier, [*self.source.verdicts(), *loop.judged.all()])
        return web.json_response(text=await asyncio.to_thread(json.dumps, found))

    async def serve_service(self, request: web.Request) -> web.Response:
        """Return one Service with its servers."""
        loop = self.loop
        ref = Ref('Service', request.match_info['namespace'], request.match_info['name'])
        found = await status.of_service(loop.state, loop.applier, ref) if loop else None
        return web.json_response(found) if found else web.json_response({'error': f'no {ref}'}, status=404)

    async def serve_explanation(self, request: web.Request) -> web.Response:
        """Return why something is served, or not."""
        loop = self.loop
        if loop is None:
            return web.json_response({'error': 'the source is still being read'}, status=503)
        found = explanation.explain(loop.state, loop.store, request.query.get('of', ''))
        return web.json_response(explanation.value(found))
