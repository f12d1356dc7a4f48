"""The node role takes a Service over where controller and agent are of neighbouring versions, and gives it back."""

import contextlib
import subprocess

import pytest

from conftest import binary
from headrace.kube.rights import When
from support.cluster import Cluster
from support.former import former_package  # noqa: F401
from support.live import until
from support.nodes import NODE, PODS, PORT
from support.objects import endpoint_slice, node, service

CLUSTER_IP = '10.96.77.8'
HANDED_OVER = 'service.kubernetes.io/service-proxy-name'
CHOSEN = 'headrace.io/node'
LATE = 60


@pytest.fixture
def make(control_plane, namespace, nodes, former_package):  # noqa: F811
    """What makes processes of one of both versions; the node and the table go with the test."""
    document = node('n1', addresses=(NODE[0],))
    control_plane.api.create(
        {
            'apiVersion': 'v1',
            'kind': 'Node',
            'metadata': document['metadata'],
            'spec': {'podCIDRs': ['10.244.1.0/24'], 'podCIDR': '10.244.1.0/24'},
        }
    )
    control_plane.api.patch('/api/v1/nodes/n1/status', {'status': document['status']})
    made = []

    def give(version, role, **options):
        options = {'role': role, 'name': f'{version}-{role}', 'everywhere': True, **options}
        found = Cluster(binary('haproxy-3.4'), control_plane, namespace, **options)
        found.package = {'former': former_package, 'present': None}[version]
        made.append(found)
        return found

    yield give
    for each in made:
        each.close()
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)
    control_plane.api.delete('/api/v1/nodes/n1')


def is_served(nodes):
    with contextlib.suppress(OSError):
        return nodes.tcp('client', CLUSTER_IP, 80, seconds=1)
    return None


def labels(cluster):
    return cluster.service('web')['metadata'].get('labels', {})


@pytest.mark.parametrize(('of_controller', 'of_agent'), [('former', 'present'), ('present', 'former')])
def test_a_service_is_handed_over_and_back_between_two_versions(nodes, make, of_controller, of_agent):
    controller = make(of_controller, 'controller', when=[When.NODE_ROLE], nodeRole=True)
    agent = make(of_agent, 'node', addresses=['0.0.0.0', '::'], tcpPorts='')
    plain = service(
        'web',
        clusterIP=CLUSTER_IP,
        annotations={'proxy': 'node', 'datapath': 'haproxy'},
        ports=[{'name': 'tcp', 'port': 80}],
    )
    controller.put('web', plain, endpoint_slice('web', addresses=[PODS['one'][0]], port=PORT, port_name='tcp'))
    controller.begin()
    agent.start('--node', 'n1')
    until(lambda: labels(controller).get(HANDED_OVER) == 'headrace', 'kube-proxy is told', LATE)
    assert is_served(nodes)
    controller.annotate('web', proxy=None)
    until(lambda: {HANDED_OVER, CHOSEN}.isdisjoint(labels(controller)), 'kube-proxy has it again', LATE)
    until(lambda: not is_served(nodes), 'the node lets go', LATE)
