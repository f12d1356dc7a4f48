"""What controllers and agents write for each other has a form, and the form of each record is what is written here.

One of the last tests that fails means that another version would read a record as something else: raise the number of its form, as
docs/upgrading.md says, and not only the test.
"""

import asyncio
import datetime as dt

import pytest

from headrace import forms
from headrace.controller import gateway_services, gateway_slices
from headrace.controller.counter import Counter
from headrace.controller.gateway_services import GatewayPorts
from headrace.controller.gateway_slices import BackendSlices
from headrace.diagnostics import Diagnostic, StatusPart
from headrace.ir.l4 import UDPBackend
from headrace.kube import agent_lease
from headrace.kube.agent_lease import Identity
from headrace.kube.lease import VERSION, Leases
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import Protocol, Slice, SlicePort
from support.gateways import CLUSTER, OWN_NAMESPACE, gateway
from support.leases import LeaseApi

NOW = dt.datetime(2026, 5, 1, 10, 30, 15, 250, tzinfo=dt.UTC)
LABELS = {'headrace.io/form': '1', 'app.kubernetes.io/version': VERSION}


@pytest.mark.parametrize(
    ('labels', 'form'),
    [
        pytest.param({}, 1, id='of a version before forms'),
        pytest.param({'headrace.io/form': '1'}, 1, id='the first'),
        pytest.param({'headrace.io/form': '7'}, 7, id='a newer one'),
        pytest.param({'headrace.io/form': ''}, 10000, id='empty'),
        pytest.param({'headrace.io/form': '0'}, 10000, id='zero'),
        pytest.param({'headrace.io/form': '-1'}, 10000, id='negative'),
        pytest.param({'headrace.io/form': '1.5'}, 10000, id='no whole number'),
        pytest.param({'headrace.io/form': '²'}, 10000, id='no digit'),
        pytest.param({'headrace.io/form': '10001'}, 10000, id='too long'),
        pytest.param({'headrace.io/form': None}, 10000, id='null'),
    ],
)
def test_what_is_no_number_is_newer_than_all_known_forms(labels, form):
    assert forms.read(labels) == form


def test_the_report_of_an_agent():
    part = StatusPart(Ref('Gateway', 'shop', 'web'), 'https', 443)
    diagnostic = Diagnostic(Ref('Service', 'shop', 'web'), 'SecretMissing', 'it is not there', 'metadata', part)
    identity = Identity('headrace-system', 'pod-1', 'headrace', 'node', 'u-1', node='n1')
    document = agent_lease.document(identity, agent_lease.annotations(7, (diagnostic,)), NOW)
    assert document['metadata'] == {
        'name': 'headrace-node-pod-1',
        'namespace': 'headrace-system',
        'labels': {'headrace.io/class': 'headrace', 'headrace.io/role': 'node', **LABELS},
        'annotations': {
            'headrace.io/epoch': '7',
            'headrace.io/diagnostics': '[{"level":"error","reason":"SecretMissing","kind":"Service","namespace":"shop",'
            '"name":"web","field":"metadata","message":"it is not there","part":{"parent":{"kind":"Gateway",'
            '"namespace":"shop","name":"web"},"section":"https","port":443}}]',
            'headrace.io/node-name': 'n1',
        },
        'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'pod-1', 'uid': 'u-1'}],
    }


def test_the_counter_of_epochs():
    api = LeaseApi()
    api.put('headrace-system', 'headrace-controller', 'one')
    counter = Counter(Leases(api), 'headrace-system', 'headrace-controller')
    asyncio.run(counter.begin([]))
    metadata = api.leases['headrace-system', 'headrace-controller']['metadata']
    assert metadata['annotations'] == {'headrace.io/epoch': str(counter.value), 'headrace.io/epoch-holder': 'one'}
    assert metadata['labels'] == LABELS


def test_the_service_of_a_gateway():
    made = parse.read(gateway()).object
    document = gateway_services.document(made, GatewayPorts({80: 28000}, frozenset({53}), on_nodes=True), {}, CLUSTER)
    assert document['metadata'] == {
        'name': 'gateway-c7b1ef79084fc83e',
        'namespace': OWN_NAMESPACE,
        'labels': {
            'gateway.networking.k8s.io/gateway-name': 'web',
            'headrace.io/gateway-namespace': 'shop',
            'headrace.io/gateway-class': 'headrace',
            'headrace.io/form': '1',
        },
        'annotations': {
            'headrace.io/enabled': 'false',
            'headrace.io/proxy': 'node',
            'headrace.io/class': 'headrace',
        },
    }
    assert document['spec']['ports'] == [
        {'name': 'p80', 'port': 80, 'targetPort': 28000, 'protocol': 'TCP'},
        {'name': 'u53', 'port': 53, 'targetPort': 'headrace-udp', 'protocol': 'UDP'},
    ]


def test_the_weights_of_slices():
    def backend(name, weight):
        found = Slice('shop', name, name, 4, (SlicePort('udp', Protocol.UDP, 5353),), (f'10.0.0.{weight}',))
        return BackendSlices(UDPBackend(Ref('Service', 'shop', name), 'udp', weight), (found,))

    service = Ref('Service', OWN_NAMESPACE, 'gateway-x')
    written = gateway_slices.documents(service, 53, [backend('one', 9), backend('two', 1)], CLUSTER)
    weights = {each['endpoints'][0]['addresses'][0]: each['metadata']['annotations'] for each in written.values()}
    assert weights == {'10.0.0.9': {'headrace.io/weight': '90000'}, '10.0.0.1': {'headrace.io/weight': '10000'}}
    assert {each['metadata']['labels']['headrace.io/form'] for each in written.values()} == {'1'}
