"""The loop: take what changed, build it, apply it. One batch at a time; what arrives meanwhile is the next one.

There is no quiet time: an idle agent applies at once, and a busy one takes all that came while it was busy.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from functools import partial

from headrace.agent.backlog import Backlog
from headrace.agent.change_journal import ChangeJournal
from headrace.agent.diagnostics_index import DiagnosticsIndex
from headrace.agent.draining import Draining
from headrace.haproxy.runtime.apply import Applier
from headrace.ir.fragment import Fragment
from headrace.kube import lease
from headrace.kube.agent_lease import Report
from headrace.kube.epochs import Epochs
from headrace.names import Ref
from headrace.nft import node_facts
from headrace.nft.layout import NodeFacts
from headrace.nft.sync import TableSync
from headrace.objects.kinds import NODES, Service
from headrace.resolve.changes import Change, Failure
from headrace.resolve.state import State
from headrace.resolve.translation import count_services
from headrace.store import Store

log = logging.getLogger(__name__)

EPOCH = 'epoch'
_FIRST_PAUSE_SECONDS = 0.1
_LONGEST_PAUSE_SECONDS = 30.0
# So many objects are tried in one go, after which others get their turn.
_TRIED_AT_ONCE = 20
# So many changed objects are applied at once. What is changed together takes effect together up to this number, and
# the event loop is held for some 20 ms.
_APPLIED_AT_ONCE = 100


class Loop:
    """Turns changes of a store into changes of HAProxy. `timed` is called with the seconds from an event to its answer."""

    def __init__(self, store: Store, state: State, applier: Applier, timed: Callable[[float], None]) -> None:
        self.store, self.state, self.applier, self._timed = store, state, applier, timed
        self._wake = asyncio.Event()
        self._woken_at = 0.0
        # Since when there is something that has not been applied (monotonic seconds), None for nothing.
        self.behind_since: float | None = None
        self._turn = asyncio.Lock()
        self.diagnostics_index = DiagnosticsIndex(state)
        self.table_sync: TableSync | None = None
        self._draining = Draining(applier, self.wake)
        self.batches = 0
        self._backlog = Backlog()
        self.journal = ChangeJournal()
        self._pause = _FIRST_PAUSE_SECONDS
        applier.search = self.search
        self.epochs = Epochs()
        self._note_epochs(self._epochs(store.services()))
        self.last_beat = time.monotonic()
        # Told of each change of the model after it was applied.
        self.noted: Callable[[Change], None] = lambda _: None

    def wake(self, since: float) -> None:
        """Say that the store has changed, by what has been known since then (monotonic seconds)."""
        if not self._wake.is_set():
            self._woken_at = since
            self._wake.set()
        if self.behind_since is None:
            self.behind_since = since

    async def run(self) -> None:
        """Apply changes until cancelled; first those that came before there was a loop to wake."""
        self.wake(time.monotonic())
        while True:
            await self._wake.wait()
            await self.settle()

    async def settle(self) -> bool:
        """Apply what has changed in the store, and what changes meanwhile; return whether anything had."""
        changed = False
        while True:
            self._wake.clear()
            start = self._woken_at
            async with self._turn:
                over = await self._draining.over()
                self.state.draining -= over
                dirty = self._parts(self.store.take() | over)
                # Epochs are read before the change is applied: a Service may get its next one meanwhile.
                self._backlog.add(self._by_age(dirty), self._epochs(dirty))
                refs = self._with_services_first(self._backlog.next(_APPLIED_AT_ONCE, self._weight))
                if not refs and not self._backlog:
                    self._catch_up()
                    return changed
                self.batches += 1
                plans = self.applier.stats.plans.total()
                try:
                    step = await self._settle(refs)
                except Exception as error:  # noqa: BLE001  reported; what was taken from the store is kept
                    self._try_again(refs, error)
                    return changed
                self._note_epochs(self._backlog.complete(refs))
            self._pause = _FIRST_PAUSE_SECONDS
            if step:
                changed = True
                seconds = time.monotonic() - start
                self._timed(seconds)
                self.journal.note(step, seconds, self.applier.stats.plans_since(plans))
            if not self._backlog:
                self._catch_up()
                return changed
            # A change that needs no command is applied without a pause of its own.
            await asyncio.sleep(0)

    def _catch_up(self) -> None:
        """Note that all has been applied but for what came meanwhile."""
        self.behind_since = self._woken_at if self._wake.is_set() else None

    def _parts(self, dirty: Iterable[Ref]) -> set[Ref]:
        """Return changed objects, with the objects that are built from a Secret in its place where these are many."""
        parts = {*dirty}
        for ref in dirty:
            if ref.kind == 'Secret' and len(readers := self.state.dependencies.readers(ref)) > _APPLIED_AT_ONCE:
                parts.remove(ref)
                parts |= readers
        return parts

    def _weight(self, ref: Ref) -> int:
        """Return for how many objects one counts in a batch: Services may have to be built for what leads to them."""
        return max(1, count_services(self.store.source(ref)) // 2)

    def _with_services_first(self, refs: list[Ref]) -> list[Ref]:
        """Return a batch without the object that leads to more Services than a batch may have: these come before it."""
        for ref in [each for each in refs if self._weight(each) * 2 > _APPLIED_AT_ONCE]:
            if services := self.state.expect(self.store, ref):
                self._backlog.put_first([*sorted(services), ref])
                refs.remove(ref)
        return refs

    def _by_age(self, refs: Collection[Ref]) -> Iterable[Ref]:
        """Return changed objects, the oldest first: budgets leave room for them first."""
        return sorted(refs, key=partial(self.state.age, self.store)) if len(refs) > 1 else refs

    def _try_again(self, refs: Sequence[Ref], error: Exception) -> None:
        """Keep what could not be applied for a later batch: the next one, or one after a pause that grows."""
        self.applier.report('batch', error)
        self._backlog.put_back(refs)
        asyncio.get_running_loop().call_later(self._pause, lambda: self.wake(time.monotonic()))
        self._pause = min(self._pause * 2, _LONGEST_PAUSE_SECONDS)

    async def _settle(self, refs: Sequence[Ref]) -> Change:
        change = self.state.update(self.store, refs, _APPLIED_AT_ONCE)
        self._backlog.put_back(self.state.take_later())
        self._draining.follow(self.state.draining)
        if len(change.pointers) > _APPLIED_AT_ONCE:
            # Others get their turn between the steps of an object's large change.
            await asyncio.sleep(0)
        if change or change.failures:
            await self._apply(change)
        self.noted(change)
        if self.table_sync is not None and NODES in refs:
            await self._steer(partial(self.table_sync.move, node_facts.find(self.store.nodes(), self.state.context)))
        return change

    async def _apply(self, change: Change) -> None:
        """Apply a change. Objects that fail go back to what could be applied; halving finds them."""
        self._report(change.failures)
        try:
            await self._tell(change)
        except Exception as error:  # noqa: BLE001  reported with the object at fault
            await self._undo(change)
            await self._divide([item.ref for item in change.fragments], error)
        else:
            self.diagnostics_index.note(self.state, change.judged)

    async def _tell(self, change: Change) -> None:
        if self.table_sync is None:
            await self.applier.apply(change)
            return
        rest = await self.table_sync.begin_change(change)
        await self.applier.apply(change)
        try:
            await self.table_sync.finish_change(rest, change)
        except Exception as error:  # noqa: BLE001  HAProxy has it all, so the table is what is to be mended
            self.applier.report('table', error)
            await self._reconcile()

    async def _reconcile(self) -> None:
        if self.table_sync is not None:
            await self._steer(partial(self.table_sync.reconcile, self.applier.desired))

    async def _steer(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something to the table; objects on which that fails go back to what could be applied."""
        for attempt in range(2):
            try:
                await work()
            except Exception as error:  # noqa: BLE001  reported, or of an object that is left out
                if attempt or not await self._search('table'):
                    self.applier.report('table', error)
                    return
            else:
                return

    async def _undo(self, change: Change) -> None:
        self.state.undo(change)
        await self._reconcile()

    async def _divide(self, refs: Sequence[Ref], error: Exception) -> None:
        """Apply fragments in parts of which one fails; those that have failed before are suspected first."""
        if len(refs) <= 1:
            # Where not even no change can be applied, no object is at fault.
            await self.applier.apply(Change())
            for ref in refs:
                self._leave_behind(Failure(ref, 'plan', error))
            if not refs:
                raise error
            return
        suspects = [ref for ref in refs if ref in self.state.failed]
        half = len(refs) // 2
        parts = (refs[:half], refs[half:])
        if 0 < len(suspects) < len(refs):
            parts = ([ref for ref in refs if ref not in self.state.failed], suspects)
        for part in parts:
            change = self.state.rebuild(self.store, part)
            try:
                await self._tell(change)
            except Exception as part_error:  # noqa: BLE001  reported with the object at fault
                await self._undo(change)
                await self._divide(part, part_error)
            else:
                self.diagnostics_index.note(self.state, change.judged)

    def _leave_behind(self, failure: Failure) -> None:
        """Let an object keep the fragment that it has; only its diagnostics change."""
        change = self.state.fail(self.store, failure, self.state.fragments.get(failure.ref))
        self.applier.note(change)
        self._report((failure,))
        self.diagnostics_index.note(self.state, (*change.judged, failure.ref))

    def _report(self, failures: Iterable[Failure]) -> None:
        for failure in failures:
            self.applier.report(failure.stage, failure.error, failure.ref)

    async def search(self, stage: str, error: Exception) -> None:
        """Try all objects, each by itself, and let those that fail go back to what could be applied.

        For failures beside changes: of files, and of a worker that is adopted.
        """
        async with self._turn:
            if not await self._search(stage):
                self.applier.report(stage, error)

    async def _search(self, stage: str) -> bool:
        """Return whether an object was found that fails by itself."""
        culprits: list[tuple[Ref, Exception]] = []
        refs = sorted(self.state.fragments)
        for start in range(0, len(refs), _TRIED_AT_ONCE):
            culprits += self.applier.culprits(refs[start : start + _TRIED_AT_ONCE])
            await asyncio.sleep(0)
        written = self.applier.staging.written
        for ref, error in culprits:
            failure = Failure(ref, stage, error)
            change = self.state.fail(self.store, failure, written.get(ref))
            if any(self.applier.culprits([ref])):
                change = change.then(self.state.fail(self.store, failure, None))
            self._report((failure,))
            self.diagnostics_index.note(self.state, (*change.judged, ref))
        if culprits:
            await self.applier.renew()
            await self._reconcile()
        return bool(culprits)

    def _epochs(self, refs: Iterable[Ref]) -> dict[Ref, int]:
        """Return the epochs of this class's Services among those that are taken, 0 where there is none."""
        epochs = dict[Ref, int]()
        for ref in refs:
            if ref.kind == 'Service':
                service = self.store.get(ref, Service)
                ours = service is not None and service.chosen == self.state.context.class_name
                text = dict(service.annotations).get(EPOCH, '') if service is not None and ours else ''
                epochs[ref] = lease.epoch(text)
        return epochs

    def _note_epochs(self, numbers: Mapping[Ref, int]) -> None:
        for ref, number in numbers.items():
            self.epochs.take(ref, number)

    async def refuse(self, fragments: Sequence[Fragment], accepted: Mapping[Ref, Fragment], problem: str) -> None:
        """Let other forms stand for fragments that HAProxy refuses, until their objects become others: see `State.refuse`."""
        for start in range(0, len(fragments), _APPLIED_AT_ONCE):
            refused = fragments[start : start + _APPLIED_AT_ONCE]
            async with self._turn:
                for fragment in refused:
                    self.state.refuse(fragment, problem, accepted.get(fragment.ref))
                change = self.state.update(self.store, [fragment.ref for fragment in refused])
                if change:
                    await self._apply(change)

    def delay(self, delayed: Mapping[Ref, str]) -> None:
        """Note the objects that wait for a reload, and why."""
        before, self.state.delayed = self.state.delayed, delayed
        self.diagnostics_index.note(self.state, {ref for ref, _ in before.items() ^ delayed.items()})

    async def exchange(self, state: State) -> bool:
        """Go on with another state, as other settings make it; return whether a reload has to bring a part of it."""
        async with self._turn:
            numbers = self._backlog.clear() | self._epochs(self.store.take())
            state.draining |= self.state.draining
            state.delayed = self.state.delayed
            change = state.succeed(self.state, self.store)
            self._draining.follow(self.state.draining)
            self.state = state
            self.diagnostics_index = DiagnosticsIndex(state)
            self._report(change.failures)
            try:
                reload = await self.applier.exchange(state)
            except Exception as error:  # noqa: BLE001  reported, or of an object that is left out
                reload = True
                if not await self._search('exchange'):
                    self.applier.report('exchange', error)
                    await self.applier.renew()
            if self.table_sync is not None:
                await self._steer(partial(self.table_sync.exchange, self.applier.desired))
            self.noted(change)
            self._note_epochs(numbers)
            return reload

    async def steer(self, table_sync: TableSync, facts: NodeFacts) -> None:
        """Make a node's table from the snapshot that HAProxy has, and apply all later changes to it too."""
        async with self._turn:
            self.applier.attempts.append(table_sync.attempt)
            self.table_sync = table_sync
            await self._steer(partial(table_sync.begin, self.applier.desired, facts))

    def report(self) -> Report:
        """Return what this agent tells in its Lease: the epoch it has applied, and what only it can know."""
        if self.serves_all():
            self.epochs.apply()
        return Report(self.epochs.applied, self.diagnostics_index.revision, self.diagnostics_index.of_agents)

    def serves_all(self) -> bool:
        """Tell whether all that was taken serves: HAProxy waits for no reload, and the kernel has its table."""
        worker = self.applier.worker
        whole = worker is not None and not worker.deferred
        return whole and (self.table_sync is None or self.table_sync.good)

    async def beat(self) -> None:
        """Show that the process is alive, until cancelled."""
        while True:
            self.last_beat = time.monotonic()
            await asyncio.sleep(1.0)
