"""Which ports the edge serves, and as what: rules 2 to 6 of the contract, as tables.

Promises: nothing is exposed that was not asked for; a key that could speak of several ports exposes nothing; every port
that is not served though it was asked for has a diagnostic.
"""

import pytest

from headrace.annotations import parse as annotations
from headrace.ir.backend import Group, Shape
from headrace.objects import parse
from headrace.settings.settings import Settings
from headrace.translate import build_context, exposure
from headrace.translate.exposure import Spoken
from support.objects import built, fragment, reasons, service

HTTP, TCP, UDP = (
    {'name': 'http', 'port': 80},
    {'name': 'tcp-db', 'port': 5432},
    {'name': 'dns', 'port': 53, 'protocol': 'UDP'},
)
ADMIN = {'name': 'http-admin', 'port': 8081}
PLAIN, OTHER = {'name': 'one', 'port': 5001}, {'name': 'two', 'port': 5002}


def exposed(document, **settings):
    """Return what is exposed (label, mode, what the endpoint speaks, hosts, number) and the reasons of diagnostics."""
    seen = build_context.make(Settings(**{'tcp_ports': '5000-5999', **settings}))
    item = parse.read(document).object
    said = annotations.read(item.ref, item.annotations, item.ports)
    found = exposure.expose(item, said, seen) if exposure.is_ours(item, said, seen) else exposure.Exposures()
    rows = [(each.port.label, each.spoken.mode, each.spoken.endpoint, each.hosts, each.number) for each in found.ports]
    return rows, [diagnostic.reason for diagnostic in found.diagnostics]


def labels(document, **settings):
    rows, said = exposed(document, **settings)
    return [row[0] for row in rows], said


# --- rule 2: who is served --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'spec', 'settings', 'served'),
    [
        ({}, {}, {}, False),
        ({'enabled': 'true'}, {}, {}, True),
        ({'enabled': 'false'}, {}, {}, False),
        ({'host': 'a.example.com'}, {}, {}, True),
        ({'host.http': 'a.example.com'}, {}, {}, True),
        ({'port': '5000', 'mode': 'tcp'}, {}, {}, True),
        ({'port.http': '5000', 'mode': 'tcp'}, {}, {}, True),
        ({'host': 'a.example.com', 'enabled': 'false'}, {}, {}, False),
        ({'port': '5000', 'mode': 'tcp', 'enabled': 'false'}, {}, {}, False),
        # Keys that do not imply it.
        ({'mode': 'http'}, {}, {}, False),
        ({'tls-secret': 'tls'}, {}, {}, False),
        ({'proxy': 'node'}, {}, {}, False),
        # A host that does not parse implies nothing.
        ({'host': 'not a host!'}, {}, {}, False),
        ({'host.nowhere': 'a.example.com'}, {}, {}, False),
        # Type LoadBalancer.
        ({}, {'type': 'LoadBalancer'}, {}, False),
        ({}, {'type': 'LoadBalancer'}, {'default_class': True}, True),
        ({'enabled': 'false'}, {'type': 'LoadBalancer'}, {'default_class': True}, False),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace'}, {}, True),
        ({'enabled': 'false'}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace'}, {}, False),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/other'}, {'default_class': True}, False),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'example.com/lb'}, {'default_class': True}, False),
        ({}, {'type': 'NodePort'}, {'default_class': True}, False),
        ({}, {'type': 'ClusterIP', 'loadBalancerClass': 'headrace.io/headrace'}, {}, False),
        # Headless Services are served like others.
        ({'host': 'a.example.com'}, {'clusterIP': 'None'}, {}, True),
    ],
)
def test_a_service_is_served_at_the_edge_only_when_it_asks(annotations, spec, settings, served):
    found, said = labels(service(annotations=annotations, ports=[HTTP], **spec), domain='example.org', **settings)
    assert (found, said) == ((['http'], []) if served else ([], []))


# --- rule 3: whose it is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'spec', 'settings', 'ours'),
    [
        ({}, {}, {}, True),
        ({'class': 'headrace'}, {}, {}, True),
        ({'class': 'other'}, {}, {}, False),
        ({}, {}, {'class_name': 'other'}, False),
        ({'class': 'other'}, {}, {'class_name': 'other'}, True),
        ({'class': 'headrace'}, {}, {'class_name': 'other'}, False),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/other'}, {}, False),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/other'}, {'class_name': 'other'}, True),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'example.com/lb'}, {}, True),
        ({}, {'type': 'LoadBalancer', 'loadBalancerClass': 'example.com/lb'}, {'class_name': 'other'}, False),
        ({}, {'type': 'LoadBalancer'}, {'class_name': 'other', 'default_class': True}, True),
        ({}, {'type': 'LoadBalancer'}, {'class_name': 'other'}, False),
        # The annotation says more than the loadBalancerClass.
        ({'class': 'other'}, {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace'}, {}, False),
    ],
)
def test_a_service_belongs_to_one_class(annotations, spec, settings, ours):
    document = service(annotations={'host': 'a.example.com', **annotations}, ports=[HTTP], **spec)
    assert labels(document, **settings) == ((['http'], []) if ours else ([], []))


def test_a_service_of_another_class_has_no_fragment_and_no_diagnostic():
    made = built(service(annotations={'class': 'other', 'hots': 'x', 'host': 'not a host!'}))
    assert fragment(made) is None
    assert made.all_diagnostics() == ()


# --- rule 4: what a port speaks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('protocol', 'name', 'mode', 'endpoint'),
    [
        # appProtocol.
        ('http', 'x', 'http', 'http1'),
        ('HTTP', 'x', 'http', 'http1'),
        ('kubernetes.io/ws', 'x', 'http', 'http1'),
        ('https', 'x', 'http', 'https'),
        ('kubernetes.io/wss', 'x', 'http', 'https'),
        ('kubernetes.io/h2c', 'x', 'http', 'h2c'),
        ('h2c', 'x', 'http', 'h2c'),
        ('grpc', 'x', 'http', 'h2c'),
        ('tcp', 'x', 'tcp', 'tcp'),
        ('tls', 'x', 'tcp', 'tcp'),
        # The port's name, up to a dash.
        ('', 'http', 'http', 'http1'),
        ('', 'http-api', 'http', 'http1'),
        ('', 'web', 'http', 'http1'),
        ('', 'web-1', 'http', 'http1'),
        ('', 'https', 'http', 'https'),
        ('', 'https-api', 'http', 'https'),
        ('', 'grpc-api', 'http', 'h2c'),
        ('', 'h2c', 'http', 'h2c'),
        ('', 'tcp-db', 'tcp', 'tcp'),
        ('', 'tls', 'tcp', 'tcp'),
        ('', 'httpx', 'tcp', 'tcp'),
        ('', 'api-http', 'tcp', 'tcp'),
        ('', '', 'tcp', 'tcp'),
        # appProtocol before the name; an unknown one counts as unset.
        ('tcp', 'http', 'tcp', 'tcp'),
        ('http', 'tcp', 'http', 'http1'),
        ('example.com/custom', 'http', 'http', 'http1'),
        ('example.com/custom', 'x', 'tcp', 'tcp'),
        ('web', 'x', 'tcp', 'tcp'),
    ],
)
def test_what_a_port_speaks_without_annotations(protocol, name, mode, endpoint):
    port = parse.read(service(ports=[{'port': 80, 'name': name, 'appProtocol': protocol}])).object.ports[0]
    assert exposure.spoken(port, None, has_host=False, routed=False) == Spoken(mode, endpoint)


@pytest.mark.parametrize(
    ('named', 'name', 'has_host', 'asked', 'mode', 'endpoint'),
    [
        (None, 'x', True, True, 'http', 'http1'),
        (None, 'x', False, True, 'http', 'http1'),
        (None, 'tcp', True, True, 'tcp', 'tcp'),
        (None, 'tls', True, True, 'tls-passthrough', 'tcp'),
        (None, 'tls', False, True, 'tcp', 'tcp'),
        ('tcp', 'http', True, True, 'tcp', 'tcp'),
        ('tcp', 'https', False, False, 'tcp', 'tcp'),
        ('http', 'x', False, False, 'http', 'http1'),
        ('http', 'tcp', False, False, 'http', 'http1'),
        ('http', 'tls', False, False, 'http', 'http1'),
        ('http', 'https', False, False, 'http', 'https'),
        ('http', 'grpc', False, False, 'http', 'h2c'),
        ('tls-passthrough', 'https', True, True, 'tls-passthrough', 'tcp'),
    ],
)
def test_annotations_come_before_what_the_port_says(named, name, has_host, asked, mode, endpoint):
    port = parse.read(service(ports=[{'port': 80, 'name': name}])).object.ports[0]
    assert exposure.spoken(port, named, has_host=has_host, routed=asked) == Spoken(mode, endpoint)


@pytest.mark.parametrize(
    ('protocol', 'annotations', 'said'),
    [
        ('example.com/custom', {}, ['UnknownAppProtocol']),
        ('web', {}, ['UnknownAppProtocol']),
        ('example.com/custom', {'mode': 'http'}, []),
        ('kubernetes.io/ws', {}, []),
        ('', {}, []),
    ],
)
def test_an_unknown_app_protocol_is_a_warning_unless_the_mode_is_said(protocol, annotations, said):
    port = {'port': 80, 'name': 'http', 'appProtocol': protocol}
    document = service(annotations={'host': 'a.example.com', **annotations}, ports=[port])
    assert labels(document) == (['http'], said)


# --- rule 5: hosts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'ports', 'found'),
    [
        # The only port, whatever its name.
        ({'host': 'a.example.com'}, [PLAIN], [('one', 'http')]),
        # The one that is named.
        ({'host.two': 'a.example.com'}, [PLAIN, OTHER], [('two', 'http')]),
        ({'host.5002': 'a.example.com'}, [PLAIN, OTHER], [('two', 'http')]),
        ({'host.http-admin': 'a.example.com'}, [HTTP, ADMIN], [('http-admin', 'http')]),
        # The only http port.
        ({'host': 'a.example.com'}, [TCP, HTTP], [('http', 'http')]),
        ({'host': 'a.example.com', 'mode.two': 'http'}, [PLAIN, OTHER], [('two', 'http')]),
        ({'host': 'a.example.com', 'mode.http-admin': 'tcp'}, [HTTP, ADMIN], [('http', 'http')]),
        # No http port, but one that speaks TLS.
        ({'host': 'a.example.com'}, [TCP, {'name': 'tls', 'port': 443}], [('tls', 'tls-passthrough')]),
        # A port of UDP is no http port, whatever its name.
        (
            {'host': 'a.example.com'},
            [{'name': 'https', 'port': 443}, {'name': 'https-quic', 'port': 443, 'protocol': 'UDP'}],
            [('https', 'http')],
        ),
    ],
)
def test_host_speaks_of_the_only_port_the_named_one_or_the_only_http_port(annotations, ports, found):
    rows, said = exposed(service(annotations=annotations, ports=ports))
    assert [(row[0], row[1], row[3]) for row in rows] == [(*each, ('a.example.com',)) for each in found]
    assert said == []


@pytest.mark.parametrize(
    ('annotations', 'ports', 'said'),
    [
        ({'host': 'a.example.com'}, [HTTP, ADMIN], ['AmbiguousPort']),
        ({'host': 'a.example.com'}, [PLAIN, OTHER], ['AmbiguousPort']),
        ({'host': 'a.example.com', 'path': '/x'}, [PLAIN, OTHER], ['AmbiguousPort', 'AmbiguousPort']),
        ({'host.http': 'a.example.com', 'path': '/x'}, [HTTP, ADMIN], ['AmbiguousPort']),
        ({'enabled': 'true', 'host': 'a.example.com'}, [HTTP, ADMIN, TCP], ['AmbiguousPort']),
        ({'port': '5000'}, [PLAIN, OTHER], ['AmbiguousPort']),
        ({'port': '5000'}, [HTTP, ADMIN], ['AmbiguousPort']),
        ({'host': 'a.example.com', 'port': '5000'}, [PLAIN, OTHER], ['AmbiguousPort', 'AmbiguousPort']),
        ({'host': 'a.example.com'}, [], ['AmbiguousPort']),
    ],
)
def test_a_key_that_could_speak_of_several_ports_exposes_nothing_at_all(annotations, ports, said):
    document = service(annotations=annotations)
    document['spec']['ports'] = ports
    assert exposed(document) == ([], said)


@pytest.mark.parametrize(
    ('annotations', 'settings', 'hosts', 'said'),
    [
        ({'host': 'A.Example.COM b.example.com'}, {}, ('a.example.com', 'b.example.com'), []),
        ({'host': '*.example.com'}, {}, ('*.example.com',), []),
        ({'host': '*'}, {}, ('*',), []),
        ({'enabled': 'true'}, {'domain': 'apps.example.com'}, ('web.shop.apps.example.com',), []),
        ({'enabled': 'true'}, {}, None, ['MissingHost']),
        # hostPolicy.
        ({'host': 'a.example.com'}, {'host_policy': {'shop': ('*.example.com',)}}, ('a.example.com',), []),
        ({'host': 'a.b.example.com'}, {'host_policy': {'shop': ('*.example.com',)}}, ('a.b.example.com',), []),
        ({'host': '*.example.com'}, {'host_policy': {'shop': ('*.example.com',)}}, ('*.example.com',), []),
        ({'host': 'example.com'}, {'host_policy': {'shop': ('*.example.com',)}}, None, ['HostForbidden']),
        ({'host': 'badexample.com'}, {'host_policy': {'shop': ('*.example.com',)}}, None, ['HostForbidden']),
        ({'host': '*'}, {'host_policy': {'shop': ('*.example.com',)}}, None, ['HostForbidden']),
        ({'host': '*'}, {'host_policy': {'shop': ('*',)}}, ('*',), []),
        ({'host': 'a.example.com'}, {'host_policy': {'bank': ('a.example.com',)}}, None, ['HostForbidden']),
        ({'host': 'a.example.com'}, {'host_policy': {'*': ('a.example.com',)}}, ('a.example.com',), []),
        # A namespace that is named has what it is given, and not what the rest has.
        (
            {'host': 'a.example.com'},
            {'host_policy': {'*': ('a.example.com',), 'shop': ('b.example.com',)}},
            None,
            ['HostForbidden'],
        ),
        (
            {'host': 'a.example.com b.example.com'},
            {'host_policy': {'shop': ('b.example.com',)}},
            ('b.example.com',),
            ['HostForbidden'],
        ),
        (
            {'enabled': 'true'},
            {'domain': 'apps.example.com', 'host_policy': {'shop': ('b.example.com',)}},
            None,
            ['HostForbidden'],
        ),
    ],
)
def test_the_hosts_of_an_http_port(annotations, settings, hosts, said):
    rows, found = exposed(service(annotations=annotations, ports=[HTTP]), **settings)
    assert [row[3] for row in rows] == ([hosts] if hosts else [])
    assert found == said


@pytest.mark.parametrize(
    ('annotations', 'paths'),
    [
        ({}, {'http': ('/',), 'http-admin': ('/',)}),
        ({'path.http': '/a, /b'}, {'http': ('/a', '/b'), 'http-admin': ('/',)}),
        ({'path.http-admin': '/x'}, {'http': ('/',), 'http-admin': ('/x',)}),
    ],
)
def test_paths_belong_to_the_port_that_they_speak_of(annotations, paths):
    hosts = {'host.http': 'a.example.com', 'host.http-admin': 'b.example.com'}
    item = parse.read(service(annotations={**hosts, **annotations}, ports=[HTTP, ADMIN])).object
    said = reading_of(item)
    found = exposure.expose(item, said, build_context.make(Settings()))
    assert {each.port.label: each.paths for each in found.ports} == paths


def reading_of(item):
    return annotations.read(item.ref, item.annotations, item.ports)


# --- rule 6: TCP ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'ports', 'settings', 'found', 'said'),
    [
        ({'enabled': 'true'}, [TCP], {}, [('tcp-db', 5432)], []),
        ({'port': '5999'}, [TCP], {}, [('tcp-db', 5999)], []),
        ({'port.tcp-db': '5000'}, [TCP], {}, [('tcp-db', 5000)], []),
        ({'port.5432': '5000'}, [TCP], {}, [('tcp-db', 5000)], []),
        # Without .PORT it speaks of the only TCP port, the others keep their own.
        ({'port': '5000'}, [TCP, HTTP], {}, [('tcp-db', 5000)], []),
        ({'port': '5000'}, [PLAIN, UDP], {}, [('one', 5000)], []),
        ({'enabled': 'true', 'port.one': '5100'}, [PLAIN, OTHER], {}, [('one', 5100), ('two', 5002)], []),
        # Ranges, their ends included; none by default.
        ({'port': '6000'}, [TCP], {}, [], ['PortNotBound']),
        ({'port': '4999'}, [TCP], {}, [], ['PortNotBound']),
        ({'port': '5000'}, [TCP], {'tcp_ports': ''}, [], ['PortNotBound']),
        ({'port': '7000'}, [TCP], {'tcp_ports': '7000,9000-9001'}, [('tcp-db', 7000)], []),
        ({'port': '9001'}, [TCP], {'tcp_ports': '9000-9001,7000'}, [('tcp-db', 9001)], []),
        # Ports of headrace's own.
        ({'port': '8080'}, [TCP], {}, [], ['PortReserved']),
        ({'port': '8443'}, [TCP], {}, [], ['PortReserved']),
        ({'port': '8404'}, [TCP], {}, [], ['PortReserved']),
        ({'port': '8080'}, [TCP], {'http_port': 80, 'tcp_ports': '8080'}, [('tcp-db', 8080)], []),
        # UDP and SCTP.
        ({'enabled': 'true'}, [UDP, TCP], {}, [('tcp-db', 5432)], ['UnsupportedProtocol']),
        ({'port': '5000'}, [UDP], {}, [], ['AmbiguousPort']),
        ({'enabled': 'true'}, [{'port': 5000, 'protocol': 'SCTP'}], {}, [], ['UnsupportedProtocol']),
        # The port key is not the http port's.
        ({'enabled': 'true', 'port': '5000'}, [HTTP, TCP], {'domain': 'x.org'}, [('http', 0), ('tcp-db', 5000)], []),
    ],
)
def test_the_number_of_a_tcp_port(annotations, ports, settings, found, said):
    rows, diagnostics = exposed(service(annotations=annotations, ports=ports), **settings)
    assert [(row[0], row[4]) for row in rows] == found
    assert diagnostics == said


@pytest.mark.parametrize(
    ('number', 'named'),
    [('6000', 'tcpPorts (5000-5999)'), ('8080', 'httpPort'), ('8443', 'httpsPort'), ('8404', 'healthPort')],
)
def test_the_diagnostic_about_a_port_names_the_setting(number, named):
    made = built(service(annotations={'port': number}, ports=[TCP]), settings=Settings(tcp_ports='5000-5999'))
    (diagnostic,) = made.all_diagnostics()
    assert named in diagnostic.message
    assert diagnostic.field == 'metadata.annotations[headrace.io/port]'


@pytest.mark.parametrize(
    ('annotations', 'said'),
    [
        ({'host': 'a.example.com', 'port': '5000'}, ['NotApplicable']),
        ({'host': 'a.example.com', 'port': '5000', 'tls-secret': 'tls'}, []),
    ],
)
def test_a_host_on_a_port_that_speaks_tcp_is_told(annotations, said):
    assert labels(service(annotations=annotations, ports=[TCP])) == (['tcp-db'], said)


# --- what is asked for in vain is told --------------------------------------------------------------------------------


def test_a_service_whose_ports_are_all_broken_says_so_when_it_asks_to_be_served():
    assert reasons(built(service(annotations={'enabled': 'true'}, ports=[{'port': 99999}]))) == ['InvalidObject']
    assert reasons(built(service(ports=[{'port': 99999}]))) == []


@pytest.mark.parametrize('ports', [[], [HTTP]])
@pytest.mark.parametrize('asked', [{'enabled': 'true'}, {'host': 'a.example.com'}])
def test_a_service_of_type_external_name_needs_the_class(ports, asked):
    document = service(annotations=asked, type='ExternalName', externalName='example.org')
    document['spec']['ports'] = ports
    made = built(document, settings=Settings(domain='x.org'))
    assert reasons(made) == ['ExternalNameForbidden']
    assert fragment(made).claims == fragment(made).backends == ()


@pytest.mark.parametrize(
    ('name', 'said', 'diagnostics'),
    [
        ('Example.org', {}, []),
        ('example.org', {'check': 'http', 'cookie': 'true', 'balance': 'leastconn'}, ['NotApplicable'] * 3),
        ('not a host', {}, ['NoEndpoints']),
    ],
)
def test_a_name_outside_of_the_cluster_is_one_server_that_is_asked_for(name, said, diagnostics):
    document = service(
        annotations={'host': 'a.example.com', **said}, ports=[HTTP], type='ExternalName', externalName=name
    )
    made = built(document, settings=Settings(allow_external_name=True))
    (backend,) = fragment(made).backends
    assert backend.shape == Shape(external=True)
    assert reasons(made) == diagnostics
    known = 'NoEndpoints' not in diagnostics
    assert backend.groups == ((Group(80, ('0.0.0.0',)),) if known else ())
    assert [entry.value for entry in fragment(made).data] == ([name] if known else [])


def test_a_service_of_type_external_name_that_asks_for_nothing_is_ignored():
    assert fragment(built(service(type='ExternalName', externalName='example.org'))) is None


def test_a_namespace_that_is_filtered_out_does_not_exist():
    document = service(annotations={'host': 'a.example.com'}, ports=[HTTP])
    assert fragment(built(document, settings=Settings(namespaces=('bank',)))) is None
    assert fragment(built(document, settings=Settings(namespaces=('shop',)))) is not None


# --- a path that does not parse ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ('annotations', 'routes'),
    [
        ({'host': 'a.com', 'path': 'shop'}, []),
        ({'host': 'a.com', 'path': '/shop, /a?b'}, []),
        ({'host': 'a.com', 'path.http': '/a;b'}, []),
        ({'host': 'a.com', 'path.http': '/a;b', 'path': '/b'}, []),
        ({'host': 'a.com', 'path.htpp': '/shop'}, []),
        ({'host': 'a.com', 'path.htpp': '/shop', 'path': '/b'}, ['a.com/b/']),
        ({'host': 'a.com', 'path.htpp': '/shop', 'path.80': '/b'}, ['a.com/b/']),
    ],
)
def test_a_path_that_does_not_parse_does_not_become_the_whole_host(annotations, routes):
    made = built(service(annotations=annotations, ports=[HTTP]))
    assert [claim.key for claim in fragment(made).claims] == routes
    assert {'InvalidValue', 'UnknownPort'} & {*reasons(made)}


def test_a_path_that_does_not_parse_costs_no_port_that_has_no_paths():
    said = {
        'host.http': 'a.com',
        'path.http': 'shop',
        'host.http-admin': 'b.com',
        'path.tcp-db': 'shop',
        'port.tcp-db': '5001',
    }
    made = built(service(annotations=said, ports=[HTTP, ADMIN, TCP]))
    assert [claim.key for claim in fragment(made).claims] == ['5001', 'b.com/']


def test_who_gives_a_tcp_port_to_a_port_that_is_named_after_http_is_told_the_mode():
    made = built(service(annotations={'port': '5001'}, ports=[HTTP]))
    assert [diagnostic.message for diagnostic in made.all_diagnostics() if diagnostic.reason == 'MissingHost'] == [
        'port http speaks HTTP or TLS and has no headrace.io/host; headrace.io/port is for TCP: headrace.io/mode: tcp'
    ]
