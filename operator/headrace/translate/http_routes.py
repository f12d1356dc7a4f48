"""From an HTTPRoute to its fragment: candidates at the ports of the listeners that it is attached to.

The Gateway API is the contract. A reference that cannot be used keeps its share of the requests, which get the status 500; a
rule that cannot be read is closed (503), and its requests are never left to other rules.
"""

from dataclasses import dataclass, replace

from headrace import names
from headrace.annotations.keys import BY_NAME, Scope
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Attachment, Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import (
    ALWAYS,
    Candidate,
    Candidates,
    Conditions,
    HeaderMatch,
    QueryMatch,
    Split,
    Target,
    WeightedBackend,
)
from headrace.objects.http_routes import HTTPRoute, HTTPRule
from headrace.objects.route_backends import BackendRef
from headrace.objects.route_filters import RequestRedirect
from headrace.objects.route_matches import HTTPMatch, PathKind, ValueMatch
from headrace.store import Reader
from headrace.translate import (
    affinity,
    backend_tls,
    backends,
    budgets,
    own_keys,
    policies,
    regular_expressions,
    route_attachment,
    route_backends,
    route_filters,
)
from headrace.translate.budgets import Excess
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy
from headrace.translate.regular_expressions import Unsupported
from headrace.translate.route_backends import BackendPort
from headrace.translate.route_policies import RoutePolicy

_ROOT = '/'
# Statuses of answers that HAProxy can try again after (`retry-on`).
_RETRIED = frozenset((401, 403, 404, 408, 425, 429, 500, 501, 502, 503, 504))
_MOST_ATTEMPTS = 10


def translate(route: HTTPRoute, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of an HTTPRoute; one without a parent of this class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(route.namespace):
        return None
    return _HTTPRouteBuilder(route, reader, context).build()


@dataclass(frozen=True, slots=True)
class _Place:
    """A bound port and a host of it."""

    port: int
    host: str

    @property
    def stem(self) -> str:
        """Return what the keys of its routes begin with."""
        return f'{self.port}:{self.host}'


class _UnreadableError(Exception):
    """A match that cannot be judged: the rule is closed."""


class _HTTPRouteBuilder(FragmentParts):
    """The fragment of an HTTPRoute while it is put together."""

    def __init__(self, route: HTTPRoute, reader: Reader, context: BuildContext) -> None:
        super().__init__(route.ref, route.created, reader, context)
        self.route = route
        self.keys = own_keys.read(route.ref, route.annotations, 'an HTTPRoute')
        self._candidates: dict[str, dict[Conditions, Candidate]] = {}

    def build(self) -> Fragment:
        """Return the finished fragment."""
        parents = route_attachment.parents(self.route, self.route.hostnames, self.reader, self.context)
        if not parents:
            return Fragment(self.ref, self.created, needs=self.reader.needs)
        self.diagnostics += [*self.route.diagnostics, *self.keys.diagnostics]
        self.diagnostics += [diagnostic for parent in parents for diagnostic in parent.diagnostics]
        self.attachments = tuple(_attachment(parent) for parent in parents)
        places = dict.fromkeys(
            _Place(attached.listener.port, host)
            for parent in parents
            for attached in parent.attached
            if attached.listener.port
            for host in attached.hosts
        )
        if (excess := self._excess(len(places))) is not None:
            closed = budgets.closed_hosts(
                self.ref, self.created, [place.stem for place in places], self.reader.needs, excess
            )
            return replace(closed, attachments=self.attachments)
        for number, rule in enumerate(self.route.rules):
            _RuleBuilder(self, number, rule).build(list(places))
        for key, candidates in self._candidates.items():
            plain = candidates[ALWAYS].target if candidates.keys() == {ALWAYS} else None
            self.claims.append(Claim(Kind.ROUTE, key, plain or Candidates(tuple(candidates.values())), 'spec.rules'))
        return self.fragment()

    def _excess(self, places: int) -> Excess | None:
        routes = places * sum(len(rule.matches) for rule in self.route.rules)
        most = self.context.settings.max_routes_per_object
        return Excess('routes', routes, most, 'maxRoutesPerObject') if routes > most else None

    def add(self, key: str, conditions: Conditions, target: Target) -> None:
        """Add a candidate; of two with equal conditions the first one serves."""
        candidates = self._candidates.setdefault(key, {})
        candidates.setdefault(conditions, Candidate(target, conditions, len(candidates)))


class _RuleBuilder:
    """One rule while its candidates are made."""

    def __init__(self, parts: _HTTPRouteBuilder, number: int, rule: HTTPRule) -> None:
        self.parts, self.rule = parts, rule
        self.field = f'spec.rules[{number}]'
        self.label = f'rule/{number}'

    def build(self, places: list[_Place]) -> None:
        """Add the candidates of the rule at some places."""
        target: Target = self._target()
        for number, match in enumerate(self.rule.matches):
            try:
                conditions = _conditions(match)
            except _UnreadableError as error:
                field = f'{self.field}.matches[{number}]'
                self.parts.diagnostics.append(Diagnostic(self.parts.ref, 'UnsupportedValue', str(error), field))
                conditions, target = replace(ALWAYS, method=match.method), policies.closed_target(target)
            exact = match.path.kind is PathKind.EXACT
            path = match.path.value if match.path.kind is not PathKind.EXPRESSION else _ROOT
            for place in places:
                self.parts.add(route_key(place.stem, path, exact=exact), conditions, target)

    def _target(self) -> Pointer | Split:
        """Return where the rule's requests go."""
        policy, settings = Policy(names.policy(self.parts.ref, self.label)), self.parts.keys.route
        route = RoutePolicy(self.parts, policy, settings, 'http', str, 'the rule')
        policies.apply(policy, settings, 'http')
        prefix = self.rule.matches[0].path.value if self.rule.matches else _ROOT
        route_filters.apply(policy, self.rule.filters, prefix)
        redirects = any(isinstance(each, RequestRedirect) for each in self.rule.filters)
        shares = () if redirects else self._shares(policy, prefix)
        route.judge()
        self._close(policy)
        self.parts.data += policy.entries
        if len(shares) <= 1:
            return policy.pointer(shares[0].backend if shares else names.UNRESOLVED)
        split = Split(shares, policy.name, ''.join(sorted(policy.flags)))
        self.parts.leads.append(split)
        return split

    def _close(self, policy: Policy) -> None:
        if self.rule.problems:
            policy.add(policies.CLOSED)
        for annotation, why in self.parts.keys.closed_by:
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
        service, settings = found.service, self._settings()
        tls = backend_tls.of_port(service, found.port.name, self.parts.reader, self.parts.context)
        if tls is not None and tls.server is None:
            return None
        if tls is not None:
            settings = tuple(sorted((*settings, (backends.TLS, tls.server)), key=lambda item: item[0]))
        demand, spec = backends.demand(service, found.port, 'http', self.parts.context, settings)
        self.parts.demands.add(demand)
        self.parts.timeouts += backends.of_policy(policy, spec)
        self.parts.data += affinity.data(policy.name, service.affinity_seconds if spec.shape.affinity else 0)
        return spec.name(service.ref)

    def _settings(self) -> tuple[tuple[str, object], ...]:
        """Return the settings of backends that the rule has, by key."""
        values = {key: value for key, value in self.parts.keys.values.items() if BY_NAME[key].scope is Scope.BACKEND}
        timeouts, retry = self.rule.timeouts, self.rule.retry
        if timeouts is not None and (timeout := timeouts.backend_request or timeouts.request):
            values['timeout-server'] = timeout
        if retry is not None:
            codes = tuple(str(code) for code in retry.codes if code in _RETRIED)
            values['retry-on'] = ('conn-failure', 'empty-response', 'response-timeout', *codes)
            values['retries'] = min(retry.attempts or 1, _MOST_ATTEMPTS)
        return tuple(sorted(values.items()))


def _attachment(parent: route_attachment.Parent) -> Attachment:
    listeners = ((each.listener.owner, each.listener.listener.name) for each in parent.attached)
    return Attachment(parent.part, tuple(dict.fromkeys(listeners)))


def _conditions(match: HTTPMatch) -> Conditions:
    """Return what a request must fulfil besides its path; raises _UnreadableError for an expression that is not supported."""
    path = _expression(match.path.value) if match.path.kind is PathKind.EXPRESSION else ''
    if not (match.method or match.headers or match.query or path):
        return ALWAYS
    headers = tuple(sorted(HeaderMatch(each.name, _value(each), each.expression) for each in match.headers))
    query = tuple(sorted(QueryMatch(each.name, _value(each), each.expression) for each in match.query))
    return Conditions(match.method, headers, query, path, len(match.path.value) if path else 0)


def _value(match: ValueMatch) -> str:
    return _expression(match.value) if match.expression else match.value


def _expression(text: str) -> str:
    parsed = regular_expressions.parse(text)
    if isinstance(parsed, Unsupported):
        raise _UnreadableError(f'the regular expression {text[:60]!a} {parsed.reason}; the rule is closed')
    return parsed
