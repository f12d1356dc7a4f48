"""Which of the flows that the kernel remembers are to end, and when; what ends them is `conntrack`.

Flows of UDP whose endpoint is gone end with each change. Connections of TCP that pass HAProxy by at an address which it serves
from now on end at once where it judges clients, and otherwise when they have had time to finish. It keeps in memory which they
are, so an agent that starts anew learns of them only what the table shows.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from functools import partial

from headrace.ir.l4 import Balanced, VirtualAddress
from headrace.nft import conntrack
from headrace.nft.layout import NodeFacts

log = logging.getLogger(__name__)
_AGAIN_SECONDS = 1.0


class Flows:
    """The flows of one node. `problem` is called with what stands in the way; `seconds` tells how long connections may finish."""

    def __init__(self, problem: Callable[[str, str], object]) -> None:
        self._problem = problem
        self.seconds: Callable[[], float] = lambda: 0.0
        # By address and port: when connections past HAProxy end (monotonic seconds), and what stands in there for the address.
        self._past: dict[tuple[str, int], tuple[float, str]] = {}

    def note(self, key: str, old: VirtualAddress | None, new: VirtualAddress | None) -> None:
        """Note a virtual address that becomes another; the same flows may come up again, and keep their time."""
        address_port, _, protocol = key.rpartition('/')
        if protocol != 'TCP':
            return
        address, _, number = address_port.rpartition(':')
        target = address, int(number)
        if new is None or new.datapath == 'kernel':
            self._past.pop(target, None)
        elif old is not None and new.restricted and not old.restricted:
            self._past[target] = time.monotonic(), new.synthetic_address
        elif old is not None and old.datapath == 'kernel':
            self._past[target] = time.monotonic() + self.seconds(), new.synthetic_address

    def clear(self) -> None:
        """Forget which connections are to end: another agent has the table."""
        self._past.clear()

    async def end(self, facts: NodeFacts) -> None:
        """End the connections past HAProxy whose time is over; what fails is tried again a while later."""
        now = time.monotonic()
        due = {target: stand_in for target, (when, stand_in) in self._past.items() if when <= now}
        if not due:
            return
        done = await self._remove(partial(conntrack.end, due, facts.address, facts.closed or facts.ports))
        for target, stand_in in due.items():
            if done:
                del self._past[target]
            else:
                self._past[target] = now + _AGAIN_SECONDS, stand_in

    async def forget(self, virtual_addresses: Mapping[str, VirtualAddress], groups: Mapping[str, Balanced]) -> None:
        """Remove what the kernel remembers of UDP flows to endpoints that are gone; TCP notices by itself."""
        await self._remove(partial(conntrack.forget, dict(virtual_addresses), dict(groups)))

    async def _remove(self, work: Callable[[], int]) -> bool:
        try:
            count = await asyncio.to_thread(work)
        except OSError as error:
            self._problem('conntrack', str(error))
            return False
        self._problem('conntrack', '')
        if count:
            log.info('removed flows that the kernel is not to go on with', extra={'flows': count})
        return True
