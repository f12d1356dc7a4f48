"""A tenant that forges the epoch of a Service stops no hand-over of another one, on a real API server."""

import contextlib
import datetime as dt

import pytest

from conftest import binary
from headrace.kube import lease
from headrace.kube.lease import Identity, Report
from headrace.kube.rights import When
from support.api import ApiError, collection
from support.cluster import LEASES, Cluster
from support.live import until
from support.objects import service

FORGED = '999999999999999999'
CHOSEN, HANDED = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
LATE = 40


@pytest.fixture
def controller(control_plane, namespace):
    """A controller of the node role, with one Node."""
    made = Cluster(
        binary('haproxy-3.4'),
        control_plane,
        namespace,
        role='controller',
        name='control',
        when=[When.NODE_ROLE],
        everywhere=True,
        nodeRole=True,
    )
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'one'}})
    yield made
    made.close()
    with contextlib.suppress(ApiError):
        control_plane.api.delete(f'{collection("Node")}/one')


def tell(controller, epoch):
    """Write the Lease of the agent of the Node."""
    me = Identity(controller.namespace, 'agent', 'headrace', 'node', node='one')
    controller.plane.api.apply(lease.document(me, Report(epoch), dt.datetime.now(dt.UTC)))


def wish(controller, name, labels=None, **annotations):
    made = service(name, annotations={'proxy': 'node', **annotations})
    made['metadata']['labels'] = labels or {}
    controller.put(name, made)


def epoch(controller, name):
    return int(controller.service(name)['metadata'].get('annotations', {}).get('headrace.io/epoch', 0))


def counter(controller):
    found = controller.plane.api.get(controller.path('Lease', 'headrace-controller', LEASES))
    return int(found['metadata'].get('annotations', {}).get('headrace.io/epoch', 0))


def handed(controller, name):
    return controller.service(name)['metadata'].get('labels', {}).get(HANDED) == 'headrace'


@pytest.mark.parametrize('labels', [None, {CHOSEN: 'headrace'}], ids=['annotation', 'with the label of the class'])
def test_a_forged_epoch_stops_no_hand_over_of_another_service(controller, labels):
    wish(controller, 'evil', labels, epoch=FORGED)
    tell(controller, 0)
    controller.begin()
    until(lambda: controller.times('this controller leads'), 'it leads', LATE)
    wish(controller, 'web')
    until(lambda: 0 < epoch(controller, 'web') <= counter(controller), 'it is chosen', LATE)
    # What an agent of before makes of the forged epoch.
    tell(controller, int(FORGED))
    until(lambda: 0 < epoch(controller, 'evil') < int(FORGED), 'the forged epoch is replaced', LATE)
    assert not handed(controller, 'web')
    assert controller.stop() == 0
    kept = counter(controller)
    controller.begin()
    until(lambda: controller.times('this controller leads') > 1, 'it leads again', LATE)
    assert counter(controller) >= kept
    tell(controller, counter(controller))
    until(lambda: handed(controller, 'web'), 'it is handed over', LATE)
