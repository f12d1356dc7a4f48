"""Requests with much in them: long URLs, many headers, long hosts, by a real HAProxy."""

import json

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, ended, web
from support.live import until
from support.objects import tls_secret


@pytest.fixture(scope='module')
def edge():
    """An edge whose canary answers at 127.0.9.2."""
    with Endpoints() as endpoints:
        services = (
            web('safe', endpoints, tls_secret='t'),
            web('plain', endpoints, canary_service='canary', canary_header='X-Beta: yes', canary_cookie='beta'),
            web('canary', endpoints, host='', address='127.0.9.2'),
        )
        documents = [tls_secret('t'), *(item for group in services for item in group)]
        how = {'seen': {'all_secrets': True}, 'access_log': 'stdout'}
        with Edge(binary('haproxy-3.4'), *documents, **how) as found:
            yield found


@pytest.mark.parametrize('target', ['/' + 'a' * 3000 + '?b=c', '/a?b=' + 'c' * 8000])
def test_a_long_url_is_redirected_to_https_as_a_whole(edge, target):
    answer = edge.get('safe.com', target)
    assert (answer.status, answer.headers['location']) == (308, f'https://safe.com{target}')


def test_a_url_as_target_is_redirected_to_its_path(edge):
    request = b'GET http://safe.com/a?b=c HTTP/1.1\r\nHost: safe.com\r\nConnection: close\r\n\r\n'
    assert b'\r\nlocation: https://safe.com/a?b=c\r\n' in ended(edge.http, request)[0]


LONG = [('Cookie', f'a={"x" * 3000}; b={"y" * 3000}; c=d'), ('X-Token', 'z' * 4000)]
MANY = [('Cookie', '; '.join(f'c{number}=never-{number:060}' for number in range(120)))]


@pytest.mark.parametrize('headers', [LONG, MANY], ids=['long', 'many'])
def test_a_request_with_large_headers_is_served_where_a_canary_looks_for_one(edge, headers):
    assert edge.get('plain.com', headers=headers).said['at'] == '127.0.9.1'


@pytest.mark.parametrize('said', [('X-Beta', 'yes'), ('Cookie', f'a={"x" * 3000}; beta=always; b={"y" * 3000}')])
def test_a_canary_is_found_between_large_headers(edge, said):
    headers = [said, ('X-Token', 'z' * 5000)]
    assert edge.get('plain.com', headers=headers).said['at'] == '127.0.9.2'


@pytest.mark.parametrize('said', [('X-Beta', 'yes' + ' x' * 300), ('Cookie', 'beta=always' + '-' * 80)])
def test_a_long_value_that_begins_as_the_canarys_does_is_another_one(edge, said):
    assert edge.get('plain.com', headers=[said]).said['at'] == '127.0.9.1'


@pytest.mark.parametrize(
    'hostile',
    [
        pytest.param({'host': 'a' * 5000}, id='host'),
        pytest.param({'host': '"' * 2000, 'target': '/' + '"' * 5000, 'agent': '"' * 2000}, id='quotes everywhere'),
        pytest.param({'target': '/' + '"' * 5000, 'agent': '\xff' * 2000}, id='bytes'),
    ],
)
def test_a_line_of_the_log_is_json_however_long_a_request_is(edge, hostile):
    log = edge.haproxy.sockets / 'log'
    before = len(log.read_bytes())
    host, target, agent = (
        hostile.get(key, default) for key, default in (('host', 'h'), ('target', '/'), ('agent', 'a'))
    )
    request = f'GET {target} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {agent}\r\nConnection: close\r\n\r\n'
    assert ended(edge.http, request.encode('latin-1'))[0].startswith(b'HTTP/1.1 404')
    line = until(lambda: log.read_bytes()[before:].rpartition(b'\n')[0], 'there is a line', 5)
    assert json.loads(line)['status'] == 404
