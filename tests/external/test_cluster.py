"""A host that follows a real API server by the files of `headrace token`, from the doctor's first look to a revoked token."""

import contextlib
import re
import shutil
import subprocess

import pytest

from conftest import ROOT
from support import chart
from support.api import ApiError, collection
from support.cluster import LEASES, pod
from support.objects import endpoint_slice, service
from support.traffic import Town
from support.waiting import until

pytestmark = pytest.mark.timeout(600)
LATE = 120


@pytest.fixture
def town(control_plane):  # the network is made before the pods
    """Pods, in the network that the control plane is in."""
    made = Town()
    yield made
    made.close()


@pytest.fixture
def release(control_plane, namespace):
    """The chart's objects for the host lb-1, pods aside."""
    made = []
    values = {'external': {'agents': ['lb-1']}, 'watchNamespaces': [namespace], 'settings': {'gatewayApi': False}}
    for document in chart.installed(chart.render(values, namespace=namespace)):
        if document['kind'] not in chart.WITH_PODS:
            control_plane.api.create(document)
            made.append(document)
    yield
    for document in reversed(made):
        with contextlib.suppress(ApiError):  # what the test has removed itself
            control_plane.api.delete(chart.home(document))


def doctor(host):
    """Return what the doctor says, as (level, subject, message) for each line, and its exit code."""
    said, code = host.ask('headrace', 'doctor')
    return [
        tuple(re.split(r'  +', line.strip(), maxsplit=2)) for line in said.splitlines() if not line.startswith(' ')
    ], code


def test_a_host_joins_a_cluster_as_the_guide_says(release, make_host, control_plane, namespace, town):
    host = make_host()
    settings = '/etc/headrace/settings.yaml'
    more = f'namespaces: [{namespace}]\ningress: false\ngatewayApi: false\nsecrets: {{namespaces: [{namespace}]}}\n'
    host.write(
        settings, host.run('cat', settings).replace('node-ports', 'endpoints').replace('gatewaySlots: 0\n', '') + more
    )
    found, code = doctor(host)
    assert code == 1
    assert {each[1] for each in found if each[0] == 'missing'} == {'credentials'}
    # On the administrator's machine.
    folder = host.shared / 'lb-1'
    command = [
        ROOT / '.venv/bin/headrace',
        'token',
        'lb-1',
        '--kubeconfig',
        control_plane.kubeconfig,
        '--namespace',
        namespace,
    ]
    command += ['--account', 'hr-headrace-external-lb-1', '--output', folder]
    subprocess.run([str(word) for word in command], check=True, capture_output=True)
    host.run(
        'install',
        '-m',
        '0600',
        '-o',
        'headrace',
        '-g',
        'headrace',
        '/shared/lb-1/kubeconfig',
        '/shared/lb-1/token',
        '/var/lib/headrace/credentials/',
    )
    shutil.rmtree(folder)
    for item in (
        service('web', annotations={'host': 'shop.example.com'}),
        endpoint_slice('web', addresses=[pod(town)], port=town.port),
    ):
        item['metadata']['namespace'] = namespace
        control_plane.api.create(item)
    found, code = doctor(host)
    levels = {each[1]: each[0] for each in found}
    assert code == 0, found
    assert {levels[name] for name in ('HAProxy', 'settings', 'token', 'API server', 'rights', 'ports')} == {'ok'}
    assert levels['addressSource: endpoints'] == 'ok'
    host.run('systemctl', 'start', 'headrace', 'headrace-haproxy')

    def status():
        said, _ = host.ask(
            'curl',
            '-s',
            '-o',
            '/dev/null',
            '-w',
            '%{http_code}',
            '-m',
            '5',
            '-H',
            'Host: shop.example.com',
            'http://127.0.0.1/',
        )
        return said

    until(lambda: status() == '200', 'the Service is served', within=LATE)
    leases = collection('Lease', namespace, LEASES)

    def holders():
        return [item['metadata']['name'] for item in control_plane.api.get(leases)['items']]

    until(lambda: 'headrace-edge-lb-1' in holders(), 'the host has its Lease', within=LATE)
    control_plane.api.delete(f'{collection("ServiceAccount", namespace)}/hr-headrace-external-lb-1')
    until(
        lambda: 'refuses' in host.ask('curl', '-s', 'http://127.0.0.1:8405/healthz')[0],
        'the refusal is reported',
        within=LATE,
    )
    assert status() == '200'
    found, code = doctor(host)
    assert (code, [each[1] for each in found if each[0] == 'missing']) == (1, ['API server'])
