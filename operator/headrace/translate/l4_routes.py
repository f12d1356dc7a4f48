"""From a TCPRoute or TLSRoute to its fragment: where connections to the listeners that it is attached to go.

A listener's host has one route of these kinds: of several the oldest one serves. A reference that cannot be used keeps its share
of the connections, and these are rejected.
"""

from dataclasses import replace

from headrace import names
from headrace.annotations.keys import BY_NAME, Scope
from headrace.annotations.settings import RouteSettings
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Split, WeightedBackend
from headrace.objects.l4_routes import TCPRoute, TLSRoute
from headrace.objects.route_backends import BackendRef
from headrace.objects.routes import RouteRule
from headrace.store import Reader
from headrace.translate import (
    affinity,
    backend_tls,
    backends,
    budgets,
    own_keys,
    policies,
    route_attachment,
    route_backends,
)
from headrace.translate.budgets import Excess
from headrace.translate.build_context import BuildContext
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy
from headrace.translate.route_policies import RoutePolicy

_FIELD = 'spec.rules[0]'


def translate(route: TCPRoute | TLSRoute, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a route; one without a parent of this class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(route.namespace):
        return None
    hostnames = route.hostnames if isinstance(route, TLSRoute) else ()
    parents = route_attachment.parents(route, hostnames, reader, context)
    if not parents:
        return Fragment(route.ref, route.created, needs=reader.needs)
    builder = _Builder(route, reader, context)
    builder.diagnostics += [*route.diagnostics, *(each for parent in parents for each in parent.diagnostics)]
    builder.attachments = tuple(parent.attachment for parent in parents)
    rule = route.rules[0] if len(route.rules) == 1 and not route.problems else RouteRule()
    attached = [each for parent in parents for each in parent.attached if each.listener.port and route.rules]
    ends = {each.listener.ends_tls for each in attached} or {False}
    targets = {ended: builder.target(rule, ended=ended) for ended in sorted(ends)}
    builder.diagnostics = list(dict.fromkeys(builder.diagnostics))
    for each in attached:
        keys = (f'{each.listener.port}:{host}' for host in each.hosts)
        builder.claims += [Claim(Kind.L4_ROUTE, key, targets[each.listener.ends_tls], 'spec.rules') for key in keys]
    return _within_budget(builder.fragment(), context)


def _within_budget(fragment: Fragment, context: BuildContext) -> Fragment:
    """Return a fragment, closed where it has too many routes."""
    number, most = len(fragment.claims), context.settings.max_routes_per_object
    if number <= most:
        return fragment
    excess = Excess('routes', number, most, 'maxRoutesPerObject')
    diagnostic = replace(excess.diagnostic(fragment.ref), field='spec.parentRefs')
    return replace(budgets.closed_form(fragment), diagnostics=(diagnostic,))


class _Builder(FragmentParts):
    """The fragment of a route while it is put together."""

    def __init__(self, route: TCPRoute | TLSRoute, reader: Reader, context: BuildContext) -> None:
        super().__init__(route.ref, route.created, reader, context)
        self.keys = own_keys.read(route.ref, route.annotations, f'a {route.KIND}')
        self.diagnostics += self.keys.diagnostics
        # Settings that are given for backends count where the Service says nothing.
        self.settings = tuple(
            sorted((key, value) for key, value in self.keys.values.items() if BY_NAME[key].scope is Scope.BACKEND)
        )

    def target(self, rule: RouteRule, *, ended: bool) -> Pointer | Split:
        """Return where the connections of a rule go; `ended` tells that the listener ends their TLS before."""
        policy, settings = Policy(names.policy(self.ref, 'rule/0/tls' if ended else 'rule/0')), self.keys.route
        if ended:
            policy.add(policies.TLS)
        self._apply(policy, settings)
        weighted = [
            (self._backend(number, backend, policy, ended=ended), backend)
            for number, backend in enumerate(rule.backends)
        ]
        shares = tuple(
            WeightedBackend(name or names.UNRESOLVED, backend.weight) for name, backend in weighted if backend.weight
        )
        if len(shares) > 1:
            # Clients of several backends do not stay with an endpoint.
            policy.flags.discard(policies.AFFINITY)
        self.data += policy.entries
        if len(shares) <= 1:
            return policy.pointer(shares[0].backend if shares else names.UNRESOLVED)
        split = Split(shares, policy.name, ''.join(sorted(policy.flags)))
        self.leads.append(split)
        return split

    def _apply(self, policy: Policy, settings: RouteSettings) -> None:
        """Add to the policy what the route's own annotations say; a key that protects and cannot be read closes the route."""
        route = RoutePolicy(self, policy, settings, 'tcp', str, 'the route')
        policies.apply(policy, settings, 'tcp')
        route.judge()
        for annotation, why in self.keys.closed_by:
            policy.add(policies.CLOSED)
            message, field = f'{annotation}: the route is closed: {why}', f'metadata.annotations[{annotation}]'
            self.diagnostics.append(Diagnostic(self.ref, 'RouteClosed', message, field))

    def _backend(self, number: int, backend: BackendRef, policy: Policy, *, ended: bool) -> str:
        """Demand a backend and return its name; '' where it cannot be used.

        BackendTLSPolicies count where the listener ends TLS: what passes through is the client's, or no TLS at all.
        """
        if backend.problems:
            return ''
        field = f'{_FIELD}.backendRefs[{number}]'
        resolved = route_backends.resolve(self.ref, backend, field, self.reader, self.context)
        if isinstance(resolved, Diagnostic):
            self.diagnostics.append(resolved)
            return ''
        service, settings = resolved.service, self.settings
        tls = backend_tls.of_port(service, resolved.port.name, self.reader, self.context) if ended else None
        if tls is not None and tls.server is None:
            return ''
        if tls is not None:
            settings = backends.with_value(settings, backends.TLS, tls.server)
        demand, spec = backends.demand(service, resolved.port, 'tcp', self.context, settings)
        self.demands.add(demand)
        if spec.shape.affinity:
            policy.add(policies.AFFINITY)
            self.data += affinity.data(policy.name, service.affinity_seconds)
        return spec.name(service.ref)
