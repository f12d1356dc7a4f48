"""From an Ingress to its fragment: routes to backends of Services, which the Services' own fragments make.

Kubernetes' documentation of Ingress is the contract (path types, default backend, wildcard hosts of one label). A path that
cannot be served is closed (503), and never left to a shorter path.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.annotations import parse, values
from headrace.annotations.values import Invalid
from headrace.diagnostics import Diagnostic, shorten
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import ALWAYS, Candidate, Candidates, Conditions
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.ingress import Ingress, IngressBackend, IngressPath, PathType
from headrace.store import Reader
from headrace.translate import budgets, ingress_settings, policies, redirects, regular_expressions
from headrace.translate.budgets import Excess
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.ingress_class import Owner, ingress_class_of
from headrace.translate.ingress_policies import Canary, ExceededError, IngressPolicies, Use
from headrace.translate.ingress_settings import IngressSettings
from headrace.translate.ingress_tls import IngressTls

ANY = '*'
_ROOT = '/'
# Of one host; ingress-nginx takes one.
_MOST_CANARIES = 32
# Of one Ingress, by paths and hosts. More would not fit the entry of a host, and each takes time to parse.
_MOST_EXPRESSIONS = 200
# Where a certificate authority asks for the proof of a host's owner, before there is a certificate (RFC 8555, 8.3).
_CHALLENGES = '/.well-known/acme-challenge/'

# A host ('' for all), a path, and its type.
_PathKey = tuple[str, str, PathType]


def translate(ingress: Ingress, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of an Ingress; one of another class has nothing but what that was decided by."""
    if not context.settings.ingress or not context.exists(ingress.namespace):
        return None
    settings = _settings(ingress, reader, context)
    if settings is None:
        return Fragment(ingress.ref, ingress.created, needs=reader.needs)
    excess = _excess(ingress, settings, context)
    if excess is None:
        try:
            return _IngressBuilder(ingress, settings, reader, context).build()
        except ExceededError as error:
            excess = error.excess
    return budgets.closed_hosts(
        ingress.ref, ingress.created, [*_hosts(ingress), *settings.structure.aliases], reader.needs, excess
    )


def _settings(ingress: Ingress, reader: Reader, context: BuildContext) -> IngressSettings | None:
    """Return what the annotations of an Ingress say, None where it is of another class."""
    decision = ingress_class_of(ingress, reader, context)
    return ingress_settings.read(ingress, decision, context) if decision.owner is Owner.OURS else None


def _excess(ingress: Ingress, settings: IngressSettings, context: BuildContext) -> Excess | None:
    routes = sum(max(1, len(rule.paths)) for rule in ingress.rules)
    routes += len(settings.structure.aliases) * max((len(rule.paths) for rule in ingress.rules), default=0)
    most = context.settings.max_routes_per_object
    return Excess('routes', routes, most, 'maxRoutesPerObject') if routes > most else None


def _hosts(ingress: Ingress) -> list[str]:
    return list(dict.fromkeys([rule.host or ANY for rule in ingress.rules] or [ANY]))


@dataclass(frozen=True, slots=True)
class _Place:
    """A path of a host, and what serves it. `field` is that of its backend in the Ingress."""

    host: str
    path: IngressPath
    field: str


class _IngressBuilder:
    """Puts the parts of an Ingress's fragment together."""

    def __init__(self, ingress: Ingress, settings: IngressSettings, reader: Reader, context: BuildContext) -> None:
        self.parts = FragmentParts(ingress.ref, ingress.created, reader, context)
        self.ref, self.reader, self.context = ingress.ref, reader, context
        self.ingress, self.settings, self.structure = ingress, settings, settings.structure
        self.parts.diagnostics += [*ingress.problems, *settings.diagnostics]
        self.tls = IngressTls(self.parts, ingress, settings)
        self.policies = IngressPolicies(self.parts, settings, self.tls)
        # By key of the route: its candidates by their conditions, and the field of the first one.
        self._candidates: dict[str, tuple[str, dict[Conditions, Candidate]]] = {}
        # By host: the canary Ingresses, and whether paths are regular expressions; and what each canary Ingress offers.
        self._canaries: dict[str, tuple[Ingress, ...]] = {}
        self._expressions: dict[str, bool] = {}
        self._canary_routes: dict[Ref, dict[_PathKey, Canary]] = {}
        self._expression_count = 0

    def build(self) -> Fragment:
        """Return the finished fragment; a canary has routes in the fragments of the others of its host only."""
        if self.structure.canary is not None:
            return self.parts.fragment()
        self.tls.claim(set(_hosts(self.ingress)) - {ANY}, self.structure.aliases)
        for place in self._places():
            self._route(place)
            if self.structure.passthrough and place.path.path == _ROOT and place.host != ANY:
                self._pass_through(place)
        for key, (field, candidates) in self._candidates.items():
            plain = candidates[ALWAYS].target if candidates.keys() == {ALWAYS} else None
            value = plain or Candidates(tuple(candidates.values()))
            self.parts.claims.append(Claim(Kind.ROUTE, key, value, field))
        self._redirects()
        return self.parts.fragment()

    def _places(self) -> Iterator[_Place]:
        """Yield each path of each host that the namespace may have; the default backend comes last, for what is left."""
        default = self.ingress.default_backend
        allowed: dict[str, bool] = {}
        for number, rule in enumerate(self.ingress.rules):
            rule_host, field = rule.host or ANY, f'spec.rules[{number}]'
            for host in (rule_host, *(self.structure.aliases if not number and rule_host != ANY else ())):
                if host not in allowed:
                    allowed[host] = self._may_claim(host, f'{field}.host')
                if not allowed[host]:
                    continue
                for index, path in enumerate(rule.paths):
                    yield _Place(host, path, f'{field}.http.paths[{index}].backend')
                if not rule.paths and default is not None:
                    yield _Place(host, _root_path(default), 'spec.defaultBackend')
        if default is not None and allowed.get(ANY, True) and self.context.may_claim(self.ref.namespace, ANY):
            place = _Place(ANY, _root_path(default), 'spec.defaultBackend')
            if route_key(ANY, _ROOT, exact=False) not in self._candidates:
                yield place

    def _may_claim(self, host: str, field: str) -> bool:
        if self.context.may_claim(self.ref.namespace, host):
            return True
        message = f'namespace {self.ref.namespace} may not claim {host}'
        self.parts.diagnostics.append(Diagnostic(self.ref, 'HostForbidden', message, field))
        return False

    def _route(self, place: _Place) -> None:
        """Add the candidate of a path."""
        if self._is_expression(place):
            self._route_expression(place)
            return
        path = values.route_path(place.path.path)
        if isinstance(path, Invalid):
            # No request can have it: what is no path is refused before routes are looked up.
            message = f'{shorten(place.path.path)} is no path that a request can have; it must be {path.expected}'
            self.parts.diagnostics.append(Diagnostic(self.ref, 'InvalidPath', message, place.field))
            return
        pointer = self.policies.pointer(Use(_backend(place.path), self._canary(place)), place.field)
        if not path.startswith(_CHALLENGES):
            pointer = self._guard(place.host, pointer)
        key = route_key(place.host, path, exact=place.path.type is PathType.EXACT)
        self._add(key, pointer, place.field)

    def _route_expression(self, place: _Place) -> None:
        """Add the candidate of a path that is a regular expression: it can match any path of the host."""
        # ingress-nginx rewrites no path whose expression is the target itself.
        keeps_path = (
            self.settings.dialect == 'ingress-nginx' and self.settings.values.get('rewrite-path') == place.path.path
        )
        use = Use(_backend(place.path), self._canary(place), expression=True, keeps_path=keeps_path)
        key = route_key(place.host, _ROOT, exact=False)
        self._expression_count += 1
        if self._expression_count > _MOST_EXPRESSIONS:
            raise ExceededError(
                Excess('regular expressions', self._expression_count, _MOST_EXPRESSIONS, 'a fixed limit')
            )
        expression = regular_expressions.parse_beginning(place.path.path)
        if isinstance(expression, regular_expressions.Unsupported):
            # What it would match is not known, so all of the host that has no other path is closed.
            message = f'the regular expression {shorten(place.path.path)} {expression.reason}; the host is closed'
            self.parts.diagnostics.append(Diagnostic(self.ref, 'InvalidPath', message, place.field))
            self._add(key, policies.closed(self.policies.pointer(use, place.field)), place.field)
            return
        pointer = self._guard(place.host, self.policies.pointer(use, place.field))
        self._add(key, pointer, place.field, Conditions(path=expression, path_length=len(place.path.path)))

    def _add(self, key: str, pointer: Pointer, field: str, conditions: Conditions = ALWAYS) -> None:
        _, candidates = self._candidates.setdefault(key, (field, {}))
        if conditions in candidates:
            message = 'another path of this Ingress is the same; the first has the requests'
            self.parts.diagnostics.append(Diagnostic(self.ref, 'Conflict', message, field))
            return
        candidates[conditions] = Candidate(pointer, conditions, len(candidates))

    def _guard(self, host: str, pointer: Pointer) -> Pointer:
        """Return what leads to a backend: sent to HTTPS where the host has TLS, closed where it should and cannot."""
        pointer = policies.secured(pointer) if self.tls.redirects(host) else pointer
        return policies.closed(pointer) if host in self.tls.closed_hosts else pointer

    def _pass_through(self, place: _Place) -> None:
        """Claim the TLS of a host as it comes, for the backend of its root."""
        pointer = self.policies.pointer(Use(_backend(place.path), mode='tcp'), place.field)
        self.parts.claims.append(Claim(Kind.TLS, place.host, HostTls(passthrough=pointer), place.field))

    def _is_expression(self, place: _Place) -> bool:
        """Tell whether a path is a regular expression: its own Ingress says so, or another one does for the whole host."""
        if place.host not in self._expressions:
            host = '' if place.host == ANY else place.host
            self._expressions[place.host] = self.structure.use_regex or (
                self.settings.dialect == 'ingress-nginx' and self.reader.has_expressions(self.ingress, host)
            )
        if self._expressions[place.host]:
            return True
        declared = self.tls.exposure.path_type == 'RegularExpression' or self.structure.path_type == 'regex'
        return declared and place.path.type is PathType.IMPLEMENTATION_SPECIFIC

    def _canary(self, place: _Place) -> Canary | None:
        """Return what gets a part of the requests of a path: the same path of the oldest canary Ingress of the host."""
        host, path = '' if place.host == ANY else place.host, place.path
        if host not in self._canaries:
            self._canaries[host] = self.reader.canaries(host)[:_MOST_CANARIES]
        for item in self._canaries[host]:
            if item.ref not in self._canary_routes:
                self._canary_routes[item.ref] = _canary_routes(item, _settings(item, self.reader, self.context))
            if (canary := self._canary_routes[item.ref].get((host, path.path, path.type))) is not None:
                return canary
        return None

    def _redirects(self) -> None:
        """Claim the routes that only redirect: the root of the hosts, and hosts that differ by `www.`."""
        settings = parse.route(self.settings.values)
        hosts = tuple(host for host in _hosts(self.ingress) if self.context.may_claim(self.ref.namespace, host))
        backend = f'{self.ref.namespace}_{self.ref.name}_redirect'
        redirect_routes = list(redirects.roots(self.ref, 'ingress', settings, hosts, backend))
        if settings.www_redirect:
            has_tls = any(map(self.tls.redirects, hosts))
            port = self.context.settings.https_public_port if has_tls else None
            www_routes = redirects.others(self.ref, 'ingress', hosts, backend, port)
            redirect_routes += [
                route for route in www_routes if self._may_claim(route.host, self.parts.field('www-redirect'))
            ]
        for route in redirect_routes:
            key = route_key(route.host, route.path, exact=route.exact)
            if key not in self._candidates:
                self.parts.claims.append(Claim(Kind.ROUTE, key, route.pointer, 'spec.rules'))
                self.parts.data += route.data


def _canary_routes(ingress: Ingress, settings: IngressSettings | None) -> dict[_PathKey, Canary]:
    """Return what a canary Ingress of this class offers, by host, path and type of path."""
    role = settings.structure.canary if settings is not None else None
    routes: dict[_PathKey, Canary] = {}
    for rule in ingress.rules if role is not None else ():
        for path in rule.paths:
            if path.service and role is not None:
                routes.setdefault((rule.host, path.path, path.type), Canary(role, _backend(path)))
    return routes


def _root_path(backend: IngressBackend) -> IngressPath:
    return IngressPath(backend.service, backend.port, backend.resource, _ROOT, PathType.PREFIX)


def _backend(path: IngressPath) -> IngressBackend:
    return IngressBackend(path.service, path.port, path.resource)
