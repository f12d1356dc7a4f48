"""Why something is served, or not: of a Service, or of a host and path.

Pure. The answer is made from the same values that HAProxy is told, never from a second reading of the rules.
"""

from dataclasses import dataclass

from headrace.annotations import reading
from headrace.cluster.objects import Service, ServiceType
from headrace.cluster.store import Store
from headrace.model import exposure, readings
from headrace.model.ir import Claim, Fragment, HostTls, Kind
from headrace.model.policies import CLOSED
from headrace.model.state import State
from headrace.model.view import Role, View
from headrace.names import DEFAULT_CLASS, Ref
from headrace.verdicts import Verdict

_SHOWN = {Kind.ROUTE: 'route', Kind.PORT: 'TCP port', Kind.ADDRESS: 'address', Kind.TLS: 'TLS of host'}


@dataclass(frozen=True, slots=True)
class Claimed:
    """Something that only one object can have: what it is, who has it, and who waits for it, in their order."""

    what: str
    key: str
    holder: Ref
    waiting: tuple[Ref, ...] = ()
    backend: str = ''


@dataclass(frozen=True, slots=True)
class Explanation:
    """One sentence that answers, the claims that it rests on, and the verdicts about the objects in question."""

    target: str
    served: bool
    because: str
    claims: tuple[Claimed, ...] = ()
    verdicts: tuple[Verdict, ...] = ()


def explain(state: State, store: Store, target: str) -> Explanation:
    """Return why `NAMESPACE/NAME` (a Service) or `HOST[/PATH]` is served or not.

    What names a Service of the input is one; anything else is a host.
    """
    namespace, slash, name = target.partition('/')
    ref = Ref('Service', namespace, name)
    if slash and (store.get(ref, Service) is not None or ('.' not in namespace and '*' not in namespace and name)):
        return of_service(state, store, ref)
    return of_host(state, target)


def of_service(state: State, store: Store, ref: Ref) -> Explanation:
    """Return why a Service is served or not."""
    service = store.get(ref, Service)
    shown = f'{ref.namespace}/{ref.name}'
    if service is None:
        return Explanation(shown, served=False, because=f'there is no {ref}')
    fragment = state.fragments.get(ref)
    verdicts = state.verdicts(ref)
    if fragment is None:
        return Explanation(shown, served=False, because=_unasked(service, state.view), verdicts=verdicts)
    claims = tuple(_claimed(state, claim) for claim in fragment.claims if claim.kind in _SHOWN)
    held = [claim for claim in claims if claim.holder == ref]
    if held:
        because = f'it has {len(held)} of the {len(claims)} things that it claims'
        if any(verdict.reason == 'RouteClosed' for verdict in verdicts):
            because += '; a route is closed until what protects it can be used'
        return Explanation(shown, served=True, because=because, claims=claims, verdicts=verdicts)
    if claims:
        because = 'everything that it claims is held by others'
    elif fragment.backends:
        because = 'it is reached through other Services only, as their canary'
        return Explanation(shown, served=True, because=because, verdicts=verdicts)
    else:
        because = 'it asks to be served, but nothing of it can be exposed; the verdicts say why'
    return Explanation(shown, served=False, because=because, claims=claims, verdicts=verdicts)


def _unasked(service: Service, view: View) -> str:
    """Return why a Service has no fragment at all."""
    if not view.exists(service.namespace):
        return f'namespace {service.namespace} is not among the namespaces of this installation'
    if view.role is Role.NODE:
        return _not_taken_over(service, view)
    said = reading.read(service.ref, service.annotations, service.ports)
    if not exposure.is_ours(service, said, view):
        named = said.service.get('class') or service.load_balancer_class
        whose = f'it belongs to class {named}' if named else 'it names no class'
        return f'{whose}, and this is class {view.class_name}'
    if said.service.get('enabled') is False:
        return 'headrace.io/enabled is false'
    if service.type is ServiceType.LOAD_BALANCER and not service.load_balancer_class:
        return 'it names no loadBalancerClass, and this is not the default class'
    return 'nothing asks for it: no headrace.io/host, headrace.io/port or headrace.io/enabled: "true"'


def _not_taken_over(service: Service, view: View) -> str:
    """Return why a node leaves a Service to kube-proxy."""
    said = dict(service.annotations)
    if service.proxy_name is not None and service.proxy_name != view.class_name:
        return f'its label gives it to the service proxy {service.proxy_name}'
    if service.proxy_name is None and said.get('proxy') != 'node':
        return 'it does not ask for the node role: headrace.io/proxy: node'
    if service.proxy_name is None and (named := said.get('class', DEFAULT_CLASS)) != view.class_name:
        return f'it belongs to class {named}, and this is class {view.class_name}'
    return 'the node role serves clusterIPs, and it has none that headrace may take over'


def _claimed(state: State, claim: Claim) -> Claimed:
    refs = state.claims.claimants((claim.kind, claim.key))
    content = state.claims.content((claim.kind, claim.key), state.fragments)
    backend = content.partition('|')[0] if isinstance(content, str) else ''
    if isinstance(content, HostTls):
        backend = content.passthrough.partition('|')[0] or ', '.join(content.certificates)
    return Claimed(_SHOWN[claim.kind], claim.key, refs[0], refs[1:], backend)


def of_host(state: State, target: str) -> Explanation:
    """Return who serves `HOST[/PATH]`, as HAProxy would find it: exact host, `*.` and the rest, then any host."""
    host, slash, rest = target.partition('/')
    host, path = host.lower().partition(':')[0].rstrip('.'), (slash + rest).partition('?')[0] or '/'
    tried = [host, f'*.{host.partition(".")[2]}', '*'] if '*' not in host else [host]
    known = [stem for stem in tried if any(True for _ in _routes(state, stem))]
    for stem in tried:
        if (claim := _longest(state, stem, path)) is not None:
            found = _claimed(state, claim)
            if because := _refused(state, tried, path, claim):
                return Explanation(target, served=False, because=because, claims=(found,))
            because = f'{found.holder} holds {found.key}'
            if found.waiting:
                because += f', before {", ".join(map(str, found.waiting))}: the oldest has it'
            if _is_closed(state, claim):
                because += '; it is closed until what protects it can be used: 503'
            verdicts = tuple(verdict for ref in (found.holder, *found.waiting) for verdict in state.verdicts(ref))
            return Explanation(target, served=True, because=because, claims=(found,), verdicts=verdicts)
    if known:
        others = tuple(_claimed(state, claim) for claim in _routes(state, known[0]))
        return Explanation(target, served=False, because=f'host {known[0]} has no route for {path}: 404', claims=others)
    for stem in tried:
        if passed := state.claims.claimants((Kind.TLS, stem)):
            whole = Claimed(_SHOWN[Kind.TLS], stem, passed[0], passed[1:])
            because = f'{passed[0]} has its TLS as it comes; without TLS: 404'
            verdicts = tuple(verdict for ref in passed for verdict in state.verdicts(ref))
            return Explanation(target, served=True, because=because, claims=(whole,), verdicts=verdicts)
    return Explanation(target, served=False, because='no object has a route for this host: 404')


def _routes(state: State, stem: str) -> list[Claim]:
    """Return the claims that hold a route of a host, one for each key."""
    start = f'{stem}/'
    found: dict[str, Claim] = {}
    for fragment in state.fragments.values():
        for claim in fragment.claims:
            if claim.kind is Kind.ROUTE and claim.key.startswith(start) and _holds(state, fragment, claim):
                found[claim.key] = claim
    return [found[key] for key in sorted(found)]


def _holds(state: State, fragment: Fragment, claim: Claim) -> bool:
    return state.claims.claimants((claim.kind, claim.key))[:1] == (fragment.ref,)


def _is_closed(state: State, claim: Claim) -> bool:
    content = _content(state, claim)
    return isinstance(content, str) and CLOSED in content.split('|')[2]


def _refused(state: State, tried: list[str], path: str, claim: Claim) -> str:
    """Return why the path of a request is refused although it has a route; '' where it is not."""
    other = readings.other(path)
    if other is None:
        return 'the path has dot segments or a broken escape: 400'
    also = next((found for stem in tried if (found := _longest(state, stem, other)) is not None), None)
    if also is not None and _content(state, also) == _content(state, claim):
        return ''
    return f'an endpoint could read the path as {other}, which has another route: 400'


def _content(state: State, claim: Claim) -> object:
    return state.claims.content((claim.kind, claim.key), state.fragments)


def _longest(state: State, stem: str, path: str) -> Claim | None:
    """Return the route whose key is the longest beginning of the request's key, as `map_beg` finds it."""
    asked = f'{stem}{path}/#'
    fitting = [claim for claim in _routes(state, stem) if asked.startswith(claim.key)]
    return max(fitting, key=lambda claim: len(claim.key), default=None)


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
            }
            for claim in found.claims
        ],
        'verdicts': [
            {
                'level': str(verdict.level),
                'reason': verdict.reason,
                'object': str(verdict.ref),
                'field': verdict.field,
                'message': verdict.message,
            }
            for verdict in found.verdicts
        ],
    }
