"""Listeners of Gateways for TLS, by a real HAProxy: the name that a client asks for decides where its TLS ends."""

import collections
import contextlib
import json
import socket
import ssl

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support import certificates
from support.changing_edge import ChangingEdge
from support.edge import Endpoints, client_context, ended, web
from support.gateways import (
    GATEWAY_CLASS,
    OWN_NAMESPACE,
    backend,
    backend_tls_policy,
    gateway,
    l4_route,
    listener,
    slot_service,
)
from support.objects import ca_config_map
from support.ports import reserve_row

_PER_PROTOCOL = 2
NAMES = ('one', 'two', 'inner')
CERTIFICATES = {name: certificates.for_names(*hosts) for name, hosts in {
    'outer': ('ended.com', '*.ended.com'), 'endpoint': ('inner',)}.items()}  # fmt: skip


def tls(name, hostname=None, secret=None, port=443, **more):
    """Return a listener that passes TLS through, or ends it with the certificate of a Secret."""
    mode = {'mode': 'Terminate', 'certificateRefs': [{'name': secret}]} if secret else {'mode': 'Passthrough'}
    return listener(name, port, 'TLS', hostname, tls=mode, **more)


def route(name, *backends, hostnames=(), **more):
    """Return a TLSRoute."""
    return l4_route('TLSRoute', name, *backends, hostnames=hostnames, **more)


ROUTES = (
    route('exact', 'inner', hostnames=['a.com']),
    route('wild', 'inner', hostnames=['*.wild.com']),
    route('deep', backend('inner', 1), backend('gone', 0), hostnames=['*.deep.wild.com']),
    route('ended', 'one', hostnames=['ended.com', 'x.ended.com']),
    route('split', backend('one', 3), backend('two', 1), hostnames=['split.ended.com']),
    route('again', 'inner', hostnames=['again.ended.com']),
    route('gone', 'gone', hostnames=['gone.com']),
    route('all', 'inner', port=8443),
)


GATEWAY = gateway(
    'web',
    tls('a', 'a.com'),
    tls('gone', 'gone.com'),
    tls('wild', '*.wild.com'),
    tls('ended', 'ended.com', 'outer'),
    tls('below', '*.ended.com', 'outer'),
    tls('missing', 'missing.com', 'absent'),
    tls('any', None, port=8443),
    tls('own', 'own.any.com', port=8443),
)
SECRET = certificates.tls_secret('outer', *CERTIFICATES['outer'])
AUTHORITY = ca_config_map('ca', pem=CERTIFICATES['endpoint'][1].decode())
POLICY = backend_tls_policy('inner', 'inner', hostname='inner', authorities=['ca'])


@pytest.fixture(scope='module')
def services():
    """Two Services that speak in the clear, and one whose endpoints end TLS."""
    with Endpoints(certificates.server_context(*CERTIFICATES['endpoint'])) as secured, Endpoints() as plain:
        yield [
            item
            for number, name in enumerate(NAMES)
            for item in web(
                name, secured if name == 'inner' else plain, address=f'127.0.9.{number + 1}', host='', **{'class': 'x'}
            )
        ]


@contextlib.contextmanager
def in_cluster(*documents):
    """Return an edge, and the slots of the Gateway there by the port that clients know."""
    first, held = reserve_row(4 * _PER_PROTOCOL)
    ports = {443: first + 2 * _PER_PROTOCOL, 8443: first + 2 * _PER_PROTOCOL + 1}
    for each in held:
        each.close()
    settings = {'gateway_slots': _PER_PROTOCOL, 'gateway_first_slot': first, 'secrets': Secrets(namespaces=('shop',))}
    documents = (*documents, GATEWAY_CLASS, slot_service('web', ports))
    with ChangingEdge(binary('haproxy-3.4'), *documents, seen={'own_namespace': OWN_NAMESPACE}, **settings) as edge:
        yield edge, ports


@pytest.fixture(scope='module')
def slots(services):
    """The slots of a Gateway by the port that clients know, behind a HAProxy."""
    missing = route('missing', 'one', hostnames=['missing.com'])
    with in_cluster(*services, GATEWAY, SECRET, AUTHORITY, POLICY, *ROUTES, missing) as (_, ports):
        yield ports


def ask(port, name):
    """Return who shows a certificate for a name and who answers; None where the connection is refused."""
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(('127.0.0.1', port), timeout=10) as plain,
        client_context().wrap_socket(plain, server_hostname=name) as secured,
    ):
        pem = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True)).encode()
        secured.sendall(b'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
        answer = b''.join(iter(lambda: secured.recv(65536), b''))
        if answer:
            shown = next(name for name, (_, certificate) in CERTIFICATES.items() if certificate == pem)
            return shown, NAMES[int(json.loads(answer.partition(b'\r\n\r\n')[2])['at'][-1]) - 1]
    return None


@pytest.mark.parametrize(
    ('port', 'name', 'wanted'),
    [
        pytest.param(443, 'a.com', ('endpoint', 'inner'), id='passed through by its name'),
        pytest.param(443, 'A.com', ('endpoint', 'inner'), id='in capitals'),
        pytest.param(443, 'x.y.wild.com', ('endpoint', 'inner'), id='by a wildcard of several labels'),
        pytest.param(443, 'x.deep.wild.com', ('endpoint', 'inner'), id='by a longer wildcard'),
        pytest.param(443, 'wild.com', None, id='no host below the wildcard'),
        pytest.param(443, 'ended.com', ('outer', 'one'), id='ended by its name'),
        pytest.param(443, 'x.ended.com', ('outer', 'one'), id='ended below a wildcard'),
        pytest.param(443, 'again.ended.com', ('outer', 'inner'), id='ended, and encrypted again'),
        pytest.param(443, 'y.ended.com', None, id='no route of its listener'),
        pytest.param(443, 'gone.com', None, id='no backend'),
        pytest.param(443, 'missing.com', None, id='no certificate'),
        pytest.param(443, 'other.com', None, id='no listener'),
        pytest.param(443, None, None, id='no name'),
        pytest.param(8443, 'other.com', ('endpoint', 'inner'), id='a listener for all names'),
        pytest.param(8443, None, ('endpoint', 'inner'), id='no name, and a listener for all'),
        pytest.param(8443, 'own.any.com', ('endpoint', 'inner'), id='a route of all listeners of a port'),
    ],
)
def test_the_name_that_a_client_asks_for_decides_where_its_connection_goes(slots, port, name, wanted):
    assert ask(slots[port], name) == wanted


def test_connections_whose_tls_ends_here_are_shared_by_weight(slots):
    counts = collections.Counter(ask(slots[443], 'split.ended.com') for _ in range(200))
    assert counts.keys() == {('outer', 'one'), ('outer', 'two')}
    # Beyond six deviations from a quarter.
    assert 12 < counts['outer', 'two'] < 88


def test_what_is_no_tls_is_rejected(slots):
    assert ended(slots[8443], b'GET / HTTP/1.1\r\nHost: a.com\r\n\r\n')[0] == b''


def test_routes_come_and_go_without_a_reload(services):
    before, after = (*services, GATEWAY, SECRET), (*services, GATEWAY, SECRET, *ROUTES)
    with in_cluster(*before) as (edge, ports):
        assert [ask(ports[443], name) for name in ('a.com', 'ended.com')] == [None, None]
        assert edge.change(before, after, edge.documents[-2:]) == []
        assert [ask(ports[443], name) for name in ('a.com', 'ended.com', 'x.y.wild.com')] == [
            ('endpoint', 'inner'),
            ('outer', 'one'),
            ('endpoint', 'inner'),
        ]
        assert edge.change(after, before, edge.documents[-2:]) == []
        assert [ask(ports[443], name) for name in ('a.com', 'ended.com')] == [None, None]


@pytest.mark.parametrize(
    'policy',
    [
        pytest.param(backend_tls_policy('inner', 'inner', hostname='other', authorities=['ca']), id='another host'),
        pytest.param(backend_tls_policy('inner', 'inner', hostname='inner', authorities=['absent']), id='no authority'),
    ],
)
def test_a_policy_of_endpoints_comes_without_a_reload_and_ends_what_it_does_not_allow(services, policy):
    before = (*services, GATEWAY, SECRET, AUTHORITY, *ROUTES)
    with in_cluster(*before) as (edge, ports):
        assert ask(ports[443], 'again.ended.com') is None
        assert edge.change(before, (*before, POLICY), edge.documents[-2:]) == []
        assert ask(ports[443], 'again.ended.com') == ('outer', 'inner')
        assert edge.change((*before, POLICY), (*before, policy), edge.documents[-2:]) == []
        assert [ask(ports[443], name) for name in ('again.ended.com', 'a.com')] == [None, ('endpoint', 'inner')]
