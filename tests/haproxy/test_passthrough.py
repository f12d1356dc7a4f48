"""TLS that is passed through by its server name, beside TLS that is ended here, on one port."""

import contextlib
import json
import socket
import ssl

import pytest

from conftest import binary
from headrace.names import Ref
from headrace.translate import placeholder_certificates
from support.edge import Edge, Endpoints, client_context, web
from support.objects import tls_secret

PASSED, ENDED, PLAIN = '127.0.9.1', '127.0.9.2', '127.0.9.3'


def authority(seed):
    return placeholder_certificates.certificate(Ref('Secret', '', seed))


@pytest.fixture(scope='module')
def endpoints(tmp_path_factory):
    """Endpoints that end TLS themselves, and such that speak in the clear."""
    path = tmp_path_factory.mktemp('endpoint') / 'endpoint.pem'
    path.write_bytes(authority('inner')[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    with Endpoints(context) as secured, Endpoints() as plain:
        yield secured, plain


@pytest.fixture(scope='module')
def edge(endpoints):
    secured, plain = endpoints
    passed = {'mode': 'tls-passthrough', 'address': PASSED}
    groups = (
        web('one', secured, **passed),
        web('wild', secured, host='*.wild.com', **passed),
        web('denied', secured, deny='127.0.0.0/8', **passed),
        web('allowed', secured, allow='127.0.0.0/8', **passed),
        web('closed', secured, allow='nonsense', **passed),
        web('rated', secured, rate_limit='2/h', **passed),
        web('nobody', secured, mode='tls-passthrough', address='127.0.9.9')[:1],
        web('ended', plain, address=ENDED, tls_secret='tls'),
        web('inside', plain, host='inside.wild.com', address=ENDED, tls_secret='tls'),
        web('clear', plain, address=PLAIN),
        web('plain', plain, host='plain.wild.com', address=PLAIN),
        web('judged', plain, host='judged.wild.com', path='/(a|b)', path_type='RegularExpression', address=PLAIN),
        (tls_secret('tls'),),
    )
    documents = [item for group in groups for item in group]
    with Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}) as found:
        yield found


def who(edge, name, host=None):
    """Return at which endpoint a request by TLS arrives, its headers, and the certificate that the client saw."""
    with (
        socket.create_connection(('127.0.0.1', edge.https), timeout=10) as plain,
        client_context().wrap_socket(plain, server_hostname=name) as secured,
    ):
        seen = ssl.DER_cert_to_PEM_cert(secured.getpeercert(binary_form=True))
        secured.sendall(f'GET / HTTP/1.1\r\nHost: {host or name}\r\nConnection: close\r\n\r\n'.encode())
        came = b''
        with contextlib.suppress(ssl.SSLError):
            while part := secured.recv(65536):
                came += part
    said = json.loads(came.partition(b'\r\n\r\n')[2])
    return said['at'], said['headers'], seen.encode() in authority('inner')[0]


@pytest.mark.parametrize('name', ['one.com', 'ONE.com', 'a.wild.com', 'allowed.com'])
def test_tls_is_passed_through_by_its_server_name(edge, name):
    where, headers, inner = who(edge, name)
    assert (where, inner) == (PASSED, True)
    assert 'x-forwarded-for' not in headers


@pytest.mark.parametrize('name', ['ended.com', 'inside.wild.com'])
def test_tls_that_is_ended_here_is_ended_beside_it_and_knows_its_client(edge, name):
    where, headers, inner = who(edge, name)
    assert (where, inner) == (ENDED, False)
    assert headers['x-forwarded-for'] == ['127.0.0.1']
    assert headers['x-forwarded-proto'] == ['https']
    assert headers['x-forwarded-port'] == [str(edge.https)]


@pytest.mark.parametrize('name', ['plain.wild.com', 'judged.wild.com'])
def test_the_tls_of_a_host_without_any_of_its_own_is_that_of_its_namespaces_wildcard(edge, name):
    assert who(edge, name)[::2] == (PASSED, True)


def test_requests_in_the_clear_go_their_way(edge):
    assert edge.get('clear.com').said['at'] == PLAIN
    assert edge.get('one.com').status == 404


@pytest.mark.parametrize('name', ['denied.com', 'closed.com', 'nobody.com', 'unknown.com', 'a.b.wild.com', None])
def test_a_handshake_without_a_passthrough_route_fails(edge, name):
    with pytest.raises((ssl.SSLError, ConnectionError)):
        who(edge, name)


def test_connections_of_a_client_are_limited(edge):
    assert [who(edge, 'rated.com')[0] for _ in range(2)] == [PASSED] * 2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        who(edge, 'rated.com')
