"""EndpointSlices and Endpoints, as kube-proxy reads them (its rules 8 to 15)."""

import pytest

from headrace.objects import parse
from headrace.objects.kinds import Endpoint, Hints, Protocol, Slice, SlicePort
from support.objects import endpoint_slice

PORTS = (SlicePort('', Protocol.TCP, 8080),)


def read(document):
    return parse.read(document).object


def of(*endpoints, **more):
    """Return the slice of endpoints as given."""
    return read(endpoint_slice(endpoints=list(endpoints), **more))


def said(item):
    return [(diagnostic.field, diagnostic.message) for diagnostic in item.problems]


# --- rules 8 and 9: whose slices, of which family ---------------------------------------------------------------------


@pytest.mark.parametrize(
    'labels',
    [
        pytest.param({}, id='no label'),
        pytest.param({'kubernetes.io/service-name': ''}, id='empty'),
        pytest.param({'kubernetes.io/service-name': 5}, id='another type'),
        pytest.param({'kubernetes.io/service-name': 'Web'}, id='no name of a Service'),
        pytest.param({'kubernetes.io/service-name': 'web\n'}, id='line break'),
    ],
)
def test_a_slice_that_names_no_service_has_no_endpoints(labels):
    document = endpoint_slice(addresses=['10.0.0.1'])
    document['metadata']['labels'] = labels
    assert read(document) == Slice('shop', 'web-1', '', 4)


@pytest.mark.parametrize('manager', ['endpointslice-controller.k8s.io', 'endpointslicemirroring-controller.k8s.io', ''])
def test_who_manages_a_slice_does_not_matter(manager):
    document = endpoint_slice(addresses=['10.0.0.1'])
    document['metadata']['labels']['endpointslice.kubernetes.io/managed-by'] = manager
    assert read(document) == Slice('shop', 'web-1', 'web', 4, PORTS, ('10.0.0.1',))


def test_a_slice_of_names_is_ignored():
    item = of({'addresses': ['a.example.com']}, family='FQDN')
    assert (item.service, item.ready, said(item)) == ('', (), [])


@pytest.mark.parametrize('family', ['', 'ipv4', 'IPv4\n', 4, None, ['IPv4']], ids=repr)
def test_an_unknown_type_of_addresses_is_told(family):
    item = of({'addresses': ['10.0.0.1']}, family=family)
    assert (item.service, item.ready, [field for field, _ in said(item)]) == ('web', (), ['addressType'])


def test_a_slice_that_is_marked_as_headless_says_so():
    document = endpoint_slice(addresses=['10.0.0.1'])
    document['metadata']['labels']['service.kubernetes.io/headless'] = ''
    assert read(document) == Slice('shop', 'web-1', 'web', 4, PORTS, ('10.0.0.1',), headless=True)


@pytest.mark.parametrize(
    ('text', 'weight'), [('7', 7), ('0', 0), ('-1', 0), ('1.5', 0), ('x', 0), (7, 0), ('٧', 0), ('9' * 13, 0)]
)
def test_a_slice_can_name_the_weight_of_its_endpoints(text, weight):
    document = endpoint_slice(addresses=['10.0.0.1'])
    document['metadata']['annotations'] = {'headrace.io/weight': text}
    assert read(document) == Slice('shop', 'web-1', 'web', 4, PORTS, ('10.0.0.1',), weight=weight)


@pytest.mark.parametrize(('form', 'weight'), [('1', 7), ('2', 0)], ids=['of the known form', 'of a newer version'])
def test_weights_of_a_newer_form_do_not_count(form, weight):
    document = endpoint_slice()
    document['metadata']['annotations'] = {'headrace.io/weight': '7'}
    document['metadata']['labels']['headrace.io/form'] = form
    assert read(document).weight == weight


@pytest.mark.parametrize(('family', 'address'), [('IPv4', 'fd00::1'), ('IPv6', '10.0.0.1'), ('IPv4', 'a.example.com')])
def test_families_are_never_crossed(family, address):
    good = {'IPv4': '10.0.0.9', 'IPv6': 'fd00::9'}[family]
    item = of({'addresses': [address]}, {'addresses': [good]}, family=family)
    assert item.ready == (good,)
    assert said(item) == [('endpoints[].addresses', f"'{address}' is no {family} address")]


# --- rule 12: addresses and ports -------------------------------------------------------------------------------------


def test_only_the_first_address_of_an_endpoint_counts():
    assert of({'addresses': ['10.0.0.2', '10.0.0.1']}).ready == ('10.0.0.2',)


@pytest.mark.parametrize('endpoint', [{}, {'addresses': []}, {'addresses': None}], ids=str)
def test_an_endpoint_without_addresses_is_ignored(endpoint):
    item = of(endpoint, {'addresses': ['10.0.0.1']})
    assert (item.ready, said(item)) == (('10.0.0.1',), [])


@pytest.mark.parametrize(
    'addresses',
    [
        '10.0.0.2',
        5,
        {'a': 1},
        [None],
        [5],
        [['10.0.0.2']],
        [''],
        ['10.0.0.2\n  server x'],
        ['0.0.0.0'],
        ['10.0.0.2:80'],
    ],
    ids=repr,
)
def test_what_is_no_address_is_told_and_costs_its_endpoint_only(addresses):
    item = of({'addresses': addresses}, {'addresses': ['10.0.0.1']})
    assert item.ready == ('10.0.0.1',)
    ((field, message),) = said(item)
    assert field == 'endpoints[].addresses'
    assert message.endswith('is no IPv4 address')
    assert message.isprintable()


def test_a_list_that_holds_something_else_than_endpoints_is_told():
    item = of('10.0.0.2', None, {'addresses': ['10.0.0.1']})
    assert (item.ready, [field for field, _ in said(item)]) == (('10.0.0.1',), ['endpoints'])


def test_endpoints_of_another_type_are_none():
    document = endpoint_slice()
    for value in (None, 'text', {'addresses': ['10.0.0.1']}):
        document['endpoints'] = value
        assert read(document).ready == ()


@pytest.mark.parametrize(
    ('ports', 'expected'),
    [
        pytest.param([{'name': 'http', 'port': 80}], [('http', 'TCP', 80)], id='plain'),
        pytest.param([{'name': '', 'port': 80}], [('', 'TCP', 80)], id='the empty name'),
        pytest.param([{'port': 80}], [('', 'TCP', 80)], id='no name, which the API fills in as the empty one'),
        pytest.param([{'name': 'dns', 'port': 53, 'protocol': 'UDP'}], [('dns', 'UDP', 53)], id='UDP'),
        pytest.param([{'name': 'a', 'port': 80, 'protocol': None}], [('a', 'TCP', 80)], id='protocol null'),
        pytest.param([{'name': 'b', 'port': 2}, {'name': 'a', 'port': 1}], [('a', 'TCP', 1), ('b', 'TCP', 2)], id='sorted'),
        pytest.param([{'name': None, 'port': 80}], [], id='name null'),
        pytest.param([{'name': 'a', 'port': None}], [], id='port null'),
        pytest.param([{'name': 'a'}], [], id='no port'),
        pytest.param([{'name': 'a', 'port': 0}], [], id='port 0'),
        pytest.param([{'name': 'a', 'port': '80'}], [], id='port that is a text'),
        pytest.param([{'name': 'a', 'port': 80, 'protocol': 'QUIC'}], [], id='unknown protocol'),
        pytest.param([{'name': 5, 'port': 80}], [], id='name that is a number'),
        pytest.param([None, 'text', []], [], id='no ports at all'),
        pytest.param('text', [], id='a text for the list'),
    ],
)  # fmt: skip
def test_a_port_has_a_name_and_a_number(ports, expected):
    document = endpoint_slice(addresses=['10.0.0.1'])
    document['ports'] = ports
    assert [(port.name, port.protocol, port.number) for port in read(document).ports] == expected


# --- rules 14 and 15: conditions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('conditions', 'ready', 'other'),
    [
        pytest.param({}, True, None, id='nothing said'),
        pytest.param({'ready': None, 'serving': None, 'terminating': None}, True, None, id='all null'),
        pytest.param({'ready': True}, True, None, id='ready'),
        pytest.param({'ready': True, 'serving': False}, True, None, id='ready alone decides'),
        pytest.param({'ready': False}, False, (False, True, False), id='not ready'),
        pytest.param({'ready': False, 'serving': False}, False, (False, False, False), id='neither'),
        pytest.param({'ready': False, 'serving': True, 'terminating': True}, False, (False, True, True), id='terminating and serving'),
        pytest.param({'ready': False, 'terminating': True}, False, (False, True, True), id='terminating, serving null'),
        pytest.param({'ready': False, 'serving': False, 'terminating': True}, False, (False, False, True), id='terminating and done'),
        pytest.param({'ready': True, 'terminating': True}, False, (True, True, True), id='publishNotReadyAddresses, terminating'),
        pytest.param({'terminating': True}, False, (True, True, True), id='terminating, ready null'),
        pytest.param({'ready': True, 'somethingNew': 'text'}, True, None, id='an unknown condition'),
    ],
)  # fmt: skip
def test_conditions_mean_what_kube_proxy_takes_them_for(conditions, ready, other):
    item = of({'addresses': ['10.0.0.1'], 'conditions': conditions})
    assert item.ready == (('10.0.0.1',) if ready else ())
    assert item.others == ((Endpoint('10.0.0.1', *other),) if other else ())
    assert said(item) == []


@pytest.mark.parametrize('key', ['ready', 'serving', 'terminating'])
@pytest.mark.parametrize('value', ['false', 'true', 0, 1, [], {}], ids=repr)
def test_an_endpoint_with_a_condition_that_is_no_boolean_is_told_and_not_used(key, value):
    item = of({'addresses': ['10.0.0.2'], 'conditions': {key: value}}, {'addresses': ['10.0.0.1']})
    assert (item.ready, item.others) == (('10.0.0.1',), ())
    assert [field for field, _ in said(item)] == [f'endpoints[].conditions.{key}']


@pytest.mark.parametrize('conditions', [None, 'ready', ['ready'], 5], ids=repr)
def test_conditions_of_another_type_say_nothing(conditions):
    assert of({'addresses': ['10.0.0.1'], 'conditions': conditions}).ready == ('10.0.0.1',)


# --- order, nodes and hints -------------------------------------------------------------------------------------------


def test_endpoints_are_sorted_with_their_nodes_and_hints():
    item = of(
        {'addresses': ['10.0.0.3'], 'nodeName': 'n3', 'hints': {'forZones': [{'name': 'c'}]}},
        {'addresses': ['10.0.0.1']},
        {'addresses': ['10.0.0.2'], 'nodeName': 'n2', 'hints': {'forNodes': [{'name': 'n2'}, {'name': 'n3'}]}},
        {'addresses': ['10.0.0.5'], 'nodeName': 'n5', 'conditions': {'ready': False}},
        {'addresses': ['10.0.0.4'], 'conditions': {'ready': False}},
    )
    assert item.ready == ('10.0.0.1', '10.0.0.2', '10.0.0.3')
    assert item.nodes == ('', 'n2', 'n3')
    assert item.hints == (Hints(), Hints(nodes=('n2', 'n3')), Hints(zones=('c',)))
    assert item.others == (Endpoint('10.0.0.4', False, True, False), Endpoint('10.0.0.5', False, True, False, 'n5'))


def test_where_no_endpoint_has_a_node_or_hint_none_is_kept():
    item = of({'addresses': ['10.0.0.1'], 'nodeName': None, 'hints': {}}, {'addresses': ['10.0.0.2'], 'hints': 'text'})
    assert (item.nodes, item.hints) == ((), ())


def test_ipv6_addresses_are_canonical():
    assert of({'addresses': ['2001:DB8:0::1']}, family='IPv6').ready == ('2001:db8::1',)


# --- v1 Endpoints -----------------------------------------------------------------------------------------------------


def endpoints(*subsets, **metadata):
    return {
        'apiVersion': 'v1',
        'kind': 'Endpoints',
        'metadata': {'name': 'web', 'namespace': 'shop', **metadata},
        'subsets': list(subsets),
    }


def test_endpoints_are_the_slices_that_mirroring_would_make():
    subset = {
        'addresses': [{'ip': '10.0.0.2', 'nodeName': 'n1'}, {'ip': '10.0.0.1'}, {'ip': 'fd00::1'}],
        'notReadyAddresses': [{'ip': '10.0.0.3'}],
        'ports': [{'name': 'http', 'port': 8080}, {'port': 9090}],
    }
    ports = (SlicePort('', Protocol.TCP, 9090), SlicePort('http', Protocol.TCP, 8080))
    assert read(endpoints(subset)).slices == (
        Slice(
            'shop', 'web-0-4', 'web', 4, ports, ('10.0.0.1', '10.0.0.2'), ('', 'n1'), (),
            (Endpoint('10.0.0.3', False, False, False),), mirrored=True,
        ),
        Slice('shop', 'web-0-6', 'web', 6, ports, ('fd00::1',), mirrored=True),
    )  # fmt: skip


@pytest.mark.parametrize(
    'metadata',
    [
        pytest.param({'labels': {'endpointslice.kubernetes.io/skip-mirror': 'true'}}, id='skip-mirror'),
        pytest.param({'annotations': {'control-plane.alpha.kubernetes.io/leader': '{}'}}, id='leader election'),
    ],
)
def test_endpoints_that_are_not_mirrored_are_no_slices(metadata):
    assert read(endpoints({'addresses': [{'ip': '10.0.0.1'}]}, **metadata)).slices == ()


def test_endpoints_that_only_seem_to_refuse_mirroring_are_mirrored():
    labels = {'endpointslice.kubernetes.io/skip-mirror': 'false'}
    found = read(endpoints({'addresses': [{'ip': '10.0.0.1'}]}, labels=labels)).slices
    assert [piece.ready for piece in found] == [('10.0.0.1',)]


def test_at_most_a_thousand_addresses_of_a_subset_are_mirrored():
    addresses = [{'ip': f'10.0.{number // 250}.{number % 250}'} for number in range(1, 1201)]
    waiting = [{'ip': '10.9.9.9'}]
    (piece,) = read(endpoints({'addresses': addresses, 'notReadyAddresses': waiting})).slices
    assert (len(piece.ready), piece.others) == (1000, ())


def test_an_address_that_is_none_is_told_about_the_endpoints_object():
    (piece,) = read(endpoints({'addresses': [{'ip': 'nonsense'}, {'hostname': 'a'}, {'ip': '10.0.0.1'}]})).slices
    assert piece.ready == ('10.0.0.1',)
    assert [str(diagnostic.ref) for diagnostic in piece.problems] == ['Endpoints shop/web'] * 2


@pytest.mark.parametrize('subsets', [None, 'text', {}, [None], ['text'], [{}], [{'addresses': 'text'}]], ids=repr)
def test_subsets_of_another_type_are_none(subsets):
    document = endpoints()
    document['subsets'] = subsets
    assert read(document).slices == ()
