"""A Node that joins is open to pods when its agent serves, and not before, on a real API server."""

import contextlib
import datetime as dt

import pytest

from conftest import binary
from headrace.kube import lease
from headrace.kube.lease import Identity, Report
from headrace.kube.rights import When
from support.api import ApiError, collection
from support.cluster import Cluster
from support.live import until
from support.objects import service

TAINT = 'headrace.io/starting'
OTHER = {'key': 'example.com/other', 'effect': 'NoSchedule'}
LATE = 40


@pytest.fixture
def controller(control_plane, namespace):
    """A controller with a startup taint, which leads."""
    made = Cluster(
        binary('haproxy-3.4'),
        control_plane,
        namespace,
        role='controller',
        name='control',
        when=[When.NODE_ROLE, When.STARTUP_TAINT],
        everywhere=True,
        nodeRole=True,
        startupTaint=TAINT,
    )
    yield made
    made.close()
    for name in ('new', 'behind'):
        with contextlib.suppress(ApiError):
            control_plane.api.delete(f'{collection("Node")}/{name}')


def taints(controller, name):
    found = controller.plane.api.get(f'{collection("Node")}/{name}')['spec'].get('taints', [])
    return {each['key'] for each in found}


def tell(controller, name, epoch):
    """Write the Lease of an agent that serves a Node."""
    me = Identity(controller.namespace, f'agent-{name}', 'headrace', 'node', node=name)
    found = lease.document(me, Report(epoch), dt.datetime.now(dt.UTC))
    controller.plane.api.apply(found)


def test_the_taint_goes_when_the_nodes_agent_has_all_that_is_handed_over(controller):
    for name in ('new', 'behind'):
        made = {'taints': [{'key': TAINT, 'effect': 'NoSchedule'}, OTHER]}
        controller.plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': name}, 'spec': made})
    handed = service('web', annotations={'proxy': 'node', 'epoch': '7'}, clusterIP='10.96.99.9')
    labels = {'headrace.io/node': 'headrace', 'service.kubernetes.io/service-proxy-name': 'headrace'}
    handed['metadata']['labels'] = labels
    controller.put('web', handed)
    tell(controller, 'behind', 6)
    controller.begin()
    until(lambda: controller.times('this controller leads'), 'it leads', LATE)
    tell(controller, 'new', 7)
    until(lambda: TAINT not in taints(controller, 'new'), 'the Node is open', LATE)
    assert OTHER['key'] in taints(controller, 'new')
    assert TAINT in taints(controller, 'behind')
    tell(controller, 'behind', 7)
    until(lambda: TAINT not in taints(controller, 'behind'), 'the other is open', LATE)
