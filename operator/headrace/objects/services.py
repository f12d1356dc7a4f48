"""Reading Services: a field that is wrong costs that field, and is a problem of the Service."""

from functools import lru_cache
from sys import intern

from headrace import forms
from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import annotations, fields
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType

PROXY_NAME_LABEL = 'service.kubernetes.io/service-proxy-name'
CHOSEN_LABEL = 'headrace.io/node'
_DEFAULT_AFFINITY_SECONDS = 10800
_MAX_AFFINITY_SECONDS = 86400
_TEXTS = (
    'type',
    'externalName',
    'clusterIP',
    'loadBalancerClass',
    'sessionAffinity',
    'internalTrafficPolicy',
    'externalTrafficPolicy',
)
_LISTS = ('ports', 'clusterIPs', 'ipFamilies', 'externalIPs', 'loadBalancerSourceRanges')
_SPEC = {**dict.fromkeys(_TEXTS, str), **dict.fromkeys(_LISTS, list), 'sessionAffinityConfig': dict}
_PORT = {'name': str, 'protocol': str, 'nodePort': int, 'appProtocol': str}


def read(namespace: str, name: str, document: fields.Document) -> Service:
    """Return the Service of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    ref = Ref('Service', namespace, name)
    problems = _misfits(ref, document, spec)
    kind = fields.text(spec, 'type', 'ClusterIP')
    if kind not in ServiceType.__members__.values():
        problems.append(Diagnostic(ref, 'InvalidObject', f'{shorten(kind)} is no type of Service', 'spec.type'))
        kind = 'ClusterIP'
    affinity = 0
    if fields.text(spec, 'sessionAffinity') == 'ClientIP':
        config = fields.mapping(fields.mapping(spec, 'sessionAffinityConfig'), 'clientIP')
        seconds = fields.number(config, 'timeoutSeconds')
        affinity = seconds if 0 < seconds <= _MAX_AFFINITY_SECONDS else _DEFAULT_AFFINITY_SECONDS
    cluster_ips, labels = _cluster_ips(spec), fields.mapping(metadata, 'labels')
    return Service(
        namespace=namespace,
        name=name,
        created=intern(fields.text(metadata, 'creationTimestamp')),
        annotations=annotations.read(metadata),
        ports=_ports(spec, ref, problems),
        type=ServiceType(kind),
        cluster_ips=cluster_ips,
        ip_families=_families(spec, cluster_ips),
        external_ips=tuple(sorted({a for a in map(fields.address, fields.texts(spec, 'externalIPs')) if a})),
        load_balancer_ips=_load_balancer_ips(document),
        load_balancer_class=fields.text(spec, 'loadBalancerClass'),
        load_balancer_ip=fields.text(spec, 'loadBalancerIP'),
        source_ranges=_source_ranges(spec),
        external_name=fields.text(spec, 'externalName'),
        affinity_seconds=affinity,
        internal_local=fields.text(spec, 'internalTrafficPolicy') == 'Local',
        external_local=fields.text(spec, 'externalTrafficPolicy') == 'Local',
        proxy_name=_proxy_name(metadata),
        chosen=fields.text(labels, CHOSEN_LABEL),
        form=forms.read(labels),
        health_port=fields.port(spec, 'healthCheckNodePort'),
        problems=tuple(problems),
    )


def _misfits(ref: Ref, document: fields.Document, spec: fields.Document) -> list[Diagnostic]:
    """Return a diagnostic for each field of a Service that holds another type than Kubernetes wants there."""
    wrong = [*fields.misfits(document, {'spec': dict}), *(f'spec.{key}' for key in fields.misfits(spec, _SPEC))]
    return [Diagnostic(ref, 'InvalidObject', f'{field} is of the wrong type and ignored', field) for field in wrong]


def _source_ranges(spec: fields.Document) -> tuple[str, ...]:
    """Return the ranges, '' for what is no text: it is no CIDR either, and so closes what it was to protect."""
    ranges = spec.get('loadBalancerSourceRanges')
    if ranges is None:
        return ()
    return tuple(
        sorted({r.strip() if isinstance(r, str) else '' for r in (ranges if isinstance(ranges, list) else [''])})
    )


@lru_cache(maxsize=65536)
def _port(name: str, protocol: str, number: int, node_port: int, app_protocol: str, target: int) -> ServicePort:
    return ServicePort(name, Protocol(protocol), number, node_port, app_protocol, target)


@lru_cache(maxsize=65536)
def _intern(ports: tuple[ServicePort, ...]) -> tuple[ServicePort, ...]:
    """Return one tuple for all Services with these ports: most clusters have few different ones."""
    return ports


def _ports(spec: fields.Document, ref: Ref, problems: list[Diagnostic]) -> tuple[ServicePort, ...]:
    ports: list[ServicePort] = []
    identities: set[object] = set()
    entries = fields.sequence(spec, 'ports')
    for index, entry in enumerate(entries):
        port = _service_port(entry, identities, alone=len(entries) == 1)
        if isinstance(port, ServicePort):
            ports.append(port)
            identities |= {port.name, (port.number, port.protocol)}
        else:
            problems.append(Diagnostic(ref, 'InvalidObject', port, f'spec.ports[{index}]'))
    if not entries and fields.text(spec, 'type') != ServiceType.EXTERNAL_NAME:
        problems.append(Diagnostic(ref, 'InvalidObject', 'the Service has no ports', 'spec.ports'))
    return _intern(tuple(ports))


def _service_port(entry: object, identities: set[object], *, alone: bool) -> ServicePort | str:
    """Return a port, or what is wrong with it; `known` are the names, and numbers with protocols, of those before it."""
    if not isinstance(entry, dict):
        return f'{shorten(entry)} is no port'
    number, protocol = fields.port(entry, 'port'), fields.text(entry, 'protocol', 'TCP')
    name = fields.text(entry, 'name')
    if not number:
        return f'port {shorten(entry.get("port"))} is no number from 1 to 65535'
    if wrong := fields.misfits(entry, _PORT):
        return f'{wrong[0]} of port {number} is {shorten(entry[wrong[0]])}, which is of the wrong type'
    if protocol not in Protocol.__members__:
        return f'{shorten(protocol)} is no protocol'
    if name and not fields.is_name(name):
        return f'{shorten(name)} is no name of a port'
    if not name and not alone:
        return 'a Service with several ports must name each'
    if name in identities or (number, protocol) in identities:
        return f'port {number}/{protocol} or its name {shorten(name)} occurs twice'
    node_port, target = fields.port(entry, 'nodePort'), fields.port(entry, 'targetPort')
    return _port(name, protocol, number, node_port, fields.text(entry, 'appProtocol'), target)


def _cluster_ips(spec: fields.Document) -> tuple[str, ...]:
    values = fields.texts(spec, 'clusterIPs') or ((found,) if (found := fields.text(spec, 'clusterIP')) else ())
    if 'None' in values:
        return ('None',)
    return tuple(address for address in map(fields.address, values) if address)


def _families(spec: fields.Document, cluster_ips: tuple[str, ...]) -> tuple[int, ...]:
    """Return the Service's families in order; taken from the clusterIPs where the field is not there."""
    named = tuple(
        {'IPv4': 4, 'IPv6': 6}[family] for family in fields.texts(spec, 'ipFamilies') if family in ('IPv4', 'IPv6')
    )
    return named or tuple(fields.family(address) for address in cluster_ips if address != 'None')


def _load_balancer_ips(document: fields.Document) -> tuple[str, ...]:
    """Return the addresses of `status.loadBalancer` that a service proxy captures: ipMode absent or VIP."""
    status = fields.mapping(fields.mapping(document, 'status'), 'loadBalancer')
    entries = [entry for entry in fields.documents(status, 'ingress') if fields.text(entry, 'ipMode', 'VIP') == 'VIP']
    return tuple(sorted({address for entry in entries if (address := fields.address(fields.text(entry, 'ip')))}))


def _proxy_name(metadata: fields.Document) -> str | None:
    value = fields.mapping(metadata, 'labels').get(PROXY_NAME_LABEL)
    return value if isinstance(value, str) else None
