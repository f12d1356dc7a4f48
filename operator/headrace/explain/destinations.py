"""Which backends could get a request that its policy lets pass: canaries, weights, fallback, endpoints."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from urllib.parse import unquote

from headrace import names
from headrace.explain import expressions
from headrace.explain.policy_data import PolicyData
from headrace.explain.request import Request
from headrace.explain.routing import FoundRoute
from headrace.explain.rules import Rules
from headrace.explain.trace import Destination, Edit, Endpoint, Outcome, Stage, Step
from headrace.haproxy.encode import routes
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment
from headrace.ir.pointers import Pointer
from headrace.ir.policy import HeaderEdits, Map
from headrace.ir.routing import Canary, ErrorPages, Fallback, Split
from headrace.resolve.state import State
from headrace.translate import canaries, policies

# A destination shows no more endpoints than so many.
MOST_ENDPOINTS = 500


@dataclass(frozen=True, slots=True)
class _Part:
    """A share of the requests, the backend that gets it, and the policy that is the backend's own."""

    share: float
    backend: str
    policy: str = ''
    flags: str = ''


def outcome(rules: Rules) -> Outcome:
    """Return where a request ends that has passed all rules."""
    found = [_destination(rules, part) for part in _parts(rules)]
    usable = tuple(each for each in found if isinstance(each, Destination))
    errors = [each for each in found if isinstance(each, Outcome)]
    for each in errors if usable else errors[1:]:
        rules.proviso(each.status, each.because)
    if not usable:
        return _error_page(rules, errors[0]) or errors[0]
    total = sum(len(each.endpoints) or bool(each.name) for each in usable)
    return Outcome(f'one of {total} endpoints answers' if total != 1 else 'the endpoint answers', destinations=usable)


def _parts(rules: Rules) -> Iterator[_Part]:
    """Yield who has which share of the requests: the backends of a split, or a backend and its canary."""
    target = rules.route.target
    if isinstance(target, Split):
        for first, end, backend in routes.ranges(target):
            if end > first:
                share = (end - first) / routes.DRAWS
                yield _Part(share, backend.backend, backend.policy, backend.flags)
        return
    canary = rules.data.lead(Canary) if policies.CANARY in rules.flags else None
    share = _canary_share(rules, canary.weight / canaries.WHOLE) if canary is not None else 0.0
    if canary is not None and share:
        yield _Part(share, canary.pointer.backend)
    if share < 1:
        yield _Part(1 - share, target.backend)


def _canary_share(rules: Rules, share: float) -> float:
    """Return the canary's share of requests like this one: what its headers and cookies say goes before the weight."""
    choice = _asked(rules) if policies.CANARY_MATCH in rules.flags else None
    if policies.CANARY_PATTERN in rules.flags and (found := rules.data.value(Map.CANARY_PATTERN)):
        name, _, form = found.partition('|')
        value = rules.request.value(name)
        if value is not None and expressions.match(form, value) is not None:
            choice = 1.0
    if choice is not None:
        rules.note('canary', f'the request asks {"for the canary" if choice else "not to go to the canary"}')
        return choice
    stays = ', and a client keeps its side' if policies.CANARY_STAYS in rules.flags else ''
    rules.note('canary', f'{share:.2%} of such requests go to the canary{stays}')
    return share


def _asked(rules: Rules) -> float | None:
    """Return 1 or 0 for a request that asks for the canary, or not to go there; a header counts more than a cookie."""
    request = rules.request
    lines = {f'{name}: {value}' for name, value in (*request.headers, ('host', request.host))}
    cookies = {part.strip() for part in (request.value('cookie') or '').replace(',', ';').split(';')}
    always, never = _matches(rules, Map.CANARY_ALWAYS), _matches(rules, Map.CANARY_NEVER)
    asked: float | None = None
    for rank, texts in (('1', cookies), ('2', lines)):
        if texts & always.get(rank, set()):
            asked = 1.0
        if texts & never.get(rank, set()):
            asked = 0.0
    return asked


def _matches(rules: Rules, where: Map) -> dict[str, set[str]]:
    """Return headers (2) and cookies (1) of a map, as requests have them."""
    found: dict[str, set[str]] = {}
    for key, rank in rules.data.entries(where, '>'):
        found.setdefault(rank, set()).add(unquote(key.removesuffix('<')))
    return found


def _destination(rules: Rules, part: _Part) -> Destination | Outcome:
    backend = find(rules.state, part.backend)
    if part.backend == names.UNRESOLVED:
        is_grpc = (rules.request.value('content-type') or '').startswith('application/grpc')
        return Outcome('the route names a backend that cannot be used', 503 if is_grpc else 500)
    if backend is None or not _is_usable(backend):
        fallback = _fallback(rules)
        if fallback is None:
            what = f'{backend.service} has no endpoint that can be used' if backend else 'the backend is not there'
            return Outcome(what, 503)
        rules.steps.append(Step(Stage.BACKEND, part.backend, passed=False, because='no endpoint; the fallback serves'))
        backend = fallback
    own = PolicyData(part.policy, (*rules.fragments, *_fragments(rules.state, part.backend)))
    path = own.value(Map.REWRITE_FULL) if policies.REWRITE_FULL in part.flags else None
    return Destination(
        backend.name,
        backend.service,
        backend.port,
        part.share,
        endpoints(backend),
        _external_name(rules.state, backend) if backend.shape.external else '',
        path or rules.path,
        (*_edits(rules.data.edits()), *(_edits(own.edits()) if part.policy else ())),
    )


def _external_name(state: State, backend: Backend) -> str:
    """Return the name that a Service of type ExternalName leads to."""
    entry = PolicyData(backend.name, _fragments(state, backend.name)).value(Map.EXTERNAL) or ''
    return entry.partition('|')[0]


def _error_page(rules: Rules, error: Outcome) -> Outcome | None:
    """Return what another Service answers where there is no endpoint, None where none is asked for this."""
    pages = rules.data.lead(ErrorPages) if policies.ERROR_PAGES in rules.flags else None
    backend = find(rules.state, pages.pointer.backend) if pages is not None else None
    if pages is None or backend is None or error.status not in pages.statuses or not _is_usable(backend):
        return None
    destination = Destination(backend.name, backend.service, backend.port, 1.0, endpoints(backend), path='/')
    return Outcome(f'{error.because}; {backend.service} answers in its place', destinations=(destination,))


def of_connection(state: State, request: Request, route: FoundRoute, path: str = '') -> Outcome:
    """Return what becomes of a connection that is handed on as it comes: rules of networks alone are for it.

    `path` is what endpoints get of the request, where its TLS ends before.
    """
    target = route.target
    data = PolicyData(target.policy, (state.fragments[ref] for ref in state.claims.claimants(route.claim_key)))
    if not {policies.CLOSED, policies.MAINTENANCE}.isdisjoint(target.flags):
        return Outcome('the route is closed, or in maintenance', closed=True)
    if policies.DENY in target.flags and data.has_client(Map.DENY, request.client):
        return Outcome(f'{request.client} is in a denied network', closed=True)
    if policies.ALLOW in target.flags and not data.has_client(Map.ALLOW, request.client):
        return Outcome(f'{request.client} is in no allowed network', closed=True)
    destinations = tuple(
        Destination(backend.name, backend.service, backend.port, share, places, path=path)
        for share, name in _shares(target)
        if (backend := find(state, name)) is not None and (places := endpoints(backend))
    )
    if not destinations:
        return Outcome('the Service has no endpoint that can be used', closed=True)
    ends = 1 - sum(each.share for each in destinations)
    others = f'; {ends:.1%} of such connections end, as their Service has none' if ends > 0 else ''
    return Outcome(f'an endpoint gets the connection as it comes{others}', destinations=destinations)


def _shares(target: Pointer | Split) -> Iterator[tuple[float, str]]:
    """Yield the shares of connections, and the backends that get them."""
    if isinstance(target, Pointer):
        yield 1.0, target.backend
        return
    for first, end, backend in routes.ranges(target):
        if end > first:
            yield (end - first) / routes.DRAWS, backend.backend


def endpoints(backend: Backend) -> tuple[Endpoint, ...]:
    """Return the endpoints of a backend, as many as are shown; none where a name leads to them."""
    if backend.shape.external:
        return ()
    every = (Endpoint(address, group.port) for group in backend.groups for address in group.addresses)
    return tuple(islice(every, MOST_ENDPOINTS))


def _is_usable(backend: Backend) -> bool:
    return backend.shape.external or any(group.addresses for group in backend.groups)


def _fallback(rules: Rules) -> Backend | None:
    lead = rules.data.lead(Fallback) if policies.FALLBACK in rules.flags else None
    backend = find(rules.state, lead.pointer.backend) if lead is not None else None
    return backend if backend is not None and _is_usable(backend) else None


def _edits(edits: HeaderEdits) -> Iterator[Edit]:
    for name, value in edits.request:
        yield Edit('set' if value else 'remove', name.lower(), value)
    for name, value in edits.request_added:
        yield Edit('add', name.lower(), value)


def find(state: State, name: str) -> Backend | None:
    """Return the backend of this name."""
    every = (backend for fragment in _fragments(state, name) for backend in fragment.backends)
    return next((backend for backend in every if backend.name == name), None)


def _fragments(state: State, backend: str) -> Iterator[Fragment]:
    """Yield the fragment of the Service that a backend is of."""
    fragment = state.fragments.get(names.owner(backend)[0])
    if fragment is not None:
        yield fragment
