"""Which ports of a Service are served at the edge, and how: the contract's rules 2 to 6.

Promises: nothing is exposed that was not asked for. `host` and `port` keys expose the ports they speak of; `enabled:
true` and a loadBalancerClass of ours expose all TCP ports. Where a key could speak of several ports, nothing is exposed.
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
_APP_PROTOCOLS = {said: what for said, what in _SPOKEN.items() if said != 'web'}


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


def is_ours(service: Service, said: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service belongs to this class: by its annotation, else its loadBalancerClass, else the default."""
    if (named := said.service.get('class')) is not None:
        return named == context.class_name
    if service.load_balancer_class.startswith(PREFIX):
        return service.load_balancer_class == PREFIX + context.class_name
    return context.class_name == DEFAULT_CLASS or _is_load_balancer(service, context)


def _is_load_balancer(service: Service, context: BuildContext) -> bool:
    if service.type is not ServiceType.LOAD_BALANCER:
        return False
    if not service.load_balancer_class:
        return context.settings.default_class
    return service.load_balancer_class == PREFIX + context.class_name


def spoken(port: ServicePort, mode: str | None, *, has_host: bool, asked: bool) -> Spoken:
    """Return what a port speaks; `asked` tells that a host or path speaks of it, `has_host` that a host does."""
    name = port.name.partition('-')[0]
    said = _APP_PROTOCOLS.get(port.app_protocol.lower()) or (_SPOKEN[name] if name in _NAMES else None)
    if mode is not None:
        endpoint = said[1] if said and mode == 'http' and said[0] == 'http' else 'http1' if mode == 'http' else 'tcp'
        return Spoken(mode, endpoint)
    if said is None:
        return Spoken('http', 'http1') if asked else Spoken('tcp', 'tcp')
    if said[0] == 'tls':
        return Spoken('tls-passthrough' if has_host else 'tcp', 'tcp')
    return Spoken(*said)


def _wants_all(service: Service, said: Annotations, context: BuildContext) -> bool:
    return bool(said.service.get('enabled')) or _is_load_balancer(service, context)


def is_asked(service: Service, said: Annotations, context: BuildContext) -> bool:
    """Tell whether a Service of this class asks to be served at the edge."""
    if said.service.get('enabled') is False:
        return False
    return _wants_all(service, said, context) or said.has_any('host') or said.has_any('port')


def expose(service: Service, said: Annotations, context: BuildContext) -> Exposures:
    """Return the ports that a Service of this class exposes at the edge."""
    if not is_asked(service, said, context):
        return Exposures(diagnostics=_without_host(service, said))
    judge = _Judge(service, said, context)
    if judge.ambiguous():
        return Exposures(diagnostics=tuple(judge.diagnostics))
    judge.overridden()
    every = _wants_all(service, said, context)
    wanted = service.ports if every else [port for port in service.ports if judge.is_asked_for(port)]
    found = [exposed for port in wanted if (exposed := judge.expose(port)) is not None]
    return Exposures(tuple(found), tuple(judge.diagnostics))


def _without_host(service: Service, said: Annotations) -> tuple[Diagnostic, ...]:
    """Return a diagnostic for each key about paths of a Service that does not ask to be served."""
    if said.service.get('enabled') is False or service.type is ServiceType.EXTERNAL_NAME:
        return ()
    given = [key for key in ('path', 'path-type') if said.has_any(key)]
    field = 'metadata.annotations'
    return tuple(
        Diagnostic(service.ref, 'NotApplicable', f'{PREFIX}{key}: it needs {PREFIX}host', f'{field}[{PREFIX}{key}]')
        for key in given
    )


class _Judge:
    """Decides port by port for one Service, and collects the diagnostics."""

    def __init__(self, service: Service, said: Annotations, context: BuildContext) -> None:
        self.service, self.said, self.context = service, said, context
        self.diagnostics: list[Diagnostic] = []
        self.modes = {port.label: parse.exposure(said.values(port.label)).mode for port in service.ports}
        self.host_port = self._speaks_of(('host', 'path'))
        self.tcp_port = self._only_tcp_port()

    def _speaks_of(self, given: tuple[str, ...]) -> ServicePort | None:
        """Return the port that keys without `.PORT` speak of: the only one, else the only http, else the only TLS one."""
        if not any(self.said.has(key) for key in given):
            return None
        if len(self.service.ports) == 1:
            return self.service.ports[0]
        for mode in ('http', 'tls-passthrough'):
            found = [port for port in self.service.ports if port.protocol is Protocol.TCP and self._mode(port) == mode]
            if len(found) == 1:
                return found[0]
            if found:
                return None
        return None

    def _only_tcp_port(self) -> ServicePort | None:
        found = [port for port in self.service.ports if port.protocol is Protocol.TCP]
        tcp = [port for port in found if self._mode(port) == 'tcp']
        return tcp[0] if len(tcp) == 1 else found[0] if len(found) == 1 else None

    def _mode(self, port: ServicePort) -> str:
        own = self.said.has('host', port.label)
        asked = own or self.said.has('path', port.label)
        plain = self.said.has('host')
        return spoken(port, self.modes[port.label], has_host=own or plain, asked=asked).mode

    def _says(self, key: str, port: ServicePort, only: ServicePort | None) -> bool:
        return self.said.has(key, port.label) or (self.said.has(key) and port is only)

    def is_asked_for(self, port: ServicePort) -> bool:
        """Tell whether a host or port key speaks of this port."""
        return self._says('host', port, self.host_port) or self._says('port', port, self.tcp_port)

    def ambiguous(self) -> bool:
        """Tell whether a key without `.PORT` could speak of several ports, with a diagnostic."""
        before = len(self.diagnostics)
        if self.host_port is None:
            for key in ('host', 'path'):
                if self.said.has(key):
                    self._diagnostic(
                        'AmbiguousPort',
                        f'{PREFIX}{key} could speak of several ports, or of none: write {PREFIX}{key}.PORT',
                        key,
                    )
        if self.tcp_port is None and self.said.has('port'):
            self._diagnostic(
                'AmbiguousPort',
                f'{PREFIX}port could speak of several ports, or of none: write {PREFIX}port.PORT',
                'port',
            )
        return len(self.diagnostics) > before

    def overridden(self) -> None:
        """Add a diagnostic for each key without `.PORT` whose only port has one of its own."""
        for key, port in (('host', self.host_port), ('path', self.host_port), ('port', self.tcp_port)):
            if port is not None and self.said.has(key) and self.said.has(key, port.label):
                own = f'{PREFIX}{key}.{port.label}'
                self._diagnostic(
                    'NotApplicable', f'{PREFIX}{key} could speak of {port.label} only, which has {own}', key
                )

    def expose(self, port: ServicePort) -> Exposed | None:
        """Return how one port is served, or None with a diagnostic."""
        if port.protocol is not Protocol.TCP:
            self._diagnostic(
                'UnsupportedProtocol', f'port {port.label} is {port.protocol}; the edge serves TCP only', ''
            )
            return None
        exposure = parse.exposure(self.said.values(port.label))
        has_host = self._says('host', port, self.host_port)
        asked = has_host or self._says('path', port, self.host_port)
        if port.app_protocol and exposure.mode is None and port.app_protocol.lower() not in _APP_PROTOCOLS:
            self._diagnostic(
                'UnknownAppProtocol',
                f'appProtocol {shorten(port.app_protocol)} of port {port.label} counts as unset',
                '',
            )
        what = spoken(port, exposure.mode, has_host=has_host, asked=asked)
        if what.mode == 'tcp':
            if has_host and exposure.tls_secret is None:
                self._diagnostic('NotApplicable', f'port {port.label} speaks TCP, which has no hosts', 'host')
            return self._tcp(port, what, exposure, has_host=has_host)
        hosts = self._hosts(port, exposure.host if has_host else None)
        paths = exposure.path if exposure.path is not None and self._says('path', port, self.host_port) else ('/',)
        found: tuple[Conditions, ...] = ()
        if isinstance(paths, PathExpressions) and exposure.path_type == 'RegularExpression':
            found = self._expressions(paths)
            paths = ('/',) if found else ()
        elif isinstance(paths, PathExpressions):
            paths = self._plain(paths)
        if not paths and self._is_protected(port):
            # What is protected there cannot be known, so nothing of these hosts is open.
            return Exposed(port, what, exposure, hosts, ('/',), shuts=True) if hosts else None
        served = hosts and (paths or what.mode != 'http')
        return Exposed(port, what, exposure, hosts, paths, expressions=found) if served else None

    def _is_protected(self, port: ServicePort) -> bool:
        """Tell whether a key protects the routes of a port, which must not lead to a shorter route instead."""
        return bool(keys.CLOSING & self.said.values(port.label).keys() or self.said.closing_keys(port.label))

    def _expressions(self, paths: PathExpressions) -> tuple[Conditions, ...]:
        """Return the conditions that expressions of paths are; none where one cannot be used, with a diagnostic."""
        found: list[Conditions] = []
        for text in paths.items:
            written = regular_expressions.parse_beginning(text)
            if isinstance(written, Unsupported):
                message = (
                    f'the regular expression {shorten(text)} {written.reason}; the hosts are closed until it does not'
                )
                self._diagnostic('InvalidValue', f'{PREFIX}path: {message}', 'path')
                return ()
            found.append(Conditions(path=written, path_length=len(text)))
        return tuple(found)

    def _plain(self, paths: PathExpressions) -> tuple[str, ...]:
        """Return the paths of a port that has no expressions though another one has."""
        found = BY_NAME['path'].parse(paths.text)
        if isinstance(found, Invalid):
            message = f'{PREFIX}path must be {found.expected}; the hosts are closed until it does'
            self._diagnostic('InvalidValue', message, 'path')
            return ()
        return cast('tuple[str, ...]', found)

    def _hosts(self, port: ServicePort, named: tuple[str, ...] | None) -> tuple[str, ...]:
        service, domain = self.service, self.context.settings.domain
        if named is None:
            if not domain:
                hint = (
                    f'; {PREFIX}port is for TCP: {PREFIX}mode: tcp' if self._says('port', port, self.tcp_port) else ''
                )
                self._diagnostic(
                    'MissingHost', f'port {port.label} speaks HTTP or TLS and has no {PREFIX}host{hint}', ''
                )
                return ()
            named = (f'{service.name}.{service.namespace}.{domain}',)
        allowed = tuple(host for host in named if self.context.may_claim(service.namespace, host))
        for host in named:
            if host not in allowed:
                self._diagnostic('HostForbidden', f'namespace {service.namespace} may not claim {host}', 'host')
        return allowed

    def _tcp(self, port: ServicePort, what: Spoken, exposure: Exposure, *, has_host: bool) -> Exposed | None:
        number = exposure.port if exposure.port and self._says('port', port, self.tcp_port) else port.number
        settings = self.context.settings
        if number in settings.reserved_ports():
            own = {settings.http_port: 'httpPort', settings.https_port: 'httpsPort', settings.health_port: 'healthPort'}
            self._diagnostic(
                'PortReserved', f'TCP port {number} is one that headrace itself listens on ({own[number]})', 'port'
            )
            return None
        if not any(first <= number <= last for first, last in settings.ranges()):
            bound = settings.tcp_ports or 'none'
            self._diagnostic('PortNotBound', f'TCP port {number} is outside tcpPorts ({bound})', 'port')
            return None
        hosts = self._hosts(port, exposure.host) if has_host and exposure.host and exposure.tls_secret else ()
        return Exposed(port, what, exposure, hosts, number=number)

    def _diagnostic(self, reason: str, message: str, key: str) -> None:
        field = f'metadata.annotations[{PREFIX}{key}]' if key else 'spec.ports'
        self.diagnostics.append(Diagnostic(self.service.ref, reason, message, field))
