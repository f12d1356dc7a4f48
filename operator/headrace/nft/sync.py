"""Keeping the kernel's table true: changes as they come, a comparison at intervals, and the way past HAProxy.

Promises: what goes is gone before HAProxy forgets it, and what comes is there only when HAProxy knows it. A transaction
that fails is followed by the whole table anew, until that succeeds. The last good table is kept in a file. An unexpected
exception ends no watch: it is handed to `failing`, which finds the object at fault.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

from headrace.ir.fragment import Kind
from headrace.ir.l4 import Balanced, VirtualAddress
from headrace.names import Ref
from headrace.nft import conntrack, live_state, remembered_clients, route
from headrace.nft.command import Counter, Nft, NftError
from headrace.nft.flows import Flows
from headrace.nft.layout import NodeFacts
from headrace.nft.route import RouteError
from headrace.nft.rules import Table
from headrace.nft.saved_table import SavedTable
from headrace.nft.transaction import Transaction
from headrace.resolve.changes import Change
from headrace.resolve.model_snapshot import ModelSnapshot

log = logging.getLogger(__name__)
_STEP_SECONDS = 0.1
# A comparison, and keeping the table in a file, may take this part of the time at most.
_SHARE = 0.02
_SAVE_SECONDS = 1.0
_AGAIN_SECONDS = 1.0
# Where a table is built only to see whether that fails.
_ANYWHERE = NodeFacts('192.0.2.1', (), (), (1, 2, 3, 4, 5, 6))


class TableSync:
    """The table of one node. `problem` is called with what stands in the way, '' when nothing does; `away` if HAProxy is.

    `failing` gets unexpected exceptions beside changes; those of changes are raised.
    """

    def __init__(
        self,
        nft: Nft,
        file: Path,
        problem: Callable[[str, str], object],
        away: Callable[[], bool],
        failing: Callable[[Exception], Awaitable[object]] | None = None,
    ) -> None:
        self._nft, self._problem, self._away = nft, problem, away
        self._saved = SavedTable(file)
        self._failing = failing
        self.table: Table | None = None
        self.good = False
        self.repairs = 0
        self.transactions = 0
        self.leaving = False
        # Set when HAProxy is lost, by the task that notices first.
        self.lost = asyncio.Event()
        self._snapshot = ModelSnapshot()
        # A change has been noted in the table, and not all of it is in the kernel yet.
        self._halfway = False
        self._turn = asyncio.Lock()
        self._unsaved = asyncio.Event()
        self.flows = Flows(problem)

    async def restore(self) -> bool:
        """Load the last good table where the kernel has none, as after a boot; return whether that was done."""
        try:
            with contextlib.suppress(RouteError):
                route.add()
            if await self._nft.present() or not self._saved.exists():
                return False
            for part in await asyncio.to_thread(self._saved.parts):
                await self._nft.apply(part)
        except (NftError, OSError) as error:
            log.warning('the last good table cannot be restored', extra={'error': str(error)})
            return False
        log.info('restored the last good table')
        return True

    async def begin(self, snapshot: ModelSnapshot, facts: NodeFacts) -> None:
        """Make the table true to a snapshot, which is then followed by `begin_change` and `finish_change`; one that is true stays."""
        async with self._turn:
            self._snapshot = snapshot
            self._lead_ipv6()
            table = self._build(facts)
            try:
                live = await self._nft.live(table)
                for key, led in live_state.past_haproxy(live).items():
                    self.flows.note(key, led, table.virtual_addresses.get(key))
                await self._adopt(table, live)
            except NftError:
                await self._anew(table)
            await self.flows.forget(table.virtual_addresses, table.groups)
            await self.flows.end(table.facts)

    def _build(self, facts: NodeFacts) -> Table:
        """Build the table from the snapshot; one that cannot be built is no good, and `follow` tries it again."""
        good, self._halfway, self.good = self.good, True, False
        if self.table is None:
            # What `reconcile` goes on from.
            self.table = Table(ModelSnapshot(), facts)
        self.table = Table(self._snapshot, facts)
        self.good, self._halfway = good, False
        return self.table

    @staticmethod
    def attempt(snapshot: ModelSnapshot) -> None:
        """Build the part of a table that a snapshot makes, for the exception that it may raise."""
        Table(snapshot, _ANYWHERE).text()

    async def _adopt(self, table: Table, live: live_state.LiveState) -> None:
        """Go on with a table that is there: what it remembers of clients stays, where only elements differ."""
        if not live.chains:
            await self._fill(table)
            return
        mending = live_state.mending(table, live)
        if mending is None:
            await self._anew(table)
            return
        transaction, text = mending
        self.good = True
        await self._do(transaction)
        if text and self.good:
            await self._try(self._nft.apply(text))
        self._problem('table', '')
        self._saved.note_anew()
        self._unsaved.set()

    def _lead_ipv6(self) -> None:
        """Make the stand-ins of IPv6 addresses the node's own; where there is no IPv6 they are not needed."""
        try:
            route.add()
        except RouteError as error:
            needed = any(kind is Kind.VIRTUAL_ADDRESS and key.count(':') > 1 for kind, key in self._snapshot.pointers)
            self._problem('route', str(error) if needed else '')
        else:
            self._problem('route', '')

    async def begin_change(self, change: Change) -> Transaction:
        """Take away what goes for good, and return what `finish_change` adds when HAProxy has the whole change."""
        if self.table is None:
            return Transaction()
        async with self._turn:
            self._halfway = True
            newcomers = [
                (item.new.ref, balanced)
                for item in change.fragments
                if item.new is not None
                for balanced in item.new.balanced
                if balanced.affinity and balanced.name not in self.table.groups
            ]
            first, rest = self.table.change(change).split()
            if newcomers and self.good:
                await self._remember(newcomers)
            await self._do(first)
        return rest

    async def _remember(self, newcomers: list[tuple[Ref, Balanced]]) -> None:
        """Let clients whom kube-proxy has led to an endpoint stay there."""
        try:
            text = await asyncio.to_thread(remembered_clients.text, newcomers)
            if text:
                await self._nft.apply(text)
        except (NftError, OSError) as error:
            log.warning('the clients that kube-proxy remembers are lost', extra={'error': str(error)})

    async def finish_change(self, rest: Transaction, change: Change) -> None:
        """Bring what is left of a change."""
        if self.table is None:
            return
        async with self._turn:
            await self._do(rest)
            self._halfway = False
            if conntrack.may_leave_flows(change):
                await self.flows.forget(self.table.virtual_addresses, self.table.groups)
            for pointer in change.pointers:
                if pointer.key[0] is Kind.VIRTUAL_ADDRESS:
                    self.flows.note(pointer.key[1], _virtual_address(pointer.old), _virtual_address(pointer.new))
            await self.flows.end(self.table.facts)

    async def move(self, facts: NodeFacts) -> None:
        """Go on with other facts of the node: the Node has other addresses, or there are other pods' networks."""
        if self.table is None:
            return
        async with self._turn:
            desired = replace(facts, bypass=self.table.facts.bypass)
            if desired == self.table.facts:
                return
            transaction = self.table.move(desired)
            if transaction is not None:
                await self._do(transaction)
                return
            await self._anew(self._build(desired))

    async def exchange(self, snapshot: ModelSnapshot) -> None:
        """Go on with another snapshot, as other settings make it."""
        if self.table is None:
            return
        async with self._turn:
            self._snapshot = snapshot
            before = self.table
            table = self._build(before.facts)
            if not self.good:
                await self._anew(table)
                return
            table.inherit(before)
            await self._adopt(table, live_state.of_table(before, table.sums()))
            for key, old in before.virtual_addresses.items():
                self.flows.note(key, old, table.virtual_addresses.get(key))
            await self.flows.end(table.facts)

    async def reconcile(self, snapshot: ModelSnapshot) -> None:
        """Make the table true to a snapshot from what the kernel has: a change of it has failed unexpectedly."""
        if self.table is not None:
            await self.begin(snapshot, self.table.facts)

    async def let_go(self) -> None:
        """Leave the table as it is from now on: another agent has it."""
        async with self._turn:
            self.table = None
            self.flows.clear()

    async def vanish(self) -> bool:
        """Remove a table that leads no client, with its route and its file; return whether that was so.

        After an uninstall no other process would do it.
        """
        async with self._turn:
            if self.table is None or any(kind is Kind.VIRTUAL_ADDRESS for kind, _ in self._snapshot.pointers):
                return False
            try:
                await self._nft.remove()
            except NftError as error:
                log.warning('the table cannot be removed', extra={'error': str(error)})
                return False
            self.table = None
            await asyncio.to_thread(route.remove)
            self._saved.remove()
            log.info('removed the table: no Service is served here any more')
            return True

    async def counters(self) -> list[Counter]:
        """Return what the table has counted of what the kernel balances; raises NftError."""
        return await self._nft.counters() if self.table is not None else []

    async def switch(self, *, bypass: bool) -> None:
        """Lead plain TCP past HAProxy, or to it again."""
        if self.table is None or self.table.facts.bypass is bypass:
            return
        async with self._turn:
            text = self.table.switch(bypass=bypass)
            if self.good:
                await self._try(self._nft.apply(text))
            log.info('plain TCP goes past HAProxy' if bypass else 'plain TCP goes to HAProxy again')

    def _is_held(self) -> bool:
        """Tell whether there is a table that is this agent's; that may have changed while others had their turn."""
        return self.table is not None

    def _is_whole(self) -> bool:
        """Tell whether the table is still this agent's, and in the kernel as it is here.

        It may have been let go, or a change of it begun, while others had their turn.
        """
        return self.table is not None and not self._halfway

    def _past(self) -> bool:
        return self.leaving or self._away()

    async def follow(self) -> None:
        """Watch HAProxy, and make the table anew while it differs, until cancelled."""
        while True:
            try:
                await self._follow()
            except Exception as error:  # noqa: BLE001  handed on
                self.good = False
                await self._failed(error)

    async def _failed(self, error: Exception) -> None:
        """Hand an unexpected exception on, and leave time before the next attempt."""
        if self._failing is not None:
            await self._failing(error)
        await asyncio.sleep(_AGAIN_SECONDS)

    async def _follow(self) -> None:
        last_attempt = float('-inf')
        while True:
            bypass = self._past()
            await self.switch(bypass=bypass)
            if self.table is not None and not self.good and time.monotonic() - last_attempt >= _AGAIN_SECONDS:
                last_attempt = time.monotonic()
                async with self._turn:
                    table = self._build(self.table.facts) if self._halfway else self.table
                    await self._anew(table)
            async with self._turn:
                if self.table is not None:
                    await self.flows.end(self.table.facts)
            if bypass != self._past():
                # HAProxy came or went during the transaction.
                continue
            if self._away():
                await asyncio.sleep(_STEP_SECONDS)
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STEP_SECONDS):
                    await self.lost.wait()

    async def compare(self, seconds: float) -> None:
        """Compare the table with what the kernel has, and remove what is idle, every so many seconds, until cancelled."""
        pause = seconds
        while True:
            await asyncio.sleep(pause)
            start = time.monotonic()
            try:
                await self._compare()
            except Exception as error:  # noqa: BLE001  handed on
                await self._failed(error)
            pause = max(seconds, (time.monotonic() - start) / _SHARE)

    async def _compare(self) -> None:
        if self.table is None or not self.good:
            return
        async with self._turn:
            if not self._is_whole():
                return
            self._lead_ipv6()
            if text := self.table.sweep():
                await self._try(self._nft.apply(text))
        # A large table takes seconds to list, and changes do not wait for that: then it is looked at another time.
        before = self.transactions
        try:
            live = await self._nft.live(self.table.copy(self.table.facts))
        except NftError as error:
            self._problem('table', str(error))
            return
        async with self._turn:
            if before != self.transactions or not self._is_whole():
                return
            if differences := live_state.differences(self.table, live):
                self.repairs += 1
                log.warning(
                    'the table was changed by another program; mending it', extra={'first': '; '.join(differences[:5])}
                )
                await self._adopt(self.table, live)

    async def _do(self, transaction: Transaction) -> None:
        if transaction and self.good:
            await self._try(self._nft.do(transaction))
            self._saved.note(transaction)

    async def _try(self, work: Awaitable[None]) -> None:
        """Do a transaction; one that fails is followed by the whole table."""
        self.transactions += 1
        try:
            await work
        except NftError as error:
            log.warning('the kernel has refused a transaction; making the table anew', extra={'error': str(error)})
            assert self.table is not None
            await self._anew(self.table)
            return
        self._unsaved.set()

    async def _fill(self, table: Table) -> None:
        """Make a table where there is none, in steps: until the last one, what it lacks is as if there were none."""
        table.stale.clear()
        try:
            await self._count(self._nft.apply(table.frame()))
            for part in table.parts():
                await self._count(self._nft.do(part))
        except NftError as error:
            self._note_bad(error)
            return
        self._note_good()

    async def _count(self, work: Awaitable[None]) -> None:
        self.transactions += 1
        await work

    async def _anew(self, table: Table) -> None:
        table.stale.clear()
        try:
            await self._count(self._nft.apply(await asyncio.to_thread(table.text)))
        except NftError as error:
            self._note_bad(error)
            return
        self._note_good()

    def _note_bad(self, error: NftError) -> None:
        self.good = False
        self._saved.note_anew()
        self._problem('table', str(error))

    def _note_good(self) -> None:
        self.good = True
        self._problem('table', '')
        self._saved.note_anew()
        self._unsaved.set()

    async def save(self) -> None:
        """Keep the last good table in the file, until cancelled; a large one less often, for it takes longer to write."""
        while True:
            await self._unsaved.wait()
            self._unsaved.clear()
            try:
                await self.save_now()
            except Exception as error:  # noqa: BLE001  handed on
                self._unsaved.set()
                await self._failed(error)
            await asyncio.sleep(max(_SAVE_SECONDS, self._saved.seconds / _SHARE))

    async def save_now(self) -> None:
        """Write the table as it is to be loaded after a boot, before HAProxy runs, or what has changed of it."""
        async with self._turn:
            if self.table is None:
                return
            table = self.table.copy(replace(self.table.facts, bypass=True)) if self._saved.is_whole() else None
            changes = self._saved.take()
        try:
            if table is None:
                await asyncio.to_thread(self._saved.append, changes)
                return
            temporary = await asyncio.to_thread(self._saved.write, table)
            if self._is_held():
                self._saved.replace(temporary)
            else:
                # It has vanished meanwhile, and its file with it, or another agent keeps that.
                temporary.unlink()
        except OSError as error:
            self._saved.note_anew()
            log.warning('the table cannot be kept in a file', extra={'error': str(error)})


def _virtual_address(content: object) -> VirtualAddress | None:
    return content if isinstance(content, VirtualAddress) else None
