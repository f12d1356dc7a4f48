"""Ingresses by a real HAProxy: who serves which request, by the rules that Kubernetes documents."""

import contextlib

import pytest

from conftest import binary
from support import certificates
from support.edge import Edge, Endpoints, shown, web
from support.objects import ingress, ingress_class, ingress_rule

NAMES = ('one', 'two', 'three', 'all')


def paths(host, *entries):
    """Return a rule of paths, each with its type and its Service."""
    return {
        **({'host': host} if host else {}),
        'http': {
            'paths': [
                {'path': path, 'pathType': kind, 'backend': {'service': {'name': of, 'port': {'number': 80}}}}
                for path, kind, of in entries
            ]
        },
    }


PATHS = {
    'exact': (('/foo', 'Exact', 'one'),),
    'exact-slash': (('/foo/', 'Exact', 'one'),),
    'prefix': (('/foo', 'Prefix', 'one'),),
    'prefix-slash': (('/foo/', 'Prefix', 'one'),),
    'prefixes': (('/', 'Prefix', 'one'), ('/aaa', 'Prefix', 'two'), ('/aaa/bbb', 'Prefix', 'three')),
    'both': (('/foo', 'Prefix', 'one'), ('/foo', 'Exact', 'two')),
    'specific': (('/foo', 'ImplementationSpecific', 'one'),),
    'mixed': (('/foo', 'Prefix', 'one'), ('/foo/bar', 'Exact', 'two'), ('/foo/bar/x', 'Prefix', 'three')),
}
REQUESTS = [
    ('exact', '/foo', 'one'),
    ('exact', '/bar', None),
    ('exact', '/foo/', None),
    ('exact', '/Foo', None),
    ('exact', '/foo?x=1', 'one'),
    ('exact-slash', '/foo', None),
    ('exact-slash', '/foo/', 'one'),
    ('prefix', '/foo', 'one'),
    ('prefix', '/foo/', 'one'),
    ('prefix', '/foo/bar', 'one'),
    ('prefix', '/foobar', None),
    ('prefix', '/Foo', None),
    ('prefix-slash', '/foo', 'one'),
    ('prefix-slash', '/foo/', 'one'),
    ('prefix-slash', '/foo/bar', 'one'),
    ('prefixes', '/', 'one'),
    ('prefixes', '/ccc', 'one'),
    ('prefixes', '/aaa/ccc', 'two'),
    ('prefixes', '/aaa/bbbxyz', 'two'),
    ('prefixes', '/aaa/bbb/', 'three'),
    ('prefixes', '/aaa/bbb/ccc', 'three'),
    ('both', '/foo', 'two'),
    ('both', '/foo/', 'one'),
    ('both', '/foo/bar', 'one'),
    ('specific', '/foo/bar', 'one'),
    ('specific', '/foobar', None),
    ('mixed', '/foo/bar', 'two'),
    ('mixed', '/foo/bar/', 'one'),
    ('mixed', '/foo/bar/x/y', 'three'),
]
HOSTS = [
    ('foo.bar.com', 'one'),
    ('FOO.bar.com', 'one'),
    ('foo.bar.com:80', 'one'),
    ('wildcard.foo.com', 'two'),
    ('other.foo.com', 'two'),
    ('exact.foo.com', 'three'),
    ('a.other.foo.com', 'all'),
    ('foo.com', 'all'),
    ('unknown.org', 'all'),
]


@pytest.fixture(scope='module')
def services():
    """Endpoints, and Services of which each answers at an address of its own."""
    with contextlib.ExitStack() as closing:
        endpoints = closing.enter_context(Endpoints())
        yield [
            document
            for number, name in enumerate(NAMES, 1)
            for document in web(name, endpoints, address=f'127.0.9.{number}', host='')
        ]


@pytest.fixture(scope='module')
def edge(services):
    objects = [
        ingress_class(default=True),
        *(ingress(name, rules=[paths(f'{name}.com', *entries)]) for name, entries in PATHS.items()),
        ingress(
            'hosts',
            rules=[
                ingress_rule('foo.bar.com', 'one'),
                ingress_rule('*.foo.com', 'two'),
                ingress_rule('exact.foo.com', 'three'),
            ],
        ),
        ingress('default', defaultBackend={'service': {'name': 'all', 'port': {'name': 'http'}}}),
    ]
    with Edge(binary('haproxy-3.4'), *services, *objects) as found:
        yield found


def served(edge, host, path='/', **request):
    """Return the Service that has served a request, None for 404."""
    answer = edge.get(host, path, **request)
    if answer.status != 200:
        return {404: None}.get(answer.status, answer.status)
    return NAMES[int(answer.said['at'].rpartition('.')[2]) - 1]


@pytest.mark.parametrize(('of', 'path', 'service'), REQUESTS)
def test_a_path_goes_where_its_type_says(edge, of, path, service):
    # What no path of the host takes goes to the default backend.
    assert served(edge, f'{of}.com', path) == (service or 'all')


@pytest.mark.parametrize(('host', 'service'), HOSTS)
def test_a_host_goes_to_the_exact_one_then_to_the_wildcard_of_one_label(edge, host, service):
    assert served(edge, host) == service


def test_an_ingress_without_a_default_backend_answers_404_to_what_no_path_takes(services):
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), ingress(hosts={'a.com': 'one'})) as found:
        assert (served(found, 'a.com'), served(found, 'b.com')) == ('one', None)


def test_requests_are_shared_by_all_endpoints_of_the_service():
    with Endpoints() as endpoints:
        every = [f'127.0.9.{number}' for number in range(1, 11)]
        document, slices = web('one', endpoints, host='')
        slices['endpoints'] = [{'addresses': [address]} for address in every]
        with Edge(
            binary('haproxy-3.4'), document, slices, ingress_class(default=True), ingress(hosts={'a.com': 'one'})
        ) as found:
            assert {found.get('a.com').said['at'] for _ in range(200)} == set(every)


def test_a_path_whose_service_is_missing_is_closed_and_not_left_to_a_shorter_one(services):
    rules = [paths('a.com', ('/', 'Prefix', 'one'), ('/admin', 'Prefix', 'gone'))]
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), ingress(rules=rules)) as found:
        assert (served(found, 'a.com', '/x'), served(found, 'a.com', '/admin/x')) == ('one', 503)


def test_ingresses_of_a_namespace_share_a_host(services):
    objects = [
        ingress('a', rules=[paths('a.com', ('/', 'Prefix', 'one'))]),
        ingress('b', rules=[paths('a.com', ('/two', 'Prefix', 'two'))]),
    ]
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), *objects) as found:
        assert (served(found, 'a.com', '/one'), served(found, 'a.com', '/two/x')) == ('one', 'two')


def test_a_host_with_a_certificate_is_served_by_tls_and_plain_requests_are_sent_there(services):
    pem, key = certificates.for_names('a.com')
    secret = certificates.tls_secret('tls', pem, key)
    item = ingress(
        rules=[ingress_rule('a.com', 'one'), ingress_rule('b.com', 'two')],
        tls=[{'hosts': ['a.com'], 'secretName': 'tls'}],
    )
    with Edge(
        binary('haproxy-3.4'), *services, ingress_class(default=True), secret, item, seen={'all_secrets': True}
    ) as found:
        assert served(found, 'a.com', sni='a.com') == 'one'
        assert shown(found, 'a.com') is not None
        answer = found.get('a.com', '/x')
        assert (answer.status, answer.headers['location'].partition(':')[0]) == (308, 'https')
        assert served(found, 'b.com') == 'two'


def test_a_challenge_for_a_certificate_is_answered_before_there_is_one(services):
    solver = ingress(
        'solver', rules=[paths('a.com', ('/.well-known/acme-challenge/token', 'ImplementationSpecific', 'two'))]
    )
    item = ingress('web', hosts={'a.com': 'one'}, tls=[{'hosts': ['a.com'], 'secretName': 'tls'}])
    with Edge(
        binary('haproxy-3.4'), *services, ingress_class(default=True), solver, item, seen={'all_secrets': True}
    ) as found:
        assert served(found, 'a.com', '/.well-known/acme-challenge/token') == 'two'
        assert served(found, 'a.com') == 503


def test_annotations_of_the_ingress_are_for_its_routes_and_those_of_the_service_for_the_backend(services):
    item = ingress(
        hosts={'a.com': 'one'},
        annotations={'headrace.io/response-headers': 'X-By: ingress', 'headrace.io/deny': '127.0.0.2'},
    )
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), item) as found:
        assert found.get('a.com').headers['x-by'] == 'ingress'


@pytest.mark.parametrize(
    ('headers', 'service'),
    [([], 'one'), ([('X-Canary', 'yes')], 'two'), ([('X-Canary', 'no')], 'one'), ([('Cookie', 'try=always')], 'two')],
    ids=['plain', 'header', 'another value', 'cookie'],
)
def test_a_canary_of_ingress_nginx_gets_the_requests_that_ask_for_it(canaried, headers, service):
    assert served(canaried, 'a.com', headers=headers) == service


@pytest.fixture(scope='module')
def canaried(services):
    nginx = 'nginx.ingress.kubernetes.io/'
    annotations = {
        f'{nginx}canary': 'true',
        f'{nginx}canary-by-header': 'X-Canary',
        f'{nginx}canary-by-header-value': 'yes',
        f'{nginx}canary-by-cookie': 'try',
    }
    objects = [ingress('web', hosts={'a.com': 'one'}), ingress('next', hosts={'a.com': 'two'}, annotations=annotations)]
    settings = {'ingress_annotations': ('ingress-nginx',)}
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), *objects, **settings) as found:
        yield found


def test_paths_of_ingress_nginx_are_expressions_without_regard_to_case_and_of_the_beginning(services):
    nginx = 'nginx.ingress.kubernetes.io/'
    rules = [
        paths('a.com', ('/v[0-9]+/(.*)', 'ImplementationSpecific', 'one'), ('/', 'ImplementationSpecific', 'two')),
    ]
    item = ingress(rules=rules, annotations={f'{nginx}use-regex': 'true', f'{nginx}rewrite-target': '/$1'})
    settings = {'ingress_annotations': ('ingress-nginx',)}
    with Edge(binary('haproxy-3.4'), *services, ingress_class(default=True), item, **settings) as found:
        assert served(found, 'a.com', '/V1/deep/path') == 'one'
        assert found.get('a.com', '/v1/deep/path').said['path'] == '/deep/path'
        assert served(found, 'a.com', '/else') == 'two'
