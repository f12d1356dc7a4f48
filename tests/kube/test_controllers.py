"""Two controllers: one writes, once, at a bounded rate; and when it cannot, the other does."""

import itertools
import time

import pytest

from support.gate import Gate
from support.live import until
from support.objects import service

# The Lease of fifteen seconds, what the other takes to look again, and time for a busy machine.
LATE = 30
BAD = {'check-interval': 'soon'}


@pytest.fixture
def make(make_cluster, control_plane):
    """What makes controllers, each behind a gate of its own, and waits until one follows the cluster."""
    gates = []

    def give(name, **settings):
        gate = Gate(control_plane).__enter__()
        gates.append(gate)
        found = make_cluster(role='controller', name=name, url=gate.url, **{'statusWritesPerSecond': 20, **settings})
        found.gate = gate
        found.begin()
        until(lambda: found.times('the controller follows the cluster'))
        return found

    yield give
    for gate in gates:
        gate.__exit__()


@pytest.fixture
def pair(make):
    """The leader, and the one that waits."""
    first = make('one')
    until(lambda: first.times('this controller leads'))
    return first, make('two')


def bad(cluster, *names):
    for name in names:
        cluster.put(name, service(name, annotations={'host': f'{name}.example.com', **BAD}))


def writes(cluster):
    """When a controller wrote to objects of users, and which."""
    return [
        (each.at, each.path)
        for each in list(cluster.gate.asked)
        if each.method in ('PATCH', 'POST') and 'leases' not in each.path
    ]


def test_one_writes_once_at_no_more_than_the_rate_allows(pair):
    first, second = pair
    names = [f's{number}' for number in range(40)]
    bad(first, *names)
    until(lambda: all(first.condition(name) for name in names))
    until(lambda: len(writes(first)) == 2 * len(names))
    assert writes(second) == []
    statuses = [path for _, path in writes(first) if path.endswith('/status')]
    assert sorted(statuses) == sorted(f'{first.path("Service", name)}/status' for name in names)
    times = [at for at, _ in writes(first)]
    # Twenty in a second, as the proxy sees them: on a busy machine it may note a write late.
    assert all(later - sooner >= 0.5 for sooner, later in zip(times, times[20:], strict=False))
    assert times[-1] - times[0] >= 3.4


def test_the_other_takes_over_from_a_killed_leader_within_the_lease(pair):
    first, second = pair
    bad(first, 'before')
    until(lambda: len(writes(first)) == 2)
    first.kill()
    killed = time.monotonic()
    bad(second, 'after')
    until(lambda: second.condition('after'), seconds=LATE)
    assert time.monotonic() - killed < LATE
    until(lambda: any('events' in path for _, path in writes(second)))
    # What the first one wrote is there, and is not written again.
    before = second.path('Service', 'before')
    assert f'{before}/status' not in [path for _, path in writes(second)]


def test_a_leader_that_loses_its_lease_stops_before_the_other_begins(pair):
    first, second = pair
    with first.gate.answering(503, path='/leases/headrace-controller'):
        until(lambda: first.times('this controller does not lead any more'), seconds=LATE)
        stopped = time.monotonic()
        until(lambda: second.times('this controller leads'), seconds=LATE)
        bad(first, 'web')
        until(lambda: second.condition('web'))
    assert all(at < stopped for at, _ in writes(first))
    # Once it can reach the Lease again, it waits as the other did.
    assert first.process.poll() is None
    assert first.times('this controller leads') == 1


@pytest.mark.parametrize(('status', 'headers'), [(429, {'Retry-After': '1'}), (503, {}), (500, {})])
def test_a_write_that_is_refused_for_a_while_is_made_then(make, status, headers):
    controller = make('one')
    with controller.gate.answering(status, path='/web/status', times=2, headers=headers) as fault:
        bad(controller, 'web')
        until(lambda: controller.condition('web'))
        assert fault.used == 2
    times = [at for at, path in writes(controller) if path.endswith('/web/status')]
    assert status != 429 or all(later - sooner >= 1 for sooner, later in itertools.pairwise(times))


def test_a_lease_that_was_changed_is_taken_again(make):
    controller = make('one')
    until(lambda: controller.times('this controller leads'))
    with controller.gate.answering(409, method='PUT', path='/leases/headrace-controller', times=2) as fault:
        until(lambda: fault.used == 2)
    bad(controller, 'web')
    until(lambda: controller.condition('web'))
    assert controller.times('this controller leads') == 1


def test_the_log_is_no_flood_while_the_api_server_is_away(make):
    controller = make('one', statusAddresses=['192.0.2.7'])
    until(lambda: controller.times('this controller leads'))
    before = len(controller.lines())
    with controller.gate.answering(503) as fault:
        controller.gate.end()
        until(lambda: fault.used > 12)
    assert len(controller.lines()) - before <= 8
