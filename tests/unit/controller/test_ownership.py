"""The Lease of a class: which of several releases writes."""

import asyncio
from types import SimpleNamespace

import pytest

from headrace.controller import ownership
from headrace.controller.ownership import ClassLease
from headrace.kube.calls import CallError, ConflictError, ForbiddenError
from headrace.kube.lease import Leases, Observation
from support.leases import LeaseApi

NAME = ('kube-system', 'headrace-class-headrace')


class Cluster(LeaseApi):
    """The Leases of a cluster, and the Events of its namespaces."""

    def __init__(self):
        super().__init__()
        self.events, self.fault = [], None

    async def call(self, method, path, body=None, **how):
        if self.fault is not None:
            raise self.fault
        return await super().call(method, path, body, **how)

    def client(self, account):
        return Client(self, account)


class Client:
    def __init__(self, cluster, account):
        self._cluster, self._account = cluster, account
        self.leases = Leases(cluster)

    async def account_uid(self):
        return f'{self._account}/u-1' if self._account else ''

    async def create_event(self, body):
        namespace = body['metadata']['namespace']
        if (namespace, body['metadata']['name']) in self._cluster.events:
            raise ConflictError('it is there')
        self._cluster.events.append((namespace, body['metadata']['name']))

    async def event_count(self, *_):
        return 1

    async def repeat_event(self, *about):
        self._cluster.events.append(about[:3])


@pytest.fixture
def cluster():
    return Cluster()


@pytest.fixture
def clock(monkeypatch):
    """The monotonic clock, which the test moves."""
    found = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(ownership.time, 'monotonic', lambda: found.now)
    monkeypatch.setattr(ownership, 'Observation', lambda: Observation(lambda: found.now))
    return found


def of(cluster, namespace='one', account='headrace-controller'):
    return ClassLease(cluster.client(account), 'headrace', namespace)


def tried(*leases):
    async def run():
        return [await lease._try_to_hold() for lease in leases]

    return asyncio.run(run())


def holder(cluster):
    return cluster.holder(*NAME)


def test_the_first_release_holds_the_class_and_the_second_waits(cluster, clock):
    first, second = of(cluster), of(cluster, 'two')
    assert tried(first, second, first, second) == [True, False, True, False]
    assert holder(cluster) == 'one/headrace-controller'
    assert second.other_release == 'one/headrace-controller'


def test_replicas_of_one_release_hold_it_together_and_since_the_first(cluster, clock):
    assert tried(of(cluster)) == [True]
    since = cluster.leases[NAME]['spec']['acquireTime']
    assert tried(of(cluster), of(cluster)) == [True, True]
    assert cluster.leases[NAME]['spec']['acquireTime'] == since


def test_two_releases_in_one_namespace_are_two(cluster, clock):
    assert tried(of(cluster), of(cluster, account='other-controller')) == [True, False]


def test_a_release_that_does_not_renew_loses_the_class_after_its_time(cluster, clock):
    first, second = of(cluster), of(cluster, 'two')
    assert tried(first, second) == [True, False]
    clock.now += 44
    assert tried(second) == [False]
    assert tried(first, second) == [True, False]
    clock.now += 44
    assert tried(second) == [False]
    clock.now += 1
    assert tried(second, first) == [True, False]


@pytest.mark.parametrize('spec', [None, {}, {'holderIdentity': ''}], ids=str)
def test_a_lease_without_a_holder_is_taken(cluster, clock, spec):
    cluster.put(*NAME)['spec'] = spec
    cluster.leases[NAME]['spec'] = spec
    assert tried(of(cluster)) == [True]


def test_a_release_that_leaves_gives_it_up_and_takes_nothing_of_another(cluster, clock):
    first, second = of(cluster), of(cluster, 'two')
    assert tried(first, second) == [True, False]
    asyncio.run(second.give_up())
    assert holder(cluster) == 'one/headrace-controller'
    asyncio.run(first.give_up())
    assert tried(second) == [True]


def test_a_person_who_works_for_a_release_is_of_it(cluster, clock):
    assert tried(of(cluster)) == [True]
    person, stranger = of(cluster, account=''), of(cluster, 'two', account='')
    assert asyncio.run(person.find_other()) == ''
    assert asyncio.run(stranger.find_other()) == 'one/headrace-controller'
    asyncio.run(person.give_up())
    assert NAME not in cluster.leases


def test_without_the_right_a_controller_works_as_before_and_says_so_once(cluster, clock, caplog):
    cluster.fault = ForbiddenError('leases is forbidden')
    lease = of(cluster)
    assert tried(lease, lease) == [True, True]
    assert [record.levelname for record in caplog.records] == ['WARNING']


def test_a_lost_api_server_does_not_give_the_class(cluster, clock):
    cluster.fault = CallError('no answer')
    assert tried(of(cluster)) == [False]


def test_another_who_was_quicker_wins(cluster, clock):
    first, second = of(cluster), of(cluster, 'two')
    write = second._client.leases.write

    async def late(lease):
        await first._try_to_hold()
        await write(lease)

    second._client.leases.write = late
    assert tried(second, second) == [False, False]
    assert holder(cluster) == 'one/headrace-controller'


def test_who_waits_says_so_now_and_then_and_goes_on_when_it_is_free(cluster, clock, monkeypatch, caplog):
    first, second = of(cluster), of(cluster, 'two')
    rounds, told = [], []

    async def pause(_):
        rounds.append(clock.now)
        told.append(cluster.holder('two', 'headrace-class-held'))
        clock.now += 31
        # The other release renews it, until it leaves.
        await (first._try_to_hold() if len(rounds) < 4 else first.give_up())

    monkeypatch.setattr(ownership.asyncio, 'sleep', pause)

    async def run():
        await first.take()
        await second.until_free()
        await second.take()

    asyncio.run(run())
    assert holder(cluster) == 'two/headrace-controller'
    # Its agents knew, and know that it is over.
    assert told == ['one/headrace-controller'] * 4
    assert cluster.holder('two', 'headrace-class-held') == ''
    said = [record for record in caplog.records if record.levelname == 'ERROR']
    assert (len(rounds), len(said)) == (4, 2)
    assert cluster.events == [('two', f'{NAME[1]}.held'), ('two', f'{NAME[1]}.held', 2)]


def test_who_holds_it_renews_it_until_another_has_it(cluster, clock, monkeypatch, caplog):
    first, second = of(cluster), of(cluster, 'two')
    rounds = []

    async def pause(_):
        rounds.append(cluster.version)
        if len(rounds) == 3:
            cluster.leases.clear()
            await second._try_to_hold()

    monkeypatch.setattr(ownership.asyncio, 'sleep', pause)
    assert tried(first) == [True]
    asyncio.run(first.keep())
    assert len(rounds) == 3
    assert first.other_release == 'two/headrace-controller'
