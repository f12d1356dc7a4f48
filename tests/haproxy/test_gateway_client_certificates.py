"""The certificate of a Gateway shown to real endpoints that demand one: it comes, changes and goes without a reload."""

import contextlib
import ssl

import pytest

from conftest import binary
from headrace.settings.settings import Secrets
from support import certificates
from support.changing_edge import ChangingEdge
from support.edge import Endpoints, web
from support.gateways import backend_tls_policy, gateway, http_route, rule
from support.objects import ca_config_map, secret

KEY, CERTIFICATE = certificates.for_names('a.example.com')
KNOWN, UNKNOWN = certificates.for_names('known'), certificates.for_names('unknown')
FILE = 'certificates/shop_client.pem'
PLAIN = gateway()
SHOWING = gateway(spec={'tls': {'backend': {'clientCertificateRef': {'name': 'client'}}}})


def client(pair):
    key, certificate = (pem.decode() for pem in pair)
    return {**secret('client', 'shop', tls_crt=certificate, tls_key=key), 'type': 'kubernetes.io/tls'}


@contextlib.contextmanager
def endpoints_that_demand_a_certificate():
    context = certificates.server_context(KEY, CERTIFICATE)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=KNOWN[1].decode())
    with Endpoints(context) as found:
        yield found


@pytest.fixture(scope='module')
def served():
    """An edge with a route, and its documents without the Gateway and the Secret."""
    with endpoints_that_demand_a_certificate() as endpoints:
        documents = (
            *web('web', endpoints, host='', **{'class': 'other'}),
            http_route('r', rule('web'), hostnames=['a.com']),
            backend_tls_policy('policy', 'web', authorities=['ca']),
            ca_config_map('ca', pem=CERTIFICATE.decode()),
        )
        with ChangingEdge(
            binary('haproxy-3.4'), *documents, SHOWING, client(KNOWN), secrets=Secrets(namespaces=('shop',))
        ) as edge:
            yield edge, documents


def status(edge):
    return edge.get('a.com').status


def test_an_endpoint_that_demands_a_certificate_is_shown_it_from_the_start(served):
    edge, _ = served
    assert status(edge) == 200


def test_a_certificate_changes_goes_and_comes_without_a_reload(served):
    edge, documents = served
    known, unknown, without = (SHOWING, client(KNOWN)), (SHOWING, client(UNKNOWN)), (PLAIN,)
    assert edge.change(known, unknown, documents) == []
    assert status(edge) == 502
    assert edge.change(unknown, without, documents) == []
    assert status(edge) == 502
    assert FILE not in edge.haproxy.command('show ssl cert')
    assert edge.change(without, known, documents) == []
    assert status(edge) == 200


def test_an_endpoint_gets_no_certificate_whose_secret_is_gone(served):
    edge, documents = served
    before, after = (SHOWING, client(KNOWN)), (SHOWING,)
    assert edge.change(before, after, documents) == []
    assert status(edge) == 502
    assert edge.change(after, before, documents) == []
    assert status(edge) == 200


def test_authorities_of_endpoints_that_are_shown_a_certificate_go_without_a_reload(served):
    edge, documents = served
    policy = next(each for each in documents if each['kind'] == 'BackendTLSPolicy')
    others = [each for each in documents if each is not policy]
    before, after = (policy,), ()
    fixed = (*others, SHOWING, client(KNOWN))
    assert edge.change(before, after, fixed) == []
    assert 'shop_policy_policy' not in edge.haproxy.command('show ssl ca-file')
    assert edge.change(after, before, fixed) == []
    assert status(edge) == 200
