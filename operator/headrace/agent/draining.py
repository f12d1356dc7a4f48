"""Services that have gone back to kube-proxy, or moved to the kernel: how long HAProxy serves its connections to them.

HTTP/1 clients get `Connection: close` with each answer. HTTP/2 hears nothing until its worker is replaced, so a worker on which
clients of HTTP/2 keep asking is replaced once, before their Services are forgotten. Connections to a Service that has gone back end
with the drain timeout; one whose ports have moved to the kernel is kept as long as HAProxy has connections to them.
"""

import asyncio
import logging
import time
from collections.abc import Callable

from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.render.render import KEEP_ALIVE_SECONDS
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.settings.settings import milliseconds
from headrace.translate import policies

log = logging.getLogger(__name__)
_SHORTEST_SECONDS = 1.0
# HAProxy ends what is idle for longer; the time of the last request is known in whole seconds.
_IDLE_SECONDS = KEEP_ALIVE_SECONDS + 1.0
_TIMER_SECONDS = 0.05


class Draining:
    """Remembers until when each of these Services lingers; `wake` is called, with the time, when that is over for one."""

    def __init__(self, applier: Applier, wake: Callable[[float], None]) -> None:
        self._applier, self._wake = applier, wake
        self._until: dict[Ref, float] = {}

    def follow(self, draining: set[Ref]) -> None:
        """Begin with those that are new, and forget those that are no more among them."""
        for ref in self._until.keys() - draining:
            del self._until[ref]
        for ref in draining - self._until.keys():
            self._remember(ref)

    def _remember(self, ref: Ref) -> None:
        seconds = max(_SHORTEST_SECONDS, milliseconds(self._applier.settings.drain_timeout) / 1000)
        self._until[ref] = time.monotonic() + seconds
        asyncio.get_running_loop().call_later(seconds + _TIMER_SECONDS, lambda: self._wake(time.monotonic()))

    async def over(self) -> frozenset[Ref]:
        """Return the Services that have lingered long enough; none while clients of HTTP/2 or connections of moved ports keep them."""
        now = time.monotonic()
        expired = frozenset(ref for ref, until in self._until.items() if until <= now)
        if expired and await self._are_kept():
            names = ', '.join(map(str, sorted(expired)[:3]))
            log.info('clients of HTTP/2 keep connections to lingering Services', extra={'objects': names})
            self._applier.on_reasons((Reason('kept-connections', names, tuple(sorted(expired))),))
            for ref in expired:
                self._remember(ref)
            return frozenset()
        connected = await self._connected(expired)
        for ref in connected:
            self._remember(ref)
        for ref in expired - connected:
            del self._until[ref]
        return expired - connected

    async def _connected(self, refs: frozenset[Ref]) -> set[Ref]:
        """Return the Services of these to whose moved ports HAProxy has connections."""
        fragments = self._applier.desired.fragments
        owners = {name: ref for ref in refs if ref in fragments for name in _moved(fragments[ref])}
        worker = self._applier.worker
        if worker is None or not owners:
            return set()
        try:
            return {owners[name] for name in await worker.connected(owners)}
        except RuntimeSocketError:
            return set()

    async def _are_kept(self) -> bool:
        worker = self._applier.worker
        if worker is None:
            return False
        try:
            return time.time() - await worker.kept_at() < _IDLE_SECONDS
        except RuntimeSocketError:
            return False


def _moved(fragment: Fragment) -> set[str]:
    """Return the backends of a Service's ports that the kernel serves now; none of one that has gone back to kube-proxy."""
    if not any(claim.kind is Kind.VIRTUAL_ADDRESS for claim in fragment.claims):
        return set()
    pointers = [claim.value for claim in fragment.claims if isinstance(claim.value, Pointer)]
    return {
        name
        for pointer in pointers
        if policies.GONE in pointer.flags
        for name in (pointer.backend, pointer.cluster)
        if name
    }
