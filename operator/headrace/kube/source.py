"""The API server as a live source: a store that follows it, whole before anything is applied, and never with ghosts.

Promises: `read` returns when the first list of every kind is in the store; from then on each event is there within the
call that brings it. Objects whose deletion no event has told are found by each list that is read again, and by a sweep of our
own. What is not heard for long shows as trouble. An optional kind holds `read` up while its list is read, for some time at most;
when the API no longer serves it, its objects go.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Collection
from typing import Any

import aiohttp

from headrace import parsing
from headrace.diagnostics import Diagnostic
from headrace.kube import session as sessions
from headrace.kube.access import Access
from headrace.kube.calls import CallError, Calls
from headrace.kube.discovery import Discovery
from headrace.kube.reflector import Difference, Listing, Reflector
from headrace.kube.resources import Resource, Scope
from headrace.kube.watch import Watch, WatchEndedError
from headrace.names import Ref
from headrace.objects import parse, registry
from headrace.objects.parse import Reading
from headrace.settings.settings import Settings, milliseconds
from headrace.store import Store

log = logging.getLogger(__name__)
# A path is deaf when a watch that was opened again for its silence brought nothing for about as long.
_DEAF_SILENCES = 2.2
# How long an event may take after a list has shown its change already.
_LATE_SECONDS = 30.0
# So many sweeps in a row that find what no watch has told.
_DEAF_SWEEPS = 2
_PAGE = 250
# So long an optional kind that is served, and cannot be listed, holds up the start.
_OPTIONAL_SECONDS = 30.0
_REFUSALS = {403: 'headrace has no right to read it', 429: 'the API server is busy'}


class Followed:
    """One path: what is known of it, when it was heard, and what a sweep found before the watch told it."""

    def __init__(self, resource: Resource, source: 'KubeSource') -> None:
        self.resource, self._source = resource, source
        self.reflector = Reflector()
        # Whether it is watched: an optional resource only while the API serves it.
        self.active = not resource.optional
        # Of an optional resource: its list is read, or not to be read.
        self.settled = asyncio.Event()
        self.settled.set()
        self.heard_at = time.monotonic()
        self.unheard: set[Ref] = set()
        self.missed = 0
        self.said = ''
        # What is wrong with objects that could not be read, and their resource versions.
        self.diagnostics: dict[Ref, tuple[int, tuple[Diagnostic, ...]]] = {}
        self._listing: Listing | None = None

    async def page(self, body: dict[str, Any], *, first: bool) -> None:
        """Take one page of a list that kopf reads; at the last one the store follows it."""
        self.heard()
        if not self.active:
            return
        if first or self._listing is None:
            if self._listing is not None:
                self.reflector.abandon(self._listing)
            self._listing = self.reflector.begin()
        await self.parse(body, self._listing)
        if not body['metadata'].get('continue'):
            listing, self._listing = self._listing, None
            self.take(listing, int(body['metadata']['resourceVersion']))

    def heard(self) -> None:
        """Note that the server has spoken of this path."""
        self.heard_at = time.monotonic()
        self.said = ''

    async def parse(self, body: dict[str, Any], listing: Listing) -> None:
        """Parse the objects of a page into a listing."""
        items = body['items'] or ()
        for item in items:
            item['kind'], item['apiVersion'] = self.resource.kind, self.resource.api_version
        found = await self._source.parse(self.resource, items)
        versions = [int(item['metadata']['resourceVersion']) for item in items]
        for version, item in zip(versions, found, strict=True):
            self.note(version, item)
        listing.page(
            [(version, item.object) for version, item in zip(versions, found, strict=True) if item.object is not None],
            [item.diagnostics[0].ref for item in found if item.object is None and item.diagnostics],
        )

    def note(self, version: int, found: Reading) -> None:
        """Note what is wrong with an object, or that nothing is any more."""
        if found.object is not None:
            self.diagnostics.pop(found.object.ref, None)
        elif found.diagnostics:
            self.diagnostics[found.diagnostics[0].ref] = (version, found.diagnostics)

    def take(self, listing: Listing, version: int) -> Difference:
        """Let the store follow a whole list; return what it changed."""
        if not self.active:
            return Difference()
        found = self.reflector.finish(listing, version)
        self.settled.set()
        self.unheard = set()
        self._source.follow_list(found)
        self.diagnostics = {
            ref: held for ref, held in self.diagnostics.items() if held[0] > version or ref in listing.failed
        }
        return found

    def refused(self, status: int) -> None:
        """Note that the server does not give what it was asked for; '' once it does."""
        self.said = _REFUSALS.get(status, f'the API server answers {status}')

    def missing(self) -> bool:
        """Note that the path is not served; return whether that may be so, and is tried again."""
        if self.resource.optional:
            self._source.discovery.doubt()
        return self.resource.optional

    def come(self) -> None:
        """Begin to follow an optional resource that is served."""
        self.active = True
        self.settled.clear()
        self.heard()

    def go(self) -> None:
        """Forget an optional resource that is no longer served, and its objects."""
        self.active = False
        self.settled.set()
        refs = tuple(self.reflector.versions)
        self.reflector, self._listing = Reflector(), None
        self.unheard, self.missed, self.said, self.diagnostics = set(), 0, '', {}
        self._source.follow_list(Difference(drop=refs))


class KubeSource:
    """Keeps a store as the API server says. `woken` is called after each change of the store, with the time of the news.

    `started` is called when kopf has set its handlers of signals, so that others can set theirs. A watch that brings
    nothing for `watchSilence` is opened again. With `statuses` set, the statuses of objects
    are read too.
    """

    def __init__(
        self,
        access: Access,
        scopes: tuple[Scope, ...],
        store: Store,
        woken: Callable[[float], None],
        settings: Settings,
        started: Callable[[], None] = lambda: None,
    ) -> None:
        self.access, self.store, self._woken, self._limits = access, store, woken, settings.secrets
        self.statuses = False
        silence = milliseconds(settings.watch_silence) / 1000
        self.deaf_after = _DEAF_SILENCES * silence
        self.followed = {path: Followed(resource, self) for scope in scopes for path, resource in scope.paths().items()}
        self._session: aiohttp.ClientSession | None = None
        self.calls = Calls(access.server, self._held_session)
        self._watch = Watch(access.server, self._held_session, scopes, self._event, started, silence)
        optional = {item.resource for item in self.followed.values() if item.resource.optional}
        self.discovery = Discovery(self.calls, optional, self._come, self._go)
        self._synced = asyncio.Event()
        self.events = 0
        self.missed = 0

    def _held_session(self) -> aiohttp.ClientSession:
        """Return the session that kopf and our own calls share; a new one when kopf has closed it."""
        if self._session is None or self._session.closed:
            self._session = sessions.make(self.access, self.followed)
        return self._session

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with objects that could not be read."""
        # By a copy: metrics are made in a thread.
        held = [found for followed in self.followed.values() for _, found in list(followed.diagnostics.values())]
        return tuple(sorted({diagnostic for found in held for diagnostic in found}))

    async def parse(self, resource: Resource, documents: Collection[dict[str, Any]]) -> list[Reading]:
        """Parse objects of one kind, off the event loop where that takes long.

        The caller keeps the order of what it reads; the reflector knows by version what is out of date after that.
        """

        def parse_all() -> list[Reading]:
            return [parsing.parse(item, self._limits, statuses=self.statuses) for item in documents]

        if any(map(registry.BY_NAME[resource.kind].slow, documents)):
            return await asyncio.to_thread(parse_all)
        return parse_all()

    def follow_list(self, found: Difference) -> None:
        """Let the store follow the difference that a list has made."""
        began = time.monotonic()
        for ref in found.drop:
            self.store.drop(ref)
        for item in found.put:
            self.store.put(item)
        if not self._synced.is_set() and all(
            item.reflector.synced for item in self.followed.values() if not item.resource.optional
        ):
            self._synced.set()
        if found and self._synced.is_set():
            self._woken(began)

    async def _come(self, resource: Resource) -> None:
        for followed in self._of(resource):
            followed.come()
        await self._watch.add(resource)

    async def _go(self, resource: Resource) -> None:
        for followed in self._of(resource):
            followed.go()
        await self._watch.remove(resource)

    def _of(self, resource: Resource) -> list[Followed]:
        return [item for item in self.followed.values() if item.resource == resource]

    async def _event(self, resource: Resource, kind: str, document: dict[str, Any]) -> None:
        """Let the store follow one event of a watch."""
        began = time.monotonic()
        self.events += 1
        path = resource.path(document['metadata'].get('namespace', ''))
        followed = self.followed.get(path) or self.followed[resource.path()]
        if not followed.active:
            return
        document['kind'], document['apiVersion'] = resource.kind, resource.api_version
        ref, version = parse.reference(document), int(document['metadata']['resourceVersion'])
        if kind == 'DELETED':
            followed.diagnostics.pop(ref, None)
            changed = followed.reflector.drop(ref, version) and self.store.drop(ref)
        else:
            (found,) = await self.parse(resource, (document,))
            followed.note(version, found)
            if found.object is None:
                return
            changed = followed.reflector.put(ref, version) and self.store.put(found.object)
        followed.unheard.discard(ref)
        if changed and self._synced.is_set():
            self._woken(began)

    async def read(self) -> None:
        """Wait until the first list of every kind is in the store; the caller lets `follow` run meanwhile."""
        await self._synced.wait()
        optional = [item for item in self.followed.values() if item.resource.optional]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPTIONAL_SECONDS if optional else 0):
                await self.discovery.asked.wait()
                await asyncio.gather(*(item.settled.wait() for item in optional))

    async def follow(self) -> None:
        """Keep watching until told to stop; raises WatchEndedError when only a new process helps."""
        watching = asyncio.create_task(self._watch.run(), name='the watches')
        discovering = asyncio.create_task(self.discovery.run(), name='the discovery')
        try:
            done, _ = await asyncio.wait([watching, discovering], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (watching, discovering):
                task.cancel()
            await asyncio.gather(watching, discovering, return_exceptions=True)

    def stop(self) -> None:
        """End the watches."""
        self._watch.stop()

    def silent(self) -> dict[str, float]:
        """Return for each path how many seconds it has not been heard."""
        now = time.monotonic()
        return {path: now - item.heard_at for path, item in self.followed.items() if item.active}

    def problems(self) -> dict[str, str]:
        """Return what stands in the way, by subject."""
        found = {
            f'list {path}': item.said or 'has not been read yet'
            for path, item in self.followed.items()
            if item.active and (item.said or not item.reflector.synced)
        }
        for path, seconds in self.silent().items():
            if seconds > self.deaf_after:
                found[f'watch {path}'] = f'nothing heard for {int(seconds)} s'
        return found

    async def sweep(self, interval: float) -> None:
        """Read every list again at intervals; raises WatchEndedError when a watch keeps missing changes."""
        while True:
            await asyncio.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311  spreads replicas
            for path, followed in self.followed.items():
                try:
                    if followed.active:
                        await self._sweep(path, followed)
                except CallError as error:
                    log.warning('the sweep could not read a list', extra={'path': path, 'said': str(error)})

    async def _sweep(self, path: str, followed: Followed) -> None:
        """Read one list; what it finds and no event tells within some time, the watch has missed."""
        listing = followed.reflector.begin()
        version = 0
        try:
            async for body in self.calls.pages(path, followed.resource, _PAGE):
                await followed.parse(body, listing)
                version = int(body['metadata']['resourceVersion'])
        except BaseException:
            followed.reflector.abandon(listing)
            raise
        followed.heard()
        found = followed.take(listing, version)
        followed.unheard = {item.ref for item in found.put} | set(found.drop)
        await asyncio.sleep(_LATE_SECONDS if followed.unheard else 0)
        followed.missed = followed.missed + 1 if followed.unheard else 0
        if not followed.unheard:
            return
        self.missed += len(followed.unheard)
        shown = ', '.join(map(str, sorted(followed.unheard)[:5]))
        log.error('a watch has missed changes', extra={'path': path, 'objects': shown})
        if followed.missed >= _DEAF_SWEEPS:
            raise WatchEndedError(f'{path}: the watch misses changes')
