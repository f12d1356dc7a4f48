"""Readings of the agents' traffic, taken while somebody looks."""

import asyncio
import logging
import time
from collections.abc import Callable

from headrace.web.agents import AgentError, Agents, gather
from headrace.web.views.traffic import History

log = logging.getLogger(__name__)
# Agents read their counters every five seconds at most.
SECONDS = 6.0
_WATCHED_SECONDS = 300.0


class Sampling:
    """Fills a history; it rests when no page was asked for during some minutes."""

    def __init__(self, agents: Agents, clock: Callable[[], float] = time.monotonic) -> None:
        self._agents, self._clock = agents, clock
        self.history = History()
        self._watched_until = clock() + _WATCHED_SECONDS
        self._watched = asyncio.Event()

    def watch(self) -> None:
        """Note that somebody looks."""
        self._watched_until = self._clock() + _WATCHED_SECONDS
        self._watched.set()

    async def run(self) -> None:
        """Take readings until cancelled."""
        while True:
            if self._clock() > self._watched_until:
                self._watched.clear()
                await self._watched.wait()
                self.history = History()
            try:
                await self.read()
            except Exception:
                # An agent goes on without figures of its dashboard.
                log.exception('traffic could not be read')
            await asyncio.sleep(SECONDS)

    async def read(self) -> None:
        """Take one reading."""
        try:
            answers = await gather(self._agents, await self._agents.addresses(), '/traffic')
        except AgentError as error:
            log.debug('agents cannot be found', extra={'error': str(error)})
            return
        good = {name: answer for name, answer in answers.items() if not isinstance(answer, AgentError)}
        # Thousands of Services take longer than a request may wait for.
        await asyncio.to_thread(self.history.take, time.time(), good)
