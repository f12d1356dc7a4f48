"""Hosts outside of the cluster that the class lets routes ask for external authentication, by a real HAProxy and a name server."""

import ssl

import pytest

from haproxy import test_external
from haproxy.test_external import served
from support import certificates
from support.authentication import Authentication
from support.edge import Endpoints, web

name_server = test_external.name_server


class Outside(Authentication):
    """An authentication server at all addresses of this machine, with TLS if it has a context."""

    def __init__(self, context=None):
        super().__init__(address='0.0.0.0')
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True)


@pytest.fixture(scope='module')
def endpoints():
    with Endpoints() as found:
        yield found


def edge(name_server, endpoints, scheme, host, port, **options):
    """Serve one host that asks this origin."""
    origin = f'{scheme}://{host}:{port}'
    documents = web('app', endpoints, external_auth_url=f'{origin}/verify?a=b')
    return served(name_server, documents, external_auth_hosts=(origin,), **options)


def test_a_host_of_the_class_is_asked_by_its_name(name_server, endpoints):
    with Outside() as server, edge(name_server, endpoints, 'http', 'out.example.net', server.port) as found:
        assert found.get('app.com').status == 200
        (asked,) = server.asked
        assert (asked.path, asked.header('host')) == ('/verify?a=b', f'out.example.net:{server.port}')
        server.answer = lambda _: (401, (), b'no')
        assert found.get('app.com').status == 401


@pytest.mark.parametrize(
    'seen',
    [
        pytest.param({'api_server': True}, id='from an API server, a name that leads to loopback'),
        pytest.param({'admin_ports': None}, id='from a folder, a name that leads to an own listener'),
    ],
)
def test_a_name_does_not_lead_to_headraces_own_network_or_listeners(name_server, endpoints, seen):
    with Outside() as server:
        seen = {key: frozenset((server.port,)) if value is None else value for key, value in seen.items()}
        with edge(name_server, endpoints, 'http', 'out.example.net', server.port, seen=seen) as found:
            assert found.get('app.com').status == 500
            assert server.asked == []


def test_a_name_that_leads_nowhere_closes(name_server, endpoints):
    with edge(name_server, endpoints, 'http', 'gone.example.net', 80) as found:
        assert found.get('app.com').status == 500


@pytest.mark.parametrize(('name', 'status'), [('out.example.net', 200), ('other.example.net', 500)])
def test_the_certificate_is_verified_for_the_name(name, status, name_server, endpoints, tmp_path, monkeypatch):
    key, certificate = certificates.for_names(name)
    file, authorities = tmp_path / 'tls.pem', tmp_path / 'authorities'
    file.write_bytes(key + certificate)
    authorities.mkdir()
    (authorities / 'one.pem').write_bytes(certificate)
    monkeypatch.setenv('SSL_CERT_DIR', str(authorities))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)
    with Outside(context) as server, edge(name_server, endpoints, 'https', 'out.example.net', server.port) as found:
        assert (found.get('app.com').status, len(server.asked)) == (status, int(status == 200))
