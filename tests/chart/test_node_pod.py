"""Two pods of the node role as a node would run them while their DaemonSet surges: users, one capability, a hostPath."""

import os
import shutil
import signal
import subprocess
import tempfile
import urllib.request
from pathlib import Path

import pytest

from support import chart, network
from support.api import collection
from support.clients import Clients
from support.cluster import LEASES, pod
from support.kubelet import Pod
from support.live import until
from support.objects import endpoint_slice, service

CLUSTER_IP = '10.96.88.8'
NODE = f'{network.PODS}.0.1'
VALUES = {
    'node': {'enabled': True},
    'shutdown': {'drainSeconds': 2, 'hardStopSeconds': 20},
    'haproxy': {'maxconn': 400, 'fileDescriptors': 4000},
}


@pytest.fixture
def make_pod(control_plane, namespace, release, town):
    """What makes pods of the node role, all of one node."""
    if not shutil.which('nft'):
        if os.environ.get('HEADRACE_SKIP_NOTHING'):
            pytest.fail('nft is missing: run make setup')
        pytest.skip('nft is missing: run make setup')
    made, host = [], Path(tempfile.mkdtemp(prefix='hr-host-'))
    # As the kubelet makes what is not there (DirectoryOrCreate).
    host.chmod(0o755)
    release(VALUES)
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'here'}})
    status = {'status': {'addresses': [{'type': 'InternalIP', 'address': NODE}]}}
    control_plane.api.patch(f'{collection("Node")}/here/status', status)
    subprocess.run(['ip', 'route', 'add', CLUSTER_IP, 'dev', 'lo'], check=True)

    def make():
        documents = chart.render({**VALUES, 'secrets': {'namespaces': [namespace]}}, namespace=namespace)
        made.append(Pod(control_plane, documents, namespace, f'p{len(made)}', of='node', host=host))
        return made[-1]

    yield make
    for each in made:
        each.close()
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)
    subprocess.run(['ip', 'route', 'del', CLUSTER_IP], check=False)
    shutil.rmtree(host)


@pytest.fixture
def shop(control_plane, namespace, town):
    """A Service of HTTP that a controller has chosen."""
    made = service('web', clusterIP=CLUSTER_IP, ports=[{'name': 'http', 'port': 80}])
    made['metadata']['labels'] = {'headrace.io/node': 'headrace'}
    for document in (made, endpoint_slice('web', addresses=[pod(town)], port=town.port, port_name='http')):
        document['metadata']['namespace'] = namespace
        control_plane.api.apply(document)


def served_by(control_plane, namespace):
    """Return the pods that tell in their Leases that they serve the node."""
    path = collection('Lease', namespace, LEASES)
    found = control_plane.api.list(path, labelSelector='headrace.io/role=node')['items']
    return {each['spec']['holderIdentity'] for each in found}


def ask():
    """Ask the ClusterIP once, or fail."""
    assert answered() == 200


def answered():
    """Return the status that the ClusterIP answers, 0 for none."""
    try:
        with urllib.request.urlopen(f'http://{CLUSTER_IP}/', timeout=3) as answer:
            return answer.status
    except OSError:
        return 0


def test_a_surge_with_one_capability_and_two_users_loses_no_request(control_plane, namespace, make_pod, shop):
    old, new = make_pod().begin().wait(), make_pod()
    until(lambda: answered() == 200, 'the ClusterIP answers')
    assert old.succeeds('operator', 'livenessProbe')
    with urllib.request.urlopen('http://127.0.0.1:10285/healthz', timeout=5) as answer:
        # Neither the table, nor the route, nor the kernel's flows miss a right.
        assert answer.read() == b'healthy\n'
    text = (old.host / '0' / 'current').resolve()
    # HAProxy reads what the operator writes by their group, and no other process does.
    assert ((old.host / '0').stat().st_mode & 0o777, text.stat().st_gid) == (0o750, 99)
    clients = Clients(ask)
    try:
        clients.more()
        new.begin('haproxy', 'operator').wait()
        # An agent without the table does not say that it serves.
        assert served_by(control_plane, namespace) == {'node-p0'}
        old.terminate()
        assert old.processes['operator'].wait(30) == 0
        old.processes['haproxy'].wait(60)
        clients.more()
    finally:
        lost = clients.stop()
    assert lost == []
    until(lambda: served_by(control_plane, namespace) == {'node-p1'}, 'the new pod says that it serves')


def test_an_operator_that_crashes_comes_back_to_its_slot(make_pod, shop):
    one = make_pod().begin().wait()
    # All processes of a container end with its first.
    os.killpg(one.processes['operator'].pid, signal.SIGKILL)
    one.processes['operator'].wait()
    assert answered() == 200
    assert one.ready()
    assert not one.succeeds('operator', 'livenessProbe')
    one.start('operator')
    until(lambda: one.succeeds('operator', 'livenessProbe'), 'it is back')
    assert answered() == 200
    assert sorted(path.name for path in one.host.iterdir() if path.is_dir()) == ['0']
