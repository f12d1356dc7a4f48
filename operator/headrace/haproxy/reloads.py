"""Reloads: coalesced, checked, and never at the cost of the last good configuration.

The first comes at once when there was none for a while; then they keep a distance. A candidate that HAProxy refuses is
searched for the fragments at fault, which are left out while the rest ships. Changes go on during all of it: they
reach the new worker from the journal.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

from headrace.haproxy import check, culprits
from headrace.haproxy.apply import Applier
from headrace.haproxy.check import HaproxyMissingError, Outcome
from headrace.haproxy.files import WriteError
from headrace.haproxy.generations import Generation
from headrace.haproxy.plan import Reason
from headrace.haproxy.record import ReloadRecord
from headrace.haproxy.runtime import RuntimeSocketError
from headrace.haproxy.templating import TemplateError
from headrace.names import Ref
from headrace.settings import milliseconds

log = logging.getLogger(__name__)
# A check in the background may cost this share of its time.
_SHARE = 0.05
_SHORTEST_PAUSE = 5.0
_OLD_WORKER_SECONDS = 60.0
_LONGEST_BACKOFF = 30.0

Refuse = Callable[[Sequence[Ref], str], Awaitable[None]]


class Reloads:
    """Decides when HAProxy reloads, and from what. `refuse` leaves fragments out of the model."""

    def __init__(self, applier: Applier, refuse: Refuse) -> None:
        self.applier, self.refuse = applier, refuse
        self.reasons: set[Reason] = set()
        self._wake = asyncio.Event()
        self._judging = asyncio.Lock()
        self._last = float('-inf')
        applier.on_reasons = self.ask

    def ask(self, reasons: Iterable[Reason]) -> None:
        """Ask for a reload."""
        self.reasons.update(reasons)
        self._wake.set()

    async def run(self) -> None:
        """Reload when somebody has asked, at most once in each interval."""
        failures = 0
        while True:
            await self._wake.wait()
            interval = milliseconds(self.applier.settings.reload_interval) / 1000
            pause = min(interval * 2**failures, max(interval, _LONGEST_BACKOFF)) if failures else interval
            await asyncio.sleep(max(0.0, self._last + pause - time.monotonic()))
            self._wake.clear()
            reasons, self.reasons = self.reasons, set()
            if not reasons:
                continue
            good = await self._reload(reasons)
            self._last = time.monotonic()
            failures = 0 if good else failures + 1
            if not good:
                self.ask(reasons)

    async def _reload(self, reasons: set[Reason]) -> bool:
        """Reload once; return whether the wanted state serves now. What stands in the way is kept as trouble."""
        began, record = time.monotonic(), self.applier.record
        shown = tuple(str(reason) for reason in sorted(reasons))
        log.info('reloading', extra={'reasons': '; '.join(shown[:5])})
        said = ''
        try:
            generation = await self.good_generation()
            said = await self._switch(generation) if generation else record.troubles.get('configuration', '')
        except (WriteError, TemplateError, HaproxyMissingError, RuntimeSocketError) as error:
            said = str(error)
            generation = None
        good = generation is not None and not said
        record.trouble('reload', said)
        seconds = time.monotonic() - began
        record.last_reloads.append(ReloadRecord(time.time(), shown, seconds, good, said[:500]))
        for word in {reason.word for reason in reasons}:
            record.reloads[word, 'good' if good else 'failed'] += 1
        log.log(
            logging.INFO if good else logging.ERROR,
            'reloaded' if good else 'not reloaded; the last good configuration serves',
            extra={'seconds': round(seconds, 3), 'said': said[:500]},
        )
        return good

    async def good_generation(self) -> Generation | None:
        """Return a new generation that HAProxy accepts, without the fragments that it refuses; None when none can be had.

        Raises WriteError, TemplateError and HaproxyMissingError.
        """
        async with self._judging:
            for _ in range(3):
                generation = await self.applier.freeze()
                outcome = await self._judge(generation)
                if outcome.accepted:
                    self.applier.record.trouble('configuration', '')
                    return generation
                said = culprits_words(outcome.output, generation)
                found = await self._culprits(generation)
                self.applier.where.generations.discard(generation)
                if not found:
                    break
                log.error('HAProxy refuses objects', extra={'objects': ', '.join(map(str, found)), 'said': said})
                await self.refuse(found, said)
            self.applier.record.trouble('configuration', said)
            return None

    async def _judge(self, generation: Generation) -> Outcome:
        self.applier.record.checks += 1
        settings = self.applier.settings
        needed = check.descriptors(settings, generation.picture.fragments.values())
        limit = settings.file_descriptors or await self.applier.where.haproxy.descriptor_limit()
        if limit and needed > limit:
            return Outcome(accepted=False, output=f'it needs {needed} descriptors, and {limit} are allowed')
        return await asyncio.to_thread(check.check, self.applier.where.checker, generation.folder)

    async def _culprits(self, generation: Generation) -> tuple[Ref, ...]:
        """Return the fragments at fault among those that changed since the last good generation."""
        where, claims = self.applier.where, self.applier.owners(generation.picture)
        since = self.applier.journal.since(where.generations.promoted())
        suspects = sorted(since[0] & generation.picture.fragments.keys() if since else generation.picture.fragments)
        return await asyncio.to_thread(
            culprits.find, where.checker, self.applier.candidate.renderer, generation.picture, claims, suspects
        )

    async def _switch(self, generation: Generation) -> str:
        """Promote a generation and reload into it; return what stood in the way, '' for nothing."""
        generations, haproxy = self.applier.where.generations, self.applier.where.haproxy
        await self._make_room()
        before = generations.known.get(generations.promoted())
        generations.promote(generation)
        held = self.applier.worker
        try:
            done = await haproxy.master.reload()
            good, said = done.good, done.log
        except RuntimeSocketError as error:
            workers = await haproxy.master.workers()
            serving = [process.pid for process in workers if not process.old]
            good, said = bool(serving) and (held is None or held.facts.pid not in serving), str(error)
        if not good:
            if before is not None:
                generations.promote(before)
            generations.discard(generation)
            return said or 'HAProxy did not say why'
        await self.applier.join()
        with contextlib.suppress(RuntimeSocketError):
            self.applier.old_workers = await haproxy.master.old_workers()
        return ''

    async def _make_room(self) -> None:
        """Wait until there are fewer old workers than allowed, for a while; then end the oldest."""
        master, record = self.applier.where.haproxy.master, self.applier.record
        deadline = time.monotonic() + _OLD_WORKER_SECONDS
        while len(old := await master.old_workers()) >= self.applier.settings.max_old_workers:
            if time.monotonic() >= deadline:
                log.warning('ending the oldest worker, with the connections it holds', extra={'pid': old[0]})
                await master.end(old[0])
                record.ended_workers += 1
            await asyncio.sleep(0.2)

    async def promote_in_background(self) -> None:
        """Keep what HAProxy would start from close to what serves, at a small share of a core."""
        pause = _SHORTEST_PAUSE
        while True:
            await asyncio.sleep(pause)
            generations = self.applier.where.generations
            since = self.applier.journal.since(generations.promoted())
            if since is not None and not since[0] and not since[1]:
                continue
            began = time.monotonic()
            try:
                generation = await self.good_generation()
                if generation is not None:
                    generations.promote(generation)
            except (WriteError, TemplateError, HaproxyMissingError) as error:
                self.applier.record.trouble('files', str(error))
            pause = max(_SHORTEST_PAUSE, (time.monotonic() - began) / _SHARE)


def culprits_words(output: str, generation: Generation) -> str:
    """Return the lines in which HAProxy says what is wrong, without paths of this machine."""
    lines = [line for line in output.splitlines() if '[ALERT]' in line] or output.splitlines()[-1:]
    return ' '.join(lines).replace(f'{generation.folder}/', '')[:500]
