"""Why something is served, or not: of a Service, or of a host and path.

Pure. The answer is made from the same values that HAProxy gets, never from a second reading of the rules.

An answer is bounded, and made in steps: one object may claim thousands of things, and thousands may claim one thing. The
model may change between two steps, so each step reads it anew.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from headrace.annotations import parse
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Kind, pointers
from headrace.ir.pointers import NoRoute
from headrace.ir.tls import HostTls
from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service, ServiceType
from headrace.objects.routes import Route
from headrace.resolve import route_lookup
from headrace.resolve.claims import find, routes_of
from headrace.resolve.hosts import host_of
from headrace.resolve.state import State
from headrace.store import TRANSLATED, Reader, Store
from headrace.translate import exposure, path_normalisation
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.ingress_class import Owner, ingress_class_of
from headrace.translate.judged_listeners import hosts_above
from headrace.translate.policies import CLOSED

# The answer holds no more than so many claims and diagnostics, and so many objects that wait for one claim.
MOST = 500
MOST_WAITING = 20
# One step looks at so many keys.
_STEP = 500
_KINDS = {
    Kind.ROUTE: 'route',
    Kind.PORT: 'TCP port',
    Kind.ADDRESS: 'address',
    Kind.TLS: 'TLS of host',
    Kind.GATEWAY_PORT: 'port of Gateways',
}
# Kinds of objects that two words name, in this order.
_NAMED = ('Service', 'Ingress', *sorted(TRANSLATED - {'Service', 'Ingress'}))


@dataclass(frozen=True, slots=True)
class Holding:
    """Something that only one object can have: its kind and key, its holder, and the objects that wait, in their order.

    `more` is how many wait besides.
    """

    subject: str
    key: str
    holder: Ref
    waiting: tuple[Ref, ...] = ()
    backend: str = ''
    more: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """One sentence that answers, the claims that it rests on, and the diagnostics about the objects in question.

    `more_claims` and `more_diagnostics` are how many are left out.
    """

    target: str
    served: bool
    because: str
    claims: tuple[Holding, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    more_claims: int = 0
    more_diagnostics: int = 0


Steps = Generator[None, None, Explanation]
DiagnosticsOf = Callable[[Ref], tuple[Diagnostic, ...]]


def explain(state: State, store: Store, target: str) -> Explanation:
    """Return why `NAMESPACE/NAME`, `KIND/NAMESPACE/NAME` or `HOST[/PATH]` is served or not.

    What names a Service of the input is one, then an Ingress, then a Gateway or a route; anything else is a host.
    """
    steps = explaining(state, store, target, state.diagnostics)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            explanation: Explanation = done.value
            return explanation


def explaining(state: State, store: Store, target: str, diagnostics: DiagnosticsOf) -> Steps:
    """Return the steps that lead to the same answer, each of bounded work; `diagnostics` tells those about an object."""
    ref = _ref_of(store, target)
    return _of_host(state, target, diagnostics) if ref is None else _of_object(state, store, ref, diagnostics)


def _ref_of(store: Store, target: str) -> Ref | None:
    """Return the object that a target names, be it there or not; None for a host."""
    parts = target.split('/')
    if len(parts) == 3 and (kind := {item.lower(): item for item in TRANSLATED}.get(parts[0].lower())):  # noqa: PLR2004
        return Ref(kind, *parts[1:])
    if len(parts) != 2:  # noqa: PLR2004
        return None
    namespace, name = parts
    for ref in (Ref(kind, namespace, name) for kind in _NAMED):
        if store.source(ref) is not None:
            return ref
    return Ref('Service', namespace, name) if '.' not in namespace and '*' not in namespace and name else None


def _answer(
    target: str, because: str, claims: list[Holding], diagnostics: Iterable[Diagnostic], *, served: bool, more: int = 0
) -> Explanation:
    """Return an answer that holds no more than it may; `more` claims are left out already."""
    listing = tuple(diagnostics)
    surplus = max(0, len(listing) - MOST)
    return Explanation(target, served, because, tuple(claims[:MOST]), listing[:MOST], more, surplus)


def _of_object(state: State, store: Store, ref: Ref, diagnostics: DiagnosticsOf) -> Steps:
    source, fragment = store.source(ref), state.fragments.get(ref)
    name = f'{ref.namespace}/{ref.name}'
    if source is None:
        return Explanation(name, served=False, because=f'there is no {ref}')
    messages = diagnostics(ref)
    if isinstance(source, Ingress) and (reason := _foreign(source, store, state.context)):
        return _answer(name, reason, [], messages, served=False)
    if isinstance(source, Service) and fragment is None:
        return _answer(name, _reason_without_fragment(source, state.context), [], messages, served=False)
    assert fragment is not None
    claims: list[Holding] = []
    winning = total = 0
    for number, claim in enumerate(fragment.claims):
        if number % _STEP == 0:
            yield
        if claim.kind not in _KINDS:
            continue
        total += 1
        winning += state.claims.serves(fragment, claim, state.fragments)
        if len(claims) < MOST and (held := holding(state, claim.kind, claim.key)) is not None:
            claims.append(held)
            yield
    served, because = _verdict(winning, total, elsewhere=bool(fragment.backends))
    if isinstance(source, Route) and not fragment.attachments:
        because = 'no Gateway of this class is its parent'
    if winning and any(diagnostic.reason == 'RouteClosed' for diagnostic in messages):
        because += '; a route is closed until what protects it can be used'
    return _answer(name, because, claims, messages, served=served, more=total - len(claims))


def _foreign(ingress: Ingress, store: Store, context: BuildContext) -> str:
    """Return why an Ingress is not of this class, or not of this role; '' where it is."""
    if context.role is Role.NODE:
        return 'the node role serves no Ingresses'
    if not context.settings.ingress:
        return 'the class serves no Ingresses (ingress)'
    if not context.exists(ingress.namespace):
        return f'namespace {ingress.namespace} is not among the namespaces of this installation'
    decision = ingress_class_of(ingress, Reader(store, ingress.ref), context)
    return '' if decision.owner is Owner.OURS else decision.reason


def _verdict(winning: int, total: int, *, elsewhere: bool) -> tuple[bool, str]:
    """Return whether a Service is served that holds so many of its claims, and why; `elsewhere`: by other Services."""
    if winning:
        return True, f'it has {winning} of the {total} things that it claims'
    if total:
        return False, 'everything that it claims is held by others'
    if elsewhere:
        return (
            True,
            'it is reached through other objects only: Ingresses, or Services of which it is the canary or for which it authenticates, answers errors or gets copies',
        )
    return False, 'it asks to be served, but nothing of it can be exposed; the diagnostics say why'


def _reason_without_fragment(service: Service, context: BuildContext) -> str:
    """Return why a Service has no fragment at all."""
    if not context.exists(service.namespace):
        return f'namespace {service.namespace} is not among the namespaces of this installation'
    if context.role is Role.NODE:
        return _reason_at_node(service, context)
    annotations = parse.read(service.ref, service.annotations, service.ports)
    if not exposure.is_ours(service, annotations, context):
        other = annotations.service.get('class') or service.load_balancer_class
        reason = f'it belongs to class {other}' if other else 'it names no class'
        return f'{reason}, and this is class {context.class_name}'
    if annotations.service.get('enabled') is False:
        return 'headrace.io/enabled is false'
    if service.type is ServiceType.LOAD_BALANCER and not service.load_balancer_class:
        return 'it names no loadBalancerClass, and this is not the default class'
    return 'nothing asks for it: no headrace.io/host, headrace.io/port or headrace.io/enabled: "true"'


def _reason_at_node(service: Service, context: BuildContext) -> str:
    """Return why a node leaves a Service to kube-proxy."""
    annotations = dict(service.annotations)
    if service.proxy_name is not None and service.proxy_name != context.class_name:
        return f'its label gives it to the service proxy {service.proxy_name}'
    if service.proxy_name is None and annotations.get('proxy') != 'node':
        return 'it does not ask for the node role: headrace.io/proxy: node'
    if service.proxy_name is None and (other := annotations.get('class', DEFAULT_CLASS)) != context.class_name:
        return f'it belongs to class {other}, and this is class {context.class_name}'
    return 'the node role serves clusterIPs, and it has none that headrace may take over'


def holding(state: State, kind: Kind, key: str) -> Holding | None:
    """Return who claims a key, be it of a host that belongs to another namespace; None when no object does any more."""
    refs = state.claims.parties((kind, key))
    if not refs:
        return None
    claim = find(state.fragments[refs[0]], (kind, key))
    host_holder = state.claims.hosts.holder(host_of(claim)) if claim else None
    holds = bool(state.claims.claimants((kind, key)))
    if not holds and host_holder is not None:
        refs = (host_holder[0], *refs)
    content = state.claims.content((kind, key), state.fragments) if holds else None
    backend = ', '.join(dict.fromkeys(pointer.backend for pointer in pointers(content)))
    if isinstance(content, HostTls) and not content.passthrough:
        backend = ', '.join(content.certificates)
    waiting = refs[1 : 1 + MOST_WAITING]
    text = claim.address or key if claim else key
    return Holding(_KINDS.get(kind, str(kind)), text, refs[0], waiting, backend, len(refs) - 1 - len(waiting))


def _of_host(state: State, target: str, diagnostics: DiagnosticsOf) -> Steps:
    """Return who serves `HOST[/PATH]`, as HAProxy would find it: exact host, `*.` and the rest, then any host."""
    host, slash, rest = target.partition('/')
    host, path = host.lower().partition(':')[0].rstrip('.'), (slash + rest).partition('?')[0] or '/'
    candidates = [host, f'*.{host.partition(".")[2]}', '*'] if '*' not in host else [host]
    excluded = yield from _excluded(state, host)
    key = route_lookup.route_for(state, candidates, path)
    if key is not None and (claim := holding(state, Kind.ROUTE, key)) is not None:
        return _of_route(state, target, (path, candidates), [claim, *excluded], diagnostics)
    if at_gateways := _at_gateways(state, host, path):
        because = ', '.join(f'{each.holder} has candidates for {each.key}' for each in at_gateways)
        return _answer(target, because, at_gateways, _about(at_gateways, diagnostics), served=True)
    routes = yield from _routes(state, candidates)
    owner = route_lookup.first_owner(state, candidates)
    for stem in candidates:
        if (keys := routes.get(stem)) and owner in ('', state.claims.hosts.owner(stem)):
            claims: list[Holding] = []
            for each in keys[:MOST]:
                yield
                if (claim_of_path := holding(state, Kind.ROUTE, each)) is not None:
                    claims.append(claim_of_path)
            because = f'host {stem} has no route for {path}: 404'
            return _answer(target, because, [*claims, *excluded], (), served=False, more=len(keys) - len(claims))
    for stem in candidates:
        tls = holding(state, Kind.TLS, stem)
        if tls is not None and owner in ('', tls.holder.namespace):
            whole_host = Holding(tls.subject, stem, tls.holder, tls.waiting, more=tls.more)
            because = f'{tls.holder} has its TLS as it comes; without TLS: 404'
            return _answer(target, because, [whole_host, *excluded], _about([tls, *excluded], diagnostics), served=True)
    because = f'host {host} belongs to namespace {owner}, which has no' if excluded else 'no object has a'
    messages = _about(excluded, diagnostics)
    return _answer(target, f'{because} route for this host: 404', excluded, messages, served=False)


def _at_gateways(state: State, host: str, path: str) -> list[Holding]:
    """Return the routes of listeners of Gateways that a request for a host can take, one for each port.

    Their conditions may leave it to shorter paths and less specific hosts.
    """
    claims = []
    for port in sorted(state.claims.keys_of(Kind.GATEWAY_PORT)):
        for stem in hosts_above(host):
            key = route_lookup.longest(state, f'{port}:{stem}', path)
            content = route_lookup.content(state, key) if key else None
            if key and not isinstance(content, NoRoute) and (claim := holding(state, Kind.ROUTE, key)) is not None:
                claims.append(claim)
            if content is not None:
                break
    return claims


def _excluded(state: State, host: str) -> Generator[None, None, list[Holding]]:
    """Return what objects claim of a host that belongs to another namespace, up to the bound of an answer."""
    claims: dict[tuple[Kind, str], Holding] = {}
    owner = state.claims.hosts.owner(host)
    for ref in state.claims.hosts.namers(host):
        if ref.namespace == owner:
            continue
        yield
        if (fragment := state.fragments.get(ref)) is None:
            continue
        for number, key in enumerate(((Kind.TLS, host), *routes_of(fragment, host))):
            if number % _STEP == 0:
                yield
            claim = find(fragment, key)
            if len(claims) >= MOST or claim is None or state.claims.hosts.admits(ref.namespace, claim):
                continue
            if (held := holding(state, *key)) is not None:
                claims[key] = held
    return [claims[key] for key in sorted(claims)]


def _of_route(
    state: State, target: str, request: tuple[str, list[str]], claims: list[Holding], diagnostics: DiagnosticsOf
) -> Explanation:
    """Return what becomes of a request, its path and the hosts to try, that a route was found for: the first claim."""
    (path, candidates), route = request, claims[0]
    # What waits for that route is shown with it.
    claims = [route, *(each for each in claims[1:] if (each.subject, each.key) != (route.subject, route.key))]
    if because := _refusal(state, candidates, path, route.key):
        return _answer(target, because, claims, (), served=False)
    because = f'{route.holder} holds {route.key}'
    if route.waiting:
        more = f' and {route.more} others' if route.more else ''
        because += f', before {", ".join(map(str, route.waiting))}{more}: the oldest has it'
    if _is_closed(state, route.key):
        because += '; it is closed until what protects it can be used: 503'
    return _answer(target, because, claims, _about(claims, diagnostics), served=True)


def _about(claims: Iterable[Holding], diagnostics: DiagnosticsOf) -> Iterable[Diagnostic]:
    refs = dict.fromkeys(ref for claim in claims for ref in (claim.holder, *claim.waiting))
    return (diagnostic for ref in refs for diagnostic in diagnostics(ref))


def _routes(state: State, stems: list[str]) -> Generator[None, None, dict[str, list[str]]]:
    """Return the keys of all routes of some hosts, sorted."""
    routes: dict[str, list[str]] = {}
    for number, key in enumerate(state.claims.keys_of(Kind.ROUTE)):
        if number % _STEP == 0:
            yield
        stem = key.partition('/')[0]
        if stem in stems:
            routes.setdefault(stem, []).append(key)
    return {stem: sorted(keys) for stem, keys in routes.items()}


def _is_closed(state: State, key: str) -> bool:
    return any(CLOSED in pointer.flags for pointer in pointers(route_lookup.content(state, key)))


def _refusal(state: State, candidates: list[str], path: str, key: str) -> str:
    """Return why the path of a request is refused although it has a route; '' where it is not."""
    alternative = path_normalisation.other(path)
    if alternative is None:
        return 'the path has dot segments or a broken escape: 400'
    other_route = route_lookup.route_for(state, candidates, alternative)
    if other_route is not None and route_lookup.content(state, other_route) == route_lookup.content(state, key):
        return ''
    return f'an endpoint could read the path as {alternative}, which has another route: 400'


def value(explanation: Explanation) -> dict[str, object]:
    """Return an explanation as one value for JSON."""
    return {
        'target': explanation.target,
        'served': explanation.served,
        'because': explanation.because,
        'claims': [
            {
                'what': claim.subject,
                'key': claim.key,
                'holder': str(claim.holder),
                'waiting': [str(ref) for ref in claim.waiting],
                'backend': claim.backend,
                'moreWaiting': claim.more,
            }
            for claim in explanation.claims
        ],
        'diagnostics': [diagnostic.value for diagnostic in explanation.diagnostics],
        'moreClaims': explanation.more_claims,
        'moreDiagnostics': explanation.more_diagnostics,
    }
