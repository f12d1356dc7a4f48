"""Helm and kubectl on a real API server: installed, upgraded and uninstalled, and nothing is left."""

import datetime as dt
import json
import os
import subprocess

import pytest
import yaml

from conftest import ROOT, binary
from support import chart
from support.api import ApiError
from support.cluster import forget_class
from support.gateways import gateway, http_route, rule
from support.live import HEADRACE, until
from support.objects import service

LATE = 60
LONG_AGO = '2026-01-01T00:00:00Z'
EVERYTHING = 'all,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,leases,networkpolicies'
CLUSTERWIDE = 'clusterroles,clusterrolebindings,priorityclasses'


def left(plane, namespace, label):
    """Return the names of all objects that carry a label."""
    words = [binary('kubectl'), '--kubeconfig', plane.kubeconfig, '-n', namespace, 'get', '-l', label, '-o', 'name']
    return [
        line
        for kinds in (EVERYTHING, CLUSTERWIDE)
        for line in subprocess.run([*words, kinds], capture_output=True, text=True, check=True).stdout.splitlines()
    ]


def play_hook(plane, namespace):
    """Do what the job's pod would, with its rights, and say that the job is done."""
    job = f'/apis/batch/v1/namespaces/{namespace}/jobs/{chart.RELEASE}-headrace-release'
    made = until(lambda: found(plane, job), 'the hook is there', LATE)
    (container,) = made['spec']['template']['spec']['containers']
    account = made['spec']['template']['spec']['serviceAccountName']
    path = f'/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token'
    token = plane.api.request('POST', path, {'spec': {'expirationSeconds': 3600}})['status']['token']
    words = [word for word in container['args'] if not word.startswith('--config')]
    names = {'POD_NAME': 'release', 'POD_NAMESPACE': namespace}
    command = [HEADRACE, *words, '--kubeconfig', plane.write_kubeconfig(token)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **names}, timeout=90)
    assert done.returncode == 0, done.stderr
    now = dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
    conditions = [
        {'type': kind, 'status': 'True', 'lastTransitionTime': now} for kind in ('SuccessCriteriaMet', 'Complete')
    ]
    status = {'startTime': now, 'completionTime': now, 'succeeded': 1, 'conditions': conditions}
    plane.api.patch(f'{job}/status', {'status': {**status, 'uncountedTerminatedPods': {}}})
    return done.stdout


def second(folder):
    """Write the values of an installation that shares a namespace with another one."""
    values = {
        'settings': {'class': 'second'},
        'edge': {'kind': 'DaemonSet', 'hostPorts': {'enabled': True}},
        'service': {'type': 'NodePort', 'ipFamilyPolicy': 'RequireDualStack'},
        'controller': {'replicas': 1},
        'priorityClass': {'name': 'system-cluster-critical'},
    }
    path = folder / 'second.yaml'
    path.write_text(yaml.safe_dump(values))
    return path


def found(plane, path):
    try:
        return plane.api.get(path)
    except ApiError:
        return None


def write_gateway(api, namespace):
    """Write a Gateway and a route with the statuses that the controller writes, and the Service that it keeps; return their paths."""
    owned = {'content': 'application/merge-patch+json', 'fieldManager': 'headrace-headrace'}
    condition = {
        'type': 'Accepted',
        'status': 'True',
        'reason': 'Accepted',
        'message': '',
        'lastTransitionTime': LONG_AGO,
    }
    parent = {
        'parentRef': {'name': 'web'},
        'controllerName': 'headrace.io/gateway-controller',
        'conditions': [condition],
    }
    paths = []
    for document, status in (
        (gateway(namespace=namespace), {'addresses': [{'type': 'IPAddress', 'value': '192.0.2.1'}]}),
        (http_route('web', rule('web'), namespace=namespace), {'parents': [parent]}),
    ):
        api.apply(document)
        paths.append(chart.home(document))
        api.request('PATCH', f'{paths[-1]}/status', {'status': status}, **owned)
    labels = {'headrace.io/gateway-class': 'headrace'}
    api.apply(service('gateway-0123456789abcdef', namespace, labels=labels, type='LoadBalancer'))
    return [*paths, f'/api/v1/namespaces/{namespace}/services/gateway-0123456789abcdef']


@pytest.mark.usefixtures('gateway_api')
@pytest.mark.parametrize('program', chart.HELMS)
def test_what_helm_has_installed_is_gone_after_an_uninstall(control_plane, namespace, tmp_path, program):
    plane, label = control_plane, f'app.kubernetes.io/instance={chart.RELEASE}'
    where = chart.environment(plane, tmp_path)
    # A test before this one may have killed the controller that held the class.
    forget_class(plane.api)

    def helm(*words):
        command = [binary(program), *words, '--namespace', namespace]
        done = subprocess.run(command, env=where, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    helm('install', chart.RELEASE, chart.CHART, '--set', 'priorityClass.create=true')
    helm(
        'upgrade',
        chart.RELEASE,
        chart.CHART,
        '--reset-then-reuse-values',
        '--set',
        'edge.replicas=3',
        '--set',
        'networkPolicy.enabled=true',
    )
    assert len(left(plane, namespace, label)) > 15
    # Another installation beside it, of another class, with pods on the ports of their nodes.
    helm('install', 'second', chart.CHART, '--values', str(second(tmp_path)))
    others = left(plane, namespace, 'app.kubernetes.io/instance=second')
    assert len(others) > 15

    body = service('web', annotations={'host': 'shop.example.com', 'check-interval': 'soon'})
    body['metadata']['namespace'] = namespace
    plane.api.apply(body)
    condition = {'type': 'headrace.io/Programmed', 'status': 'False', 'reason': 'InvalidValue', 'message': 'it was so'}
    condition['lastTransitionTime'] = LONG_AGO
    status = {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'web'}, 'status': {'conditions': [condition]}}
    path = f'/api/v1/namespaces/{namespace}/services/web'
    apply = {'content': 'application/apply-patch+yaml', 'fieldManager': 'headrace-headrace'}
    plane.api.request('PATCH', f'{path}/status', status, **apply)

    of_gateway, of_route, kept = write_gateway(plane.api, namespace)

    command = [binary(program), 'uninstall', chart.RELEASE, '--namespace', namespace, '--timeout', '120s']
    with (tmp_path / 'log').open('wb') as log, subprocess.Popen(command, env=where, stdout=log, stderr=log) as ending:
        try:
            assert 'to 3 objects' in play_hook(plane, namespace)
            assert ending.wait(LATE) == 0, (tmp_path / 'log').read_text()
        finally:
            ending.kill()
    until(lambda: not left(plane, namespace, label), 'all is gone', LATE)
    assert left(plane, namespace, 'app.kubernetes.io/instance=second') == others
    helm('uninstall', 'second', '--no-hooks')
    until(lambda: not left(plane, namespace, 'app.kubernetes.io/instance=second'), 'the second is gone, too', LATE)
    leases = f'/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases'
    until(lambda: not plane.api.list(leases)['items'], 'the Leases have gone with the ServiceAccount', LATE)
    assert 'conditions' not in plane.api.get(path)['status']
    assert 'addresses' not in plane.api.get(of_gateway)['status']
    assert 'status' not in plane.api.get(of_route)
    assert found(plane, kept) is None


def test_the_plain_manifests_are_taken_and_go_again(control_plane, tmp_path):
    plane = control_plane
    kubectl = [binary('kubectl'), '--kubeconfig', plane.kubeconfig]
    text = (ROOT / 'manifests' / 'headrace.yaml').read_text()
    assert 'image: headrace:' in text
    for words in (['apply', '-f', '-'], ['delete', '--wait=false', '-f', '-']):
        done = subprocess.run([*kubectl, *words], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert not [
        name for name in left(plane, 'headrace-system', 'app.kubernetes.io/name=headrace') if 'clusterrole' in name
    ]
    assert 'Helm' not in json.dumps(text)
