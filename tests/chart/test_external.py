"""Agents outside of the cluster, on a real API server: their accounts, their tokens, and what they may not do."""

import asyncio
import json
import subprocess
import time

import pytest

from headrace.kube import access as accesses
from headrace.kube import own_token
from headrace.kube import session as sessions
from headrace.kube.calls import Calls
from headrace.kube.own_token import TokenRenewal
from support import chart
from support.api import ApiError, collection
from support.cluster import LEASES, pod
from support.live import HEADRACE, until
from support.traffic import Client

LATE = 60
HOSTS = {'external': {'agents': ['lb-1', 'lb-2']}}


def token(plane, namespace, folder, *more, host='lb-1'):
    """Run `headrace token` as an administrator does; return what it says, and its exit code."""
    command = [HEADRACE, 'token', host, '--kubeconfig', plane.kubeconfig, '--namespace', namespace, '--output', folder]
    command += ['--account', f'hr-headrace-external-{host}', *more]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr, done.returncode


@pytest.fixture
def external(release, make_installed, control_plane, namespace, tmp_path):
    """An agent on the host lb-1, with the files that `headrace token` has made; not started yet."""
    documents = release(HOSTS)
    assert token(control_plane, namespace, tmp_path / 'lb-1')[1] == 0
    agent = make_installed(documents, 'external-lb-1', name='lb-1')
    agent.kubeconfig = tmp_path / 'lb-1' / 'kubeconfig'
    agent.token = (tmp_path / 'lb-1' / 'token').read_text()
    return agent


def ask(agent, town):
    """Return the status of the answer to a request for the web."""
    client = Client(agent.ports['http'])
    try:
        return town.run(client.ask('/', 'shop.example.com'))[0]
    finally:
        town.loop.call_soon_threadsafe(client.close)


def test_a_host_serves_by_what_headrace_token_has_made_and_may_write_its_own_lease_alone(external, namespace, town):
    external.web([pod(town)], town.port)
    external.start()
    until(external.leases, seconds=LATE)
    assert list(external.leases()) == ['headrace-edge-lb-1']
    assert external.admin('/healthz') == (200, 'healthy\n')
    until(lambda: ask(external, town) == 200, seconds=LATE)
    as_host = external.plane.as_bearer(external.token)
    leases = collection('Lease', namespace, LEASES)
    lease = {'apiVersion': LEASES, 'kind': 'Lease', 'metadata': {'name': 'headrace-edge-lb-2', 'namespace': namespace}}
    for method, path in (('PUT', f'{leases}/headrace-edge-lb-2'), ('POST', leases)):
        with pytest.raises(ApiError, match='403'):
            as_host.request(method, path, lease)
    for path in (
        leases,
        f'{leases}/headrace-edge-lb-2',
        '/api/v1/pods',
        '/api/v1/nodes',
        '/api/v1/namespaces/kube-system/secrets',
    ):
        with pytest.raises(ApiError, match='403'):
            as_host.get(path)
    for account in ('lb-2', 'edge'):
        path = f'{collection("ServiceAccount", namespace)}/hr-headrace-{account}/token'
        with pytest.raises(ApiError, match='403'):
            as_host.request('POST', path, {'spec': {'expirationSeconds': 3600}})
    assert external.stop() == 0
    assert not external.leases()


def test_a_revoked_token_is_noticed_and_traffic_goes_on(external, control_plane, namespace, town):
    external.web([pod(town)], town.port)
    external.start()
    account = f'{collection("ServiceAccount", namespace)}/hr-headrace-external-lb-1'
    control_plane.api.delete(account)

    def trouble():
        return 'token: the API server refuses it' in external.admin('/healthz')[1]

    # Watches that are open go on; the next renewal of the Lease is refused.
    until(trouble, seconds=LATE)
    assert external.admin('/healthz')[0] == 503
    assert external.times('the API server refuses the token: it has ended, or was revoked')
    assert ask(external, town) == 200
    # A host that is let in again has an account with another UID, for which the former token does not count.
    control_plane.api.create(
        {
            'apiVersion': 'v1',
            'kind': 'ServiceAccount',
            'metadata': {'name': 'hr-headrace-external-lb-1', 'namespace': namespace},
        }
    )
    time.sleep(2)
    assert trouble()
    assert token(control_plane, namespace, external.kubeconfig.parent)[1] == 0
    until(lambda: external.admin('/healthz')[0] == 200, seconds=LATE)


def test_a_host_renews_its_own_token(external):
    path = external.kubeconfig.parent / 'token'
    access = accesses.of_kubeconfig(external.kubeconfig)
    assert access.token_file == path

    async def renew():
        async with sessions.make(access, {}) as session:
            before = own_token.claims(external.token)
            late = before.issued + 0.6 * (before.expires - before.issued)
            renewal = TokenRenewal(Calls(access.server, lambda: session), path, lambda: late)
            await renewal.step()
            return renewal.problem

    time.sleep(1.1)  # a token of the same second may be the same
    assert asyncio.run(renew()) == ''
    before, after = own_token.claims(external.token), own_token.claims(path.read_text())
    assert (after.account, after.expires - after.issued) == (before.account, before.expires - before.issued)
    assert after.issued > before.issued
    external.plane.as_bearer(path.read_text()).get('/api/v1/services')


def test_a_token_for_a_host_that_the_chart_does_not_list_says_so(release, control_plane, namespace, tmp_path):
    release(HOSTS)
    said, code = token(control_plane, namespace, tmp_path / 'lb-3', host='lb-3')
    assert code == 4
    assert 'is the host in external.agents of the chart' in said
    assert not (tmp_path / 'lb-3').exists()
    said, code = token(control_plane, namespace, tmp_path / 'lb-1', '--duration', '5m')
    assert (code, 'a duration of 10m or more' in said) == (2, True)


def test_the_files_are_for_their_owner_and_name_the_authority_of_the_cluster(
    release, control_plane, namespace, tmp_path
):
    release(HOSTS)
    folder = tmp_path / 'lb-2'
    said, code = token(
        control_plane, namespace, folder, '--duration', '24h', '--server', 'https://api.example.com', host='lb-2'
    )
    assert (code, said) == (0, f'wrote {folder}/kubeconfig and {folder}/token, which holds for 24 h\n')
    assert (folder / 'token').stat().st_mode & 0o777 == 0o600
    assert folder.stat().st_mode & 0o777 == 0o700
    text = (folder / 'kubeconfig').read_text()
    assert (folder / 'token').read_text() not in text
    assert 'server: https://api.example.com\n' in text
    assert json.dumps(chart.RELEASE) not in text
    assert accesses.of_kubeconfig(folder / 'kubeconfig').namespace == namespace
