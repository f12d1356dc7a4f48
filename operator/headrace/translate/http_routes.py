"""From an HTTPRoute or GRPCRoute to its fragment: candidates at the ports of the listeners that it is attached to.

The Gateway API is the contract. A reference that cannot be used keeps its share of the requests, which get the status 500 (a gRPC
call 503); a rule that cannot be read is closed (503), and its requests are never left to other rules.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headrace.annotations.keys import BY_NAME
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.routing import ALWAYS, Candidate, Candidates, Conditions, Target
from headrace.names import Ref
from headrace.objects.grpc_routes import GRPCRoute, GRPCRule
from headrace.objects.http_routes import HTTPRoute, HTTPRule
from headrace.objects.route_matches import GRPCMatch, HTTPMatch
from headrace.store import Reader
from headrace.translate import budgets, own_keys, policies, route_attachment, route_locations
from headrace.translate.budgets import Excess
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.route_rules import RuleBuilder

_REDIRECT, _SHARE = (
    'Services and Ingresses; here a RequestRedirect filter does that',
    'Services; here the weights of backends do that',
)
# Keys of routes that the rules of a route say by themselves.
_ELSEWHERE = {
    **dict.fromkeys(('tls-redirect', 'redirect-root', 'www-redirect'), _REDIRECT),
    **dict.fromkeys((key for key in BY_NAME if key.startswith('canary-')), _SHARE),
}


def translate(route: HTTPRoute | GRPCRoute, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a route; one without a parent of this class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(route.namespace):
        return None
    return _RouteBuilder(route, reader, context).build()


@dataclass(frozen=True, slots=True)
class _Place:
    """A bound port and a host of it."""

    port: int
    host: str

    @property
    def stem(self) -> str:
        """Return what the keys of its routes begin with."""
        return f'{self.port}:{self.host}'


class _RouteBuilder(FragmentParts):
    """The fragment of a route while it is put together."""

    def __init__(self, route: HTTPRoute | GRPCRoute, reader: Reader, context: BuildContext) -> None:
        super().__init__(route.ref, route.created, reader, context)
        self.route = route
        subject = f'{"a" if route.KIND.startswith("G") else "an"} {route.KIND}'
        self.keys = own_keys.read(route.ref, route.annotations, subject, elsewhere=_ELSEWHERE)
        self._candidates: dict[str, dict[Conditions, Candidate]] = {}

    def build(self) -> Fragment:
        """Return the finished fragment."""
        parents = route_attachment.parents(self.route, self.route.hostnames, self.reader, self.context)
        if not parents:
            return Fragment(self.ref, self.created, needs=self.reader.needs)
        self.diagnostics += [*self.route.diagnostics, *self.keys.diagnostics]
        self.diagnostics += [diagnostic for parent in parents for diagnostic in parent.diagnostics]
        self.attachments = tuple(parent.attachment for parent in parents)
        # Of two Gateways at one port the first counts.
        places: dict[_Place, Ref | None] = {}
        for parent in parents:
            for attached in parent.attached:
                for host in attached.hosts if attached.listener.port else ():
                    places.setdefault(_Place(attached.listener.port, host), parent.certificate)
        if (excess := self._excess(len(places))) is not None:
            closed = budgets.closed_hosts(
                self.ref, self.created, [place.stem for place in places], self.reader.needs, excess
            )
            return replace(closed, attachments=self.attachments)
        rules: tuple[HTTPRule | GRPCRule, ...] = self.route.rules
        for number, rule in enumerate(rules):
            self._build_rule(number, rule, places)
        for key, candidates in self._candidates.items():
            plain = candidates[ALWAYS].target if candidates.keys() == {ALWAYS} else None
            self.claims.append(Claim(Kind.ROUTE, key, plain or Candidates(tuple(candidates.values())), 'spec.rules'))
        return self.fragment()

    def _build_rule(self, number: int, rule: HTTPRule | GRPCRule, places: Mapping[_Place, Ref | None]) -> None:
        targets: dict[Ref | None, Target] = {
            certificate: RuleBuilder(self, self.keys, number, rule, certificate).target()
            for certificate in dict.fromkeys(places.values() or (None,))
        }
        matches: tuple[HTTPMatch | GRPCMatch, ...] = rule.matches
        for position, match in enumerate(matches):
            try:
                location = route_locations.of_match(match)
            except route_locations.UnreadableError as error:
                field = f'spec.rules[{number}].matches[{position}]'
                self.diagnostics.append(Diagnostic(self.ref, 'UnsupportedValue', str(error), field))
                location = route_locations.closed(match)
                targets = {certificate: policies.closed_target(target) for certificate, target in targets.items()}
            for place, certificate in places.items():
                key = route_key(place.stem, location.path, exact=location.exact)
                self._add(key, location.conditions, targets[certificate])

    def _excess(self, places: int) -> Excess | None:
        routes = places * sum(len(rule.matches) for rule in self.route.rules)
        most = self.context.settings.max_routes_per_object
        return Excess('routes', routes, most, 'maxRoutesPerObject') if routes > most else None

    def _add(self, key: str, conditions: Conditions, target: Target) -> None:
        """Add a candidate; of two with equal conditions the first one serves."""
        candidates = self._candidates.setdefault(key, {})
        candidates.setdefault(conditions, Candidate(target, conditions, len(candidates)))
