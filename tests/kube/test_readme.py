"""The first thing to do in a cluster, as README says it, works word by word."""

import json
import os
import re
import shlex
import signal
import subprocess
import tempfile

import pytest

from conftest import ROOT
from headrace.kube import rights
from headrace.kube.rights import When, Where
from support import network
from support.live import until

TEXT = re.search(
    r'^## With a cluster, from a checkout\n(.*?)^## ', (ROOT / 'README.md').read_text(), re.MULTILINE | re.DOTALL
)[1]
START, *COMMANDS = re.findall(r'^    (.*)$', TEXT, re.MULTILINE)


@pytest.fixture
def environment(control_plane, namespace, tmp_path):
    """A user of the namespace who may do everything, as kubectl sees it, and a home of its own."""
    document = json.loads(control_plane.kubeconfig.read_text())
    document['contexts'][0]['context']['namespace'] = namespace
    path = tmp_path / 'kubeconfig'
    path.write_text(json.dumps(document))
    held = {key: value for key, value in os.environ.items() if not key.startswith(('POD_', 'HEADRACE_'))}
    # A path to a socket cannot be long.
    with tempfile.TemporaryDirectory(prefix='hr') as short:
        words = {'PATH': f'{ROOT / "bin"}:{held["PATH"]}', 'KUBECONFIG': str(path), 'XDG_STATE_HOME': short}
        yield {**held, **words}


@pytest.fixture
def run(environment):
    """Run a command of README, and return what it prints; it succeeds."""

    def give(command, code=0):
        done = subprocess.run(
            shlex.split(command), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, (command, done.stdout, done.stderr)
        return done.stdout

    return give


@pytest.fixture
def started(control_plane, namespace, environment, tmp_path):
    """The first command, with the rights that the table says and no others."""
    roles = ['edge', 'controller']
    mine = rights.rules(roles, [Where.OWN, Where.SECRETS])
    token = control_plane.service_account(namespace, 'headrace', mine)
    control_plane.grant(
        namespace, 'headrace', rights.rules(roles, [Where.NAMESPACES, Where.UNLIMITED], [When.INGRESS]), everywhere=True
    )
    document = json.loads((tmp_path / 'kubeconfig').read_text())
    document['users'][0]['user'] = {'token': token}
    own = tmp_path / 'kubeconfig-headrace'
    own.write_text(json.dumps(document))
    log = tmp_path / 'log'
    with log.open('wb') as output:
        process = subprocess.Popen(
            shlex.split(START), cwd=ROOT, env={**environment, 'KUBECONFIG': str(own)}, stdout=output, stderr=output
        )
    yield log
    process.send_signal(signal.SIGTERM)
    assert process.wait(90) == 0, log.read_text()


def accounts(api, namespace):
    """Return the names of a namespace's ServiceAccounts."""
    found = api.get(f'/api/v1/namespaces/{namespace}/serviceaccounts')['items']
    return {item['metadata']['name'] for item in found}


def play_the_kubelet(api, namespace, address, port):
    """Make the pod that the Deployment asks for; here is neither its controller nor a kubelet."""
    node = f'node-{namespace}'
    api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': node}})
    template = api.get(f'/apis/apps/v1/namespaces/{namespace}/deployments/hello')['spec']['template']
    container = {**template['spec']['containers'][0], 'ports': [{'name': 'http', 'containerPort': port}]}
    container.pop('readinessProbe')
    path = f'/api/v1/namespaces/{namespace}/pods'
    spec = {'nodeName': node, 'containers': [container], 'automountServiceAccountToken': False}
    metadata = {'name': 'hello-1', 'namespace': namespace, 'labels': template['metadata']['labels']}
    # The API server refuses pods of a namespace that has no such account yet.
    until(lambda: 'default' in accounts(api, namespace), 'the namespace has its account')
    api.create({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': metadata, 'spec': spec})
    ready = [{'type': 'Ready', 'status': 'True'}]
    said = {'phase': 'Running', 'podIP': address, 'podIPs': [{'ip': address}], 'conditions': ready}
    api.patch(f'{path}/hello-1/status', {'status': said})


def test_the_first_steps_in_a_cluster_are_as_readme_says(control_plane, namespace, town, run, started):
    apply, annotate, request, explain, mistake, describe = COMMANDS
    address = town.pod(network.pod())
    until(lambda: 'serving' in started.read_text())
    run(apply)
    play_the_kubelet(control_plane.api, namespace, address, town.port)
    assert 'not served' in run(explain, code=1)
    run(annotate)
    until(lambda: address in run(f'{request} --silent'), 'the pod answers')
    said = run(explain)
    assert 'hello.example.com: served' in said
    assert f'Service {namespace}/hello' in said
    run(mistake)
    until(lambda: 'InvalidValue' in run(describe), seconds=60)
    assert 'headrace.io/check-interval' in run(describe)
