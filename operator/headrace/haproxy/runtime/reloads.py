"""Reloads: coalesced, checked, and never at the cost of the last good configuration.

The first comes at once when there was none for a while; then they keep a distance. A candidate that HAProxy refuses is
searched for the fragments at fault, which are left out while the rest ships. Changes go on during all of it: they
reach the new worker from the journal.
"""

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace

from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.render.templating import TemplateError
from headrace.haproxy.runtime import bisect, check, reload_budget
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.bisect import Owners, Search, SearchAbandonedError
from headrace.haproxy.runtime.check import HaproxyMissingError, Outcome
from headrace.haproxy.runtime.files import WriteError
from headrace.haproxy.runtime.generations import Generation
from headrace.haproxy.runtime.reload_budget import Budget, Delayed
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.haproxy.runtime.stats import ReloadRecord, Waiting
from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.settings.settings import milliseconds

log = logging.getLogger(__name__)
# A check in the background may cost this share of its time.
_SHARE = 0.05
_SHORTEST_PAUSE = 5.0
_LONGEST_BACKOFF = 30.0
# What waits for an old worker to end looks so often.
_LOOK_SECONDS = 0.5
# A check may take so many times as long as the last good one, and at least so many seconds.
_TIMES, _SHORTEST_CHECK = 20.0, 30.0
# Fragments that are refused may hide others.
_ATTEMPTS = 3

Refuse = Callable[[Sequence[Fragment], Mapping[Ref, Fragment], str], Awaitable[None]]


class Reloads:
    """Decides when HAProxy reloads, and from what.

    `refuse` takes fragments out of the model, with the forms that were accepted before; `leaving` is awaited when a worker is about to be replaced; `delay` is called
    with the objects that wait for a reload, and why, whenever these are others.
    """

    def __init__(self, applier: Applier, refuse: Refuse) -> None:
        self.applier, self.refuse = applier, refuse
        self.delay: Callable[[Mapping[Ref, str]], None] = lambda _: None
        # The newest reason of each kind by its objects: what was asked for before has been replaced by it.
        self.reasons: dict[tuple[str, tuple[Ref, ...]], Reason] = {}
        self.budget = Budget()
        self.longest_check = check.LONGEST_SECONDS
        # The namespaces whose reload has left an old worker, by its PID.
        self._namespaces_by_pid: dict[int, frozenset[str]] = {}
        self.leaving: Callable[[], Awaitable[None]] = _nothing
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        # From the making of a generation until it is promoted or thrown away.
        self._turn = asyncio.Lock()
        # Whether a reload waits for its turn, and what ends a search that gives way to it.
        self._waits = False
        self._giving_way: threading.Event | None = None
        # What a reload that has failed has been paid for: it is tried again at no cost.
        self._paid: frozenset[Reason] = frozenset()
        # The last generation that HAProxy has accepted; '' for none.
        self._accepted = ''
        self._last = float('-inf')
        applier.on_reasons = self.ask

    def ask(self, reasons: Iterable[Reason]) -> None:
        """Ask for a reload."""
        for reason in reasons:
            key = reason.word, reason.refs
            previous = self.reasons.get(key)
            administrator = previous is not None and previous.administrator
            self.reasons[key] = replace(reason, administrator=reason.administrator or administrator)
        self._wake.set()
        self._news.set()

    async def hold(self) -> None:
        """Let the reload that is under way come to its end, and none begin any more."""
        await self._turn.acquire()

    async def run(self) -> None:
        """Reload on request, at most once in each interval."""
        failures = 0
        while True:
            await self._wake.wait()
            await self._pause(failures)
            self._wake.clear()
            await self._until_allowed()
            self._wake.clear()
            reasons, self.reasons = {*self.reasons.values()}, {}
            if not reasons:
                continue
            good = await self._reload(reasons, self._charge(reasons))
            self._last = time.monotonic()
            failures = 0 if good else failures + 1
            if good:
                self._paid = frozenset()
            else:
                self.ask(reasons - {*self.reasons.values()})

    async def _pause(self, failures: int) -> None:
        """Keep the distance to the last reload; a longer one after failures, until there is news."""
        interval = milliseconds(self.applier.settings.reload_interval) / 1000
        await asyncio.sleep(max(0.0, self._last + interval - time.monotonic()))
        if failures:
            longest = min(interval * 2 ** min(failures, 10), max(interval, _LONGEST_BACKOFF))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, self._last + longest - time.monotonic())):
                    await self._news.wait()

    async def _until_allowed(self) -> None:
        """Wait until the budget allows a reload for one of the reasons; what waits is shown meanwhile."""
        while self.reasons:
            self._news.clear()
            old = await self._old_workers()
            namespaces = [self._namespaces_by_pid.get(pid, frozenset()) for pid in old]
            allowed = reload_budget.limits(self.applier.settings)
            decision = self.budget.decide(self.reasons.values(), namespaces, time.monotonic(), allowed, self._paid)
            self._show(decision.delayed)
            if decision.now:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(decision.seconds or _LOOK_SECONDS):
                    await self._news.wait()
            # Changes that come one after the other are judged together.
            await asyncio.sleep(_LOOK_SECONDS / 10)

    async def _old_workers(self) -> tuple[int, ...]:
        """Return the old workers as far as they can be seen, and forget who left those that have ended."""
        worker = self.applier.worker
        try:
            pids = await self.applier.instance.haproxy.master.old_workers(worker.facts.pid if worker else 0)
        except RuntimeSocketError:
            return self.applier.old_workers
        self._namespaces_by_pid = {pid: names for pid, names in self._namespaces_by_pid.items() if pid in pids}
        return pids

    def _show(self, delayed: Sequence[Delayed]) -> None:
        """Let metrics, status and diagnostics tell what waits."""
        settings, stats = self.applier.settings, self.applier.stats
        waiting = tuple(Waiting(str(item.reason), tuple(map(str, item.reason.refs)), str(item.why)) for item in delayed)
        if waiting == stats.waiting:
            return
        if len(waiting) > len(stats.waiting):
            log.warning('reloads wait', extra={'reasons': '; '.join(item.reason for item in waiting[:5])})
        stats.waiting = waiting
        self.delay({ref: item.why.words(settings) for item in delayed for ref in item.reason.refs})

    def _charge(self, reasons: set[Reason]) -> frozenset[str]:
        """Take the tokens for a reload that begins now, and return the namespaces that have paid.

        What was paid for an earlier attempt that has failed is not paid again.
        """
        now, allowed = time.monotonic(), reload_budget.limits(self.applier.settings)
        if any(reason.administrator for reason in reasons):
            return frozenset()
        unpaid = reasons - self._paid
        payers = self.budget.payers(unpaid, now, allowed)
        if unpaid:
            self.budget = self.budget.charge(payers, now, allowed)
        self._paid |= {reason for reason in unpaid if reason.namespaces <= payers}
        return payers.union(*(reason.namespaces for reason in reasons & self._paid))

    async def _reload(self, reasons: set[Reason], payers: frozenset[str]) -> bool:
        """Reload once; return whether the wanted state serves now. What stands in the way is kept as trouble."""
        start, stats = time.monotonic(), self.applier.stats
        texts = tuple(str(reason) for reason in sorted(reasons))
        log.info('reloading', extra={'reasons': '; '.join(texts[:5]), 'namespaces': ', '.join(sorted(payers)[:5])})
        ends = any(reason.administrator for reason in reasons)
        problem = ''
        try:
            async with self._turn_soon():
                self.applier.begin_reload()
                generation = await self._good_generation()
                if generation is None:
                    problem = stats.problems.get('configuration', '')
                else:
                    problem = await self._switch(generation, payers, ends=ends)
        except (WriteError, TemplateError, HaproxyMissingError, RuntimeSocketError) as error:
            problem = str(error)
        finally:
            self.applier.end_reload()
        good = not problem
        if self.applier.unasked and not good:
            self.ask(self.applier.unasked)
        stats.problem('reload', problem)
        seconds = time.monotonic() - start
        paid = tuple(sorted(payers))
        stats.last_reloads.append(ReloadRecord(time.time(), texts, seconds, good, problem[:500], paid))
        for word in {reason.word for reason in reasons}:
            stats.reloads[word, 'good' if good else 'failed'] += 1
        log.log(
            logging.INFO if good else logging.ERROR,
            'reloaded' if good else 'not reloaded; the last good configuration serves',
            extra={'seconds': round(seconds, 3), 'error': problem[:500]},
        )
        return good

    @contextlib.asynccontextmanager
    async def _turn_soon(self) -> AsyncIterator[None]:
        """Take the turn of a reload; a search for what is promoted in the background gives way."""
        self._waits = True
        try:
            if self._giving_way is not None:
                self._giving_way.set()
            await self._turn.acquire()
        finally:
            self._waits = False
        try:
            yield
        finally:
            self._turn.release()

    async def promote(self, *, gives_way: bool = False) -> bool:
        """Let HAProxy start from what is wanted now, without the fragments that it refuses; return whether it may.

        With `gives_way`, a search for those fragments ends without a result where a reload waits: the reload searches them.
        Raises WriteError, TemplateError and HaproxyMissingError.
        """
        async with self._turn:
            generation = await self._good_generation(gives_way=gives_way)
            if generation is not None:
                await self.applier.instance.generations.promote(generation)
            return generation is not None

    async def _good_generation(self, *, gives_way: bool = False) -> Generation | None:
        """Return a new generation that HAProxy accepts, without the fragments that it refuses; None for none.

        One that gives way is abandoned instead of searched where a reload waits.
        """
        problem, generation = '', await self.applier.freezer.freeze()
        for _ in range(_ATTEMPTS):
            outcome = await self._judge(generation)
            if outcome.accepted:
                self._accepted = generation.number
                self.longest_check = min(check.LONGEST_SECONDS, max(_SHORTEST_CHECK, _TIMES * outcome.seconds))
                self.applier.stats.problem('configuration', '')
                return generation
            problem = culprits_words(outcome.output, generation)
            if not outcome.searchable:
                break
            # Of the snapshot that was judged: what objects claim now may be something else.
            owners = await asyncio.to_thread(bisect.owners, generation.snapshot)
            try:
                culprits = await self._culprits(generation, owners, slow=outcome.timed_out, gives_way=gives_way)
            except SearchAbandonedError:
                break
            if not culprits:
                break
            log.error('HAProxy refuses objects', extra={'objects': ', '.join(map(str, culprits)), 'error': problem})
            # What came during the search waits for the next reload: objects that are refused could come without end.
            snapshot = bisect.without(generation.snapshot, owners, frozenset(culprits))
            base, generation = generation, await self.applier.freezer.freeze_part(generation, snapshot)
            self.applier.instance.generations.discard(base)
            accepted = self.applier.instance.generations.known.get(self._accepted)
            before = accepted.snapshot.fragments if accepted is not None else {}
            await self.refuse([base.snapshot.fragments[ref] for ref in culprits], before, problem)
        self.applier.instance.generations.discard(generation)
        self.applier.stats.problem('configuration', problem)
        return None

    async def _judge(self, generation: Generation) -> Outcome:
        self.applier.stats.checks += 1
        settings = self.applier.settings
        context, fragments = self.applier.staging.renderer.context, generation.snapshot.fragments.values()
        needed = await asyncio.to_thread(check.descriptors, context, fragments)
        limit = settings.file_descriptors or await self.applier.instance.haproxy.descriptor_limit()
        if limit and needed > limit:
            output = f'it needs {needed} descriptors, and {limit} are allowed'
            return Outcome(accepted=False, output=output, searchable=False)
        return await asyncio.to_thread(
            check.check, self.applier.instance.checker, generation.folder, self.longest_check
        )

    async def _culprits(
        self, generation: Generation, owners: Owners, *, slow: bool, gives_way: bool
    ) -> tuple[Ref, ...]:
        """Return the fragments at fault: first of those that changed since the last good generation, then of all.

        Raises SearchAbandonedError where the search gives way to a reload.
        """
        instance = self.applier.instance
        since = self.applier.journal.since(self._accepted)
        everything = sorted(generation.snapshot.fragments)
        changed = sorted(since[0] & generation.snapshot.fragments.keys()) if since else everything
        for suspects in (changed, everything) if changed != everything else (everything,):
            search = Search(
                instance.checker, self.applier.staging.renderer, generation.snapshot, owners, longest=self.longest_check
            )
            if gives_way:
                self._giving_way = search.abandoned
                if self._waits:
                    search.abandoned.set()
            try:
                culprits = await asyncio.to_thread(search.slow if slow else search.refused, suspects)
            finally:
                self._giving_way = None
            if culprits:
                return culprits
        return ()

    async def _switch(self, generation: Generation, payers: frozenset[str], *, ends: bool) -> str:
        """Promote a generation and reload into it; return what stood in the way, '' for nothing.

        With `ends`, old workers may be ended to make room.
        """
        generations, haproxy = self.applier.instance.generations, self.applier.instance.haproxy
        previous = self.applier.worker
        if ends:
            await self._make_room(previous.facts.pid if previous else 0)
        await self.leaving()
        before = generations.promoted()
        generations.point(generation.number)
        try:
            result = await haproxy.master.reload()
            good, problem = result.good, result.log
        except RuntimeSocketError as error:
            workers = await haproxy.master.workers()
            serving = [process.pid for process in workers if not process.old]
            good, problem = bool(serving) and (previous is None or previous.facts.pid not in serving), str(error)
        if not good:
            if before:
                generations.point(before)
            generations.discard(generation)
            return problem or 'HAProxy did not say why'
        await generations.promote(generation)
        if previous is not None:
            self._namespaces_by_pid[previous.facts.pid] = payers
        await self.applier.join()
        with contextlib.suppress(RuntimeSocketError):
            worker = self.applier.worker
            self.applier.old_workers = await haproxy.master.old_workers(worker.facts.pid if worker else 0)
        return ''

    async def _make_room(self, serving: int) -> None:
        """Wait until there are fewer old workers than allowed, for a while; then end the oldest."""
        master, stats = self.applier.instance.haproxy.master, self.applier.stats
        start, waits = time.monotonic(), False
        while len(old := await master.old_workers(serving)) >= self.applier.settings.max_old_workers:
            if not waits:
                waits = True
                log.warning('waiting for an old worker to end', extra={'workers': len(old)})
            if time.monotonic() - start >= milliseconds(self.applier.settings.old_worker_timeout) / 1000:
                log.warning('ending the oldest worker, with the connections it holds', extra={'pid': old[0]})
                await master.end(old[0])
                stats.ended_workers += 1
            await asyncio.sleep(0.2)

    async def promote_in_background(self) -> None:
        """Keep what HAProxy would start from close to what serves, at a small share of a core."""
        pause = _SHORTEST_PAUSE
        while True:
            await asyncio.sleep(pause)
            generations = self.applier.instance.generations
            since = self.applier.journal.since(generations.promoted())
            if since is not None and not since[0] and not since[1]:
                continue
            start, problem = time.monotonic(), ''
            try:
                await self.promote(gives_way=True)
            except (WriteError, TemplateError, HaproxyMissingError) as error:
                problem = str(error)
            self.applier.stats.problem('generation', problem)
            pause = max(_SHORTEST_PAUSE, (time.monotonic() - start) / _SHARE)


async def _nothing() -> None:
    pass


def culprits_words(output: str, generation: Generation) -> str:
    """Return the lines in which HAProxy says what is wrong, without paths of this machine."""
    lines = [line for line in output.splitlines() if '[ALERT]' in line] or output.splitlines()[-1:]
    return ' '.join(lines).replace(f'{generation.folder}/', '')[:500]
