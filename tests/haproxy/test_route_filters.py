"""Filters of HTTPRoutes that copy requests, or are about other origins, by a real HAProxy."""

import contextlib

import pytest

from conftest import binary
from support.authentication import Authentication
from support.edge import Edge, Endpoints, web
from support.gateways import backend, cors, gateway, grant, http_route, mirror, modifier, redirect, rewrite, rule
from support.live import until
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
NEVER, HALF = {'percent': 0}, {'fraction': {'numerator': 1, 'denominator': 2}}


def asking(name='copies', protocol='HTTP', body=None, namespace=None, **how):
    """Return a filter by which a Service is asked about requests."""
    reference = {'name': name, 'port': 80, **({'namespace': namespace} if namespace else {})}
    more = {'forwardBody': {'maxSize': body}} if body else {}
    return {
        'type': 'ExternalAuth',
        'externalAuth': {'protocol': protocol, 'backendRef': reference, protocol.lower(): how, **more},
    }


EXTENSION = {'type': 'ExtensionRef', 'extensionRef': {'group': 'x.io', 'kind': 'X', 'name': 'x'}}
ROUTES = (
    gateway(),
    http_route(
        'mirrors',
        rule(
            'one', path='/both', filters=[mirror('copies'), modifier('Request', set={'X-A': 'set'}), mirror('copies')]
        ),
        rule('one', path='/half', filters=[mirror('copies', **HALF)]),
        rule('one', path='/never', filters=[mirror('copies', **NEVER)]),
        rule('one', path='/granted', filters=[mirror('copies', namespace='other')]),
        rule('one', path='/missing', filters=[mirror('absent'), mirror('copies')]),
        rule('one', path='/refused', filters=[mirror('secret', namespace='other')]),
        rule('one', path='/moved', filters=[mirror('copies'), rewrite(hostname='inner.com')]),
        hostnames=['mirrors.com'],
    ),
    http_route(
        'origins',
        rule(
            'one',
            path='/listed',
            filters=[
                cors(
                    allowOrigins=['https://a.com', 'https://*.b.com', 'http://*.b.com:8080'],
                    allowMethods=['GET', 'PUT'],
                    allowHeaders=['X-A', 'X-B'],
                    exposeHeaders=['X-C'],
                    allowCredentials=True,
                    maxAge=60,
                )
            ],
        ),
        rule('one', path='/any', filters=[cors(allowOrigins=['*'], allowMethods=['*'], allowHeaders=['*'])]),
        rule(
            'one',
            path='/credentials',
            filters=[cors(allowOrigins=['*'], allowMethods=['*'], allowHeaders=['*'], allowCredentials=True)],
        ),
        rule('one', path='/secure', filters=[cors(allowOrigins=['https://*'])]),
        hostnames=['origins.com'],
    ),
    http_route(
        'closed',
        rule('one', path='/grpc', filters=[asking(protocol='GRPC')]),
        rule('one', path='/absent', filters=[asking('absent')]),
        rule('one', path='/secret', filters=[asking('secret', namespace='other')]),
        rule('one', path='/body', filters=[asking(body=20_000)]),
        rule('one', path='/framing', filters=[asking(allowedResponseHeaders=['Content-Length'])]),
        rule('one', path='/extension', filters=[EXTENSION]),
        rule(backend('one', filters=[redirect(hostname='other.com')]), path='/backend'),
        hostnames=['closed.com'],
    ),
    http_route(
        'twice',
        rule('one', filters=[asking()]),
        hostnames=['twice.com'],
        annotations={'headrace.io/external-auth-service': 'copies'},
    ),
    http_route(
        'asked',
        rule('one', path='/own', filters=[asking(path='/verify', allowedResponseHeaders=['X-User'], body=100)]),
        rule('one', path='/granted', filters=[asking(namespace='other')]),
        rule('one', path='/open'),
        hostnames=['asked.com'],
    ),
    http_route(
        'sessions',
        rule('both', sessionPersistence={}),
        rule(
            'both',
            path='/named',
            sessionPersistence={
                'sessionName': 'own',
                'absoluteTimeout': '1h',
                'cookieConfig': {'lifetimeType': 'Permanent'},
            },
        ),
        rule('both', path='/header', sessionPersistence={'type': 'Header', 'sessionName': 'X-Own'}),
        rule('both', path='/odd', sessionPersistence={'sessionName': "'odd'"}),
        rule(backend('one'), backend('both'), path='/split', sessionPersistence={}),
        hostnames=['sessions.com'],
    ),
    grant('copies', namespace='other'),
)


def other(documents):
    """Return documents of another namespace."""
    for document in documents:
        document['metadata']['namespace'] = 'other'
    return documents


@pytest.fixture(scope='module')
def started():
    with contextlib.ExitStack() as closing:
        endpoints, copies = closing.enter_context(Endpoints()), closing.enter_context(Authentication())

        def mirrored(name):
            return (
                service(name, ports=HTTP),
                endpoint_slice(name, addresses=[copies.address], port=copies.port, port_name='http'),
            )

        services = (
            *web('one', endpoints, host=''),
            *web('both', endpoints, host=''),
            endpoint_slice('both', name='both-2', addresses=['127.0.9.2'], port=endpoints.port, port_name='http'),
            *mirrored('copies'),
            *other(mirrored('copies')),
            *other(mirrored('secret')),
        )
        yield copies, closing.enter_context(Edge(binary('haproxy-3.4'), *services, *ROUTES))


@pytest.fixture
def edge(started):
    return started[1]


@pytest.fixture
def copies(started):
    """The Service that gets copies, which has seen nothing yet."""
    started[0].asked.clear()
    started[0].answer = lambda _: (200, (), b'')
    return started[0]


def copied(edge, copies, path, **request):
    """Send a request, wait until copies of a later one came, and return what came before; the request must be served."""
    assert edge.get('mirrors.com', path, **request).status == 200
    edge.get('mirrors.com', '/both/last')
    until(lambda: [asked.path for asked in copies.asked].count('/both/last') == 2)
    return [asked for asked in copies.asked if asked.path != '/both/last']


def test_each_of_several_mirrors_gets_the_request_as_it_came(edge, copies):
    found = copied(edge, copies, '/both?q=1', method='POST', headers=[('X-A', 'own')], body=b'body')
    assert [(asked.method, asked.path, asked.body) for asked in found] == [('POST', '/both?q=1', b'body')] * 2
    assert {(asked.header('x-a'), asked.header('host')) for asked in found} == {('own', 'mirrors.com')}


@pytest.mark.parametrize(
    ('path', 'count'), [('/never', 0), ('/granted', 1), ('/missing', 1), ('/refused', 0), ('/moved', 1)]
)
def test_a_mirror_that_cannot_be_used_costs_no_request(path, count, edge, copies):
    assert [asked.header('host') for asked in copied(edge, copies, path)] == ['mirrors.com'] * count


def test_a_fraction_of_the_requests_is_copied(edge, copies):
    for number in range(199):
        edge.get('mirrors.com', f'/half/{number}')
    # Six standard deviations.
    assert 57 < len(copied(edge, copies, '/half')) < 143


def asked_from(edge, path, origin, **request):
    """Return the answer to a request of an origin; `headers` makes it a preflight that asks for these."""
    asks = request.pop('asks', None)
    headers = [('Origin', origin)]
    if asks is not None:
        headers += [('Access-Control-Request-Method', 'PUT'), ('Access-Control-Request-Headers', asks)]
    return edge.get('origins.com', path, method='GET' if asks is None else 'OPTIONS', headers=headers)


def permissions(answer):
    """Return what an answer says of other origins, by what follows `access-control-`."""
    return {name[15:]: value for name, value in answer.headers.items() if name.startswith('access-control-')}


@pytest.mark.parametrize(
    'origin', ['https://a.com', 'https://x.b.com', 'https://x.y.b.com', 'http://x.b.com:8080', 'HTTPS://X.B.COM']
)
def test_a_preflight_of_a_known_origin_gets_what_the_filter_allows(origin, edge):
    answer = asked_from(edge, '/listed', origin, asks='x-a')
    assert (answer.status, answer.body) == (204, b'')
    assert permissions(answer) == {
        'allow-origin': origin,
        'allow-methods': 'GET, PUT',
        'allow-headers': 'X-A, X-B',
        'expose-headers': 'X-C',
        'allow-credentials': 'true',
        'max-age': '60',
    }


@pytest.mark.parametrize(
    ('path', 'origin'),
    [
        ('/listed', 'https://c.com'),
        ('/listed', 'https://b.com'),
        ('/listed', 'https://xb.com'),
        ('/listed', 'http://x.b.com'),
        ('/listed', 'https://x.b.com:8080'),
        ('/listed', 'https://x.b.com.evil.com'),
        ('/listed', 'null'),
        ('/listed', 'https://' + 'a.' * 200 + 'b.com'),
        ('/secure', 'http://a.com'),
    ],
)
def test_another_origin_gets_no_permission(path, origin, edge):
    answer = asked_from(edge, path, origin, asks='x-a')
    assert (answer.status, permissions(answer)) == (204, {})
    answer = asked_from(edge, path, origin)
    assert (answer.status, permissions(answer)) == (200, {})


def test_any_host_of_a_scheme_can_be_allowed(edge):
    assert permissions(asked_from(edge, '/secure', 'https://a.b.com')) == {'allow-origin': 'https://a.b.com'}


def test_a_star_without_credentials_is_one_for_browsers(edge):
    found = permissions(asked_from(edge, '/any', 'https://a.com:8443', asks='x-a, x-b'))
    assert found == {'allow-origin': 'https://a.com:8443', 'allow-methods': '*', 'allow-headers': '*', 'max-age': '5'}


def test_a_star_with_credentials_is_what_a_preflight_asks_for(edge):
    found = permissions(asked_from(edge, '/credentials', 'https://a.com', asks='x-a, x-b'))
    assert (found['allow-methods'], found['allow-headers']) == ('PUT', 'x-a, x-b')
    assert (found['allow-origin'], found['allow-credentials']) == ('https://a.com', 'true')


def test_what_an_endpoint_answers_gets_the_permission_too(edge):
    answer = asked_from(edge, '/listed', 'https://x.b.com')
    assert answer.status == 200
    assert permissions(answer)['allow-origin'] == 'https://x.b.com'


@pytest.mark.parametrize(
    ('path', 'status'),
    [
        ('/grpc', 503),
        ('/absent', 503),
        ('/secret', 503),
        ('/body', 503),
        ('/framing', 503),
        ('/extension', 503),
        ('/backend', 500),
    ],
)
def test_a_filter_that_is_not_supported_or_cannot_be_used_is_never_passed_over(path, status, edge):
    assert edge.get('closed.com', path).status == status


def test_of_a_filter_and_an_annotation_that_ask_neither_does(edge):
    assert edge.get('twice.com').status == 503


@pytest.mark.parametrize(('path', 'asked'), [('/own', '/verify'), ('/granted', '/')])
def test_a_backend_decides_about_the_requests_of_a_rule(path, asked, edge, copies):
    copies.answer = lambda _: (401, (), b'no')
    answer = edge.get('asked.com', path, headers=[('X-User', 'forged')])
    assert (answer.status, [each.path for each in copies.asked]) == (401, [asked])
    copies.answer = lambda _: (200, (('X-User', 'alice'),), b'')
    answer = edge.get('asked.com', path, headers=[('X-User', 'forged')], method='POST', body=b'body')
    assert answer.status == 200
    assert answer.said['headers']['x-user'] == (['alice'] if path == '/own' else ['forged'])
    assert copies.asked[-1].body == (b'body' if path == '/own' else b'')
    assert edge.get('asked.com', '/open').status == 200


@pytest.mark.parametrize(('path', 'attributes'), [('/', ('HttpOnly', 'SameSite=Lax')), ('/named', ('Max-Age=3600',))])
def test_a_session_stays_with_its_endpoint(path, attributes, edge):
    answer = edge.get('sessions.com', path)
    cookie = answer.headers['set-cookie']
    assert all(attribute in cookie for attribute in attributes)
    assert cookie.startswith('own=') == (path == '/named')
    sent = [('Cookie', cookie.partition(';')[0])]
    assert {edge.get('sessions.com', path, headers=sent).said['at'] for _ in range(20)} == {answer.said['at']}


def test_a_session_stays_with_one_of_several_backends(edge):
    answer = edge.get('sessions.com', '/split')
    sent = [('Cookie', answer.headers['set-cookie'].partition(';')[0])]
    assert {edge.get('sessions.com', '/split', headers=sent).said['at'] for _ in range(20)} == {answer.said['at']}


@pytest.mark.parametrize('path', ['/header', '/odd'])
def test_a_session_by_other_means_is_served_without_a_cookie(path, edge):
    answer = edge.get('sessions.com', path)
    assert (answer.status, 'set-cookie' in answer.headers) == (200, False)
