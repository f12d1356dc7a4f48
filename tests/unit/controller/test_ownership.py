"""The Lease of a class: which of several releases writes."""

import asyncio
import datetime as dt
from types import SimpleNamespace

import pytest
from kubernetes.aio import client as api

from headrace.controller import ownership
from headrace.controller.ownership import ClassLease
from headrace.kube.calls import CallError, ConflictError, ForbiddenError

NAME = ('kube-system', 'headrace-class-headrace')


class Cluster:
    """The Leases of a cluster, and the Events of its namespaces."""

    def __init__(self):
        self.leases, self.events, self.version, self.fault = {}, [], 0, None

    def client(self, account):
        return Client(self, account)


class Client:
    def __init__(self, cluster, account):
        self._cluster, self._account = cluster, account

    async def account_uid(self):
        return f'{self._account}/u-1' if self._account else ''

    async def lease(self, namespace, name):
        if self._cluster.fault is not None:
            raise self._cluster.fault
        return self._cluster.leases.get((namespace, name))

    async def write_lease(self, body, held):
        key = body['metadata']['namespace'], body['metadata']['name']
        if self._cluster.leases.get(key) is not held:
            raise ConflictError('another by now')
        self._cluster.version += 1
        spec = body['spec']
        self._cluster.leases[key] = api.V1Lease(
            metadata=api.V1ObjectMeta(name=key[1], resource_version=str(self._cluster.version)),
            spec=api.V1LeaseSpec(
                holder_identity=spec['holderIdentity'], acquire_time=dt.datetime.fromisoformat(spec['acquireTime'])
            ),
        )

    async def put_lease(self, namespace, body):
        spec = api.V1LeaseSpec(holder_identity=body['spec']['holderIdentity'])
        self._cluster.leases[namespace, body['metadata']['name']] = api.V1Lease(spec=spec)

    async def delete_lease(self, namespace, held):
        assert self._cluster.leases.pop((namespace, held.metadata.name)) is held

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
    return found


def of(cluster, namespace='one', account='headrace-controller'):
    return ClassLease(cluster.client(account), 'headrace', namespace)


def tried(*leases):
    async def run():
        return [await lease._tried() for lease in leases]

    return asyncio.run(run())


def holder(cluster):
    return cluster.leases[NAME].spec.holder_identity


def test_the_first_release_holds_the_class_and_the_second_waits(cluster, clock):
    first, second = of(cluster), of(cluster, 'two')
    assert tried(first, second, first, second) == [True, False, True, False]
    assert holder(cluster) == 'one/headrace-controller'
    assert second.held_by == 'one/headrace-controller'


def test_replicas_of_one_release_hold_it_together_and_since_the_first(cluster, clock):
    assert tried(of(cluster)) == [True]
    since = cluster.leases[NAME].spec.acquire_time
    assert tried(of(cluster), of(cluster)) == [True, True]
    assert cluster.leases[NAME].spec.acquire_time == since


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


@pytest.mark.parametrize('spec', [None, api.V1LeaseSpec(), api.V1LeaseSpec(holder_identity='')], ids=str)
def test_a_lease_that_nobody_holds_is_taken(cluster, clock, spec):
    cluster.leases[NAME] = api.V1Lease(metadata=api.V1ObjectMeta(name=NAME[1], resource_version='9'), spec=spec)
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
    assert asyncio.run(person.other()) == ''
    assert asyncio.run(stranger.other()) == 'one/headrace-controller'
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
    write = second._client.write_lease

    async def late(body, held):
        await first._tried()
        await write(body, held)

    second._client.write_lease = late
    assert tried(second, second) == [False, False]
    assert holder(cluster) == 'one/headrace-controller'


def test_who_waits_says_so_now_and_then_and_goes_on_when_it_is_free(cluster, clock, monkeypatch, caplog):
    first, second = of(cluster), of(cluster, 'two')
    rounds, told = [], []

    async def pause(_):
        rounds.append(clock.now)
        told.append(cluster.leases['two', 'headrace-class-held'].spec.holder_identity)
        clock.now += 31
        # The other release renews it, until it leaves.
        await (first._tried() if len(rounds) < 4 else first.give_up())

    monkeypatch.setattr(ownership.asyncio, 'sleep', pause)

    async def run():
        await first.take()
        await second.until_free()
        await second.take()

    asyncio.run(run())
    assert holder(cluster) == 'two/headrace-controller'
    # Its agents knew, and know that it is over.
    assert told == ['one/headrace-controller'] * 4
    assert cluster.leases['two', 'headrace-class-held'].spec.holder_identity == ''
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
            await second._tried()

    monkeypatch.setattr(ownership.asyncio, 'sleep', pause)
    assert tried(first) == [True]
    asyncio.run(first.keep())
    assert len(rounds) == 3
    assert first.held_by == 'two/headrace-controller'
