"""The chart on a real API server: every object is taken, and the program works with exactly the rights it gives."""

import json
import secrets

import pytest

from support import chart
from support.api import ApiError
from support.chart_matrix import EVERYTHING, MATRIX
from support.cluster import pod
from support.live import until
from support.objects import service

FOREIGN = {'PodMonitor', 'ServiceMonitor'}
LATE = 40


@pytest.mark.parametrize(
    'name', ['defaults', 'everything', 'daemon set', 'host ports', 'node port', 'tcp ports', 'the node role']
)
def test_the_api_server_takes_every_object(control_plane, namespace, name):
    for document in chart.render(MATRIX[name], namespace=namespace):
        # Pods are the next test's: a dry run does not make the priority class that they name.
        if document['kind'] not in FOREIGN | {'Pod'}:
            # Roles in namespaces that are not there have no place to go.
            there = document['metadata'].get('namespace', namespace) == namespace
            if there:
                path = chart.api.home(document)[0]
                control_plane.api.request('POST', path, document, dryRun='All', fieldValidation='Strict')


def test_a_namespace_that_keeps_to_restricted_takes_the_pods(control_plane, namespace):
    label = {'metadata': {'labels': {'pod-security.kubernetes.io/enforce': 'restricted'}}}
    control_plane.api.patch(f'/api/v1/namespaces/{namespace}', label)
    documents = chart.render(EVERYTHING | {'priorityClass': {}}, namespace=namespace)
    for number, spec in enumerate(chart.pod_specs(documents).values()):
        account = {'serviceAccountName': 'default'}
        found = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': f'p{number}', 'namespace': namespace}}
        control_plane.api.request(
            'POST', f'/api/v1/namespaces/{namespace}/pods', found | {'spec': spec | account}, dryRun='All'
        )
    hostile = chart.pod_specs(chart.render(MATRIX['host ports'], namespace=namespace))['hr-headrace-edge']
    found = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'p', 'namespace': namespace}}
    with pytest.raises(ApiError, match='hostPort'):
        control_plane.api.request(
            'POST', f'/api/v1/namespaces/{namespace}/pods', found | {'spec': hostile | account}, dryRun='All'
        )


def test_the_node_role_needs_a_namespace_of_level_privileged(control_plane, namespace):
    spec = chart.pod_specs(chart.render(MATRIX['the node role'], namespace=namespace))['hr-headrace-node']
    account = {'serviceAccountName': 'default'}
    found = {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'p', 'namespace': namespace}}
    path, spec = f'/api/v1/namespaces/{namespace}/pods', spec | account
    for level, refused in (('baseline', True), ('privileged', False)):
        label = {'metadata': {'labels': {'pod-security.kubernetes.io/enforce': level}}}
        control_plane.api.patch(f'/api/v1/namespaces/{namespace}', label)
        if refused:
            with pytest.raises(ApiError, match=r'host namespaces.*NET_ADMIN.*hostPath|hostNetwork'):
                control_plane.api.request('POST', path, found | {'spec': spec}, dryRun='All')
        else:
            control_plane.api.request('POST', path, found | {'spec': spec}, dryRun='All')


@pytest.mark.parametrize('watched', [False, True], ids=['everywhere', 'in one namespace'])
def test_an_edge_works_with_the_charts_rights_and_no_more(release, make_installed, namespace, town, watched):
    documents = release({'watchNamespaces': [namespace]} if watched else {})
    agent = make_installed(documents, 'edge')
    agent.put('users', secret())
    agent.web([pod(town)], town.port, annotations={'basic-auth-secret': 'users'})
    agent.start('--node', 'here', *(['--zone', 'z'] if watched else []))
    until(agent.leases, seconds=LATE)
    assert agent.admin('/healthz') == (200, 'healthy\n')
    assert agent.stop() == 0
    assert not agent.leases()
    as_edge = agent.plane.as_bearer(agent.token)
    for path in ('/api/v1/configmaps', '/api/v1/pods', '/api/v1/namespaces/kube-system/secrets'):
        with pytest.raises(ApiError, match='403'):
            as_edge.get(path)


@pytest.mark.parametrize('watched', [False, True], ids=['everywhere', 'in one namespace'])
def test_a_controller_works_with_the_charts_rights_and_no_more(release, make_installed, namespace, watched):
    documents = release({'watchNamespaces': [namespace]} if watched else {})
    controller = make_installed(documents, 'controller', role='controller')
    controller.begin()
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    controller.put('web', service('web', annotations={'host': 'shop.example.com', 'check-interval': 'soon'}))
    until(lambda: controller.condition('web'))
    until(lambda: 'InvalidValue' in controller.kubectl('describe', 'service', 'web'))
    assert not [line for line in controller.lines() if 'has no right' in json.dumps(line)]
    with pytest.raises(ApiError, match='403'):
        controller.plane.as_bearer(controller.token).get(f'/api/v1/namespaces/{namespace}/secrets')


def secret():
    data = {'username': 'u', 'password': secrets.token_hex(4)}
    return {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'type': 'kubernetes.io/basic-auth',
        'metadata': {'name': 'users'},
        'stringData': data,
    }
