"""Listeners of Gateways that end TLS, by a real HAProxy: whose certificate is shown, and which requests a connection can bring."""

import contextlib
import http.client
import json
import socket
import ssl

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support import certificates
from support.changing_edge import ChangingEdge
from support.edge import Edge, Endpoints, client_context, web
from support.gateways import (
    GATEWAY_CLASS,
    OWN_NAMESPACE,
    gateway,
    grant,
    http_route,
    listener,
    redirect,
    rule,
    slot_service,
)
from support.ports import reserve_row

NAMES = ('one', 'two')
PEMS = {
    name: certificates.for_names(*hosts)
    for name, hosts in {
        'any': ('any.com', '*.any.com'),
        'a': ('a.com',),
        'wild': ('*.example.com',),
        'foreign': ('foreign.com',),
    }.items()
}
SECRETS = Secrets(namespaces=('shop', 'other'))
RSA = certificates.for_names('a.com', kind='RSA')
MATERIAL = [certificates.tls_secret(name, *pem) for name, pem in PEMS.items()]
MATERIAL.append(certificates.tls_secret('a-rsa', *RSA))
MATERIAL[3]['metadata']['namespace'] = 'other'


def https(name, hostname=None, *secrets, port=443, **more):
    """Return a listener that ends TLS with the certificates of some Secrets, by name or reference."""
    refs = [each if isinstance(each, dict) else {'name': each} for each in secrets]
    return listener(name, port, 'HTTPS', hostname, tls={'certificateRefs': refs}, **more)


GATEWAY = gateway(
    'web',
    https('any', None, 'any'),
    https('a', 'a.com', 'a', 'a-rsa'),
    https('wild', '*.example.com', 'wild'),
    https('inner', 'inner.example.com', 'wild'),
    https('foreign', 'foreign.com', {'name': 'foreign', 'namespace': 'other'}),
    https('missing', 'missing.com', 'missing'),
    https('strict', 'a.com', 'a', port=8443),
)
ROUTES = (
    http_route('any', rule('one', path='/'), parents=[{'name': 'web', 'sectionName': 'any'}]),
    http_route('a', rule('two'), rule(path='/moved', filters=[redirect()]), hostnames=['a.com']),
    http_route('wild', rule('one'), parents=[{'name': 'web', 'sectionName': 'wild'}]),
    http_route('inner', rule('two'), parents=[{'name': 'web', 'sectionName': 'inner'}]),
    http_route('rest', rule('two'), hostnames=['foreign.com', 'missing.com']),
)
GRANT = grant('foreign', namespace='other', kind='Gateway', target='Secret')


@pytest.fixture(scope='module')
def endpoints():
    """Two Services."""
    with Endpoints() as found:
        yield [
            item
            for number, name in enumerate(NAMES)
            for item in web(name, found, address=f'127.0.9.{number + 1}', host='', **{'class': 'other'})
        ]


@contextlib.contextmanager
def in_cluster(*documents):
    """Return an edge in a cluster, and the ports of the Gateway there by the number that clients know."""
    first, held = reserve_row(8)
    ports = {443: first + 2, 8443: first + 3}
    seen = {'own_namespace': OWN_NAMESPACE}
    settings = {'gateway_slots': 2, 'gateway_first_slot': first, 'secrets': SECRETS}
    documents = (GATEWAY_CLASS, *documents, slot_service('web', ports))
    for each in held:
        each.close()
    with ChangingEdge(binary('haproxy-3.4'), *documents, seen=seen, **settings) as edge:
        yield edge, ports


@pytest.fixture(scope='module')
def slots(endpoints):
    """An edge in a cluster with all listeners."""
    with in_cluster(*endpoints, GATEWAY, GRANT, *ROUTES, *MATERIAL) as found:
        yield found


@pytest.fixture(scope='module', params=['without', 'with a default certificate'])
def shared(endpoints, request):
    """An edge outside a cluster, where the listeners are at the class's own port."""
    settings = {'secrets': SECRETS}
    if request.param != 'without':
        settings['default_certificate'] = 'shop/any'
    with Edge(binary('haproxy-3.4'), *endpoints, GATEWAY, GRANT, *ROUTES, *MATERIAL, **settings) as edge:
        yield edge


def shown(port, name, ciphers=None):
    """Return the certificate that a client sees, None where the connection is refused."""
    context = client_context()
    if ciphers is not None:
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(ciphers)
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(('127.0.0.1', port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname=name) as secured,
    ):
        secured.sendall(b'GET / HTTP/1.1\r\nHost: a.com\r\nConnection: close\r\n\r\n')
        if secured.recv(1):
            return ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True)).encode()
    return None


def ask(port, name, host, path='/'):
    """Return status, Location and what the endpoint saw of a request over a connection with a name."""
    with contextlib.closing(http.client.HTTPConnection('127.0.0.1', port, timeout=10)) as connection:
        connection.connect()
        connection.sock = client_context().wrap_socket(connection.sock, server_hostname=name)
        connection.request('GET', path, headers={'Host': host})
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, answer.getheader('Location'), json.loads(body) if body.startswith(b'{') else None


@pytest.mark.parametrize(
    ('port', 'name', 'certificate'),
    [
        pytest.param(443, 'a.com', 'a', id='host'),
        pytest.param(443, 'x.example.com', 'wild', id='wildcard'),
        pytest.param(443, 'foreign.com', 'foreign', id='certificate of another namespace'),
        pytest.param(443, 'missing.com', None, id='host without a certificate'),
        pytest.param(443, 'unknown.com', 'any', id='any other name'),
        pytest.param(443, None, 'any', id='no name'),
        pytest.param(8443, 'a.com', 'a', id='another port'),
        pytest.param(8443, 'any.com', None, id='a name of no listener'),
        pytest.param(8443, None, None, id='no name where all listeners have hosts'),
    ],
)
def test_a_slot_shows_the_certificates_of_its_listeners_alone(slots, port, name, certificate):
    assert shown(slots[1][port], name) == (PEMS[certificate][1] if certificate else None)


def test_each_client_gets_the_certificate_that_it_can_use(slots):
    assert shown(slots[1][443], 'a.com', 'ECDHE-RSA-AES128-GCM-SHA256') == RSA[1]
    assert shown(slots[1][443], 'a.com', 'ECDHE-ECDSA-AES128-GCM-SHA256') == PEMS['a'][1]


@pytest.mark.parametrize(
    ('name', 'host', 'expected'),
    [
        pytest.param('a.com', 'a.com', 'two', id='host'),
        pytest.param('a.com', 'a.com:443', 'two', id='host with a port'),
        pytest.param('any.com', 'any.com', 'one', id='any host'),
        pytest.param('any.com', 'else.com', 'one', id='another host of the same listener'),
        pytest.param('x.example.com', 'y.example.com', 'one', id='another host of the same wildcard'),
        pytest.param('a.com', 'any.com', 421, id='host of another listener'),
        pytest.param('x.example.com', 'inner.example.com', 421, id='host of a listener below a wildcard'),
        pytest.param('inner.example.com', 'x.example.com', 421, id='host of a wildcard above'),
        pytest.param('unknown.com', 'a.com', 421, id='host of a listener from a connection for any host'),
        pytest.param('any.com', 'missing.com', 421, id='host of a listener without a certificate'),
        pytest.param('foreign.com', 'foreign.com', 'two', id='certificate of another namespace'),
    ],
)
def test_a_connection_brings_requests_of_its_own_listener_alone(slots, name, host, expected):
    status, _, seen = ask(slots[1][443], name, host)
    assert (NAMES[int(seen['at'][-1]) - 1] if seen else status) == expected


def test_endpoints_and_redirects_get_scheme_and_port_as_clients_know_them(slots):
    edge, ports = slots
    del edge
    _, _, seen = ask(ports[8443], 'a.com', 'a.com')
    assert seen['headers']['x-forwarded-proto'] == ['https']
    assert seen['headers']['x-forwarded-port'] == ['8443']
    assert ask(ports[8443], 'a.com', 'a.com', '/moved')[1] == 'https://a.com:8443/moved'
    assert ask(ports[443], 'a.com', 'a.com', '/moved')[1] == 'https://a.com/moved'


def test_clients_can_have_http_2(slots):
    context = client_context()
    context.set_alpn_protocols(['h2', 'http/1.1'])
    with (
        socket.create_connection(('127.0.0.1', slots[1][443]), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname='a.com') as secured,
    ):
        assert secured.selected_alpn_protocol() == 'h2'


@pytest.mark.parametrize(
    ('name', 'certificate'),
    [
        ('a.com', 'a'),
        ('x.example.com', 'wild'),
        ('foreign.com', 'foreign'),
        ('any.com', 'any'),
    ],
)
def test_at_the_port_of_the_class_listeners_show_their_certificates(shared, name, certificate):
    assert shown(shared.https, name) == PEMS[certificate][1]


@pytest.mark.parametrize(
    ('name', 'expected'),
    [('a.com', 'two'), ('x.example.com', 'one'), ('inner.example.com', 'two'), ('any.com', 'one')],
)
def test_at_the_port_of_the_class_listeners_serve_their_routes(shared, name, expected):
    status, _, seen = ask(shared.https, name, name)
    assert (NAMES[int(seen['at'][-1]) - 1] if seen else status) == expected
    assert seen['headers']['x-forwarded-proto'] == ['https']


def test_at_the_port_of_the_class_a_connection_brings_requests_of_its_own_listener_alone(shared):
    assert ask(shared.https, 'a.com', 'any.com')[0] == 421
    assert ask(shared.https, 'x.example.com', 'inner.example.com')[0] == 421


def test_no_certificate_of_the_class_takes_the_place_of_a_listener_s(shared):
    if 'default_certificate' in shared.settings:
        assert ask(shared.https, 'missing.com', 'missing.com')[0] in (404, 421)
    else:
        assert shown(shared.https, 'missing.com') is None


def test_listeners_and_their_certificates_come_and_go_without_a_reload(endpoints):
    few = gateway('web', https('wild', '*.example.com', 'wild'), https('a', 'a.com', 'missing'))
    before = (*endpoints, few, GRANT, *ROUTES, MATERIAL[2])
    after = (*endpoints, GATEWAY, GRANT, *ROUTES, *MATERIAL)
    with in_cluster(*before) as (edge, ports):
        slot = ports[443]
        assert [shown(slot, name) for name in ('a.com', 'any.com', 'x.example.com')] == [None, None, PEMS['wild'][1]]
        assert edge.change(before, after, (GATEWAY_CLASS, edge.documents[-1])) == []
        assert [shown(slot, name) for name in ('a.com', 'any.com')] == [PEMS['a'][1], PEMS['any'][1]]
        assert ask(slot, 'a.com', 'a.com')[0] == 200
        assert edge.change(after, before, (GATEWAY_CLASS, edge.documents[-1])) == []
        assert [shown(slot, name) for name in ('a.com', 'any.com', 'x.example.com')] == [None, None, PEMS['wild'][1]]
