"""Which ports of a Service are served at the edge, and how: the contract's rules 2 to 6.

Promises: nothing is exposed that was not asked for. `host` and `port` keys expose the ports they speak of; `enabled:
true`, and in a class without address pools a loadBalancerClass of ours, expose all TCP ports. Where a key could speak of several ports, nothing is exposed.
"""

from dataclasses import dataclass
from typing import cast

from headrace.annotations import keys, parse
from headrace.annotations.keys import BY_NAME
from headrace.annotations.parse import PREFIX, Annotations
from headrace.annotations.request_values import PathExpressions
from headrace.annotations.settings import Exposure
from headrace.annotations.values import Invalid
from headrace.diagnostics import Diagnostic, shorten
from headrace.ir.routing import Conditions
from headrace.names import DEFAULT_CLASS
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType
from headrace.translate import regular_expressions
from headrace.translate.build_context import BuildContext
from headrace.translate.regular_expressions import Unsupported

# What an appProtocol, or a port's name up to its first dash, says: the mode, and what the endpoint speaks.
_SPOKEN: dict[str, tuple[str, str]] = {
    'http': ('http', 'http1'),
    'kubernetes.io/ws': ('http', 'http1'),
    'https': ('http', 'https'),
    'kubernetes.io/wss': ('http', 'https'),
    'kubernetes.io/h2c': ('http', 'h2c'),
    'h2c': ('http', 'h2c'),
    'grpc': ('http', 'h2c'),
    'tcp': ('tcp', 'tcp'),
    'tls': ('tls', 'tcp'),
    'web': ('http', 'http1'),
}
_NAMES = frozenset(('http', 'https', 'grpc', 'h2c', 'tcp', 'tls', 'web'))
_APP_PROTOCOLS = {name: protocol for name, protocol in _SPOKEN.items() if name != 'web'}


@dataclass(frozen=True, slots=True)
class Spoken:
    """What a port is understood to speak: its mode (http, tcp, tls-passthrough), and what its endpoints speak."""

    mode: str
    endpoint: str


@dataclass(frozen=True, slots=True)
class Exposed:
    """A port that is served at the edge. `hosts` of a TCP port are those of its TLS, `number` is 0 for HTTP and passthrough.

    `shuts` tells that its paths do not parse, though a key protects them: its hosts are closed.
    Where there are `expressions` of paths, they are conditions of the path `/`.
    """

    port: ServicePort
    spoken: Spoken
    exposure: Exposure
    hosts: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    number: int = 0
    shuts: bool = False
    expressions: tuple[Conditions, ...] = ()


@dataclass(frozen=True, slots=True)
class Exposures:
    """The ports that a Service exposes, and what was wrong with those that it does not."""

    ports: tuple[Exposed, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def is_ours(service: Service, annotations: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service belongs to this class: by its annotation, else its loadBalancerClass, else the default."""
    if (class_name := annotations.service.get('class')) is not None:
        return class_name == context.class_name
    if service.load_balancer_class.startswith(PREFIX):
        return service.load_balancer_class == PREFIX + context.class_name
    return context.class_name == DEFAULT_CLASS or is_load_balancer(service, context)


def is_load_balancer(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service is of type LoadBalancer, and this class's by its loadBalancerClass or as the default."""
    if service.type is not ServiceType.LOAD_BALANCER:
        return False
    if not service.load_balancer_class:
        return context.settings.default_class
    return service.load_balancer_class == PREFIX + context.class_name


def spoken(port: ServicePort, mode: str | None, *, has_host: bool, routed: bool) -> Spoken:
    """Return what a port speaks; `routed` tells that a host or path speaks of it, `has_host` that a host does."""
    name = port.name.partition('-')[0]
    convention = _APP_PROTOCOLS.get(port.app_protocol.lower()) or (_SPOKEN[name] if name in _NAMES else None)
    if mode is not None:
        endpoint = (
            convention[1]
            if convention and mode == 'http' and convention[0] == 'http'
            else 'http1'
            if mode == 'http'
            else 'tcp'
        )
        return Spoken(mode, endpoint)
    if convention is None:
        return Spoken('http', 'http1') if routed else Spoken('tcp', 'tcp')
    if convention[0] == 'tls':
        return Spoken('tls-passthrough' if has_host else 'tcp', 'tcp')
    return Spoken(*convention)


def _wants_all(service: Service, annotations: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service asks for all of its ports; where the class has pools, its loadBalancerClass asks for an address of them."""
    by_class = not context.settings.address_pools and is_load_balancer(service, context)
    return bool(annotations.service.get('enabled')) or by_class


def wants_edge(service: Service, annotations: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service of this class asks to be served at the edge."""
    if annotations.service.get('enabled') is False:
        return False
    return _wants_all(service, annotations, context) or annotations.has_any('host') or annotations.has_any('port')


def expose(service: Service, annotations: Annotations, context: BuildContext) -> Exposures:
    """Return the ports that a Service of this class exposes at the edge."""
    if not wants_edge(service, annotations, context):
        return Exposures(diagnostics=_without_host(service, annotations))
    judge = _Judge(service, annotations, context)
    if judge.is_ambiguous():
        return Exposures(diagnostics=tuple(judge.diagnostics))
    judge.report_overridden()
    all_ports = _wants_all(service, annotations, context)
    ports = service.ports if all_ports else [port for port in service.ports if judge.wants_port(port)]
    results = [exposed for port in ports if (exposed := judge.expose(port)) is not None]
    return Exposures(tuple(results), tuple(judge.diagnostics))


def _without_host(service: Service, annotations: Annotations) -> tuple[Diagnostic, ...]:
    """Return a diagnostic for each key about paths of a Service that does not ask to be served."""
    if annotations.service.get('enabled') is False or service.type is ServiceType.EXTERNAL_NAME:
        return ()
    path_keys = [key for key in ('path', 'path-type') if annotations.has_any(key)]
    field = 'metadata.annotations'
    return tuple(
        Diagnostic(service.ref, 'NotApplicable', f'{PREFIX}{key}: it needs {PREFIX}host', f'{field}[{PREFIX}{key}]')
        for key in path_keys
    )


class _Judge:
    """Decides port by port for one Service, and collects the diagnostics."""

    def __init__(self, service: Service, annotations: Annotations, context: BuildContext) -> None:
        self.service, self.annotations, self.context = service, annotations, context
        self.diagnostics: list[Diagnostic] = []
        self.modes = {port.label: parse.exposure(annotations.values(port.label)).mode for port in service.ports}
        self.host_port = self._port_of(('host', 'path'))
        self.tcp_port = self._only_tcp_port()

    def _port_of(self, keys: tuple[str, ...]) -> ServicePort | None:
        """Return the port that keys without `.PORT` speak of: the only one, else the only http, else the only TLS one."""
        if not any(self.annotations.has(key) for key in keys):
            return None
        if len(self.service.ports) == 1:
            return self.service.ports[0]
        for mode in ('http', 'tls-passthrough'):
            matches = [
                port for port in self.service.ports if port.protocol is Protocol.TCP and self._mode(port) == mode
            ]
            if len(matches) == 1:
                return matches[0]
            if matches:
                return None
        return None

    def _only_tcp_port(self) -> ServicePort | None:
        ports = [port for port in self.service.ports if port.protocol is Protocol.TCP]
        tcp = [port for port in ports if self._mode(port) == 'tcp']
        return tcp[0] if len(tcp) == 1 else ports[0] if len(ports) == 1 else None

    def _mode(self, port: ServicePort) -> str:
        has_port_host = self.annotations.has('host', port.label)
        routed = has_port_host or self.annotations.has('path', port.label)
        has_common_host = self.annotations.has('host')
        return spoken(port, self.modes[port.label], has_host=has_port_host or has_common_host, routed=routed).mode

    def _applies(self, key: str, port: ServicePort, only: ServicePort | None) -> bool:
        return self.annotations.has(key, port.label) or (self.annotations.has(key) and port is only)

    def wants_port(self, port: ServicePort) -> bool:
        """Tell whether a host or port key speaks of this port."""
        return self._applies('host', port, self.host_port) or self._applies('port', port, self.tcp_port)

    def is_ambiguous(self) -> bool:
        """Tell whether a key without `.PORT` could speak of several ports, with a diagnostic."""
        before = len(self.diagnostics)
        if self.host_port is None:
            for key in ('host', 'path'):
                if self.annotations.has(key):
                    self._diagnostic(
                        'AmbiguousPort',
                        f'{PREFIX}{key} could speak of several ports, or of none: write {PREFIX}{key}.PORT',
                        key,
                    )
        if self.tcp_port is None and self.annotations.has('port'):
            self._diagnostic(
                'AmbiguousPort',
                f'{PREFIX}port could speak of several ports, or of none: write {PREFIX}port.PORT',
                'port',
            )
        return len(self.diagnostics) > before

    def report_overridden(self) -> None:
        """Add a diagnostic for each key without `.PORT` whose only port has one of its own."""
        for key, port in (('host', self.host_port), ('path', self.host_port), ('port', self.tcp_port)):
            if port is not None and self.annotations.has(key) and self.annotations.has(key, port.label):
                port_key = f'{PREFIX}{key}.{port.label}'
                self._diagnostic(
                    'NotApplicable', f'{PREFIX}{key} could speak of {port.label} only, which has {port_key}', key
                )

    def expose(self, port: ServicePort) -> Exposed | None:
        """Return how one port is served, or None with a diagnostic."""
        if port.protocol is not Protocol.TCP:
            self._diagnostic(
                'UnsupportedProtocol', f'port {port.label} is {port.protocol}; the edge serves TCP only', ''
            )
            return None
        exposure = parse.exposure(self.annotations.values(port.label))
        has_host = self._applies('host', port, self.host_port)
        routed = has_host or self._applies('path', port, self.host_port)
        if port.app_protocol and exposure.mode is None and port.app_protocol.lower() not in _APP_PROTOCOLS:
            self._diagnostic(
                'UnknownAppProtocol',
                f'appProtocol {shorten(port.app_protocol)} of port {port.label} counts as unset',
                '',
            )
        protocol = spoken(port, exposure.mode, has_host=has_host, routed=routed)
        if protocol.mode == 'tcp':
            if has_host and exposure.tls_secret is None:
                self._diagnostic('NotApplicable', f'port {port.label} speaks TCP, which has no hosts', 'host')
            return self._tcp(port, protocol, exposure, has_host=has_host)
        hosts = self._hosts(port, exposure.host if has_host else None)
        paths = exposure.path if exposure.path is not None and self._applies('path', port, self.host_port) else ('/',)
        expressions: tuple[Conditions, ...] = ()
        if isinstance(paths, PathExpressions) and exposure.path_type == 'RegularExpression':
            expressions = self._expressions(paths)
            paths = ('/',) if expressions else ()
        elif isinstance(paths, PathExpressions):
            paths = self._plain(paths)
        if not paths and self._is_protected(port):
            # What is protected there cannot be known, so nothing of these hosts is open.
            return Exposed(port, protocol, exposure, hosts, ('/',), shuts=True) if hosts else None
        served = hosts and (paths or protocol.mode != 'http')
        return Exposed(port, protocol, exposure, hosts, paths, expressions=expressions) if served else None

    def _is_protected(self, port: ServicePort) -> bool:
        """Tell whether a key protects the routes of a port, which must not lead to a shorter route instead."""
        return bool(
            keys.CLOSING & self.annotations.values(port.label).keys() or self.annotations.closing_keys(port.label)
        )

    def _expressions(self, paths: PathExpressions) -> tuple[Conditions, ...]:
        """Return the conditions that expressions of paths are; none where one cannot be used, with a diagnostic."""
        conditions: list[Conditions] = []
        for text in paths.items:
            expression = regular_expressions.parse_beginning(text)
            if isinstance(expression, Unsupported):
                message = f'the regular expression {shorten(text)} {expression.reason}; the hosts are closed until it does not'
                self._diagnostic('InvalidValue', f'{PREFIX}path: {message}', 'path')
                return ()
            conditions.append(Conditions(path=expression, path_length=len(text)))
        return tuple(conditions)

    def _plain(self, paths: PathExpressions) -> tuple[str, ...]:
        """Return the paths of a port that has no expressions though another one has."""
        value = BY_NAME['path'].parse(paths.text)
        if isinstance(value, Invalid):
            message = f'{PREFIX}path must be {value.expected}; the hosts are closed until it does'
            self._diagnostic('InvalidValue', message, 'path')
            return ()
        return cast('tuple[str, ...]', value)

    def _hosts(self, port: ServicePort, hosts: tuple[str, ...] | None) -> tuple[str, ...]:
        service, domain = self.service, self.context.settings.domain
        if hosts is None:
            if not domain:
                hint = (
                    f'; {PREFIX}port is for TCP: {PREFIX}mode: tcp'
                    if self._applies('port', port, self.tcp_port)
                    else ''
                )
                self._diagnostic(
                    'MissingHost', f'port {port.label} speaks HTTP or TLS and has no {PREFIX}host{hint}', ''
                )
                return ()
            hosts = (f'{service.name}.{service.namespace}.{domain}',)
        allowed = tuple(host for host in hosts if self.context.may_claim(service.namespace, host))
        for host in hosts:
            if host not in allowed:
                self._diagnostic('HostForbidden', f'namespace {service.namespace} may not claim {host}', 'host')
        return allowed

    def _tcp(self, port: ServicePort, protocol: Spoken, exposure: Exposure, *, has_host: bool) -> Exposed | None:
        number = exposure.port if exposure.port and self._applies('port', port, self.tcp_port) else port.number
        settings = self.context.settings
        if number in settings.reserved_ports():
            reserved = {
                settings.http_port: 'httpPort',
                settings.https_port: 'httpsPort',
                settings.health_port: 'healthPort',
            }
            self._diagnostic(
                'PortReserved', f'TCP port {number} is one that headrace itself listens on ({reserved[number]})', 'port'
            )
            return None
        if not any(first <= number <= last for first, last in settings.ranges()):
            bound = settings.tcp_ports or 'none'
            self._diagnostic('PortNotBound', f'TCP port {number} is outside tcpPorts ({bound})', 'port')
            return None
        hosts = self._hosts(port, exposure.host) if has_host and exposure.host and exposure.tls_secret else ()
        return Exposed(port, protocol, exposure, hosts, number=number)

    def _diagnostic(self, reason: str, message: str, key: str) -> None:
        field = f'metadata.annotations[{PREFIX}{key}]' if key else 'spec.ports'
        self.diagnostics.append(Diagnostic(self.service.ref, reason, message, field))
