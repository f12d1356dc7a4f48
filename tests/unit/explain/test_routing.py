"""Which route a request takes, and what is said of the candidates that it does not take."""

import pytest

from headrace.explain.trace import Stage
from support.explained import trace
from support.gateways import gateway, http_route, listener, rule
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]
READY = endpoint_slice(addresses=['10.0.0.1'], port_name='http')


def web(name='web', namespace='shop', created='2024-01-01T00:00:00Z', **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, namespace, annotations=given, ports=HTTP, created=created)


def routes(found):
    return [(step.subject, step.passed, step.because) for step in found.steps if step.stage is Stage.ROUTE]


def of_matches(*matches, line='http://a.com/v1?q=a+b&q=2&r', headers=()):
    rules = [rule('web', matches=[match]) for match in matches]
    documents = (gateway('web', listener()), http_route('r', *rules, hostnames=['a.com']), web(enabled='false'), READY)
    return trace(line, *documents, headers=headers)


def header(name, value, kind='Exact'):
    return {'headers': [{'name': name, 'value': value, 'type': kind}]}


def query(name, value, kind='Exact'):
    return {'queryParams': [{'name': name, 'value': value, 'type': kind}]}


CONDITIONS = {
    'a method': ({'method': 'POST'}, 'the method is GET, not POST'),
    'a header that is missing': (header('x-b', '1'), 'header x-b is missing'),
    'a header with another value': (header('x-a', '1'), "header x-a is '7,8', not '1'"),
    'an expression of a header': (
        header('x-a', '[a-z]+', 'RegularExpression'),
        "header x-a is '7,8', which does not match \\A(?:[a-z]+)\\z",
    ),
    'a parameter that is missing': (query('s', '1'), 'query parameter s is missing'),
    'a parameter with another value': (query('q', '2'), "query parameter q is 'a b', not '2'"),
    'an expression of the path': (
        {'path': {'type': 'RegularExpression', 'value': '/w[0-9]'}},
        'the path does not match',
    ),
}


@pytest.mark.parametrize(('match', 'because'), CONDITIONS.values(), ids=CONDITIONS)
def test_why_a_candidate_does_not_fit(match, because):
    found = of_matches(match, headers=['X-A: 7', 'x-a: 8'])
    ((_, passed, said),) = routes(found)
    assert (passed, said.startswith(because), found.outcome.status) == (False, True, 404)


FITTING = {
    'a method': ({'method': 'GET'}, 'method GET as wanted'),
    'a header of several lines': (header('X-A', '7,8'), 'header x-a as wanted'),
    'the host': (header('Host', 'a.com'), 'header host as wanted'),
    'what is said of the client': (header('x-forwarded-for', '192.0.2.1'), 'header x-forwarded-for as wanted'),
    'the first parameter': (query('q', 'a b'), 'query parameter q as wanted'),
    'a parameter without a value': (query('r', '.*', 'RegularExpression'), 'query parameter r as wanted'),
    'an expression of the path': (
        {'path': {'type': 'RegularExpression', 'value': '/v[0-9]'}},
        'the expression of the path as wanted',
    ),
    'nothing': ({'path': {'type': 'PathPrefix', 'value': '/v1'}}, 'no conditions'),
}


@pytest.mark.parametrize(('match', 'because'), FITTING.values(), ids=FITTING)
def test_why_a_candidate_fits(match, because):
    found = of_matches(match, headers=['X-A: 7', 'x-a: 8', 'X-Forwarded-For: 10.0.0.1'])
    assert [(passed, said) for _, passed, said in routes(found)] == [(True, because)]


def test_shorter_paths_and_their_candidates_come_after():
    found = of_matches(
        {'path': {'type': 'Exact', 'value': '/v1'}, 'method': 'PUT'}, {'path': {'type': 'PathPrefix', 'value': '/v1'}, 'method': 'POST'},
        {'path': {'type': 'PathPrefix', 'value': '/'}},
    )  # fmt: skip
    assert [(subject.partition(':')[2], passed) for subject, passed, _ in routes(found)] == [
        ('a.com/v1 (exactly)', False), ('a.com/v1 (prefix)', False), ('a.com/ (prefix)', True),
    ]  # fmt: skip


def test_a_host_of_another_namespace():
    documents = (web(host='a.com', path='/own'), web('any', 'bank', host='*', created='2025-01-01T00:00:00Z'), READY)
    found = trace('http://a.com/x', *documents)
    assert routes(found) == [
        ('a.com/ (prefix)', False, 'the host belongs to namespace shop, which has no route for this path'),
        ('*/ (prefix)', False, 'host a.com belongs to namespace shop'),
    ]
    assert found.outcome.status == 404


PATHS = {
    'an odd path of one route': ('http://a.com/x%20y', 0, ''),
    'another reading': ('http://a.com/%61dmin', 400, 'a path with two readings: an endpoint could read it as /admin'),
    'dot segments': ('http://a.com/x/../y', 400, 'dot segments, control characters or a broken escape in the path'),
    'a broken escape': ('http://a.com/%x', 400, 'dot segments, control characters or a broken escape in the path'),
    'an odd path of no route': ('http://b.com/x//y', 404, 'no route for host b.com and this path'),
}


@pytest.mark.parametrize(('line', 'status', 'because'), PATHS.values(), ids=PATHS)
def test_odd_paths(line, status, because):
    found = trace(line, web(host='a.com'), web('admin', host='a.com', path='/admin'), READY)
    assert found.outcome.status == status
    assert not because or found.outcome.because == because


def test_odd_paths_at_gateways():
    rules = (rule('web', path='/'), rule('web', path='/admin'))
    documents = (gateway('web', listener()), http_route('r', *rules, hostnames=['a.com']), web(enabled='false'), READY)
    assert [trace(f'http://a.com{path}', *documents).outcome.status for path in ('/x%20y', '/%61dmin', '/x/../y')] == [
        0,
        400,
        400,
    ]


def test_an_expression_that_fits_one_reading_alone():
    found = trace('http://a.com/%61', web(host='a.com', path='/a', path_type='RegularExpression'), READY)
    assert found.outcome.because == 'a path with two readings'
    assert 'in one reading and not in another one, /a' in found.steps[0].because
