"""GRPCRoute: what an API server takes is read, anything else is a problem of the rule that holds it."""

import pytest

from headrace.objects import grpc_routes
from headrace.objects.grpc_routes import GRPCRoute, GRPCRule
from headrace.objects.references import ParentRef
from headrace.objects.route_backends import BackendRef
from headrace.objects.route_filters import RequestHeaderModifier
from headrace.objects.route_matches import ANY_CALL, GRPCMatch, ValueMatch
from headrace.objects.routes import SessionPersistence
from support.gateway_objects import backend, route, rule

GROUP = 'gateway.networking.k8s.io'
HEADERS = {'type': 'RequestHeaderModifier', 'requestHeaderModifier': {'set': [{'name': 'A', 'value': '1'}]}}


def read(**spec):
    """Return the route, and the fields of its problems."""
    item = grpc_routes.read('shop', 'web', route('GRPCRoute', **spec))
    problems = list(item.diagnostics)
    assert {problem.ref for problem in problems} <= {item.ref}
    assert all(problem.message.isprintable() for problem in problems)
    return item, [problem.field for problem in problems]


def of_rule(**entry):
    item, problems = read(rules=[{'backendRefs': [backend()], **entry}])
    return item.rules[0], [field.removeprefix('spec.rules[0].') for field in problems]


def test_a_whole_route_is_read():
    item, problems = read(
        hostnames=['a.example.com'],
        rules=[
            rule(name='first', matches=[{'method': {'service': 'a.B', 'method': 'C'}}], filters=[HEADERS]),
            rule(None, backend('b', 8080, weight=3, filters=[HEADERS]), sessionPersistence={}),
        ],
    )
    assert problems == []
    assert item == GRPCRoute(
        'shop',
        'web',
        parents=(ParentRef(GROUP, 'Gateway', 'shop', 'public'),),
        hostnames=('a.example.com',),
        rules=(
            GRPCRule(
                'first',
                (BackendRef('', 'Service', 'shop', 'web', 80),),
                matches=(GRPCMatch('a.B', 'C'),),
                filters=(RequestHeaderModifier((('A', '1'),)),),
            ),
            GRPCRule(
                backends=(BackendRef('', 'Service', 'shop', 'b', 8080, 3, (RequestHeaderModifier((('A', '1'),)),)),),
                session=SessionPersistence(),
            ),
        ),
    )


@pytest.mark.parametrize(
    ('match', 'expected'),
    [
        ({}, ANY_CALL),
        ({'method': {'service': 'a.b_1.C'}}, GRPCMatch('a.b_1.C')),
        ({'method': {'method': 'Do', 'type': 'Exact'}}, GRPCMatch('', 'Do')),
        (
            {'method': {'service': r'a\..*', 'method': 'D[ao]', 'type': 'RegularExpression'}},
            GRPCMatch(r'a\..*', 'D[ao]', expression=True),
        ),
        (
            {'headers': [{'name': 'X-A', 'value': '1'}], 'method': {'method': 'Do'}},
            GRPCMatch('', 'Do', headers=(ValueMatch('x-a', '1'),)),
        ),
    ],
)
def test_a_match_is_read(match, expected):
    found, problems = of_rule(matches=[match])
    assert (found.matches, problems) == ((expected,), [])


@pytest.mark.parametrize(
    ('match', 'field'),
    [
        (5, ''),
        ({'method': 'a'}, '.method'),
        ({'method': {}}, '.method'),
        ({'method': {'service': 5}}, '.method'),
        ({'method': {'method': 'Do', 'type': 'Prefix'}}, '.method.type'),
        ({'method': {'service': 'a/b'}}, '.method.service'),
        ({'method': {'service': 'a', 'method': 'b c'}}, '.method.method'),
        ({'method': {'service': 'a' * 1025}}, '.method.service'),
        ({'method': {'service': 'a\n', 'type': 'RegularExpression'}}, '.method.service'),
        ({'headers': 5}, '.headers'),
        ({'method': {'method': 'Do'}, 'headers': [5]}, '.headers[0].name'),
    ],
)
def test_a_match_that_cannot_be_read_is_left_out(match, field):
    found, problems = of_rule(matches=[match])
    assert (found.matches, problems) == ((), [f'matches[0]{field}'])
    assert found.problems


def test_a_filter_of_http_alone_is_none_of_grpc():
    assert of_rule(filters=[{'type': 'CORS', 'cors': {}}])[1] == ['filters[0].type']


def test_a_route_of_whose_hosts_none_can_be_read_serves_nothing():
    assert read(hostnames=['*'])[0].rules == ()


def test_what_is_no_rule_keeps_its_place():
    item, problems = read(rules=[5, rule()])
    assert problems == ['spec.rules[0]']
    assert [each.matches for each in item.rules] == [(), (ANY_CALL,)]
