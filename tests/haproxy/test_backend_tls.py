"""BackendTLSPolicies by a real HAProxy: which endpoints are believed, and what becomes of requests where none can be."""

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support import certificates
from support.changing_edge import ChangingEdge
from support.edge import Endpoints, web
from support.gateways import backend_tls_policy, gateway, http_route, rule
from support.objects import ca_config_map

KEY, CERTIFICATE = certificates.for_names('a.example.com')
AUTHORITY = ca_config_map('ca', pem=CERTIFICATE.decode())
OTHER = ca_config_map('ca', pem=certificates.for_names('a.example.com')[1].decode())
SERVICES = ('good', 'wrong-host', 'system', 'closed', 'none')


@pytest.fixture(scope='module')
def served():
    """An edge, its documents without authorities, and the endpoints; each Service has a path of its name."""
    with Endpoints(certificates.server_context(KEY, CERTIFICATE)) as endpoints:
        services = [item for name in SERVICES for item in web(name, endpoints, host='', **{'class': 'other'})]
        rules = [rule(name, path=f'/{name}') for name in SERVICES]
        documents = (
            *services,
            gateway(),
            http_route('r', *rules, hostnames=['a.com']),
            backend_tls_policy('good', 'good', authorities=['ca']),
            backend_tls_policy('wrong-host', 'wrong-host', authorities=['ca'], hostname='b.example.com'),
            backend_tls_policy('system', 'system', system=True),
            backend_tls_policy('closed', 'closed', authorities=['absent']),
        )
        settings = {'secrets': Secrets(namespaces=('shop',))}
        with ChangingEdge(binary('haproxy-3.4'), *documents, AUTHORITY, **settings) as edge:
            yield edge, documents, endpoints


def status(edge, name):
    return edge.get('a.com', f'/{name}').status


def test_an_endpoint_is_believed_whose_certificate_is_for_the_host_and_of_the_authority(served):
    edge, _, endpoints = served
    endpoints.names.clear()
    assert status(edge, 'good') == 200
    assert endpoints.names == ['a.example.com']


@pytest.mark.parametrize('name', ['wrong-host', 'system'])
def test_an_endpoint_of_another_host_or_authority_gets_no_request(served, name):
    assert status(served[0], name) == 503


def test_requests_for_a_target_whose_policy_cannot_be_kept_get_500(served):
    assert status(served[0], 'closed') == 500


def test_authorities_change_without_a_reload(served):
    edge, documents, _ = served
    before, after, gone = (*documents, AUTHORITY), (*documents, OTHER), documents
    assert edge.change(before, after) == []
    assert status(edge, 'good') == 503
    assert edge.change(after, gone) == []
    assert [status(edge, name) for name in ('good', 'wrong-host', 'system')] == [500, 500, 503]
    assert edge.change(gone, before) == []
    assert [status(edge, name) for name in ('good', 'wrong-host')] == [200, 503]


def test_a_policy_for_the_system_s_authorities_comes_without_a_reload(served):
    edge, documents, _ = served
    before = (*documents, AUTHORITY)
    after = (*before, backend_tls_policy('late', 'none', system=True))
    assert status(edge, 'none') == 502
    assert edge.change(before, after) == []
    assert status(edge, 'none') == 503
    assert edge.change(after, before) == []
