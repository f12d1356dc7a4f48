"""Redirects, by a real HAProxy: parts of the request in their location, and nothing else of what a client sends."""

import contextlib
import ssl

import pytest

from conftest import binary
from support import certificates, wire
from support.edge import Edge, Endpoints, web
from support.objects import tls_secret

TARGETS = {
    'all': 'https://new.example.com$request_uri',
    'same': '$scheme://$host/moved$uri?was=$request_uri',
    'query': 'https://new.example.com/x$is_args$args',
    'args': '/new?a=1&$args',
    'www': '${scheme}://www.${host}:8443$uri',
}


@pytest.fixture(scope='module')
def edge():
    """An edge whose Services redirect, all hosts to one of them."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        documents = [item for name, to in TARGETS.items() for item in web(name, endpoints, redirect_to=to)]
        documents += [*web('any', endpoints, host='*', redirect_to='https://$host/'), tls_secret(name='t')]
        documents += web('tls', endpoints, tls_secret='t', tls_redirect='false', redirect_to='$scheme://$host/x')
        documents += web('rooted', endpoints, redirect_root='/app', tls_secret='t', max_body_size='10')
        documents += web('below', endpoints, path='/api', redirect_root='/api/start')
        documents += web('plain', endpoints, www_redirect='true')
        documents += web('name', endpoints, host='www.name.com', www_redirect='true', path='/x')
        documents += web('both', endpoints, host='both.com www.both.com', www_redirect='true')
        documents += [certificates.tls_secret('named', *certificates.for_names('sure.com', 'www.sure.com'))]
        documents += web('sure', endpoints, tls_secret='named', www_redirect='true', response_headers='X-A: 1')
        documents += web('half', endpoints, tls_secret='t', www_redirect='true')
        documents += web('unknown', endpoints, redirect_to='https://x.com/$remote_addr')
        yield closing.enter_context(Edge(binary('haproxy-3.4'), *documents, seen={'all_secrets': True}))


@pytest.mark.parametrize(
    ('host', 'path', 'location'),
    [
        ('all.com', '/a/b?c=d', 'https://new.example.com/a/b?c=d'),
        ('all.com', '/', 'https://new.example.com/'),
        ('all.com', '/a%20b?%0D%0AX:%201', 'https://new.example.com/a%20b?%0D%0AX:%201'),
        ('all.com', '/a?b|c', 'https://new.example.com/a?b%7Cc'),
        ('all.com', '//evil.com/', 'https://new.example.com//evil.com/'),
        ('same.com', '/a?b', 'http://same.com/moved/a?was=/a?b'),
        ('SAME.com:80', '/', 'http://same.com/moved/?was=/'),
        ('query.com', '/a?b=c', 'https://new.example.com/x?b=c'),
        ('query.com', '/a', 'https://new.example.com/x'),
        ('args.com', '/a?b=c', '/new?a=1&b=c'),
        ('www.com', '/a?b', 'http://www.www.com:8443/a'),
        ('else.com', '/', 'https://else.com/'),
        ('[::1]', '/', 'https://[::1]/'),
    ],
)
def test_variables_stand_for_parts_of_the_request(edge, host, path, location):
    answer = edge.get(host, path)
    assert (answer.status, answer.headers['location']) == (302, location)


def test_the_scheme_is_that_of_the_connection(edge):
    assert edge.get('tls.com', sni='tls.com').headers['location'] == 'https://tls.com/x'
    assert edge.get('tls.com').headers['location'] == 'http://tls.com/x'


@pytest.mark.parametrize('host', ['a/b', 'a@b', 'a b', 'a\\b', '"a"', 'a<b'])
def test_a_host_that_is_none_is_sent_nowhere(edge, host):
    with contextlib.closing(wire.connect(edge.http)) as connection:
        came = wire.send(connection, f'GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n'.encode())
    assert wire.statuses(came) == [400]
    assert b'location' not in came.lower()


def test_a_target_without_a_path_leads_to_none_that_names_a_host(edge):
    with contextlib.closing(wire.connect(edge.http)) as connection:
        came = wire.send(connection, b'OPTIONS * HTTP/1.1\r\nHost: all.com\r\nConnection: close\r\n\r\n')
    assert b'location: https://new.example.com/' in came.lower() or wire.statuses(came) != [302]


def test_an_unknown_variable_closes_the_route(edge):
    assert edge.get('unknown.com').status == 503


def test_the_root_of_a_host_is_redirected_and_nothing_else(edge):
    answer = edge.get('rooted.com', '/?a=b', sni='rooted.com')
    assert (answer.status, answer.headers['location']) == (302, '/app')
    assert edge.get('rooted.com').status == 302
    assert edge.get('rooted.com', '/app', sni='rooted.com').status == 200
    assert edge.get('rooted.com', '/x', sni='rooted.com').status == 200
    # Another reading of the root is no way around it.
    assert edge.get('rooted.com', '//', sni='rooted.com').status == 400


def test_the_root_is_redirected_where_only_a_longer_path_is_served(edge):
    assert edge.get('below.com').headers['location'] == '/api/start'
    assert edge.get('below.com', '/api/start').status == 200
    # The host `*` has the rest.
    assert edge.get('below.com', '/else').headers['location'] == 'https://below.com/'


@pytest.mark.parametrize(
    ('host', 'location'),
    [('www.plain.com', 'http://plain.com'), ('name.com', 'http://www.name.com')],
)
def test_a_host_that_differs_by_www_leads_to_the_one_that_is_served(edge, host, location):
    answer = edge.get(host, '/a/b?c=d', method='POST')
    assert (answer.status, answer.headers['location']) == (308, f'{location}/a/b?c=d')


def test_two_hosts_that_are_served_are_not_redirected(edge):
    assert [edge.get(host).status for host in ('both.com', 'www.both.com', 'plain.com')] == [200, 200, 200]
    assert edge.get('www.name.com', '/x').status == 200


def test_a_redirected_host_has_the_certificate_that_names_it(edge):
    answer = edge.get('www.sure.com', '/a', sni='www.sure.com')
    assert (answer.status, answer.headers['location']) == (308, 'https://sure.com/a')
    assert edge.get('www.half.com').headers['location'] == 'https://half.com/'
    with pytest.raises(ssl.SSLError):
        edge.get('www.half.com', sni='www.half.com')
