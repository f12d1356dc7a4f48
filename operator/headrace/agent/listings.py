"""What an agent serves as lists: routes, problems, certificates and Gateways; searched, sorted and cut into pages here.

Each answer is bounded. Lists are searched in pieces that hold the event loop for some milliseconds, however long they are.
"""

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.agent.pace import Pace
from headrace.diagnostics import Diagnostic, Level
from headrace.ir.fragment import Kind, pointers
from headrace.ir.pointers import NoRoute
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.kinds import Certificate, Secret
from headrace.resolve import explanation
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate.policies import CLOSED

LONGEST_SEARCH = 200
MOST_ROWS = 200
_USUAL_ROWS = 50
_CHUNK = 1000
_MOST_USERS, _MOST_NAMES, _MOST_LISTENERS = 20, 20, 200
# What clients can ask for, in the order in which it is listed.
ASKED = (
    Kind.ROUTE,
    Kind.TLS,
    Kind.PORT,
    Kind.L4_ROUTE,
    Kind.UDP_PORT,
    Kind.ADDRESS,
    Kind.VIRTUAL_ADDRESS,
)
_LEVELS = {level: number for number, level in enumerate(Level)}


class QueryError(ValueError):
    """A parameter of a list cannot be used; the message says which."""


@dataclass(frozen=True, slots=True)
class Query:
    """Which rows of a list: those with all words of `search`, in an order, `limit` of them after the first `offset`."""

    search: tuple[str, ...] = ()
    sort: str = ''
    descending: bool = False
    offset: int = 0
    limit: int = _USUAL_ROWS

    def matches(self, text: str) -> bool:
        """Tell whether a text has all words that are searched, in any case."""
        lowered = text.lower()
        return all(word in lowered for word in self.search)


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of one page, how many rows match, and how many there are."""

    rows: list[Any]
    matching: int
    total: int


def query(parameters: Mapping[str, str], orders: Iterable[str]) -> Query:
    """Return what `search`, `sort` (with a `-` before it: descending), `offset` and `limit` ask for; raises QueryError."""
    search, sort = parameters.get('search', ''), parameters.get('sort', '')
    if len(search) > LONGEST_SEARCH:
        raise QueryError(f'search must have {LONGEST_SEARCH} characters at most')
    if sort and sort.removeprefix('-') not in orders:
        raise QueryError(f'sort must be one of {", ".join(orders)}')
    offset = _number(parameters, 'offset', 0, range(1_000_001))
    limit = _number(parameters, 'limit', _USUAL_ROWS, range(1, MOST_ROWS + 1))
    return Query(tuple(search.lower().split()), sort.removeprefix('-'), sort.startswith('-'), offset, limit)


def _number(parameters: Mapping[str, str], name: str, usual: int, allowed: range) -> int:
    text = parameters.get(name) or str(usual)
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(allowed[-1])) and int(text) in allowed):
        raise QueryError(f'{name} must be a number from {allowed[0]} to {allowed[-1]}')
    return int(text)


async def _page(items: list[Any], wanted: Query, key: Callable[[Any], Any], text: Callable[[Any], str | None]) -> _Rows:
    """Return the rows of a page, in the order of their keys.

    `text` is what is searched in, None for an item that is gone meanwhile; it is made only where something is searched.
    """
    pace, matching, last = Pace(), 0, wanted.offset + wanted.limit
    best: list[tuple[Any, Any]] = []
    for start in range(0, len(items), _CHUNK):
        chunk = items[start : start + _CHUNK]
        if wanted.search:
            chunk = [item for item in chunk if (found := text(item)) is not None and wanted.matches(found)]
        matching += len(chunk)
        best += [(key(item), item) for item in chunk]
        best.sort(key=_first, reverse=wanted.descending)
        del best[last:]
        await pace.rest()
    return _Rows([item for _, item in best[wanted.offset :]], matching, len(items))


def _first(row: tuple[Any, Any]) -> Any:
    return row[0]


def _listed(rows: _Rows, values: Iterable[object], wanted: Query) -> bytes:
    return msgspec.json.encode(
        {'items': [*values], 'matching': rows.matching, 'total': rows.total, 'offset': wanted.offset}
    )


ROUTE_ORDERS = ('key', 'object', 'kind')


async def routes(state: State, wanted: Query) -> bytes:
    """Return a page of what clients can ask for: hosts and paths, hosts' TLS, ports, addresses; and which object holds it."""
    place = {kind: number for number, kind in enumerate(ASKED)}

    def holder(item: tuple[Kind, str]) -> Ref | None:
        return next(iter(state.claims.parties(item)), None)

    def by_object(item: tuple[Kind, str]) -> tuple[str, ...]:
        ref = holder(item)
        return (ref.namespace, ref.name, ref.kind, item[1]) if ref is not None else ('', '', '', item[1])

    def text(item: tuple[Kind, str]) -> str | None:
        ref = holder(item)
        return f'{item[1]} {ref.kind} {ref.namespace}/{ref.name}' if ref is not None else None

    orders: dict[str, Callable[[tuple[Kind, str]], Any]] = {
        'object': by_object,
        'kind': lambda item: (place[item[0]], item[1]),
        '': lambda item: (item[1], place[item[0]]),
    }
    items = [(kind, key) for kind in ASKED for key in state.claims.keys_of(kind)]
    rows = await _page(items, wanted, orders.get(wanted.sort, orders['']), text)
    pace = Pace()
    values = []
    for kind, key in rows.rows:
        if (value := route(state, kind, key)) is not None:
            values.append(value)
        await pace.rest()
    return _listed(rows, values, wanted)


def route(state: State, kind: Kind, key: str) -> dict[str, Any] | None:
    """Return who has a key, who waits for it, and what stands there; None where no object wants it."""
    holding = explanation.holding(state, kind, key)
    if holding is None:
        return None
    content = state.claims.content((kind, key), state.fragments) if state.claims.claimants((kind, key)) else None
    gateway, host, path = split(key) if kind is Kind.ROUTE else ('', holding.key, '')
    return {
        'kind': str(kind),
        'key': key,
        'gateway': gateway,
        'host': host,
        'path': path.removesuffix('#'),
        'exact': path.endswith('#'),
        'holder': holding.holder._asdict(),
        'waiting': [ref._asdict() for ref in holding.waiting],
        'moreWaiting': holding.more,
        'backends': [*dict.fromkeys(pointer.backend for pointer in pointers(content))],
        'state': _state(content),
    }


def split(key: str) -> tuple[str, str, str]:
    """Return the port of Gateways ('' for the class's own listeners), the host and the path of a route's key."""
    stem, slash, path = key.partition('/')
    gateway, colon, host = stem.rpartition(':')
    path = f'{slash}{path}'
    if path.endswith('/#'):
        path = f'{path[:-2] or "/"}#'
    return (gateway if colon else ''), host, (path[:-1] if len(path) > 1 and path.endswith('/') else path)


def _state(content: object) -> str:
    match content:
        case None | NoRoute():
            return 'nothing'
        case HostTls(passthrough=None):
            return 'terminated'
        case HostTls():
            return 'passed through'
        case _ if any(CLOSED in pointer.flags for pointer in pointers(content)):  # type: ignore[arg-type]
            return 'closed'
        case _:
            return 'served'


PROBLEM_ORDERS = ('level', 'object', 'reason')


async def problems(
    by_ref: Mapping[Ref, tuple[Diagnostic, ...]], unread: tuple[Diagnostic, ...], wanted: Query, level: str
) -> bytes:
    """Return a page of diagnostics, errors first."""

    def key(item: Diagnostic) -> tuple[Any, ...]:
        rank, ref = _LEVELS[item.level], (item.ref.namespace, item.ref.name, item.ref.kind)
        return {'object': (ref, rank, item.reason), 'reason': (item.reason, ref)}.get(
            wanted.sort, (rank, ref, item.reason)
        )

    def text(item: Diagnostic) -> str:
        return f'{item.level} {item.reason} {item.ref} {item.field} {item.message}'

    every = [item for items in list(by_ref.values()) for item in items]
    levels = {str(each): 0 for each in Level}
    for item in every:
        levels[item.level] += 1
    for item in unread:
        levels[item.level] += 1
    every = [item for item in (*every, *unread) if not level or item.level == level]
    rows = await _page(every, wanted, key, text)
    values = [item.value for item in rows.rows]
    return msgspec.json.encode(
        {
            'items': values,
            'matching': rows.matching,
            'total': rows.total,
            'offset': wanted.offset,
            'levels': levels,
        }
    )


CERTIFICATE_ORDERS = ('expiry', 'secret')


async def certificates(state: State, store: Store, wanted: Query) -> bytes:
    """Return a page of the certificates that something needs, those that end first at its head; never a key."""

    def certificate(ref: Ref) -> Certificate | None:
        secret = store.get(ref, Secret)
        return secret.certificate if secret is not None else None

    def key(ref: Ref) -> tuple[Any, ...]:
        found = certificate(ref)
        return (ref,) if wanted.sort == 'secret' or found is None else (found.not_after, ref)

    def text(ref: Ref) -> str:
        found = certificate(ref)
        return f'{ref.namespace}/{ref.name} {" ".join(found.names) if found is not None else ""}'

    refs = [ref for ref in state.dependencies.read_objects('Secret') if certificate(ref) is not None]
    rows = await _page(refs, wanted, key, text)
    return _listed(rows, (_certificate(state, store, ref) for ref in rows.rows), wanted)


def _certificate(state: State, store: Store, ref: Ref) -> dict[str, object]:
    secret, users = store.get(ref, Secret), state.dependencies.readers(ref)
    certificate = secret.certificate if secret is not None else None
    names = certificate.names if certificate is not None else ()
    return {
        'namespace': ref.namespace,
        'name': ref.name,
        'notAfter': certificate.not_after if certificate is not None else '',
        'key': certificate.key if certificate is not None else '',
        'names': names[:_MOST_NAMES],
        'moreNames': max(0, len(names) - _MOST_NAMES),
        'users': [user._asdict() for user in heapq.nsmallest(_MOST_USERS, users)],
        'moreUsers': max(0, len(users) - _MOST_USERS),
    }


GATEWAY_ORDERS = ('object',)


async def gateways(state: State, store: Store, wanted: Query) -> bytes:
    """Return a page of Gateways and ListenerSets with their listeners."""
    refs = [ref for ref in list(state.fragments) if ref.kind in ('Gateway', 'ListenerSet')]
    rows = await _page(refs, wanted, lambda ref: (ref.namespace, ref.name, ref.kind), str)
    attached: dict[tuple[Ref, str], int] = {}
    pace = Pace()
    for number, fragment in enumerate(list(state.fragments.values())):
        for attachment in fragment.attachments:
            for listener in attachment.listeners:
                attached[listener] = attached.get(listener, 0) + 1
        if number % _CHUNK == 0:
            await pace.rest()
    values = [value for ref in rows.rows if (value := _gateway(store, ref, attached)) is not None]
    return _listed(rows, values, wanted)


def _gateway(store: Store, ref: Ref, attached: Mapping[tuple[Ref, str], int]) -> dict[str, object] | None:
    gateway = store.get(ref, Gateway) if ref.kind == 'Gateway' else store.get(ref, ListenerSet)
    if gateway is None:
        return None
    return {
        **ref._asdict(),
        'className': gateway.class_name if isinstance(gateway, Gateway) else '',
        'addresses': [each.value for each in gateway.addresses] if isinstance(gateway, Gateway) else [],
        'listeners': [
            {
                'name': listener.name,
                'protocol': listener.protocol,
                'port': listener.port,
                'hostname': listener.hostname,
                'routes': attached.get((ref, listener.name), 0),
            }
            for listener in gateway.listeners[:_MOST_LISTENERS]
        ],
        'moreListeners': max(0, len(gateway.listeners) - _MOST_LISTENERS),
    }
