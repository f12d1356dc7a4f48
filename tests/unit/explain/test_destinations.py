"""Who gets a request that its policy lets pass: weights, canaries, fallback, error pages, names, endpoints."""

import pytest

from support.explained import trace
from support.gateways import backend, full_path, gateway, http_route, listener, modifier, rewrite, rule
from support.objects import endpoint_slice, service

HTTP = [{'name': 'http', 'port': 80}]


def named(name, **annotations):
    given = {key.replace('_', '-'): text for key, text in annotations.items()}
    return service(name, annotations=given, ports=HTTP)


def ready(name, *addresses):
    return endpoint_slice(name, addresses=addresses or ('10.0.0.1',), port_name='http')


OTHERS = (named('next', enabled='false'), ready('next'), named('idle', enabled='false'))


def shares(found):
    return {each.service.name: round(each.share, 3) for each in found.outcome.destinations}


def asked(*headers, line='http://a.com/', **annotations):
    return trace(line, named('web', host='a.com', **annotations), ready('web'), *OTHERS, headers=headers)


def test_a_canary_changes_no_headers_but_those_of_the_route():
    route = named('web', host='a.com', canary_service='next', canary_weight='100', request_headers='X-A: route')
    canary = named('next', host='b.com', request_headers='X-A: canary')
    [found] = trace('http://a.com/', route, ready('web'), canary, ready('next')).outcome.destinations
    assert (found.service.name, [edit.value for edit in found.sent]) == ('next', ['route'])


CANARIES = {
    'by weight': ((), {'canary_weight': '20'}, {'next': 0.2, 'web': 0.8}),
    'of no weight': ((), {}, {'web': 1.0}),
    'of all weight': ((), {'canary_weight': '100'}, {'next': 1.0}),
    'always by a header': (['X-C: always'], {'canary_header': 'X-C'}, {'next': 1.0}),
    'never by a header': (['X-C: never'], {'canary_header': 'X-C', 'canary_weight': '50'}, {'web': 1.0}),
    'by the value of a header': (['X-C: a, b%'], {'canary_header': 'X-C: a, b%'}, {'next': 1.0}),
    'another value of a header': (['X-C: c'], {'canary_header': 'X-C: a'}, {'web': 1.0}),
    'by a cookie': (['Cookie: x=y; go=always'], {'canary_cookie': 'go'}, {'next': 1.0}),
    'a header before a cookie': (
        ['Cookie: go=always', 'X-C: never'],
        {'canary_cookie': 'go', 'canary_header': 'X-C'},
        {'web': 1.0},
    ),
    'by an expression': (['X-C: xaay'], {'canary_header': 'X-C', 'canary_header_pattern': 'a+'}, {'next': 1.0}),
    'another value of an expression': (
        ['X-C: b'],
        {'canary_header': 'X-C', 'canary_header_pattern': 'a+'},
        {'web': 1.0},
    ),
}


@pytest.mark.parametrize(('headers', 'annotations', 'wanted'), CANARIES.values(), ids=CANARIES)
def test_a_canary(headers, annotations, wanted):
    assert shares(asked(*headers, canary_service='next', **annotations)) == wanted


def test_a_canary_without_endpoints_is_a_proviso():
    found = asked(canary_service='idle', canary_weight='20')
    assert shares(found) == {'web': 0.8}
    assert [(each.status, each.because) for each in found.provisos] == [
        (503, 'Service shop/idle has no endpoint that can be used')
    ]


def test_clients_that_stay_keep_their_side():
    found = asked(canary_service='next', canary_weight='20', cookie='true')
    assert '20.00% of such requests go to the canary, and a client keeps its side' in [
        step.because for step in found.steps
    ]


NONE = {
    'nothing': ({}, [], 'Service shop/web has no endpoint that can be used'),
    'a fallback': ({'fallback_service': 'next'}, ['next'], 'the endpoint answers'),
    'an idle fallback': ({'fallback_service': 'idle'}, [], 'Service shop/web has no endpoint that can be used'),
    'error pages': (
        {'error_service': 'next', 'error_statuses': '503'}, ['next'], 'Service shop/web has no endpoint that can be used; Service shop/next answers in its place',
    ),
    'error pages of another status': ({'error_service': 'next', 'error_statuses': '404'}, [], 'Service shop/web has no endpoint that can be used'),
}  # fmt: skip


@pytest.mark.parametrize(('annotations', 'services', 'because'), NONE.values(), ids=NONE)
def test_a_service_without_endpoints(annotations, services, because):
    found = trace('http://a.com/', named('web', host='a.com', **annotations), *OTHERS)
    assert [each.service.name for each in found.outcome.destinations] == services
    assert (found.outcome.because, found.outcome.status) == (because, 0 if services else 503)


def of_route(*rules, headers=()):
    documents = (
        gateway('web', listener()),
        http_route('r', *rules, hostnames=['a.com']),
        named('web', enabled='false'),
        ready('web', '10.0.0.1', '10.0.0.2'),
        *OTHERS,
    )
    return trace('http://a.com/x', *documents, headers=headers)


def test_weights_of_a_route():
    found = of_route(rule(backend('web', 9), backend('next', 1), backend('idle', 0)))
    assert shares(found) == {'web': 0.9, 'next': 0.1}
    assert found.outcome.because == 'one of 3 endpoints answers'


@pytest.mark.parametrize(('headers', 'status'), [((), 500), (['Content-Type: application/grpc+proto'], 503)])
def test_a_backend_that_is_not_there(headers, status):
    found = of_route(rule('none'), headers=headers)
    assert (found.outcome.status, found.outcome.because) == (status, 'the route names a backend that cannot be used')


def test_parts_without_any_endpoint():
    found = of_route(rule('none', 'idle'))
    assert (found.outcome.status, [each.status for each in found.provisos]) == (500, [503])


def test_a_route_without_weights_is_closed():
    assert of_route(rule(backend('web', 0), backend('next', 0))).outcome.status in (500, 503)


def test_what_endpoints_get():
    part = backend(
        'web', filters=[modifier('Request', set={'X-Part': 'p'}, remove=['X-Gone']), rewrite(path=full_path('/part'))]
    )
    found = of_route(rule(part, filters=[modifier('Request', set={'X-A': 'b'}, add={'X-B': 'c'})]))
    (destination,) = found.outcome.destinations
    assert destination.path in ('/part', '/x')
    assert {(edit.action, edit.name, edit.value) for edit in destination.sent} == {
        ('set', 'x-a', 'b'), ('add', 'x-b', 'c'), ('set', 'x-part', 'p'), ('remove', 'x-gone', ''),
    }  # fmt: skip


def test_a_service_that_is_a_name():
    external = service(
        'web', annotations={'host': 'a.com'}, ports=HTTP, type='ExternalName', externalName='x.example.com'
    )
    (destination,) = trace('http://a.com/', external, allow_external_name=True).outcome.destinations
    assert (destination.name, destination.endpoints) == ('x.example.com', ())
