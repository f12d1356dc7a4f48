"""Services taken over from kube-proxy on a node: which, at which addresses, and with which endpoints."""

from dataclasses import replace

import pytest

from headrace.ir.fragment import Kind
from headrace.ir.l4 import Action
from headrace.ir.policy import Map
from headrace.objects import parse
from headrace.settings.address_pools import AddressPool
from headrace.settings.settings import Secrets, Settings
from headrace.store import Reader, Store
from headrace.translate import build_context, node_services
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import built, ca_secret, endpoint_slice, fragment, node, pointer, secret, service

IP = {'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1']}
OURS = {'annotations': {'proxy': 'node'}}
BY_HAPROXY = {'annotations': {'proxy': 'node', 'datapath': 'haproxy'}}
LABEL = 'service.kubernetes.io/service-proxy-name'


def virtual_addresses(made):
    return [claim.key for claim in fragment(made).claims if claim.kind is Kind.VIRTUAL_ADDRESS]


def virtual_address(made, key):
    return pointer(made, Kind.VIRTUAL_ADDRESS, key)


def on_node(*documents, settings=None, topology=None, **seen):
    known = settings or Settings(secrets=Secrets(namespaces=('shop',)))
    return built(*documents, settings=known, role=Role.NODE, topology=topology or Topology('n1'), **seen)


def addresses(made):
    """Return the addresses that are served, and by which backend."""
    found = fragment(made)
    claims = found.claims if found else ()
    return {claim.address or claim.key: claim.value.backend for claim in claims if claim.kind is Kind.ADDRESS}


def servers(made, name):
    (backend,) = [backend for backend in fragment(made).backends if backend.name == name]
    return [address for group in backend.groups for address in group.addresses]


@pytest.mark.parametrize(
    ('document', 'settings', 'ours'),
    [
        pytest.param(service(**OURS, **IP), {}, True, id='asks for it'),
        pytest.param(service(**IP), {}, False, id='does not ask'),
        pytest.param(service(annotations={'enabled': 'true', 'host': 'a.example.com'}, **IP), {}, False, id='asks for the edge only'),
        pytest.param(service(annotations={'proxy': 'Node'}, **IP), {}, False, id='another value'),
        pytest.param(service(**OURS), {}, False, id='no ClusterIP'),
        pytest.param(service(**OURS, clusterIP='None'), {}, False, id='headless'),
        pytest.param(service(**OURS, **IP, type='ExternalName'), {}, False, id='ExternalName, even with a ClusterIP'),
        pytest.param(service('kubernetes', 'default', **OURS, **IP), {}, False, id='the API itself'),
        pytest.param(service(labels={LABEL: 'headrace'}, **IP), {}, True, id='the label, set by hand'),
        pytest.param(service(labels={LABEL: 'other'}, **OURS, **IP), {}, False, id='the label of another proxy'),
        pytest.param(service(labels={LABEL: ''}, **OURS, **IP), {}, False, id='the label, empty'),
        pytest.param(service(annotations={'proxy': 'node', 'class': 'other'}, **IP), {}, False, id='another class'),
        pytest.param(service(annotations={'proxy': 'node', 'class': 'other'}, **IP), {'class_name': 'other'}, True, id='the class of this installation'),
        pytest.param(service(**OURS, **IP), {'namespaces': ('else',)}, False, id='a namespace that does not exist here'),
    ],
)  # fmt: skip
def test_a_service_is_taken_over_only_when_it_asks(document, settings, ours):
    made = on_node(document, settings=Settings(**settings))
    name, namespace = document['metadata']['name'], document['metadata']['namespace']
    assert (fragment(made, name, namespace) is not None) is ours


def test_each_address_of_a_service_is_served_on_its_port_and_families_never_mix():
    document = service(
        **BY_HAPROXY, type='LoadBalancer', clusterIPs=['10.96.0.1', 'fd00::96'], externalIPs=['192.0.2.7'],
        ports=[{'name': 'tcp', 'port': 80, 'nodePort': 30080}, {'name': 'dns', 'port': 53, 'protocol': 'UDP'}],
    )  # fmt: skip
    document['status'] = {'loadBalancer': {'ingress': [{'ip': '198.51.100.7'}]}}
    made = on_node(
        document,
        node('n1', addresses=('192.0.2.1', 'fd00::1')),
        node('n2', addresses=('192.0.2.2',)),
        endpoint_slice(addresses=['10.0.0.1'], port_name='tcp'),
        endpoint_slice(name='six', family='IPv6', addresses=['fd00::a'], port_name='tcp'),
    )
    four, six = 'shop_web_tcp', 'shop_web_tcp_v6'
    found = addresses(made)
    shape = found['10.96.0.1:80'].removeprefix(four)
    assert found == {
        '10.96.0.1:80': four + shape, '192.0.2.7:80': four + shape, '198.51.100.7:80': four + shape,
        '192.0.2.1:30080': four + shape, 'fd00::96:80': six + shape, 'fd00::1:30080': six + shape,
    }  # fmt: skip
    assert servers(made, four + shape) == ['10.0.0.1']
    assert servers(made, six + shape) == ['fd00::a']


@pytest.mark.parametrize(
    ('policy', 'inner', 'outer'),
    [
        pytest.param({}, ['10.0.0.1', '10.0.0.2'], ['10.0.0.1', '10.0.0.2'], id='Cluster'),
        pytest.param({'internalTrafficPolicy': 'Local'}, ['10.0.0.1'], ['10.0.0.1', '10.0.0.2'], id='internal Local'),
        pytest.param({'externalTrafficPolicy': 'Local'}, ['10.0.0.1', '10.0.0.2'], ['10.0.0.1'], id='external Local'),
    ],
)
def test_a_local_policy_rules_its_own_addresses_only(policy, inner, outer):
    ends = [{'addresses': ['10.0.0.1'], 'nodeName': 'n1'}, {'addresses': ['10.0.0.2'], 'nodeName': 'n2'}]
    made = on_node(service(**BY_HAPROXY, **IP, **policy, externalIPs=['192.0.2.7']), endpoint_slice(endpoints=ends))
    found = addresses(made)
    assert (servers(made, found['10.96.0.1:80']), servers(made, found['192.0.2.7:80'])) == (inner, outer)


def test_a_slice_that_is_marked_as_headless_is_not_used():
    marked = endpoint_slice(addresses=['10.0.0.1'])
    marked['metadata']['labels']['service.kubernetes.io/headless'] = ''
    made = on_node(service(**BY_HAPROXY, **IP), marked, endpoint_slice(name='plain', addresses=['10.0.0.2']))
    assert servers(made, addresses(made)['10.96.0.1:80']) == ['10.0.0.2']


@pytest.mark.parametrize('port', [{'name': 'http', 'port': 80}, {'name': 'tcp', 'port': 80}], ids=['http', 'tcp'])
def test_a_protecting_key_that_does_not_parse_closes_the_address(port):
    made = on_node(service(annotations={'proxy': 'node', 'allow': 'everybody'}, ports=[port], **IP))
    assert 'X' in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags


@pytest.mark.parametrize('key', ['backend-ca-secret', 'backend-ca-secret.https'])
@pytest.mark.parametrize('held', [True, False])
def test_endpoints_whose_authority_is_not_there_are_not_used(key, held):
    document = service(
        annotations={'proxy': 'node', 'mode': 'http', 'backend-protocol': 'https', key: 'ca'},
        ports=[{'name': 'https', 'port': 443}],
        **IP,
    )
    secrets = [ca_secret('ca')] if held else []
    made = on_node(document, endpoint_slice(addresses=['10.0.0.1'], port_name='https'), *secrets)
    where = pointer(made, Kind.ADDRESS, '10.96.0.1:443')
    assert ('X' in where.flags) is not held
    assert servers(made, where.backend) == (['10.0.0.1'] if held else [])
    said = [
        (diagnostic.reason, diagnostic.field)
        for diagnostic in made.all_diagnostics()
        if diagnostic.reason.startswith('Secret')
    ]
    assert said == ([] if held else [('SecretMissing', f'metadata.annotations[headrace.io/{key}]')])


def test_timeouts_and_headers_of_a_port_are_those_of_all_its_addresses():
    said = {'proxy': 'node', 'mode': 'http', 'timeout-server': '5s', 'request-headers': 'X-Node: yes'}
    made = on_node(service(annotations=said, clusterIPs=['10.96.0.1', '10.96.0.2', 'fd00::96']))
    found = fragment(made)
    assert [edits.request for edits in found.headers] == [(('X-Node', 'yes'),)]
    assert [item.server for item in found.timeouts] == [5000]
    for claim in (each for each in found.claims if each.kind is Kind.ADDRESS):
        assert {'h', 't'} <= set(claim.value.flags), claim.key


@pytest.mark.parametrize(
    'said',
    [
        pytest.param({'basic-auth-secret': 'users'}, id='users, of TCP'),
        pytest.param({'basic-auth-secret': 'no', 'mode': 'http'}, id='users that are not there'),
        pytest.param({'basic-auth-secret.80': 'crypt', 'mode': 'http'}, id='hashes that are none'),
        pytest.param({'client-ca-secret': 'ca'}, id='certificates'),
        pytest.param({'client-ca-secret.80': 'ca', 'mode': 'http'}, id='certificates of a port'),
    ],
)
def test_a_protection_that_cannot_be_given_closes_the_address_and_says_so(said):
    secrets = [secret('users', auth='ann:{SHA}x'), secret('crypt', auth='ann:$6$salt$hash')]
    document = service(annotations={'proxy': 'node', **said}, **IP)
    made = on_node(document, endpoint_slice(addresses=['10.0.0.1']), *secrets)
    assert 'X' in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags
    assert 'RouteClosed' in [diagnostic.reason for diagnostic in made.all_diagnostics()]


def test_clients_of_this_node_get_all_endpoints_at_external_addresses_whatever_the_policy():
    ends = [{'addresses': ['10.0.0.1'], 'nodeName': 'n1'}, {'addresses': ['10.0.0.2'], 'nodeName': 'n2'}]
    spec = {'externalTrafficPolicy': 'Local', 'internalTrafficPolicy': 'Local', 'externalIPs': ['192.0.2.7']}
    made = on_node(service(**BY_HAPROXY, **IP, **spec), endpoint_slice(endpoints=ends))
    found = pointer(made, Kind.ADDRESS, '192.0.2.7:80')
    assert (servers(made, found.backend), servers(made, found.cluster)) == (['10.0.0.1'], ['10.0.0.1', '10.0.0.2'])
    assert pointer(made, Kind.ADDRESS, '10.96.0.1:80').cluster == ''


@pytest.mark.parametrize(
    ('said', 'spec', 'field'),
    [
        pytest.param({'rewrite-path': '/a', 'path': '/b'}, {}, 'metadata.annotations[headrace.io/rewrite-path]', id='rewrite of a path'),
        pytest.param({'client-ip': 'preserve'}, {}, 'metadata.annotations[headrace.io/client-ip]', id='preserve'),
        pytest.param({'client-ip.tcp': 'preserve'}, {}, 'metadata.annotations[headrace.io/client-ip.tcp]', id='preserve, of a port'),
        pytest.param({'client-ip': 'preserve', 'mode': 'tcp', 'max-connections': '5'}, {}, 'metadata.annotations[headrace.io/client-ip]', id='preserve, with what only HAProxy gives'),
    ],
)  # fmt: skip
def test_what_the_node_role_does_not_apply_yet_is_told(said, spec, field):
    spec = {'ports': [{'name': 'tcp', 'port': 80}], **spec}
    document = service(annotations={'proxy': 'node', 'mode': 'http', **said}, **spec, **IP)
    made = on_node(document, endpoint_slice(addresses=['10.0.0.1'], port_name='tcp'))
    assert [(diagnostic.reason, diagnostic.field) for diagnostic in made.all_diagnostics()] == [('NotYet', field)]
    assert 'w' not in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags


def test_clients_are_told_to_connect_anew_while_a_service_goes_back():
    known = parse.read(
        service(annotations={'datapath': 'haproxy'}, labels={'headrace.io/node': 'headrace'}, **IP)
    ).object
    seen = replace(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')), labelled=True)
    made = node_services.translate(known, Reader(Store(), known.ref), seen)
    assert [claim.value.flags for claim in made.claims if claim.kind is Kind.ADDRESS] == ['l']


def test_affinity_stays_with_the_kernel_while_a_service_goes_back():
    spec = {'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 60}}}
    known = parse.read(service(labels={'headrace.io/node': 'headrace'}, **spec, **IP)).object
    seen = replace(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')), labelled=True)
    slices = parse.read(endpoint_slice(addresses=['10.0.0.1'])).object
    store = Store()
    store.put(slices)
    made = node_services.translate(known, Reader(store, known.ref), seen)
    assert {claim.kind for claim in made.claims} == {Kind.VIRTUAL_ADDRESS}
    assert [balanced.protocol for balanced in made.balanced] == ['TCP']


def test_keys_for_a_port_that_the_kernel_balances_are_told():
    ports = [{'name': 'dns', 'port': 53, 'protocol': 'UDP'}]
    said = {'proxy': 'node', 'mode.dns': 'tcp', 'max-connections.dns': '5'}
    made = on_node(
        service(annotations=said, ports=ports, **IP),
        endpoint_slice(addresses=['10.0.0.1'], port_name='dns', protocol='UDP'),
    )
    assert [(diagnostic.reason, diagnostic.field) for diagnostic in made.all_diagnostics()] == [
        ('NotApplicable', 'metadata.annotations[headrace.io/max-connections.dns]')
    ]


@pytest.mark.parametrize(
    ('said', 'datapath', 'seconds'),
    [
        pytest.param({}, 'kernel', 0, id='nothing else is asked: the kernel'),
        pytest.param({'host': 'a.example.com'}, 'kernel', 0, id='a name changes nothing'),
        pytest.param({'max-connections': '5'}, 'haproxy', 10800, id='something that HAProxy does: HAProxy'),
        pytest.param({'allow': '10.0.0.0/8'}, 'haproxy', 10800, id='a rule: HAProxy'),
    ],
)
def test_who_keeps_clients_with_their_endpoints(said, datapath, seconds):
    asked = service(annotations={'proxy': 'node', **said}, sessionAffinity='ClientIP', **IP)
    made = on_node(asked, endpoint_slice(addresses=['10.0.0.1']))
    assert (virtual_address(made, '10.96.0.1:80/TCP').datapath == 'kernel') is (datapath == 'kernel')
    assert {backend.affinity for backend in fragment(made).backends} - {0} == ({seconds} if seconds else set())


BOTH = [{'addresses': ['10.0.0.1'], 'nodeName': 'n1'}, {'addresses': ['10.0.0.2'], 'nodeName': 'n2'}]
ELSEWHERE = [{'addresses': ['10.0.0.2'], 'nodeName': 'n2'}]
CHECKED = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local', 'healthCheckNodePort': 32000}
TERMINATING = {'ready': False, 'serving': True, 'terminating': True}


@pytest.mark.parametrize(
    ('ends', 'count'),
    [
        pytest.param(BOTH, 1, id='one of two is here'),
        pytest.param(ELSEWHERE, 0, id='elsewhere'),
        pytest.param(
            [{'addresses': ['10.0.0.1'], 'nodeName': 'n1', 'conditions': TERMINATING}], 0, id='one that terminates'
        ),
        pytest.param([{'addresses': ['10.0.0.1']}], 0, id='of no known node'),
    ],
)
def test_load_balancers_are_told_how_many_endpoints_are_on_this_node(ends, count):
    slices = [endpoint_slice(endpoints=ends), endpoint_slice(endpoints=ends, name='web-2', port=9090, port_name='more')]
    made = on_node(service(**OURS, **IP, **CHECKED), *slices)
    assert not made.all_diagnostics()
    assert pointer(made, Kind.HEALTH_CHECK, '32000').endpoints == count


@pytest.mark.parametrize(
    'spec',
    [
        pytest.param({**CHECKED, 'externalTrafficPolicy': 'Cluster'}, id='policy Cluster'),
        pytest.param({**CHECKED, 'type': 'NodePort'}, id='no load balancer'),
        pytest.param({**CHECKED, 'healthCheckNodePort': 0}, id='no port'),
    ],
)
def test_no_other_service_has_health_checks(spec):
    assert (
        pointer(on_node(service(**OURS, **IP, **spec), endpoint_slice(endpoints=BOTH)), Kind.HEALTH_CHECK, '32000')
        is None
    )


def test_health_checks_are_kube_proxys_until_it_lets_go():
    chosen = {'headrace.io/node': 'headrace'}
    before, after = (
        on_node(service(**OURS, **IP, **CHECKED, labels=labels), endpoint_slice(endpoints=BOTH), labelled=True)
        for labels in (chosen, {**chosen, LABEL: 'headrace'})
    )
    assert pointer(before, Kind.HEALTH_CHECK, '32000') is None
    assert pointer(after, Kind.HEALTH_CHECK, '32000').endpoints == 1


def test_users_and_a_rewrite_are_those_of_the_edge():
    said = {'proxy': 'node', 'mode': 'http', 'rewrite-path': '/v2/', 'basic-auth-secret': 'users'}
    held = secret('users', type='kubernetes.io/basic-auth', username='ann', password='pw')
    made = on_node(service(annotations=said, **IP), endpoint_slice(addresses=['10.0.0.1']), held)
    assert made.all_diagnostics() == ()
    flags = pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags
    assert {'w', 'b'} <= set(flags)
    assert 'X' not in flags
    data = [(entry.map, entry.value) for entry in fragment(made).data if entry.map in (Map.REWRITE, Map.AUTH)]
    assert data == [(Map.AUTH, '1'), (Map.REWRITE, '/v2')]


def test_users_with_crypt_hashes_are_judged_as_at_the_edge():
    said = {'proxy': 'node', 'mode': 'http', 'basic-auth-secret': 'users'}
    hashed = f'$5$salt${"a" * 43}'
    made = on_node(
        service(annotations=said, **IP), endpoint_slice(addresses=['10.0.0.1']), secret('users', auth=f'ann:{hashed}')
    )
    (listed,) = fragment(made).userlists
    assert listed.users == (('ann', hashed),)
    assert pointer(made, Kind.ADDRESS, '10.96.0.1:80').policy == listed.policy
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == ['CostlyHash']


@pytest.mark.parametrize('taken', [False, True], ids=['of kube-proxy', 'taken over'])
def test_a_canary_lends_its_backend_in_each_datapath_of_its_own_address(taken):
    said = {'proxy': 'node', 'mode': 'http', 'canary-service': 'next', 'canary-weight': '10'}
    lent = {'clusterIP': '10.96.0.2', 'clusterIPs': ['10.96.0.2'], **(BY_HAPROXY if taken else {})}
    made = on_node(
        service(annotations=said, **IP),
        endpoint_slice(addresses=['10.0.0.1']),
        service('next', **lent),
        endpoint_slice('next', addresses=['10.0.0.2']),
    )
    (lead,) = fragment(made).leads
    (backend,) = [each for each in fragment(made, 'next').backends if each.name == lead.pointer.backend]
    assert (lead.weight, lead.pointer.flags) == (1000, '')
    assert (backend.groups[0].addresses, backend.shape.mode) == (('10.0.0.2',), 'http')
    assert bool(pointer(made, Kind.ADDRESS, '10.96.0.2:80')) is taken
    assert made.all_diagnostics() == ()


def test_a_canary_that_is_not_there_is_left_out_and_told():
    said = {'proxy': 'node', 'mode': 'http', 'canary-service': 'next'}
    made = on_node(service(annotations=said, **IP), endpoint_slice(addresses=['10.0.0.1']))
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == ['ServiceMissing']
    assert 'c' not in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags


def test_a_client_who_is_not_to_be_forwarded_is_not():
    said = {'proxy': 'node', 'mode': 'http', 'client-ip': 'none'}
    made = on_node(service(annotations=said, **IP), endpoint_slice(addresses=['10.0.0.1']))
    assert 'n' in pointer(made, Kind.ADDRESS, '10.96.0.1:80').flags


def test_keys_that_the_edge_applies_are_no_mistake_on_the_node():
    said = {'proxy': 'node', 'mode': 'http', 'host': 'a.example.com', 'tls-secret': 'tls', 'rewrite-path': '/a'}
    made = on_node(service(annotations=said, **IP), endpoint_slice(addresses=['10.0.0.1']))
    assert made.all_diagnostics() == ()


def test_load_balancer_addresses_are_for_their_ranges_alone_and_others_for_all():
    spec = {'type': 'LoadBalancer', 'loadBalancerSourceRanges': ['10.0.0.0/8'], 'externalIPs': ['198.51.100.8']}
    document = service(**OURS, **IP, **spec)
    document['status'] = {'loadBalancer': {'ingress': [{'ip': '198.51.100.7'}, {'ip': 'fd00::7'}]}}
    made = on_node(document)
    found = {key: virtual_address(made, key).ranges for key in virtual_addresses(made)}
    assert found == {
        '10.96.0.1:80/TCP': None,
        '198.51.100.7:80/TCP': ('10.0.0.0/8',),
        '198.51.100.8:80/TCP': None,
        # Ranges of one family leave the other one open (rule 31).
        'fd00::7:80/TCP': None,
    }


@pytest.mark.parametrize(
    ('ranges', 'kept'),
    [
        pytest.param(['10.0.0.0/8', 'nonsense'], (), id='one that is no network: no client'),
        pytest.param(['10.0.0.0/8', '0.0.0.0/0'], None, id='all'),
        pytest.param(['fd00::/8'], None, id='of the other family alone'),
        pytest.param(['10.0.0.0/9', '10.128.0.0/9'], ('10.0.0.0/8',), id='neighbours are one'),
        # The node reaches the address by itself, and has it as its source then (rule 31).
        pytest.param(['192.0.2.0/24'], ('192.0.2.0/24', '198.51.100.7/32'), id='with the node in it'),
    ],
)
def test_ranges_of_a_load_balancer_address(ranges, kept):
    document = service(**OURS, **IP, type='LoadBalancer', loadBalancerSourceRanges=ranges)
    document['status'] = {'loadBalancer': {'ingress': [{'ip': '198.51.100.7'}]}}
    made = on_node(document, node('n1', addresses=['192.0.2.1']))
    assert virtual_address(made, '198.51.100.7:80/TCP').ranges == kept


@pytest.mark.parametrize(
    ('node_of', 'expected'),
    [pytest.param(None, ['NoEndpoints'], id='none at all'), pytest.param('n2', [], id='only on another node')],
)
def test_a_port_without_any_endpoint_is_told_and_one_without_a_local_one_is_not(node_of, expected):
    ends = [{'addresses': ['10.0.0.1'], 'nodeName': node_of}] if node_of else []
    made = on_node(service(**OURS, **IP, internalTrafficPolicy='Local'), endpoint_slice(endpoints=ends))
    assert [diagnostic.reason for diagnostic in made.all_diagnostics()] == expected


@pytest.mark.parametrize(
    ('ends', 'policy', 'external_path', 'local_path'),
    [
        pytest.param(BOTH, {}, Action.SERVE, Action.SERVE, id='endpoints'),
        pytest.param([], {}, Action.REFUSE, Action.REFUSE, id='none'),
        pytest.param([], {'externalTrafficPolicy': 'Local'}, Action.REFUSE, Action.REFUSE, id='none, policy Local'),
        pytest.param(ELSEWHERE, {}, Action.SERVE, Action.SERVE, id='on another node'),
        pytest.param(ELSEWHERE, {'externalTrafficPolicy': 'Local'}, Action.DROP, Action.SERVE, id='on another node, policy Local'),
    ],
)  # fmt: skip
def test_what_becomes_of_a_connection_to_an_external_address(ends, policy, external_path, local_path):
    made = on_node(service(**OURS, **IP, externalIPs=['198.51.100.8'], **policy), endpoint_slice(endpoints=ends))
    found = virtual_address(made, '198.51.100.8:80/TCP')
    assert (found.external_path.action, found.local_path.action) == (external_path, local_path)


@pytest.mark.parametrize(
    ('annotations', 'action'),
    [
        pytest.param({'fallback-service': 'other'}, Action.SERVE, id='a fallback'),
        pytest.param({'error-service': 'other', 'error-statuses': '503'}, Action.SERVE, id='error pages'),
        pytest.param({'redirect-to': '/there'}, Action.SERVE, id='a redirect'),
        pytest.param({'canary-service': 'other', 'canary-weight': '100'}, Action.SERVE, id='a canary'),
        pytest.param({'deny': '192.0.2.1'}, Action.REFUSE, id='nothing that answers'),
    ],
)
def test_a_port_without_endpoints_is_served_where_something_else_answers(annotations, action):
    ports = [{'name': 'http', 'port': 80}]
    web = service(annotations={'proxy': 'node', 'mode': 'http', **annotations}, ports=ports, **IP)
    other = service('other', ports=ports, clusterIP='10.96.0.9', clusterIPs=['10.96.0.9'])
    found = virtual_address(on_node(web, other), '10.96.0.1:80/TCP')
    assert (found.external_path.action, found.local_path.action) == (action, action)


def test_a_cluster_ip_with_policy_local_is_dropped_for_all_where_endpoints_are_elsewhere_only():
    made = on_node(service(**OURS, **IP, internalTrafficPolicy='Local'), endpoint_slice(endpoints=ELSEWHERE))
    found = virtual_address(made, '10.96.0.1:80/TCP')
    assert (found.external_path.action, found.local_path.action) == (Action.DROP, Action.DROP)


@pytest.mark.parametrize(
    ('address', 'said'),
    [
        pytest.param('192.0.2.1', 'the address of a Node', id='a Node'),
        pytest.param('127.0.0.1', 'no address that others can reach', id='loopback'),
        pytest.param('169.254.1.1', 'no address that others can reach', id='link-local'),
        pytest.param('10.244.0.5', 'the network of pods', id='a pod'),
        pytest.param('10.96.0.5', 'the network of Services', id='a ClusterIP'),
        pytest.param('203.0.113.5', 'the address pool public', id='an address of a pool'),
    ],
)
def test_external_ips_that_would_take_the_traffic_of_others_are_refused(address, said):
    known = Settings(
        service_networks=('10.96.0.0/16',),
        pod_networks=('10.244.0.0/16',),
        address_pools=(AddressPool(name='public', addresses=('203.0.113.0/24',)),),
    )
    made = on_node(service(**OURS, **IP, externalIPs=[address]), endpoint_slice(endpoints=BOTH), node(), settings=known)
    assert virtual_addresses(made) == ['10.96.0.1:80/TCP']
    [diagnostic] = made.all_diagnostics()
    assert (diagnostic.reason, diagnostic.field) == ('AddressRefused', 'spec.externalIPs')
    assert said in diagnostic.message


def test_a_cluster_ip_belongs_to_its_service_and_not_to_an_older_object_that_names_it():
    thief = service(
        'thief', created='2020-01-01T00:00:00Z', **BY_HAPROXY, clusterIP='10.96.0.2', externalIPs=['10.96.0.1']
    )
    owner = service('web', created='2024-01-01T00:00:00Z', **BY_HAPROXY, **IP)
    slices = endpoint_slice('web', endpoints=BOTH), endpoint_slice('thief', addresses=['10.0.0.9'])
    made = on_node(thief, owner, *slices)
    assert pointer(made, Kind.ADDRESS, '10.96.0.1:80').backend.startswith('shop_web_80')
    assert [(diagnostic.reason, diagnostic.ref.name) for diagnostic in made.all_diagnostics()] == [
        ('AddressRefused', 'thief')
    ]


@pytest.mark.parametrize(
    ('annotations', 'spec', 'datapath', 'remark'),
    [
        pytest.param({}, {}, 'kernel', '', id='nothing is asked'),
        pytest.param({'datapath': 'auto', 'client-ip': 'preserve'}, {}, 'kernel', '', id='auto'),
        pytest.param({'datapath': 'kernel'}, {}, 'kernel', '', id='kernel'),
        pytest.param({'datapath': 'kernel', 'mode': 'tcp', 'client-ip': 'none'}, {}, 'kernel', '', id='what the kernel gives'),
        pytest.param({'datapath': 'kernel', 'mode': 'http'}, {}, 'http', 'which alone gives mode', id='HTTP'),
        pytest.param({'datapath': 'kernel', 'allow': '10.0.0.0/8'}, {}, 'tcp', 'which alone gives allow', id='a guarded port'),
        pytest.param({'datapath': 'kernel', 'allow': 'x'}, {}, 'tcp', 'which alone gives', id='a closed port'),
        pytest.param({'datapath': 'haproxy'}, {}, 'tcp', '', id='haproxy'),
        pytest.param({'datapath': 'haproxy'}, {'sessionAffinity': 'ClientIP'}, 'tcp', '', id='haproxy keeps clients'),
        pytest.param({'datapath': 'haproxy', 'client-ip': 'preserve'}, {}, 'tcp', 'the node role does not apply it', id='haproxy hides clients'),
    ],
)  # fmt: skip
def test_the_datapath_of_a_tcp_port_is_what_the_service_asks_for(annotations, spec, datapath, remark):
    document = service(annotations={'proxy': 'node', **annotations}, **IP, **spec)
    made = on_node(document, endpoint_slice(endpoints=BOTH))
    assert virtual_address(made, '10.96.0.1:80/TCP').datapath == datapath
    assert bool(addresses(made)) is (datapath != 'kernel')
    remarks = [said.message for said in made.all_diagnostics() if said.reason in ('NotApplicable', 'NotYet')]
    assert len(remarks) == bool(remark)
    assert all(remark in said for said in remarks)


@pytest.mark.parametrize(('asked', 'datapath'), [('kernel', 'kernel'), ('auto', 'http')])
def test_a_port_whose_name_says_http_is_balanced_by_the_kernel_where_that_is_asked_for(asked, datapath):
    ports = [{'name': 'http', 'port': 80, 'appProtocol': 'http'}]
    document = service(annotations={'proxy': 'node', 'datapath': asked}, ports=ports, **IP)
    made = on_node(document, endpoint_slice(endpoints=BOTH, port_name='http'))
    assert virtual_address(made, '10.96.0.1:80/TCP').datapath == datapath


def test_udp_and_tcp_with_affinity_are_the_kernels_and_plain_tcp_of_haproxy_can_be():
    ports = [{'name': 'dns', 'port': 53, 'protocol': 'UDP'}]
    made = on_node(service(ports=ports, **OURS, **IP), endpoint_slice(endpoints=BOTH, protocol='UDP', port_name='dns'))
    udp = virtual_address(made, '10.96.0.1:53/UDP')
    assert (udp.datapath, [held.endpoints for held in fragment(made).balanced]) == (
        'kernel',
        [(('10.0.0.1', 8080), ('10.0.0.2', 8080))],
    )
    made = on_node(service(**OURS, **IP, sessionAffinity='ClientIP'), endpoint_slice(endpoints=BOTH))
    sticky = virtual_address(made, '10.96.0.1:80/TCP')
    assert (sticky.datapath, [held.affinity for held in fragment(made).balanced]) == ('kernel', [10800])
    made = on_node(service(**BY_HAPROXY, **IP), endpoint_slice(endpoints=BOTH))
    plain = virtual_address(made, '10.96.0.1:80/TCP')
    assert (plain.datapath, plain.external_path.spare) == ('tcp', (('10.0.0.1', 8080), ('10.0.0.2', 8080)))
    made = on_node(service(annotations={'proxy': 'node', 'allow': '10.0.0.0/8'}, **IP), endpoint_slice(endpoints=BOTH))
    guarded = virtual_address(made, '10.96.0.1:80/TCP')
    assert (guarded.datapath, guarded.external_path.spare) == ('tcp', ())
