"""Which of several controllers writes: the holder of a Lease.

Promises: a controller that has not renewed its Lease stops writing before another one can begin, however long calls take,
for it counts from before its last renewal was sent; a call that hangs counts as one that failed. While the API server is
away the log says so once in a while only.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Awaitable, Callable

from headrace.kube import lease as leases
from headrace.kube.calls import CallError, ConflictError
from headrace.kube.lease import Leases, Observation
from headrace.kube.log_rate_limit import quiet

log = logging.getLogger(__name__)
DURATION_SECONDS = 15
_RETRY_SECONDS = 2.0
_CALL_SECONDS = 4.0
# Another one may begin DURATION_SECONDS after it saw the last renewal; this one has stopped before.
_FENCE_SECONDS = 12.0
_LINE_SECONDS = 30.0
# The counter of epochs is on the same Lease, and a renewal may be on its way when the Lease is released.
_TRIES = 3
_NEVER = float('-inf')


class Election:
    """Runs `lead` while this process holds the Lease. `leading` tells whether it does."""

    def __init__(self, calls: Leases, namespace: str, name: str, identity: str) -> None:
        self._leases, self._namespace, self._name, self._identity = calls, namespace, name, identity
        self._observation = Observation()
        self.leading = False
        # When the last renewal that succeeded was sent, in monotonic seconds; never, while another one holds the Lease.
        self._last_renewal = _NEVER
        quiet(__name__, seconds=_LINE_SECONDS)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Stand for election until cancelled; raises what `lead` raises."""
        while True:
            if await self._renew():
                log.info('this controller leads')
                await self._lead_while_holding(lead)
                log.warning('this controller does not lead any more')
            await asyncio.sleep(_RETRY_SECONDS)

    async def _lead_while_holding(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Lead until that ends, or until the Lease is or might be another's."""
        self.leading = True
        work, keeping = asyncio.ensure_future(lead()), asyncio.create_task(self._keep())
        try:
            while not work.done() and not keeping.done():
                remaining = self._last_renewal + _FENCE_SECONDS - time.monotonic()
                if remaining <= 0:
                    return
                await asyncio.wait([work, keeping], timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
        finally:
            self.leading = False
            for task in (work, keeping):
                task.cancel()
            await asyncio.gather(work, keeping, return_exceptions=True)

    async def _keep(self) -> None:
        """Renew the Lease until another controller holds it."""
        while self._last_renewal != _NEVER:
            await asyncio.sleep(_RETRY_SECONDS)
            await self._renew()

    async def _renew(self) -> bool:
        """Take or renew the Lease if that can be; tell whether that was done."""
        began = time.monotonic()
        lease = await self._write(self._claim)
        if lease is not None:
            self._last_renewal = began
        return lease is not None

    def _claim(self, lease: leases.Document | None) -> leases.Document | None:
        """Return the Lease as this controller holds it, None while it is another's."""
        now = dt.datetime.now(dt.UTC)
        if lease is None:
            return leases.make(self._namespace, self._name, self._identity, DURATION_SECONDS, now)
        if leases.holder(lease) not in ('', self._identity) and self._observation.lives(lease):
            self._last_renewal = _NEVER
            return None
        return leases.renew(lease, self._identity, DURATION_SECONDS, now)

    async def release(self) -> None:
        """Let the next one lead at once, after `run` has been cancelled: release the Lease; raises nothing."""
        await self._write(self._release_of)

    def _release_of(self, lease: leases.Document | None) -> leases.Document | None:
        if lease is None or leases.holder(lease) != self._identity:
            return None
        return {**lease, 'spec': {**lease['spec'], 'holderIdentity': '', 'leaseDurationSeconds': 1}}

    async def _write(
        self, change: Callable[[leases.Document | None], leases.Document | None]
    ) -> leases.Document | None:
        """Change the Lease as it is now; return what was written, None for nothing."""
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                for _ in range(_TRIES):
                    document = change(await self._leases.get(self._namespace, self._name))
                    if document is None:
                        return None
                    with contextlib.suppress(ConflictError):
                        return await self._leases.write(document)
        except (CallError, TimeoutError) as error:
            text = str(error)[:200] or type(error).__name__
            log.info('the Lease of the controllers cannot be written', extra={'error': text})
        return None
