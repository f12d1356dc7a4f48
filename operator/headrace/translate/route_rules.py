"""From a rule of an HTTPRoute or GRPCRoute to where its requests go: its policy, and the shares of its backends."""

from dataclasses import replace

import msgspec

from headrace import names
from headrace.annotations import values
from headrace.annotations.keys import BY_NAME, Scope
from headrace.annotations.values import Invalid
from headrace.diagnostics import Diagnostic
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Mirror, Mirrors, Split, WeightedBackend
from headrace.names import Ref
from headrace.objects.grpc_routes import GRPCRule
from headrace.objects.http_routes import HTTPRule, Timeouts
from headrace.objects.kinds import ServicePort
from headrace.objects.route_backends import BackendRef
from headrace.objects.route_filters import ExtensionRef, ExternalAuth, RequestMirror, RequestRedirect
from headrace.translate import (
    affinity,
    backend_tls,
    backends,
    canaries,
    external_authentication,
    policies,
    route_backends,
    route_filters,
    route_locations,
    shapes,
)
from headrace.translate.backends import BackendSpec
from headrace.translate.external_authentication import Lender, Refused
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.own_keys import OwnKeys
from headrace.translate.policies import Policy
from headrace.translate.route_backends import BackendPort
from headrace.translate.route_policies import RoutePolicy

# Statuses of answers that HAProxy can try again after (`retry-on`).
_RETRIED = frozenset((401, 403, 404, 408, 425, 429, 500, 501, 502, 503, 504))
# The timeout of a rule that wants none, in milliseconds: a day, for what is never answered must end at last.
_OFF = 86_400_000


class RuleBuilder:
    """The target of one rule while it is put together; `keys` are the annotations of its route.

    `certificate` is the Secret with the certificate that endpoints are shown, None for none.
    """

    def __init__(
        self, parts: FragmentParts, keys: OwnKeys, number: int, rule: HTTPRule | GRPCRule, certificate: Ref | None
    ) -> None:
        self.parts, self.keys, self.rule, self.certificate = parts, keys, rule, certificate
        self.field = f'spec.rules[{number}]'
        self.label = f'rule/{number}' + (f'/{names.file(certificate)}' if certificate is not None else '')
        self.policy = Policy(names.policy(parts.ref, self.label))
        # The first backend that can be used: pages of errors name it as their origin.
        self._first: BackendPort | None = None

    def target(self) -> Pointer | Split:
        """Return where the rule's requests go."""
        policy, settings = self.policy, self.keys.route
        policies.apply(policy, settings, 'http')
        prefix = self._prefix()
        self._filter(policy, prefix)
        if any(isinstance(each, ExternalAuth) for each in self.rule.filters):
            # It counts, and not what the class asks for of all other routes.
            settings = msgspec.structs.replace(settings, global_auth=False)
        if any(isinstance(each, RequestMirror) for each in self.rule.filters):
            settings = msgspec.structs.replace(settings, mirror_service=None)
        route = RoutePolicy(self.parts, policy, settings, 'http', str, 'the rule')
        redirects = any(isinstance(each, RequestRedirect) for each in self.rule.filters)
        shares = () if redirects else self._shares(policy, prefix)
        route.judge()
        if self._first is not None:
            route.further_services(self._first.service.ref, self._first.port)
        self._close(policy)
        self.parts.data += policy.entries
        if len(shares) <= 1:
            return policy.pointer(shares[0].backend if shares else self._without_backend(redirects=redirects))
        split = Split(shares, policy.name, ''.join(sorted(policy.flags)))
        self.parts.leads.append(split)
        return split

    def _without_backend(self, *, redirects: bool) -> str:
        """Return what stands for the backend of a rule without one.

        At the class's own ports a redirect of a host is its namespace's, as that of an Ingress.
        """
        return f'{self.parts.ref.namespace}_{self.parts.ref.name}_redirect' if redirects else names.UNRESOLVED

    def _filter(self, policy: Policy, prefix: str) -> None:
        """Apply the rule's filters. One that is not supported closes the rule; a mirror that cannot be used gets no copies."""
        route_filters.apply(policy, self.rule.filters, prefix)
        mirrors: list[Mirror] = []
        for number, each in enumerate(self.rule.filters):
            field = f'{self.field}.filters[{number}]'
            if isinstance(each, RequestMirror):
                mirrors += self._mirror(each, f'{field}.requestMirror.backendRef')
            elif isinstance(each, ExternalAuth):
                self._authenticate(policy, each, f'{field}.externalAuth')
            elif isinstance(each, ExtensionRef):
                self._refuse(policy, field, 'a filter of type ExtensionRef is not supported')
        if mirrors:
            policy.add(policies.MIRROR)
            self.parts.leads.append(Mirrors(policy.name, self.parts.ref.namespace, tuple(mirrors)))

    def _refuse(self, policy: Policy, field: str, why: str) -> None:
        """Close the rule, with a diagnostic."""
        policy.add(policies.CLOSED)
        self.parts.diagnostics.append(
            Diagnostic(self.parts.ref, 'UnsupportedValue', f'{why}; the rule is closed', field)
        )

    def _authenticate(self, policy: Policy, each: ExternalAuth, field: str) -> None:
        """Let a backend decide about the rule's requests; close the rule where it cannot be asked."""
        found = route_backends.resolve(
            self.parts.ref, each.backend, f'{field}.backendRef', self.parts.reader, self.parts.context
        )
        if isinstance(found, Diagnostic):
            policy.add(policies.CLOSED)
            self.parts.diagnostics.append(found)
            return
        settings = route_filters.authentication(each, found.port)
        if isinstance(settings, str):
            self._refuse(policy, field, settings)
            return
        if backend_tls.of_port(found.service, found.port.name, self.parts.reader, self.parts.context) is not None:
            self._refuse(policy, field, 'a Service that a BackendTLSPolicy is for cannot be asked')
            return
        if self.keys.route.external_auth_service is not None or self.keys.route.external_auth_url is not None:
            self._refuse(policy, field, 'an annotation names another Service that is asked')
            return
        lender = Lender(self.parts.reader, self.parts.context)
        result = external_authentication.add(policy, found.service.namespace, settings, 'http', lender)
        if result is None or isinstance(result, Refused):
            self._refuse(policy, field, result.why if result else 'the Service cannot be asked')
            return
        demand, lead = result
        self.parts.demands.update(filter(None, [demand]))
        self.parts.leads.append(replace(lead, namespace=self.parts.ref.namespace))

    def _mirror(self, mirror: RequestMirror, field: str) -> list[Mirror]:
        found = route_backends.resolve(self.parts.ref, mirror.backend, field, self.parts.reader, self.parts.context)
        if not isinstance(found, Diagnostic) and isinstance(self.rule, GRPCRule):
            message = 'calls of gRPC have no declared length, so none is copied'
            found = Diagnostic(self.parts.ref, 'UnsupportedValue', message, field)
        if isinstance(found, Diagnostic):
            self.parts.diagnostics.append(found)
            return []
        spec = self._demand(found, ())
        if spec is None:
            return []
        return [Mirror(Pointer(spec.name(found.service.ref), ''), mirror.numerator, mirror.denominator)]

    def _prefix(self) -> str:
        """Return the path that filters replace where they replace what the rule's only match has matched."""
        matches = self.rule.matches if isinstance(self.rule, HTTPRule) else ()
        return matches[0].path.value if matches else route_locations.ROOT

    def _close(self, policy: Policy) -> None:
        if self.rule.problems:
            policy.add(policies.CLOSED)
        for annotation, why in self.keys.closed_by:
            policy.add(policies.CLOSED)
            message, field = f'{annotation}: the route is closed: {why}', f'metadata.annotations[{annotation}]'
            self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'RouteClosed', message, field))

    def _shares(self, policy: Policy, prefix: str) -> tuple[WeightedBackend, ...]:
        """Return the shares of the rule's backends. The only one has the rule's policy, each of several one of its own."""
        weighted = [(number, backend) for number, backend in enumerate(self.rule.backends) if backend.weight]
        for number, backend in enumerate(self.rule.backends):
            if not backend.weight:
                self._resolve(number, backend)
        if len(weighted) > 1:
            return tuple(self._share(number, backend, prefix) for number, backend in weighted)
        for number, backend in weighted:
            if (name := self._backend(policy, number, backend)) is not None:
                route_filters.apply(policy, backend.filters, prefix)
                return (WeightedBackend(name, backend.weight),)
        return ()

    def _share(self, number: int, backend: BackendRef, prefix: str) -> WeightedBackend:
        """Return the share of one of several backends; it has a policy of its own where it needs one."""
        policy = Policy(names.policy(self.parts.ref, f'{self.label}/{number}'))
        name = self._backend(policy, number, backend)
        if name is None:
            return WeightedBackend(names.UNRESOLVED, backend.weight)
        route_filters.apply(policy, backend.filters, prefix)
        if policy.headers is not None:
            self.parts.headers.append(policy.headers)
        self.parts.data += policy.entries
        if not policy.flags:
            return WeightedBackend(name, backend.weight)
        return WeightedBackend(name, backend.weight, policy.name, ''.join(sorted(policy.flags)))

    def _resolve(self, number: int, backend: BackendRef) -> BackendPort | None:
        if backend.problems:
            return None
        field = f'{self.field}.backendRefs[{number}]'
        if unsupported := route_filters.unsupported_of_backend(backend.filters):
            message = f'a filter of type {unsupported} is not supported for a backend, which gets no requests'
            self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'UnsupportedValue', message, f'{field}.filters'))
            return None
        found = route_backends.resolve(self.parts.ref, backend, field, self.parts.reader, self.parts.context)
        if isinstance(found, Diagnostic):
            self.parts.diagnostics.append(found)
            return None
        return found

    def _backend(self, policy: Policy, number: int, backend: BackendRef) -> str | None:
        """Demand a backend, add what its settings ask of the policy, and return its name; None where it cannot be used."""
        found = self._resolve(number, backend)
        if found is None:
            return None
        spec = self._demand(found, self._settings(found.port))
        if spec is None:
            return None
        self._first = self._first or found
        if policy is not self.policy:
            canaries.stay(self.policy, spec.shape)
        seconds = found.service.affinity_seconds if spec.shape.affinity else 0
        self.parts.timeouts += backends.of_policy(policy, spec)
        self.parts.data += affinity.data(policy.name, seconds)
        return spec.name(found.service.ref)

    def _demand(self, found: BackendPort, settings: tuple[tuple[str, object], ...]) -> BackendSpec | None:
        """Demand a backend by TLS where a BackendTLSPolicy asks for it, and return it; None where that cannot be kept."""
        tls = backend_tls.of_port(found.service, found.port.name, self.parts.reader, self.parts.context)
        if tls is not None and tls.server is None:
            return None
        if tls is not None:
            settings = backends.with_value(settings, backends.TLS, tls.server)
        demand, spec = backends.demand(found.service, found.port, 'http', self.parts.context, settings)
        if self.certificate is not None and spec.options.tls is not None:
            settings = backends.with_value(settings, backends.CERTIFICATE, self.certificate)
            demand, spec = backends.demand(found.service, found.port, 'http', self.parts.context, settings)
        self.parts.demands.add(demand)
        return spec

    def _settings(self, port: ServicePort) -> tuple[tuple[str, object], ...]:
        """Return the settings of backends that the rule has for a port, by key."""
        settings = {key: value for key, value in self.keys.values.items() if BY_NAME[key].scope is Scope.BACKEND}
        settings.update(self._session())
        if isinstance(self.rule, GRPCRule):
            settings.setdefault('backend-protocol', backends.http2_protocol(port))
            return tuple(sorted(settings.items()))
        timeouts, retry = self.rule.timeouts, self.rule.retry
        if timeouts is not None:
            settings['timeout-server'] = timeouts.backend_request or timeouts.request or _OFF
        if retry is not None:
            codes = tuple(str(code) for code in retry.codes if code in _RETRIED)
            settings['retry-on'] = (*shapes.FAILURES, *codes)
            settings['retries'] = min(retry.attempts or 1, _most_attempts(timeouts))
        return tuple(sorted(settings.items()))

    def _session(self) -> dict[str, object]:
        """Return the settings of the cookie by which clients stay with their endpoints."""
        session = self.rule.session
        if session is None:
            return {}
        why = 'headers are not supported, cookies are' if session.header else ''
        name = values.cookie(session.name) if session.name else 'true'
        if isinstance(name, Invalid):
            why = f'the name is not one of a cookie: {name.expected}'
        if why:
            field = f'{self.field}.sessionPersistence'
            self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'UnsupportedValue', why, field))
            return {}
        return {'cookie': name, **({'cookie-max-age': session.absolute_timeout} if session.permanent else {})}


def _most_attempts(timeouts: Timeouts | None) -> int:
    """Return how often a request can be tried again, so that all tries together take no longer than it may."""
    if timeouts is None or not timeouts.request or not timeouts.backend_request:
        return shapes.MOST_ATTEMPTS
    return min(timeouts.request // timeouts.backend_request - 1, shapes.MOST_ATTEMPTS)
