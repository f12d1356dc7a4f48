"""From documents to objects: what Kubernetes allows is read, all else is told and costs no more than its field."""

import pytest

from headrace.objects import parse, services
from headrace.objects.kinds import Namespace, Node, Protocol, Service, ServicePort, ServiceType
from support.objects import node, service


def read(document):
    """Return the object and what was said of it: field and message."""
    found = parse.read(document)
    diagnostics = (*found.diagnostics, *getattr(found.object, 'problems', ()))
    assert {diagnostic.reason for diagnostic in diagnostics} <= {'InvalidObject'}
    return found.object, [(diagnostic.field, diagnostic.message) for diagnostic in diagnostics]


def with_spec(**spec):
    return {'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': 'web', 'namespace': 'shop'}, 'spec': spec}


def with_metadata(**metadata):
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {'name': 'web', **metadata},
        'spec': {'ports': [{'port': 80}]},
    }


# --- what is an object ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    'document',
    [
        pytest.param(None, id='nothing'),
        pytest.param('text', id='a text'),
        pytest.param(5, id='a number'),
        pytest.param([{'kind': 'Service'}], id='a list'),
        pytest.param({}, id='empty'),
        pytest.param({'kind': 'Service', 'metadata': {'name': 'a'}}, id='no version'),
        pytest.param({'apiVersion': 'v1', 'metadata': {'name': 'a'}}, id='no kind'),
        pytest.param({'apiVersion': 'apps/v1', 'kind': 'Service', 'metadata': {'name': 'a'}}, id='another group'),
        pytest.param({'apiVersion': 'v1', 'kind': 'Pod', 'metadata': {'name': 'a'}}, id='another kind'),
        pytest.param({'apiVersion': ['v1'], 'kind': {'Service': 1}}, id='version and kind of other types'),
    ],
)
def test_what_is_none_of_the_kinds_that_are_read_is_ignored_without_a_word(document):
    assert parse.read(document) == parse.Reading()


@pytest.mark.parametrize(
    ('metadata', 'shown'),
    [
        pytest.param({}, "'None'", id='no name'),
        pytest.param({'name': ''}, "''", id='empty name'),
        pytest.param({'name': 5}, "'5'", id='a number'),
        pytest.param({'name': ['web']}, "'(list)'", id='a list'),
        pytest.param({'name': 'Web'}, "'Web'", id='upper case'),
        pytest.param({'name': 'a.b'}, "'a.b'", id='a dot in the name of a Service'),
        pytest.param({'name': 'a\nserver x 192.0.2.1'}, r"'a\nserver x 192.0.2.1'", id='line break'),
        pytest.param({'name': 'a' * 64}, f"'{'a' * 60}'…", id='too long'),
        pytest.param({'name': 'web', 'namespace': 'a/b'}, "'web'", id='slash in the namespace'),
        pytest.param({'name': 'web', 'namespace': 5}, "'web'", id='a number as namespace'),
        pytest.param({'name': 'web', 'namespace': 0}, "'web'", id='zero as namespace'),
        pytest.param({'name': 'web', 'namespace': ['shop']}, "'web'", id='a list as namespace'),
    ],
)
def test_a_document_without_a_usable_name_is_a_diagnostic_and_no_object(metadata, shown):
    found = parse.read({'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata, 'spec': {}})
    assert found.object is None
    (diagnostic,) = found.diagnostics
    assert (diagnostic.reason, diagnostic.field) == ('InvalidObject', 'metadata.name')
    assert diagnostic.message.startswith(f'name {shown} in namespace ')
    assert diagnostic.message.isprintable()
    assert str(diagnostic.ref).isprintable()


@pytest.mark.parametrize('metadata', [{}, {'namespace': None}, {'namespace': ''}, {'namespace': 'default'}], ids=str)
def test_an_object_without_a_namespace_is_in_default(metadata):
    item, said = read(with_metadata(**metadata))
    assert (item.namespace, said) == ('default', [])


def test_metadata_of_another_type_is_no_object():
    for metadata in (None, [], 'web', 5):
        found = parse.read({'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata})
        assert found.object is None
        assert [diagnostic.reason for diagnostic in found.diagnostics] == ['InvalidObject']


@pytest.mark.parametrize('field', ['annotations', 'labels'])
@pytest.mark.parametrize(
    'value', [['headrace.io/allow: 10.0.0.0/8'], 'headrace.io/allow: 10.0.0.0/8', 5, True], ids=str
)
def test_an_object_whose_annotations_or_labels_are_no_mapping_is_not_read_as_one_that_has_none(field, value):
    item, said = read(with_metadata(**{field: value}))
    assert item is None
    assert [field for field, _ in said] == [f'metadata.{field}']


# --- annotations ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        pytest.param('a.example.com', 'a.example.com', id='text'),
        pytest.param(' as it is\n', ' as it is\n', id='text with blanks'),
        pytest.param(True, 'true', id='a boolean, as YAML reads true'),
        pytest.param(False, 'false', id='a boolean, as YAML reads false'),
        pytest.param(5432, '5432', id='a number'),
        pytest.param(1.5, '1.5', id='a fraction'),
        pytest.param(10**5000, '', id='a number of thousands of digits'),
        pytest.param(None, '', id='null'),
        pytest.param(['a'], '', id='a list'),
        pytest.param({'a': 'b'}, '', id='a mapping'),
    ],
)
def test_an_annotation_becomes_the_text_that_an_api_server_would_have_demanded(value, expected):
    item, said = read(with_metadata(annotations={'headrace.io/host': value}))
    assert (item.annotations, said) == ((('host', expected),), [])


def test_only_our_annotations_are_kept_sorted_and_without_their_prefix():
    given = {
        'headrace.io/port': '1',
        'headrace.io/host': 'a',
        'other.io/host': 'b',
        'headrace.io': 'c',
        'xheadrace.io/host': 'd',
        5: 'e',
    }
    item, _ = read(with_metadata(annotations=given))
    assert item.annotations == (('host', 'a'), ('port', '1'))


def test_a_list_that_names_itself_does_not_hang_or_crash():
    endless = []
    endless.append(endless)
    item, _ = read(with_metadata(annotations={'headrace.io/host': endless}, name='web'))
    assert item.annotations == (('host', ''),)


def test_a_few_lines_that_name_a_list_of_billions_cost_nothing():
    bomb = ['a']
    for _ in range(64):
        bomb = [bomb, bomb]
    item, _ = read(with_metadata(annotations={'headrace.io/host': bomb}))
    assert item.annotations == (('host', ''),)
    _, said = read(with_spec(ports=[{'port': bomb}, bomb]))
    assert [field for field, _ in said] == ['spec.ports[0]', 'spec.ports[1]']
    assert read(with_metadata(name=bomb))[0] is None


# --- ports ------------------------------------------------------------------------------------------------------------


def test_the_fields_of_a_port_are_read():
    given = {
        'name': 'http',
        'port': 80,
        'protocol': 'TCP',
        'nodePort': 30080,
        'appProtocol': 'kubernetes.io/h2c',
        'targetPort': 'web',
    }
    item, said = read(with_spec(ports=[given]))
    assert said == []
    assert item.ports == (ServicePort('http', Protocol.TCP, 80, 30080, 'kubernetes.io/h2c'),)


@pytest.mark.parametrize(
    'port',
    [{'port': 80}, {'port': 80, 'name': None, 'protocol': None, 'nodePort': None, 'appProtocol': None}],
    ids=['absent', 'null'],
)
def test_a_port_needs_no_more_than_its_number(port):
    item, said = read(with_spec(ports=[port]))
    assert (item.ports, said) == ((ServicePort('', Protocol.TCP, 80),), [])


@pytest.mark.parametrize(
    ('port', 'word'),
    [
        pytest.param({}, 'None', id='no number'),
        pytest.param({'port': 0}, '0', id='0'),
        pytest.param({'port': 65536}, '65536', id='too large'),
        pytest.param({'port': -1}, '-1', id='negative'),
        pytest.param({'port': '80'}, "'80'", id='a text'),
        pytest.param({'port': 80.0}, '80.0', id='a fraction'),
        pytest.param({'port': True}, 'True', id='a boolean'),
        pytest.param({'port': [80]}, '(list)', id='a list'),
        pytest.param({'port': 81, 'protocol': 'tcp'}, "'tcp'", id='protocol in lower case'),
        pytest.param({'port': 81, 'protocol': 'TCP\n'}, r"'TCP\n'", id='protocol with a line break'),
        pytest.param({'port': 81, 'protocol': 6}, "protocol of port 81 is '6'", id='protocol that is a number'),
        pytest.param({'port': 81, 'name': 81}, "name of port 81 is '81'", id='name that is a number'),
        pytest.param({'port': 81, 'nodePort': '30081'}, "nodePort of port 81 is '30081'", id='nodePort that is a text'),
        pytest.param(
            {'port': 81, 'appProtocol': ['http']}, "appProtocol of port 81 is '(list)'", id='appProtocol a list'
        ),
        pytest.param({'port': 81, 'name': 'a b'}, "'a b'", id='name with a blank'),
        pytest.param({'port': 81, 'name': '%[src]'}, "'%[src]'", id='name with a fetch'),
        pytest.param({'port': 81, 'name': 'a\n  server x 192.0.2.1'}, r"'a\n", id='name with a line break'),
        pytest.param({'port': 81}, 'must name each', id='no name among several'),
        pytest.param({'port': 80, 'name': 'b'}, 'occurs twice', id='the same number'),
        pytest.param({'port': 81, 'name': 'good'}, 'occurs twice', id='the same name'),
        pytest.param(None, "'None' is no port", id='null'),
        pytest.param('80', "'80' is no port", id='a text for a port'),
        pytest.param(['80'], "'(list)' is no port", id='a list for a port'),
    ],
)
def test_a_wrong_port_is_told_and_costs_itself_only(port, word):
    good = {'port': 80, 'name': 'good'}
    item, said = read(with_spec(ports=[good, port]))
    assert item.ports == (ServicePort('good', Protocol.TCP, 80),)
    ((field, message),) = said
    assert field == 'spec.ports[1]'
    assert word in message


def test_tcp_and_udp_may_have_the_same_number():
    ports = [{'name': 'dns', 'port': 53, 'protocol': 'UDP'}, {'name': 'dns-tcp', 'port': 53}]
    item, said = read(with_spec(ports=ports))
    assert ([(port.name, port.protocol) for port in item.ports], said) == ([('dns', 'UDP'), ('dns-tcp', 'TCP')], [])


# --- the spec ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('spec', 'fields'),
    [
        pytest.param({}, ['spec.ports'], id='empty'),
        pytest.param({'ports': []}, ['spec.ports'], id='an empty list'),
        pytest.param({'ports': None}, ['spec.ports'], id='null'),
        pytest.param({'ports': {'port': 80}}, ['spec.ports', 'spec.ports'], id='a mapping'),
        pytest.param({'type': 'ExternalName', 'externalName': 'a.example.com'}, [], id='ExternalName'),
    ],
)
def test_a_service_needs_a_port_unless_it_is_a_name(spec, fields):
    item, said = read(with_spec(**spec))
    assert ([field for field, _ in said], item.ports) == (fields, ())


@pytest.mark.parametrize('spec', [None, [], 'text', 5], ids=repr)
def test_a_spec_of_another_type_is_an_empty_one_and_told(spec):
    item, said = read({**with_spec(), 'spec': spec})
    assert item == Service('shop', 'web', problems=item.problems)
    assert [field for field, _ in said] == ([] if spec is None else ['spec']) + ['spec.ports']


@pytest.mark.parametrize(
    ('field', 'value'),
    [
        *((field, value) for field in services._TEXTS for value in (5, ['a'], {'a': 1}, True)),
        *((field, value) for field in services._LISTS if field != 'ports' for value in (5, 'a', {'a': 1})),
        ('sessionAffinityConfig', 'a'),
    ],
    ids=str,
)
def test_a_field_of_the_wrong_type_is_told_and_ignored(field, value):
    item, said = read(with_spec(ports=[{'port': 80}], **{field: value}))
    assert said == [(f'spec.{field}', f'spec.{field} is of the wrong type and ignored')]
    plain = Service('shop', 'web', ports=(ServicePort('', Protocol.TCP, 80),), problems=item.problems)
    assert item == plain or field == 'loadBalancerSourceRanges'


@pytest.mark.parametrize('kind', list(ServiceType))
def test_the_types_of_services_are_known(kind):
    item, said = read(with_spec(ports=[{'port': 80}], type=str(kind)))
    assert (item.type, said) == (kind, [])


def test_an_unknown_type_of_service_is_told_and_counts_as_clusterip():
    item, said = read(with_spec(ports=[{'port': 80}], type='Loadbalancer'))
    assert (item.type, said) == (ServiceType.CLUSTER_IP, [('spec.type', "'Loadbalancer' is no type of Service")])


@pytest.mark.parametrize(
    ('spec', 'cluster_ips', 'families'),
    [
        pytest.param({}, (), (), id='none'),
        pytest.param({'clusterIP': ''}, (), (), id='not given yet'),
        pytest.param({'clusterIP': '10.96.0.1'}, ('10.96.0.1',), (4,), id='one'),
        pytest.param({'clusterIP': 'None'}, ('None',), (), id='headless'),
        pytest.param({'clusterIP': 'None', 'clusterIPs': ['None'], 'ipFamilies': ['IPv6']}, ('None',), (6,), id='headless with a family'),
        pytest.param({'clusterIP': '10.96.0.1', 'clusterIPs': ['10.96.0.1', 'FD00::1']}, ('10.96.0.1', 'fd00::1'), (4, 6), id='two families'),
        pytest.param({'clusterIPs': ['fd00::1', '10.96.0.1'], 'ipFamilies': ['IPv6', 'IPv4']}, ('fd00::1', '10.96.0.1'), (6, 4), id='IPv6 first'),
        pytest.param({'clusterIPs': ['10.96.0.1', 'nonsense', 5]}, ('10.96.0.1',), (4,), id='what is no address is left out'),
        pytest.param({'clusterIP': '10.96.0.1', 'ipFamilies': ['IPv5', 4]}, ('10.96.0.1',), (4,), id='unknown families'),
    ],
)  # fmt: skip
def test_cluster_ips_and_families_are_read_in_their_order(spec, cluster_ips, families):
    item, _ = read(with_spec(ports=[{'port': 80}], **spec))
    assert (item.cluster_ips, item.ip_families) == (cluster_ips, families)


@pytest.mark.parametrize(
    ('given', 'expected'),
    [
        pytest.param([], (), id='none'),
        pytest.param([{'ip': '192.0.2.1'}], ('192.0.2.1',), id='ipMode absent'),
        pytest.param([{'ip': '192.0.2.1', 'ipMode': 'VIP'}], ('192.0.2.1',), id='ipMode VIP'),
        pytest.param([{'ip': '192.0.2.1', 'ipMode': 'Proxy'}], (), id='ipMode Proxy, which no service proxy captures'),
        pytest.param([{'hostname': 'lb.example.com'}], (), id='a hostname'),
        pytest.param([{'ip': 'nonsense'}, 'text', None], (), id='what is no address'),
        pytest.param([{'ip': 'FD00::1'}, {'ip': '192.0.2.1'}], ('192.0.2.1', 'fd00::1'), id='both families'),
        pytest.param('text', (), id='a text for the list'),
    ],
)
def test_the_addresses_of_a_load_balancer_are_those_that_a_service_proxy_captures(given, expected):
    item, said = read({**with_spec(ports=[{'port': 80}]), 'status': {'loadBalancer': {'ingress': given}}})
    assert (item.load_balancer_ips, said) == (expected, [])


def test_external_ips_are_canonical_addresses_and_occur_once():
    item, _ = read(with_spec(ports=[{'port': 80}], externalIPs=['192.0.2.2', 'FD00::1', 'fd00::1', 'nonsense', 5]))
    assert item.external_ips == ('192.0.2.2', 'fd00::1')


@pytest.mark.parametrize(
    ('ranges', 'expected'),
    [
        pytest.param(None, (), id='null'),
        pytest.param([], (), id='an empty list'),
        pytest.param([' 10.0.0.0/8 ', '10.0.0.0/8', '192.0.2.0/24'], ('10.0.0.0/8', '192.0.2.0/24'), id='blanks'),
        pytest.param('10.0.0.0/8', ('',), id='a text for the list'),
        pytest.param({'10.0.0.0/8': None}, ('',), id='a mapping for the list'),
        pytest.param([5], ('',), id='a number in the list'),
        pytest.param(['10.0.0.0/8', None], ('', '10.0.0.0/8'), id='null in the list'),
    ],
)
def test_source_ranges_that_cannot_be_read_are_not_as_good_as_none(ranges, expected):
    """An empty text is no CIDR, and closes what the ranges were to protect."""
    item, _ = read(with_spec(ports=[{'port': 80}], loadBalancerSourceRanges=ranges))
    assert item.source_ranges == expected


@pytest.mark.parametrize(
    ('spec', 'seconds'),
    [
        pytest.param({}, 0, id='absent'),
        pytest.param({'sessionAffinity': 'None'}, 0, id='None'),
        pytest.param({'sessionAffinity': 'ClientIP'}, 10800, id='without a time'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 60}}}, 60, id='with a time'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 86400}}}, 86400, id='the longest'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 86401}}}, 10800, id='too long'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': {'timeoutSeconds': 0}}}, 10800, id='0'),
        pytest.param({'sessionAffinity': 'ClientIP', 'sessionAffinityConfig': {'clientIP': 'text'}}, 10800, id='another type'),
    ],
)  # fmt: skip
def test_session_affinity_has_the_time_that_kubernetes_gives_it(spec, seconds):
    item, _ = read(with_spec(ports=[{'port': 80}], **spec))
    assert item.affinity_seconds == seconds


@pytest.mark.parametrize(('value', 'local'), [('Local', True), ('Cluster', False), ('local', False), (None, False)])
def test_traffic_policies_are_local_only_by_that_word(value, local):
    item, _ = read(with_spec(ports=[{'port': 80}], internalTrafficPolicy=value))
    assert (item.internal_local, item.external_local) == (local, False)
    item, _ = read(with_spec(ports=[{'port': 80}], externalTrafficPolicy=value))
    assert (item.internal_local, item.external_local) == (False, local)


@pytest.mark.parametrize(
    ('labels', 'expected'),
    [
        pytest.param({}, None, id='absent'),
        pytest.param({'service.kubernetes.io/service-proxy-name': ''}, '', id='empty'),
        pytest.param({'service.kubernetes.io/service-proxy-name': 'headrace'}, 'headrace', id='ours'),
        pytest.param({'service.kubernetes.io/service-proxy-name': 5}, None, id='another type'),
    ],
)
def test_the_name_of_the_service_proxy_is_read_from_its_label(labels, expected):
    item, _ = read(service(labels=labels))
    assert item.proxy_name == expected


def test_the_rest_of_a_service_is_read():
    document = service(
        created='2026-01-01T00:00:00Z', type='LoadBalancer', loadBalancerClass='headrace.io/headrace', externalName='a.example.com'
    )  # fmt: skip
    item, said = read(document)
    assert said == []
    assert (item.created, item.load_balancer_class, item.external_name) == (
        '2026-01-01T00:00:00Z',
        'headrace.io/headrace',
        'a.example.com',
    )


# --- Nodes and Namespaces ---------------------------------------------------------------------------------------------


def test_a_node_has_a_zone_and_one_internal_address_of_each_family():
    document = node('n1', zone='a', addresses=('192.0.2.1', '192.0.2.9', 'FD00::1'))
    assert read(document) == (Node('n1', 'a', ('192.0.2.1', 'fd00::1'), usable=True), [])


def test_an_external_address_takes_the_place_of_an_internal_one_that_is_not_there():
    document = node('n1')
    document['status']['addresses'] = [
        {'type': 'ExternalIP', 'address': '198.51.100.1'},
        {'type': 'Hostname', 'address': '198.51.100.2'},
        {'type': 'InternalIP', 'address': 'nonsense'},
        {'type': 'InternalIP', 'address': 'fd00::1'},
        {'type': 'ExternalIP', 'address': 'fd00::2'},
        {'type': 'ExternalIP'},
        'text',
    ]
    assert read(document)[0].addresses == ('198.51.100.1', 'fd00::1')


@pytest.mark.parametrize(
    ('conditions', 'labels', 'usable'),
    [
        pytest.param([{'type': 'Ready', 'status': 'True'}], {}, True, id='ready'),
        pytest.param([{'type': 'Ready', 'status': 'False'}], {}, False, id='not ready'),
        pytest.param([{'type': 'Ready', 'status': 'Unknown'}], {}, False, id='unknown'),
        pytest.param([{'type': 'Ready', 'status': True}], {}, False, id='a boolean'),
        pytest.param([{'type': 'DiskPressure', 'status': 'True'}], {}, False, id='nothing said of ready'),
        pytest.param([], {}, False, id='no conditions'),
        pytest.param('Ready', {}, False, id='another type'),
        pytest.param([{'type': 'Ready', 'status': 'True'}], {'node.kubernetes.io/exclude-from-external-load-balancers': ''}, False, id='excluded'),
    ],
)  # fmt: skip
def test_a_load_balancer_sends_to_nodes_that_are_ready_and_not_excluded(conditions, labels, usable):
    document = node('n1', labels=labels)
    document['status']['conditions'] = conditions
    assert read(document)[0].usable is usable


def test_a_node_may_have_dots_in_its_name_and_no_namespace():
    document = node('n1.example.com')
    document['metadata']['namespace'] = 'A B'
    assert str(read(document)[0].ref) == 'Node n1.example.com'


def test_a_namespace_has_labels():
    document = {'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': 'shop', 'labels': {'b': '2', 'a': '1'}}}
    assert read(document) == (Namespace('shop', (('a', '1'), ('b', '2'))), [])
