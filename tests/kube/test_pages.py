"""Pages for administrators, as those see them who show a token: directly, and through the API server's proxy."""

import json
import time

import pytest

from headrace.kube.rights import When
from support import prefork
from support.api import collection
from support.certificates import for_names
from support.cluster import pod
from support.live import until

VIEW = [{'apiGroups': ['headrace.io'], 'resources': ['agents/status'], 'verbs': ['get']}]
PAGES = ('/status', '/explain?of=shop.example.com', '/healthz')


@pytest.fixture
def agent(make_cluster, town):
    """An agent that serves one Service, and its pages to those who show a token."""
    made = make_cluster(when=[When.API])
    made.web([pod(town)], town.port)
    made.start('--api', '127.0.0.1:0')
    return made


@pytest.fixture
def viewer(control_plane, namespace):
    """A token of an account that may see the pages."""
    return control_plane.service_account(namespace, 'viewer', VIEW)


def show(token):
    return {'X-Headrace-Token': token}


def test_a_token_with_the_right_sees_the_pages(agent, viewer):
    assert {agent.api(path, show(viewer))[0] for path in PAGES} == {200}
    found = json.loads(agent.api('/status/' + agent.namespace + '/web', {'Authorization': f'Bearer {viewer}'})[1])
    assert found['name'] == 'web'


def test_others_do_not(agent, control_plane, namespace, make_cluster):
    pods = [{'apiGroups': [''], 'resources': ['pods'], 'verbs': ['get']}]
    known = control_plane.service_account(namespace, 'known', pods)
    answers = {name: agent.api('/status', headers)[0] for name, headers in {
        'known without the right': show(known),
        'bad': show('x.y.z'),
        'none': {},
        'of the agent itself': show(agent.token),
    }.items()}  # fmt: skip
    assert answers == {'known without the right': 403, 'bad': 401, 'none': 401, 'of the agent itself': 403}
    # By address and without TLS there is nothing for them either.
    assert agent.admin('/status', {'Host': 'shop.example.com'})[0] == 403


def test_a_right_in_another_namespace_does_not_count(agent, control_plane):
    other = f'{agent.namespace}-other'
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': other}})
    token = control_plane.service_account(other, 'viewer', VIEW)
    assert agent.api('/status', show(token))[0] == 403
    control_plane.api.delete(f'{collection("Namespace")}/{other}')


def status_of(agent, token):
    """Return what a token gets; below the fifty handshakes a second that a client may make."""
    time.sleep(0.05)
    return agent.api('/status', show(token))[0]


def test_while_the_api_server_is_away_no_new_token_is_let_in(agent, control_plane, viewer, namespace):
    late = control_plane.service_account(namespace, 'late', VIEW)
    assert agent.api('/status', show(viewer))[0] == 200
    with control_plane.api_server_down():
        # Who was let in just now is for some seconds more.
        assert agent.api('/status', show(late))[0] == 503
        until(lambda: status_of(agent, viewer) == 503, 'the last answer has ended')
        assert json.loads(agent.admin('/status')[1])['objects']
    until(lambda: status_of(agent, late) == 200, 'it is back')


def test_a_certificate_of_an_administrator_is_verified_and_followed(make_cluster, town, viewer, tmp_path):
    def write(name):
        key, certificate = for_names(name)
        for file, text in (('tls.key', key), ('tls.crt', certificate)):
            (tmp_path / file).write_bytes(text)
        (tmp_path / 'ca.crt').write_bytes(certificate)

    def run(*more):
        where = next(line['api'] for line in agent.lines() if line['message'] == 'listening')
        return prefork.run('status', '--api', where, '--token', viewer, *more)

    agent = make_cluster(when=[When.API])
    agent.web([pod(town)], town.port)
    write('pages.example.com')
    agent.start('--api', '127.0.0.1:0', '--api-certificate', str(tmp_path))
    authority = ['--ca', str(tmp_path / 'ca.crt'), '--server-name', 'pages.example.com']
    code, text = run(*authority)
    assert (code, f'{agent.namespace}/web' in text) == (0, True)
    code, text = run()
    assert (code, 'certificate verify failed' in text) == (4, True)
    # A renewal is followed, and one that went wrong changes nothing.
    write('pages.example.com')
    until(lambda: run(*authority)[0] == 0, 'the new one is shown')
    (tmp_path / 'tls.key').write_bytes(for_names('other')[0])
    until(lambda: 'api-certificate' in agent.status()['problems'], 'it is shown')
    assert run(*authority)[0] == 0


def test_commands_ask_through_the_proxy_of_the_api_server(make_cluster, control_plane, namespace, town, viewer):
    agent = make_cluster(when=[When.API])
    agent.web([pod(town)], town.port)
    address = pod(town)
    agent.start('--api', f'{address}:0')
    port = [line['api'] for line in agent.lines() if line['message'] == 'listening'][-1].rpartition(':')[2]
    node = f'node-{namespace}'
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': node}})
    account = {'serviceAccountName': 'viewer'}
    spec = {
        **account,
        'nodeName': node,
        'containers': [{'name': 'c', 'image': 'none'}],
        'automountServiceAccountToken': False,
    }
    metadata = {'name': 'edge-1', 'namespace': namespace}
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': metadata, 'spec': spec})
    said = {'phase': 'Running', 'podIP': address, 'podIPs': [{'ip': address}]}
    control_plane.api.patch(f'{collection("Pod", namespace)}/edge-1/status', {'status': said})

    config = control_plane.write_kubeconfig(viewer)
    where = ['--pod', f'{namespace}/edge-1:{port}', '--kubeconfig', str(config)]

    def run(*words):
        return prefork.run(*words, *where)

    code, text = run('status')
    assert (code, 'forbidden' in text) == (4, True)
    proxy = [{'apiGroups': [''], 'resources': ['pods/proxy'], 'verbs': ['get']}]
    control_plane.grant(namespace, 'viewer', proxy, role='proxy')
    code, text = until(lambda: (found := run('status'))[0] == 0 and found, 'the right is known')
    assert f'{namespace}/web' in text
    code, text = run('explain', 'shop.example.com')
    assert (code, 'shop.example.com: served' in text) == (0, True)
    code, text = run('status', '--token', agent.token)
    assert (code, 'this token has no right to get agents.headrace.io/status' in text) == (4, True)
