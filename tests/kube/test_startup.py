"""A Node that joins is open to pods when its agent serves, and not before, on a real API server."""

import pytest

from headrace.kube.rights import When
from support.api import collection
from support.live import until
from support.objects import service

TAINT = 'headrace.io/starting'
OTHER = {'key': 'example.com/other', 'effect': 'NoSchedule'}
LATE = 40


@pytest.fixture
def controller(make_controller):
    """A controller with a startup taint, not started yet."""
    return make_controller(When.STARTUP_TAINT, startupTaint=TAINT)


def taints(controller, name):
    found = controller.plane.api.get(f'{collection("Node")}/{name}')['spec'].get('taints', [])
    return {each['key'] for each in found}


def test_the_taint_goes_when_the_nodes_agent_has_all_that_is_handed_over(controller):
    for name in ('new', 'behind'):
        made = {'taints': [{'key': TAINT, 'effect': 'NoSchedule'}, OTHER]}
        controller.plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': name}, 'spec': made})
    handed = service('web', annotations={'proxy': 'node', 'epoch': '7'}, clusterIP='10.96.99.9')
    labels = {'headrace.io/node': 'headrace', 'service.kubernetes.io/service-proxy-name': 'headrace'}
    handed['metadata']['labels'] = labels
    controller.put('web', handed)
    controller.report('behind', 6)
    controller.begin()
    until(lambda: controller.times('this controller leads'), 'it leads', LATE)
    controller.report('new', 7)
    until(lambda: TAINT not in taints(controller, 'new'), 'the Node is open', LATE)
    assert OTHER['key'] in taints(controller, 'new')
    assert TAINT in taints(controller, 'behind')
    controller.report('behind', 7)
    until(lambda: TAINT not in taints(controller, 'behind'), 'the other is open', LATE)
