"""The control plane that other tests lean on: it is Kubernetes', and its faults are what they are called."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from support.api import ApiError, collection, home
from support.controlplane import ControlPlane
from support.objects import endpoint_slice, service
from support.waiting import until

SLICES = 'discovery.k8s.io/v1'
READ_SERVICES = [{'apiGroups': [''], 'resources': ['services'], 'verbs': ['get', 'list', 'watch']}]


@pytest.fixture
def api(control_plane):
    """Its client as cluster-admin."""
    return control_plane.api


def services(namespace):
    return collection('Service', namespace)


def slices_of(api, namespace, name):
    path = collection('EndpointSlice', namespace, SLICES)
    return api.list(path, labelSelector=f'kubernetes.io/service-name={name}')['items']


def version(api, path):
    """Return the version of a collection, from which a watch sees all that comes."""
    return api.list(path)['metadata']['resourceVersion']


def events(api, path, since, count):
    """Return the first changes after a version, as (type, name)."""
    found = []
    for kind, document in api.watch(path, since):
        found.append((kind, document['metadata']['name']))
        if len(found) == count:
            return found
    return found


# --- it is Kubernetes' ---------------------------------------------------------------------------


def test_it_is_the_version_that_is_pinned(api):
    pinned = re.search(r'k8s\.io/kubernetes (v\S+)', (ROOT / 'tests/controlplane/go.mod').read_text())
    assert api.get('/version')['gitVersion'] == pinned[1]


def test_a_service_without_a_selector_is_stored_with_its_slice(api, namespace):
    api.create(service('web', namespace, annotations={'host': 'shop.example.com'}, ports=[80]))
    api.create(endpoint_slice('web', namespace, addresses=['192.0.2.1'], port=8080))
    stored = api.get(f'{services(namespace)}/web')
    assert stored['metadata']['annotations'] == {'headrace.io/host': 'shop.example.com'}
    assert stored['spec']['clusterIP'].startswith('10.96.')
    (found,) = slices_of(api, namespace, 'web')
    assert found['endpoints'] == [{'addresses': ['192.0.2.1'], 'conditions': {}}]
    assert found['ports'] == [{'name': '', 'port': 8080, 'protocol': 'TCP'}]


def test_a_service_that_the_api_refuses_is_not_stored(api, namespace):
    with pytest.raises(ApiError, match='must be between 1 and 65535') as refused:
        api.create(service('web', namespace, ports=[0x10000]))
    assert refused.value.status == 422
    assert api.list(services(namespace))['items'] == []


def test_a_service_can_have_both_address_families(api, namespace):
    found = api.create(service('web', namespace, ipFamilyPolicy='RequireDualStack'))
    assert found['spec']['ipFamilies'] == ['IPv4', 'IPv6']


def test_a_selector_that_matches_no_pod_gets_an_empty_slice_from_the_controller(api, namespace):
    api.create(service('web', namespace, selector={'app': 'web'}))
    (found,) = until(lambda: slices_of(api, namespace, 'web'), 'the controller made a slice')
    assert found['metadata']['labels']['endpointslice.kubernetes.io/managed-by'] == 'endpointslice-controller.k8s.io'
    assert not found['endpoints']


@pytest.fixture
def node_name(api):
    """A Node, without which the controllers take no pod for an endpoint."""
    document = {'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'node-1'}}
    api.create(document)
    yield 'node-1'
    api.delete(home(document)[1])


def test_a_pod_that_is_ready_becomes_an_endpoint(api, namespace, node_name):
    api.create(service('web', namespace, selector={'app': 'web'}))
    accounts = collection('ServiceAccount', namespace)
    until(lambda: [item['metadata']['name'] for item in api.list(accounts)['items']] == ['default'], 'pods may come')
    pod = {
        'apiVersion': 'v1',
        'kind': 'Pod',
        'metadata': {'name': 'web-1', 'namespace': namespace, 'labels': {'app': 'web'}},
        'spec': {'nodeName': node_name, 'containers': [{'name': 'web', 'image': 'example.com/web'}]},
    }
    api.create(pod)
    ready = [{'type': 'Ready', 'status': 'True'}]
    status = {'phase': 'Running', 'podIP': '192.0.2.7', 'podIPs': [{'ip': '192.0.2.7'}], 'conditions': ready}
    api.patch(f'{home(pod)[1]}/status', {'status': status})

    def endpoints():
        return [
            (endpoint['addresses'], endpoint['nodeName'], endpoint['conditions']['ready'])
            for found in slices_of(api, namespace, 'web')
            for endpoint in found['endpoints'] or []
        ]

    until(lambda: endpoints() == [(['192.0.2.7'], node_name, True)], 'the pod is an endpoint')


def test_a_watch_sees_what_comes_changes_and_goes(api, namespace):
    since = version(api, services(namespace))
    api.create(service('web', namespace))
    api.apply(service('web', namespace, annotations={'path': '/shop'}))
    api.patch(f'{services(namespace)}/web', {'metadata': {'annotations': {'headrace.io/path': None}}})
    api.delete(f'{services(namespace)}/web')
    seen = events(api, services(namespace), since, 4)
    assert seen == [('ADDED', 'web'), ('MODIFIED', 'web'), ('MODIFIED', 'web'), ('DELETED', 'web')]


def test_with_a_namespace_all_that_is_its_own_ends(control_plane, api):
    name = 'soon-gone'
    api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name}})
    api.create(service('web', name))
    control_plane.service_account(name, 'reader', READ_SERVICES, everywhere=True)
    role = collection('ClusterRole', api='rbac.authorization.k8s.io/v1') + f'/{name}-reader'
    assert api.get(role)['rules'] == READ_SERVICES
    api.delete(f'{collection("Namespace")}/{name}')
    for path in (f'{services(name)}/web', f'{collection("Namespace")}/{name}', role):
        until(lambda path=path: gone(api, path), f'{path} is gone', within=60)


def gone(api, path):
    try:
        api.get(path)
    except ApiError as error:
        return error.status == 404
    return False


# --- who may what --------------------------------------------------------------------------------


def test_a_token_that_was_not_issued_is_not_known(control_plane, namespace):
    with pytest.raises(ApiError) as refused:
        control_plane.as_bearer('guessed').list(services(namespace))
    assert refused.value.status == 401


def test_a_service_account_without_rights_is_refused(control_plane, namespace):
    client = control_plane.as_bearer(control_plane.service_account(namespace, 'nobody', []))
    with pytest.raises(ApiError, match='cannot list resource "services"') as refused:
        client.list(services(namespace))
    assert refused.value.status == 403


def test_a_service_account_may_do_what_its_rules_say_and_no_more(control_plane, api, namespace):
    api.create(service('web', namespace))
    client = control_plane.as_bearer(control_plane.service_account(namespace, 'reader', READ_SERVICES))
    assert [item['metadata']['name'] for item in client.list(services(namespace))['items']] == ['web']
    for attempt in (
        lambda: client.delete(f'{services(namespace)}/web'),
        lambda: client.list(collection('Secret', namespace)),
        lambda: client.list(services('default')),
    ):
        with pytest.raises(ApiError) as refused:
            attempt()
        assert refused.value.status == 403


def test_a_service_account_may_read_everywhere_when_its_rules_hold_everywhere(control_plane, namespace):
    token = control_plane.service_account(namespace, 'reader', READ_SERVICES, everywhere=True)
    found = control_plane.as_bearer(token).list(collection('Service'))['items']
    assert ('default', 'kubernetes') in {(each['metadata']['namespace'], each['metadata']['name']) for each in found}


def test_a_kubeconfig_lets_kubectl_in_as_its_bearer(control_plane, namespace):
    token = control_plane.service_account(namespace, 'reader', READ_SERVICES)
    command = [ROOT / 'bin/kubectl', '--kubeconfig', control_plane.write_kubeconfig(token), '-n', namespace]
    for words, said in ((['list', 'services'], 'yes'), (['delete', 'services'], 'no')):
        ran = subprocess.run([*command, 'auth', 'can-i', *words], capture_output=True, text=True, check=False)
        assert ran.stdout.strip() == said, ran.stderr


# --- faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize('how', [signal.SIGTERM, signal.SIGKILL], ids=lambda how: how.name)
def test_the_api_server_comes_back_with_all_objects(control_plane, api, namespace, how):
    api.create(service('web', namespace))
    before = api.get(f'{services(namespace)}/web')
    with control_plane.api_server_down(how), pytest.raises(ConnectionRefusedError):
        api.get(f'{services(namespace)}/web')
    assert api.get(f'{services(namespace)}/web') == before
    # The controllers, which were not stopped, go on with it; their watches wait up to half a minute between two tries.
    api.create(service('later', namespace, selector={'app': 'later'}))
    until(lambda: slices_of(api, namespace, 'later'), 'the controller made a slice', within=90)


def test_a_paused_api_server_answers_when_it_goes_on(control_plane, api, namespace):
    with control_plane.api_server_paused(), pytest.raises(TimeoutError):
        api.request('GET', services(namespace), seconds=1)
    assert api.list(services(namespace))['items'] == []


def test_after_a_compaction_and_a_restart_old_versions_are_gone(control_plane, api, namespace):
    for name in ('a', 'b', 'c'):
        api.create(service(name, namespace))
    page = api.list(services(namespace), limit=1)
    since = page['metadata']['resourceVersion']
    api.create(service('d', namespace))
    control_plane.compact()
    control_plane.restart_api_server()
    with pytest.raises(ApiError) as refused:
        api.list(services(namespace), limit=1, **{'continue': page['metadata']['continue']})
    assert (refused.value.status, refused.value.reason) == (410, 'Expired')
    kind, document = next(api.watch(services(namespace), since))
    assert (kind, document['code']) == ('ERROR', 410)


# --- its end -------------------------------------------------------------------------------------


def running(folder):
    """Return the command lines of processes that were started with files of a folder."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        if os.fsencode(f'{folder}/') in line:
            found.append(line)
    return found


def test_it_leaves_nothing():
    with ControlPlane() as plane:
        assert len(running(plane.folder)) == 3
    assert running(plane.folder) == []
    assert not plane.folder.exists()


def test_its_processes_end_with_the_one_that_started_them_however_that_ends(tmp_path):
    environment = {**os.environ, 'PYTHONPATH': str(ROOT / 'tests'), 'TMPDIR': str(tmp_path)}
    command = [sys.executable, '-m', 'support.controlplane']
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout.readline().startswith('started in ')
        assert len(running(tmp_path)) == 3
        started.kill()
    until(lambda: running(tmp_path) == [], 'all processes are gone')
