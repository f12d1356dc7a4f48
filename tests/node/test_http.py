"""HTTP on a Service's own address, with what its annotations ask for: users, another path, a canary."""

import base64
import contextlib

from support.live import until
from support.nodes import PODS, PORT, answer
from support.objects import endpoint_slice, secret, service

ADDRESSES = ('10.96.0.10', 'fd00:96::10')


def web(agent, *more, **said):
    """Give the agent a Service of HTTP at both families' addresses, with pod `one`."""
    document = service(
        annotations={'proxy': 'node', **{key.replace('_', '-'): value for key, value in said.items()}},
        ports=[{'name': 'http', 'port': 80}],
        clusterIPs=[*ADDRESSES],
        ipFamilies=['IPv4', 'IPv6'],
    )
    slices = [
        endpoint_slice(
            name=f'web-{family.lower()}', addresses=[PODS['one'][index]], port=PORT, port_name='http', family=family
        )
        for index, family in enumerate(('IPv4', 'IPv6'))
    ]
    agent.put('web', document, *slices, *more)


def ask(nodes, address, path='/', **headers):
    """Return status and what the pod says of a request with these headers."""
    with contextlib.closing(nodes.connected('client', address, 80)) as connection:
        lines = [f'GET {path} HTTP/1.1', 'Host: any.example.com', 'Connection: close']
        lines += [f'{name}: {value}' for name, value in headers.items()]
        connection.sendall('\r\n'.join([*lines, '', '']).encode())
        status, _, said = answer(connection)
    return status, said


def test_users_come_from_a_secret_and_without_it_all_are_refused(nodes, agent):
    users = secret('users', username='ann', password='pw')
    users['type'] = 'kubernetes.io/basic-auth'
    web(agent, users, basic_auth_secret='users')
    agent.start()
    right, wrong = (base64.b64encode(f'ann:{word}'.encode()).decode() for word in ('pw', 'no'))
    for address in ADDRESSES:
        assert ask(nodes, address)[0] == 401
        assert ask(nodes, address, Authorization=f'Basic {wrong}')[0] == 401
        assert ask(nodes, address, Authorization=f'Basic {right}')[0] == 200
    web(agent, basic_auth_secret='users')
    until(lambda: ask(nodes, ADDRESSES[0], Authorization=f'Basic {right}')[0] == 503, 'it is closed')


def test_paths_are_rewritten_from_their_beginning(nodes, agent):
    web(agent, rewrite_path='/v2')
    agent.start()
    for address in ADDRESSES:
        assert ask(nodes, address, '/a?b=c')[1]['path'] == '/v2/a?b=c'
    web(agent, rewrite_path='/')
    until(lambda: ask(nodes, ADDRESSES[0], '/a')[1]['path'] == '/a', 'nothing is put before it')


def test_a_canary_gets_its_share_in_each_datapath_of_its_own_address(nodes, agent):
    following = service('next', ports=[{'name': 'http', 'port': 80}], clusterIPs=['10.96.0.77'])
    ends = endpoint_slice('next', addresses=[PODS['three'][0]], port=PORT, port_name='http')
    said = {'canary_service': 'next', 'canary_weight': '0', 'canary_header': 'X-Next'}
    web(agent, following, ends, **said)
    agent.start()
    for address in ADDRESSES:
        assert {ask(nodes, address)[1]['pod'] for _ in range(5)} == {'one'}
        assert {ask(nodes, address, **{'X-Next': 'always'})[1]['pod'] for _ in range(5)} == {'three'}
    web(agent, following, ends, **{**said, 'canary_weight': '100'})
    until(lambda: ask(nodes, ADDRESSES[0])[1]['pod'] == 'three', 'all go to the canary')


def test_a_fallback_serves_the_own_address_of_a_service_without_endpoints(nodes, agent):
    fallback = service('rest', ports=[{'name': 'http', 'port': 80}], clusterIPs=['10.96.0.77'])
    ends = endpoint_slice('rest', addresses=[PODS['three'][0]], port=PORT, port_name='http')
    document = service(
        annotations={'proxy': 'node', 'mode': 'http', 'fallback-service': 'rest'},
        ports=[{'name': 'http', 'port': 80}],
        clusterIPs=[*ADDRESSES],
        ipFamilies=['IPv4', 'IPv6'],
    )
    agent.put('web', document, fallback, ends)
    agent.start()
    assert [ask(nodes, address)[1]['pod'] for address in ADDRESSES] == ['three', 'three']


def test_another_service_authenticates_requests_in_each_datapath_of_its_own_address(nodes, agent):
    asked = service('auth', ports=[{'name': 'http', 'port': 80}], clusterIPs=['10.96.0.77'])
    ends = endpoint_slice('auth', addresses=[PODS['three'][0]], port=PORT, port_name='http')
    web(agent, asked, ends, external_auth_service='auth', external_auth_skip_paths='/open')
    agent.start()
    for address in ADDRESSES:
        # The pod that is asked answers 200 to all, and an endpoint that is not there to nothing.
        assert ask(nodes, address)[1]['pod'] == 'one'
    web(agent, asked, external_auth_service='auth', external_auth_skip_paths='/open')
    until(lambda: ask(nodes, ADDRESSES[0])[0] == 500, 'no endpoint can be asked')
    assert [ask(nodes, address, path)[0] for address in ADDRESSES for path in ('/open', '/open/../a')] == [200, 500] * 2


def status(connection):
    """Ask on a connection that is kept, and return the status; 0 when it has been closed instead."""
    connection.sendall(b'GET / HTTP/1.1\r\nHost: any.example.com\r\n\r\n')
    with connection.makefile('rb') as lines:
        first = lines.readline().split(b' ')
        length = 0
        while (header := lines.readline().strip().lower()) != b'':
            length = int(header.partition(b':')[2]) if header.startswith(b'content-length:') else length
        lines.read(length)
    return int(first[1]) if len(first) > 1 else 0


def test_a_kept_connection_gets_what_is_said_now_and_is_closed_when_the_service_goes_back(nodes, agent):
    web(agent)
    agent.start()
    kept = [nodes.connected('client', address, 80) for address in ADDRESSES]
    assert [status(connection) for connection in kept] == [200, 200]
    web(agent, allow='192.0.2.77')
    until(lambda: ask(nodes, ADDRESSES[0])[0] == 403, 'it is closed to this client')
    assert [status(connection) for connection in kept] == [403, 403]
    # Its next request would be answered with 503 for as long as the client keeps it, while kube-proxy serves all others.
    agent.drop('web')
    until(lambda: not agent.routes('addresses'), 'the Service is gone')
    assert [status(connection) for connection in kept] == [0, 0]
    for connection in kept:
        connection.close()
