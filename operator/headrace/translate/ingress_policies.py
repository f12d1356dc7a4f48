"""The policies of an Ingress: one for all of its routes, and one for each backend whose Service has settings of its own.

Keys of the backend on a Service count more than those on the Ingress, keys of the route on the Ingress more than those on the
Service. A backend that cannot be served closes its routes.
"""

from dataclasses import dataclass, replace

import msgspec

from headrace import names
from headrace.annotations import parse
from headrace.annotations.foreign.translation import CanaryRole
from headrace.annotations.keys import BY_NAME, Scope
from headrace.annotations.parse import PREFIX, Annotations
from headrace.annotations.settings import RouteSettings
from headrace.annotations.values import HeaderMatch
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Mode, Shape
from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.objects.ingress import IngressBackend
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType
from headrace.translate import affinity, backends, budgets, canaries, policies
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.ingress_settings import IngressSettings
from headrace.translate.ingress_tls import IngressTls
from headrace.translate.policies import Policy
from headrace.translate.route_policies import RoutePolicy


@dataclass(frozen=True, slots=True)
class Canary:
    """A backend of another Ingress that gets a part of the requests of a path."""

    role: CanaryRole
    backend: IngressBackend


@dataclass(frozen=True, slots=True)
class Use:
    """What a route is for: a backend, its canary, and whether its path is a regular expression, which keeps its path or not."""

    backend: IngressBackend
    canary: Canary | None = None
    expression: bool = False
    keeps_path: bool = False
    mode: Mode = 'http'

    @property
    def name(self) -> str:
        """Return what tells the policy of these routes apart from others of the Ingress."""
        special = (self.canary, self.expression, self.keeps_path, self.mode)
        suffix = f' {special}' if special != (None, False, False, 'http') else ''
        return f'{self.backend.service}:{self.backend.port}{suffix}'


_ALL = IngressBackend()


@dataclass(frozen=True, slots=True)
class _Target:
    """A port of a Service, what its annotations say, the settings of a route to it, and its backend."""

    service: Service
    port: ServicePort
    annotations: Annotations
    settings: RouteSettings
    spec: backends.BackendSpec

    @property
    def uses_defaults(self) -> bool:
        """Tell whether the policy of a route to it is that of any other route of the Ingress."""
        further_service = self.settings.canary_service is not None or self.settings.error_service is not None
        service_values = (
            self.annotations.values(self.port.label)
            or self.annotations.closing_keys(self.port.label)
            or self.service.affinity_seconds
        )
        return not service_values and not further_service


class ExceededError(Exception):
    """An Ingress would have more than its budget allows."""

    def __init__(self, excess: budgets.Excess) -> None:
        super().__init__(excess.subject)
        self.excess = excess


class IngressPolicies:
    """The policies of one Ingress while its fragment is put together."""

    def __init__(self, parts: FragmentParts, settings: IngressSettings, tls: IngressTls) -> None:
        self.parts, self.settings, self.tls = parts, settings, tls
        self._pointers: dict[Use, Pointer] = {}
        self._policies: dict[Use, Policy] = {}
        self._entries = 0

    def pointer(self, use: Use, field: str) -> Pointer:
        """Return where requests of routes go; `field` is that of the backend in the Ingress."""
        if (pointer := self._pointers.get(use)) is None:
            pointer = self._pointers[use] = self._resolve(use, field)
        return pointer

    def _resolve(self, use: Use, field: str) -> Pointer:
        backend = use.backend
        ref = Ref('Service', self.parts.ref.namespace, backend.service)
        service = self.parts.reader.other_service(ref) if backend.service else None
        port = _port(service, backend.port)
        problem = self._problem(ref, backend, service, port)
        if problem is None:
            assert service is not None
            assert port is not None
            return self._backend_pointer(service, port, use)
        reason, message = problem
        self.parts.diagnostics.append(Diagnostic(self.parts.ref, reason, f'{message}: its paths answer 503', field))
        policy = self._policy_of(use)
        policy.add(policies.CLOSED)
        return policy.pointer(names.backend(ref, backend.port))

    def _problem(
        self, ref: Ref, backend: IngressBackend, service: Service | None, port: ServicePort | None
    ) -> tuple[str, str] | None:
        """Return why a backend cannot be served, as reason and message; None where it can."""
        if backend.resource:
            return 'UnsupportedBackend', 'a backend that is a resource and no Service is not supported'
        if not backend.service:
            return 'InvalidObject', 'the backend cannot be read'
        if service is None:
            return 'ServiceMissing', f'{ref} does not exist'
        if port is None:
            return 'ServiceMissing', f'{ref} has no TCP port {backend.port}'
        if service.type is ServiceType.EXTERNAL_NAME and not self.parts.context.settings.allow_external_name:
            return 'ExternalNameForbidden', f'{ref} is an ExternalName, which the class does not allow'
        return None

    def _backend_pointer(self, service: Service, port: ServicePort, use: Use) -> Pointer:
        annotations = parse.read(service.ref, service.annotations, service.ports)
        service_values = annotations.values(port.label)
        demand, spec = backends.demand(
            service, port, use.mode, self.parts.context, self._backend_settings(service_values)
        )
        self.parts.demands.add(demand)
        target = _Target(service, port, annotations, self._route_settings(service_values), spec)
        key = replace(use, backend=_ALL) if target.uses_defaults else use
        if (policy := self._policies.get(key)) is None:
            policy = self._policies[key] = self._make(key, target)
        return policy.pointer(spec.name(service.ref))

    def _make(self, use: Use, target: '_Target') -> Policy:
        """Make a policy, and add its data; raises ExceededError where that would be more than an object may have."""
        policy, service, settings, spec = self._policy_of(use), target.service, target.settings, target.spec
        self._count(settings)
        subject = 'each route' if use.backend == _ALL else f'the route to {service.ref}'
        route = RoutePolicy(self.parts, policy, settings, use.mode, str, subject)
        self._rewrite(policy, settings, use)
        route.judge()
        route.further_services(service.ref, target.port)
        self._canary(policy, route, target.port, use, spec.shape)
        self._close(policy, route, target.annotations.closing_keys(target.port.label))
        if spec.ca is not None and self.parts.reader.secret(spec.ca) is None and not self.parts.context.offline:
            route.close('backend-ca-secret', f'{spec.ca} does not exist')
        self.parts.timeouts += backends.of_policy(policy, spec)
        self.parts.data += affinity.data(policy.name, service.affinity_seconds if spec.shape.affinity else 0)
        self.tls.policy(policy, route)
        self.parts.data += policy.entries
        return policy

    def _policy_of(self, use: Use) -> Policy:
        return Policy(names.policy(self.parts.ref, use.name))

    def _count(self, settings: RouteSettings) -> None:
        lists = filter(None, (settings.allow, settings.deny, settings.rate_limit_except))
        self._entries += sum(policies.keys_of(network) for networks in lists for network in networks)
        self._entries += len(settings.cors_allow_origin or ())
        most = self.parts.context.settings.max_entries_per_object
        if self._entries > most:
            raise ExceededError(budgets.Excess('map entries', self._entries, most, 'maxEntriesPerObject'))

    def _rewrite(self, policy: Policy, settings: RouteSettings, use: Use) -> None:
        """Apply the settings of a route; what a regular expression has captured can stand in its new path."""
        if not use.expression or settings.rewrite_path is None:
            policies.apply(policy, settings, use.mode)
            return
        policies.apply(policy, msgspec.structs.replace(settings, rewrite_path=None), use.mode)
        if not use.keeps_path:
            policies.apply_captures(policy, settings.rewrite_path)

    def _route_settings(self, service_values: dict[str, object]) -> RouteSettings:
        """Return the settings of routes: those of the Ingress, and what the Service has besides."""
        route_values = {key: value for key, value in service_values.items() if BY_NAME[key].scope is Scope.ROUTE}
        return parse.route({**route_values, **self.settings.values})

    def _backend_settings(self, service_values: dict[str, object]) -> tuple[tuple[str, object], ...]:
        """Return the settings of the backend that the Ingress has and the Service has not."""
        values = self.settings.values.items()
        return tuple(
            sorted(
                (key, value)
                for key, value in values
                if BY_NAME[key].scope is Scope.BACKEND and key not in service_values
            )
        )

    def _close(self, policy: Policy, route: RoutePolicy, service_keys: tuple[str, ...]) -> None:
        for annotation, why in self.settings.closed_by:
            policy.add(policies.CLOSED)
            message, field = f'{annotation}: {route.subject} is closed: {why}', f'metadata.annotations[{annotation}]'
            self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'RouteClosed', message, field))
        for key in service_keys:
            policy.add(policies.CLOSED)
            message = f'{route.subject} is closed: the value of {PREFIX}{key} there does not parse'
            self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'RouteClosed', message, 'spec.rules'))

    def _canary(self, policy: Policy, route: RoutePolicy, port: ServicePort, use: Use, home: Shape) -> None:
        """Let a part of a policy's requests go to a canary: that of another Ingress, else that of the keys."""
        if use.canary is None:
            route.canary(port, home)
            return
        role, backend = use.canary.role, use.canary.backend
        ref = Ref('Service', self.parts.ref.namespace, backend.service)
        service = self.parts.reader.other_service(ref)
        target = _port(service, backend.port)
        if service is None or target is None or self._problem(ref, backend, service, target):
            return
        service_values = parse.read(service.ref, service.annotations, service.ports).values(target.label)
        demand, spec = backends.demand(
            service, target, use.mode, self.parts.context, self._backend_settings(service_values)
        )
        self.parts.demands.add(demand)
        settings = _with_canary(route.settings, role)
        self.parts.leads.append(canaries.lead(policy, settings, ref, target.label, spec, spec.name(ref)))
        canaries.stay(policy, home, spec.shape)
        if why := policies.apply_canary_pattern(policy, settings):
            self.parts.say('InvalidValue', route.key('canary-header-pattern'), why)


def _with_canary(settings: RouteSettings, role: CanaryRole) -> RouteSettings:
    """Return the settings of a route with what a canary Ingress asks for."""
    return msgspec.structs.replace(
        settings,
        canary_weight=role.weight,
        canary_weight_total=role.total,
        canary_header=HeaderMatch(role.header, role.value) if role.header else None,
        canary_header_pattern=role.pattern or None,
        canary_cookie=role.cookie or None,
    )


def _port(service: Service | None, name: str) -> ServicePort | None:
    """Return the TCP port of a Service that has this name, or this number."""
    ports = [port for port in service.ports if port.protocol is Protocol.TCP] if service else []
    return next((port for port in ports if name in (port.name, str(port.number))), None)
