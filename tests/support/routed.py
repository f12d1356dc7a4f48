"""Made-up candidates of routes, an edge that serves them, and an oracle that judges requests by the candidates alone."""

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from headrace.haproxy.encode import commands, routes, syntax
from headrace.haproxy.encode.commands import Phase
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, Map
from headrace.ir.routing import ALWAYS, Candidate, Candidates, Conditions, HeaderMatch, QueryMatch, Split
from headrace.names import Ref
from headrace.resolve.claims import Claims
from headrace.resolve.hosts import Hosts
from headrace.resolve.virtual_hosts import Offer
from headrace.settings.settings import Settings
from headrace.translate import build_context
from headrace.translate.edge_ports import route_key
from support.edge import Edge

SPLITS = syntax.map_file(Map.SPLITS)
OLD, NEW = '2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z'


def conditions(method='', headers=(), query=(), path=''):
    """Return conditions; headers and query parameters are tuples of name, value and, for expressions, True."""
    return Conditions(
        method,
        tuple(sorted(HeaderMatch(*item) for item in headers)),
        tuple(sorted(QueryMatch(*item) for item in query)),
        path,
    )


def candidate(backend, wanted=ALWAYS, *, owner='a', namespace='shop', created=OLD, rule=0, target=None):
    """Return a candidate of the object OWNER that leads to the Service BACKEND."""
    ref = Ref('HTTPRoute', namespace, owner)
    return Offer(ref, created, Candidate(target or Pointer(f'{namespace}_{backend}_http', ''), wanted, rule))


class Place(NamedTuple):
    """Where candidates meet."""

    host: str
    path: str
    match: str

    @property
    def key(self):
        return route_key(self.host, self.path, exact=self.match == 'exact')


def route(path='/', host='r.com', match='prefix'):
    """Return a place of the class's own listener."""
    return Place(host, path, match)


class MadeUp:
    """Claims of made-up objects of a class that shares hosts between namespaces."""

    def __init__(self):
        self.claims = Claims(Hosts(build_context.make(Settings(host_sharing='all'))))
        self.fragments = {}

    def replace(self, ref, wanted):
        """Exchange the candidates of one object; return the keys at which something else stands now."""
        found = {}
        for place, offer in wanted:
            found.setdefault(place.key, []).append(offer)
        new = Fragment(
            ref,
            created=next((offer.created for _, offer in wanted), ''),
            claims=tuple(
                Claim(Kind.ROUTE, key, Candidates(tuple(offer.candidate for offer in found[key])))
                for key in sorted(found)
            ),
        )
        gone = [(claim.kind, claim.key) for claim in self.fragments[ref].claims] if ref in self.fragments else []
        come = [(claim.kind, claim.key) for claim in new.claims]
        before = self.table()
        self.claims.replace(ref, gone, (), self.fragments)
        self.fragments[ref] = new
        self.claims.replace(ref, (), come, self.fragments)
        after = self.table()
        return {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}

    def at(self, place):
        """Return what stands at a place."""
        return self.claims.content((Kind.ROUTE, place.key), self.fragments)

    def table(self):
        """Return what stands at each key."""
        keys = sorted(self.claims.keys_of(Kind.ROUTE))
        return {key: self.claims.content((Kind.ROUTE, key), self.fragments) for key in keys}

    def entries(self):
        """Return the entries of the routing map and of the map of splits."""
        table = self.table()
        targets = [
            item.target
            for content in table.values()
            for item in (content.items if isinstance(content, Candidates) else (Candidate(content),))
        ]
        shares = [routes.shares(target) for target in targets if isinstance(target, Split)]
        return {key: routes.value(key, content) for key, content in table.items()}, {
            key: value for found in shares for key, value in found.items()
        }


class Routed(Edge):
    """An edge whose Services are backends of made-up routes; `exchange` changes those of an object by commands."""

    def __init__(self, binary, *documents, wanted=(), **settings):
        super().__init__(binary, *documents, **settings)
        self.made = MadeUp()
        for ref, found in by_owner(wanted).items():
            self.made.replace(ref, found)

    def rendered(self, made):
        files = super().rendered(made)
        found, splits = self.made.entries()
        files['maps/routes.map'] += text(found)
        files[SPLITS] = text(splits)
        return files

    def entry(self, key):
        """Return the value of a key of the routing map in the running HAProxy."""
        lines = self.haproxy.command('show map maps/routes.map').split('\n')
        return next(line.split(' ', 2)[2] for line in lines if f' {key} ' in line)

    def exchange(self, ref, wanted):
        """Exchange the candidates of an object in the running HAProxy, and return how many commands that took."""
        before = self.made.entries()
        self.made.replace(ref, wanted)
        after = self.made.entries()
        sent = [
            *_difference(SPLITS, before[1], after[1], gone=False),
            *_difference('maps/routes.map', before[0], after[0], gone=False),
            *_difference('maps/routes.map', before[0], after[0], gone=True),
            *_difference(SPLITS, before[1], after[1], gone=True),
        ]
        for line in sent:
            assert self.haproxy.command(line) == '', line
        return len(sent)


def _difference(name, before, after, *, gone):
    if gone:
        return [f'del map {name} {commands.syntax.escaped(key)}' for key in before.keys() - after.keys()]
    found = [f'add map {name} <<\n{key} {after[key]}\n' for key in sorted(after.keys() - before.keys())]
    changed = [key for key in before.keys() & after.keys() if before[key] != after[key]]
    if name != 'maps/routes.map':
        return [*found, *(f'set map {name} {key} {after[key]}' for key in changed)]
    return [*found, *(commands.set_entry(Phase.POINTERS, Entry(Map.ROUTES, key, after[key])).text for key in changed)]


def by_owner(wanted):
    """Return pairs of route and candidate by the object that they are of."""
    found = {}
    for place, item in wanted:
        found.setdefault(item.owner, []).append((place, item))
    return found


def text(found):
    """Return entries as the text of a map."""
    return ''.join(f'{key} {value}\n' for key, value in sorted(found.items())).encode()


# --- the oracle -------------------------------------------------------------------------------------------------------


def chosen(wanted, host, path, *, method='GET', query=b'', headers=()):
    """Return the candidate that serves a request, or None: the best of all that fit, by the words of the Gateway API."""
    fitting = [
        (place, item)
        for place, item in wanted
        if place.host == host and _on(place, path) and _fulfils(item.candidate.conditions, path, method, query, headers)
    ]
    return min(fitting, key=_precedence)[1] if fitting else None


def _precedence(pair):
    place, item = pair
    found = item.candidate.conditions
    return (
        place.match != 'exact',
        -len(place.path),
        not found.path,
        not found.method,
        -len(found.headers),
        -len(found.query),
        item.created,
        item.owner.namespace,
        item.owner.name,
        item.candidate.rule,
    )


def _on(place, path):
    if place.match == 'exact':
        return path == place.path
    return path == place.path or path.startswith(f'{place.path.rstrip("/")}/')


def _fulfils(wanted, path, method, query, headers):
    parameters = {}
    for part in query.split(b'&'):
        name, _, value = part.replace(b'+', b' ').partition(b'=')
        parameters.setdefault(unquote_to_bytes(name), unquote_to_bytes(value))
    fields = {}
    for name, value in headers:
        fields.setdefault(name.lower(), []).append(value)
    return (
        (not wanted.method or wanted.method == method)
        and all(match.name in fields and _matches(match, b','.join(fields[match.name])) for match in wanted.headers)
        and all(
            (name := match.name.encode()) in parameters and _matches(match, parameters[name]) for match in wanted.query
        )
        and (not wanted.path or _found(wanted.path, path.encode()))
    )


def _matches(match, value):
    if match.expression:
        return _found(match.value, value)
    return match.value.encode(errors='surrogatepass') == value


def _found(expression, value):
    # Python's name for the end of the text.
    return re.search(expression.replace(r'\z', r'\Z').encode(), value) is not None
