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
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import aiohttp

from headrace import parsing
from headrace.diagnostics import Diagnostic
from headrace.kube import session as sessions
from headrace.kube.access import Access
from headrace.kube.calls import CallError, Calls
from headrace.kube.discovery import Discovery
from headrace.kube.own_token import TokenRenewal
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
# So many objects of a page are parsed in one go, after which changes get their turn: the API server may list all again at any time.
_PARSED_AT_ONCE = 50
# So long an optional kind that is served, and cannot be listed, holds up the start.
_OPTIONAL_SECONDS = 30.0
_REFUSALS = {403: 'headrace has no right to read it', 429: 'the API server is busy'}


class WatchedPath:
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
        self.unconfirmed: set[Ref] = set()
        self.deaf_sweeps = 0
        self.problem = ''
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
        self.problem = ''

    async def event(self, kind: str, document: dict[str, Any]) -> None:
        """Let the store follow one event of the watch; one on which headrace fails costs its object alone."""
        if not self.active:
            return
        try:
            await self._event(kind, document)
        except Exception:
            log.exception('headrace failed on an event', extra={'path': self.resource.path(), 'type': kind})

    async def _event(self, kind: str, document: dict[str, Any]) -> None:
        began, source = time.monotonic(), self._source
        source.events += 1
        document['kind'], document['apiVersion'] = self.resource.kind, self.resource.api_version
        ref, version = parse.reference(document), int(document['metadata']['resourceVersion'])
        if kind == 'DELETED':
            self.diagnostics.pop(ref, None)
            is_news = self.reflector.drop(ref, version) and source.store.drop(ref)
        else:
            (reading,) = await source.parse(self.resource, (document,))
            self.note(version, reading)
            if reading.object is None:
                return
            is_news = self.reflector.put(ref, version) and source.store.put(reading.object)
        self.unconfirmed.discard(ref)
        if is_news:
            source.follow_event(began)

    async def parse(self, body: dict[str, Any], listing: Listing) -> None:
        """Parse the objects of a page into a listing."""
        items = body['items'] or ()
        for item in items:
            item['kind'], item['apiVersion'] = self.resource.kind, self.resource.api_version
        readings = await self._source.parse(self.resource, items)
        versions = [int(item['metadata']['resourceVersion']) for item in items]
        for version, item in zip(versions, readings, strict=True):
            self.note(version, item)
        listing.page(
            [
                (version, item.object)
                for version, item in zip(versions, readings, strict=True)
                if item.object is not None
            ],
            [item.diagnostics[0].ref for item in readings if item.object is None and item.diagnostics],
        )

    def note(self, version: int, reading: Reading) -> None:
        """Note what is wrong with an object, or that nothing is any more."""
        if reading.object is not None:
            self.diagnostics.pop(reading.object.ref, None)
        elif reading.diagnostics:
            self.diagnostics[reading.diagnostics[0].ref] = (version, reading.diagnostics)

    def take(self, listing: Listing, version: int) -> Difference:
        """Let the store follow a whole list; return what it changed."""
        if not self.active:
            return Difference()
        difference = self.reflector.finish(listing, version)
        self.settled.set()
        self.unconfirmed = set()
        self._source.follow_list(difference)
        self.diagnostics = {
            ref: entry for ref, entry in self.diagnostics.items() if entry[0] > version or ref in listing.failures
        }
        return difference

    def note_refusal(self, status: int) -> None:
        """Note that the server does not give what it was asked for; '' once it does."""
        self.problem = _REFUSALS.get(status, f'the API server answers {status}')

    def missing(self) -> bool:
        """Note that the path is not served; return whether that may be so, and is tried again."""
        if self.resource.optional:
            self._source.discovery.doubt()
        return self.resource.optional

    def start(self) -> None:
        """Begin to follow an optional resource that is served."""
        self.active = True
        self.settled.clear()
        self.heard()

    def stop_following(self) -> None:
        """Forget an optional resource that is no longer served, and its objects."""
        self.active = False
        self.settled.set()
        refs = tuple(self.reflector.versions)
        self.reflector, self._listing = Reflector(), None
        self.unconfirmed, self.deaf_sweeps, self.problem, self.diagnostics = set(), 0, '', {}
        self._source.follow_list(Difference(drop=refs))


class KubeSource:
    """Keeps a store as the API server says. `on_change` is called after each change of the store, with the time of the news.

    `on_start` is called when kopf has set its handlers of signals, so that others can set theirs. A watch that brings
    nothing for `watchSilence` is opened again. With `statuses` set, the statuses of objects
    are read too.
    """

    def __init__(
        self,
        access: Access,
        scopes: tuple[Scope, ...],
        store: Store,
        on_change: Callable[[float], None],
        settings: Settings,
        on_start: Callable[[], None] = lambda: None,
    ) -> None:
        self.access, self.store, self._on_change, self._limits = access, store, on_change, settings.secrets
        self.statuses = False
        silence = milliseconds(settings.watch_silence) / 1000
        self.deaf_after = _DEAF_SILENCES * silence
        self.paths = {path: WatchedPath(resource, self) for scope in scopes for path, resource in scope.paths().items()}
        self._session: aiohttp.ClientSession | None = None
        self.calls = Calls(access.server, self._open_session)
        self._watch = Watch(access.server, self._open_session, scopes, on_start, silence)
        optional = {item.resource for item in self.paths.values() if item.resource.optional}
        self.discovery = Discovery(self.calls, optional, self._add_kind, self._remove_kind)
        self._is_let_in = True
        self._renewal = TokenRenewal(self.calls, access.token_file) if access.token_file else None
        self._synced = asyncio.Event()
        self.events = 0
        self.missed_changes = 0

    def _open_session(self) -> aiohttp.ClientSession:
        """Return the session that kopf and our own calls share; a new one when kopf has closed it."""
        if self._session is None or self._session.closed:
            self._session = sessions.make(self.access, self.paths, self._note_token)
        return self._session

    def _note_token(self, is_taken: bool) -> None:  # noqa: FBT001
        if is_taken != self._is_let_in:
            self._is_let_in = is_taken
            if is_taken:
                log.info('the API server takes the token again')
            else:
                log.error('the API server refuses the token: it has ended, or was revoked')

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with objects that could not be read."""
        # By a copy: metrics are made in a thread.
        entries = [entry for path in self.paths.values() for _, entry in list(path.diagnostics.values())]
        return tuple(sorted({diagnostic for entry in entries for diagnostic in entry}))

    async def parse(self, resource: Resource, documents: Sequence[dict[str, Any]]) -> list[Reading]:
        """Parse objects of one kind: off the event loop where one takes long, and of many some at a time.

        The caller keeps the order of what it reads; the reflector knows by version what is out of date after that.
        """

        def parse_some(some: Iterable[dict[str, Any]]) -> list[Reading]:
            return [parsing.parse(item, self._limits, statuses=self.statuses) for item in some]

        if any(map(registry.BY_NAME[resource.kind].slow, documents)):
            return await asyncio.to_thread(parse_some, documents)
        readings = parse_some(documents[:_PARSED_AT_ONCE])
        for start in range(_PARSED_AT_ONCE, len(documents), _PARSED_AT_ONCE):
            await asyncio.sleep(0)
            readings += parse_some(documents[start : start + _PARSED_AT_ONCE])
        return readings

    def follow_list(self, difference: Difference) -> None:
        """Let the store follow the difference that a list has made."""
        began = time.monotonic()
        for ref in difference.drop:
            self.store.drop(ref)
        for item in difference.put:
            self.store.put(item)
        if not self._synced.is_set() and all(
            item.reflector.synced for item in self.paths.values() if not item.resource.optional
        ):
            self._synced.set()
        if difference and self._synced.is_set():
            self._on_change(began)

    async def _add_kind(self, resource: Resource) -> None:
        for path in self._of(resource):
            path.start()
        await self._watch.add(resource)

    async def _remove_kind(self, resource: Resource) -> None:
        for path in self._of(resource):
            path.stop_following()
        await self._watch.remove(resource)

    def _of(self, resource: Resource) -> list[WatchedPath]:
        return [item for item in self.paths.values() if item.resource == resource]

    def follow_event(self, since: float) -> None:
        """Note that an event has changed the store, by what has been known since then (monotonic seconds)."""
        if self._synced.is_set():
            self._on_change(since)

    async def read(self) -> None:
        """Wait until the first list of every kind is in the store; the caller lets `follow` run meanwhile."""
        await self._synced.wait()
        optional = [item for item in self.paths.values() if item.resource.optional]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPTIONAL_SECONDS if optional else 0):
                await self.discovery.completed.wait()
                await asyncio.gather(*(item.settled.wait() for item in optional))

    async def follow(self) -> None:
        """Keep watching until told to stop; raises WatchEndedError when only a new process helps."""
        works = {'the watches': self._watch.run(), 'the discovery': self.discovery.run()}
        if self._renewal is not None:
            works['the renewal of the token'] = self._renewal.run()
        tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def stop(self) -> None:
        """End the watches."""
        self._watch.stop()

    def silent(self) -> dict[str, float]:
        """Return for each path how many seconds it has not been heard."""
        now = time.monotonic()
        return {path: now - item.heard_at for path, item in self.paths.items() if item.active}

    def problems(self) -> dict[str, str]:
        """Return what stands in the way, by subject."""
        problems = {
            f'list {path}': item.problem or 'has not been read yet'
            for path, item in self.paths.items()
            if item.active and (item.problem or not item.reflector.synced)
        }
        if not self._is_let_in:
            problems['token'] = 'the API server refuses it: it has ended, or was revoked'  # noqa: S105  no secret
        elif self._renewal is not None and self._renewal.problem:
            problems['token'] = self._renewal.problem
        for path, seconds in self.silent().items():
            if seconds > self.deaf_after:
                problems[f'watch {path}'] = f'nothing heard for {int(seconds)} s'
        return problems

    async def sweep(self, interval: float) -> None:
        """Read every list again at intervals; raises WatchEndedError when a watch keeps missing changes."""
        while True:
            await asyncio.sleep(interval * random.uniform(0.8, 1.2))  # noqa: S311  spreads replicas
            for path, watched_path in self.paths.items():
                try:
                    if watched_path.active:
                        await self._sweep(path, watched_path)
                except CallError as error:
                    log.warning('the sweep could not read a list', extra={'path': path, 'error': str(error)})

    async def _sweep(self, path: str, watched_path: WatchedPath) -> None:
        """Read one list; what it finds and no event tells within some time, the watch has missed."""
        incomplete = self.store.incomplete()
        watched_path.reflector.forget(incomplete)
        listing = watched_path.reflector.begin()
        version = 0
        try:
            async for body in self.calls.pages(path, watched_path.resource, _PAGE):
                await watched_path.parse(body, listing)
                version = int(body['metadata']['resourceVersion'])
        except BaseException:
            watched_path.reflector.abandon(listing)
            raise
        watched_path.heard()
        difference = watched_path.take(listing, version)
        watched_path.unconfirmed = ({item.ref for item in difference.put} | set(difference.drop)) - set(incomplete)
        await asyncio.sleep(_LATE_SECONDS if watched_path.unconfirmed else 0)
        watched_path.deaf_sweeps = watched_path.deaf_sweeps + 1 if watched_path.unconfirmed else 0
        if not watched_path.unconfirmed:
            return
        self.missed_changes += len(watched_path.unconfirmed)
        names = ', '.join(map(str, sorted(watched_path.unconfirmed)[:5]))
        log.error('a watch has missed changes', extra={'path': path, 'objects': names})
        if watched_path.deaf_sweeps >= _DEAF_SWEEPS:
            raise WatchEndedError(f'{path}: the watch misses changes')
