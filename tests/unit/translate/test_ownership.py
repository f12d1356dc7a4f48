"""Who serves a Service's own addresses."""

from dataclasses import replace

import pytest

from headrace.objects import parse
from headrace.settings.settings import Settings
from headrace.translate import build_context, ownership
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import service

IP = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
CHOSEN, PROXY = 'headrace.io/node', 'service.kubernetes.io/service-proxy-name'
IN_A_CLUSTER = replace(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')), labelled=True)
CHECKED = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 32000}


@pytest.mark.parametrize(
    ('labels', 'ours'),
    [({}, False), ({CHOSEN: 'headrace'}, True), ({CHOSEN: 'other'}, False)],
    ids=['not yet', 'ours', 'of another class'],
)
def test_in_a_cluster_the_controllers_label_says_which_services_are_taken(labels, ours):
    asking = parse.read(service(labels=labels, annotations={'proxy': 'node'}, **IP)).object
    assert ownership.is_ours(asking, IN_A_CLUSTER) is ours


@pytest.mark.parametrize(
    ('said', 'labels', 'spec', 'leaving'),
    [
        ({'proxy': 'node'}, {}, {}, False),
        ({'proxy': 'node'}, {PROXY: 'headrace'}, {}, False),
        ({}, {PROXY: 'headrace'}, {}, False),
        ({}, {}, {}, True),
        ({'proxy': 'node'}, {}, CHECKED, False),
    ],
    ids=[
        'on its way to the node',
        'there',
        'wished back',
        'going back',
        'with a healthCheckNodePort',
    ],
)
def test_a_service_leaves_when_kube_proxy_has_been_told_to_serve_it(said, labels, spec, leaving):
    known = parse.read(service(annotations=said, labels={CHOSEN: 'headrace', **labels}, **IP, **spec)).object
    assert ownership.is_leaving(known, IN_A_CLUSTER) is leaving
