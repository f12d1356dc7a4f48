"""Requests with much in them: long URLs, many headers, long hosts, by a real HAProxy of each version."""

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, ended, web
from support.objects import tls_secret


@pytest.fixture(scope='module', params=['3.4', '3.0'])
def edge(request):
    """An edge whose canary answers at 127.0.9.2."""
    with Endpoints() as endpoints:
        services = (
            web('safe', endpoints, tls_secret='t'),
            web('plain', endpoints, canary_service='canary', canary_header='X-Beta: yes', canary_cookie='beta'),
            web('canary', endpoints, host='', address='127.0.9.2'),
        )
        documents = [tls_secret('t'), *(item for group in services for item in group)]
        how = {'seen': {'all_secrets': True}, 'access_log': 'stdout'}
        with Edge(binary(f'haproxy-{request.param}'), request.param, *documents, **how) as found:
            yield found


@pytest.mark.parametrize('target', ['/' + 'a' * 3000 + '?b=c', '/a?b=' + 'c' * 8000])
def test_a_long_url_is_redirected_to_https_as_a_whole(edge, target):
    answer = edge.get('safe.com', target)
    assert (answer.status, answer.headers['location']) == (308, f'https://safe.com{target}')


def test_a_url_as_target_is_redirected_to_its_path(edge):
    request = b'GET http://safe.com/a?b=c HTTP/1.1\r\nHost: safe.com\r\nConnection: close\r\n\r\n'
    assert b'\r\nlocation: https://safe.com/a?b=c\r\n' in ended(edge.http, request)[0]
