"""Which route a request takes at a listener, as the rules of the frontends and `lua/choose.lua` find it.

Every candidate that is looked at becomes a step. A request that finds no route, or that endpoints could read as one for another
route, is refused.
"""

from dataclasses import dataclass
from typing import NamedTuple

from headrace.explain import conditions
from headrace.explain.request import Request
from headrace.explain.trace import Outcome, Stage, Step
from headrace.ir.fragment import Content, Kind, pointers
from headrace.ir.pointers import NoRoute, Pointer, Reserved
from headrace.ir.routing import Candidates, Split
from headrace.names import Ref
from headrace.resolve import route_lookup
from headrace.resolve.claims import ClaimKey
from headrace.resolve.state import State
from headrace.translate import path_normalisation
from headrace.translate.judged_listeners import hosts_above

_TWO_READINGS = 'a path with two readings'
_SENSELESS = 'dot segments, control characters or a broken escape in the path'


@dataclass(frozen=True, slots=True)
class FoundRoute:
    """The route of a request: its key, the host or `PORT:HOST` that the key begins with, and where it leads.

    `groups` is what an expression of the path matched, None where no expression was asked. `claim` is the claimed key where it
    is not that of a route.
    """

    key: str
    stem: str
    target: Pointer | Split
    groups: tuple[str, ...] | None = None
    claim: ClaimKey | None = None

    @property
    def claim_key(self) -> ClaimKey:
        """Return the claimed key at which the route stands."""
        return self.claim or (Kind.ROUTE, self.key)


_End = FoundRoute | NoRoute | Reserved | None


class _Listed(NamedTuple):
    """A route with conditions, which rules compare by its key and all that stands there."""

    key: str
    candidates: Candidates


class _Standing(NamedTuple):
    """What stands at a host for a path, by a value that rules compare, and the route that conditions have chosen there."""

    value: object = None
    route: _End = None
    stem: str = ''


class Routing:
    """Finds the route of one request, and notes what it looked at."""

    def __init__(self, state: State, request: Request) -> None:
        self._state, self._request = state, request
        other = path_normalisation.other(request.path)
        # Rules refuse a path without another reading, after its route is found.
        self._is_refused, self.reading = other is None, other or request.path
        self._is_odd = path_normalisation.is_odd(request.path)
        self._holder = ''
        self.steps: list[Step] = []

    def is_written_as_held(self) -> bool:
        """Tell whether anything stands at the host exactly as the request writes it, which the rules look up first."""
        host = self._request.host
        # Keys with a port are those of Gateways' listeners, which have a map of their own.
        return ':' not in host and bool(route_lookup.standing(self._state, f'{host}{self._request.path}/#'))

    def at_class(self, astray: Outcome | None = None) -> FoundRoute | Outcome | None:
        """Return the route at the class's own listeners; None for a request that they leave to Gateways at their port.

        A request that finds a route, but is `astray`, gets that outcome.
        """
        host, holder = self._request.bare_host, ''
        # By what the rules compare the other reading of an odd path.
        listed: object = None
        for stem in (host, f'*.{host.partition(".")[2]}', '*'):
            standing = self._standing(stem, self._request.path)
            if self._is_odd and listed is None and isinstance(standing.value, _Listed):
                listed = standing.value
            if listed is not None and standing.route is None:
                return self._refused(_TWO_READINGS)
            if isinstance(standing.route, Reserved):
                holder = holder or standing.route.namespace
                because = f'the host belongs to namespace {holder}, which has no route for this path'
                self._note(f'{stem}/', passed=False, because=because)
            elif isinstance(standing.route, FoundRoute) and holder not in ('', _namespace(standing.route.target)):
                self._note(standing.route.key, passed=False, because=f'host {host} belongs to namespace {holder}')
            elif isinstance(standing.route, FoundRoute):
                listed = standing.value if listed is None else listed
                return astray or self._checked_reading(standing.route, listed, self._other(host, holder))
        self._holder = holder
        return None

    def refusal(self) -> Outcome | None:
        """Return why the path of a request is refused that the class's own routes leave, None where it is not."""
        if (senseless := self.senseless()) is not None:
            return senseless
        if self._is_odd and self._other(self._request.bare_host, self._holder) is not None:
            return self._refused(_TWO_READINGS)
        return None

    def left_to_gateway(self, port: int) -> FoundRoute | Outcome:
        """Return the route of a Gateway at the class's port, where the host belongs to no other namespace."""
        found = self.at_gateway(port)
        if isinstance(found, FoundRoute) and self._holder not in ('', _namespace(found.target)):
            return self.no_route(f'the host belongs to namespace {self._holder}')
        return found

    def senseless(self) -> Outcome | None:
        """Return why a path is refused that leads out of any route, None for another one."""
        return self._refused(_SENSELESS) if self._is_refused else None

    def at_gateway(self, port: int) -> FoundRoute | Outcome:
        """Return the route at a bound port of Gateways: that of the most specific host that has one for the request."""
        other = None
        if self.reading != self._request.path:
            kept, self.steps = self.steps, []
            other = self._at_port(port, self.reading)
            self.steps = kept
        found = self._at_port(port, self._request.path)
        if other is not None and _compared(other) != _compared(found):
            return self._refused(f'{_TWO_READINGS}: an endpoint could read it as {self.reading}')
        return self._taken(found.route) if isinstance(found.route, FoundRoute) else self.no_route()

    def _at_port(self, port: int, path: str) -> _Standing:
        """Return what the most specific host has that has anything for the request."""
        for host in hosts_above(self._request.bare_host):
            standing = self._standing(f'{port}:{host}', path)
            if standing.route is not None:
                if isinstance(standing.route, NoRoute):
                    self._note(f'{port}:{host}/', passed=False, because='the listener of this host has no route for it')
                return standing
        return _Standing()

    def _standing(self, stem: str, path: str) -> _Standing:
        """Return what a request for a path finds at a host."""
        found = route_lookup.standing(self._state, f'{stem}{path}/#')
        if found is None:
            return _Standing()
        key, content = found
        if isinstance(content, Candidates):
            return _Standing(_Listed(key, content), self._choose(stem, key, content), stem)
        return _Standing(content, _plain(stem, key, content), stem)

    def _choose(self, stem: str, key: str, content: Content) -> _End:
        """Return the first candidate that the request fulfils, of this route or of shorter paths of the host."""
        while isinstance(content, Candidates):
            for candidate in content.items:
                verdict = conditions.judge(candidate.conditions, self._request, self.reading)
                owner = self._state.claims.owner(key, candidate.conditions, self._state.fragments)
                self._note(key, passed=verdict.fulfilled, because=verdict.because, owner=owner)
                if verdict.fulfilled:
                    target, groups = candidate.target, verdict.groups or None
                    return target if isinstance(target, NoRoute) else FoundRoute(key, stem, target, groups)
                if verdict.ambiguous:
                    return None
            if content.reserved:
                return Reserved(content.reserved)
            shorter = route_lookup.standing(self._state, key[:-1])
            if shorter is None:
                return None
            key, content = shorter
        return _plain(stem, key, content)

    def _other(self, host: str, holder: str) -> object:
        """Return by what the rules compare what the other reading of an odd path finds at the class's hosts."""
        if not self._is_odd or self._is_refused:
            return None
        for stem in (host, f'*.{host.partition(".")[2]}', '*'):
            found = route_lookup.standing(self._state, f'{stem}{self.reading}/#')
            if found is None or isinstance(found[1], Reserved):
                continue
            key, content = found
            if stem not in (host, '*') and holder and _namespace_of(content) != holder:
                continue
            return _Listed(key, content) if isinstance(content, Candidates) else content
        return None

    def _checked_reading(self, route: FoundRoute, listed: object, other: object) -> FoundRoute | Outcome:
        if (senseless := self.senseless()) is not None:
            return senseless
        if self._is_odd and other != listed:
            return self._refused(f'{_TWO_READINGS}: an endpoint could read it as {self.reading}')
        return self._taken(route)

    def _taken(self, route: FoundRoute) -> FoundRoute:
        """Return a route after a note about it, where its conditions have not made one."""
        if not self.steps or not self.steps[-1].passed:
            self._note(route.key, passed=True, because='no conditions')
        return route

    def _note(self, key: str, *, passed: bool, because: str, owner: Ref | None = None) -> None:
        if owner is None:
            owner = next(iter(self._state.claims.claimants((Kind.ROUTE, key))), None)
        self.steps.append(Step(Stage.ROUTE, shown(key), passed, because, owner))

    def _refused(self, because: str) -> Outcome:
        self.steps.append(Step(Stage.PATH, self._request.path, passed=False, because=because))
        return Outcome(because, 400)

    def no_route(self, because: str = '') -> Outcome:
        """Return the answer to a request that no route is for."""
        return Outcome(because or f'no route for host {self._request.bare_host or "(none)"} and this path', 404)


def shown(key: str) -> str:
    """Return a route's key as people read it: host and path, and how the path matches."""
    host, _, path = key.removesuffix('/#').partition('/')
    path = f'/{path}'.rstrip('/') or '/'
    return f'{host}{path} ({"exactly" if key.endswith("/#") else "prefix"})'


def _plain(stem: str, key: str, content: Content) -> _End:
    if isinstance(content, Pointer | Split):
        return FoundRoute(key, stem, content)
    return content if isinstance(content, NoRoute | Reserved) else None


def _compared(standing: _Standing) -> tuple[object, ...]:
    """Return by what two readings of a path at a port are compared."""
    target = standing.route.target if isinstance(standing.route, FoundRoute) else standing.route
    return target, standing.value, standing.stem


def _namespace(target: Pointer | Split) -> str:
    """Return the namespace that the rules read from a route's value: that of its first backend."""
    backend = target.backend if isinstance(target, Pointer) else target.backends[0].backend if target.backends else ''
    return backend.partition('_')[0]


def _namespace_of(content: Content) -> str:
    """Return the same of what stands at a route, '' where nothing leads anywhere."""
    return next((pointer.backend.partition('_')[0] for pointer in pointers(content)), '')
