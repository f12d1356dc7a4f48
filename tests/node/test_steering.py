"""Real packets to the addresses of Services that a node has taken over, in network namespaces of the test's own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import threading
import time
from functools import partial

import pytest

from support.clients import Clients
from support.live import HEADRACE, until
from support.nodes import NODE, OUTSIDE, PODS, PORT
from support.objects import endpoint_slice, service
from support.taken import BALANCER, BY_HAPROXY, CLUSTER_IP, EXTERNAL, dropped, refused, taken

ADDRESSES = [
    *(pytest.param(address, 80, id=f'cluster-{index}') for index, address in ((4, CLUSTER_IP[0]), (6, CLUSTER_IP[1]))),
    *(pytest.param(address, 80, id=f'external-{index}') for index, address in ((4, EXTERNAL[0]), (6, EXTERNAL[1]))),
    *(pytest.param(address, 80, id=f'balancer-{index}') for index, address in ((4, BALANCER[0]), (6, BALANCER[1]))),
    *(pytest.param(address, 30080, id=f'node-port-{index}') for index, address in ((4, NODE[0]), (6, NODE[1]))),
]


@pytest.mark.parametrize('port_name', ['tcp', 'http'])
def test_all_addresses_serve_pods_the_node_and_hosts_outside(nodes, agent, port_name):
    agent.put('web', *taken('one', 'three', port_name=port_name))
    agent.start()
    for parameter in ADDRESSES:
        address, port = parameter.values
        for space in ('client', 'node', 'outside'):
            if port_name == 'http':
                status, _, said = nodes.http(space, address, port)
                assert status == 200, (space, address)
            else:
                said = nodes.tcp(space, address, port)
            assert said['pod'] in ('one', 'three'), (space, address)


def serves(nodes):
    """Tell whether a client gets an answer; one that came in between has been led nowhere, and hears nothing."""
    with contextlib.suppress(OSError):
        return nodes.tcp('client', CLUSTER_IP[0], 80, seconds=0.5)
    return None


def table():
    """Return the table's elements by set, as the kernel has them."""
    text = subprocess.run(
        ['nft', '-j', 'list', 'table', 'inet', 'headrace'], capture_output=True, text=True, check=True
    )
    items = [*filter(None, (item.get('map') or item.get('set') for item in json.loads(text.stdout)['nftables']))]
    return {item['name']: item.get('elem', []) for item in items}


@pytest.mark.parametrize('port_name', ['tcp', 'http'])
def test_without_endpoints_clients_are_refused_at_once_until_one_is_ready(nodes, agent, port_name):
    agent.put('web', *taken(port_name=port_name))
    agent.start()
    for parameter in ADDRESSES:
        for space in ('client', 'node', 'outside'):
            assert refused(nodes, space, *parameter.values), (space, parameter)
    agent.put('web', *taken('one', port_name=port_name))
    until(lambda: not refused(nodes, 'client', CLUSTER_IP[0]), 'the endpoint serves')
    agent.put('web', *taken(port_name=port_name))
    until(lambda: refused(nodes, 'client', CLUSTER_IP[0]), 'nothing serves')


def test_policy_local_drops_what_comes_from_outside_where_endpoints_are_elsewhere(nodes, agent):
    agent.put('web', *taken('three', externalTrafficPolicy='Local'))
    agent.start()
    for address, port in ((EXTERNAL[0], 80), (BALANCER[1], 80), (NODE[0], 30080)):
        assert dropped(nodes, 'outside', address, port)
        # What comes from the node or its pods reaches all endpoints (rule 20).
        for space in ('client', 'node'):
            assert nodes.tcp(space, address, port)['pod'] == 'three'
    assert nodes.tcp('client', CLUSTER_IP[0], 80)['pod'] == 'three'


def test_policy_local_keeps_to_endpoints_of_the_node(nodes, agent):
    agent.put('web', *taken('one', 'three', externalTrafficPolicy='Local'))
    agent.start()
    for address in (EXTERNAL[0], EXTERNAL[1]):
        assert {nodes.tcp('outside', address, 80)['pod'] for _ in range(20)} == {'one'}
        assert {nodes.tcp('client', address, 80)['pod'] for _ in range(30)} == {'one', 'three'}


def test_an_internal_policy_local_drops_for_all_where_endpoints_are_elsewhere(nodes, agent):
    agent.put('web', *taken('three', internalTrafficPolicy='Local'))
    agent.start()
    assert dropped(nodes, 'client', CLUSTER_IP[0])
    assert dropped(nodes, 'node', CLUSTER_IP[1])
    assert nodes.tcp('outside', EXTERNAL[0], 80)['pod'] == 'three'


def test_source_ranges_hold_for_load_balancer_addresses_alone(nodes, agent):
    agent.put('web', *taken('one', loadBalancerSourceRanges=['10.244.0.0/16', f'{OUTSIDE[1]}/128']))
    agent.start()
    assert dropped(nodes, 'outside', BALANCER[0])
    assert nodes.tcp('client', BALANCER[0], 80)['pod'] == 'one'
    assert nodes.tcp('outside', BALANCER[1], 80)['pod'] == 'one'
    assert dropped(nodes, 'client', BALANCER[1])
    assert nodes.tcp('outside', EXTERNAL[0], 80)['pod'] == 'one'


@pytest.mark.parametrize('family', [0, 1])
def test_a_client_stays_with_its_endpoint_for_as_long_as_asked(nodes, agent, family):
    affinity = {'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 2}}}
    agent.put('web', *taken('one', 'two', 'three', **affinity))
    agent.start()
    # One client is with one endpoint at all addresses of the port (rule 28).
    addresses = (CLUSTER_IP[family], EXTERNAL[family], BALANCER[family])
    first = nodes.tcp('client', addresses[0], 80)['pod']
    assert {nodes.tcp('client', addresses[index % 3], 80)['pod'] for index in range(15)} == {first}
    left = [pod for pod in ('one', 'two', 'three') if pod != first]
    agent.put('web', *taken(*left, **affinity))
    until(lambda: nodes.tcp('client', addresses[0], 80)['pod'] in left, 'the client has moved')
    second = nodes.tcp('client', addresses[0], 80)['pod']
    assert {nodes.tcp('client', addresses[0], 80)['pod'] for _ in range(10)} == {second}

    def moved():
        time.sleep(2.1)
        return nodes.tcp('client', addresses[0], 80)['pod'] != second

    until(moved, 'the client is forgotten')


def test_other_settings_leave_clients_with_their_endpoints(nodes, agent):
    affinity = {'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 60}}}
    agent.put('web', *taken('one', 'two', 'three', **affinity))
    agent.start()
    first = nodes.tcp('client', CLUSTER_IP[0], 80)['pod']
    before = agent.metric('headrace_table_transactions_total')
    agent.set(drainDelay='300ms')
    until(lambda: agent.times('read the settings again'), 'they are read')
    assert {nodes.tcp('client', CLUSTER_IP[0], 80)['pod'] for _ in range(10)} == {first}
    assert agent.metric('headrace_table_transactions_total') == before


@pytest.mark.parametrize('port_name', ['tcp', 'http'])
def test_a_pod_reaches_itself_by_its_own_service(nodes, agent, port_name):
    agent.put('web', *taken('one', port_name=port_name))
    agent.start()
    for address in CLUSTER_IP:
        said = nodes.http('one', address, 80)[2] if port_name == 'http' else nodes.tcp('one', address, 80)
        assert said['pod'] == 'one'


def test_the_listeners_are_closed_to_direct_access(nodes, agent):
    agent.put('web', *taken('one'))
    agent.start()
    for port in range(10280, 10284):
        for address in NODE:
            for space in ('client', 'node', 'outside'):
                assert refused(nodes, space, address, port), (space, address, port)


@pytest.mark.parametrize('family', [0, 1])
def test_udp_is_balanced_and_flows_to_endpoints_that_are_gone_move(nodes, agent, family):
    agent.put('web', *taken('one', 'three', protocol='UDP', port_name='dns'))
    agent.start()
    for space in ('client', 'outside', 'node'):
        found = {nodes.udp(space, CLUSTER_IP[family], 80)['pod'] for _ in range(30)}
        assert found == {'one', 'three'}, space
    # Pods are seen as who they are; from outside there would be no way back past this node (rules 25, 26).
    assert nodes.udp('client', CLUSTER_IP[family], 80)['client'] == PODS['client'][family]
    assert {nodes.udp('outside', EXTERNAL[family], 80)['client'] for _ in range(20)}.isdisjoint({OUTSIDE[family]})
    with nodes.datagrams('client', CLUSTER_IP[family], 80) as flow:
        held = nodes.udp('client', CLUSTER_IP[family], 80, source=flow)['pod']
        other = {'one': 'three', 'three': 'one'}[held]
        assert {nodes.udp('client', CLUSTER_IP[family], 80, source=flow)['pod'] for _ in range(10)} == {held}
        agent.put('web', *taken(other, protocol='UDP', port_name='dns'))
        until(lambda: nodes.udp('client', CLUSTER_IP[family], 80, source=flow)['pod'] == other, 'the flow moves')
    agent.put('web', *taken(other, protocol='UDP', port_name='dns', externalTrafficPolicy='Local'))
    agent.put('web', *taken(protocol='UDP', port_name='dns'))

    def no_answer():
        with contextlib.suppress(TimeoutError):
            nodes.udp('client', CLUSTER_IP[family], 80, seconds=0.3)
        return False

    with pytest.raises(ConnectionRefusedError):
        until(no_answer, 'the kernel refuses datagrams')


def test_udp_is_shared_among_endpoints_by_weights(nodes, agent):
    documents = taken('one', 'three', protocol='UDP', port_name='dns')
    whole = next(each for each in documents if each['kind'] == 'EndpointSlice' and each['addressType'] == 'IPv4')
    parts = []
    for index, (endpoint, weight) in enumerate(zip(whole['endpoints'], (9, 1), strict=True)):
        metadata = {**whole['metadata'], 'name': f'{whole["metadata"]["name"]}-{index}'}
        metadata['annotations'] = {'headrace.io/weight': str(weight)}
        parts.append({**whole, 'metadata': metadata, 'endpoints': [endpoint]})
    agent.put('web', *(each for each in documents if each is not whole), *parts)
    agent.start()
    found = [nodes.udp('client', CLUSTER_IP[0], 80)['pod'] for _ in range(300)]
    # Of 300 draws at one in ten, fewer than 10 or more than 60 are as likely as one in a million.
    assert 10 <= found.count('three') <= 60
    assert found.count('one') + found.count('three') == 300


def test_a_pod_reaches_itself_by_udp(nodes, agent):
    agent.put('web', *taken('one', protocol='UDP', port_name='dns'))
    agent.start()
    assert [nodes.udp('one', address, 80)['pod'] for address in CLUSTER_IP] == ['one', 'one']


def test_http_on_the_cluster_ip_has_all_that_was_asked_for(nodes, agent):
    said = {
        'response-headers': 'X-Served-By: headrace',
        'max-body-size': '1k',
        'redirect-to.http': '/login',
        'allow': PODS['client'][0],
    }
    agent.put('web', *taken('one', port_name='http', annotations=said))
    agent.start()
    status, headers, _ = nodes.http('client', CLUSTER_IP[0], 80)
    assert (status, headers['location']) == (302, '/login')
    assert nodes.http('outside', CLUSTER_IP[0], 80)[0] == 403
    del said['redirect-to.http'], said['allow']
    agent.put('web', *taken('one', port_name='http', annotations=said))
    until(lambda: nodes.http('outside', CLUSTER_IP[0], 80)[0] == 200, 'it is open')
    for family in (0, 1):
        status, headers, body = nodes.http('client', CLUSTER_IP[family], 80, path='/a')
        assert (status, headers['x-served-by'], body['path']) == (200, 'headrace', '/a')
        seen = body['seen']
        assert (seen['x-forwarded-for'], seen['x-forwarded-port']) == (PODS['client'][family], '80')


def test_a_table_that_was_flushed_or_changed_is_made_again(nodes, agent):
    agent.put('web', *taken('one', annotations=BY_HAPROXY))
    agent.set(tableInterval='200ms')
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    damages = (
        'flush ruleset',
        'flush chain inet headrace far',
        f'delete element inet headrace far4 {{ {CLUSTER_IP[0]} . tcp . 80 }}',
        f'add element inet headrace shut4 {{ {CLUSTER_IP[0]} . tcp . 80 : drop }}',
    )
    for number, damage in enumerate(damages, start=1):
        subprocess.run(['nft', damage], check=True)
        until(lambda: agent.metric('headrace_table_repairs_total') == number, f'it is noticed: {damage}')  # noqa: B023
        until(lambda: serves(nodes), f'it serves again after: {damage}')


def test_one_more_service_is_one_element_an_address(nodes, agent):
    agent.put('web', *taken('one', annotations=BY_HAPROXY))
    agent.start()
    before = table()
    other = service('other', annotations={'proxy': 'node', **BY_HAPROXY}, clusterIPs=['10.96.0.20'])
    agent.put('other', other, endpoint_slice('other', addresses=[PODS['two'][0]], port=PORT))
    until(lambda: len(table()['far4']) > len(before['far4']), 'it is there')
    after = table()
    assert nodes.tcp('client', '10.96.0.20', 80)['pod'] == 'two'
    assert {name: len(after[name]) - len(before[name]) for name in after if after[name] != before[name]} == {
        'far4': 1,
        'spare4': 16,
        'spareinner4': 1,
        'hairpin4': 1,
    }


def test_plain_tcp_goes_past_a_haproxy_that_is_away_and_back_to_it(nodes, agent):
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    agent.start()
    until(lambda: nodes.tcp('client', CLUSTER_IP[0], 80)['client'] != PODS['client'][0], 'HAProxy serves')
    with nodes.connected('client', CLUSTER_IP[0], 80):
        pids = agent.haproxies()
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        until(lambda: agent.times('plain TCP goes past HAProxy'), 'the way past')
        until(lambda: agent.times('plain TCP goes to HAProxy again') > 1 or agent.readiness() == 200, 'HAProxy is back')
        until(lambda: nodes.tcp('client', CLUSTER_IP[1], 80)['client'] != PODS['client'][1], 'HAProxy serves again')


def test_told_to_stop_a_node_serves_plain_tcp_by_the_kernel(nodes, agent):
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    agent.put('dns', *taken('one', name='dns', protocol='UDP', port_name='dns', clusterIPs=['10.96.0.11']))
    agent.start()
    assert agent.stop() == 0
    assert not agent.haproxies()
    for space in ('client', 'node', 'outside'):
        assert nodes.tcp(space, CLUSTER_IP[0], 80)['pod'] in ('one', 'three')
    assert nodes.udp('client', '10.96.0.11', 80)['pod'] == 'one'
    # Who comes next leads it to HAProxy again.
    agent.start()
    until(lambda: nodes.tcp('client', CLUSTER_IP[0], 80)['client'] != PODS['client'][0], 'HAProxy serves')


def test_under_load_the_way_past_haproxy_opens_and_closes_without_a_lost_connection(nodes, agent):
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    where = (CLUSTER_IP[0], CLUSTER_IP[1], EXTERNAL[0])
    clients = Clients(*(partial(nodes.tcp, space, at, 80) for space in ('client', 'node', 'outside') for at in where))
    try:
        for _ in range(2):
            clients.more()
            assert agent.stop() == 0
            # HAProxy is gone, and the kernel alone serves.
            assert not agent.haproxies()
            clients.more()
            agent.start()
            until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves again')
        clients.more()
    finally:
        lost = clients.stop()
    assert lost == []


def test_a_process_of_the_host_on_the_same_port_keeps_it(nodes, agent):
    """Before the agent, and after it: no address of a Service is bound, and no port is occupied."""
    agent.put('web', *taken('one', annotations=BY_HAPROXY))
    said = b'{"pod": "the host"}\n'

    def serve(listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(100)
                connection.sendall(said)

    def listen(port):
        found = socket.create_server(('0.0.0.0', port))
        threading.Thread(target=serve, args=(found,), daemon=True).start()
        return found

    with listen(80) as before:
        agent.start()
        # The port of the Service's node port, too: on the node's own addresses that one is the Service's.
        with listen(30080) as after:
            for space in ('client', 'outside', 'node'):
                assert nodes.tcp(space, NODE[0], 80)['pod'] == 'the host'
                for address, port in ((CLUSTER_IP[0], 80), (EXTERNAL[0], 80), (NODE[0], 30080)):
                    assert nodes.tcp(space, address, port)['pod'] == 'one', (space, address)
            assert nodes.tcp('node', '127.0.0.1', 30080)['pod'] == 'the host'
            after.shutdown(socket.SHUT_RDWR)
        before.shutdown(socket.SHUT_RDWR)


def test_traffic_goes_on_while_the_agent_is_dead(nodes, agent):
    agent.put('web', *taken('one', port_name='http'))
    agent.start()
    agent.kill()
    assert nodes.http('client', CLUSTER_IP[0], 80)[0] == 200
    before = table()
    agent.start()
    assert nodes.http('client', CLUSTER_IP[0], 80)[0] == 200
    assert table() == before
    assert not agent.times('reloading')


def test_after_a_boot_the_last_good_state_serves_before_the_source_is_there(nodes, agent):
    agent.put('web', *taken('one', port_name='http'))
    agent.start()
    until((agent.state / 'table.nft').exists, 'the table is kept')
    # One that comes later is appended to it, and so are its other endpoints.
    for pod in ('two', 'three'):
        agent.put('later', *taken(pod, name='later', clusterIPs=['10.96.0.12']))
        until(lambda: PODS[pod][0] in (agent.state / 'table.nft').read_text(), 'so is what comes later')  # noqa: B023
    until(lambda: 'shop_web_http' in (agent.state / 'current' / 'maps' / 'addresses.map').read_text(), 'it is promoted')
    agent.kill()
    for pid in agent.haproxies():
        os.kill(pid, signal.SIGKILL)
    until(lambda: not agent.haproxies(), 'HAProxy is gone')
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], check=True)
    # A source that is there, and cannot be read to its end.
    os.mkfifo(agent.source / 'late.yaml')
    agent.begin()
    until(lambda: agent.times('serving the last good state'), 'it serves what was good')
    assert nodes.http('client', CLUSTER_IP[0], 80)[0] == 200
    assert nodes.tcp('client', '10.96.0.12', 80)['pod'] == 'three'
    assert agent.times('serving') == 1


def test_cleanup_leaves_nothing_behind(nodes, agent):
    agent.put('web', *taken('one'))
    agent.start()
    agent.stop()
    subprocess.run([HEADRACE, 'cleanup', '--state', agent.state], check=True, capture_output=True)
    assert (
        'headrace' not in subprocess.run(['nft', 'list', 'ruleset'], capture_output=True, text=True, check=True).stdout
    )
    assert 'fd68' not in nodes.spaces['node'].run('ip', '-6', 'route', 'show', 'table', 'local')
    assert not (agent.state / 'table.nft').exists()


def test_an_agent_that_serves_no_service_any_more_removes_table_route_and_file(nodes, agent):
    agent.put('web', *taken('one'))
    agent.start()
    until((agent.state / 'table.nft').exists, 'the table is kept')
    told = partial(nodes.spaces['node'].run, 'nft', 'list', 'table', 'inet', 'headrace')
    until(lambda: CLUSTER_IP[0] in told(), 'the Service is served')
    agent.drop('web')
    until(lambda: CLUSTER_IP[0] not in told(), 'the Service is let go')
    agent.stop()
    assert agent.times('removed the table: no Service is served here any more') == 1
    assert 'headrace' not in nodes.spaces['node'].run('nft', 'list', 'ruleset')
    assert 'fd68' not in nodes.spaces['node'].run('ip', '-6', 'route', 'show', 'table', 'local')
    assert not (agent.state / 'table.nft').exists()
