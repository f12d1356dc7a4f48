"""From a Service port to its backend: shape, options, data, and servers.

The same functions make the backend that its own Service needs and the name by which another one (a canary's owner)
points to it, so the two cannot differ.
"""

import operator
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

import msgspec

from headrace import names
from headrace.annotations import keys, parse, values
from headrace.annotations.parse import PREFIX, Annotations
from headrace.annotations.settings import BackendSettings
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Demand, Group, Mode, Options, ServerTls, Shape
from headrace.ir.policy import Entry, Map, Timeouts
from headrace.names import Ref
from headrace.objects.kinds import Service, ServicePort, ServiceType, Slice
from headrace.settings.settings import milliseconds
from headrace.store import Reader
from headrace.translate import endpoints, exposure, policies, refused_addresses, shapes
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.policies import Policy
from headrace.translate.shapes import ShapeContext

_HTTP_CHECK_KEYS = ('check_path', 'check_host', 'check_status')
_CHECK_KEYS = (*_HTTP_CHECK_KEYS, 'check_interval', 'check_rise', 'check_fall')

# A file that does not exist: what was to verify the endpoints cannot be read, so none of them can be used.
_MISSING = 'nobody'
# A server of this address has that of the connection, which is what the name stands for.
_ANYWHERE = '0.0.0.0'  # noqa: S104
# Settings that choose among endpoints, or look at them.
_OF_MANY = ('balance', 'cookie', 'check', 'check-path', 'check-host', 'check-status')
_COOKIE_KEYS = tuple(key.name for key in keys.KEYS if key.name.startswith('cookie-'))
# Settings that are data of a route in HTTP.
_OF_ROUTE = frozenset((
    'timeout-connect', 'timeout-server', 'timeout-tunnel', 'queue-timeout', 'cookie-path', 'cookie-domain', 'cookie-same-site',
    'cookie-max-age', 'cookie-secure', 'cookie-conditional-same-site-none', 'cookie-change-on-failure',
))  # fmt: skip
# Among the values of a demand, and no settings: the TLS to endpoints, and the Secret whose certificate they are shown.
TLS, CERTIFICATE = 'tls', 'client-certificate'
_HTTP_PROTOCOLS = ('http1', 'h2c', 'https', 'h2')


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """A backend before its servers are known. `ca` is the Secret with the endpoints' authority, if one is named.

    `variant` tells it apart from others of its port whose servers have other options.
    """

    port: ServicePort
    settings: BackendSettings
    shape: Shape
    options: Options
    ca: Ref | None = None
    variant: str = ''

    def name(self, service: Ref, variant: str = '') -> str:
        """Return the backend's name."""
        return names.backend(service, self.port.label, variant=variant or self.variant, shape=self.shape.suffix)


def build_spec(  # noqa: PLR0913
    service: Service,
    annotations: Annotations,
    port: ServicePort,
    mode: Mode,
    endpoint: str,
    context: BuildContext,
    *,
    fallbacks: Mapping[str, object] = MappingProxyType({}),
) -> BackendSpec:
    """Return the backend of a port; `endpoint` is what its endpoints speak unless an annotation says otherwise.

    `fallbacks` are settings of another object that leads to the backend: the Service's own go before them.
    """
    port_values = {**fallbacks, **annotations.values(port.label)} if fallbacks else annotations.values(port.label)
    if not port_values and not annotations.closed and not context.defaults and not is_external(service, context):
        affinity = bool(service.affinity_seconds)
        usual = _without_settings(mode, endpoint, context.settings.cookie_name, context.role, affinity=affinity)
        return BackendSpec(port, *usual, None)
    if _is_checked_too_often(port_values, context):
        port_values = {key: value for key, value in port_values.items() if key != 'check-interval'}
    settings = parse.backend({**dict(context.defaults), **port_values})
    traits = _traits(context.settings.cookie_name, context.role)
    if not context.snippets.issuperset(settings.snippets):
        settings = msgspec.structs.replace(
            settings, snippets=tuple(name for name in settings.snippets if name in context.snippets)
        )
    protocol = settings.backend_protocol or endpoint
    if (mode == 'http') is not (protocol in _HTTP_PROTOCOLS):
        protocol = 'http1' if mode == 'http' else 'tcp'
    ca_invalid = 'backend-ca-secret' in annotations.closing_keys(port.label)
    ca_name = '' if ca_invalid else settings.backend_ca_secret
    ca = Ref('Secret', service.namespace, ca_name) if ca_name else None
    if is_external(service, context):
        # Its name is one server, which is no address that could be checked.
        settings = msgspec.structs.replace(
            settings, balance=None, cookie=None, check='off', check_path=None, check_host=None, check_status=None
        )
    options = shapes.options(
        settings, protocol=protocol, ca_file=names.file(ca) if ca else _MISSING if ca_invalid else ''
    )
    verifies = options.tls is not None and options.tls.verify
    shape = shapes.shape(settings, mode, traits, affinity=bool(service.affinity_seconds))
    if is_external(service, context):
        shape = replace(shape, affinity=False, external=True)
    return BackendSpec(port, settings, shape, options, ca if verifies else None)


def _traits(cookie_name: str, role: Role) -> ShapeContext:
    return ShapeContext(cookie_name, 'random(1)' if role is Role.NODE else 'random')


@lru_cache(maxsize=256)
def _without_settings(
    mode: Mode, endpoint: str, cookie_name: str, role: Role, *, affinity: bool
) -> tuple[BackendSettings, Shape, Options]:
    """Return what `build_spec` returns of a Service without any settings of backends, as most have none."""
    settings = parse.backend({})
    shape = shapes.shape(settings, mode, _traits(cookie_name, role), affinity=affinity)
    return settings, shape, shapes.options(settings, protocol=endpoint, ca_file='')


def demand(
    service: Service,
    port: ServicePort,
    mode: Mode,
    context: BuildContext,
    values: tuple[tuple[str, object], ...] = (),
) -> tuple[Demand, BackendSpec]:
    """Return what another object demands of a Service's port, and the backend that the Service makes of it.

    Settings that are data of the route in HTTP are no part of the demand, so those who differ in them share a backend.
    """
    of_servers = tuple(item for item in values if mode == 'tcp' or item[0] not in _OF_ROUTE)
    result = Demand(service.ref, port.label, mode, of_servers)
    annotations = parse.read(service.ref, service.annotations, service.ports)
    spec = demanded_spec(service, annotations, port, result, context)
    if of_servers == values:
        return result, spec
    complete = build_spec(service, annotations, port, mode, _endpoint(port, mode), context, fallbacks=_settings(values))
    return result, replace(spec, settings=complete.settings)


def demanded_spec(
    service: Service, annotations: Annotations, port: ServicePort, demand: Demand, context: BuildContext
) -> BackendSpec:
    """Return the backend that another object demands; one that differs from the Service's own has a name of its own."""
    endpoint = _endpoint(port, demand.mode)
    default = build_spec(service, annotations, port, demand.mode, endpoint, context)
    if not demand.values:
        return default
    fallbacks = _settings(demand.values)
    spec = build_spec(service, annotations, port, demand.mode, endpoint, context, fallbacks=fallbacks)
    if (tls := tls_of(demand)) is not None:
        spec = replace(spec, options=replace(spec.options, tls=tls), ca=None)
    if (secret := certificate_of(demand)) is not None and spec.options.tls is not None:
        tls = replace(spec.options.tls, certificate=names.file(secret))
        spec = replace(spec, options=replace(spec.options, tls=tls))
    parts = (spec.options, spec.settings.check_path, spec.settings.check_host)
    if parts == (default.options, default.settings.check_path, default.settings.check_host):
        return spec
    # Texts stand in quotes there, so different parts have different texts.
    return replace(spec, variant=names.digest(repr(parts)))


def with_value(values: tuple[tuple[str, object], ...], key: str, value: object) -> tuple[tuple[str, object], ...]:
    """Return the values of a demand with one more, sorted by key as `Demand` has them."""
    return tuple(sorted((*values, (key, value)), key=operator.itemgetter(0)))


def tls_of(demand: Demand) -> ServerTls | None:
    """Return the TLS to endpoints that a demand asks for, whatever the Service says; None for the Service's own."""
    return next((value for key, value in demand.values if key == TLS and isinstance(value, ServerTls)), None)


def certificate_of(demand: Demand) -> Ref | None:
    """Return the Secret with the certificate that endpoints are shown, None for none."""
    return next((value for key, value in demand.values if key == CERTIFICATE and isinstance(value, Ref)), None)


def _settings(values: tuple[tuple[str, object], ...]) -> dict[str, object]:
    return {key: value for key, value in values if key not in (TLS, CERTIFICATE)}


def http2_protocol(port: ServicePort) -> str:
    """Return the HTTP/2 that the endpoints of a port speak: with TLS where its appProtocol says so."""
    return 'h2' if _endpoint(port, 'http') == 'https' else 'h2c'


def _endpoint(port: ServicePort, mode: Mode) -> str:
    """Return what the endpoints of a port speak to an object that leads there, unless an annotation says otherwise."""
    return endpoint_protocol(exposure.spoken(port, None, has_host=False, routed=mode == 'http').endpoint, mode)


def endpoint_protocol(endpoint: str, mode: Mode) -> str:
    """Return what endpoints speak when a port is used in another mode than its own."""
    return ('http1' if endpoint == 'tcp' else endpoint) if mode == 'http' else 'tcp'


def of_policy(policy: Policy, spec: BackendSpec) -> list[Timeouts]:
    """Add to a policy the flags that the backend's own settings need, and return its timeouts if it has any."""
    if spec.settings.client_ip in ('none', 'proxy-v1', 'proxy-v2'):
        policy.add(policies.NOT_FORWARDED)
    if spec.shape.affinity:
        policy.add(policies.AFFINITY)
    if spec.shape.balance == 'hash' and spec.settings.balance is not None:
        policies.apply_hash(policy, spec.settings.balance.removeprefix(shapes.HASH))
    if spec.shape.limited and spec.settings.bandwidth_limit is not None:
        policies.apply_bandwidth(policy, spec.settings.bandwidth_limit)
    if spec.shape.cookie:
        policies.apply_session_cookie(policy, spec.shape.cookie, spec.settings)
    policy_timeouts = timeouts(spec, policy.name)
    if policy_timeouts is None:
        return []
    policy.add(policies.TIMEOUTS)
    return [policy_timeouts]


def _is_checked_too_often(port_values: dict[str, object], context: BuildContext) -> bool:
    """Tell whether a Service asks for more checks than the class allows: its check-interval counts as absent then."""
    interval = port_values.get('check-interval')
    return isinstance(interval, int) and interval < milliseconds(context.settings.min_check_interval)


def is_external(service: Service, context: BuildContext) -> bool:
    """Tell whether a Service is a name outside of the cluster that the class serves."""
    return service.type is ServiceType.EXTERNAL_NAME and context.settings.allow_external_name


def data(service: Service, spec: BackendSpec, name: str, context: BuildContext) -> list[Entry]:
    """Return the entries of maps that the backend's rules and checks read under its name."""
    if spec.shape.external:
        valid = not isinstance(values.plain_host(service.external_name), values.Invalid)
        own_port = refused_addresses.is_own_port(spec.port.number, context)
        return (
            [Entry(Map.EXTERNAL, name, f'{service.external_name}|own' if own_port else service.external_name)]
            if valid
            else []
        )
    if spec.shape.check != 'http':
        return []
    targets = ((Map.CHECK_PATH, spec.settings.check_path), (Map.CHECK_HOST, spec.settings.check_host))
    return [Entry(where, name, value) for where, value in targets if value is not None]


def timeouts(spec: BackendSpec, policy: str) -> Timeouts | None:
    """Return the timeouts of an HTTP route that are not the profile's, or None."""
    settings = spec.settings
    durations = (settings.timeout_server, settings.timeout_tunnel, settings.timeout_connect, settings.queue_timeout)
    if spec.shape.mode != 'http' or not any(durations):
        return None
    return Timeouts(policy, *(value or 0 for value in durations))


def slices(service: Service, reader: Reader) -> tuple[Slice, ...]:
    """Return the slices that count: those marked as headless are for headless Services only (rule 3)."""
    if service.headless or not any(item.headless for item in reader.slices):
        return reader.slices
    return tuple(item for item in reader.slices if not item.headless)


def edge_family(service: Service, reader: Reader) -> int:
    """Return the family whose endpoints the edge uses: the Service's first that has any, so that no pod counts twice."""
    families = endpoints.families(slices(service, reader))
    for family in (*service.ip_families, 4, 6):
        if family in families:
            return family
    return 4


@dataclass(frozen=True, slots=True)
class Servers:
    """The servers of a backend, and what is to be said about them."""

    groups: tuple[Group, ...]
    diagnostics: tuple[Diagnostic, ...]


def edge_servers(service: Service, port: ServicePort, reader: Reader, context: BuildContext) -> Servers:
    """Return the servers that the edge uses for a port: endpoints, or node ports, as the class says."""
    if is_external(service, context):
        if isinstance(values.plain_host(service.external_name), values.Invalid):
            return Servers((), (_no_endpoints(service, port, 'spec.externalName is no name of a host'),))
        return Servers((Group(port.number, (_ANYWHERE,)),), ())
    family = edge_family(service, reader)
    if context.settings.address_source == 'node-ports':
        local = endpoints.nodes_with_endpoints(slices(service, reader)) if service.external_local else None
        family = service.ip_families[0] if service.ip_families else 4
        groups = endpoints.node_ports(reader.nodes, node_port=port.node_port, family=family, with_endpoints=local)
        return Servers(groups, () if groups else (_no_endpoints(service, port, 'no usable Node, or no nodePort'),))
    selection = endpoints.select(
        slices(service, reader), port=port.name, protocol=port.protocol, family=family, topology=context.topology
    )
    groups, refused = refused_addresses.split(selection.groups, context)
    diagnostics = refused_addresses.judge(service, port, refused)
    if not groups:
        why = 'no endpoint may be used' if refused else 'no endpoint is ready'
        return Servers((), (*diagnostics, _no_endpoints(service, port, why)))
    if selection.terminating:
        message = f'no endpoint of port {port.label} is ready; those that still serve while they terminate are used'
        diagnostics = (*diagnostics, Diagnostic(service.ref, 'TerminatingOnly', message))
    return Servers(groups, diagnostics)


def _no_endpoints(service: Service, port: ServicePort, why: str) -> Diagnostic:
    return Diagnostic(service.ref, 'NoEndpoints', f'port {port.label}: {why}')


def make(service: Service, spec: BackendSpec, groups: tuple[Group, ...], variant: str = '') -> Backend:
    """Return the backend with its servers."""
    return Backend(
        name=spec.name(service.ref, variant),
        service=service.ref,
        port=spec.port.label,
        shape=spec.shape,
        options=spec.options,
        groups=groups,
        affinity=service.affinity_seconds if spec.shape.affinity else 0,
    )


def judge(
    service: Service, annotations: Annotations, spec: BackendSpec, mode: Mode, context: BuildContext
) -> list[Diagnostic]:
    """Return what is wrong with a backend's settings though each value parses."""
    settings, port_values = spec.settings, annotations.values(spec.port.label)
    remarks = _judge_checks(settings) + (_judge_tcp(settings) if mode == 'tcp' else _judge_http(settings))
    if not spec.shape.cookie:
        remarks += [('NotApplicable', key, f'it needs {PREFIX}cookie') for key in _COOKIE_KEYS if key in port_values]
    if spec.options.tls is None:
        tls_keys = [key for key in ('backend-ca-secret', 'backend-verify', 'backend-sni') if key in port_values]
        remarks += [('NotApplicable', key, 'the endpoints are not spoken to by TLS') for key in tls_keys]
    if spec.shape.external:
        remarks += [
            ('NotApplicable', key, 'a name outside of the cluster is one server')
            for key in _OF_MANY
            if key in port_values
        ]
    if settings.client_ip == 'preserve' and context.role is Role.EDGE:
        remarks.append(('NotApplicable', 'client-ip', "preserve is for the node role; the edge's default is used"))
    # A default of the class that does not fit a Service is no mistake of the Service's owner.
    remarks = [remark for remark in remarks if remark[1] in port_values or remark[0] == 'ContradictoryKeys']
    if _is_checked_too_often(port_values, context):
        least = context.settings.min_check_interval
        message = f"{port_values['check-interval']}ms is less than the class's minCheckInterval, {least}"
        remarks.append(('InvalidValue', 'check-interval', message))
    if 'snippets' in port_values:
        unknown = [name for name in parse.backend(port_values).snippets if name not in context.snippets]
        remarks += [('UnknownSnippet', 'snippets', f'there is no snippet {name}') for name in unknown]
    return [
        Diagnostic(
            service.ref,
            reason,
            f'{PREFIX}{key} of port {spec.port.label}: {message}',
            f'metadata.annotations[{PREFIX}{key}]',
        )
        for reason, key, message in remarks
    ]


_Remark = tuple[str, str, str]


def _judge_checks(settings: BackendSettings) -> list[_Remark]:
    kind = shapes.check(settings)
    if kind == 'off':
        check_keys = [key for key in (*_CHECK_KEYS, 'eject_after') if getattr(settings, key) is not None]
        return [('NotApplicable', key.replace('_', '-'), f'it needs {PREFIX}check') for key in check_keys]
    if kind == 'tcp' and any(getattr(settings, key) is not None for key in _HTTP_CHECK_KEYS):
        return [('ContradictoryKeys', 'check', 'tcp counts, the keys of an http check do not')]
    return []


def _judge_tcp(settings: BackendSettings) -> list[_Remark]:
    http_keys = [
        (key, getattr(settings, key))
        for key in ('cookie', 'retry_on', 'compression', 'bandwidth_limit')
        if getattr(settings, key)
    ]
    remarks: list[_Remark] = [('NotApplicable', key.replace('_', '-'), 'only HTTP has it') for key, _ in http_keys]
    if settings.balance == 'uri' or (settings.balance or '').startswith(('hdr:', shapes.HASH)):
        remarks.append(('NotApplicable', 'balance', f'{settings.balance} needs HTTP; random is used'))
    if settings.client_ip == 'forwarded':
        remarks.append(('NotApplicable', 'client-ip', 'only HTTP has headers; the address is not told'))
    if settings.backend_protocol in ('http1', 'h2c', 'https', 'h2'):
        remarks.append(('NotApplicable', 'backend-protocol', f'{settings.backend_protocol} is for HTTP; tcp is used'))
    return remarks


def _judge_http(settings: BackendSettings) -> list[_Remark]:
    if settings.backend_protocol in ('tcp', 'tls'):
        return [('NotApplicable', 'backend-protocol', f'{settings.backend_protocol} is for TCP; http1 is used')]
    return []
