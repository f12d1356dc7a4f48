"""HTTPRoute: what an API server takes is read, anything else is a problem of the rule or reference that holds it."""

import pytest

from headrace.names import Ref
from headrace.objects import http_routes
from headrace.objects.http_routes import HTTPRoute, HTTPRule, Retry, Timeouts
from headrace.objects.references import BackendObjectReference, ParentRef, Reference
from headrace.objects.route_backends import BackendRef
from headrace.objects.route_filters import (
    CORS,
    ExtensionRef,
    ExternalAuth,
    PathModifier,
    RequestHeaderModifier,
    RequestMirror,
    RequestRedirect,
    ResponseHeaderModifier,
    URLRewrite,
)
from headrace.objects.route_matches import ANY_REQUEST, HTTPMatch, PathKind, PathMatch, ValueMatch
from headrace.objects.routes import SessionPersistence
from support.gateway_objects import backend, http_route, rule

GROUP = 'gateway.networking.k8s.io'
WEB = BackendObjectReference('', 'Service', 'shop', 'web', 80)
REQUEST_HEADERS = {'type': 'RequestHeaderModifier', 'requestHeaderModifier': {'set': [{'name': 'A', 'value': '1'}]}}
PREFIX = {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': '/new'}


def read(document):
    """Return the route, and fields and messages of its problems."""
    item = http_routes.read('shop', 'web', document)
    problems = list(item.diagnostics)
    assert {problem.reason for problem in problems} <= {'InvalidObject'}
    assert {problem.ref for problem in problems} <= {item.ref}
    assert all(problem.message.isprintable() for problem in problems)
    return item, [(problem.field, problem.message) for problem in problems]


def of_rule(**entry):
    """Return the rule, and the fields of its problems without the field of the rule."""
    item, problems = read(http_route(rules=[{'backendRefs': [backend()], **entry}]))
    assert len(item.rules) == 1
    return item.rules[0], [field.removeprefix('spec.rules[0].') for field, _ in problems]


def of_match(**entry):
    found, problems = of_rule(matches=[entry])
    return found.matches, [field.removeprefix('matches[0].') for field in problems]


def of_filter(kind, body):
    """Return the filters of a rule with one, and the fields of its problems without that of the filter."""
    key = {'CORS': 'cors', 'URLRewrite': 'urlRewrite'}.get(kind, kind[0].lower() + kind[1:])
    found, problems = of_rule(
        matches=[{'path': {'value': '/old'}}], filters=[{'type': kind, key: body}], backendRefs=[]
    )
    return found.filters, [field.removeprefix(f'filters[0].{key}').removeprefix('.') for field in problems]


def test_a_whole_route_is_read():
    document = http_route(
        created='2026-01-01T00:00:00Z',
        generation=4,
        annotations={'headrace.io/hsts': '1h', 'example.com/other': 'x'},
        parents=[
            'public',
            {'name': 'more', 'kind': 'ListenerSet', 'namespace': 'infra', 'sectionName': 'tls', 'port': 443},
        ],
        hostnames=['b.example.com', '*.a.example.com'],
        rules=[rule('/b', backend('b', 8080, weight=9), backend('a', weight=0), name='first'), rule()],
    )
    item, problems = read(document)
    assert problems == []
    assert item == HTTPRoute(
        namespace='shop',
        name='web',
        created='2026-01-01T00:00:00Z',
        generation=4,
        annotations=(('hsts', '1h'),),
        parents=(
            ParentRef(GROUP, 'Gateway', 'shop', 'public'),
            ParentRef(GROUP, 'ListenerSet', 'infra', 'more', 'tls', 443),
        ),
        hostnames=('b.example.com', '*.a.example.com'),
        rules=(
            HTTPRule(
                'first',
                (BackendRef('', 'Service', 'shop', 'b', 8080, 9), BackendRef('', 'Service', 'shop', 'a', 80, 0)),
                matches=(HTTPMatch(PathMatch('/b')),),
            ),
            HTTPRule(backends=(BackendRef('', 'Service', 'shop', 'web', 80),)),
        ),
    )
    assert item.ref == Ref('HTTPRoute', 'shop', 'web')
    assert item.parents[1].ref == Ref('ListenerSet', 'infra', 'more')


def test_a_route_without_rules_is_one_for_all_paths_without_backends():
    document = http_route()
    del document['spec']['rules']
    assert read(document) == (
        HTTPRoute('shop', 'web', parents=(ParentRef(GROUP, 'Gateway', 'shop', 'public'),), rules=(HTTPRule(),)),
        [],
    )


@pytest.mark.parametrize('matches', [None, []])
def test_a_rule_without_matches_is_for_all_requests(matches):
    found, problems = of_rule(matches=matches)
    assert (found.matches, problems) == ((ANY_REQUEST,), [])


@pytest.mark.parametrize(
    ('hostnames', 'kept'),
    [(None, ()), ([], ()), (['a.example.com', 'A.example.com'], ('a.example.com',)), (['a.b', 'a.b'], ('a.b',))],
)
def test_a_host_that_is_none_is_left_out(hostnames, kept):
    item, _ = read(http_route(hostnames=hostnames))
    assert item.hostnames == kept
    assert len(item.rules) == 1


@pytest.mark.parametrize(
    'hostnames', ['a.example.com', ['*'], [''], ['192.0.2.1', 5], ['a..b'], ['a\nb'], [None], {}, 0]
)
def test_a_route_of_whose_hosts_none_can_be_read_serves_nothing(hostnames):
    item, problems = read(http_route(hostnames=hostnames))
    assert (item.hostnames, item.rules) == ((), ())
    assert problems
    assert all(field.startswith('spec.hostnames') for field, _ in problems)


@pytest.mark.parametrize(
    ('parent', 'field'),
    [
        ('public', ''),
        ({}, '.name'),
        ({'name': 'A b'}, '.name'),
        ({'name': 'a', 'kind': '-'}, '.kind'),
        ({'name': 'a', 'group': 'X'}, '.group'),
        ({'name': 'a', 'namespace': 'a.b'}, '.namespace'),
        ({'name': 'a', 'sectionName': 5}, '.sectionName'),
        ({'name': 'a', 'sectionName': ''}, '.sectionName'),
        ({'name': 'a', 'port': 0}, '.port'),
        ({'name': 'a', 'port': '80'}, '.port'),
    ],
)
def test_a_parent_that_cannot_be_read_is_left_out(parent, field):
    document = http_route()
    document['spec']['parentRefs'] = [parent, {'name': 'public'}, {'name': 'public'}]
    item, problems = read(document)
    assert item.parents == (ParentRef(GROUP, 'Gateway', 'shop', 'public'),)
    assert [field for field, _ in problems] == [f'spec.parentRefs[0]{field}']


@pytest.mark.parametrize('key', ['parentRefs', 'rules'])
def test_a_list_that_is_none_is_a_problem(key):
    document = http_route()
    document['spec'][key] = {'a': 1}
    item, problems = read(document)
    assert problems == [(f'spec.{key}', f'spec.{key} is of the wrong type and ignored')]
    assert not (item.parents if key == 'parentRefs' else item.rules)


@pytest.mark.parametrize('entry', [None, 'a', 5, []])
def test_a_rule_that_is_none_keeps_its_place(entry):
    item, problems = read(http_route(rules=[entry, rule()]))
    assert [rule.matches for rule in item.rules] == [(), (ANY_REQUEST,)]
    assert [field for field, _ in problems] == ['spec.rules[0]']
    assert item.rules[0].problems
    assert not item.rules[1].problems


def test_two_rules_of_one_name_are_a_problem():
    assert read(http_route(rules=[rule(name='a'), rule(name='a')]))[1] == [
        ('spec.rules', 'two rules have the same name')
    ]
    assert of_rule(name='A')[1] == ['name']


@pytest.mark.parametrize(
    ('match', 'expected'),
    [
        ({}, ANY_REQUEST),
        ({'path': {}}, ANY_REQUEST),
        ({'path': {'value': '/a'}}, HTTPMatch(PathMatch('/a'))),
        ({'path': {'type': 'Exact', 'value': '/a%20b/'}}, HTTPMatch(PathMatch('/a%20b/', PathKind.EXACT))),
        ({'path': {'type': 'Exact'}}, HTTPMatch(PathMatch('/', PathKind.EXACT))),
        (
            {'path': {'type': 'RegularExpression', 'value': r'/v\d+ //'}},
            HTTPMatch(PathMatch(r'/v\d+ //', PathKind.EXPRESSION)),
        ),
        ({'method': 'PATCH'}, HTTPMatch(method='PATCH')),
        (
            {'headers': [{'name': 'X-A', 'value': '1 2'}, {'name': 'x-a', 'value': '3'}]},
            HTTPMatch(headers=(ValueMatch('x-a', '1 2'),)),
        ),
        (
            {'headers': [{'name': 'B', 'value': ' .*', 'type': 'RegularExpression'}, {'name': 'A', 'value': 'x'}]},
            HTTPMatch(headers=(ValueMatch('b', ' .*', expression=True), ValueMatch('a', 'x'))),
        ),
        (
            {'queryParams': [{'name': 'Q', 'value': 'ü'}, {'name': 'q', 'value': '1'}, {'name': 'Q', 'value': '2'}]},
            HTTPMatch(query=(ValueMatch('Q', 'ü'), ValueMatch('q', '1'))),
        ),
    ],
)
def test_a_match_is_read(match, expected):
    assert of_match(**match) == ((expected,), [])


@pytest.mark.parametrize(
    ('match', 'field'),
    [
        ({'path': '/a'}, 'path'),
        ({'path': {'type': 'Prefix'}}, 'path.type'),
        ({'path': {'type': []}}, 'path.type'),
        ({'path': {'value': 'a'}}, 'path.value'),
        ({'path': {'value': 5}}, 'path.value'),
        ({'path': {'value': '/a b'}}, 'path.value'),
        ({'path': {'value': '/a//b'}}, 'path.value'),
        ({'path': {'value': '/a/../b'}}, 'path.value'),
        ({'path': {'value': '/a/.'}}, 'path.value'),
        ({'path': {'value': '/a%2Fb'}}, 'path.value'),
        ({'path': {'value': '/a%zz'}}, 'path.value'),
        ({'path': {'value': '/a#b'}}, 'path.value'),
        ({'path': {'value': '/a\n'}}, 'path.value'),
        ({'path': {'value': '/' + 'a' * 1024}}, 'path.value'),
        ({'path': {'type': 'RegularExpression', 'value': '/\x00'}}, 'path.value'),
        ({'path': {'type': 'RegularExpression', 'value': ''}}, 'path.value'),
        ({'method': 'get'}, 'method'),
        ({'method': 5}, 'method'),
        ({'headers': {'a': 'b'}}, 'headers'),
        ({'headers': [5]}, 'headers[0].name'),
        ({'headers': [{'name': 'a:', 'value': 'b'}]}, 'headers[0].name'),
        ({'headers': [{'name': 'a', 'value': 'b', 'type': 'Prefix'}]}, 'headers[0].type'),
        ({'headers': [{'name': 'a', 'value': 'b\r\nc: d'}]}, 'headers[0].value'),
        ({'headers': [{'name': 'a', 'value': ' b'}]}, 'headers[0].value'),
        ({'headers': [{'name': 'a'}]}, 'headers[0].value'),
        ({'queryParams': [{'name': 'a', 'value': 'b\x1e'}]}, 'queryParams[0].value'),
        ({'queryParams': [{'name': 'a b', 'value': 'b'}]}, 'queryParams[0].name'),
    ],
)
def test_a_match_that_cannot_be_read_is_left_out(match, field):
    assert of_match(**match) == ((), [field])


def test_what_is_no_match_is_left_out():
    found, problems = of_rule(matches=[5, {'path': {'value': '/a'}}])
    assert found.matches == (HTTPMatch(PathMatch('/a')),)
    assert problems == ['matches[0]']
    assert found.problems


@pytest.mark.parametrize(
    ('kind', 'body', 'expected'),
    [
        (
            'RequestHeaderModifier',
            {
                'set': [{'name': 'A', 'value': '1'}, {'name': 'a', 'value': '2'}],
                'add': [{'name': 'B', 'value': 'x, "y"'}],
                'remove': ['C', 'C', 'd'],
            },
            RequestHeaderModifier((('A', '1'),), (('B', 'x, "y"'),), ('C', 'd')),
        ),
        ('ResponseHeaderModifier', {'remove': ['C']}, ResponseHeaderModifier(remove_headers=('C',))),
        ('RequestRedirect', {}, RequestRedirect()),
        (
            'RequestRedirect',
            {'scheme': 'https', 'hostname': 'a.b', 'port': 8443, 'statusCode': 308},
            RequestRedirect('https', 'a.b', None, 8443, 308),
        ),
        ('RequestRedirect', {'path': {'type': 'ReplaceFullPath', 'replaceFullPath': '/x'}}, RequestRedirect(path=PathModifier('/x'))),
        ('URLRewrite', {'hostname': 'a.b'}, URLRewrite('a.b')),
        ('URLRewrite', {'path': PREFIX}, URLRewrite(path=PathModifier('/new', prefix=True))),
        ('URLRewrite', {'path': {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': ''}}, URLRewrite(path=PathModifier('', prefix=True))),
        ('RequestMirror', {'backendRef': backend()}, RequestMirror(WEB)),
        ('RequestMirror', {'backendRef': backend(), 'percent': 0}, RequestMirror(WEB, 0)),
        ('RequestMirror', {'backendRef': backend(), 'fraction': {'numerator': 1, 'denominator': 3}}, RequestMirror(WEB, 1, 3)),
        ('RequestMirror', {'backendRef': backend(), 'fraction': {'numerator': 7}}, RequestMirror(WEB, 7)),
        ('CORS', {}, CORS()),
        (
            'CORS',
            {
                'allowOrigins': ['https://*.a.example.com:8443', 'http://*', '*'],
                'allowMethods': ['GET', '*'],
                'allowHeaders': ['X-A', '*'],
                'exposeHeaders': ['X-B'],
                'allowCredentials': True,
                'maxAge': 60,
            },
            CORS(('https://*.a.example.com:8443', 'http://*', '*'), ('GET', '*'), ('X-A', '*'), ('X-B',), True, 60),
        ),
        (
            'ExternalAuth',
            {
                'protocol': 'HTTP',
                'backendRef': backend(),
                'http': {'path': '/check', 'allowedHeaders': ['A'], 'allowedResponseHeaders': ['B']},
                'forwardBody': {'maxSize': 1000},
            },
            ExternalAuth(WEB, False, '/check', ('A',), ('B',), 1000),
        ),
        ('ExternalAuth', {'protocol': 'GRPC', 'backendRef': backend(), 'grpc': {}}, ExternalAuth(WEB, True)),
        (
            'ExtensionRef',
            {'group': 'example.com', 'kind': 'Filter', 'name': 'a'},
            ExtensionRef(Reference('example.com', 'Filter', 'shop', 'a')),
        ),
    ],
)  # fmt: skip
def test_a_filter_is_read(kind, body, expected):
    assert of_filter(kind, body) == ((expected,), [])


@pytest.mark.parametrize(
    ('kind', 'body', 'field'),
    [
        ('RequestHeaderModifier', {'set': {'A': '1'}}, 'set'),
        ('RequestHeaderModifier', {'set': [5]}, 'set[0].name'),
        ('RequestHeaderModifier', {'set': [{'name': 'A\n', 'value': '1'}]}, 'set[0].name'),
        ('RequestHeaderModifier', {'add': [{'name': 'A', 'value': '1\r\nB: 2'}]}, 'add[0].value'),
        ('RequestHeaderModifier', {'add': [{'name': 'A', 'value': ''}]}, 'add[0].value'),
        ('ResponseHeaderModifier', {'remove': ['A b']}, 'remove[0]'),
        ('ResponseHeaderModifier', {'remove': [5]}, 'remove[0]'),
        ('RequestRedirect', {'scheme': 'ftp'}, 'scheme'),
        ('RequestRedirect', {'statusCode': 404}, 'statusCode'),
        ('RequestRedirect', {'port': 0}, 'port'),
        ('RequestRedirect', {'hostname': '*.a'}, 'hostname'),
        ('RequestRedirect', {'hostname': 'a/b'}, 'hostname'),
        ('RequestRedirect', {'path': '/a'}, 'path.type'),
        ('RequestRedirect', {'path': {'type': 'ReplaceFullPath'}}, 'path.replaceFullPath'),
        ('RequestRedirect', {'path': {'type': 'ReplaceFullPath', 'replaceFullPath': '/a b'}}, 'path.replaceFullPath'),
        ('URLRewrite', {'path': {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': 'a'}}, 'path.replacePrefixMatch'),
        ('URLRewrite', {'path': {'type': 10**5000}}, 'path.type'),
        ('RequestMirror', {}, 'backendRef'),
        ('RequestMirror', {'backendRef': {'name': 'a'}}, 'backendRef.port'),
        ('RequestMirror', {'backendRef': backend(), 'percent': 101}, ''),
        ('RequestMirror', {'backendRef': backend(), 'percent': '5'}, ''),
        ('RequestMirror', {'backendRef': backend(), 'percent': 5, 'fraction': {}}, ''),
        ('RequestMirror', {'backendRef': backend(), 'fraction': {}}, ''),
        ('RequestMirror', {'backendRef': backend(), 'fraction': {'numerator': 2, 'denominator': 1}}, ''),
        ('RequestMirror', {'backendRef': backend(), 'fraction': {'numerator': 2, 'denominator': 0}}, ''),
        ('RequestMirror', {'backendRef': backend(), 'fraction': 5}, ''),
        ('CORS', {'maxAge': 0}, 'maxAge'),
        ('CORS', {'maxAge': '5'}, 'maxAge'),
        ('CORS', {'allowCredentials': 'yes'}, 'allowCredentials'),
        ('CORS', {'allowOrigins': ['a.example.com']}, 'allowOrigins[0]'),
        ('CORS', {'allowMethods': ['get']}, 'allowMethods[0]'),
        ('CORS', {'allowHeaders': ['a,b']}, 'allowHeaders[0]'),
        ('CORS', {'exposeHeaders': '*'}, 'exposeHeaders'),
        ('ExternalAuth', {'protocol': 'TCP'}, 'protocol'),
        ('ExternalAuth', {'protocol': 'HTTP', 'backendRef': backend(), 'http': []}, 'http'),
        ('ExternalAuth', {'protocol': 'HTTP', 'backendRef': backend(), 'http': {'path': '/a b'}}, 'http.path'),
        ('ExternalAuth', {'protocol': 'HTTP', 'backendRef': backend(), 'forwardBody': {'maxSize': -1}}, 'forwardBody.maxSize'),
        ('ExternalAuth', {'protocol': 'HTTP'}, 'backendRef'),
        ('ExtensionRef', {'group': 'a', 'kind': 'B'}, 'name'),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_read_is_a_problem_of_its_rule(kind, body, field):
    assert of_filter(kind, body)[1] == [field]


@pytest.mark.parametrize(
    ('filters', 'field'),
    [
        ({'type': 'CORS'}, 'filters'),
        ([5], 'filters[0].type'),
        ([{'type': []}], 'filters[0].type'),
        ([{'type': 'FromTheFuture', 'fromTheFuture': {}}], 'filters[0].type'),
        ([{'type': 'CORS'}], 'filters[0].cors'),
        ([REQUEST_HEADERS, REQUEST_HEADERS], 'filters'),
    ],
)
def test_what_is_no_filter_is_a_problem_of_its_rule(filters, field):
    assert of_rule(filters=filters)[1] == [field]


def test_filters_that_exclude_each_other_are_a_problem():
    redirect = {'type': 'RequestRedirect', 'requestRedirect': {}}
    rewrite = {'type': 'URLRewrite', 'urlRewrite': {'hostname': 'a.b'}}
    assert of_rule(filters=[redirect, rewrite], backendRefs=[])[1] == ['filters']
    assert of_rule(filters=[redirect])[1] == ['filters']


@pytest.mark.parametrize(
    'matches', [[{'path': {'type': 'Exact', 'value': '/a'}}], [{'path': {'value': '/a'}}, {'path': {'value': '/b'}}]]
)
@pytest.mark.parametrize('of_backend', [True, False])
def test_a_prefix_is_replaced_only_where_one_matches(matches, of_backend):
    filters = [{'type': 'URLRewrite', 'urlRewrite': {'path': PREFIX}}]
    entry = {'backendRefs': [backend(filters=filters)]} if of_backend else {'filters': filters}
    assert of_rule(matches=matches, **entry)[1] == ['filters']
    assert of_rule(matches=[{'path': {'value': '/a'}}], **entry)[1] == []


@pytest.mark.parametrize(
    ('entry', 'field'),
    [
        (5, ''),
        ({}, '.name'),
        ({'name': 'web'}, '.port'),
        ({'name': 'web', 'port': 'http'}, '.port'),
        ({'name': 'Web', 'port': 80}, '.name'),
        ({'name': 'web', 'port': 80, 'kind': 'a b'}, '.kind'),
    ],
)
def test_a_backend_that_cannot_be_read_keeps_its_share(entry, field):
    weight = {'weight': 7} if isinstance(entry, dict) else {}
    found, problems = of_rule(backendRefs=[{**entry, **weight} if weight else entry, backend()])
    assert problems == [f'backendRefs[0]{field}']
    assert (found.backends[0].name, found.backends[0].weight) == ('', weight.get('weight', 1))
    assert found.backends[0].problems
    assert not found.problems
    assert not found.backends[1].problems


def test_a_backend_of_another_kind_needs_no_port():
    found, problems = of_rule(backendRefs=[{'group': 'example.com', 'kind': 'Bucket', 'name': 'a'}])
    assert (found.backends, problems) == ((BackendRef('example.com', 'Bucket', 'shop', 'a'),), [])


@pytest.mark.parametrize('weight', [-1, 1_000_001, '5', True, 1.5])
def test_a_weight_that_is_none_is_a_problem_of_the_backend(weight):
    found, problems = of_rule(backendRefs=[backend(weight=weight)])
    assert problems == ['backendRefs[0].weight']
    assert found.backends[0].weight == 1


def test_filters_of_a_backend_are_read():
    found, problems = of_rule(backendRefs=[backend(filters=[REQUEST_HEADERS])])
    assert problems == []
    assert found.backends[0].filters == (RequestHeaderModifier((('A', '1'),)),)
    found, problems = of_rule(backendRefs=[backend(filters=[{'type': 'X'}])])
    assert problems == ['backendRefs[0].filters[0].type']
    assert found.backends[0].name == 'web'


@pytest.mark.parametrize(
    ('text', 'milliseconds'),
    [
        ('0s', 0),
        ('10s', 10_000),
        ('500ms', 500),
        ('1h30m', 5_400_000),
        ('1m1s1ms', 61_001),
        ('99999h', 359_996_400_000),
    ],
)
def test_a_duration_is_read(text, milliseconds):
    found, problems = of_rule(timeouts={'request': text})
    assert (found.timeouts, problems) == (Timeouts(milliseconds), [])


@pytest.mark.parametrize('value', ['', '10', '1.5s', '-1s', '1d', 's', '1s1s1s1s1s', '123456s', 10, ['1s'], '1s\n'])
def test_a_duration_that_is_none_is_a_problem(value):
    assert of_rule(timeouts={'request': value})[1] == ['timeouts.request']


def test_timeouts_are_read():
    assert of_rule(timeouts={'request': '2s', 'backendRequest': '1s'})[0].timeouts == Timeouts(2000, 1000)
    assert of_rule(timeouts={'request': '0s', 'backendRequest': '1s'})[1] == []
    assert of_rule(timeouts={'request': '1s', 'backendRequest': '2s'})[1] == ['timeouts.backendRequest']
    assert of_rule(timeouts={})[0].timeouts is None
    assert of_rule(timeouts='1s')[1] == ['timeouts']


def test_a_retry_is_read():
    found, problems = of_rule(retry={'codes': [503, 500, 503], 'attempts': 3, 'backoff': '100ms'})
    assert found.retry == Retry((500, 503), 3, 100)
    assert problems == ['retry.codes']
    assert of_rule(retry={}) == (HTTPRule(backends=(BackendRef('', 'Service', 'shop', 'web', 80),), retry=Retry()), [])


@pytest.mark.parametrize(
    ('retry', 'field'),
    [
        (5, 'retry'),
        ({'attempts': 0}, 'retry.attempts'),
        ({'attempts': '2'}, 'retry.attempts'),
        ({'codes': 500}, 'retry.codes'),
        ({'codes': [200]}, 'retry.codes'),
        ({'codes': ['500']}, 'retry.codes'),
        ({'backoff': 5}, 'retry.backoff'),
    ],
)
def test_a_retry_that_is_none_is_a_problem(retry, field):
    assert of_rule(retry=retry)[1] == [field]


@pytest.mark.parametrize(
    ('session', 'expected'),
    [
        ({}, SessionPersistence()),
        ({'type': 'Header', 'sessionName': 'X-Session'}, SessionPersistence('X-Session', header=True)),
        (
            {'cookieConfig': {'lifetimeType': 'Permanent'}, 'absoluteTimeout': '1h'},
            SessionPersistence('', header=False, permanent=True, absolute_timeout=3_600_000),
        ),
    ],
)
def test_session_persistence_is_read(session, expected):
    found, problems = of_rule(sessionPersistence=session)
    assert (found.session, problems) == (expected, [])


@pytest.mark.parametrize(
    ('session', 'field'),
    [
        (5, ''),
        ({'cookieConfig': 5}, ''),
        ({'type': 'Source'}, ''),
        ({'cookieConfig': {'lifetimeType': 'Long'}}, ''),
        ({'cookieConfig': {'lifetimeType': 'Permanent'}}, ''),
        ({'sessionName': 'a;b'}, '.sessionName'),
        ({'sessionName': 'a' * 129}, '.sessionName'),
        ({'absoluteTimeout': 5}, '.absoluteTimeout'),
    ],
)
def test_session_persistence_that_is_none_is_a_problem(session, field):
    assert of_rule(sessionPersistence=session)[1] == [f'sessionPersistence{field}']


def test_a_route_without_a_spec_is_a_problem():
    assert read({'metadata': {}})[1] == [('spec', 'the object has no spec')]


def test_a_large_route_is_known():
    assert not http_routes.is_large(http_route())
    assert http_routes.is_large(http_route(rules=[rule()] * 101))
    assert http_routes.is_large(http_route(rules=[{'matches': [{}] * 101}, 5]))
