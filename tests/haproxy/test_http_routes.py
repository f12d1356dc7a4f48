"""HTTPRoutes by a real HAProxy: which backend serves a request, and what filters make of it, by the rules of the Gateway API."""

import collections

import pytest

from conftest import binary
from support.edge import Edge, Endpoints, web
from support.gateways import (
    backend,
    full_path,
    gateway,
    grant,
    http_route,
    listener,
    modifier,
    prefix_path,
    redirect,
    rewrite,
    rule,
)

NAMES = ('one', 'two', 'three', 'four')
PREFIX, SLASH, EMPTY = prefix_path('/new'), prefix_path('/'), prefix_path('')


def header(name, value, kind='Exact'):
    """Return a match of a header."""
    return {'headers': [{'name': name, 'value': value, 'type': kind}]}


ROUTES = (
    gateway(
        'web',
        listener(),
        listener('wild', hostname='*.wild.com'),
        listener('one', hostname='one.wild.com'),
        listener('all', hostname='shared.com', namespaces='All'),
    ),
    http_route(
        'paths',
        rule('one', path='/'),
        rule('two', path='/two'),
        rule('three', path='/two/exact', exact=True),
        rule('four', matches=[{'path': {'type': 'RegularExpression', 'value': '/v[0-9]+/.*'}}]),
        hostnames=['paths.com'],
    ),
    http_route(
        'matches',
        rule('one', matches=[header('x-version', '1')]),
        rule('two', matches=[{**header('x-version', '1'), 'method': 'POST'}]),
        rule('three', matches=[{'queryParams': [{'name': 'animal', 'value': 'whale'}]}, header('x-color', '(?:red|blue)', 'RegularExpression')]),
        rule('four', path='/'),
        hostnames=['matches.com'],
    ),
    http_route(
        'headers',
        rule(
            'one',
            filters=[
                modifier('Request', set={'X-Set': 'set'}, add={'X-Add': 'added'}, remove=['X-Gone']),
                modifier('Response', set={'X-Answer-Set': 'set'}, add={'X-Answer-Add': 'added'}),
            ],
        ),
        hostnames=['headers.com'],
    ),
    http_route(
        'redirects',
        rule(path='/full', filters=[redirect(path=full_path('/other'), statusCode=301)]),
        rule(path='/prefix', filters=[redirect(path=PREFIX)]),
        rule(path='/slash', filters=[redirect(path=SLASH)]),
        rule(path='/gone', filters=[redirect(path=EMPTY)]),
        rule(path='/host', filters=[redirect(hostname='other.com')]),
        rule(path='/scheme', filters=[redirect(scheme='https')]),
        rule(path='/port', filters=[redirect(port=8083)]),
        rule(path='/same', filters=[redirect(port=80, statusCode=307)]),
        rule(path='/both', filters=[redirect(scheme='https', port=443, statusCode=308)]),
        rule(path='/see', filters=[redirect(hostname='other.com', statusCode=303)]),
        hostnames=['redirects.com'],
    ),
    http_route(
        'rewrites',
        rule('one', path='/full', filters=[rewrite(path=full_path('/other'))]),
        rule('one', path='/prefix', filters=[rewrite(path=PREFIX)]),
        rule('one', path='/slash', filters=[rewrite(path=SLASH)]),
        rule('one', path='/host', filters=[rewrite(hostname='inner.com')]),
        hostnames=['rewrites.com', '*.rewrites.com'],
    ),
    http_route(
        'weights',
        rule(backend('one', 3), backend('two', 1), backend('three', 0)),
        rule(backend('one', 1, filters=[modifier('Request', set={'X-Share': 'one'})]), backend('absent', 1), path='/half'),
        rule(backend('one', 0), path='/none'),
        rule('absent', path='/absent'),
        rule(path='/nothing'),
        rule({'group': 'example.com', 'kind': 'Bucket', 'name': 'one'}, path='/kind'),
        rule(backend('granted', namespace='other'), path='/granted'),
        rule(backend('secret', namespace='other'), path='/secret'),
        hostnames=['weights.com'],
    ),
    http_route('wild', rule('one', path='/'), hostnames=['*.wild.com'], parents=[{'name': 'web', 'sectionName': 'wild'}]),
    http_route('one', rule('two', path='/two'), parents=[{'name': 'web', 'sectionName': 'one'}]),
    http_route('any', rule('three', path='/any'), parents=[{'name': 'web', 'sectionName': 'http'}]),
    http_route('foreign', rule('one'), hostnames=['shared.com'], parents=[{'name': 'web', 'namespace': 'shop', 'sectionName': 'all'}], namespace='other'),
    http_route('barred', rule('one'), hostnames=['barred.com'], parents=[{'name': 'web', 'namespace': 'shop', 'sectionName': 'http'}], namespace='other'),
    http_route('closed', rule('one', filters=[{'type': 'ExtensionRef', 'extensionRef': {'group': 'x.io', 'kind': 'X'}}]), rule('one', path='/open'), hostnames=['closed.com']),
    http_route('allowed', rule('one'), hostnames=['allowed.com'], annotations={'headrace.io/allow': '10.0.0.0/8'}),
    grant('granted', namespace='other'),
)  # fmt: skip


def other(documents):
    """Return documents of another namespace."""
    for document in documents:
        document['metadata']['namespace'] = 'other'
    return documents


@pytest.fixture(scope='module')
def edge():
    """An edge with all routes; each Service's endpoint is known by its address."""
    with Endpoints() as endpoints:
        services = [
            item
            for number, name in enumerate(NAMES)
            for item in web(name, endpoints, address=f'127.0.9.{number + 1}', host='')
        ]
        services += other(web('granted', endpoints, address='127.0.9.3', host=''))
        services += other(web('secret', endpoints, address='127.0.9.4', host=''))
        services += other(web('one', endpoints, address='127.0.9.2', host=''))
        with Edge(binary('haproxy-3.4'), *services, *ROUTES) as found:
            yield found


def served(answer):
    """Return the name of the Service that served a request, or the status that headrace answered with."""
    if answer.status != 200 or not answer.body.startswith(b'{'):
        return answer.status
    return NAMES[int(answer.said['at'].rpartition('.')[2]) - 1]


@pytest.mark.parametrize(
    ('host', 'path', 'wanted'),
    [
        ('paths.com', '/', 'one'),
        ('paths.com', '/twofold', 'one'),
        ('paths.com', '/two', 'two'),
        ('paths.com', '/two/', 'two'),
        ('paths.com', '/two/exact', 'three'),
        ('paths.com', '/two/exact/', 'two'),
        ('paths.com', '/v12/x', 'four'),
        ('paths.com', '/v/x', 'one'),
        ('unknown.com', '/', 404),
        ('unknown.com', '/any', 'three'),
        ('matches.com', '/', 'four'),
        ('matches.com', '/?animal=whale', 'three'),
        ('matches.com', '/?animal=dolphin', 'four'),
        ('weights.com', '/none', 500),
        ('weights.com', '/absent', 500),
        ('weights.com', '/nothing', 500),
        ('weights.com', '/kind', 500),
        ('weights.com', '/granted', 'three'),
        ('weights.com', '/secret', 500),
        ('x.wild.com', '/', 'one'),
        ('x.y.wild.com', '/', 'one'),
        ('one.wild.com', '/two', 'two'),
        ('one.wild.com', '/', 404),
        ('one.wild.com', '/any', 404),
        ('wild.com', '/', 404),
        ('shared.com', '/', 'two'),
        ('barred.com', '/', 404),
        ('closed.com', '/', 503),
        ('closed.com', '/open', 'one'),
        ('allowed.com', '/', 403),
    ],
)
def test_the_most_specific_rule_serves_a_request(edge, host, path, wanted):
    assert served(edge.get(host, path)) == wanted


@pytest.mark.parametrize(
    ('method', 'headers', 'wanted'),
    [
        ('GET', [('X-Version', '1')], 'one'),
        ('POST', [('X-Version', '1')], 'two'),
        ('POST', [], 'four'),
        ('GET', [('X-Color', 'blue')], 'three'),
        ('GET', [('X-Color', 'bluegreen')], 'four'),
        ('GET', [('X-Version', '1'), ('X-Color', 'red')], 'one'),
    ],
)
def test_conditions_decide_in_the_order_of_the_api(edge, method, headers, wanted):
    assert served(edge.get('matches.com', '/', method=method, headers=headers)) == wanted


def test_headers_are_set_added_and_removed(edge):
    sent = [
        ('X-Set', 'old'),
        ('X-Add', 'own'),
        ('X-Gone', 'here'),
        ('X-Answer', '{"headers": [["X-Answer-Set", "old"], ["X-Answer-Add", "own"]]}'),
    ]
    answer = edge.get('headers.com', '/', headers=sent)
    headers = answer.said['headers']
    assert headers['x-set'] == ['set']
    assert headers['x-add'] == ['own', 'added']
    assert 'x-gone' not in headers
    assert answer.headers['x-answer-set'] == 'set'
    assert answer.headers['x-answer-add'] == 'own, added'


@pytest.mark.parametrize(
    ('path', 'status', 'location'),
    [
        ('/full/x?q=1', 301, 'http://redirects.com/other?q=1'),
        ('/prefix', 302, 'http://redirects.com/new'),
        ('/prefix/a/b?q=1', 302, 'http://redirects.com/new/a/b?q=1'),
        ('/slash/a', 302, 'http://redirects.com/a'),
        ('/slash', 302, 'http://redirects.com/'),
        ('/gone/a', 302, 'http://redirects.com/a'),
        ('/gone', 302, 'http://redirects.com/'),
        ('/host/x', 302, 'http://other.com/host/x'),
        ('/scheme/x', 302, 'https://redirects.com/scheme/x'),
        ('/port/x', 302, 'http://redirects.com:8083/port/x'),
        ('/same/x', 307, 'http://redirects.com/same/x'),
        ('/both/x', 308, 'https://redirects.com/both/x'),
        ('/see', 303, 'http://other.com/see'),
    ],
)
def test_redirects_keep_what_they_do_not_name(edge, path, status, location):
    answer = edge.get('redirects.com', path)
    assert (answer.status, answer.headers['location']) == (status, location)


@pytest.mark.parametrize(
    ('host', 'path', 'wanted'),
    [
        ('rewrites.com', '/full/x?q=1', '/other?q=1'),
        ('rewrites.com', '/prefix/a?q=1', '/new/a?q=1'),
        ('rewrites.com', '/prefix', '/new'),
        ('x.rewrites.com', '/prefix/a', '/new/a'),
        ('rewrites.com', '/slash/a', '/a'),
        ('rewrites.com', '/slash', '/'),
    ],
)
def test_paths_are_rewritten(edge, host, path, wanted):
    assert edge.get(host, path).said['path'] == wanted


def test_the_host_is_rewritten(edge):
    assert edge.get('rewrites.com', '/host').said['headers']['host'] == ['inner.com']


def test_backends_share_requests_by_weight(edge):
    counts = collections.Counter(served(edge.get('weights.com', '/')) for _ in range(400))
    assert counts.keys() == {'one', 'two'}
    # Of 400 draws with probability 3/4 fewer than 250 or more than 350 come once in a million runs.
    assert 250 < counts['one'] < 350


def test_a_backend_that_does_not_exist_keeps_its_share_and_answers_500(edge):
    answers = [edge.get('weights.com', '/half') for _ in range(100)]
    assert {answer.status for answer in answers} == {200, 500}
    assert all(answer.said['headers']['x-share'] == ['one'] for answer in answers if answer.status == 200)
