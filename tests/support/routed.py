"""Made-up candidates of routes, an edge that serves them, and an oracle that judges requests by the candidates alone."""

import re
from urllib.parse import unquote_to_bytes

from headrace.haproxy.encode import commands, routes
from headrace.haproxy.encode.commands import Phase
from headrace.haproxy.render.render import Renderer
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, Map
from headrace.ir.routing import ALWAYS, Conditions, HeaderMatch, QueryMatch, Route, Staging
from headrace.names import Ref
from headrace.resolve.virtual_hosts import VirtualHosts
from support.edge import Edge

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
    return Staging(ref, created, rule, target or Pointer(f'{namespace}_{backend}_http', ''), wanted)


def route(path='/', host='r.com', match='prefix'):
    """Return a route of the class's own listener."""
    return Route('', host, path, match)


class Routed(Edge):
    """An edge whose Services are backends of made-up routes; `exchange` changes those of an object by commands."""

    def __init__(self, binary, *documents, wanted=(), **settings):
        super().__init__(binary, *documents, **settings)
        self.hosts = VirtualHosts()
        for ref, found in by_owner(wanted).items():
            self.hosts.replace(ref, found)

    def renderer(self, context):
        return Renderer(context, quic=self.quic, conditions=True)

    def rendered(self, made):
        files = super().rendered(made)
        found, splits = table(self.hosts)
        files['maps/routes.map'] += text(found)
        files[routes.SPLITS] = text(splits)
        return files

    def entry(self, key):
        """Return the value of a key of the routing map in the running HAProxy."""
        lines = self.haproxy.command('show map maps/routes.map').split('\n')
        return next(line.split(' ', 2)[2] for line in lines if f' {key} ' in line)

    def exchange(self, ref, wanted):
        """Exchange the candidates of an object in the running HAProxy, and return how many commands that took."""
        before = table(self.hosts)
        self.hosts.replace(ref, wanted)
        after = table(self.hosts)
        sent = [
            *_difference(routes.SPLITS, before[1], after[1], gone=False),
            *_difference('maps/routes.map', before[0], after[0], gone=False),
            *_difference('maps/routes.map', before[0], after[0], gone=True),
            *_difference(routes.SPLITS, before[1], after[1], gone=True),
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


def table(hosts):
    """Return the entries of the routing map and of the map of splits."""
    merged = {place: hosts.at(place) for place in hosts.routes()}
    return {routes.key(place): routes.value(place, item) for place, item in merged.items()}, routes.splits(
        merged.values()
    )


def text(found):
    """Return entries as the text of a map."""
    return ''.join(f'{key} {value}\n' for key, value in sorted(found.items())).encode()


# --- the oracle -------------------------------------------------------------------------------------------------------


def chosen(wanted, host, path, *, method='GET', query=b'', headers=()):
    """Return the candidate that serves a request, or None: the best of all that fit, by the words of the Gateway API."""
    fitting = [
        (place, item)
        for place, item in wanted
        if place.host == host and _on(place, path) and _fulfils(item.conditions, path, method, query, headers)
    ]
    return min(fitting, key=_precedence)[1] if fitting else None


def _precedence(pair):
    place, item = pair
    found = item.conditions
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
        item.rule,
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
