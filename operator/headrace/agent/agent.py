"""An agent from beginning to end: read the source, find or start HAProxy, keep it true, and stop without a loss."""

import asyncio
import contextlib
import fcntl
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from headrace import garbage, heap, liveness
from headrace.agent import settings_file, startup
from headrace.agent.admin import Admin
from headrace.agent.api_certificate import ApiCertificate
from headrace.agent.health_checks import HealthChecks
from headrace.agent.loop import Loop
from headrace.agent.metrics import Metrics
from headrace.agent.node_table import NodeTable
from headrace.agent.serving import Serving
from headrace.agent.settings_file import SettingsFile
from headrace.agent.source import SourceOf
from headrace.agent.traffic import Traffic
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.render.templating import Overrides
from headrace.haproxy.runtime import check, probe, worker
from headrace.haproxy.runtime.apply import Applier, Instance
from headrace.haproxy.runtime.generations import Generations
from headrace.haproxy.runtime.maintenance import Maintenance
from headrace.haproxy.runtime.process import Haproxy
from headrace.haproxy.runtime.reloads import Reloads
from headrace.haproxy.runtime.sockets import Connection, RuntimeSocketError
from headrace.haproxy.runtime.stats import Stats
from headrace.kube import class_holder, epochs
from headrace.kube.agent_lease import AgentLease, Identity
from headrace.kube.lease import Leases
from headrace.kube.reviews import Reviews
from headrace.kube.source import KubeSource
from headrace.nft.command import Nft
from headrace.nft.instance_slots import InstanceSlot
from headrace.resolve.state import State
from headrace.settings.settings import Settings, milliseconds
from headrace.store import Store
from headrace.translate.build_context import BuildContext, Role

log = logging.getLogger(__name__)
# Seconds to wait for a running reload on shutdown.
_RELOAD_SECONDS = 10.0
# And for what it has begun with.
_BEGIN_SECONDS = 1.0
# How long a thread may keep the interpreter while the event loop waits for it: usually 5 ms, as long as a change takes.
_SWITCH_SECONDS = 0.0005
# A HAProxy that does not say its version in this time is asked again when it is adopted.
_VERSION_SECONDS = 1.0
# A file beside the sockets, by which HAProxy's supervisor says that it will end too.
DRAINING = 'draining'
_DRAINING_SECONDS = 2.0
# And another, which is there while HAProxy has everything and does not drain.
READY = 'ready'


@dataclass(frozen=True, slots=True)
class Options:
    """How an agent runs. `start` is the HAProxy to start, '' to attach to one; `checker` judges candidates.

    `source` makes what the agent follows; `identity` is whose Lease it keeps in a cluster. `api` is where pages are served
    to those who show a token, None for nowhere, and `api_certificate` a folder with its certificate. With `keep` HAProxy goes on
    without the agent, unless the file `draining` says that it ends as well. `nft` is the program by which the node role tells
    the kernel, and `slot` what is this agent's own where a node may have several.
    """

    source: SourceOf
    state: Path
    sockets: Path
    context: BuildContext
    overrides: Overrides
    start: str
    checker: str
    admin: tuple[str, int]
    api: tuple[str, int] | None = None
    api_certificate: Path | None = None
    identity: Identity | None = None
    config: Path | None = None
    adjust: Callable[[Settings], Settings] = lambda settings: settings
    keep: bool = False
    nft: str = 'nft'
    slot: InstanceSlot | None = None


class AgentError(Exception):
    """The agent cannot run here and now; the message says why."""


class Agent:
    """One agent on a source."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.store = Store(options.context.settings.max_annotation_bytes_per_namespace)
        self.source = options.source(self.store, self._wake, self.listen_to_signals)
        self.metrics = Metrics()
        self.admin = Admin(self.metrics, self.source)
        self.lease: AgentLease | None = None
        self.api_certificate: ApiCertificate | None = None
        self.table: NodeTable | None = None
        # Where the admin port is, once it is.
        self.admin_address: tuple[str, int] | None = None
        self.stopping = asyncio.Event()
        self.hurry = asyncio.Event()

    def _wake(self, since: float) -> None:
        # What comes before there is a loop is in the store, from which the loop begins.
        if self.admin.loop is not None:
            self.loop.wake(since)

    async def run(self) -> None:
        """Serve until a signal to stop.

        Raises AgentError, ServingError, SourceError, HaproxyMissingError, OldHaproxyError, HaproxyStartError,
        WatchEndedError and WriteError.
        """
        garbage.collect_seldom()
        heap.share()
        sys.setswitchinterval(_SWITCH_SECONDS)
        alone = _alone(self.options.state)
        # One for all, for who starts a process has to see that it has ended.
        self.haproxy = Haproxy(self.options.state / 'current', self.options.sockets, self.options.start)
        self.listen_to_signals()
        serving = Serving(self.metrics.refuse_connection)
        following = asyncio.create_task(self.source.follow(), name='the source')
        try:
            await self._listen(serving)
            await self._refuse_old()
            await self._serve_what_was_good()
            if await self._read(following):
                await self._build()
                await self._serve(following)
        finally:
            self.source.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
            await serving.close()
            alone.close()
            if self.options.slot is not None:
                self.options.slot.close()

    async def _refuse_old(self) -> None:
        """Raise OldHaproxyError where HAProxy, or the one that runs already, is too old, before anything changes."""
        await asyncio.to_thread(check.version, self.options.checker)
        with contextlib.suppress(RuntimeSocketError, TimeoutError):
            async with asyncio.timeout(_VERSION_SECONDS):
                connection = await Connection.open(self.haproxy.runtime_socket)
                try:
                    await worker.facts(connection)
                finally:
                    connection.abort()

    async def _serve_what_was_good(self) -> None:
        """On a node, begin with what the agent before has left."""
        options = self.options
        if options.context.role is Role.NODE:
            nft = Nft(options.nft)
            self.table = NodeTable(nft, options.state, options.slot, lambda: self.admin.loop is not None)
            await self.table.serve_what_was_good(self.haproxy)

    async def _listen(self, serving: Serving) -> None:
        options, source = self.options, self.source
        admin = await serving.listen('--admin', options.admin, self.admin.application())
        self.admin_address = admin
        addresses = {'admin': ':'.join(map(str, admin))}
        if options.api is not None and options.identity is not None and isinstance(source, KubeSource):
            reviews = Reviews(source.calls, options.identity.namespace)
            self.api_certificate = ApiCertificate(options.identity.name, options.api_certificate)
            self.api_certificate.read()
            tls = self.api_certificate.tls
            addresses['api'] = ':'.join(
                map(str, await serving.listen('--api', options.api, self.admin.api(reviews), tls))
            )
        log.info('listening', extra=addresses)
        if options.context.role is Role.NODE:
            options.sockets.mkdir(mode=0o750, parents=True, exist_ok=True)
            (options.sockets / liveness.ADMIN).write_text('{} {}'.format(*admin))

    def _say_ready(self, *, ready: bool) -> None:
        """Let a probe see that HAProxy has everything, where ports are not known before."""
        if self.options.context.role is Role.NODE:
            with contextlib.suppress(OSError):
                file = self.options.sockets / READY
                file.touch() if ready else file.unlink(missing_ok=True)

    async def _read(self, following: asyncio.Task[None]) -> bool:
        """Wait until the store holds everything once; return False after a signal to stop."""
        reading, stop = asyncio.create_task(self.source.read()), asyncio.create_task(self.stopping.wait())
        try:
            await asyncio.wait([following, reading, stop], return_when=asyncio.FIRST_COMPLETED)
            for task in (following, reading):
                if task.done():
                    task.result()
        finally:
            stop.cancel()
            reading.cancel()
        return not self.stopping.is_set()

    async def _build(self) -> None:
        """Make the model of what was read, and what tells HAProxy of it."""
        options = self.options
        context = options.context.placed_by(self.store.objects())
        state = State(context)
        failures = state.update(self.store, self.store.take()).failures
        quic = await asyncio.to_thread(probe.has_quic, options.checker)
        instance = Instance(Generations(options.state), self.haproxy, options.checker, quic)
        self.applier = Applier(instance, Renderer(context, options.overrides, quic=quic), state, Stats())
        for failure in failures:
            self.applier.report(failure.stage, failure.error, failure.ref)
        settings_file.note_lack(self.applier)
        self.loop = Loop(self.store, state, self.applier, self.metrics.applied.observe)
        self.reloads = Reloads(self.applier, self.loop.refuse)
        self.reloads.delay = self.loop.delay
        self.settings_file = SettingsFile(options.config, options.adjust, self.loop, self.reloads)
        self.maintenance = Maintenance(self.applier)
        traffic = Traffic(context.settings.service_metrics)
        self.reloads.leaving = lambda: traffic.read(self.applier, force=True)
        if self.table is not None:
            self.table.attach(self.loop)
        self.admin.attach(self.loop, traffic, self.table.table_sync if self.table else None)

    def listen_to_signals(self) -> None:
        """Take the signals that tell to stop; again when a library has replaced the handlers."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._told_to_stop)

    def _told_to_stop(self) -> None:
        if self.stopping.is_set():
            self.hurry.set()
        self.stopping.set()

    async def _serve(self, following: asyncio.Task[None]) -> None:
        beat, stop = asyncio.create_task(self.loop.beat()), asyncio.create_task(self.stopping.wait())
        begin = asyncio.create_task(startup.begin(self.loop, self.reloads, self.table))
        await asyncio.wait([begin, stop], return_when=asyncio.FIRST_COMPLETED)
        try:
            if begin.done():
                begin.result()
                await self._go_on(stop, beat, following)
            else:
                # It may have said "ready" already, and be about to know.
                await asyncio.wait([begin], timeout=_BEGIN_SECONDS)
                begin.cancel()
                await asyncio.gather(begin, return_exceptions=True)
                # An agent that stops between HAProxy's first "ready" and the first change has clients already.
                if self.applier.worker is not None:
                    await self._withdraw()
            if not self.options.keep:
                await self._end()
        finally:
            for task in (begin, stop, beat):
                task.cancel()
            await asyncio.gather(begin, stop, beat, return_exceptions=True)

    async def _go_on(self, stop: asyncio.Task[Any], *others: asyncio.Task[None]) -> None:
        """Follow the source until a signal to stop, and until no new clients are sent here any more."""
        self.admin.synced = True
        self._say_ready(ready=True)
        garbage.keep()
        log.info('serving', extra={'services': len(self.loop.state.fragments)})
        tasks = [*map(asyncio.create_task, self._tasks())]
        try:
            done, _ = await asyncio.wait([stop, *others, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for task in done - {stop}:
                # None of them ends by itself: the supervisor starts the program again.
                task.result()
                raise RuntimeError(f'{task.get_name()} has ended')
            await self._withdraw()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _tasks(self) -> list[Coroutine[Any, Any, None]]:
        applier, reloads, maintenance = self.applier, self.reloads, self.maintenance
        return [
            self.loop.run(),
            applier.follow(),
            maintenance.write_files(),
            maintenance.remove(),
            maintenance.relay(),
            maintenance.compare(),
            reloads.run(),
            reloads.promote_in_background(),
            self.settings_file.follow(),
            *self._cluster_tasks(),
            *([self.table.keep(), HealthChecks(self.loop, self.table).run()] if self.table else []),
        ]

    def _cluster_tasks(self) -> list[Coroutine[Any, Any, None]]:
        """Return what runs beside an API server as source: the sweep, and this agent's own Lease."""
        source, identity = self.source, self.options.identity
        if not isinstance(source, KubeSource):
            return []
        tasks = [source.sweep(milliseconds(self.applier.settings.sweep_interval) / 1000)]
        if identity is not None:
            leases = Leases(source.calls)
            self.lease = AgentLease(leases, identity, self.loop.report)
            # None counts before the controller's counter has been read.
            self.loop.epochs.trust(0)
            tasks.append(self._keep_lease(self.lease))
            instance = leases, identity.namespace, identity.class_name
            tasks.append(epochs.follow(self.loop.epochs, *instance))
            tasks.append(class_holder.follow(*instance, self.applier.stats.note_class))
        if self.api_certificate is not None:
            tasks.append(self.api_certificate.follow(self._note_api_certificate))
        return tasks

    def _note_api_certificate(self, problem: str) -> None:
        if self.applier.stats.problem('api-certificate', problem) and problem:
            log.error('the certificate of --api cannot be used; the one before stays', extra={'error': problem})

    async def _keep_lease(self, lease: AgentLease) -> None:
        """Tell that this agent serves, once it does."""
        if self.table is not None:
            await self.table.owned.wait()
        await lease.run()

    async def _withdraw(self) -> None:
        """Report "not ready", and give load balancers time to see it; changes still arrive."""
        goes_on = self.options.keep and not await self._draining()
        log.info('stopping', extra={'haproxy': 'goes on' if goes_on else 'drains'})
        if goes_on:
            return
        self._say_ready(ready=False)
        if self.table is not None:
            # Before anything else: from now on only what HAProxy alone can serve still goes to it.
            await self.table.leave()
        if self.lease is not None:
            await self.lease.withdraw()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_RELOAD_SECONDS):
                await self.reloads.hold()
        await self.applier.refuse_readiness()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(milliseconds(self.applier.settings.drain_delay) / 1000):
                await self.hurry.wait()

    async def _draining(self) -> bool:
        """Tell whether HAProxy ends too: in a pod, all containers are stopped at nearly the same time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_DRAINING_SECONDS):
                while not self.hurry.is_set():
                    if (self.options.sockets / DRAINING).exists():
                        return True
                    await asyncio.sleep(0.05)
        return False

    async def _end(self) -> None:
        """Let HAProxy close its listeners, finish its connections, and end."""
        await self.applier.let_go()
        if self.applier.instance.haproxy.binary:
            seconds = milliseconds(self.applier.settings.hard_stop_after) / 1000
            await self.applier.instance.haproxy.stop(seconds, self.hurry)
        log.info('stopped')


def _alone(state: Path) -> IO[str]:
    """Return an open file that says that this folder has its agent; raises AgentError when it has one already."""
    file = (state / 'agent.lock').open('a')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise AgentError(f'--state {state}: another agent works there') from error
    return file
