"""The dashboard of a cluster: it finds the agents by their pods, and shows them to those whose token has the right."""

import contextlib
import http.client
import re
import ssl
import subprocess

import pytest

from headrace.kube import rights
from headrace.kube.rights import When, Where
from support import logs, network
from support.api import collection
from support.cluster import pod
from support.live import HEADRACE, until

PORT = 8406
VIEW = [{'apiGroups': ['headrace.io'], 'resources': ['agents/status'], 'verbs': ['get']}]
SELECTOR = 'app.kubernetes.io/name=headrace,app.kubernetes.io/component in (edge,node)'


class Dashboard:
    """`headrace web` of a namespace, with the rights of the dashboard and no others."""

    def __init__(self, plane, namespace, folder):
        token = plane.service_account(namespace, 'dashboard', rights.rules(['dashboard'], [Where.OWN], [When.TOKENS]))
        plane.grant(
            namespace, 'dashboard', rights.rules(['dashboard'], [Where.CLUSTER], [When.TOKENS]), everywhere=True
        )
        self.log = folder / 'dashboard.log'
        logs.follow(self.log)
        command = [HEADRACE, 'web', '--listen', ':0', '--pods', SELECTOR, '--auth', 'token', '--log-format', 'json']
        environment = {'POD_NAMESPACE': namespace, 'POD_NAME': 'dashboard', 'PATH': '/usr/bin:/bin'}
        with self.log.open('wb') as output:
            self.process = subprocess.Popen(
                [*command, '--kubeconfig', plane.write_kubeconfig(token)], stdout=output, stderr=output, env=environment
            )
        until(lambda: 'the dashboard listens' in self.log.read_text(), 'the dashboard listens')
        self.port = int(re.search(r'"web": "[^"]*:(\d+)"', self.log.read_text())[1])

    def ask(self, path, method='GET', body=None, **headers):
        """Return status, headers and text of an answer; its certificate cannot be verified."""
        connection = http.client.HTTPSConnection('127.0.0.1', self.port, context=ssl._create_unverified_context())
        with contextlib.closing(connection):
            given = {name.replace('_', '-'): value for name, value in headers.items()}
            connection.request(method, path, body, given)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def close(self):
        self.process.terminate()
        assert self.process.wait(30) == 0
        logs.forget(self.log)


@pytest.fixture
def agent(make_cluster, town):
    """An agent at the address of a pod that the API server has."""
    made, address = make_cluster(when=[When.API]), network.pod()
    made.web([pod(town)], town.port)
    labels = {'app.kubernetes.io/name': 'headrace', 'app.kubernetes.io/component': 'edge'}
    spec = {
        'nodeName': 'n1',
        'containers': [{'name': 'operator', 'image': 'headrace'}],
        'automountServiceAccountToken': False,
    }
    made.put(
        'edge', {'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'edge-1', 'labels': labels}, 'spec': spec}
    )
    path = f'{collection("Pod", made.namespace)}/edge-1/status'
    made.plane.api.patch(path, {'status': {'phase': 'Running', 'podIP': address, 'podIPs': [{'ip': address}]}})
    made.start('--api', f'{address}:{PORT}')
    return made


@pytest.fixture
def dashboard(agent, control_plane, namespace, tmp_path):
    """The dashboard of that agent's namespace."""
    made = Dashboard(control_plane, namespace, tmp_path)
    yield made
    made.close()


def test_a_token_with_the_right_sees_the_agents_of_the_pods(dashboard, agent, control_plane, namespace):
    viewer = control_plane.service_account(namespace, 'viewer', VIEW)
    status, _, body = dashboard.ask('/routes', Authorization=f'Bearer {viewer}')
    assert status == 200
    assert f'Service {namespace}/web' in body
    assert 'edge-1' in body
    assert viewer not in body


def test_users_sign_in_and_out(dashboard, control_plane, namespace):
    viewer = control_plane.service_account(namespace, 'viewer', VIEW)
    assert dashboard.ask('/')[0] == 401
    form = {'Content_Type': 'application/x-www-form-urlencoded'}
    assert dashboard.ask('/login', 'POST', 'token=x.y.z', **form)[0] == 401
    status, headers, _ = dashboard.ask('/login', 'POST', f'token={viewer}', **form)
    cookie = headers['Set-Cookie']
    assert status == 303
    assert all(word in cookie for word in ('HttpOnly', 'Secure', 'SameSite=Strict'))
    assert viewer not in cookie
    session = cookie.partition(';')[0]
    assert dashboard.ask('/', Cookie=session)[0] == 200
    dashboard.ask('/logout', 'POST', Cookie=session)
    assert dashboard.ask('/', Cookie=session)[0] == 401


def test_others_see_nothing(dashboard, agent, control_plane, namespace):
    pods = [{'apiGroups': [''], 'resources': ['pods'], 'verbs': ['get']}]
    known = control_plane.service_account(namespace, 'known', pods)
    for path in ('/', '/routes', '/journal', '/traffic/series', '/objects/Service/x/web'):
        for token, refusal in ((known, 403), ('x.y.z', 401), ('', 401)):
            status, _, body = dashboard.ask(path, **({'Authorization': f'Bearer {token}'} if token else {}))
            assert (status, f'{namespace}/web' in body) == (refusal, False)
