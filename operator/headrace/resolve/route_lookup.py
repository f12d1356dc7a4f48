"""Which route a request takes, as HAProxy finds it in its maps."""

from headrace.ir.fragment import Content, Kind
from headrace.resolve.state import State


def route_for(state: State, candidates: list[str], path: str) -> str | None:
    """Return the route that a request takes: no wildcard of another namespace has what a named host's own routes leave."""
    for place, stem in enumerate(candidates):
        key = longest(state, stem, path)
        if key is None:
            continue
        if first_owner(state, candidates[:place]) in ('', state.claims.claimants((Kind.ROUTE, key))[0].namespace):
            return key
    return None


def longest(state: State, stem: str, path: str) -> str | None:
    """Return the route's key that is the longest beginning of the request's key, as `map_beg` finds it.

    Keys end with `/`, or with `/#` where the path has to be that one exactly.
    """
    lookup = f'{stem}{path}/'
    if state.claims.claimants((Kind.ROUTE, f'{lookup}#')):
        return f'{lookup}#'
    end = len(lookup)
    while end > 0:
        if state.claims.claimants((Kind.ROUTE, lookup[:end])):
            return lookup[:end]
        end = lookup.rfind('/', 0, end - 1) + 1
    return None


def standing(state: State, lookup: str) -> tuple[str, Content] | None:
    """Return the longest key that a text begins with and at which anything stands, and what it is, as `map_beg` finds it."""
    end = len(lookup) if lookup.endswith(('/', '/#')) else lookup.rfind('/') + 1
    while end > 0:
        if (found := content(state, lookup[:end])) is not None:
            return lookup[:end], found
        end = lookup.rfind('/', 0, end - 1) + 1
    return None


def content(state: State, key: str) -> Content | None:
    """Return what stands at a route."""
    return state.claims.content((Kind.ROUTE, key), state.fragments)


def first_owner(state: State, stems: list[str]) -> str:
    """Return the namespace of the first of some hosts that belongs to one, '' for none."""
    return next(filter(None, map(state.claims.hosts.owner, stems)), '')
