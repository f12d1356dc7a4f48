"""The election's own part: it stops before the Lease might be another's, and is no flood while nobody answers."""

import asyncio
import contextlib
import logging
import time

import pytest
from kubernetes.aio.client import V1Lease, V1LeaseSpec, V1ObjectMeta
from kubernetes.aio.client.exceptions import ApiException

from headrace.controller import election
from headrace.controller.election import Election


class Quick(election.Config):
    """Tries again sooner than the client allows."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.retry_period = 0.02


@pytest.fixture
def made(monkeypatch):
    """An election whose Lease can be had, and renewed as long as `answers` says."""
    found = Election(object(), 'headrace', 'headrace-controller', 'one')
    found.answers = True

    async def get(name, namespace):
        return True, None

    async def update(name, namespace, record):
        async def written():
            if not found.answers:
                await asyncio.sleep(10)
            return True

        return await found._lock._within(written())

    monkeypatch.setattr(found._lock, 'get', get)
    monkeypatch.setattr(found._lock, 'update', update)
    monkeypatch.setattr(election, 'Config', Quick)
    monkeypatch.setattr(election, '_RETRY_SECONDS', 1)
    monkeypatch.setattr(election, '_FENCE_SECONDS', 0.5)
    return found


def play(made, script):
    async def both():
        spans = []

        async def lead():
            began = time.monotonic()
            try:
                await asyncio.Event().wait()
            finally:
                spans.append((began, time.monotonic()))

        running = asyncio.create_task(made.run(lead))
        try:
            async with asyncio.timeout(20):
                await script(made, spans)
        finally:
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
        return spans

    return asyncio.run(both())


async def until(condition):
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def test_a_leader_that_cannot_renew_stops_before_its_lease_could_be_anothers(made):
    async def script(made, spans):
        await until(lambda: made.leading)
        made.answers = False
        last = made._lock.renewed_at
        await until(lambda: spans)
        assert not made.leading
        # A renewal that was on its way may have come through.
        assert spans[0][1] - max(last, made._lock.renewed_at) < 0.5 + 1
        made.answers = True
        await until(lambda: made.leading)

    play(made, script)


def test_a_leader_that_renews_goes_on(made):
    async def script(made, spans):
        await until(lambda: made.leading)
        first = made._lock.renewed_at
        await until(lambda: made._lock.renewed_at > first + 0.8)
        assert made.leading
        assert not spans

    play(made, script)


def test_the_fence_is_shorter_than_the_lease():
    # The other one may have seen the last renewal a moment after it was sent, and then waits for the whole Lease.
    assert election._FENCE_SECONDS + 2 < election.DURATION_SECONDS


def test_while_nobody_answers_the_log_says_so_seldom(made, caplog, monkeypatch):
    for name in ('leaderelection', 'resourcelock.leaselock'):
        for held in logging.getLogger(f'kubernetes.aio.leaderelection.{name}').filters:
            held._next.clear()

    class AwayError(OSError):
        reason, body = 'away', None

    async def gone(name, namespace):
        asked.append(name)
        return False, AwayError()

    asked = []
    monkeypatch.setattr(made._lock, 'get', gone)

    async def script(made, spans):
        await until(lambda: len(asked) > 20)

    with caplog.at_level(logging.INFO):
        play(made, script)
    assert len(caplog.records) == 1
    assert 'Error retrieving resource lock' in caplog.text


class Leases:
    """What the API server does with the Lease: `late` renewals have been sent, and arrive after the next reads."""

    def __init__(self, late):
        self.late, self.version, self.holder = late, 1, 'one'

    async def read_namespaced_lease(self, name, namespace):
        spec = V1LeaseSpec(holder_identity=self.holder)
        found = V1Lease(metadata=V1ObjectMeta(name=name, resource_version=str(self.version)), spec=spec)
        if self.late:
            self.late, self.version = self.late - 1, self.version + 1
        return found

    async def replace_namespaced_lease(self, name, namespace, lease):
        if lease.metadata.resource_version != str(self.version):
            raise ApiException(status=409, reason='Conflict')
        self.holder = lease.spec.holder_identity


@pytest.mark.parametrize(('late', 'holder'), [(0, ''), (1, ''), (99, 'one')])
def test_a_renewal_that_comes_through_while_the_lease_is_released_does_not_keep_it(late, holder):
    found = Election(object(), 'headrace', 'headrace-controller', 'one')
    found._lock.api_instance = leases = Leases(late)
    asyncio.run(found.release())
    assert leases.holder == holder
