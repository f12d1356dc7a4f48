"""An agent from beginning to end: read the source, find or start HAProxy, keep it true, and stop without a loss."""

import asyncio
import contextlib
import gc
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import watchfiles
from aiohttp import web

from headrace import settings as class_settings
from headrace.agent.admin import Admin
from headrace.agent.loop import Loop
from headrace.agent.metrics import Metrics, Told
from headrace.agent.traffic import Traffic
from headrace.cluster.store import Store
from headrace.haproxy import probe
from headrace.haproxy.apply import Applier, Where
from headrace.haproxy.generations import Generations
from headrace.haproxy.plan import Reason
from headrace.haproxy.process import Haproxy, HaproxyStartError
from headrace.haproxy.record import Record
from headrace.haproxy.reloads import Reloads
from headrace.haproxy.render import Renderer
from headrace.haproxy.runtime import RuntimeSocketError
from headrace.haproxy.templating import Overrides
from headrace.kube.lease import AgentLease, Identity
from headrace.kube.source import KubeSource
from headrace.model import view as views
from headrace.model.state import State
from headrace.model.view import View
from headrace.settings import Settings, SettingsError, milliseconds

log = logging.getLogger(__name__)


class Source(Told, Protocol):
    """What a store follows: an API server, or a folder."""

    async def read(self) -> None:
        """Return when everything is in the store once."""

    async def follow(self) -> None:
        """Keep the store true, until told to stop."""

    def stop(self) -> None:
        """End following."""


# Takes the store to fill, whom to wake after each change, and whom to call when handlers of signals may be set.
SourceOf = Callable[[Store, Callable[[], None], Callable[[], None]], Source]


@dataclass(frozen=True, slots=True)
class Options:
    """How an agent runs. `start` is the HAProxy to start, '' to attach to one; `checker` judges candidates.

    `source` makes the source that a store shall follow; it is told whom to wake.
    """

    source: SourceOf
    state: Path
    sockets: Path
    view: View
    overrides: Overrides
    start: str
    checker: str
    admin: tuple[str, int]
    identity: Identity | None = None
    config: Path | None = None
    adjust: Callable[[Settings], Settings] = lambda settings: settings
    keep: bool = False


class Agent:
    """One agent on a source."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.store = Store()
        self.source = options.source(self.store, self._wake, self._listen_to_signals)
        self.metrics = Metrics()
        self.admin = Admin(self.metrics, self.source)
        self.stopping = asyncio.Event()
        self.loop: Loop | None = None
        self.lease: AgentLease | None = None

    def _wake(self) -> None:
        if self.loop is not None:
            self.loop.wake()

    async def run(self) -> None:
        """Serve until told to stop; raises SourceError, SettingsError, HaproxyMissingError, HaproxyStartError and WatchEndedError."""
        self._listen_to_signals()
        runner = web.AppRunner(self.admin.application(), access_log=None)
        await runner.setup()
        following = asyncio.create_task(self.source.follow(), name='source')
        try:
            await web.TCPSite(runner, *self.options.admin).start()
            if await self._read_source(following):
                await self._build()
                await self._serve(following)
        finally:
            self.source.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await runner.cleanup()

    async def _read_source(self, following: asyncio.Task[None]) -> bool:
        """Wait until the store holds everything once; return False when told to stop before."""
        reading, stop = asyncio.create_task(self.source.read()), asyncio.create_task(self.stopping.wait())
        await asyncio.wait([following, reading, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in (following, reading):
            if task.done():
                task.result()
        stop.cancel()
        if not reading.done():
            reading.cancel()
        return not self.stopping.is_set()

    async def _build(self) -> None:
        """Make the model of what was read, and what tells HAProxy of it."""
        options = self.options
        view = options.view.placed_by(self.store.objects())
        state = State(view)
        state.update(self.store, self.store.take())
        able = await asyncio.to_thread(probe.of_binary, options.checker)
        where = Where(
            Generations(options.state),
            Haproxy(options.state / 'current', options.sockets, options.start),
            options.checker,
            able,
        )
        self.applier = Applier(where, Renderer(view, able, options.overrides), state, Record())
        self.loop = Loop(self.store, state, self.applier, self.metrics.applied.observe)
        self.reloads = Reloads(self.applier, self.loop.refuse)
        self.admin.attach(self.loop, Traffic(view.settings.service_metrics))

    def _listen_to_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stopping.set)

    async def _serve(self, following: asyncio.Task[None]) -> None:
        assert self.loop is not None
        beat = asyncio.create_task(self.loop.beat())
        await self._begin()
        self.admin.synced = True
        # What was built lives as long as the process: no collection needs to walk it again.
        gc.collect()
        gc.freeze()
        log.info('serving', extra={'services': len(self.loop.state.fragments)})
        tasks = [beat, following, *map(asyncio.create_task, self._tasks(self.loop))]
        stop = asyncio.create_task(self.stopping.wait())
        done, _ = await asyncio.wait([stop, *tasks], return_when=asyncio.FIRST_COMPLETED)
        try:
            for task in done - {stop}:
                # None of them ends by itself: the supervisor starts the program again.
                task.result()
                raise RuntimeError(f'{task.get_name()} has ended')
            await self._stop()
        finally:
            for task in [stop, *tasks]:
                task.cancel()
            await asyncio.gather(stop, *tasks, return_exceptions=True)

    def _tasks(self, loop: Loop) -> list[Coroutine[Any, Any, None]]:
        applier, reloads = self.applier, self.reloads
        return [
            loop.run(),
            applier.follow(),
            applier.write_files(),
            applier.remove(),
            applier.relay(),
            applier.compare(),
            reloads.run(),
            reloads.promote_in_background(),
            self._follow_config(loop),
            *self._cluster_tasks(loop),
        ]

    def _cluster_tasks(self, loop: Loop) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside an API server as source: the sweep, and this agent's own Lease."""
        source, identity = self.source, self.options.identity
        if not isinstance(source, KubeSource):
            return []
        found = [source.sweep(milliseconds(self.applier.settings.sweep_interval) / 1000)]
        if identity is not None:
            self.lease = AgentLease(source.calls, identity, loop.report)
            found.append(self.lease.run())
        return found

    async def _begin(self) -> None:
        """Find HAProxy or start it, and tell it everything."""
        await asyncio.to_thread(self.applier.candidate.fill)
        haproxy = self.applier.where.haproxy
        if await haproxy.running():
            with contextlib.suppress(RuntimeSocketError):
                await self.applier.join()
                return
        if not haproxy.binary:
            await self._offer()
        else:
            await self._start()

    async def _offer(self) -> None:
        """Give a HAProxy that somebody else starts something to start from, and wait for it."""
        generation = await self.reloads.good_generation()
        if generation is not None:
            self.applier.where.generations.promote(generation)
        self.applier.lose('HAProxy has not been started yet')
        while True:
            with contextlib.suppress(RuntimeSocketError):
                await self.applier.join()
                return
            await asyncio.sleep(0.1)

    async def _start(self) -> None:
        """Start HAProxy; its own start is the check, and only when it fails the culprits are searched."""
        generations = self.applier.where.generations
        generations.promote(await self.applier.freeze())
        try:
            await self.applier.start()
        except HaproxyStartError as error:
            log.error('HAProxy did not start', extra={'said': str(error)[:500]})  # noqa: TRY400  it said why
            generation = await self.reloads.good_generation()
            if generation is None:
                raise
            generations.promote(generation)
            await self.applier.start()
        await self.applier.join()

    async def _follow_config(self, loop: Loop) -> None:
        """Read the settings again when their file changes."""
        config = self.options.config
        if config is None:
            await asyncio.Event().wait()
            return
        async for _ in watchfiles.awatch(config.parent, watch_filter=None, debounce=100, step=20):
            try:
                await self._reread(loop, config)
            except (OSError, SettingsError) as error:
                if self.applier.record.trouble('settings', str(error)):
                    log.error('the settings cannot be used; the old ones stay', extra={'said': str(error)})  # noqa: TRY400

    async def _reread(self, loop: Loop, config: Path) -> None:
        held = loop.state.view
        found = self.options.adjust(class_settings.parse(await asyncio.to_thread(config.read_text)))
        if found == held.settings:
            return
        fixed = sorted(class_settings.changed(held.settings, found, 'restart'))
        view = views.make(found, role=held.role, place=held.place, all_secrets=held.all_secrets, snippets=held.snippets)
        await loop.exchange(State(view))
        said = f'{", ".join(fixed)}: changed, and need a restart' if fixed else ''
        self.applier.record.trouble('settings', said)
        log.info('read the settings again', extra={'restart': ', '.join(fixed)})
        if keys := sorted(class_settings.changed(held.settings, found, 'reload')):
            self.reloads.ask([Reason('settings', ', '.join(keys))])

    async def _stop(self) -> None:
        """Stop so that nothing is lost: first nobody is sent here any more, then connections finish, then the end."""
        settings = self.applier.settings
        log.info('stopping')
        if self.lease is not None:
            await self.lease.withdraw()
        if self.options.keep:
            return
        await self.applier.refuse_readiness()
        await asyncio.sleep(milliseconds(settings.drain_delay) / 1000)
        if self.applier.where.haproxy.binary:
            await self.applier.where.haproxy.stop(milliseconds(settings.hard_stop_after) / 1000)
