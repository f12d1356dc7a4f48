"""A tenant that forges the epoch of a Service stops no hand-over of another one, on a real API server."""

import pytest

from support.cluster import LEASES
from support.live import until
from support.objects import service

FORGED = '999999999999999999'
CHOSEN, HANDED = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
LATE = 40


@pytest.fixture
def controller(make_controller, control_plane):
    """A controller of the node role, with one Node."""
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'one'}})
    return make_controller()


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
    controller.report('one', 0)
    controller.begin()
    until(lambda: controller.times('this controller leads'), 'it leads', LATE)
    wish(controller, 'web')
    until(lambda: 0 < epoch(controller, 'web') <= counter(controller), 'it is chosen', LATE)
    # What an agent of before makes of the forged epoch.
    controller.report('one', int(FORGED))
    until(lambda: 0 < epoch(controller, 'evil') < int(FORGED), 'the forged epoch is replaced', LATE)
    assert not handed(controller, 'web')
    assert controller.stop() == 0
    kept = counter(controller)
    controller.begin()
    until(lambda: controller.times('this controller leads') > 1, 'it leads again', LATE)
    assert counter(controller) >= kept
    controller.report('one', counter(controller))
    until(lambda: handed(controller, 'web'), 'it is handed over', LATE)
