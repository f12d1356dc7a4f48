"""Virtual hosts: the candidates of any number of objects at each route, merged in the order of the Gateway API.

Where conditions of all candidates of a route can fail, a request goes on to the next shorter path of the host. That
follows from the keys when a request comes, so a route depends on no other one, and a change of an object touches its own
routes alone.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.ir.routing import ALWAYS, Conditions, Route, Staging, Target
from headrace.names import Ref

Rank = tuple[bool, bool, int, int, str, str, str, str, int]


@dataclass(frozen=True, slots=True)
class Shadowed:
    """A candidate that never serves, because another one has the same conditions and goes before it."""

    candidate: Staging
    by: Staging


@dataclass(frozen=True, slots=True)
class Merged:
    """What stands at a route: the candidates that can serve, the first one first, and those that cannot."""

    candidates: tuple[Staging, ...]
    shadowed: tuple[Shadowed, ...] = ()

    @property
    def plain(self) -> Target | None:
        """Return the target of all requests; None where conditions decide."""
        first = self.candidates[0]
        return first.target if first.conditions == ALWAYS else None

    @property
    def falls_through(self) -> bool:
        """Tell whether a request can fulfil no candidate's conditions, and then goes on to the next shorter path."""
        return self.candidates[-1].conditions != ALWAYS


def rank(candidate: Staging) -> Rank:
    """Return what orders candidates of one route: the most specific conditions first, then the oldest object.

    The Gateway API names, in this order: a method, most headers, most query parameters, the oldest object, namespace and
    name, the first rule. It leaves the place of expressions of the path open; here they come first.
    """
    found, owner = candidate.conditions, candidate.owner
    return (
        not found.path,
        not found.method,
        -len(found.headers),
        -len(found.query),
        candidate.created,
        owner.namespace,
        owner.name,
        owner.kind,
        candidate.rule,
    )


def merge(candidates: Iterable[Staging]) -> Merged:
    """Return what some candidates of one route, in the order of `rank`, become together.

    A candidate without conditions sorts last, and one whose conditions include those of another one sorts before it; so
    only equal conditions keep a candidate from ever serving.
    """
    serving: dict[Conditions, Staging] = {}
    shadowed: list[Shadowed] = []
    for candidate in candidates:
        first = serving.setdefault(candidate.conditions, candidate)
        if first is not candidate:
            shadowed.append(Shadowed(candidate, first))
    return Merged(tuple(serving.values()), tuple(shadowed))


class VirtualHosts:
    """What stands at each route, kept up to date object by object."""

    def __init__(self) -> None:
        self._merged: dict[Route, Merged] = {}
        self._candidates: dict[Route, tuple[Staging, ...]] = {}
        self._routes: dict[Ref, frozenset[Route]] = {}

    def at(self, route: Route) -> Merged | None:
        """Return what stands at a route."""
        return self._merged.get(route)

    def routes(self) -> list[Route]:
        """Return all routes at which something stands."""
        return sorted(self._merged)

    def replace(self, ref: Ref, wanted: Iterable[tuple[Route, Staging]]) -> set[Route]:
        """Exchange the candidates of one object; return the routes at which something else stands now."""
        new: dict[Route, list[Staging]] = {}
        for route, candidate in wanted:
            new.setdefault(route, []).append(candidate)
        old = self._routes.pop(ref, frozenset())
        if new:
            self._routes[ref] = frozenset(new)
        return {route for route in old | new.keys() if self._exchange(route, ref, new.get(route, []))}

    def _exchange(self, route: Route, ref: Ref, new: list[Staging]) -> bool:
        """Exchange an object's candidates of one route; return whether something else stands there now."""
        others = [candidate for candidate in self._candidates.get(route, ()) if candidate.owner != ref]
        if not others and not new:
            del self._candidates[route], self._merged[route]
            return True
        found = tuple(sorted([*others, *new], key=rank))
        self._candidates[route] = found
        merged = merge(found)
        changed = merged != self._merged.get(route)
        self._merged[route] = merged
        return changed
