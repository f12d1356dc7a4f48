"""From the API server to traffic, as a user sees it: kubectl here, requests there."""

import json
import signal
from urllib.parse import quote

from support.cluster import EDGE_RULES, SLICES, pod
from support.live import until
from support.objects import endpoint_slice, service
from support.proxy import Proxy
from support.traffic import Client, Load

GHOSTS = 60


def get(town, cluster, host='shop.example.com', path='/'):
    """Return status and answer of one request."""
    client = Client(cluster.ports['http'])
    try:
        status, _, said = town.run(client.ask(path, host))
    finally:
        town.loop.call_soon_threadsafe(client.close)
    return status, said


def status(town, cluster, host='shop.example.com'):
    return get(town, cluster, host)[0]


def test_an_annotation_opens_a_service_and_its_removal_closes_it(cluster, town):
    one = pod(town)
    cluster.put('web', service('web'), endpoint_slice('web', addresses=[one], port=town.port))
    cluster.start()
    assert status(town, cluster) == 404
    cluster.annotate('web', host='shop.example.com')
    until(lambda: status(town, cluster) == 200)
    assert get(town, cluster)[1]['pod'] == one
    cluster.annotate('web', host=None)
    until(lambda: status(town, cluster) == 404)


def test_endpoints_come_and_go_by_the_api_without_a_reload(cluster, town):
    one, two = pod(town), pod(town)
    cluster.web([one], town.port)
    cluster.start()
    worker = cluster.worker()
    cluster.web([one, two], town.port)
    until(lambda: cluster.addresses() >= {one, two})
    cluster.web([two], town.port)
    until(lambda: one not in cluster.addresses())
    assert {get(town, cluster)[1]['pod'] for _ in range(4)} == {two}
    assert cluster.worker() == worker
    assert not cluster.reloads()


def test_pods_that_the_real_controller_puts_into_slices_get_traffic(cluster, town):
    one = pod(town)
    api = cluster.plane.api
    node = f'node-{cluster.namespace}'
    api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': node}})
    port = {'port': 80, 'targetPort': town.port}
    cluster.put('web', service('web', annotations={'host': 'shop.example.com'}, ports=[port], selector={'app': 'web'}))
    cluster.start()
    image = {'name': 'main', 'image': 'none'}
    cluster.put(
        'pod',
        {
            'apiVersion': 'v1',
            'kind': 'Pod',
            'metadata': {'name': 'web-1', 'labels': {'app': 'web'}},
            'spec': {'nodeName': node, 'containers': [image], 'automountServiceAccountToken': False},
        },
    )
    ready = {'type': 'Ready', 'status': 'True'}
    said = {'phase': 'Running', 'podIP': one, 'podIPs': [{'ip': one}], 'conditions': [ready]}
    api.patch(f'{cluster.path("Pod", "web-1")}/status', {'status': said})
    until(lambda: status(town, cluster) == 200)
    api.patch(f'{cluster.path("Pod", "web-1")}/status', {'status': {'conditions': [{**ready, 'status': 'False'}]}})
    until(lambda: status(town, cluster) == 503)


def test_traffic_goes_on_while_the_api_server_is_killed_and_changes_arrive_after(cluster, town):
    one, two = pod(town), pod(town)
    cluster.web([one], town.port)
    cluster.start()
    load = Load(town, cluster.ports['http'], kept=4, new_each_second=20.0)
    with cluster.plane.api_server_down(signal.SIGKILL):
        assert status(town, cluster) == 200
        assert cluster.readiness() == 200
    cluster.web([two], town.port)
    until(lambda: get(town, cluster)[1]['pod'] == two)
    assert not load.stop().lost


def test_objects_deleted_while_no_watch_was_open_are_no_ghosts(make_cluster, control_plane, town):
    with Proxy(control_plane.port) as between:
        cluster = make_cluster(url=f'https://127.0.0.1:{between.port}')
        one = pod(town)
        for number in range(GHOSTS):
            host = f'h{number}.example.com'
            cluster.put('x', service(f's{number}', annotations={'host': host}))
        cluster.web([one], town.port)
        cluster.start()
        assert len(cluster.routes()) == GHOSTS + 1
        with between.refusing():
            between.cut()
            for number in range(GHOSTS):
                cluster.plane.api.delete(cluster.path('Service', f's{number}'))
            control_plane.compact()
            control_plane.restart_api_server()
            assert status(town, cluster) == 200
        until(lambda: len(cluster.routes()) == 1, seconds=60)
        assert status(town, cluster) == 200


def test_a_refused_token_is_waited_for_and_a_new_one_is_taken(make_cluster, town):
    cluster = make_cluster()
    token = cluster.root / 'token'
    token.write_text('wrong')
    document = json.loads(cluster.kubeconfig.read_text())
    document['users'][0]['user'] = {'tokenFile': str(token)}
    cluster.kubeconfig.write_text(json.dumps(document))
    one = pod(town)
    cluster.web([one], town.port)
    cluster.begin()
    until(lambda: cluster.times('listening'))
    code, said = cluster.admin('/healthz')
    assert (code, cluster.admin('/readyz')[0]) == (503, 503)
    assert 'has not been read yet' in said
    token.write_text(cluster.token)
    until(lambda: cluster.times('serving'))
    assert status(town, cluster) == 200


def test_a_missing_right_is_named_and_once_given_all_goes_on(make_cluster, town):
    others = [rule for rule in EDGE_RULES if rule['resources'] != ['endpointslices']]
    cluster = make_cluster(rules=others)
    one = pod(town)
    cluster.web([one], town.port)
    cluster.begin()
    path = cluster.path('EndpointSlice', api=SLICES)
    until(lambda: cluster.times('listening'))
    until(lambda: f'list {path}: headrace has no right to read it' in cluster.admin('/healthz')[1])
    role = f'/apis/rbac.authorization.k8s.io/v1/namespaces/{cluster.namespace}/roles/{cluster.account}'
    cluster.plane.api.patch(role, {'rules': EDGE_RULES})
    until(lambda: cluster.times('serving'))
    assert cluster.admin('/healthz')[0] == 200
    assert status(town, cluster) == 200


def test_an_agent_keeps_one_lease_and_takes_it_away_at_the_end(cluster, town):
    cluster.web([pod(town)], town.port, annotations={'basic-auth-secret': 'nope'})
    cluster.start()
    until(cluster.leases, seconds=20)
    (name,) = cluster.leases()
    assert name == 'headrace-edge-one'
    said = {item['reason'] for item in cluster.leases()[name]}
    assert 'SecretMissing' in said
    assert status(town, cluster) == 503
    assert cluster.stop() == 0
    assert not cluster.leases()


def test_a_secret_in_its_namespace_is_read_and_its_renewal_served(cluster, town):
    cluster.web([pod(town)], town.port, annotations={'basic-auth-secret': 'users'})
    cluster.start()
    assert status(town, cluster) == 503
    secret = {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'type': 'kubernetes.io/basic-auth',
        'metadata': {'name': 'users'},
        'stringData': {'username': 'u', 'password': 'p'},
    }
    cluster.put('users', secret)
    until(lambda: status(town, cluster) == 401)


def test_explain_asks_a_running_agent(cluster, town):
    cluster.web([pod(town)], town.port)
    cluster.start()
    code, text = cluster.admin('/explain?of=shop.example.com/cart')
    said = json.loads(text)
    assert (code, said['served']) == (200, True)
    assert said['claims'][0]['holder'] == f'Service {cluster.namespace}/web'
    assert not json.loads(cluster.admin('/explain?of=nobody.example.com')[1])['served']


def test_explain_tells_what_becomes_of_a_request_at_a_running_agent(cluster, town):
    cluster.web([pod(town)], town.port)
    cluster.start()
    line = quote('GET http://shop.example.com/cart?x=1')
    code, text = cluster.admin(f'/explain?request={line}&header={quote("X-User: 7")}&from=10.0.0.7')
    said = json.loads(text)
    (destination,) = said['outcome']['destinations']
    assert (code, said['outcome']['served'], destination['service']) == (200, True, f'{cluster.namespace}/web')
    assert said['servers'][destination['backend']] == dict.fromkeys(destination['endpoints'], 'up')
    assert cluster.admin('/explain?request=nonsense') == (
        400,
        '{"error": "\'nonsense\' is no URL of scheme http or https"}',
    )
    assert cluster.admin(f'/explain?request={line}&listener=shop/none')[0] == 400
    assert cluster.admin(f'/explain?request={line}&header={"x" * 20_000}')[0] == 400
