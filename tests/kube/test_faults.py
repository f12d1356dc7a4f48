"""What an API server, or the way to it, may do wrong: it is noticed, waited for and healed, and traffic goes on."""

import itertools
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.cluster import SLICES, pod
from support.gate import Gate, gone
from support.live import until
from support.objects import service
from support.proxy import Proxy

GHOSTS = 100
SILENCE = 2


@pytest.fixture
def gate(control_plane):
    """What stands between headrace and the API server."""
    with Gate(control_plane) as made:
        yield made


@pytest.fixture
def behind(make_cluster, gate):
    """An agent that reaches the API server through the gate alone, not started yet."""
    return make_cluster(url=gate.url)


def moves(cluster, town):
    """Let the endpoint become another, and wait until HAProxy has it; neither a reload nor another worker."""
    worker, other = cluster.worker(), pod(town)
    cluster.web([other], town.port)
    until(lambda: cluster.addresses() == {other}, 'the change has arrived')
    assert cluster.worker() == worker


def watched(gate, *plurals):
    """Wait until there is a watch of each of these."""
    for plural in plurals or ('/services', '/endpointslices'):
        until(lambda plural=plural: gate.watches(plural), f'a watch of {plural}')


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_watch_that_froze_is_noticed_in_time_and_opened_again(make_cluster, gate, town):
    cluster = make_cluster(url=gate.url, watchSilence=f'{SILENCE}s')
    cluster.web([pod(town)], town.port)
    cluster.start()
    watched(gate)
    began, other = time.monotonic(), pod(town)
    assert gate.freeze() >= 2
    cluster.web([other], town.port)
    until(lambda: cluster.addresses() == {other})
    again = min(at for at in gate.times('GET', '/endpointslices', watch=True) if at > began)
    assert again - began < SILENCE + 3
    moves(cluster, town)
    assert cluster.process.poll() is None


def test_a_server_that_answers_nothing_shows_as_deafness_and_haproxy_stays_ready(make_cluster, control_plane, town):
    with Proxy(control_plane.port) as between:
        cluster = make_cluster(url=f'https://127.0.0.1:{between.port}', watchSilence=f'{SILENCE}s')
        cluster.web([pod(town)], town.port)
        cluster.start()
        assert cluster.admin('/healthz')[0] == 200
        with between.stalled():
            until(lambda: 'nothing heard for' in cluster.admin('/healthz')[1])
            assert cluster.admin('/healthz')[0] == 503
            assert cluster.admin('/livez')[0] == 200
            assert cluster.readiness() == 200
            assert cluster.metric('headrace_watch_silence_seconds') > SILENCE
        moves(cluster, town)
        until(lambda: cluster.admin('/healthz')[0] == 200)


@pytest.mark.parametrize(
    'said',
    [
        pytest.param(b'', id='between two events'),
        pytest.param(b'{"type": "MODIF', id='within an event'),
        pytest.param(b'\n\n', id='after empty lines'),
    ],
)
def test_a_watch_that_ends_is_opened_again(behind, gate, town, said):
    behind.web([pod(town)], town.port)
    behind.start()
    watched(gate)
    gate.tell('/endpointslices', said)
    gate.end()
    moves(behind, town)
    assert behind.process.poll() is None


def test_connections_that_are_reset_are_made_again(make_cluster, control_plane, town):
    with Proxy(control_plane.port) as between:
        cluster = make_cluster(url=f'https://127.0.0.1:{between.port}')
        cluster.web([pod(town)], town.port)
        cluster.start()
        for _ in range(3):
            between.cut()
            moves(cluster, town)
        assert cluster.process.poll() is None


# --- refusals ---------------------------------------------------------------------------------------------------------

BUSY = [pytest.param(429, {'Retry-After': '1'}, id='429'), pytest.param(503, {}, id='503')]


@pytest.mark.parametrize(('status', 'headers'), BUSY)
def test_a_first_list_that_is_refused_for_a_while_is_waited_for(behind, gate, town, status, headers):
    behind.web([pod(town)], town.port)
    with gate.answering(status, path='/endpointslices', watch=False, headers=headers) as fault:
        behind.begin()
        until(lambda: fault.used >= 3)
        code, said = behind.admin('/healthz')
        assert code == 503
        assert f'list {behind.path("EndpointSlice", api=SLICES)}: ' in said
        assert ('busy' if status == 429 else '503') in said
        assert behind.admin('/readyz')[0] == 503
        asked = gate.times('GET', '/endpointslices', watch=False)
    until(lambda: behind.times('serving'))
    assert behind.admin('/healthz')[0] == 200
    # Who is told to come back in a second does.
    assert status != 429 or all(later - sooner >= 1 for sooner, later in itertools.pairwise(asked))
    moves(behind, town)


@pytest.mark.parametrize(('status', 'headers'), BUSY)
def test_a_watch_that_is_refused_for_a_while_is_waited_for(behind, gate, town, status, headers):
    behind.web([pod(town)], town.port)
    behind.start()
    watched(gate)
    with gate.answering(status, watch=True, headers=headers) as fault:
        gate.end()
        until(lambda: fault.used >= 6)
        assert behind.readiness() == 200
    moves(behind, town)
    assert behind.process.poll() is None


def test_a_refused_token_never_reaches_kopf_and_the_next_one_is_taken(make_cluster, gate, town):
    cluster = make_cluster(url=gate.url)
    token = cluster.root / 'token'
    token.write_text(cluster.token)
    document = json.loads(cluster.kubeconfig.read_text())
    document['users'][0]['user'] = {'tokenFile': str(token)}
    cluster.kubeconfig.write_text(json.dumps(document))
    cluster.web([pod(town)], town.port)
    cluster.start()
    watched(gate)
    path = f'/api/v1/namespaces/{cluster.namespace}/serviceaccounts/{cluster.account}/token'
    fresh = cluster.plane.api.request('POST', path, {'spec': {'expirationSeconds': 7200}})['status']['token']
    with gate.answering(401) as fault:
        gate.end()
        until(lambda: fault.used >= 10)
        token.write_text(fresh)
    moves(cluster, town)
    # Another kind's watch may be the last that finds out.
    until(lambda: {each.bearer for each in gate.asked[-2:]} == {fresh}, 'all ask with the next token')
    # kopf would ask for another login, and might never come back.
    assert not [line for line in cluster.lines() if line.get('logger', '').startswith('kopf')]


# --- versions that are too old ----------------------------------------------------------------------------------------


def many(cluster):
    """Make Services that all have a host."""
    labels = {'many': 'true'}
    documents = [
        service(f's{number}', annotations={'host': f'h{number}.example.com'}, labels=labels) for number in range(GHOSTS)
    ]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda one: cluster.put('', one), documents))


def lose_all(cluster, gate):
    """Delete them all while no watch tells it."""
    gate.freeze()
    cluster.plane.api.request('DELETE', cluster.path('Service'), labelSelector='many=true')


def test_what_was_deleted_before_a_watch_became_too_old_is_no_ghost(behind, gate, town):
    many(behind)
    behind.web([pod(town)], town.port)
    behind.start()
    watched(gate)
    assert len(behind.routes()) == GHOSTS + 1
    lose_all(behind, gate)
    gate.tell('/services', gone())
    until(lambda: len(behind.routes()) == 1)
    gate.tell('/endpointslices', gone())
    moves(behind, town)
    assert behind.process.poll() is None


@pytest.mark.parametrize('status', [404, 410])
def test_a_watch_that_is_refused_for_good_ends_the_agent_and_the_next_one_has_no_ghosts(behind, gate, town, status):
    many(behind)
    behind.web([pod(town)], town.port)
    behind.start()
    watched(gate)
    worker = behind.worker()
    lose_all(behind, gate)
    with gate.answering(status, watch=True, path='/services'):
        gate.end()
        assert behind.process.wait(30) == 4
    assert 'APINotFoundError' in behind.log.read_text() or status != 404
    assert behind.readiness() == 200
    behind.start()
    until(lambda: len(behind.routes()) == 1)
    assert behind.worker() == worker
    moves(behind, town)
