"""The class's settings: what is taken, and that an error names the key."""

import pytest

from headrace.settings import settings
from headrace.settings.settings import Settings, SettingsError


def refused(text):
    with pytest.raises(SettingsError) as found:
        settings.parse(text)
    assert str(found.value).isprintable()
    return str(found.value)


@pytest.mark.parametrize('text', ['', '{}', 'null', '# nothing\n', '---\n'])
def test_nothing_said_is_the_defaults(text):
    assert settings.parse(text) == Settings()


# A file with a mistake, and words that the message holds: the key above all.
MISTAKES = [
    pytest.param('- class', 'Expected `object`', id='a list'),
    pytest.param('edge', 'Expected `object`', id='a text'),
    pytest.param('{unknownKey: 1}', 'unknownKey', id='an unknown key'),
    pytest.param('{tcp_ports: "1"}', 'tcp_ports', id='a key in the wrong spelling'),
    pytest.param('{secrets: {namespace: [a]}}', 'namespace', id='an unknown key within'),
    pytest.param('{class: Edge}', '$.class', id='class'),
    pytest.param('{class: null}', '$.class', id='null'),
    pytest.param('{httpPort: "8080"}', '$.httpPort', id='a text for a number'),
    pytest.param('{httpPort: 0}', '$.httpPort', id='no port'),
    pytest.param('{httpPort: true}', '$.httpPort', id='a boolean for a number'),
    pytest.param('{defaultClass: "true"}', '$.defaultClass', id='a text for a boolean'),
    pytest.param('{addresses: 0.0.0.0}', '$.addresses', id='a text for a list'),
    pytest.param('{addresses: [1]}', '$.addresses', id='a number in a list'),
    pytest.param('{addresses: []}', 'addresses: at least one', id='no address'),
    pytest.param('{addresses: [localhost]}', "addresses: 'localhost'", id='a name for an address'),
    pytest.param('{addresses: [0.0.0.0, 10.0.0.0/8]}', "addresses: '10.0.0.0/8'", id='a network for an address'),
    pytest.param('{addresses: ["fe80::1%lo"]}', "addresses: 'fe80::1%lo' names a zone", id='a zone in an address'),
    pytest.param('{addresses: ["::1", "0::1"]}', "addresses: '0::1' stands there twice", id='an address twice'),
    pytest.param('{tcpPorts: "5000-5010,5010"}', 'tcpPorts: 5010 stands there twice', id='ranges that overlap'),
    pytest.param('{tcpPorts: "5000,5000"}', 'tcpPorts: 5000 stands there twice', id='a port twice'),
    pytest.param('{ingressClasses: nginx}', '$.ingressClasses', id='a text for the list of classes'),
    pytest.param('{ingressClasses: [Nginx]}', '$.ingressClasses', id='a name that no IngressClass can have'),
    pytest.param('{ingressClasses: [nginx, nginx]}', "ingressClasses: 'nginx' stands there twice", id='a class twice'),
    pytest.param('{ingressAnnotations: [nginx]}', '$.ingressAnnotations', id='annotations of an unknown controller'),
    pytest.param('{ingressAnnotations: [ingress-nginx, ingress-nginx]}', 'ingressAnnotations: ', id='annotations of a controller twice'),
    pytest.param('{ingress: "false"}', '$.ingress', id='a text for a switch'),
    pytest.param('{hostPolicy: {shop: ["https://a.example.com"]}}', "hostPolicy: 'https://a.example.com' of shop", id='a URL for a host'),
    pytest.param('{hostPolicy: {shop: ["a.*.com"]}}', "hostPolicy: 'a.*.com' of shop", id='a pattern that is none'),
    pytest.param('{healthAddresses: [localhost]}', "healthAddresses: 'localhost'", id='a name for the address of health'),
    pytest.param('{trustedProxies: [10.0.0.1/8]}', 'trustedProxies: 10.0.0.1/8', id='a network with host bits'),
    pytest.param('{trustedProxies: [everybody]}', "trustedProxies: 'everybody'", id='no network'),
    pytest.param('{hostPolicy: {shop: a.example.com}}', '$.hostPolicy', id='a text for the hosts of a namespace'),
    pytest.param('{defaults: {retries: 3}}', '$.defaults', id='a number for a default'),
    pytest.param('{defaultCertificate: wildcard}', '$.defaultCertificate', id='a certificate without namespace'),
    pytest.param('{cookieName: "a b"}', '$.cookieName', id='cookieName'),
    pytest.param('{domain: "*.example.com"}', '$.domain', id='domain'),
    pytest.param('{addressSource: pods}', '$.addressSource', id='addressSource'),
    pytest.param('{maxconn: 9}', '$.maxconn', id='maxconn'),
    pytest.param('{threads: -1}', '$.threads', id='threads'),
    pytest.param('{tcpPorts: "a-b"}', '$.tcpPorts', id='tcpPorts that are no numbers'),
    pytest.param('{tcpPorts: "1, 2"}', '$.tcpPorts', id='tcpPorts with a blank'),
    pytest.param('{tcpPorts: "0"}', 'tcpPorts: 0-0 is no range of ports', id='port 0'),
    pytest.param('{tcpPorts: "5-4"}', 'tcpPorts: 5-4 is no range of ports', id='a range from right to left'),
    pytest.param('{tcpPorts: "65535-65536"}', 'tcpPorts: 65535-65536 is no range of ports', id='beyond the last port'),
    pytest.param('{tcpPorts: "8000-9000"}', 'tcpPorts: 8000-9000 holds 8', id='a port of our own'),
    pytest.param('{tcpPorts: "8404"}', 'tcpPorts: 8404-8404 holds 8404', id='the port of health'),
    pytest.param('{httpPort: 8443}', 'httpPort, httpsPort and healthPort must differ', id='the same port twice'),
    pytest.param('{nodeHttpPort: 10283}', 'nodeHttpPort, nodeTcpPort, nodeTlsPort, the port after each, and nodeHealthPort must differ', id='the same port twice on a node'),
    pytest.param('{nodeTcpPort: 10283}', 'nodeHttpPort, nodeTcpPort, nodeTlsPort, the port after each, and nodeHealthPort must differ', id='the port of health on a node'),
    pytest.param('{nodeHealthzPort: 10292}', 'nodeHealthzPort must differ from nodeHttpPort', id='the port of readiness of another agent'),
    pytest.param('{nodeTcpPort: 65511}', 'nodeHttpPort, nodeTcpPort, nodeTlsPort, nodeHealthPort: 24 on is no port', id='no port after the last one'),
    pytest.param('{nodeTlsPort: 10281}', 'nodeHttpPort, nodeTcpPort, nodeTlsPort, the port after each, and nodeHealthPort must differ', id='the port of TLS is one of HTTP'),
    pytest.param('{nodeTcpPort: 10288}', 'and those 8 on, up to 3 times', id='a port of the next slot'),
    pytest.param('{nodeRole: true, startupTaint: starting}', '$.startupTaint', id='a taint without a prefix'),
    pytest.param('{nodeRole: true, startupTaint: node.kubernetes.io/not-ready}', 'is a taint of Kubernetes itself', id='a taint of Kubernetes'),
    pytest.param('{startupTaint: headrace.io/starting}', 'startupTaint: without nodeRole', id='a startup taint that would stay'),
    pytest.param('{drainTimeout: 5}', '$.drainTimeout', id='a duration without a unit'),
    pytest.param('{statusAddresses: nodes}', '$.statusAddresses', id='a text for the list of addresses'),
    pytest.param('{statusAddresses: [""]}', "statusAddresses: '' is no address", id='an empty address'),
    pytest.param('{statusAddresses: [192.0.2.300]}', "statusAddresses: '192.0.2.300' is no address", id='an address beyond the last one'),
    pytest.param('{statusAddresses: [192.0.2.0/24]}', "statusAddresses: '192.0.2.0/24' is no address", id='a CIDR for an address'),
    pytest.param('{statusAddresses: ["192.0.2.1:80"]}', "statusAddresses: '192.0.2.1:80' is no address", id='an address with a port'),
    pytest.param('{statusAddresses: ["fe80::1%eth0"]}', "statusAddresses: 'fe80::1%eth0' is no address", id='an address with a scope'),
    pytest.param('{statusAddresses: [LB.example.com]}', "statusAddresses: 'LB.example.com' is no address", id='a host name in capitals'),
    pytest.param('{statusAddresses: ["lb.example.com\\n"]}', "statusAddresses: 'lb.example.com\\n' is no address", id='a host name with a line break'),
    pytest.param('{statusAddresses: ["service:edge"]}', "statusAddresses: 'service:edge' is no address", id='a Service without its namespace'),
    pytest.param('{statusAddresses: ["service:a/b/c"]}', "statusAddresses: 'service:a/b/c' is no address", id='a Service with too many parts'),
    pytest.param('{drainTimeout: 1h30m}', '$.drainTimeout', id='a duration of two units'),
    pytest.param('{hardStopAfter: 25d}', 'hardStopAfter: 25d is longer than HAProxy', id='a duration that HAProxy refuses'),
    pytest.param('{tcpClientTimeout: 999999999d}', 'tcpClientTimeout: 999999999d is longer', id='a duration of millennia'),
    pytest.param('{tcpClientTimeout: 0s}', 'tcpClientTimeout: must be more than nothing', id='no time for clients'),
    pytest.param('{hardStopAfter: 0ms}', 'hardStopAfter: must be more than nothing', id='no time for old workers'),
    pytest.param('{compareInterval: 0s}', 'compareInterval: must be more than nothing', id='comparing without a pause'),
    pytest.param('{sweepInterval: 0s}', 'sweepInterval: must be more than nothing', id='sweeping without a pause'),
    pytest.param('{watchSilence: 0s}', 'watchSilence: must be more than nothing', id='a watch that may not be silent at all'),
    pytest.param('a: b: c', 'not YAML', id='no YAML'),
    pytest.param('{class: "\\ud800"}', '$.class', id='half a surrogate pair'),
    pytest.param('{tlsMinVersion: TLSv1.1}', 'tlsMinVersion', id='an old version of TLS'),
    pytest.param('{tlsCiphers: "a b"}', 'tlsCiphers', id='ciphers with a blank'),
    pytest.param('{errorPages: {418: x}}', "errorPages: '418'", id='a page for another status'),
    pytest.param('{errorPages: {404: ' + 'x' * 12001 + '}}', 'more than 12000 bytes', id='a page that is too long'),
    pytest.param('{accessLog: "256.0.0.1:514"}', 'accessLog', id='a log server that is none'),
    pytest.param('{accessLog: "192.0.2.1:70000"}', 'accessLog: 70000', id='a port of a log server that is none'),
    pytest.param('{accessLog: syslog}', 'accessLog', id='a word that is no target'),
    pytest.param('{accessLogHttp: "a\\nb"}', 'accessLogHttp', id='two lines as format'),
    pytest.param('{http3: true, acceptProxy: true}', 'http3', id='HTTP/3 behind PROXY headers'),
    pytest.param('a: 2020-13-45', 'not YAML', id='a date that is none'),
    pytest.param('a: !!int ""', 'not YAML', id='an empty number'),
    pytest.param('[' * 100_000, 'not YAML', id='brackets without end'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.1/24]}]}', 'host bits', id='a network of a pool with bits of a host'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.9-192.0.2.1]}]}', 'no range', id='a range of a pool the wrong way round'),
    pytest.param('{addressPools: [{name: a, addresses: ["192.0.2.9-2001:db8::"]}]}', 'no range', id='a range of a pool of two families'),
    pytest.param('{addressPools: [{name: a, addresses: [lb.example.com]}]}', 'addressPools: a', id='no address in a pool'),
    pytest.param('{addressPools: [{name: a, addresses: []}]}', '1 to 1000', id='a pool without addresses'),
    pytest.param('{addressPools: [{name: A, addresses: [192.0.2.0/24]}]}', 'addressPools', id='the name of a pool'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24]}, {name: a, addresses: [198.51.100.0/24]}]}', 'a stands there twice', id='two pools of one name'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24]}, {name: b, addresses: [192.0.2.7-192.0.2.8]}]}', 'a and b', id='pools with the same addresses'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24, 192.0.2.7-192.0.2.8]}]}', 'a has an address twice', id='a pool with an address twice'),
    pytest.param('{addressPools: [{name: a, addresses: [224.0.0.0/24]}]}', '224.0.0.0', id='a pool of multicast addresses'),
    pytest.param('{addressPools: [{name: a, addresses: ["fe80::/64"]}]}', 'fe80::', id='a pool of link-local addresses'),
    pytest.param('{addressPools: [{name: a, addresses: ["::ffff:192.0.2.0/120"]}]}', 'others can reach', id='a pool of mapped addresses'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24], size: 5}]}', 'size', id='an unknown key of a pool'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24], serviceSelector: {matchExpressions: [{key: a, operator: Exists, values: [b]}]}}]}', 'serviceSelector', id='a selector that Kubernetes refuses'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24]}], serviceNetworks: [192.0.2.128/25]}', 'Services', id='a pool of ClusterIPs'),
    pytest.param('{addressPools: [{name: a, addresses: [192.0.2.0/24]}], statusAddresses: [192.0.2.1]}', 'statusAddresses', id='a pool with an address of the edge'),
]  # fmt: skip


@pytest.mark.parametrize(('text', 'words'), MISTAKES)
def test_a_mistake_is_an_error_that_names_the_key(text, words):
    assert words in refused(text)


@pytest.mark.parametrize(
    ('text', 'expected'),
    [
        ('{}', ()),
        ('{tcpPorts: ""}', ()),
        ('{tcpPorts: "5432"}', ((5432, 5432),)),
        ('{tcpPorts: "20000-20999,5432"}', ((5432, 5432), (20000, 20999))),
        ('{tcpPorts: "1,65535"}', ((1, 1), (65535, 65535))),
        ('{tcpPorts: "8080", httpPort: 80}', ((8080, 8080),)),
    ],
)
def test_tcp_ports_are_ranges_in_order(text, expected):
    assert settings.parse(text).ranges() == expected


@pytest.mark.parametrize(
    ('text', 'expected'),
    [('0s', 0), ('1ms', 1), ('5s', 5000), ('2m', 120_000), ('1h', 3_600_000), ('3d', 259_200_000)],
)
def test_durations_are_counted_in_milliseconds(text, expected):
    assert settings.milliseconds(text) == expected


def test_what_has_changed_is_told_by_what_it_costs():
    before = Settings()
    after = settings.parse('{class: edge, httpPort: 80, maxconn: 100, domain: example.com, drainTimeout: 1m}')
    assert settings.changed(before, after, 'restart') == {'class'}
    assert settings.changed(before, after, 'reload') == {'httpPort', 'maxconn'}
    assert settings.changed(before, after, 'runtime') == {'domain', 'drainTimeout'}
    assert [settings.changed(after, after, word) for word in ('restart', 'reload', 'runtime')] == [set()] * 3


def test_status_addresses_are_addresses_host_names_a_service_or_the_nodes():
    wanted = ('192.0.2.1', 'fd00::1', 'lb.example.com', 'lb', '3.example.com', 'service:headrace/edge', 'nodes')
    assert settings.make({'statusAddresses': list(wanted)}).status_addresses == wanted


def test_pools_of_both_families_are_taken_in_their_order():
    text = """
    addressPools:
      - {name: one, addresses: [192.0.2.8-192.0.2.15, "2001:db8::/120"], namespaces: [shop], autoAssign: false}
      - {name: two, addresses: [192.0.2.0/29], serviceSelector: {matchLabels: {tier: gold}}}
    serviceNetworks: [10.96.0.0/12]
    statusAddresses: [198.51.100.1, edge.example.com]
    """
    first, second = settings.parse(text).address_pools
    assert (first.name, first.auto_assign, second.auto_assign) == ('one', False, True)
    assert [each.family for each in first.ranges()] == [4, 6]
    assert second.service_selector.match_labels == {'tier': 'gold'}
