"""An edge pod of the chart as a node would run it: two users, shared volumes, any order, crashes, an upgrade."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from support import chart, network
from support.cluster import pod
from support.kubelet import Pod
from support.live import until
from support.objects import endpoint_slice, service
from support.traffic import Load

HTTP = 8080
QUICK = {'shutdown': {'drainSeconds': 2, 'hardStopSeconds': 20}, 'haproxy': {'maxconn': 200, 'fileDescriptors': 4000}}


@pytest.fixture
def make_pod(control_plane, namespace, release):
    """What makes pods of one installation, each at its own address."""
    made = []
    release(QUICK)

    def make(descriptors=(1024, 1048576), **haproxy):
        address = network.pod()
        values = {
            **QUICK,
            'haproxy': {**QUICK['haproxy'], **haproxy},
            'settings': {'addresses': [address], 'gatewaySlots': 8},
        }
        values['secrets'] = {'namespaces': [namespace]}
        found = Pod(control_plane, chart.render(values, namespace=namespace), namespace, address, descriptors)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


@pytest.fixture
def shop(control_plane, namespace, town):
    """A Service with one endpoint."""
    one = pod(town)
    for document in (
        service('web', annotations={'host': 'shop.example.com'}),
        endpoint_slice('web', addresses=[one], port=town.port),
    ):
        document['metadata']['namespace'] = namespace
        control_plane.api.apply(document)
    return one


def load(town, chosen):
    """Clients that go to the first of the chosen pods, as a Service lets them."""
    return Load(town, HTTP, kept=4, new_each_second=30.0, where=lambda: chosen[0].address)


@pytest.mark.parametrize(
    'order', [('operator', 'haproxy'), ('haproxy', 'operator')], ids=lambda order: f'{order[0]} first'
)
def test_a_pod_serves_whatever_container_is_first(make_pod, shop, town, order):
    one = make_pod().begin(*order).wait()
    clients = load(town, [one])
    until(lambda: clients.answered > 20, 'requests are answered')
    assert not clients.stop().lost
    # HAProxy serves its files before the operator has found its sockets.
    until(lambda: one.probe(8405, '/healthz') == 200, 'nothing stands in the way')
    assert one.probe(8404, '/metrics') == 200


def test_sockets_and_keys_are_for_the_group_alone(make_pod, shop):
    one = make_pod().begin().wait()
    for name in ('runtime.sock', 'master.sock'):
        found = (one.folder / 'sockets' / name).stat()
        assert (found.st_mode & 0o777, found.st_uid, found.st_gid) == (0o660, 99, 99)
    assert (one.folder / 'state' / 'current').resolve().stat().st_gid == 99


def test_an_operator_that_crashes_and_starts_again_loses_nothing(make_pod, shop, town):
    one = make_pod().begin().wait()
    clients = load(town, [one])
    for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGKILL):
        one.processes['operator'].send_signal(number)
        one.processes['operator'].wait(30)
        assert one.ready()
        one.start('operator')
        until(lambda: one.probe(8405, '/readyz') == 200, 'the operator is back')
        assert one.ready()
    until(lambda: clients.answered > 50, 'clients are answered')
    assert not clients.stop().lost


def test_an_upgrade_under_load_loses_no_request(make_pod, shop, town):
    old, new = make_pod().begin().wait(), make_pod()
    chosen = [old]
    clients = load(town, chosen)
    until(lambda: clients.answered > 50, 'the old one answers')
    new.begin().wait()
    chosen[:] = [new, old]
    old.terminate()
    chosen[:] = [new]
    assert old.processes['operator'].wait(30) == 0
    old.processes['haproxy'].wait(60)
    answered = clients.answered
    until(lambda: clients.answered > answered + 50, 'the new one answers')
    assert not clients.stop().lost, clients.lost[:3]


def test_a_pod_that_ends_says_that_it_is_not_ready_while_it_still_serves(make_pod, shop, town):
    one = make_pod().begin().wait()
    stopping = one.run('haproxy', one.containers['haproxy']['lifecycle']['preStop']['exec']['command'])
    one.processes['operator'].terminate()
    until(lambda: one.probe(8404, '/readyz') == 503, 'readiness is refused')
    assert one.probe(HTTP, '/') == 404
    assert stopping.wait(30) == 0


def test_haproxy_that_waits_for_its_configuration_ends_at_once(make_pod):
    one = make_pod()
    one.start('haproxy')
    until(lambda: 'sleep' in children(one.processes['haproxy'].pid).values(), 'it waits')
    one.processes['haproxy'].send_signal(signal.SIGUSR1)
    assert one.processes['haproxy'].wait(10) == 0


def children(pid):
    """Return the children of a process: PID and name."""
    found = {}
    for path in Path('/proc').glob('[0-9]*/stat'):
        with contextlib.suppress(OSError):
            name, _, rest = path.read_text().partition('(')[2].rpartition(')')
            if int(rest.split()[1]) == pid:
                found[int(path.parent.name)] = name
    return found


@pytest.mark.parametrize(
    'limits', [(1024, 1048576), (1024, 1024), (1048576, 1048576)], ids=['soft 1024', '1024', '1048576']
)
def test_the_limit_of_descriptors_neither_stops_a_pod_nor_costs_memory(make_pod, shop, limits):
    one = make_pod(limits).begin().wait()
    pid = one.processes['haproxy'].pid
    pages = [int(Path(f'/proc/{each}/statm').read_text().split()[1]) for each in (pid, *children(pid))]
    assert len(pages) == 2
    assert sum(pages) * os.sysconf('SC_PAGE_SIZE') < 160 * 2**20
