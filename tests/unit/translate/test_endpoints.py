"""Which endpoints of a port get traffic, as kube-proxy decides it: conditions, fallback, merging, ports, families, hints.

Each table is derived from the rules for a service proxy: `ready` alone decides; those that serve while they terminate
are used only when none is ready, without regard to topology; ports are found by name and protocol.
"""

import pytest

from headrace.ir.backend import Group
from headrace.objects import parse
from headrace.objects.kinds import Protocol
from headrace.translate import endpoints
from headrace.translate.endpoints import Selection, Topology
from support.objects import endpoint_slice, node

A, B, C, D = '10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.0.4'
HERE = Topology('n1', 'zone-a')


def ends(*items):
    """Return endpoints of a slice from (address, conditions) or (address, conditions, more fields)."""
    return [
        {'addresses': [address], 'conditions': conditions, **(more[0] if more else {})}
        for address, conditions, *more in items
    ]


def hinted(address, *, zones=(), nodes=(), **conditions):
    hints = {'forZones': [{'name': name} for name in zones], 'forNodes': [{'name': name} for name in nodes]}
    return {'addresses': [address], 'conditions': conditions, 'hints': hints}


def chosen(*documents, port='', protocol=Protocol.TCP, family=4, topology=None, local=False):
    slices = [parse.read(document).object for document in documents]
    return endpoints.select(
        slices, port=port, protocol=protocol, family=family, topology=topology or Topology(), local=local
    )


READY = {'ready': True}
WAITING = {'ready': False, 'serving': False, 'terminating': False}
DRAINING = {'ready': False, 'serving': True, 'terminating': True}
ENDED = {'ready': False, 'serving': False, 'terminating': True}


@pytest.mark.parametrize(
    ('conditions', 'used'),
    [
        ({}, True),
        ({'ready': None, 'serving': None, 'terminating': None}, True),
        ({'ready': True}, True),
        ({'ready': True, 'serving': False}, True),
        ({'ready': True, 'serving': True, 'terminating': True}, True),
        ({'ready': False}, False),
        ({'ready': False, 'serving': True}, False),
        ({'ready': False, 'serving': True, 'terminating': False}, False),
    ],
)
def test_ready_alone_decides_and_a_missing_ready_means_true(conditions, used):
    found = chosen(endpoint_slice(endpoints=ends((A, conditions))))
    assert found == Selection((Group(8080, (A,)),) if used else ())


@pytest.mark.parametrize(
    ('conditions', 'used'),
    [
        ({'ready': False, 'terminating': True}, True),
        ({'ready': False, 'serving': None, 'terminating': True}, True),
        ({'ready': False, 'serving': True, 'terminating': True}, True),
        ({'ready': False, 'serving': False, 'terminating': True}, False),
        ({'ready': False, 'serving': True, 'terminating': None}, False),
    ],
)
def test_when_none_is_ready_those_that_serve_while_they_terminate_are_used(conditions, used):
    found = chosen(endpoint_slice(endpoints=ends((A, conditions), (B, WAITING))))
    assert found == (Selection((Group(8080, (A,)),), terminating=True) if used else Selection())


def test_one_ready_endpoint_anywhere_keeps_traffic_from_all_that_terminate():
    first = endpoint_slice(name='web-1', endpoints=ends((A, DRAINING), (B, DRAINING)))
    second = endpoint_slice(name='web-2', endpoints=ends((C, READY)))
    assert chosen(first, second) == Selection((Group(8080, (C,)),))


def test_endpoints_published_before_they_are_ready_are_used_as_the_slice_says():
    published = ends((A, {'ready': True, 'serving': False}), (B, {'ready': True, 'serving': True, 'terminating': True}))
    assert chosen(endpoint_slice(endpoints=published)) == Selection((Group(8080, (A, B)),))


def test_several_slices_are_merged_sorted_and_each_address_is_used_once():
    found = chosen(
        endpoint_slice(name='web-1', addresses=[C, A]),
        endpoint_slice(name='web-2', addresses=[B, A]),
        endpoint_slice(name='web-3', addresses=[]),
    )
    assert found == Selection((Group(8080, (A, B, C)),))


def test_an_address_that_one_slice_repeats_is_used_once():
    assert chosen(endpoint_slice(addresses=[B, A, B])) == Selection((Group(8080, (A, B)),))


def test_only_the_first_address_of_an_endpoint_counts():
    assert chosen(endpoint_slice(endpoints=[{'addresses': [A, B]}])) == Selection((Group(8080, (A,)),))


def test_a_ready_pod_that_took_over_the_address_of_a_terminating_one_is_used():
    old = endpoint_slice(name='web-1', endpoints=ends((A, ENDED)))
    new = endpoint_slice(name='web-2', endpoints=ends((A, READY)))
    assert chosen(old, new) == chosen(new, old) == Selection((Group(8080, (A,)),))


def test_a_pod_that_is_not_ready_gets_no_traffic_meant_for_the_terminating_one_whose_address_it_took_over():
    old = endpoint_slice(name='web-1', endpoints=ends((A, DRAINING), (B, DRAINING)))
    new = endpoint_slice(name='web-2', endpoints=ends((A, WAITING)))
    assert chosen(old, new) == chosen(new, old) == Selection((Group(8080, (B,)),), terminating=True)


def test_an_address_is_taken_over_on_its_port_only():
    old = endpoint_slice(name='web-1', endpoints=ends((A, DRAINING)))
    new = endpoint_slice(name='web-2', port=9090, endpoints=ends((A, WAITING)))
    assert chosen(old, new) == Selection((Group(8080, (A,)),), terminating=True)


@pytest.mark.parametrize(
    ('port', 'protocol', 'groups'),
    [
        ('http', Protocol.TCP, (Group(8080, (A,)),)),
        ('metrics', Protocol.TCP, (Group(9090, (A,)),)),
        ('dns', Protocol.UDP, (Group(8080, (A,)),)),
        ('dns', Protocol.TCP, ()),
        ('http', Protocol.UDP, ()),
        ('', Protocol.TCP, ()),
        ('8080', Protocol.TCP, ()),
    ],
)
def test_a_port_is_found_by_name_and_protocol_and_never_by_number(port, protocol, groups):
    piece = endpoint_slice(addresses=[A])
    piece['ports'] = [
        {'name': 'http', 'port': 8080, 'protocol': 'TCP'},
        {'name': 'metrics', 'port': 9090},
        {'name': 'dns', 'port': 8080, 'protocol': 'UDP'},
    ]
    assert chosen(piece, port=port, protocol=protocol).groups == groups


@pytest.mark.parametrize('entry', [{'name': None, 'port': 80}, {'port': None}, {'name': '', 'port': 0}, {}])
def test_a_port_without_name_or_number_is_no_port(entry):
    piece = endpoint_slice(addresses=[A])
    piece['ports'] = [entry]
    assert chosen(piece) == Selection()


def test_a_named_target_port_may_be_another_number_in_each_slice():
    found = chosen(
        endpoint_slice(name='web-1', addresses=[B], port=9090, port_name='http'),
        endpoint_slice(name='web-2', addresses=[A], port=8080, port_name='http'),
        endpoint_slice(name='web-3', addresses=[C, B], port=8080, port_name='http'),
        port='http',
    )
    assert found == Selection((Group(8080, (A, B, C)), Group(9090, (B,))))


@pytest.mark.parametrize(('family', 'groups'), [(4, (Group(8080, (A,)),)), (6, (Group(8080, ('fd00::1',)),))])
def test_families_never_mix(family, groups):
    four = endpoint_slice(name='web-4', addresses=[A])
    six = endpoint_slice(name='web-6', addresses=['fd00::1'], family='IPv6')
    names = endpoint_slice(name='web-n', addresses=['db.example.com'], family='FQDN')
    assert chosen(four, six, names, family=family).groups == groups


@pytest.mark.parametrize(
    ('entries', 'found'),
    [
        (ends((A, READY)), {4}),
        (ends((A, DRAINING)), {4}),
        (ends((A, {'ready': True, 'terminating': True})), {4}),
        (ends((A, WAITING)), set()),
        (ends((A, ENDED)), set()),
        ([], set()),
    ],
)
def test_a_family_counts_only_when_one_of_its_endpoints_could_be_used(entries, found):
    assert endpoints.families([parse.read(endpoint_slice(endpoints=entries)).object]) == found


# --- hints ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('items', 'addresses'),
    [
        # Complete hints of zones, one of them ours.
        ([hinted(A, zones=['zone-a']), hinted(B, zones=['zone-b'])], (A,)),
        ([hinted(A, zones=['zone-b', 'zone-a']), hinted(B, zones=['zone-b'])], (A,)),
        # One endpoint without a hint, or none for our zone: all of them.
        ([hinted(A, zones=['zone-a']), hinted(B)], (A, B)),
        ([hinted(A, zones=['zone-a']), {'addresses': [B]}], (A, B)),
        ([hinted(A, zones=['zone-b']), hinted(B, zones=['zone-c'])], (A, B)),
        # Nodes come before zones, but only when every endpoint has such a hint and one names this node.
        ([hinted(A, zones=['zone-a'], nodes=['n2']), hinted(B, zones=['zone-a'], nodes=['n1'])], (B,)),
        ([hinted(A, zones=['zone-a'], nodes=['n1']), hinted(B, zones=['zone-a'])], (A, B)),
        ([hinted(A, zones=['zone-a'], nodes=['n2']), hinted(B, zones=['zone-b'], nodes=['n3'])], (A,)),
        ([hinted(A, nodes=['n2']), hinted(B, nodes=['n3'])], (A, B)),
        # One that is ready while it terminates (publishNotReadyAddresses) is one of them.
        ([hinted(A, zones=['zone-a'], terminating=True), hinted(B, zones=['zone-b'])], (A,)),
        ([hinted(A, zones=['zone-b'], terminating=True), hinted(B, zones=['zone-a'])], (B,)),
        ([hinted(A, terminating=True), hinted(B, zones=['zone-a'])], (A, B)),
        # Only ready endpoints are asked for hints.
        ([hinted(A, zones=['zone-a']), hinted(B, ready=False), hinted(C, zones=['zone-b'])], (A,)),
        ([hinted(A, zones=['zone-b']), hinted(B, zones=['zone-a'], ready=False)], (A,)),
    ],
)
def test_hints_are_followed_when_they_are_complete_and_name_this_place(items, addresses):
    assert chosen(endpoint_slice(endpoints=items), topology=HERE) == Selection((Group(8080, addresses),))


def test_hints_are_complete_only_over_all_slices_of_the_port():
    first = endpoint_slice(name='web-1', endpoints=[hinted(A, zones=['zone-a'])])
    second = endpoint_slice(name='web-2', endpoints=[{'addresses': [B]}])
    other = endpoint_slice(name='web-3', port_name='other', endpoints=[{'addresses': [C]}])
    assert chosen(first, second, topology=HERE).groups == (Group(8080, (A, B)),)
    assert chosen(first, other, topology=HERE).groups == (Group(8080, (A,)),)


def test_without_a_place_hints_are_not_followed():
    items = [hinted(A, zones=['zone-a'], nodes=['n1']), hinted(B, zones=['zone-b'], nodes=['n2'])]
    assert chosen(endpoint_slice(endpoints=items)).groups == (Group(8080, (A, B)),)


def test_with_only_a_zone_hints_of_nodes_are_passed_over():
    items = [hinted(A, zones=['zone-a'], nodes=['n1']), hinted(B, zones=['zone-b'], nodes=['n2'])]
    found = chosen(endpoint_slice(endpoints=items), topology=Topology('', 'zone-b'))
    assert found.groups == (Group(8080, (B,)),)


def test_the_fallback_to_terminating_endpoints_ignores_hints():
    items = [hinted(A, zones=['zone-a'], **DRAINING), hinted(B, zones=['zone-b'], **DRAINING)]
    found = chosen(endpoint_slice(endpoints=items), topology=HERE)
    assert found == Selection((Group(8080, (A, B)),), terminating=True)


def test_an_endpoint_that_is_ready_although_it_terminates_makes_hints_incomplete():
    items = [hinted(A, zones=['zone-a']), {'addresses': [B], 'conditions': {'ready': True, 'terminating': True}}]
    assert chosen(endpoint_slice(endpoints=items), topology=HERE).groups == (Group(8080, (A, B)),)


# --- policy Local -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('items', 'expected'),
    [
        ([(A, READY, 'n1'), (B, READY, 'n2')], Selection((Group(8080, (A,)),))),
        ([(A, READY, 'n2'), (B, READY, 'n2')], Selection()),
        ([(A, READY, None), (B, READY, 'n1')], Selection((Group(8080, (B,)),))),
        ([(A, READY, None)], Selection()),
        # The fallback is judged among the local ones, whatever is ready elsewhere.
        ([(A, DRAINING, 'n1'), (B, READY, 'n2')], Selection((Group(8080, (A,)),), terminating=True)),
        ([(A, DRAINING, 'n2'), (B, READY, 'n2')], Selection()),
        ([(A, DRAINING, 'n1'), (B, READY, 'n1')], Selection((Group(8080, (B,)),))),
        ([(A, DRAINING, None)], Selection()),
        ([(A, {'ready': True, 'terminating': True}, 'n1'), (B, READY, 'n2')], Selection((Group(8080, (A,)),))),
    ],
)
def test_a_local_policy_uses_the_endpoints_of_this_node_only(items, expected):
    entries = [
        {'addresses': [address], 'conditions': conditions, **({'nodeName': at} if at else {})}
        for address, conditions, at in items
    ]
    assert chosen(endpoint_slice(endpoints=entries), topology=HERE, local=True) == expected


def test_topology_never_applies_to_a_local_policy():
    items = [{**hinted(A, zones=['zone-b']), 'nodeName': 'n1'}, {**hinted(B, zones=['zone-a']), 'nodeName': 'n2'}]
    assert chosen(endpoint_slice(endpoints=items), topology=HERE, local=True).groups == (Group(8080, (A,)),)


@pytest.mark.parametrize('conditions', [READY, DRAINING])
def test_a_process_that_does_not_know_its_node_has_no_local_endpoint(conditions):
    entries = ends((A, conditions), (B, conditions, {'nodeName': 'n1'}))
    assert chosen(endpoint_slice(endpoints=entries), local=True) == Selection()


# --- node ports as the source of addresses ----------------------------------------------------------------------------


NODES = [
    node('n1', addresses=['192.0.2.1', 'fd00::1']),
    node('n2', addresses=['192.0.2.2']),
    node('n3', addresses=['192.0.2.3'], ready=False),
    node('n4', addresses=['192.0.2.4'], labels={'node.kubernetes.io/exclude-from-external-load-balancers': ''}),
]


@pytest.mark.parametrize(
    ('port', 'family', 'with_endpoints', 'groups'),
    [
        (30080, 4, None, (Group(30080, ('192.0.2.1', '192.0.2.2')),)),
        (30080, 6, None, (Group(30080, ('fd00::1',)),)),
        (30080, 4, frozenset({'n2', 'n3', 'n4'}), (Group(30080, ('192.0.2.2',)),)),
        (30080, 4, frozenset(), ()),
        (30080, 6, frozenset({'n2'}), ()),
        (0, 4, None, ()),
    ],
)
def test_node_ports_are_those_of_usable_nodes_of_the_family(port, family, with_endpoints, groups):
    nodes = [parse.read(document).object for document in NODES]
    found = endpoints.node_ports(nodes, node_port=port, family=family, with_endpoints=with_endpoints)
    assert found == groups


def test_nodes_with_endpoints_are_those_with_a_ready_one():
    entries = ends(
        (A, READY, {'nodeName': 'n1'}),
        (B, DRAINING, {'nodeName': 'n2'}),
        (C, {'ready': True, 'terminating': True}, {'nodeName': 'n3'}),
        (D, READY),
    )
    found = endpoints.nodes_with_endpoints([parse.read(endpoint_slice(endpoints=entries)).object])
    assert found == {'n1', 'n3'}
