"""Epochs on a real API server: a forged one stops no hand-over, and neither does a controller of before that keeps no counter."""

import datetime as dt

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


def lead(cluster, holder, **annotations):
    """Write the Lease of the controllers."""
    kept = {f'headrace.io/{key.replace("_", "-")}': value for key, value in annotations.items()}
    now = dt.datetime.now(dt.UTC).isoformat(timespec='microseconds')
    spec = {'holderIdentity': holder, 'leaseDurationSeconds': 15, 'acquireTime': now, 'renewTime': now}
    metadata = {'name': 'headrace-controller', 'namespace': cluster.namespace, 'annotations': kept}
    cluster.plane.api.apply({'apiVersion': LEASES, 'kind': 'Lease', 'metadata': metadata, 'spec': spec})


def test_an_agent_counts_epochs_up_to_the_counter_and_all_while_a_controller_of_before_leads(cluster):
    lead(cluster, 'new', epoch='9', epoch_holder='new')
    for name, number in (('web', '7'), ('evil', FORGED)):
        cluster.put(name, service(name, labels={CHOSEN: 'headrace'}, annotations={'epoch': number}))
    cluster.start()
    until(lambda: cluster.epochs() == [7], 'the epoch counts, and the forged one does not', LATE)
    cluster.plane.api.delete(cluster.path('Service', 'evil'))
    # The controller was rolled back: the counter stays as it was, and the next hand-over has a higher number.
    lead(cluster, 'old', epoch='9', epoch_holder='new')
    cluster.put('next', service('next', labels={CHOSEN: 'headrace'}, annotations={'epoch': '12'}))
    until(lambda: cluster.epochs() == [12], 'the epoch of the older controller counts', 2 * LATE)
