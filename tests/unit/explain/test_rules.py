"""What a policy does with a request, rule by rule: the answer, or what the endpoint gets, and what the client can see instead."""

from base64 import b64encode

import pytest

from support.explained import trace
from support.gateways import cors, gateway, http_route, listener, redirect, rule
from support.objects import ca_secret, endpoint_slice, secret, service, tls_secret

HTTP = [{'name': 'http', 'port': 80}]
URL = 'http://a.com/x?q=1'
TLS = {'tls_secret': 'tls', 'tls_redirect': 'false'}


def named(name, **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, annotations=given, ports=HTTP)


def ready(*names):
    return [endpoint_slice(name, addresses=['10.0.0.1'], port_name='http') for name in names]


OTHERS = (
    named('next', enabled='false'), named('pages', enabled='false'), named('auth', enabled='false'), *ready('web', 'next', 'pages', 'auth'),
    tls_secret(), ca_secret(), secret('users', username='u', password='p'), secret('hashed', auth='a:$apr1$abcdefgh$0123456789012345678901'),
)  # fmt: skip


def basic(text):
    return f'Authorization: Basic {b64encode(text.encode()).decode()}'


def asked(line=URL, *, headers=(), client='192.0.2.1', certificate=False, **annotations):
    return trace(
        line,
        named('web', host='a.com', **annotations),
        *OTHERS,
        headers=headers,
        client=client,
        certificate=certificate,
    )


ANSWERS = {
    'maintenance': (asked(maintenance='true'), 503, 'the route is in maintenance'),
    'what cannot be protected': (asked(allow='nonsense'), 503, 'the route is closed: what protects it, or its backend, cannot be used'),
    'a denied client': (asked(deny='192.0.2.0/24'), 403, '192.0.2.1 is in a denied network'),
    'a denied client by its other form': (asked(deny='192.0.2.0/24', client='::ffff:192.0.2.1'), 403, '::ffff:192.0.2.1 is in a denied network'),
    'a client of IPv6': (asked(deny='2001:db8::/33', client='2001:db8::1'), 403, '2001:db8::1 is in a denied network'),
    'a client on no list': (asked(allow='10.0.0.0/8'), 403, '192.0.2.1 is in no allowed network'),
    'no TLS': (asked(tls_secret='tls'), 308, 'clients without TLS are sent to HTTPS'),
    'no password': (asked(basic_auth_secret='users'), 401, 'the request has no name and password'),
    'no basic authentication': (asked(basic_auth_secret='users', headers=['Authorization: Bearer x']), 401, 'the request has no name and password'),
    'a broken header': (asked(basic_auth_secret='users', headers=['Authorization: Basic x']), 401, 'the request has no name and password'),
    'a wrong password': (asked(basic_auth_secret='users', headers=[basic('u:q')]), 401, 'the name or the password is wrong'),
    'a large body': (asked(max_body_size='4', headers=['Content-Length: 5']), 413, 'the body has 5 bytes, more than 4'),
    'a body of unknown length': (asked(max_body_size='4', headers=['Transfer-Encoding: chunked']), 411, 'the length of the body is not declared'),
    'a redirect': (asked(redirect_to='/there', redirect_code='307'), 307, 'the route redirects'),
    'a redirect with a part that is missing': (
        trace('http://*.a.com/', named('web', host='*.a.com', redirect_to='https://$host/'), *OTHERS), 400,
        'a part of the request that the location names is missing',
    ),
    'a client without a certificate': (
        asked('https://a.com/', client_ca_secret='ca', client_verify='optional', **TLS, headers=()), 0, 'the endpoint answers',
    ),
    'a preflight': (
        asked(f'OPTIONS {URL}', cors_allow_origin='https://b.com', headers=['Origin: https://B.com', 'Access-Control-Request-Method: PUT']),
        204, 'the preflight is answered',
    ),
    'a path that the rewrite leaves': (
        asked('http://a.com/r/..%2f', path='/r/(.*)', path_type='RegularExpression', rewrite_path='/n/$1'), 400,
        'dot segments, control characters or a broken escape in the path',
    ),
}  # fmt: skip


@pytest.mark.parametrize(('found', 'status', 'because'), ANSWERS.values(), ids=ANSWERS)
def test_what_headrace_answers(found, status, because):
    assert (found.outcome.status, found.outcome.because) == (status, because)


PASSED = {
    'no annotation': {},
    'a client on the list': {'allow': '192.0.2.0/24'},
    'a client on the list in the place of a password': {'allow': '192.0.2.0/24', 'basic_auth_secret': 'users', 'satisfy': 'any'},
    'a password': {'basic_auth_secret': 'users', 'headers': [basic('u:p')]},
    'a small body': {'max_body_size': '4', 'headers': ['Content-Length: 4']},
    'TLS': {'line': 'https://a.com/', 'tls_secret': 'tls'},
    'a certificate': {'line': 'https://a.com/', 'client_ca_secret': 'ca', 'certificate': True, **TLS},
    'a request of another origin': {'cors_allow_origin': 'https://b.com', 'headers': ['Origin: https://c.com']},
    'a preflight of an origin that is not allowed': {
        'line': f'OPTIONS {URL}', 'cors_allow_origin': 'https://b.com', 'headers': ['Origin: https://c.com', 'Access-Control-Request-Method: PUT'],
    },
}  # fmt: skip


@pytest.mark.parametrize('how', PASSED.values(), ids=PASSED)
def test_what_passes(how):
    found = asked(**how)
    assert [each.backend for each in found.outcome.destinations] == ['shop_web_http']
    assert found.outcome.served


PROVISOS = {
    'a rate': ({'rate_limit': '5/m'}, (429, 'beyond 5 requests of a client in 60 s')),
    'connections': ({'connection_limit': '3'}, (503, 'beyond 3 requests of a client at the same time')),
    'a body': ({'max_body_size': '4'}, (413, 'a body of more than 4 bytes')),
    'a hash': ({'basic_auth_secret': 'hashed', 'headers': [basic('a:b')]}, (401, 'a wrong name or password')),
    'external authentication': (
        {'external_auth_service': 'auth'},
        (0, 'unless shop_auth_http answers 2xx: its 401 or 403 with its body, a redirect to sign in, else 500'),
    ),
}


@pytest.mark.parametrize(('annotations', 'proviso'), PROVISOS.values(), ids=PROVISOS)
def test_what_a_client_can_see_instead(annotations, proviso):
    found = asked(**annotations)
    assert [(each.status, each.because) for each in found.provisos] == [proviso]
    assert found.outcome.served


@pytest.mark.parametrize(
    'annotations',
    [
        pytest.param({'rate_limit': '5/m', 'rate_limit_except': '192.0.2.0/24'}, id='a client without limits'),
        pytest.param(
            {'external_auth_service': 'auth', 'external_auth_skip_paths': '/x'}, id='a path that is not asked about'
        ),
        pytest.param(
            {'external_auth_service': 'auth', 'allow': '192.0.2.0/24', 'satisfy': 'any'},
            id='a client that is not asked about',
        ),
    ],
)
def test_what_has_no_proviso(annotations):
    assert asked(**annotations).provisos == ()


NOTES = {
    'mirror': ({'mirror_service': 'next', 'mirror_percent': '20'}, 'shop_next_http gets a copy of 20 of 100 requests'),
    'error pages': ({'error_service': 'pages', 'error_statuses': '404 500'}, 'answers with status 404, 500 are replaced by those of shop_pages_http'),
    'rewrite': ({'rewrite_path': '/new'}, 'endpoints get the path /new/x'),
    'rewrite of the root': ({'rewrite_path': '/new', 'path': '/x'}, 'endpoints get the path /new'),
    'nothing of the prefix': ({'rewrite_path': '/', 'path': '/x'}, 'endpoints get the path /'),
    'groups': ({'path': '/(x)', 'path_type': 'RegularExpression', 'rewrite_path': '/n/$1$2'}, 'endpoints get the path /n/x'),
}  # fmt: skip


@pytest.mark.parametrize(('annotations', 'note'), NOTES.values(), ids=NOTES)
def test_what_else_is_noted(annotations, note):
    assert note in [step.because for step in asked(**annotations).steps]


REDIRECTS = {
    'scheme and the rest': ('$scheme://b.com$request_uri', 'http://b.com/x?q=1'),
    'host and path': ('https://$host$uri?$args', 'https://a.com/x?q=1'),
    'an escaped one': ('https://b.com/?rd=$escaped_request_uri', 'https://b.com/?rd=%2Fx%3Fq%3D1'),
}


@pytest.mark.parametrize(('place', 'location'), REDIRECTS.values(), ids=REDIRECTS)
def test_where_a_redirect_leads(place, location):
    assert asked(redirect_to=place).outcome.location == location


def test_the_port_of_a_redirect_to_https_is_the_public_one():
    found = trace('http://a.com:8080/x', named('web', host='a.com', tls_secret='tls'), *OTHERS, https_public_port=8443)
    assert found.outcome.location == 'https://a.com:8443/x'


ORIGINS = {
    'a wildcard': ('https://x.b.com', True), 'several labels': ('https://y.x.b.com', True), 'another port': ('https://x.b.com:8443', False),
    'its domain': ('https://b.com', False), 'no origin of a page': ('null', False),
}  # fmt: skip


@pytest.mark.parametrize(('origin', 'known'), ORIGINS.values(), ids=ORIGINS)
def test_origins_with_wildcards_of_a_filter(origin, known):
    documents = (
        gateway('web', listener()), named('web', enabled='false'), *OTHERS,
        http_route('r', rule('web', filters=[cors(allowOrigins=['https://*.b.com'])]), hostnames=['a.com']),
    )  # fmt: skip
    found = trace(f'OPTIONS {URL}', *documents, headers=[f'Origin: {origin}', 'Access-Control-Request-Method: PUT'])
    assert found.outcome.status == 204
    assert (('access-control-allow-origin', origin) in found.outcome.headers) is known


@pytest.mark.parametrize(
    ('filter_', 'location'),
    [
        pytest.param({'scheme': 'https'}, 'https://a.com/x?q=1', id='scheme'),
        pytest.param({'hostname': 'b.com'}, 'http://b.com/x?q=1', id='host'),
        pytest.param({'port': 8081}, 'http://a.com:8081/x?q=1', id='port'),
        pytest.param(
            {'path': {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': '/y'}}, 'http://a.com/y/x?q=1', id='prefix'
        ),
    ],
)
def test_redirects_of_filters(filter_, location):
    documents = (gateway('web', listener()), http_route('r', rule(filters=[redirect(**filter_)]), hostnames=['a.com']))
    assert trace(URL, *documents).outcome.location == location
