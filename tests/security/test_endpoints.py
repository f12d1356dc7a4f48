"""Endpoints that a user writes: none is an address of headrace's own network, or one of its own listeners."""

from dataclasses import replace

import pytest

from headrace.cli import interfaces
from headrace.ir.fragment import Kind
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, fragment, node, service

SETTINGS = Settings(tcp_ports='5000-5999')
OWN = frozenset(('10.1.2.3', 'fd00::3'))
EDGE = replace(build_context.make(SETTINGS), own_addresses=OWN, admin_ports=frozenset((8405,)))
HTTP = [{'name': 'http', 'port': 80}]
OTHER, OTHER_6 = '10.0.0.1', 'fd00::1'
SPECIAL = (
    '127.0.0.1', '127.8.9.10', '0.1.2.3', '169.254.169.254', '224.0.0.1', '239.1.2.3', '255.255.255.255',
    '::1', 'fe80::1', 'febf::1', 'ff02::1', '::ffff:127.0.0.1', '::ffff:169.254.169.254', '::ffff:0.0.0.0',
)  # fmt: skip
# The ports of http, https, health and the agent, and of a TCP range.
LISTENERS = (8080, 8443, 8404, 8405, 5432)


def model(seen, *documents):
    store, made = Store(), State(seen)
    for document in documents:
        store.put(parse.read(document).object)
    made.update(store, store.take())
    return made


def served(address, port, seen):
    """Return the endpoints that the edge uses, of a Service whose endpoints are this one and an ordinary one."""
    other = OTHER_6 if ':' in address else OTHER
    piece = endpoint_slice(
        port=port, port_name='http', family='IPv6' if ':' in address else 'IPv4', addresses=[address, other]
    )
    made = model(seen, service(annotations={'host': 'a.com'}, ports=HTTP), piece)
    (backend,) = fragment(made).backends
    told = [diagnostic for diagnostic in made.all_diagnostics() if diagnostic.reason == 'EndpointRefused']
    return {end for group in backend.groups for end in group.addresses} - {other}, told


@pytest.mark.parametrize('address', SPECIAL)
def test_an_endpoint_that_is_the_connecting_machine_is_refused_from_an_api_server(address):
    used, (told,) = served(address, 9000, replace(EDGE, api_server=True))
    assert used == set()
    assert told.message.startswith('port http: ')
    assert ':9000: loopback' in told.message


@pytest.mark.parametrize('address', ['0.0.0.0', '::'])
def test_no_address_at_all_is_no_endpoint(address):
    assert served(address, 9000, EDGE)[0] == set()


@pytest.mark.parametrize('port', LISTENERS)
@pytest.mark.parametrize('address', sorted(OWN))
@pytest.mark.parametrize('api_server', [True, False], ids=['an API server', 'a folder'])
def test_an_own_listener_is_no_endpoint(address, port, api_server):
    used, told = served(address, port, replace(EDGE, api_server=api_server))
    assert (used, len(told)) == (set(), 1)


@pytest.mark.parametrize('port', LISTENERS)
@pytest.mark.parametrize('address', ['127.0.0.1', '127.0.0.2', '::1', '::ffff:127.0.0.1', '::ffff:10.1.2.3'])
def test_an_own_listener_is_no_endpoint_of_a_folder_by_loopback_either(address, port):
    used, told = served(address, port, EDGE)
    assert (used, len(told)) == (set(), 1)


@pytest.mark.parametrize(
    ('address', 'port', 'api_server'),
    [
        pytest.param('127.0.0.1', 9000, False, id='loopback, in a folder'),
        pytest.param('::1', 9000, False, id='loopback of IPv6, in a folder'),
        pytest.param('10.1.2.3', 6443, True, id='another program on this machine'),
        pytest.param('10.1.2.3', 6443, False, id='another program on this machine, in a folder'),
        pytest.param('10.1.2.4', 8080, True, id='the same port of another machine'),
        pytest.param('200.1.2.3', 8080, True, id='an address that only begins like those of multicast'),
        pytest.param('64:ff9b::7f00:1', 80, True, id='an address of a translator'),
    ],
)
def test_others_are_endpoints(address, port, api_server):
    used, told = served(address, port, replace(EDGE, api_server=api_server))
    assert (len(used), told) == (1, [])


def test_without_another_endpoint_the_service_has_none():
    piece = endpoint_slice(port=9000, port_name='http', addresses=['127.0.0.1'])
    made = model(replace(EDGE, api_server=True), service(annotations={'host': 'a.com'}, ports=HTTP), piece)
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == ['EndpointRefused', 'NoEndpoints']


def test_of_many_endpoints_that_are_refused_some_are_named():
    piece = endpoint_slice(port=9000, port_name='http', addresses=[f'127.0.0.{number}' for number in range(1, 100)])
    made = model(replace(EDGE, api_server=True), service(annotations={'host': 'a.com'}, ports=HTTP), piece)
    told = made.all_diagnostics()[0]
    assert told.message.startswith(
        'port http: no traffic for 127.0.0.1:9000, 127.0.0.10:9000, 127.0.0.11:9000 and 96 more: '
    )


@pytest.mark.parametrize('mode', ['http', 'tcp'])
@pytest.mark.parametrize('affinity', ['None', 'ClientIP'])
def test_on_a_node_neither_haproxy_nor_the_kernel_leads_to_what_only_the_node_reaches(mode, affinity):
    seen = replace(
        build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')), api_server=True, own_addresses=OWN
    )
    document = service(
        annotations={'proxy': 'node', 'mode': mode}, ports=HTTP, clusterIP='10.96.0.1', sessionAffinity=affinity
    )
    pieces = [
        endpoint_slice(port=10250, port_name='http', addresses=['127.0.0.1', '169.254.169.254', OTHER]),
        endpoint_slice(name='own', port=10280, port_name='http', addresses=['10.1.2.3']),
    ]
    made = model(seen, document, *pieces)
    found = fragment(made)
    ends = {end for backend in found.backends for group in backend.groups for end in group.addresses}
    ends |= {end for group in found.balanced for end, _ in group.endpoints}
    ends |= {
        end
        for claim in found.claims
        if claim.kind is Kind.VIRTUAL_ADDRESS
        for end, _ in claim.value.external_path.spare
    }
    assert ends == {OTHER}
    (told,) = made.all_diagnostics()
    assert told.reason == 'EndpointRefused'


def of_node(*documents, **settings):
    return model(
        replace(build_context.make(Settings(**settings), role=Role.NODE, topology=Topology('n1')), own_addresses=OWN),
        *documents,
    )


def ends_of(made):
    found = fragment(made)
    ends = {end for backend in found.backends for group in backend.groups for end in group.addresses}
    return ends | {end for group in found.balanced for end, _ in group.endpoints}


@pytest.mark.parametrize(
    ('network', 'address', 'is_refused'),
    [
        ('10.96.0.0/12', '10.111.255.254', True),
        ('10.96.0.0/12', '10.112.0.1', False),
        ('10.96.0.0/16', '10.96.7.7', True),
        ('10.96.0.0/16', '10.9.6.0', False),
        ('10.96.0.7/32', '10.96.0.7', True),
        ('10.96.0.7/32', '10.96.0.77', False),
        ('0.0.0.0/0', '192.0.2.7', True),
        ('fd00:96::/112', 'fd00:96::7', True),
        ('fd00:96::/112', 'fd00:97::7', False),
        ('fc00::/7', 'fdff::7', True),
        ('::/0', '2001:db8::7', True),
    ],
)
def test_on_a_node_an_address_of_a_service_is_no_endpoint(network, address, is_refused):
    family = 'IPv6' if ':' in address else 'IPv4'
    document = service(
        annotations={'proxy': 'node', 'datapath': 'haproxy'}, ports=HTTP, clusterIP='10.1.0.1',
        clusterIPs=['10.1.0.1', 'fe00::1'], ipFamilies=['IPv4', 'IPv6'],
    )  # fmt: skip
    made = of_node(
        document, endpoint_slice(port_name='http', family=family, addresses=[address]), service_networks=(network,)
    )
    assert ends_of(made) == (set() if is_refused else {address})
    assert ('EndpointRefused' in {each.reason for each in made.all_diagnostics()}) is is_refused


@pytest.mark.parametrize(
    ('address', 'port', 'is_refused'),
    [
        pytest.param('10.96.0.1', 80, True, id='the ClusterIP'),
        pytest.param('10.96.0.1', 81, False, id='another port of it'),
        pytest.param('203.0.113.7', 80, True, id='an external address'),
        pytest.param('192.0.2.1', 30080, True, id='the node port'),
        pytest.param('192.0.2.2', 30080, True, id='the node port of another Node'),
        pytest.param('192.0.2.2', 30081, False, id='another port of a Node'),
    ],
)
def test_on_a_node_a_service_is_no_endpoint_of_itself(address, port, is_refused):
    document = service(
        annotations={'proxy': 'node'}, ports=[{**HTTP[0], 'nodePort': 30080}], type='NodePort', clusterIP='10.96.0.1',
        externalIPs=['203.0.113.7'],
    )  # fmt: skip
    nodes = node('n1'), node('n2', addresses=['192.0.2.2'])
    made = of_node(document, *nodes, endpoint_slice(port=port, port_name='http', addresses=[address]))
    assert ends_of(made) == (set() if is_refused else {address})


def test_the_addresses_of_this_machine_are_found():
    assert {'127.0.0.1'} <= interfaces.addresses()


def test_a_system_that_tells_no_addresses_has_none(monkeypatch, tmp_path):
    monkeypatch.setattr(interfaces, '_IPV4', tmp_path / 'none')
    six = tmp_path / 'six'
    six.write_text(
        'fe800000000000000000000000000001 02 40 20 80 eth0\nfd000000000000000000000000000003 02 40 00 80 eth0\n'
    )
    monkeypatch.setattr(interfaces, '_IPV6', six)
    assert interfaces.addresses() == {'fe80::1', 'fd00::3'}
