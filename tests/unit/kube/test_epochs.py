"""Which epochs count for an agent: those up to the controller's counter."""

import asyncio

import pytest

from headrace.kube import epochs
from headrace.kube.epochs import Epochs
from headrace.kube.lease import Leases
from headrace.names import Ref

WEB, EVIL = Ref('Service', 'shop', 'web'), Ref('Service', 'evil', 'web')
LEASE = '/apis/coordination.k8s.io/v1/namespaces/headrace/leases/headrace-controller'
FORGED = 10**18 - 1


def test_an_epoch_above_the_counter_does_not_count_and_those_below_do():
    made = Epochs()
    made.trust(9)
    made.take(EVIL, FORGED)
    made.take(WEB, 7)
    made.apply()
    assert (made.applied, made.foreign) == (7, True)
    made.take(EVIL, 0)
    made.apply()
    assert (made.applied, made.foreign) == (7, False)


def test_an_epoch_that_the_controller_has_written_since_counts_once_the_counter_is_read():
    made = Epochs()
    made.trust(0)
    made.take(WEB, 7)
    made.apply()
    assert (made.applied, made.unknown) == (0, True)
    made.trust(7)
    made.apply()
    assert made.applied == 7


def test_a_forged_epoch_that_counted_before_there_was_a_counter_is_taken_back():
    made = Epochs()
    made.take(WEB, 7)
    made.take(EVIL, FORGED)
    made.apply()
    assert made.applied == FORGED
    made.trust(9)
    made.apply()
    assert made.applied == 7


def test_what_was_applied_stays_applied_when_the_service_is_gone():
    made = Epochs()
    made.take(WEB, 7)
    made.apply()
    made.take(WEB, 0)
    made.apply()
    made.apply()
    assert made.applied == 7


def lease(holder, by):
    return {'metadata': {'annotations': {'headrace.io/epoch': '9', **by}}, 'spec': {'holderIdentity': holder}}


@pytest.mark.parametrize(
    ('answer', 'counter'),
    [
        pytest.param((200, lease('new', {'headrace.io/epoch-holder': 'new'})), 9, id='kept by the leader'),
        pytest.param((200, lease('', {'headrace.io/epoch-holder': 'new'})), 9, id='kept by the last leader'),
        pytest.param(
            (200, lease('old', {'headrace.io/epoch-holder': 'new'})), None, id='an older controller leads again'
        ),
        pytest.param((200, lease('old', {})), None, id='an older controller'),
        pytest.param((200, {'metadata': {'annotations': {'headrace.io/epoch': '9'}}}), 9, id='without a leader'),
        pytest.param((200, {'metadata': {}}), None, id='no counter'),
        pytest.param((404, {'reason': 'NotFound'}), None, id='no controller'),
        pytest.param((403, {'reason': 'Forbidden'}), 0, id='no right'),
        pytest.param(
            (200, {'metadata': {'annotations': {'headrace.io/epoch': '9'}, 'labels': {'headrace.io/form': '2'}}}),
            0,
            id='of a newer controller: what counted before',
        ),
        pytest.param(
            (200, {'metadata': {'annotations': {'headrace.io/epoch': '9'}, 'labels': {'headrace.io/form': '1'}}}),
            9,
            id='of the known form',
        ),
    ],
)
def test_the_counter_is_read_when_an_epoch_is_not_known(server, answer, counter):
    made = Epochs()
    made.trust(0)
    made.take(WEB, 7)

    async def follow():
        async with server.calls(answer) as calls:
            running = asyncio.create_task(epochs.follow(made, Leases(calls), 'headrace', 'headrace', grace=0.0))
            async with asyncio.timeout(20):
                while not server.asked:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.05)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    asyncio.run(follow())
    assert server.lines == [f'GET {LEASE}']
    assert made.counter == counter


def test_a_controller_that_has_just_begun_to_lead_has_time_to_keep_the_counter():
    leader = epochs._Leader()
    old, new = (lease(name, {'headrace.io/epoch-holder': 'new'}) for name in ('old', 'new'))
    assert leader.is_current(new, 0.0, 60.0)
    assert leader.is_current(old, 100.0, 60.0)
    assert leader.is_current(old, 159.0, 60.0)
    assert not leader.is_current(old, 160.0, 60.0)
    # The next leader has as much time.
    assert leader.is_current(lease('third', {}), 161.0, 60.0)
    assert leader.is_current(new, 300.0, 60.0)
