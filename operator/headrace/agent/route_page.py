"""One route as an agent has it: its holder and its candidates with their conditions and backends."""

from collections.abc import Iterator

import msgspec

from headrace.agent import listings
from headrace.ir.fragment import Content, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.routing import ALWAYS, Candidate, Candidates, Conditions, Split
from headrace.names import Ref
from headrace.resolve.state import State

_MOST_CANDIDATES, _MOST_TARGETS = 100, 50


def of_route(state: State, kind: str, key: str) -> bytes | None:
    """Return what stands at a key, None where nothing does."""
    known = {str(each): each for each in listings.ASKED}.get(kind)
    value = listings.route(state, known, key) if known is not None else None
    if known is None or value is None:
        return None
    content = state.claims.content((known, key), state.fragments) if state.claims.claimants((known, key)) else None
    candidates = list(_candidates(content))
    host = str(value['host'])
    value['tls'] = bool(state.claims.claimants((Kind.TLS, host))) if known is Kind.ROUTE else False
    value['candidates'] = [
        _candidate(each, _owner(state, known, key, each.conditions)) for each in candidates[:_MOST_CANDIDATES]
    ]
    value['moreCandidates'] = max(0, len(candidates) - _MOST_CANDIDATES)
    return msgspec.json.encode(value)


def _candidates(content: Content | None) -> Iterator[Candidate]:
    match content:
        case Candidates():
            yield from content.items
        case Pointer() | Split():
            yield Candidate(content, ALWAYS)
        case _:
            pass


def _owner(state: State, kind: Kind, key: str, conditions: Conditions) -> Ref:
    try:
        return state.claims.owner(key, conditions, state.fragments) if kind is Kind.ROUTE else _first(state, kind, key)
    except LookupError:
        # What the host's namespace keeps from wildcards has no owner of its own.
        return _first(state, kind, key)


def _first(state: State, kind: Kind, key: str) -> Ref:
    return state.claims.claimants((kind, key))[0]


def _candidate(candidate: Candidate, owner: Ref) -> dict[str, object]:
    conditions, target = candidate.conditions, candidate.target
    targets: list[tuple[str, int]] = []
    if isinstance(target, Split):
        targets = [(each.backend, each.weight) for each in target.backends[:_MOST_TARGETS]]
    elif isinstance(target, Pointer):
        targets = [(target.backend, 1)]
    return {
        'owner': owner._asdict(),
        'rule': candidate.rule,
        'method': conditions.method,
        'path': conditions.path,
        'headers': [_match(each.name, each.value, each.expression) for each in conditions.headers],
        'query': [_match(each.name, each.value, each.expression) for each in conditions.query],
        'targets': [{'backend': backend, 'weight': weight} for backend, weight in targets],
    }


def _match(name: str, value: str, expression: bool) -> dict[str, object]:  # noqa: FBT001  a field of the match
    return {'name': name, 'value': value, 'expression': expression}
