"""Which optional kinds the API server serves: those whose CustomResourceDefinition may be missing.

Promises: a kind that appears is reported within some ten seconds, and one that goes when two answers some seconds apart
say so. The API is asked by group and version, and only while a kind is missing or in doubt: a watch of all
CustomResourceDefinitions would bring every schema of the cluster, and need a cluster-wide right.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Collection

from headrace.kube.calls import CallError, Calls, NotFoundError
from headrace.kube.resources import Resource

log = logging.getLogger(__name__)
_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 10.0
# An API server that starts may say for a moment that a kind is not there.
_CONFIRMED_SECONDS = 5.0

Change = Callable[[Resource], Awaitable[None]]


class Discovery:
    """Calls `on_added` for each optional kind that is served, and `on_removed` for each that is no longer."""

    def __init__(self, calls: Calls, resources: Collection[Resource], on_added: Change, on_removed: Change) -> None:
        self._calls, self._resources = calls, frozenset(resources)
        self._on_added, self._on_removed = on_added, on_removed
        self.served: set[Resource] = set()
        # The API server has been asked once for each kind.
        self.completed = asyncio.Event()
        self._missing_since: dict[Resource, float] = {}
        self._doubt = asyncio.Event()

    def doubt(self) -> None:
        """Ask again soon, since a list or watch was answered as if its kind were not there."""
        self._doubt.set()

    async def run(self) -> None:
        """Follow what is served until cancelled."""
        pause = _FIRST_PAUSE_SECONDS
        while True:
            self._doubt.clear()
            before = frozenset(self.served)
            await self._look()
            self.completed.set()
            if self._missing_since or self.served != before:
                pause = _FIRST_PAUSE_SECONDS
            try:
                async with asyncio.timeout(
                    None if self.served == self._resources and not self._missing_since else pause
                ):
                    await self._doubt.wait()
                # kopf tries again about once a second what was not found.
                await asyncio.sleep(_FIRST_PAUSE_SECONDS)
            except TimeoutError:
                pause = min(pause * 2, _LONGEST_PAUSE_SECONDS) * random.uniform(0.8, 1.0)  # noqa: S311  spreads replicas

    async def _look(self) -> None:
        names: dict[str, frozenset[str]] = {}
        for resource in sorted(self._resources):
            version, plural = resource.evidence
            try:
                if version not in names:
                    names[version] = await self._kinds_of(version)
                await self._note(resource, is_served=plural in names[version])
            except CallError as error:
                log.warning('the API server does not say which kinds it serves', extra={'error': str(error)[:300]})

    async def _kinds_of(self, api_version: str) -> frozenset[str]:
        try:
            body = await self._calls.call('GET', f'/apis/{api_version}')
        except NotFoundError:
            return frozenset()
        try:
            return frozenset(item['name'] for item in body['resources'] if {'list', 'watch'} <= set(item['verbs']))
        except (LookupError, TypeError) as error:
            raise CallError(f'GET /apis/{api_version}: no list of resources: {error!r}') from error

    async def _note(self, resource: Resource, *, is_served: bool) -> None:
        if is_served:
            self._missing_since.pop(resource, None)
            if resource not in self.served:
                self.served.add(resource)
                log.info('a kind is served by the API', extra={'kind': resource.kind})
                await self._on_added(resource)
        elif resource in self.served:
            now = time.monotonic()
            if now - self._missing_since.setdefault(resource, now) >= _CONFIRMED_SECONDS:
                del self._missing_since[resource]
                self.served.discard(resource)
                log.warning('a kind is no longer served by the API', extra={'kind': resource.kind})
                await self._on_removed(resource)
