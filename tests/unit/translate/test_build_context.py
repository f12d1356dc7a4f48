"""From where the model is seen: the zone, the host policy, the Secrets, and the class's defaults."""

from dataclasses import replace

import pytest

from headrace.objects import parse
from headrace.settings.settings import Secrets, Settings, SettingsError
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import node, service


@pytest.mark.parametrize(
    ('topology', 'expected'),
    [
        pytest.param(Topology('n1'), Topology('n1', 'a'), id='the zone of its Node'),
        pytest.param(Topology('n1', 'b'), Topology('n1', 'b'), id='a zone that was given counts'),
        pytest.param(Topology('n2'), Topology('n2'), id='a Node that is not there'),
        pytest.param(Topology(), Topology(), id='no Node'),
    ],
)
def test_the_zone_is_that_of_the_node_unless_it_was_given(topology, expected):
    objects = [parse.read(document).object for document in (service('n1'), node('n1', zone='a'), node('n3', zone='c'))]
    assert build_context.make(Settings(), topology=topology).placed_by(objects).topology == expected


@pytest.mark.parametrize(
    ('defaults', 'message'),
    [
        ({'unknown': 'x'}, 'defaults: unknown is not a key of a backend'),
        ({'host': 'a.example.com'}, 'defaults: host is not a key of a backend'),
        ({'allow': '10.0.0.0/8'}, 'defaults: allow is not a key of a backend'),
        ({'timeout-server': 'soon'}, 'defaults: timeout-server must be a duration such as 500ms, 5s, 2m or 1h'),
        ({'snippets': 'nope'}, 'defaults: snippets names nope, and there is no such snippet'),
        ({'retries': '11'}, 'defaults: retries must be a whole number from 0 to 10'),
    ],
)
def test_a_default_that_cannot_be_used_is_an_error_that_names_the_key(defaults, message):
    with pytest.raises(SettingsError) as found:
        build_context.make(Settings(defaults=defaults))
    assert str(found.value) == message


def test_defaults_are_typed_and_sorted():
    made = build_context.make(Settings(defaults={'timeout-server': '30s', 'retries': '0'}))
    assert made.defaults == (('retries', 0), ('timeout-server', 30_000))


@pytest.mark.parametrize(
    ('policy', 'namespace', 'host', 'allowed'),
    [
        pytest.param({}, 'shop', 'a.example.com', True, id='no policy'),
        pytest.param({'shop': ('a.example.com',)}, 'shop', 'a.example.com', True, id='exact'),
        pytest.param({'shop': ('A.Example.com',)}, 'shop', 'a.example.com', True, id='exact, in capitals'),
        pytest.param({'shop': ('*.Example.com',)}, 'shop', 'a.example.com', True, id='a suffix in capitals'),
        pytest.param({'shop': ('a.example.com',)}, 'shop', 'b.example.com', False, id='another host'),
        pytest.param({'shop': ('a.example.com',)}, 'shop', 'x.a.example.com', False, id='below an exact host'),
        pytest.param({'shop': ('*.example.com',)}, 'shop', 'a.b.example.com', True, id='a suffix of any depth'),
        pytest.param({'shop': ('*.example.com',)}, 'shop', '*.example.com', True, id='the wildcard itself'),
        pytest.param({'shop': ('*.example.com',)}, 'shop', 'example.com', False, id='not the suffix itself'),
        pytest.param({'shop': ('*.example.com',)}, 'shop', 'badexample.com', False, id='not what only ends alike'),
        pytest.param({'shop': ('*.example.com',)}, 'shop', '*', False, id='not every host'),
        pytest.param({'shop': ('*',)}, 'shop', '*', True, id='every host'),
        pytest.param({'shop': ('*',)}, 'else', 'a.example.com', False, id='a namespace that is not named'),
        pytest.param({'*': ('a.example.com',)}, 'else', 'a.example.com', True, id='all that are not named'),
        pytest.param({'*': ('a.example.com',), 'shop': ()}, 'shop', 'a.example.com', False, id='named with nothing'),
    ],
)
def test_the_host_policy_says_who_may_claim_what(policy, namespace, host, allowed):
    assert build_context.make(Settings(host_policy=policy)).may_claim(namespace, host) is allowed


@pytest.mark.parametrize(
    ('namespaces', 'seen', 'allowed'),
    [
        ((), {}, False),
        (('shop',), {}, True),
        (('else',), {}, False),
        (('*',), {}, True),
        ((), {'offline': True}, True),
        ((), {'all_secrets': True}, True),
    ],
)
def test_secrets_are_read_where_the_class_says_so_or_all_that_a_folder_holds(namespaces, seen, allowed):
    made = build_context.make(Settings(secrets=Secrets(namespaces=namespaces)), **seen)
    assert made.may_read_secrets('shop') is allowed


def test_a_namespace_outside_the_filter_does_not_exist():
    assert build_context.make(Settings()).exists('shop')
    assert build_context.make(Settings(namespaces=('shop',))).exists('shop')
    assert not build_context.make(Settings(namespaces=('shop',))).exists('else')


def test_an_agent_with_a_seat_closes_the_listeners_of_all_that_may_be_on_the_node():
    alone = build_context.make(Settings(), role=Role.NODE)
    first, third = replace(alone, slot=0), replace(alone, slot=2)
    assert (alone.node_ports, alone.closed_ports) == ((10280, 10281, 10282, 10283, 10286, 10287), ())
    assert first.node_ports == alone.node_ports
    assert third.node_ports == (10296, 10297, 10298, 10299, 10302, 10303)
    assert len(first.closed_ports) == len({*first.closed_ports}) == 4 * 6
    assert {*first.node_ports, *third.node_ports} < {*third.closed_ports} == {*first.closed_ports}


@pytest.mark.parametrize(
    ('namespaces', 'has_slots'),
    [
        pytest.param((), True, id='all namespaces'),
        pytest.param(('shop', 'headrace-system'), True, id='its own among them'),
        pytest.param(('shop',), False, id='its own not among them'),
    ],
)
def test_gateways_have_slots_where_the_services_of_gateways_can_be_read(namespaces, has_slots):
    context = build_context.make(Settings(namespaces=namespaces))
    assert bool(replace(context, own_namespace='headrace-system').slots) is has_slots
