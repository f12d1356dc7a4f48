"""Routes with usual settings alone pass by the rules for rare ones, and do what the same settings do beside a rare one."""

import re

import pytest

from conftest import binary
from support import certificates
from support.edge import Edge, Endpoints, web

USUAL = {
    'request_headers': 'X-Set: 1\nX-Gone:',
    'response_headers': 'X-Answer: 2\nX-Secret:',
    'timeout_server': '5s',
    'timeout_client': '7s',
    'max_body_size': '4',
    'hsts': '1h',
    'cors_allow_origin': 'https://a.example.com',
    'cors_allow_credentials': 'true',
    'allow': '127.0.0.0/8',
    'deny': '127.0.0.2',
    'rate_limit': '100/h',
    'connection_limit': '9',
}
ORIGIN = ('Origin', 'https://a.example.com')
PREFLIGHT = (ORIGIN, ('Access-Control-Request-Method', 'PUT'))
REQUESTS = {
    'plain': {},
    'headers': {'headers': [('X-Gone', 'x'), ('X-Answer', '{"headers": [["X-Secret", "s"]]}')]},
    'below': {'path': '/a/b?c=d'},
    'odd path': {'path': '/a%2fb'},
    'another origin': {'headers': [('Origin', 'https://b.example.com')]},
    'origin': {'headers': [ORIGIN]},
    'preflight': {'method': 'OPTIONS', 'headers': PREFLIGHT},
    'small body': {'method': 'POST', 'body': b'1234'},
    'large body': {'method': 'POST', 'body': b'12345'},
    'in the clear': {'sni': None},
}


@pytest.fixture(scope='module')
def edge():
    """An edge with hosts that differ by one rare setting, which has no effect on these requests."""
    hosts = ('usual.com', 'other.com')
    with Endpoints() as endpoints:
        documents = [
            document
            for host in hosts
            for document in web(host.partition('.')[0], endpoints, host=host, tls_secret='tls', **USUAL)
        ]
        documents[2]['spec']['sessionAffinity'] = 'ClientIP'
        secret = certificates.tls_secret('tls', *certificates.for_names(*hosts))
        with Edge(binary('haproxy-3.4'), *documents, secret, seen={'all_secrets': True}) as found:
            yield found


def seen(edge, host, sni='', **request):
    """Return an answer, and what the endpoint saw of its request, with the host's name left out."""
    answer = edge.get(host, **request, sni=None if sni is None else host)
    body = answer.said if answer.body.startswith(b'{') else answer.body.decode()
    return re.sub(f'{host}|date: [^,]*', '', repr((answer.status, answer.headers, body)))


@pytest.mark.parametrize('request_parts', REQUESTS.values(), ids=REQUESTS)
def test_an_answer_is_the_same_beside_a_rare_setting(edge, request_parts):
    assert seen(edge, 'usual.com', **request_parts) == seen(edge, 'other.com', **request_parts)


@pytest.mark.parametrize(
    ('request_parts', 'status'),
    [('plain', 200), ('large body', 413), ('preflight', 204), ('in the clear', 308)],
)
def test_usual_settings_are_in_force(edge, request_parts, status):
    answer = edge.get('usual.com', **{'sni': 'usual.com', **REQUESTS[request_parts]})
    assert answer.status == status


def test_requests_are_counted_before_they_are_looked_at(edge):
    for host in ('usual.com', 'other.com'):
        statuses = [edge.get(host, sni=host, **REQUESTS['large body']).status for _ in range(110)]
        assert statuses[0] in (413, 429)
        assert statuses[-1] == 429
