"""Which listeners of a Gateway can be used, and what is wrong with the others."""

import pytest

from headrace.objects import gateways
from headrace.translate import judged_listeners
from support.gateways import gateway, listener


def judge(*listeners, port=None):
    """Return the judged listeners of a Gateway, whose ports HAProxy has as they are unless `port` says otherwise."""
    read = gateways.read('shop', 'web', gateway('web', *listeners))
    return judged_listeners.judge(read, read, port or (lambda item: item.port))


def reasons(judged):
    """Return the reasons of what is wrong with each listener, and the field."""
    return [[(each.reason, each.field) for each in item.diagnostics] for item in judged.items]


def kinds(*names, group='gateway.networking.k8s.io'):
    """Return what a listener allows."""
    return {'allowedRoutes': {'kinds': [{'group': group, 'kind': name} for name in names]}}


def test_a_listener_of_another_port_or_host_is_no_conflict():
    judged = judge(listener(), listener('b', hostname='a.com'), listener('c', 8080), listener('d', 443, 'HTTPS'))
    assert reasons(judged) == [[], [], [], []]
    assert judged.accepted == judged.items


def test_of_two_listeners_with_the_same_port_and_host_neither_is_accepted():
    judged = judge(listener('a', hostname='a.com'), listener('b', hostname='b.com'), listener('c', hostname='a.com'))
    assert reasons(judged) == [
        [('HostnameConflict', 'spec.listeners[0].hostname')],
        [],
        [('HostnameConflict', 'spec.listeners[2].hostname')],
    ]
    assert [each.listener.name for each in judged.accepted] == ['b']


def test_listeners_of_a_port_have_one_protocol():
    judged = judge(listener('a', 80), listener('b', 80, 'HTTPS', 'a.com'), listener('c', 81))
    assert [[reason for reason, _ in found] for found in reasons(judged)] == [
        ['ProtocolConflict'],
        ['ProtocolConflict'],
        [],
    ]


def test_a_listener_that_cannot_be_used_conflicts_with_none():
    judged = judge(listener('a', 80, 'example.com/own'), listener('b', hostname='A B'), listener('c'))
    assert [[reason for reason, _ in found] for found in reasons(judged)] == [
        ['UnsupportedListenerProtocol'],
        ['InvalidObject'],
        [],
    ]
    assert {each.part.section for item in judged.items for each in item.diagnostics} == {'a', 'b'}


@pytest.mark.parametrize(
    ('allowed', 'expected', 'wrong'),
    [
        pytest.param({}, ('HTTPRoute', 'GRPCRoute'), [], id='all of the protocol'),
        pytest.param(kinds('HTTPRoute'), ('HTTPRoute',), [], id='some'),
        pytest.param(kinds('HTTPRoute', 'TCPRoute'), ('HTTPRoute',), ['InvalidRouteKinds'], id='one of another protocol'),
        pytest.param(kinds('Thing'), (), ['InvalidRouteKinds'], id='none that is known'),
        pytest.param(kinds('HTTPRoute', group='example.com'), (), ['InvalidRouteKinds'], id='another group'),
    ],
)  # fmt: skip
def test_kinds_of_routes_are_those_of_the_protocol_that_a_listener_allows(allowed, expected, wrong):
    item = judge({**listener(), **allowed}).items[0]
    assert item.kinds == expected
    assert [each.reason for each in item.diagnostics] == wrong
    assert item.accepted


@pytest.mark.parametrize(('port', 'accepted'), [(28000, True), (0, True), (None, False)])
def test_a_listener_whose_port_comes_later_is_accepted_and_one_that_can_have_none_is_not(port, accepted):
    item = judge(listener(), port=lambda _: port).items[0]
    assert (item.port, item.accepted) == (port or 0, accepted)
    assert [each.reason for each in item.diagnostics] == ([] if accepted else ['PortUnavailable'])
