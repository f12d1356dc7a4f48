"""Leases: whose they are, until when they hold, and that no writer overwrites what it has not read."""

import asyncio
import datetime as dt

import pytest

from headrace.kube import lease
from headrace.kube.calls import CallError, ConflictError, NotFoundError
from headrace.kube.lease import Leases, Observation
from support.leases import LeaseApi

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(seconds=10)
KEY = ('headrace', 'one')


@pytest.mark.parametrize(
    ('text', 'number'),
    [('', 0), ('0', 0), ('42', 42), ('9' * 18, 10**18 - 1), ('9' * 19, 0), ('-1', 0), (' 1', 0), ('²', 0), ('x', 0)],
)
def test_an_epoch_is_a_number_or_none(text, number):
    assert lease.epoch(text) == number


@pytest.mark.parametrize(
    ('spec', 'lives'),
    [
        pytest.param({'renewTime': '2026-05-01T11:59:46.000000Z', 'leaseDurationSeconds': 15}, True, id='in time'),
        pytest.param({'renewTime': '2026-05-01T11:59:45.000000Z', 'leaseDurationSeconds': 15}, False, id='run out'),
        pytest.param({'renewTime': '2026-05-01T11:59:59Z'}, False, id='no duration'),
        pytest.param({'renewTime': '2026-05-01T11:59:59', 'leaseDurationSeconds': 15}, False, id='no time zone'),
        pytest.param({'leaseDurationSeconds': 15}, False, id='never renewed'),
        pytest.param({'renewTime': 'soon', 'leaseDurationSeconds': 15}, False, id='no time'),
        pytest.param({'renewTime': '2026-05-01T11:59:59Z', 'leaseDurationSeconds': 10**30}, False, id='too long'),
        pytest.param(None, False, id='no spec'),
    ],
)
def test_a_lease_holds_for_its_time(spec, lives):
    assert lease.lives({'metadata': {}, 'spec': spec}, NOW) is lives


def test_by_the_own_clock_a_lease_holds_from_when_a_renewal_was_seen():
    clock = [0.0]
    observed, held = Observation(lambda: clock[0]), lease.make(*KEY, 'one', 15, NOW)
    assert observed.lives(held)
    clock[0] = 14.9
    assert observed.lives(held)
    clock[0] = 15.0
    assert not observed.lives(held)
    assert observed.lives(held, 20)
    assert observed.lives(lease.renew(held, 'one', 15, LATER))
    clock[0] = 40.0
    assert observed.lives(lease.renew(held, 'two', 15, LATER))


def test_a_renewal_keeps_since_when_and_all_that_is_not_known():
    held = lease.make(*KEY, 'one', 15, NOW)
    held['metadata']['annotations'], held['spec']['strategy'] = {'a': 'b'}, 'later'
    again = lease.renew(held, 'one', 20, LATER)
    assert again['metadata'] == held['metadata']
    assert again['spec'] == {
        'holderIdentity': 'one',
        'leaseDurationSeconds': 20,
        'acquireTime': '2026-05-01T12:00:00.000000Z',
        'renewTime': '2026-05-01T12:00:10.000000Z',
        'strategy': 'later',
    }


def test_another_holder_has_it_since_now_and_is_counted():
    taken = lease.renew(lease.make(*KEY, 'one', 15, NOW), 'two', 15, LATER)
    assert (taken['spec']['acquireTime'], taken['spec']['leaseTransitions']) == ('2026-05-01T12:00:10.000000Z', 1)
    assert lease.renew(taken, 'three', 15, LATER)['spec']['leaseTransitions'] == 2
    assert 'leaseTransitions' not in lease.renew({'metadata': {}}, 'one', 15, NOW)['spec']


def test_a_lease_goes_with_an_account_where_there_is_one():
    assert 'ownerReferences' not in lease.with_owner(lease.make(*KEY, 'one', 15, NOW), '')['metadata']
    owned = lease.with_owner(lease.make(*KEY, 'one', 15, NOW), 'controller/u-1')
    reference = {'apiVersion': 'v1', 'kind': 'ServiceAccount', 'name': 'controller', 'uid': 'u-1'}
    assert owned['metadata']['ownerReferences'] == [reference]


# --- calls ------------------------------------------------------------------------------------------------------------


def run(work, api=None):
    made = api or LeaseApi()
    return asyncio.run(work(Leases(made))), made


def test_a_lease_that_was_changed_since_it_was_read_is_not_overwritten():
    async def work(leases):
        held = await leases.write(lease.make(*KEY, 'one', 15, NOW))
        await leases.write(lease.renew(held, 'one', 15, LATER))
        with pytest.raises(ConflictError):
            await leases.write(lease.renew(held, 'two', 15, LATER))

    assert run(work)[1].holder(*KEY) == 'one'


def test_what_is_put_is_there_whatever_was_there():
    async def work(leases):
        version = await leases.put(lease.make(*KEY, 'one', 15, NOW))
        await leases.put(lease.make(*KEY, 'two', 15, NOW), version)
        await leases.put(lease.make(*KEY, 'three', 15, NOW), version)
        await leases.put(lease.make(*KEY, 'four', 15, NOW))

    assert run(work)[1].holder(*KEY) == 'four'


def test_what_another_process_writes_all_the_time_is_an_error_that_names_it():
    api = LeaseApi()
    api.faults = [None, ConflictError('another'), None, ConflictError('another')]

    async def work(leases):
        with pytest.raises(CallError, match='one: another process writes it'):
            await leases.put(lease.make(*KEY, 'one', 15, NOW))

    run(work, api)


def test_a_lease_is_deleted_as_it_was_read_only():
    async def work(leases):
        held = await leases.write(lease.make(*KEY, 'one', 15, NOW))
        await leases.write(lease.renew(held, 'one', 15, LATER))
        with pytest.raises(ConflictError):
            await leases.delete(*KEY, lease.version(held))
        await leases.delete(*KEY)
        assert await leases.get(*KEY) is None
        with pytest.raises(NotFoundError):
            await leases.delete(*KEY)

    run(work)
