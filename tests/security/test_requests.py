"""Requests and clients that try to get past a route's own rules, on a real HAProxy."""

import contextlib
import socket
import threading

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support.edge import Edge, Endpoints
from support.objects import endpoint_slice, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
ONE, TWO = '198.51.100.1', '198.51.100.2'


class Relay:
    """A port that leads to another one, as an address of a Service or of a load balancer does; `count` are its connections."""

    def __init__(self):
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.to, self.count, self._held = 0, 0, []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                self.count += 1
                server = socket.create_connection(('127.0.0.1', self.to), 10)
                self._held += [client, server]
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self):
        """End it, and its connections."""
        self.listener.shutdown(socket.SHUT_RDWR)
        for item in (self.listener, *self._held):
            item.close()


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


@pytest.fixture(scope='module')
def relays():
    found = [Relay(), Relay()]
    yield found
    for item in found:
        item.close()


def web(name, port, namespace='shop', address='127.0.0.1', **said):
    given = {key.replace('_', '-'): value for key, value in said.items()}
    return (
        service(name, namespace, annotations={'host': f'{name}.com', **given}, ports=HTTP),
        endpoint_slice(name, namespace=namespace, port=port, port_name='http', addresses=[address]),
    )


@pytest.fixture(scope='module')
def edge(endpoints, relays):
    documents = [
        *web('plain', endpoints.port),
        *web('loop', relays[0].port),
        *web('loop-with-settings', relays[0].port, hsts='1h', client_ip='none'),
        *web('health', relays[1].port),
        *web('sticky', endpoints.port, cookie='true'),
        *web('named', endpoints.port, cookie='my.cookie', hsts='1h'),
        *web('admin', endpoints.port),
        *web('guarded', endpoints.port, host='admin.com', path='/admin', deny='127.0.0.0/8'),
    ]
    with Edge(binary('haproxy-3.4'), *documents) as found:
        relays[0].to, relays[1].to = found.http, found.health
        yield found


@pytest.mark.parametrize('host', ['loop.com', 'loop-with-settings.com'])
def test_a_service_that_leads_to_its_own_route_ends_after_ten_passes(edge, relays, host):
    before = relays[0].count
    assert edge.get(host).status == 508
    assert relays[0].count - before <= 10


@pytest.mark.parametrize(('sent', 'status'), [(0, 200), (9, 200), (10, 508), (50, 508)])
def test_passes_are_counted_on_from_any_value_of_the_header(edge, sent, status):
    for headers in ([('X-Headrace-Hops', '1')] * sent, [('x-headrace-hops', ', '.join(['1'] * sent))] if sent else []):
        answer = edge.get('plain.com', headers=headers)
        assert answer.status == status
        if status == 200:
            seen = ', '.join(answer.said['headers']['x-headrace-hops'])
            assert len(seen.split(',')) == sent + 1


def test_a_client_cannot_have_the_count_taken_away(edge):
    answer = edge.get('plain.com', headers=[('Connection', 'x-headrace-hops')])
    assert len(answer.said['headers']['x-headrace-hops']) == 1


@pytest.mark.parametrize('path', ['/metrics', '/readyz'])
def test_headraces_own_ports_are_not_for_what_an_edge_passes_on(edge, path):
    assert edge.get('health.com', path).status == 404


ADMIN = [
    '/admin%00', '/admin%0a', '/admin%0A/x', '/admin%20', '/admin%20%20/', '/%20admin', '/%20/admin', '/admin%20;x', '/admin%7f', '/admin%1F',
    '/admin%09', '/%00admin', '/admin%5c', '/admin%2f', '/..%20/admin', '/x/..%20/admin',
]  # fmt: skip


@pytest.mark.parametrize('path', ADMIN)
def test_a_path_that_an_endpoint_may_read_as_a_guarded_one_is_refused(edge, path):
    assert edge.get('admin.com', '/admin').status == 403
    assert edge.get('admin.com', path).status in (400, 403)


@pytest.mark.parametrize('path', ['/my%20file', '/a%20b/c%20d', '/dir%20/x', '/%E2%82%AC', '/x%20', '/100%25'])
def test_blanks_and_other_escapes_that_mislead_no_route_are_served(edge, path):
    assert edge.get('admin.com', path).said['path'] == path


@pytest.mark.parametrize(('host', 'name'), [('sticky.com', 'headrace'), ('named.com', 'my.cookie')])
def test_a_sticky_cookie_is_secure_on_tls_and_comes_back_without(certified, host, name):
    over_tls = certified.get(host, sni=host).headers['set-cookie']
    assert over_tls.startswith(f'{name}=')
    assert '; Secure' in over_tls
    plain = certified.get(host).headers['set-cookie']
    assert plain.startswith(f'{name}=')
    assert 'ecure' not in plain
    assert 'SameSite=Lax' in plain
    assert plain == over_tls.replace('; Secure', '')


@pytest.fixture(scope='module')
def certified(endpoints):
    documents = [
        *web('sticky', endpoints.port, cookie='true', tls_secret='tls', tls_redirect='false'),
        *web('named', endpoints.port, cookie='my.cookie', hsts='1h', tls_secret='tls', tls_redirect='false'),
        tls_secret('tls'),
    ]
    with Edge(binary('haproxy-3.4'), *documents, secrets=Secrets(namespaces=('*',))) as found:
        yield found


SIX = '2001:db8:1:2'
# At most two clients of a namespace are counted one by one, and a table holds a hundred.
TABLE = {'table_size': 100, 'rate_limit_clients': 10}


@pytest.fixture
def proxied(endpoints):
    documents = [
        *web('few', endpoints.port, allow='198.51.100.1/32'),
        *web('rare', endpoints.port, rate_limit='2/h'),
        *web('open', endpoints.port, namespace='tenant-b', rate_limit='1/h'),
    ]
    with Edge(binary('haproxy-3.4'), *documents, trusted_proxies=('127.0.0.0/8',), **TABLE) as found:
        yield found


def asked(edge, host, client):
    return edge.get(host, headers=[('X-Forwarded-For', client)]).status


def test_an_ipv4_address_that_is_written_as_one_of_ipv6_is_that_client(proxied):
    assert [asked(proxied, 'few.com', client) for client in (ONE, f'::ffff:{ONE}', TWO, f'::ffff:{TWO}')] == [
        200,
        200,
        403,
        403,
    ]
    assert [asked(proxied, 'rare.com', client) for client in (ONE, f'::ffff:{ONE}', f'::ffff:{ONE}', ONE)] == [
        200,
        200,
        429,
        429,
    ]


def test_a_client_of_ipv6_is_a_network_of_64_bits(proxied):
    found = [asked(proxied, 'rare.com', f'{SIX}::{number}') for number in range(1, 5)]
    assert found == [200, 200, 429, 429]
    assert asked(proxied, 'rare.com', '2001:db8:1:3::1') == 200


def test_many_clients_of_one_namespace_push_out_no_client_of_another(proxied):
    assert [asked(proxied, 'rare.com', ONE) for _ in range(3)] == [200, 200, 429]
    found = [asked(proxied, 'open.com', f'2001:db8:9:{number:x}::1') for number in range(300)]
    # The clients that are counted one by one, and one more of all the others.
    assert found.count(200) == 11
    assert asked(proxied, 'rare.com', ONE) == 429
    used = int(proxied.haproxy.command('show table rate-1h').partition('used:')[2].split()[0])
    assert used <= 13
