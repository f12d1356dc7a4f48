"""TLS that is ended on TCP ports: a port shows no certificate of another namespace, and gets no client of its hosts."""

import contextlib
import json
import socket
import ssl

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, client_context, tcp, web
from support.objects import tls_secret

OLD, NEW = '2020-01-01T00:00:00Z', '2024-01-01T00:00:00Z'
A, B = '127.0.9.1', '127.0.9.2'


def of(namespace, created, documents):
    """Return documents as those of a namespace."""
    for each in documents:
        each['metadata'] |= {'namespace': namespace, 'creationTimestamp': created}
    return documents


@pytest.fixture(scope='module', params=[False, True], ids=['no default certificate', 'a default certificate'])
def edge(request):
    with Endpoints() as endpoints:
        documents = [
            *of('tenant-a', OLD, web('own', endpoints, host='shop.example.com', tls_secret='tls')),
            *of('tenant-a', OLD, web('wild', endpoints, host='*.wild.com', tls_secret='tls')),
            *of('tenant-a', OLD, web('plain', endpoints, host='plain.example.com', path='/app')),
            *of('tenant-a', OLD, web('any', endpoints, host='*.plain.com')),
            *of('tenant-b', NEW, tcp('db', endpoints, 0, addresses=[B], tls_secret='tls', host='db.example.com')),
            *of('tenant-b', NEW, web('covering', endpoints, address=B, host='*.example.com', tls_secret='tls')),
            *of('tenant-b', NEW, web('site', endpoints, address=B, host='site.example.com', tls_secret='tls')),
            tls_secret('tls', 'tenant-a', 'a'),
            tls_secret('tls', 'tenant-b', 'b'),
            tls_secret('default', 'tenant-a', 'default'),
        ]
        more = {'default_certificate': 'tenant-a/default'} if request.param else {}
        with Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}, tcp_ports=1, **more) as found:
            yield found


def sent(edge, name):
    """Return the endpoint that gets what a client sends to tenant-b's port by a server name, None where none does."""
    came = b''
    with (
        contextlib.suppress(ssl.SSLError, ConnectionError),
        socket.create_connection(('127.0.0.1', edge.tcp[0]), timeout=10) as plain,
        client_context().wrap_socket(plain, server_hostname=name) as secured,
    ):
        secured.sendall(b'GET / HTTP/1.0\r\nCookie: session=1\r\n\r\n')
        while part := secured.recv(65536):
            came += part
    return json.loads(came.partition(b'\r\n\r\n')[2])['at'] if came else None


@pytest.mark.parametrize(
    'name',
    [
        'shop.example.com',
        'Shop.Example.com',
        'a.wild.com',
        'plain.example.com',
        'plain.example.com.',
        'b.plain.com',
        'b.plain.com.',
    ],
)
def test_a_tcp_port_gets_no_client_of_a_host_of_another_namespace(edge, name):
    assert sent(edge, name) is None


@pytest.mark.parametrize('name', ['db.example.com', 'site.example.com'])
def test_a_tcp_port_gets_the_clients_of_hosts_of_its_namespace(edge, name):
    assert sent(edge, name) == B


@pytest.mark.parametrize('name', [None, 'unnamed.org'])
def test_other_clients_of_a_tcp_port_get_the_default_certificate(edge, name):
    has_default = bool(edge.settings)
    assert sent(edge, name) == (B if has_default else None)
