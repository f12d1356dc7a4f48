"""Why something is served, or not: of a Service, or of a host and path.

Pure. The answer is made from the same values that HAProxy gets, never from a second reading of the rules.

An answer is bounded, and made in steps: one object may claim thousands of things, and thousands may claim one thing. The
model may change between two steps, so each step reads it anew.
"""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass

from headrace.annotations import parse
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Content, Kind, pointers
from headrace.ir.tls import HostTls
from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service, ServiceType
from headrace.resolve.claims import find, routes_of
from headrace.resolve.hosts import named
from headrace.resolve.state import State
from headrace.store import TRANSLATED, Reader, Store
from headrace.translate import exposure, path_normalisation
from headrace.translate.build_context import BuildContext, Role
from headrace.translate.ingress_class import Owner, ingress_class_of
from headrace.translate.policies import CLOSED

# The answer holds no more than so many claims and diagnostics, and so many objects that wait for one claim.
MOST = 500
MOST_WAITING = 20
# One step looks at so many keys.
_STEP = 500
_SHOWN = {Kind.ROUTE: 'route', Kind.PORT: 'TCP port', Kind.ADDRESS: 'address', Kind.TLS: 'TLS of host'}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Something that only one object can have: its kind and key, its holder, and the objects that wait, in their order.

    `more` is how many wait besides.
    """

    what: str
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
    claims: tuple[Claimed, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    more_claims: int = 0
    more_diagnostics: int = 0


Steps = Generator[None, None, Explanation]
DiagnosticsOf = Callable[[Ref], tuple[Diagnostic, ...]]


def explain(state: State, store: Store, target: str) -> Explanation:
    """Return why `NAMESPACE/NAME`, `KIND/NAMESPACE/NAME` or `HOST[/PATH]` is served or not.

    What names a Service of the input is one, then an Ingress; anything else is a host.
    """
    steps = explaining(state, store, target, state.diagnostics)
    while True:
        try:
            next(steps)
        except StopIteration as done:
            found: Explanation = done.value
            return found


def explaining(state: State, store: Store, target: str, diagnostics: DiagnosticsOf) -> Steps:
    """Return the steps that lead to the same answer, each of bounded work; `diagnostics` tells those about an object."""
    ref = _named(store, target)
    return _of_host(state, target, diagnostics) if ref is None else _of_object(state, store, ref, diagnostics)


def _named(store: Store, target: str) -> Ref | None:
    """Return the object that a target names, be it there or not; None for a host."""
    parts = target.split('/')
    if len(parts) == 3 and (kind := {item.lower(): item for item in TRANSLATED}.get(parts[0].lower())):  # noqa: PLR2004
        return Ref(kind, *parts[1:])
    if len(parts) != 2:  # noqa: PLR2004
        return None
    namespace, name = parts
    for ref in (Ref('Service', namespace, name), Ref('Ingress', namespace, name)):
        if store.source(ref) is not None:
            return ref
    return Ref('Service', namespace, name) if '.' not in namespace and '*' not in namespace and name else None


def _bounded(
    target: str, because: str, claims: list[Claimed], diagnostics: Iterable[Diagnostic], *, served: bool, more: int = 0
) -> Explanation:
    """Return an answer that holds no more than it may; `more` claims are left out already."""
    told = tuple(diagnostics)
    left = max(0, len(told) - MOST)
    return Explanation(target, served, because, tuple(claims[:MOST]), told[:MOST], more, left)


def _of_object(state: State, store: Store, ref: Ref, diagnostics: DiagnosticsOf) -> Steps:
    source, fragment = store.source(ref), state.fragments.get(ref)
    shown = f'{ref.namespace}/{ref.name}'
    if source is None:
        return Explanation(shown, served=False, because=f'there is no {ref}')
    told = diagnostics(ref)
    if isinstance(source, Ingress) and (reason := _foreign(source, store, state.context)):
        return _bounded(shown, reason, [], told, served=False)
    if isinstance(source, Service) and fragment is None:
        return _bounded(shown, _unasked(source, state.context), [], told, served=False)
    assert fragment is not None
    claims: list[Claimed] = []
    held = total = 0
    for number, claim in enumerate(fragment.claims):
        if number % _STEP == 0:
            yield
        if claim.kind not in _SHOWN:
            continue
        total += 1
        held += state.claims.serves(fragment, claim, state.fragments)
        if len(claims) < MOST and (found := _claimed(state, claim.kind, claim.key)) is not None:
            claims.append(found)
            yield
    served, because = _judged(held, total, elsewhere=bool(fragment.backends))
    if held and any(diagnostic.reason == 'RouteClosed' for diagnostic in told):
        because += '; a route is closed until what protects it can be used'
    return _bounded(shown, because, claims, told, served=served, more=total - len(claims))


def _foreign(ingress: Ingress, store: Store, context: BuildContext) -> str:
    """Return why an Ingress is none of this class, or of this role; '' where it is."""
    if context.role is Role.NODE:
        return 'the node role serves no Ingresses'
    if not context.settings.ingress:
        return 'the class serves no Ingresses (ingress)'
    if not context.exists(ingress.namespace):
        return f'namespace {ingress.namespace} is not among the namespaces of this installation'
    decision = ingress_class_of(ingress, Reader(store, ingress.ref), context)
    return '' if decision.owner is Owner.OURS else decision.reason


def _judged(held: int, total: int, *, elsewhere: bool) -> tuple[bool, str]:
    """Return whether a Service is served that holds so many of its claims, and why; `elsewhere`: by other Services."""
    if held:
        return True, f'it has {held} of the {total} things that it claims'
    if total:
        return False, 'everything that it claims is held by others'
    if elsewhere:
        return (
            True,
            'it is reached through other objects only: Ingresses, or Services of which it is the canary or for which it authenticates, answers errors or gets copies',
        )
    return False, 'it asks to be served, but nothing of it can be exposed; the diagnostics say why'


def _unasked(service: Service, context: BuildContext) -> str:
    """Return why a Service has no fragment at all."""
    if not context.exists(service.namespace):
        return f'namespace {service.namespace} is not among the namespaces of this installation'
    if context.role is Role.NODE:
        return _not_taken_over(service, context)
    said = parse.read(service.ref, service.annotations, service.ports)
    if not exposure.is_ours(service, said, context):
        named = said.service.get('class') or service.load_balancer_class
        whose = f'it belongs to class {named}' if named else 'it names no class'
        return f'{whose}, and this is class {context.class_name}'
    if said.service.get('enabled') is False:
        return 'headrace.io/enabled is false'
    if service.type is ServiceType.LOAD_BALANCER and not service.load_balancer_class:
        return 'it names no loadBalancerClass, and this is not the default class'
    return 'nothing asks for it: no headrace.io/host, headrace.io/port or headrace.io/enabled: "true"'


def _not_taken_over(service: Service, context: BuildContext) -> str:
    """Return why a node leaves a Service to kube-proxy."""
    said = dict(service.annotations)
    if service.proxy_name is not None and service.proxy_name != context.class_name:
        return f'its label gives it to the service proxy {service.proxy_name}'
    if service.proxy_name is None and said.get('proxy') != 'node':
        return 'it does not ask for the node role: headrace.io/proxy: node'
    if service.proxy_name is None and (named := said.get('class', DEFAULT_CLASS)) != context.class_name:
        return f'it belongs to class {named}, and this is class {context.class_name}'
    return 'the node role serves clusterIPs, and it has none that headrace may take over'


def _claimed(state: State, kind: Kind, key: str) -> Claimed | None:
    """Return who claims a key, be it of a host that belongs to another namespace; None when no object does any more."""
    refs = state.claims.parties((kind, key))
    if not refs:
        return None
    claim = find(state.fragments[refs[0]], (kind, key))
    held = state.claims.hosts.holder(named(claim)) if claim else None
    holds = bool(state.claims.claimants((kind, key)))
    if not holds and held is not None:
        refs = (held[0], *refs)
    content = state.claims.content((kind, key), state.fragments) if holds else None
    backend = ', '.join(dict.fromkeys(pointer.backend for pointer in pointers(content)))
    if isinstance(content, HostTls) and not content.passthrough:
        backend = ', '.join(content.certificates)
    waiting = refs[1 : 1 + MOST_WAITING]
    shown = claim.address or key if claim else key
    return Claimed(_SHOWN[kind], shown, refs[0], waiting, backend, len(refs) - 1 - len(waiting))


def _of_host(state: State, target: str, diagnostics: DiagnosticsOf) -> Steps:
    """Return who serves `HOST[/PATH]`, as HAProxy would find it: exact host, `*.` and the rest, then any host."""
    host, slash, rest = target.partition('/')
    host, path = host.lower().partition(':')[0].rstrip('.'), (slash + rest).partition('?')[0] or '/'
    tried = [host, f'*.{host.partition(".")[2]}', '*'] if '*' not in host else [host]
    barred = yield from _barred(state, host)
    key = _found(state, tried, path)
    if key is not None and (found := _claimed(state, Kind.ROUTE, key)) is not None:
        return _of_route(state, target, (path, tried), [found, *barred], diagnostics)
    known = yield from _routes(state, tried)
    owner = _owner(state, tried)
    for stem in tried:
        if (keys := known.get(stem)) and owner in ('', state.claims.hosts.owner(stem)):
            others: list[Claimed] = []
            for each in keys[:MOST]:
                yield
                if (other := _claimed(state, Kind.ROUTE, each)) is not None:
                    others.append(other)
            because = f'host {stem} has no route for {path}: 404'
            return _bounded(target, because, [*others, *barred], (), served=False, more=len(keys) - len(others))
    for stem in tried:
        passed = _claimed(state, Kind.TLS, stem)
        if passed is not None and owner in ('', passed.holder.namespace):
            whole = Claimed(passed.what, stem, passed.holder, passed.waiting, more=passed.more)
            because = f'{passed.holder} has its TLS as it comes; without TLS: 404'
            return _bounded(target, because, [whole, *barred], _about([passed, *barred], diagnostics), served=True)
    because = f'host {host} belongs to namespace {owner}, which has no' if barred else 'no object has a'
    told = _about(barred, diagnostics)
    return _bounded(target, f'{because} route for this host: 404', barred, told, served=False)


def _barred(state: State, host: str) -> Generator[None, None, list[Claimed]]:
    """Return what objects claim of a host that belongs to another namespace, up to the bound of an answer."""
    found: dict[tuple[Kind, str], Claimed] = {}
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
            if len(found) >= MOST or claim is None or state.claims.hosts.admits(ref.namespace, claim):
                continue
            if (claimed := _claimed(state, *key)) is not None:
                found[key] = claimed
    return [found[key] for key in sorted(found)]


def _found(state: State, tried: list[str], path: str) -> str | None:
    """Return the route that a request takes: no wildcard of another namespace has what a named host's own routes leave."""
    for place, stem in enumerate(tried):
        key = _longest(state, stem, path)
        if key is None:
            continue
        if _owner(state, tried[:place]) in ('', state.claims.claimants((Kind.ROUTE, key))[0].namespace):
            return key
    return None


def _owner(state: State, stems: list[str]) -> str:
    """Return the namespace of the first of some hosts that belongs to one, '' for none."""
    return next(filter(None, map(state.claims.hosts.owner, stems)), '')


def _of_route(
    state: State, target: str, asked: tuple[str, list[str]], claims: list[Claimed], diagnostics: DiagnosticsOf
) -> Explanation:
    """Return what becomes of a request, its path and the hosts to try, that a route was found for: the first claim."""
    (path, tried), found = asked, claims[0]
    # What waits for that route is shown with it.
    claims = [found, *(each for each in claims[1:] if (each.what, each.key) != (found.what, found.key))]
    if because := _refused(state, tried, path, found.key):
        return _bounded(target, because, claims, (), served=False)
    because = f'{found.holder} holds {found.key}'
    if found.waiting:
        others = f' and {found.more} others' if found.more else ''
        because += f', before {", ".join(map(str, found.waiting))}{others}: the oldest has it'
    if _is_closed(state, found.key):
        because += '; it is closed until what protects it can be used: 503'
    return _bounded(target, because, claims, _about(claims, diagnostics), served=True)


def _about(claims: Iterable[Claimed], diagnostics: DiagnosticsOf) -> Iterable[Diagnostic]:
    refs = dict.fromkeys(ref for claim in claims for ref in (claim.holder, *claim.waiting))
    return (diagnostic for ref in refs for diagnostic in diagnostics(ref))


def _routes(state: State, stems: list[str]) -> Generator[None, None, dict[str, list[str]]]:
    """Return the keys of all routes of some hosts, sorted."""
    found: dict[str, list[str]] = {}
    for number, key in enumerate(state.claims.keys_of(Kind.ROUTE)):
        if number % _STEP == 0:
            yield
        stem = key.partition('/')[0]
        if stem in stems:
            found.setdefault(stem, []).append(key)
    return {stem: sorted(keys) for stem, keys in found.items()}


def _is_closed(state: State, key: str) -> bool:
    return any(CLOSED in pointer.flags for pointer in pointers(_content(state, key)))


def _refused(state: State, tried: list[str], path: str, key: str) -> str:
    """Return why the path of a request is refused although it has a route; '' where it is not."""
    other = path_normalisation.other(path)
    if other is None:
        return 'the path has dot segments or a broken escape: 400'
    also = _found(state, tried, other)
    if also is not None and _content(state, also) == _content(state, key):
        return ''
    return f'an endpoint could read the path as {other}, which has another route: 400'


def _content(state: State, key: str) -> Content | None:
    return state.claims.content((Kind.ROUTE, key), state.fragments)


def _longest(state: State, stem: str, path: str) -> str | None:
    """Return the route's key that is the longest beginning of the request's key, as `map_beg` finds it.

    Keys end with `/`, or with `/#` where the path has to be that one exactly.
    """
    asked = f'{stem}{path}/'
    if state.claims.claimants((Kind.ROUTE, f'{asked}#')):
        return f'{asked}#'
    end = len(asked)
    while end > 0:
        if state.claims.claimants((Kind.ROUTE, asked[:end])):
            return asked[:end]
        end = asked.rfind('/', 0, end - 1) + 1
    return None


def value(found: Explanation) -> dict[str, object]:
    """Return an explanation as one value for JSON."""
    return {
        'target': found.target,
        'served': found.served,
        'because': found.because,
        'claims': [
            {
                'what': claim.what,
                'key': claim.key,
                'holder': str(claim.holder),
                'waiting': [str(ref) for ref in claim.waiting],
                'backend': claim.backend,
                'moreWaiting': claim.more,
            }
            for claim in found.claims
        ],
        'diagnostics': [diagnostic.value for diagnostic in found.diagnostics],
        'moreClaims': found.more_claims,
        'moreDiagnostics': found.more_diagnostics,
    }
