"""The status of Ingresses on a real API server: written for classes of ours alone, as external-dns and others read it."""

import os
import subprocess

import pytest

from support.cluster import NETWORKING
from support.live import HEADRACE, until
from support.objects import ingress, service

VIP, OTHER_VIP, THEIRS = '192.0.2.7', '192.0.2.8', '198.51.100.9'
LATE = 40


def web(name='web', of='headrace', host=None):
    return ingress(name, hosts={host or f'{name}.example.com': 'web'}, ingressClassName=of)


@pytest.fixture
def make(make_cluster):
    """What makes controllers that lead; the namespace has the Service of all Ingresses."""

    def give(name='one', **settings):
        found = make_cluster(role='controller', name=name, **{'statusAddresses': [VIP], **settings})
        found.put('web', service('web'))
        found.begin()
        until(lambda: found.times('this controller leads'), seconds=LATE)
        return found

    return give


def put_status(cluster, *addresses, name='web'):
    """Write a status as another controller does."""
    body = {
        'apiVersion': NETWORKING,
        'kind': 'Ingress',
        'metadata': {'name': name},
        'status': {'loadBalancer': {'ingress': [{'ip': address} for address in addresses]}},
    }
    path = f'{cluster.path("Ingress", name, NETWORKING)}/status'
    cluster.plane.api.request(
        'PATCH', path, body, content='application/apply-patch+yaml', fieldManager='nginx', force='true'
    )


def move(cluster, of, name='web'):
    """Give an Ingress another class."""
    cluster.plane.api.patch(cluster.path('Ingress', name, NETWORKING), {'spec': {'ingressClassName': of}})


def test_names_lead_to_the_edge_while_an_ingress_is_of_our_class(make):
    controller = make(statusAddresses=[VIP, 'edge.example.com'])
    controller.put('x', web(), web('theirs', of='other'))
    put_status(controller, THEIRS, name='theirs')
    until(lambda: len(controller.dns_records()) == 2)
    assert controller.dns_records() == {
        'web.example.com': [VIP, 'edge.example.com'],
        'theirs.example.com': [THEIRS],
    }
    move(controller, 'other')
    until(lambda: not controller.ingress_status())
    assert controller.ingress_status('theirs') == [{'ip': THEIRS}]
    move(controller, 'headrace')
    until(lambda: controller.ingress_status() == [{'hostname': 'edge.example.com'}, {'ip': VIP}])


def test_two_classes_write_side_by_side_and_take_over_from_each_other(make):
    first = make()
    second = make('two', statusAddresses=[OTHER_VIP], **{'class': 'web'})
    first.put('x', web('a'), web('b', of='web'))
    until(lambda: first.dns_records() == {'a.example.com': [VIP], 'b.example.com': [OTHER_VIP]})
    move(first, 'web', 'a')
    move(first, 'headrace', 'b')
    until(lambda: first.dns_records() == {'a.example.com': [OTHER_VIP], 'b.example.com': [VIP]}, seconds=LATE)
    # Each was written once for each class that it had.
    assert second.process.poll() is None


def test_for_a_class_of_another_controller_its_status_stays_until_a_setting_says_otherwise(make):
    controller = make(ingressClasses=['nginx'])
    controller.put('x', web(of='nginx'), web('ours'))
    put_status(controller, THEIRS)
    until(lambda: controller.ingress_status('ours') == [{'ip': VIP}])
    assert controller.ingress_status() == [{'ip': THEIRS}]
    controller.stop()
    after = make('two', ingressClasses=['nginx'], ingressStatus=True)
    until(lambda: after.ingress_status() == [{'ip': VIP}], seconds=LATE)


def test_an_uninstall_takes_the_addresses_back_and_leaves_those_of_others(make):
    controller = make()
    controller.put('x', web(), web('theirs', of='other'))
    put_status(controller, THEIRS, name='theirs')
    until(controller.ingress_status)
    words = ['release', '--all', '--wait', '--timeout=60s', '--kubeconfig', str(controller.kubeconfig)]
    words += ['--config', str(controller.config)]
    environment = {**os.environ, 'POD_NAMESPACE': controller.namespace, 'POD_NAME': 'hook'}
    done = subprocess.run([HEADRACE, *words], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    assert (controller.ingress_status(), controller.ingress_status('theirs')) == ([], [{'ip': THEIRS}])


def test_the_problems_of_an_ingress_are_one_event_for_each_generation(make):
    controller = make()
    document = web()
    document['spec']['rules'][0]['http']['paths'].append(
        {'path': '/a', 'pathType': 'Prefix', 'backend': {'service': {'name': 'gone', 'port': {'number': 80}}}}
    )
    controller.put('x', document)

    def events():
        found = controller.plane.api.list(controller.path('Event', api='events.k8s.io/v1'))['items']
        return [item for item in found if item['regarding']['kind'] == 'Ingress']

    until(events)
    (event,) = events()
    assert (event['reason'], event['regarding']['name']) == ('ServiceMissing', 'web')
    assert 'gone' in event['note']
    # What is served has its address.
    until(lambda: controller.ingress_status() == [{'ip': VIP}])
    document['spec']['rules'][0]['http']['paths'][-1]['path'] = '/b'
    controller.put('x', document)
    until(lambda: len(events()) == 2)
