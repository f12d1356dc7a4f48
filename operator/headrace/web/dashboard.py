"""The dashboard from beginning to end: it listens, reads traffic while somebody looks, and ends with what it began."""

import asyncio
import contextlib
import logging
import ssl
from dataclasses import dataclass

from headrace.agent.serving import Serving
from headrace.web.access import Access
from headrace.web.agents import Agents
from headrace.web.application import Dashboard

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Options:
    """Where the dashboard listens, whom it asks, and who may see it; `tls` is None for plain HTTP."""

    listen: tuple[str, int]
    agents: Agents
    access: Access
    tls: ssl.SSLContext | None = None


async def run(options: Options) -> None:
    """Serve until cancelled; raises ServingError."""
    dashboard, serving = Dashboard(options.agents, options.access), Serving(lambda _, __: None)
    try:
        address, port = await serving.listen('--web', options.listen, dashboard.application(), options.tls)
        log.info('the dashboard listens', extra={'web': f'{address}:{port}', 'tls': options.tls is not None})
        await dashboard.sampling.run()
    finally:
        with contextlib.suppress(asyncio.CancelledError):
            await serving.close()
            await options.agents.close()
