"""TCPRoutes and TLSRoutes as fragments: which slots they claim, where they lead, and what keeps them from it."""

import pytest

from headrace import names
from headrace.ir.fragment import Kind
from headrace.ir.pointers import NoRoute
from headrace.ir.routing import Split
from headrace.names import Ref
from headrace.settings.settings import Settings
from headrace.translate import policies
from support.gateways import (
    GATEWAY_CLASS,
    OWN_NAMESPACE,
    backend,
    backend_tls_policy,
    gateway,
    l4_route,
    listener,
    slot_service,
    tcp_route,
)
from support.objects import built, service

TLS_SLOT, SLOT = 28128, 28192
SEEN = {'api_server': True, 'own_namespace': OWN_NAMESPACE}


def model(*documents, settings=None, **service_fields):
    """Return the model of a Gateway with a TCP port, a Service and some routes."""
    return built(
        GATEWAY_CLASS,
        gateway('web', listener('tcp', 9000, 'TCP')),
        slot_service('web', {9000: SLOT}),
        service('one', ports=[{'port': 80}], **service_fields),
        service('two', ports=[{'port': 80}]),
        *documents,
        settings=settings or Settings(gateway_first_slot=28000, gateway_slots=64),
        **SEEN,
    )


def reasons(made):
    """Return the reasons of diagnostics about routes."""
    return sorted(each.reason for each in made.all_diagnostics() if each.ref.kind != 'Service')


def claims(made, name='r'):
    """Return what a route claims, by key."""
    fragment = made.fragments[Ref('TCPRoute', 'shop', name)]
    return {each.key: each.value for each in fragment.claims if each.kind is Kind.L4_ROUTE}


def test_a_route_claims_the_slot_of_its_listener():
    made = model(tcp_route('r', 'one'))
    (value,) = claims(made).values()
    assert list(claims(made)) == [f'{SLOT}:*']
    assert (value.backend.startswith('shop_one_'), value.flags) == (True, '')
    assert reasons(made) == []


def test_several_backends_are_a_split():
    made = model(tcp_route('r', backend('one', 3), backend('gone', 1), backend('two', 0)))
    (value,) = claims(made).values()
    assert isinstance(value, Split)
    assert [(each.backend.partition('_')[0], each.weight) for each in value.backends] == [
        ('shop', 3),
        (names.UNRESOLVED, 1),
    ]
    assert reasons(made) == ['BackendNotFound']


@pytest.mark.parametrize(
    ('annotations', 'flags', 'wanted'),
    [
        pytest.param({'headrace.io/deny': '10.0.0.0/8'}, 'd', [], id='of connections'),
        pytest.param({'headrace.io/deny': 'nonsense'}, 'X', ['InvalidValue', 'RouteClosed'], id='does not parse'),
        pytest.param({'headrace.io/basic-auth-secret': 'users'}, 'X', ['RouteClosed'], id='of HTTP, and it protects'),
    ],
)
def test_annotations_of_the_route_hold_for_its_connections(annotations, flags, wanted):
    made = model(tcp_route('r', 'one', annotations=annotations))
    assert ([each.flags for each in claims(made).values()], reasons(made)) == ([flags], wanted)


def test_clients_stay_with_an_endpoint_of_one_backend_and_of_several_they_do_not():
    alone = model(tcp_route('r', 'one'), sessionAffinity='ClientIP')
    assert [each.flags for each in claims(alone).values()] == ['s']
    shared = model(tcp_route('r', 'one', 'two'), sessionAffinity='ClientIP')
    assert [each.flags for each in claims(shared).values()] == ['']


@pytest.mark.parametrize(
    'broken',
    [
        pytest.param({'kind': 'Pod', 'name': 'x'}, id='no Service'),
        pytest.param({'port': 80}, id='no name'),
    ],
)
def test_a_route_without_a_backend_that_can_be_used_leads_nowhere(broken):
    made = model(tcp_route('r', broken))
    assert [each.backend.startswith('shop_') for each in claims(made).values()] == [False]
    assert len(reasons(made)) == 1


def test_of_two_routes_the_older_one_serves():
    made = model(tcp_route('older', 'one'), tcp_route('r', 'two', created='2025-01-01T00:00:00Z'))
    assert reasons(made) == ['OlderRoute']
    assert made.claims.claimants((Kind.L4_ROUTE, f'{SLOT}:*'))[0].name == 'older'


def tls_model(*documents, **settings):
    """Return the model of a Gateway that passes the TLS of one host through and ends that of the hosts below it."""
    modes = {'a.com': {'mode': 'Passthrough'}, '*.a.com': {'mode': 'Terminate', 'certificateRefs': [{'name': 'c'}]}}
    return built(
        GATEWAY_CLASS,
        gateway('web', *(listener(f'l{len(host)}', 443, 'TLS', host, tls=tls) for host, tls in modes.items())),
        slot_service('web', {443: TLS_SLOT}),
        service('one', ports=[{'port': 80}]),
        *documents,
        settings=Settings(gateway_first_slot=28000, gateway_slots=64, **settings),
        **SEEN,
    )


def test_a_tls_route_claims_its_hosts_and_has_tls_ended_where_the_listener_does():
    made = tls_model(l4_route('TLSRoute', 'r', 'one', hostnames=['a.com', 'x.a.com', 'b.com']))
    fragment = made.fragments[Ref('TLSRoute', 'shop', 'r')]
    assert {each.key: each.value.flags for each in fragment.claims} == {
        f'{TLS_SLOT}:a.com': '',
        f'{TLS_SLOT}:x.a.com': policies.TLS,
    }


@pytest.mark.parametrize(
    ('policies_', 'wanted'),
    [
        pytest.param((), 'the same', id='none'),
        pytest.param((backend_tls_policy('p', 'one', system=True),), 'another', id='kept'),
        pytest.param((backend_tls_policy('p', 'one', authorities=['absent']),), 'no', id='not kept'),
    ],
)
def test_a_policy_of_endpoints_is_for_connections_whose_tls_is_ended(policies_, wanted):
    made = tls_model(l4_route('TLSRoute', 'r', 'one', hostnames=['a.com', 'x.a.com']), *policies_)
    found = {each.key: each.value.backend for each in made.fragments[Ref('TLSRoute', 'shop', 'r')].claims}
    passed, ended = found[f'{TLS_SLOT}:a.com'], found[f'{TLS_SLOT}:x.a.com']
    assert passed != names.UNRESOLVED
    assert wanted == ('no' if ended == names.UNRESOLVED else 'the same' if ended == passed else 'another')


def test_a_host_of_a_listener_without_a_route_leads_nowhere():
    made = tls_model(l4_route('TLSRoute', 'r', 'one', hostnames=['x.a.com']))
    assert made.claims.content((Kind.L4_ROUTE, f'{TLS_SLOT}:*.a.com'), made.fragments) == NoRoute()


def test_a_route_takes_the_host_of_a_listener_whatever_its_age():
    made = tls_model(l4_route('TLSRoute', 'r', 'one', created='2030-01-01T00:00:00Z'))
    assert made.claims.claimants((Kind.L4_ROUTE, f'{TLS_SLOT}:a.com'))[0].kind == 'TLSRoute'
    assert 'OlderRoute' not in reasons(made)


def test_a_route_of_too_many_hosts_is_closed():
    made = tls_model(l4_route('TLSRoute', 'r', 'one', hostnames=['x.a.com', 'y.a.com']), max_routes_per_object=1)
    fragment = made.fragments[Ref('TLSRoute', 'shop', 'r')]
    assert {each.key: each.value.flags for each in fragment.claims} == {
        f'{TLS_SLOT}:x.a.com': policies.CLOSED,
        f'{TLS_SLOT}:y.a.com': policies.CLOSED,
    }
    assert 'BudgetExceeded' in reasons(made)
    (listener,) = fragment.attachments[0].listeners
    assert listener == (Ref('Gateway', 'shop', 'web'), 'l7')


def test_a_route_whose_hosts_cannot_be_read_claims_none():
    made = tls_model(l4_route('TLSRoute', 'r', 'one', hostnames=['A_B']))
    fragment = made.fragments[Ref('TLSRoute', 'shop', 'r')]
    assert (fragment.claims, len(fragment.attachments)) == ((), 1)


def test_a_route_of_no_gateway_of_this_class_has_nothing():
    made = model(tcp_route('r', 'one', gateway='absent'))
    assert claims(made) == {}
    assert made.fragments[Ref('TCPRoute', 'shop', 'r')].attachments == ()


def test_a_class_without_the_gateway_api_has_no_routes():
    made = model(tcp_route('r', 'one'), settings=Settings(gateway_api=False))
    assert Ref('TCPRoute', 'shop', 'r') not in made.fragments
