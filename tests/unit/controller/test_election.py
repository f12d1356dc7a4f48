"""The election: one leads, it stops before the Lease might be another's, and the log is no flood while no call is answered."""

import asyncio
import contextlib
import logging
import time

import pytest

from headrace.controller import election
from headrace.controller.election import Election
from headrace.kube.calls import CallError, ConflictError
from headrace.kube.lease import EPOCH, Leases
from support.leases import LeaseApi

KEY = ('headrace', 'headrace-controller')


class Api(LeaseApi):
    """The Lease; renewals hang while `answers` is false, and fail while `fault` is set."""

    answers, fault = True, None

    async def call(self, method, path, body=None, **how):
        if not self.answers:
            await asyncio.sleep(10)
        if self.fault is not None:
            self.asked.append((method, path))
            raise self.fault
        return await super().call(method, path, body, **how)


@pytest.fixture
def api(monkeypatch):
    monkeypatch.setattr(election, '_RETRY_SECONDS', 0.02)
    monkeypatch.setattr(election, '_FENCE_SECONDS', 0.5)
    return Api()


def stand(api, name='one'):
    return Election(Leases(api), *KEY, name)


def play(made, script):
    """Let elections run while a script does; return when each led."""
    elections = made if isinstance(made, list) else [made]

    async def both():
        spans = []

        async def lead():
            began = time.monotonic()
            try:
                await asyncio.Event().wait()
            finally:
                spans.append((began, time.monotonic()))

        running = [asyncio.create_task(each.run(lead)) for each in elections]
        try:
            async with asyncio.timeout(20):
                await script(spans)
        finally:
            for task in running:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        return spans

    return asyncio.run(both())


async def until(condition):
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.005)


def test_a_leader_that_cannot_renew_stops_before_its_lease_could_be_anothers(api):
    made = stand(api)

    async def script(spans):
        await until(lambda: made.leading)
        api.answers = False
        last = made._last_renewal
        await until(lambda: spans)
        assert not made.leading
        # A renewal that was on its way may have come through.
        assert spans[0][1] - max(last, made._last_renewal) < 0.5 + 1
        api.answers = True
        await until(lambda: made.leading)

    play(made, script)


def test_a_leader_that_renews_goes_on(api):
    made = stand(api)

    async def script(spans):
        await until(lambda: made.leading)
        first = made._last_renewal
        await until(lambda: made._last_renewal > first + 0.8)
        assert made.leading
        assert not spans

    play(made, script)


def test_one_of_two_leads_and_the_other_when_the_lease_is_released(api):
    first, second = stand(api), stand(api, 'two')

    async def script(spans):
        await until(lambda: first.leading)
        asked = len(api.asked)
        await until(lambda: len(api.asked) > asked + 20)
        assert not second.leading
        api.put(*KEY, '', leaseDurationSeconds=1)
        await until(lambda: second.leading or spans)

    play([first, second], script)


def test_a_lease_that_is_not_renewed_is_taken_after_its_time_by_the_own_clock(api):
    made, clock = stand(api, 'two'), [0.0]
    made._observation._clock = lambda: clock[0]
    api.put(*KEY, 'one', renewTime='2026-05-01T12:00:00.000000Z')

    async def script(spans):
        asked = len(api.asked)
        await until(lambda: len(api.asked) > asked + 5)
        assert not made.leading
        clock[0] = 15.0
        await until(lambda: made.leading)

    play(made, script)
    assert api.leases[KEY]['spec']['leaseTransitions'] == 1


def test_a_leader_whose_lease_another_holds_stops_at_once(api):
    made = stand(api)

    async def script(spans):
        await until(lambda: made.leading)
        api.put(*KEY, 'two', leaseDurationSeconds=600)
        await until(lambda: spans)
        assert not made.leading

    play(made, script)


def test_what_else_is_kept_on_the_lease_stays(api):
    made = stand(api)
    api.put(*KEY, '', {EPOCH: '7'})

    async def script(spans):
        await until(lambda: made.leading)

    play(made, script)
    assert api.leases[KEY]['metadata']['annotations'] == {EPOCH: '7'}


def test_what_leading_raises_ends_the_election(api):
    async def lead():
        raise ValueError('a defect')

    with pytest.raises(ValueError, match='a defect'):
        asyncio.run(stand(api).run(lead))


def test_the_fence_is_shorter_than_the_lease():
    # The other one may have seen the last renewal a moment after it was sent, and then waits for the whole Lease.
    assert election._FENCE_SECONDS + 2 < election.DURATION_SECONDS


def test_while_no_call_is_answered_the_log_says_so_seldom(api, caplog):
    for each in logging.getLogger(election.__name__).filters:
        each._next.clear()
    api.fault = CallError('away')

    async def script(spans):
        await until(lambda: len(api.asked) > 20)

    with caplog.at_level(logging.INFO):
        play(stand(api), script)
    assert [record.message for record in caplog.records] == ['the Lease of the controllers cannot be written']


@pytest.mark.parametrize(
    ('conflicts', 'holder', 'expected'), [(0, 'one', ''), (1, 'one', ''), (99, 'one', 'one'), (0, 'two', 'two')]
)
def test_a_lease_is_released_though_a_renewal_comes_through_meanwhile(api, conflicts, holder, expected):
    api.put(*KEY, holder)
    api.faults = [None, ConflictError('renewed')] * conflicts
    asyncio.run(stand(api).release())
    assert api.holder(*KEY) == expected
