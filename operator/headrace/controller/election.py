"""Which of several controllers writes: the holder of a Lease (the `kubernetes` client's leader election).

Promises: who has not renewed its Lease stops writing before another one can begin, however long calls take, for it
counts from before its last renewal was sent; a call that hangs counts as one that failed. While the API server is away
the log says so once in a while only.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import aiohttp
from kubernetes.aio.client import ApiClient, V1Lease, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException
from kubernetes.aio.leaderelection.electionconfig import Config
from kubernetes.aio.leaderelection.leaderelection import LeaderElection
from kubernetes.aio.leaderelection.resourcelock.leaselock import LeaseLock

from headrace.kube.log_rate_limit import quiet

log = logging.getLogger(__name__)
DURATION_SECONDS = 15
_RENEW_SECONDS = 10
_RETRY_SECONDS = 2
_CALL_SECONDS = 4.0
# Another one may begin DURATION_SECONDS after it saw the last renewal; this one has stopped before.
_FENCE_SECONDS = 12.0
_LINE_SECONDS = 30.0
# One renewal can be on its way, and a read may hold the answer of before it.
_RELEASES = 3


class _Lock(LeaseLock):
    """The Lease, with deadlines; a lost connection is a refusal, not the end of the election.

    `renewed_at` is when the last renewal that succeeded was sent, in monotonic seconds.
    """

    renewed_at = float('-inf')

    async def get(self, name: str, namespace: str) -> Any:
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                return await super().get(name, namespace)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return False, ApiException(status=0, reason=f'{type(error).__name__}: {error}')

    async def create(self, name: str, namespace: str, election_record: Any) -> bool:
        # The client's own version of this call names an argument in a way that the client then refuses.
        body = V1Lease(metadata=V1ObjectMeta(name=name), spec=self.update_lease(election_record))
        return await self._within(self._created(namespace, body))

    async def _created(self, namespace: str, body: V1Lease) -> bool:
        try:
            self.lease_reference = await self.api_instance.create_namespaced_lease(namespace, body)
        except ApiException as error:
            log.info('the Lease of the controllers cannot be made', extra={'said': str(error.reason)})
            return False
        return True

    async def update(self, name: str, namespace: str, updated_record: Any) -> bool:
        return await self._within(super().update(name, namespace, updated_record))

    async def _within(self, call: Awaitable[bool]) -> bool:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                done = await call
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            log.info(
                'the Lease of the controllers cannot be written', extra={'said': f'{type(error).__name__}: {error}'}
            )
            return False
        if done:
            self.renewed_at = began
        return done


class Election:
    """Runs `lead` while this process holds the Lease. `leading` tells whether it does."""

    def __init__(self, api: ApiClient, namespace: str, name: str, identity: str) -> None:
        self._lock = _Lock(name, namespace, identity, api)
        self.leading = False
        quiet(__name__, 'kubernetes.aio.leaderelection.leaderelection', seconds=_LINE_SECONDS)
        quiet('kubernetes.aio.leaderelection.resourcelock.leaselock', seconds=_LINE_SECONDS)

    async def run(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Stand for election until cancelled; raises what `lead` raises."""
        while True:
            ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            election = asyncio.create_task(LeaderElection(self._config(lead, ended)).run())
            try:
                await asyncio.wait([election, ended], return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    ended.result()
                election.result() if election.done() else None
            finally:
                self.leading = False
                election.cancel()
                await asyncio.gather(election, return_exceptions=True)
            log.warning('this controller does not lead any more')
            await asyncio.sleep(_RETRY_SECONDS)

    def _config(self, lead: Callable[[], Awaitable[None]], ended: asyncio.Future[None]) -> Config:
        async def started() -> None:
            log.info('this controller leads')
            self.leading = True
            try:
                await self._while_held(lead)
                if not ended.done():
                    ended.set_result(None)
            except asyncio.CancelledError:
                raise
            except BaseException as error:  # noqa: BLE001  raised where the election is awaited
                if not ended.done():
                    ended.set_exception(error)

        async def stopped() -> None:
            self.leading = False

        return Config(
            self._lock,
            lease_duration=DURATION_SECONDS,
            renew_deadline=_RENEW_SECONDS,
            retry_period=_RETRY_SECONDS,
            onstarted_leading=started,
            onstopped_leading=stopped,
        )

    async def _while_held(self, lead: Callable[[], Awaitable[None]]) -> None:
        """Lead until that ends, or until the Lease might be another's."""
        work = asyncio.ensure_future(lead())
        try:
            while not work.done():
                left = self._lock.renewed_at + _FENCE_SECONDS - time.monotonic()
                if left <= 0:
                    return
                await asyncio.wait([work], timeout=left)
            work.result()
        finally:
            self.leading = False
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)

    async def release(self) -> None:
        """Let the next one lead at once, after `run` has been cancelled: release the Lease; raises nothing."""
        said = ''
        for _ in range(_RELEASES):
            # Its version is that of before the last renewal.
            await self._lock.get(self._lock.name, self._lock.namespace)
            lease = self._lock.lease_reference
            if lease is None or lease.spec is None or lease.spec.holder_identity != self._lock.identity:
                return
            lease.spec.lease_duration_seconds = 1
            lease.spec.holder_identity = ''
            try:
                async with asyncio.timeout(_CALL_SECONDS):
                    await self._lock.api_instance.replace_namespaced_lease(self._lock.name, self._lock.namespace, lease)
            except (ApiException, aiohttp.ClientError, TimeoutError, OSError) as error:
                said = str(error)[:200]
                # A renewal that was on its way when `run` was cancelled may have come through in between.
                if getattr(error, 'status', None) != HTTPStatus.CONFLICT:
                    break
            else:
                return
        log.info('the Lease of the controllers could not be released', extra={'said': said})
