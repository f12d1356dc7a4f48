"""The healthCheckNodePort of a Service that the node serves: load balancers outside ask which nodes have endpoints."""

import json
import socket

from support.live import until
from support.nodes import NODE, PODS, PORT
from support.objects import endpoint_slice, node, service
from support.ports import reserve
from support.taken import taken

IP = {'clusterIP': '10.96.0.10', 'clusterIPs': ['10.96.0.10']}
LOCAL = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local'}


def web(agent, port, *pods, **more):
    """Give the agent a Service with this healthCheckNodePort, and with endpoints on their nodes."""
    ends = [
        {'addresses': [PODS[name][0]], 'nodeName': 'n2' if name == 'three' else 'n1', 'conditions': {'ready': True}}
        for name in pods
    ]
    spec = {**IP, **LOCAL, 'healthCheckNodePort': port, **more}
    document = service(annotations={'proxy': 'node'}, ports=[{'name': 'tcp', 'port': 80}], **spec)
    agent.put('web', document, endpoint_slice(endpoints=ends, port=PORT, port_name='tcp'))


def ask(nodes, port, path='/healthz', address=NODE[0]):
    """Return status, headers and body of a health check that comes from outside; None where nothing answers.

    A port that closes resets connections that are not accepted yet, and has no body once its Service is gone from the model.
    """
    came = b''
    try:
        with nodes.connected('outside', address, port) as connection:
            connection.sendall(f'GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'.encode())
            while part := connection.recv(65536):
                came += part
    except OSError:
        return None
    if not came:
        return None
    head, _, body = came.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    headers = dict(line.lower().split(': ', 1) for line in lines[1:])
    return int(lines[0].split()[1]), headers, json.loads(body) if body else None


def free():
    """Return a port that is free at all addresses, by then."""
    port, held = reserve('0.0.0.0')
    held.close()
    return port


def test_load_balancers_learn_which_node_has_endpoints(nodes, agent):
    port = free()
    web(agent, port, 'one', 'two', 'three')
    agent.start()
    until(lambda: ask(nodes, port) and ask(nodes, port)[0] == 200, 'it is listened on, and the table leads here')
    for path, address in (('/', NODE[0]), ('/healthz', NODE[1])):
        status, headers, body = ask(nodes, port, path, address)
        assert (status, headers['x-load-balancing-endpoint-weight'], headers['content-type'].partition(';')[0]) == (
            200,
            '2',
            'application/json',
        )
        assert body == {
            'service': {'namespace': 'shop', 'name': 'web'},
            'localEndpoints': 2,
            'serviceProxyHealthy': True,
        }
    web(agent, port, 'three')
    until(lambda: ask(nodes, port)[0] == 503, 'no endpoint is here')
    assert ask(nodes, port)[2]['localEndpoints'] == 0
    web(agent, port, 'one')
    until(lambda: ask(nodes, port)[0] == 200, 'one is here again')
    web(agent, port, 'one', externalTrafficPolicy='Cluster')
    until(lambda: ask(nodes, port) is None, 'it is closed')


def test_a_port_that_kube_proxy_still_has_is_listened_on_as_soon_as_it_lets_go(nodes, agent):
    with socket.create_server(('0.0.0.0', 0)) as held:
        port = held.getsockname()[1]
        web(agent, port, 'one')
        agent.start()
        until(lambda: f'health-check {port}' in agent.admin('/healthz')[1], 'it is told')
    until(lambda: ask(nodes, port) and ask(nodes, port)[0] == 200, 'it is listened on')
    until(lambda: f'health-check {port}' not in agent.admin('/healthz')[1], 'nothing is told any more')


def test_the_node_tells_its_health_as_kube_proxy_does(nodes, make_agent):
    port = free()
    agent = make_agent(nodeHealthzPort=port)
    agent.put('web', *taken('one'))
    agent.start()
    until(lambda: ask(nodes, port) and ask(nodes, port)[0] == 200, 'it is healthy')
    _, headers, body = ask(nodes, port)
    assert headers['x-content-type-options'] == 'nosniff'
    assert (body['nodeEligible'], body['healthy'], body['lastUpdated']) == (True, True, body['currentTime'])
    assert {family: said['healthy'] for family, said in body['status'].items()} == {'IPv4': True, 'IPv6': True}
    assert ask(nodes, port, '/livez', NODE[1])[0] == 200
    assert 'nodeEligible' not in ask(nodes, port, '/livez')[2]
    assert ask(nodes, port, '/metrics')[0] == 404
    leaving = node('n1', addresses=NODE)
    leaving['spec'] = {
        'podCIDRs': ['10.244.1.0/24', 'fd00:244:1::/64'],
        'taints': [{'key': 'ToBeDeletedByClusterAutoscaler', 'effect': 'NoSchedule'}],
    }
    agent.put('nodes', leaving)
    until(lambda: ask(nodes, port)[0] == 503, 'the Node is being removed')
    assert ask(nodes, port)[2]['nodeEligible'] is False
    assert ask(nodes, port, '/livez')[0] == 200
