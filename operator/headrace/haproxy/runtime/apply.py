"""Applying changes of the model to HAProxy: the worker that serves gets commands at once, the files follow.

Promises: a change is sent when it comes; nothing waits for files, checks or reloads. A worker that is lost or new is
brought up to date from the journal, or from what it says itself.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from headrace.haproxy.encode.commands import Command
from headrace.haproxy.plan import plan
from headrace.haproxy.plan.plan import Loaded, started
from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.render.render import HEALTH, Renderer
from headrace.haproxy.runtime import adoption, generations, worker
from headrace.haproxy.runtime.freezing import Freezer
from headrace.haproxy.runtime.generations import Generations
from headrace.haproxy.runtime.journal import Journal
from headrace.haproxy.runtime.process import Haproxy, HaproxyStartError
from headrace.haproxy.runtime.sockets import Connection, RuntimeSocketError
from headrace.haproxy.runtime.staging import Staging
from headrace.haproxy.runtime.stats import PlanRecord, Stats
from headrace.haproxy.runtime.versions import OldHaproxyError
from headrace.haproxy.runtime.worker import PlanError, Worker
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot, of_state
from headrace.resolve.state import State
from headrace.settings.settings import Settings, milliseconds

log = logging.getLogger(__name__)
_MOST_RELAYED = 2000
# A change of more pointers holds the event loop for some milliseconds in each of its steps.
_LARGE = 100
_READY = f'set map {HEALTH} ready'


@dataclass(frozen=True, slots=True)
class Instance:
    """What HAProxy is: its folder of state, the process, and the binary that judges candidates."""

    generations: Generations
    haproxy: Haproxy
    checker: str
    quic: bool


class Applier:
    """Tells one HAProxy what the model says. `desired` is the snapshot that it makes true; it follows by `apply`."""

    def __init__(self, instance: Instance, renderer: Renderer, state: State, stats: Stats) -> None:
        self.instance, self.state, self.stats = instance, state, stats
        self.desired = desired = of_state(state)
        self.staging = Staging(instance.generations.folder / 'candidate', renderer, desired)
        self.journal = Journal()
        self.freezer = Freezer(
            self.staging, self.journal, instance.generations, lambda error: self.search('render', error)
        )
        self.worker: Worker | None = None
        self.ready = True
        self.on_reasons: Callable[[Iterable[Reason]], None] = lambda _: None
        # Searches the objects that an unexpected exception is about, and lets them go back to what could be applied.
        self.search: Callable[[str, Exception], Awaitable[None]] = _nothing
        self.lost = asyncio.Event()
        self.behind = asyncio.Event()
        self.removing = asyncio.Event()
        self.touched: set[Ref] = set()
        self.behind_since = 0.0
        self._turn = asyncio.Lock()
        self._connected_pids: set[int] = set()
        # What else is made of a snapshot, so that an object on which that fails can be found.
        self.attempts: list[Callable[[ModelSnapshot], object]] = []
        # While a reload of our own is under way; and the worker that was there when it began.
        self.reloading = False
        self._leaving: Worker | None = None
        self.unasked: set[Reason] = set()
        self.old_workers: tuple[int, ...] = ()
        self.relayed: asyncio.Queue[Command] = asyncio.Queue(_MOST_RELAYED)

    @property
    def settings(self) -> Settings:
        """Return the class's settings."""
        return self.staging.renderer.context.settings

    @property
    def _drain_seconds(self) -> float:
        return milliseconds(self.settings.drain_timeout) / 1000

    async def apply(self, change: Change, *, administrator: bool = False) -> None:
        """Make a change true: the worker now, the files soon. Errors of the worker are kept, not raised.

        `administrator` says that the change comes from the settings, and not from objects.

        An unexpected exception is raised, and leaves everything as it was before.
        """
        async with self._turn:
            self.desired.tell(change)
            try:
                self.staging.note(change)
            except Exception:
                self.desired.tell(change.inverse)
                raise
            self.journal.note(change)
            self._files_behind()
            if len(change.pointers) > _LARGE:
                # Probes are answered between the steps of a large change.
                await asyncio.sleep(0)
            if self.worker is None:
                return
            refs = {item.ref for item in change.fragments}
            keys = {item.key for item in change.pointers}
            try:
                await self._tell(self.worker, refs, keys, administrator=administrator)
            except PlanError:
                self.desired.tell(change.inverse)
                self.staging.note(change.inverse)
                raise

    async def renew(self) -> None:
        """Take all of the state, without a plan: what it was has objects that cannot be planned.

        The files are made anew, and the worker is adopted by what it reports.
        """
        async with self._turn:
            change = self.desired.whole_change_to(of_state(self.state))
            self.desired.tell(change)
            self.journal.note(change)
            self.staging.renew()
            self._files_behind()
            if self.worker is not None:
                self.lose('an object could not be applied')

    def report(self, stage: str, error: Exception, ref: Ref | None = None) -> None:
        """Log and count an unexpected exception, with the object that it is about where that is known."""
        self.stats.internal_errors[stage] += 1
        cause = error.__cause__ if isinstance(error, PlanError) and error.__cause__ is not None else error
        log.error('internal error', extra={'stage': stage, 'object': str(ref or '')}, exc_info=cause)

    def note(self, change: Change) -> None:
        """Take a change of diagnostics alone, which needs no command."""
        self.desired.tell(change)

    def culprits(self, refs: Iterable[Ref]) -> Iterator[tuple[Ref, Exception]]:
        """Yield the objects that cannot be planned and rendered, each by itself."""
        renderer = self.staging.renderer
        for ref in refs:
            fragment, claims = self.state.fragments.get(ref), self.state.claims
            if fragment is None:
                continue
            keys = [(claim.kind, claim.key) for claim in fragment.claims]
            claimed_keys = [key for key in keys if claims.claimants(key)[:1] == (ref,)]
            try:
                pointers = {
                    key: content for key in claimed_keys if (content := claims.content(key, self.state.fragments))
                }
                changes = tuple(PointerChange(key, None, content) for key, content in pointers.items())
                plan.plan(Change((FragmentChange(ref, None, fragment),), changes), Loaded())
                snapshot = ModelSnapshot({ref: fragment}, pointers)
                renderer.snapshot(snapshot)
                for attempt in self.attempts:
                    attempt(snapshot)
            except Exception as error:  # noqa: BLE001  handed on
                yield ref, error

    async def exchange(self, state: State) -> bool:
        """Go on with another state, as other settings make it; return whether a reload has to bring a part of it."""
        async with self._turn:
            self.state = state
            previous, renderer = self.staging.renderer, self.staging.renderer.with_view(state.context)
            self.staging.use(renderer)
            if self.worker is not None:
                self.worker.removals.drain_seconds = self._drain_seconds
        await self.apply(self.desired.whole_change_to(of_state(state)), administrator=True)
        return previous.sections([]) != renderer.sections([])

    def _files_behind(self) -> None:
        if self.staging.stale and not self.behind.is_set():
            self.behind_since = time.monotonic()
            self.behind.set()

    async def _tell(
        self, target: Worker, refs: AbstractSet[Ref], keys: AbstractSet[ClaimKey], *, administrator: bool = False
    ) -> bool:
        """Tell a worker what is wanted at some objects and keys, and keep the record; return whether it answered."""
        deferred_refs = frozenset(target.deferred.refs) if administrator else frozenset()
        try:
            result = await target.apply(self.desired, refs, keys)
        except RuntimeSocketError as error:
            self.lose(str(error))
            return False
        except PlanError:
            raise
        except Exception as error:  # noqa: BLE001  reported
            # Commands may have been sent, so only the worker knows what it has.
            self.report('send', error)
            self.lose(f'internal error: {type(error).__name__}')
            return False
        stats, change = self.stats, result.change
        stats.commands += result.sent
        stats.plans['reload' if result.reasons else 'runtime' if result.sent else 'files'] += 1
        for item in result.refused:
            stats.refused[item.command.line.partition(' ')[0]] += 1
            log.warning('HAProxy refused a command', extra={'command': item.command.named, 'answer': item.answer})
        names = tuple(str(item.ref) for item in change.fragments[:5])
        reasons = tuple(str(reason) for reason in result.reasons)
        stats.last_plans.append(
            PlanRecord(time.time(), names, result.sent, len(result.refused), reasons, result.seconds)
        )
        log.info(
            'applied',
            extra={
                'objects': len(change.fragments),
                'first': ', '.join(names),
                'commands': result.sent,
                'refused': len(result.refused),
                'reload': '; '.join(reasons[:3]),
                'milliseconds': round(result.seconds * 1000, 2),
            },
        )
        # What the worker lacks that is being replaced is asked of the next one, which may serve before the reload ends.
        # What has waited before the settings changed waits for its own sake.
        requests = [
            replace(
                reason,
                administrator=reason.administrator or (administrator and not deferred_refs.issuperset(reason.refs)),
            )
            for reason in result.reasons
        ]
        if self.reloading and target is self._leaving:
            self.unasked.update(requests)
        elif requests:
            self.on_reasons(requests)
        if self.old_workers:
            self._relay(result.plan.commands)
        self.touched.update(item.ref for item in change.fragments)
        self.removing.set()
        return True

    def _relay(self, commands: Iterable[Command]) -> None:
        """Let old workers, which still hold connections, know too; what does not fit into the queue is not worth it."""
        with contextlib.suppress(asyncio.QueueFull):
            for command in commands:
                if not any((command.payload, command.removes, command.before, command.locate)):
                    self.relayed.put_nowait(command)

    def lose(self, reason: str) -> None:
        """Note that the worker does not answer any more; `follow` finds the next one."""
        previous, self.worker = self.worker, None
        if previous is not None:
            # An open connection would keep a worker alive that has been replaced.
            previous.connection.abort()
        if self.stats.problem('worker', reason):
            log.warning('lost the worker', extra={'error': reason})
        self.lost.set()

    def _ended(self, former: Worker) -> None:
        if self.worker is former:
            self.lose('the worker has ended the connection')

    def begin_reload(self) -> None:
        """Note that the worker is about to be replaced, before what is wanted is frozen."""
        self.reloading, self._leaving = True, self.worker
        self.unasked.clear()

    def end_reload(self) -> None:
        """Note that the reload has come to its end, whatever became of it."""
        self.reloading, self._leaving = False, None

    async def let_go(self) -> None:
        """Close the connection to the worker, which could not end while it is open."""
        previous, self.worker = self.worker, None
        if previous is not None:
            await previous.close()

    async def join(self) -> None:
        """Connect to the worker that serves, and make it what is wanted; raises RuntimeSocketError and OldHaproxyError."""
        haproxy = self.instance.haproxy
        connection = await Connection.open(haproxy.runtime_socket)
        try:
            target = Worker(connection, await worker.facts(connection), self._drain_seconds)
            async with self._turn:
                await self._synchronize(target)
        except BaseException:
            connection.abort()
            raise

    async def _synchronize(self, target: Worker) -> None:
        if target.facts.stopping:
            raise RuntimeSocketError('this worker is stopping')
        generation = self.instance.generations.known.get(target.facts.generation)
        since = self.journal.since(target.facts.generation)
        if generation is not None and since is not None and target.facts.pid not in self._connected_pids:
            target.snapshot = generation.snapshot.copy()
            target.loaded = started(generation.snapshot, generation.profiles)
            self._connected_pids.add(target.facts.pid)
            await target.settle()
            if not await self._tell(target, *since):
                raise RuntimeSocketError('the new worker does not answer')
        else:
            self._connected_pids.add(target.facts.pid)
            await self._adopt(target)
        await target.connection.tell(f'{_READY} {"yes" if self.ready else "no"}')
        before, self.worker = self.worker, target
        self.instance.generations.serving = target.facts.generation
        target.connection.on_end(lambda: self._ended(target))
        if before is not None:
            await before.close()
        self.lost.clear()
        # What this worker has to forget was noted before it was adopted.
        self.removing.set()
        if self.stats.problem('worker', ''):
            log.info('a worker serves again', extra={'pid': target.facts.pid})

    async def _adopt(self, target: Worker) -> None:
        folder = self.instance.generations.root / target.facts.generation
        result = await adoption.adopt(target, self.desired.copy(), generations.loaded(folder))
        await target.settle()
        self.stats.adoptions += 1
        self.stats.commands += result.sent
        reasons = set(result.reasons)
        if not target.facts.generation or not generations.same_static(folder, self.staging.folder):
            reasons.add(Reason('settings', 'HAProxy runs with other settings', administrator=True))
        log.info(
            'adopted the worker',
            extra={'pid': target.facts.pid, 'commands': result.sent, 'reload': '; '.join(map(str, sorted(reasons)))},
        )
        if reasons:
            self.on_reasons(reasons)
        self.removing.set()

    async def start(self) -> None:
        """Start HAProxy from the promoted generation; raises HaproxyStartError."""
        self.stats.starts += 1
        await self.instance.haproxy.start()

    async def follow(self) -> None:
        """Keep a worker: find the next one when it is lost or replaced, and start HAProxy when it is gone."""
        pause = 0.05
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self.lost.wait()
            try:
                if self.worker is None:
                    await self._find()
                elif not self.reloading:
                    await self._still_there(self.worker)
                pause = 0.05
            except (RuntimeSocketError, HaproxyStartError) as error:
                self.lose(str(error))
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)
            except OldHaproxyError:
                raise
            except Exception as error:  # noqa: BLE001  reported, or of an object that is left out
                self.lose(f'internal error: {type(error).__name__}')
                await self.search('adopt', error)
                await asyncio.sleep(pause)
                pause = min(pause * 2, 5.0)

    async def _find(self) -> None:
        if self.instance.haproxy.binary and not await self.instance.haproxy.running():
            log.warning('HAProxy is gone; starting it')
            await self.start()
        await self.join()

    async def _still_there(self, current: Worker) -> None:
        """Raise RuntimeSocketError when the connected worker is not the one that serves."""
        workers = await self.instance.haproxy.master.workers()
        pids = {process.pid: process.old for process in workers}
        self.old_workers = tuple(process.pid for process in workers if process.old and process.pid != current.facts.pid)
        if self.worker is current and pids and pids.get(current.facts.pid, True) and not all(pids.values()):
            raise RuntimeSocketError(f'worker {current.facts.pid} has been replaced')

    async def refuse_readiness(self) -> None:
        """Let HAProxy's health port say that it is not ready, from now on."""
        self.ready = False
        if self.worker is not None:
            with contextlib.suppress(RuntimeSocketError):
                await self.worker.connection.tell(f'{_READY} no')


async def _nothing(_stage: str, _error: Exception) -> None:
    pass
