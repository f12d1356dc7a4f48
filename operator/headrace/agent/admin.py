"""The admin port: liveness, health, readiness, metrics and status. It tells nothing that is secret, and takes no orders.

`/livez` fails when the loop stands still: restarting helps. `/healthz` fails when something stands in the way, and says
what: it is for alerts, not for restarts. `/readyz` fails until the first full sync, and while draining.
"""

import time
from collections.abc import Callable

from aiohttp import web
from prometheus_client import exposition

from headrace.agent import status
from headrace.agent.loop import Loop
from headrace.agent.metrics import AgentCollector, Metrics, Sources
from headrace.agent.traffic import Traffic
from headrace.names import Ref
from headrace.verdicts import Verdict

# A loop that has not come round for so long hangs.
_STILL_ALIVE_SECONDS = 30.0


class Admin:
    """The handlers of the admin port."""

    def __init__(
        self,
        loop: Loop,
        metrics: Metrics,
        traffic: Traffic,
        events: Callable[[], int],
        verdicts: Callable[[], tuple[Verdict, ...]],
    ) -> None:
        self.loop, self.metrics, self.traffic, self._verdicts = loop, metrics, traffic, verdicts
        self.synced = False
        sources = Sources(loop.applier, events, lambda: loop.batches, lambda: (*verdicts(), *loop.state.all_verdicts()))
        metrics.registry.register(AgentCollector(sources))
        metrics.registry.register(traffic)

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
            ]
        )
        return made

    async def livez(self, _: web.Request) -> web.Response:
        """Tell whether the loop comes round."""
        alive = time.monotonic() - self.loop.last_beat < _STILL_ALIVE_SECONDS
        return web.Response(status=200 if alive else 503, text='alive\n' if alive else 'the loop stands still\n')

    async def healthz(self, _: web.Request) -> web.Response:
        """Tell what stands in the way."""
        troubles = self.loop.applier.record.troubles
        said = ''.join(f'{subject}: {text}\n' for subject, text in sorted(troubles.items()))
        return web.Response(status=503 if troubles else 200, text=said or 'healthy\n')

    async def readyz(self, _: web.Request) -> web.Response:
        """Tell whether HAProxy has been told everything once, and is not draining."""
        ready = self.synced and self.loop.applier.ready and self.loop.applier.worker is not None
        return web.Response(status=200 if ready else 503, text='ready\n' if ready else 'not ready\n')

    async def serve_metrics(self, request: web.Request) -> web.Response:
        """Return all metrics, in the form that the scraper takes."""
        await self.traffic.read(self.loop.applier.worker, self.loop.applier.wanted)
        encode, content_type = exposition.choose_encoder(request.headers.get('Accept', ''))
        return web.Response(body=encode(self.metrics.registry), headers={'Content-Type': content_type})

    async def serve_status(self, _: web.Request) -> web.Response:
        """Return what is served."""
        return web.json_response(status.of_agent(self.loop.state, self.loop.applier, self._verdicts()))

    async def serve_service(self, request: web.Request) -> web.Response:
        """Return one Service with its servers."""
        ref = Ref('Service', request.match_info['namespace'], request.match_info['name'])
        found = await status.of_service(self.loop.state, self.loop.applier, ref)
        return web.json_response(found) if found else web.json_response({'error': f'no {ref}'}, status=404)
