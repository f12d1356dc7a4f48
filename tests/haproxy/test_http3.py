"""HTTP/3 by a real client: the same routes and rules as over TCP, and nothing where it cannot be."""

import contextlib
import json

import pytest

from conftest import binary
from headrace.names import Ref
from headrace.translate import placeholder_certificates
from support import http3
from support.edge import Edge, Endpoints, web
from support.objects import ca_secret, secret, tls_secret


def services(endpoints):
    groups = (
        web('shop', endpoints, tls_secret='t', hsts='1h'),
        web('bare', endpoints, tls_secret='t'),
        web('shown', endpoints, tls_secret='t', client_ca_secret='ca'),
        web('locked', endpoints, tls_secret='t', basic_auth_secret='users'),
        web('denied', endpoints, tls_secret='t', deny='127.0.0.0/8'),
        web('small', endpoints, tls_secret='t', max_body_size='4'),
    )
    secrets = (tls_secret('t'), ca_secret('ca', seed='client'), secret('users', username='ann', password='x'))
    return [*secrets, *(item for group in groups for item in group)]


@pytest.fixture(scope='module')
def made():
    """What makes edges; all end with the module."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())

        def start(**settings):
            edge = Edge(binary('haproxy-3.4'), *services(endpoints), seen={'all_secrets': True}, **settings)
            return closing.enter_context(edge)

        yield start


@pytest.fixture(scope='module')
def edge(made):
    return made(http3=True, access_log='stdout')


def test_a_request_is_served_and_the_endpoint_sees_https(edge):
    answer = http3.get(edge.https, 'shop.com', path='/a?b', headers=[('x-mine', 'yes')])[0]
    assert (answer.status, answer.said['path']) == (200, '/a?b')
    seen = answer.said['headers']
    assert (seen['x-forwarded-proto'], seen['x-forwarded-for'], seen['host']) == (
        ['https'],
        ['127.0.0.1'],
        ['shop.com'],
    )
    assert seen['x-mine'] == ['yes']
    assert answer.headers['strict-transport-security'] == 'max-age=3600'


def test_a_body_of_many_packets_arrives(edge):
    assert http3.get(edge.https, 'bare.com', method='POST', body=b'x' * 300_000)[0].said['length'] == 300_000


def test_the_rules_of_routes_hold(edge):
    assert http3.get(edge.https, 'locked.com')[0].status == 401
    assert http3.get(edge.https, 'denied.com')[0].status == 403
    assert (
        http3.get(edge.https, 'small.com', method='POST', body=b'12345', headers=[('content-length', '5')])[0].status
        == 413
    )


def test_a_connection_is_good_for_the_host_it_was_made_for(edge):
    assert [answer.status for answer in http3.get(edge.https, 'bare.com', 'shop.com')] == [200, 421]


def test_an_unknown_name_is_refused_without_a_default_certificate(edge):
    with pytest.raises(ConnectionError):
        http3.get(edge.https, 'unknown.com')


def test_a_client_has_to_show_its_certificate(edge, tmp_path):
    path = tmp_path / 'client.pem'
    path.write_bytes(placeholder_certificates.certificate(Ref('Secret', '', 'client'))[0])
    assert http3.get(edge.https, 'shown.com', certificate=str(path))[0].status == 200
    with pytest.raises(ConnectionError):
        http3.get(edge.https, 'shown.com')


def test_answers_over_tls_tell_of_it_and_those_in_the_clear_do_not(edge):
    told = 'h3=":443"; ma=86400'
    assert edge.get('shop.com', sni='shop.com').headers['alt-svc'] == told
    assert edge.get('bare.com', sni='bare.com').headers['alt-svc'] == told
    assert 'alt-svc' not in edge.get('unknown.com').headers


def test_a_request_is_in_the_log(edge):
    http3.get(edge.https, 'bare.com', path='/logged')
    lines = (edge.haproxy.sockets / 'log').read_text().splitlines()
    line = next(json.loads(line) for line in lines if '"/logged"' in line)
    assert (line['version'], line['status'], line['client']) == ('HTTP/3.0', 200, '127.0.0.1')


def test_without_the_setting_no_port_is_open_and_none_is_advertised(made):
    edge = made()
    assert 'alt-svc' not in edge.get('shop.com', sni='shop.com').headers
    with pytest.raises((ConnectionError, TimeoutError)):
        http3.get(edge.https, 'shop.com', seconds=1.0)


def test_a_haproxy_without_quic_serves_the_rest_and_promises_nothing(made):
    edge = made(quic=False, http3=True)
    answer = edge.get('shop.com', sni='shop.com')
    assert answer.status == 200
    assert 'alt-svc' not in answer.headers
