"""The policy of a route: what its settings say of requests, and what closes it, whichever object gives the settings."""

from collections.abc import Callable

from headrace.annotations import keys
from headrace.annotations.parse import Annotations
from headrace.annotations.settings import RouteSettings
from headrace.annotations.values import MAX_HEADERS
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Mode, Shape
from headrace.names import Ref
from headrace.objects.kinds import ServicePort
from headrace.translate import (
    backends,
    canaries,
    credentials,
    external_authentication,
    further_services,
    policies,
    response_headers,
)
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy


class RoutePolicy:
    """A policy while it is put together.

    `key` gives a key of headrace as the object's author wrote it, and `shown` names the route in diagnostics.
    """

    def __init__(
        self,
        parts: FragmentParts,
        policy: Policy,
        settings: RouteSettings,
        mode: Mode,
        key: Callable[[str], str],
        subject: str,
    ) -> None:
        self.parts, self.policy, self.settings, self.mode = parts, policy, settings, mode
        self.key, self.subject = key, subject
        self._lender = external_authentication.Lender(
            parts.reader, parts.context, parts.variant, own_routes=parts.ref.kind in ('Service', 'Ingress')
        )

    def close(self, key: str, why: str) -> None:
        """Close the route, with a diagnostic about a key."""
        self.policy.add(policies.CLOSED)
        self.parts.say('RouteClosed', self.key(key), f'{self.subject} is closed: {why}')

    def close_unparsed(self, annotations: Annotations, label: str) -> None:
        """Close the route where the value of a key that protects it does not parse."""
        for key in annotations.closing_keys(label):
            if key not in keys.HTTP_ONLY or self.mode == 'http':
                self.close(*annotations.closing_reason(key))

    def judge(self) -> None:
        """Add what the settings say that needs other objects, or more than one key; their plain values are applied before."""
        if self.settings.cors_allow_credentials and '*' in (self.settings.cors_allow_origin or ()):
            message = 'an origin of * excludes credentials, so none are allowed'
            self.parts.say('ContradictoryKeys', self.key('cors-allow-credentials'), message)
        if self.settings.response_headers_config_map is not None and self.mode == 'http':
            self._response_headers(self.settings.response_headers_config_map)
        if self.policy.headers is not None:
            self.parts.headers.append(self.policy.headers)
        if self.settings.basic_auth_secret is not None:
            self._users(self.settings.basic_auth_secret)
        self._authentication()
        if self.mode == 'http' and not policies.satisfy(self.policy, self.settings):
            message = f'it needs {self.parts.annotation("allow")}, and a password or an authentication Service'
            self.parts.say('NotApplicable', self.key('satisfy'), message)

    def _response_headers(self, name: str) -> None:
        """Set the headers of a ConfigMap, if the class allows all of them."""
        key, config_map = self.key('response-headers-config-map'), Ref('ConfigMap', self.parts.ref.namespace, name)
        headers = response_headers.read(config_map, self.parts.reader, self.parts.context)
        if isinstance(headers, response_headers.Unusable):
            self.parts.say(headers.reason, key, headers.message)
        elif not policies.add_response_headers(self.policy, headers):
            message = f'its headers and those of response-headers are longer than {MAX_HEADERS} together'
            self.parts.say('InvalidValue', key, message)

    def _users(self, name: str) -> None:
        if self.mode != 'http':
            self.close('basic-auth-secret', 'only HTTP has authentication')
            return
        parts, secret = self.parts, Ref('Secret', self.parts.ref.namespace, name)
        key = self.key('basic-auth-secret')
        named = self.settings.basic_auth_secret_type == 'auth-map'  # noqa: S105
        why, userlists = credentials.apply(
            self.policy, secret, key, parts.reader, parts.context, parts.say, named=named
        )
        parts.userlists += userlists
        if why:
            self.close('basic-auth-secret', why)

    def _authentication(self) -> None:
        """Let another Service decide about requests; close the route where it cannot be asked."""
        parts, key = self.parts, external_authentication.key(self.settings)
        of_class = external_authentication.with_class(self.settings, self.mode, parts.context)
        result = external_authentication.add(
            self.policy,
            parts.ref.namespace,
            of_class or self.settings,
            self.mode,
            self._lender,
            of_class=of_class is not None,
        )
        if isinstance(result, external_authentication.Refused):
            if of_class is None:
                self.close(key, result.why)
            else:
                self.policy.add(policies.CLOSED)
                message = f"{self.subject} is closed: the class's globalAuth: {result.why}"
                parts.diagnostics.append(Diagnostic(parts.ref, 'RouteClosed', message, 'metadata'))
        elif result is not None:
            demand, lead = result
            parts.demands.update(filter(None, [demand]))
            parts.leads.append(lead)
        if self.settings.external_auth_url is not None and key != 'external-auth-url':
            parts.say('ContradictoryKeys', self.key('external-auth-url'), external_authentication.SERVICE_COUNTS)

    def further_services(self, service: Ref, port: ServicePort) -> None:
        """Let other Services answer in the place of errors of a Service's port, or get copies of its requests."""
        if self.mode != 'http':
            return
        parts, ingress = self.parts, self.parts.ref.name if self.parts.ref.kind == 'Ingress' else ''
        origin = further_services.Origin(service, port.number, ingress)
        for key, result in further_services.add(self.policy, self.settings, origin, parts.ref.namespace, self._lender):
            if isinstance(result, external_authentication.Refused):
                parts.say('ServiceMissing', self.key(key), result.why)
            else:
                parts.demands.add(result.demand)
                parts.leads.append(result.lead)

    def canary(self, port: ServicePort, home: Shape) -> None:
        """Let a part of the requests for a port, whose backend has the shape `home`, go to another Service."""
        name = self.settings.canary_service
        if name is None or self.mode != 'http':
            return
        ref = Ref('Service', self.parts.ref.namespace, name)
        service = self.parts.reader.other_service(ref)
        target = canaries.target(service, port)
        if service is None or target is None:
            self.parts.say('ServiceMissing', self.key('canary-service'), canaries.missing_port(ref, service))
            return
        demand, spec = backends.demand(service, target, self.mode, self.parts.context)
        self.parts.demands.add(demand)
        lead = canaries.lead(
            self.policy, self.settings, ref, target.label, spec, spec.name(ref, self.parts.variant(service))
        )
        self.parts.leads.append(lead)
        if why := policies.apply_canary_pattern(self.policy, self.settings):
            self.parts.say('InvalidValue', self.key('canary-header-pattern'), why)
        canaries.stay(self.policy, home, spec.shape)
