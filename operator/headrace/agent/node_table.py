"""An agent's part in its node's table: when it may write it, from what it begins, and how it lets go of it.

Where a node has one agent that is from beginning to end. Where there may be several (see `nft.instance_slots`), it is only while
this one holds the table: until then HAProxy is kept true and warm, and no client is led to it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

from headrace.agent.loop import Loop
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.process import Haproxy, HaproxyStartError
from headrace.nft import node_facts
from headrace.nft.command import Nft, NftError
from headrace.nft.instance_slots import InstanceSlot
from headrace.nft.sync import TableSync
from headrace.settings.settings import milliseconds

log = logging.getLogger(__name__)


class NodeTable:
    """The table as one agent has it. `applier` and `loop` are attached when they are made."""

    def __init__(self, nft: Nft, state: Path, slot: InstanceSlot | None, has_loop: Callable[[], bool]) -> None:
        self.slot, self._nft = slot, nft
        self.table_sync = TableSync(nft, state / 'table.nft', self.problem, self._is_away, self._failing)
        self.owned = asyncio.Event()
        self._has_loop = has_loop
        self._loop: Loop | None = None

    def attach(self, loop: Loop) -> None:
        """Attach a loop, which applies changes to the table once this agent owns it."""
        self._loop = loop
        self.table_sync.lost = loop.applier.lost
        self.table_sync.flows.seconds = lambda: milliseconds(loop.applier.settings.drain_timeout) / 1000

    @property
    def _applier(self) -> Applier:
        assert self._loop is not None
        return self._loop.applier

    def problem(self, subject: str, text: str) -> None:
        """Note what stands in the way, '' for nothing."""
        if self._has_loop() and self._applier.stats.problem(subject, text) and text:
            log.error('the table of nftables is in trouble', extra={'about': subject, 'error': text})

    async def _failing(self, error: Exception) -> None:
        assert self._loop is not None
        await self._loop.search('table', error)

    def _is_away(self) -> bool:
        return self._applier.worker is None

    def leads(self) -> bool:
        """Tell whether the kernel has this agent's table as it should be, and the agent stays."""
        return self.owned.is_set() and self.table_sync.good and not self.table_sync.leaving

    async def serve_what_was_good(self, haproxy: Haproxy) -> None:
        """Serve from the last good state until the source has been read: after a boot nothing else does."""
        if not await self._hold_at_once():
            log.info('another agent of this node has the table')
            return
        await self.table_sync.restore()
        if haproxy.binary and haproxy.current.exists() and not await haproxy.running():
            try:
                await haproxy.start()
            except HaproxyStartError as error:
                log.warning('the last good state cannot be served', extra={'error': str(error)[:500]})
            else:
                log.info('serving the last good state')

    async def _hold_at_once(self) -> bool:
        """Hold the table before HAProxy has anything, where no connection is lost by that.

        The HAProxy of an agent that is just being started again still serves, and ours does not yet.
        """
        if self.slot is None:
            return True
        with contextlib.suppress(NftError):
            if self.slot.last or not await self._nft.present():
                return self.slot.hold()
        return False

    async def begin(self, *, bypass: bool) -> None:
        """Make the table, if this agent has it; without HAProxy plain TCP goes past it."""
        if self.slot is None or self.slot.holds:
            await self._steer(bypass=bypass)

    async def _steer(self, *, bypass: bool) -> None:
        loop = self._loop
        assert loop is not None
        context, nodes = loop.state.context, loop.store.nodes()
        if not any(node.name == context.topology.node for node in nodes):
            self.problem('node', f'there is no Node {context.topology.node}')
        await loop.steer(self.table_sync, node_facts.find(nodes, context, bypass=bypass))
        self.owned.set()

    async def keep(self) -> None:
        """Keep the table in sync from when this agent owns it, until cancelled."""
        if not self.owned.is_set():
            assert self.slot is not None
            await self.slot.wait()
            await self._steer(bypass=self._is_away())
            log.info('took the table over', extra={'slot': self.slot.number})
        seconds = milliseconds(self._applier.settings.table_interval) / 1000
        async with asyncio.TaskGroup() as tasks:
            for work in (self.table_sync.follow(), self.table_sync.compare(seconds), self.table_sync.save()):
                tasks.create_task(work)

    async def leave(self) -> None:
        """Lead past HAProxy, which ends, what can be; and let the next agent have the table, if there is one."""
        if not self.owned.is_set():
            return
        self.table_sync.leaving = True
        # No client is led to it, so the next agent, if there is one, can as well make it anew.
        if await self.table_sync.vanish() and self.slot is not None:
            await asyncio.to_thread(self.slot.sweep)
        await self.table_sync.switch(bypass=True)
        await self.table_sync.save_now()
        if self.slot is not None:
            await self.table_sync.let_go()
            self.slot.release()
