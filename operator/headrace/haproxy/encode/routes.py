"""Merged routes as entries of maps: the value of the routing map, and the shares of split backends.

A route without conditions has the value that annotated Services have, `BACKEND|POLICY|FLAGS`. One with conditions has
`?KEY,CANDIDATE,…,`, which the fetch of `lua/choose.lua` reads:

    CANDIDATE  TARGET!CONDITION!CONDITION…
    TARGET     BACKEND|POLICY|FLAGS; last and without conditions also `NAMESPACE_`, which has the rest of the host
    CONDITION  a letter and a name, then the wanted value: `m!METHOD`, `p!EXPRESSION`, `hNAME!VALUE`, `qNAME!VALUE`;
               `H` and `Q` where the value is a regular expression

All text of users is percent-encoded but for letters, digits and signs without a meaning here, for HAProxy's files or for its
commands, so the separators need no control characters, which nothing may write into a map.

Of a split, the routing map has the flag `W`, and the map `splits` has a key for each prefix of a draw of three hexadecimal
digits, `POLICY:PREFIX`, with `BACKEND|POLICY|FLAGS` of the backend that has the draw.
"""

from collections.abc import Iterator
from itertools import accumulate
from typing import NamedTuple
from urllib.parse import quote

from headrace.haproxy.encode import external_hosts, syntax
from headrace.ir.pointers import NoRoute, Pointer, Unread
from headrace.ir.policy import Entry, Map
from headrace.ir.routing import (
    Authentication,
    Canary,
    Candidates,
    Conditions,
    ErrorPages,
    Fallback,
    Lead,
    Mirrors,
    Split,
    Target,
    UnreadLead,
    WeightedBackend,
)
from headrace.translate.policies import closed, closed_target

SPLIT = 'W'
# For a host of a listener that has no route: it ends the search among less specific hosts.
NO_ROUTE = '_'
# With its key and the name of the map, the command that sets it must fit HAProxy's buffer.
MAX_VALUE = 8_000
# The most backends that a split can have, which bounds its entries to 900.
MAX_BACKENDS = 32
DRAWS = 16**3
# Besides letters, digits and `_.-~`.
_SAFE = '/:*+?()[]{}^$|=@'


class Range(NamedTuple):
    """The draws that a backend of a split has: from `first` up to, but not with, `end`."""

    first: int
    end: int
    backend: WeightedBackend


def value(key: str, content: Target | Candidates) -> str:
    """Return the value of a route in the routing map; one that would not fit a command closes the route."""
    if not isinstance(content, Candidates):
        return _text(content)
    candidates = (_candidate(candidate.target, candidate.conditions) for candidate in content.items)
    rest = (f'{content.reserved}_',) if content.reserved else ()
    text = ''.join(f'{part},' for part in (f'?{_encoded(key)}', *candidates, *rest))
    return text if len(text) <= MAX_VALUE else _text(closed_target(content.items[0].target))


def read_value(text: str) -> Pointer | NoRoute | Unread:
    """Return what a value of the routing map stands for; raises ValueError for another text.

    A split, and candidates, stay the text that they are, with the backends and policies that the text names.
    """
    if text == NO_ROUTE:
        return NoRoute()
    if text.startswith('?'):
        targets = (candidate.partition('!')[0] for candidate in text.split(',')[1:-1])
        return Unread(text, tuple(syntax.read_pointer(target) for target in targets if not target.endswith(NO_ROUTE)))
    pointer = syntax.read_pointer(text)
    return Unread(text, (pointer,)) if SPLIT in pointer.flags else pointer


def lead(rule: Lead) -> list[Entry]:
    """Return the entries that lead a policy's requests to further backends."""
    if isinstance(rule, UnreadLead):
        return [rule.entry]
    if isinstance(rule, Canary):
        return [Entry(Map.CANARY, rule.policy, f'{rule.weight}|{syntax.pointer(rule.pointer)}')]
    if isinstance(rule, Authentication):
        return [Entry(Map.EXTERNAL_AUTH, rule.policy, _authentication(rule))]
    if isinstance(rule, ErrorPages):
        return [Entry(Map.ERROR_PAGES, rule.policy, _error_pages(rule))]
    if isinstance(rule, Fallback):
        return [Entry(Map.FALLBACK, rule.policy, rule.pointer.backend)]
    if isinstance(rule, Mirrors):
        return [Entry(Map.MIRRORS, rule.policy, _mirrors(rule))]
    return [Entry(Map.SPLITS, prefix, text) for prefix, text in shares(rule).items()]


def read_lead(entry: Entry) -> UnreadLead | None:
    """Return the lead that an entry is, None for an entry that leads to no Service's backend."""
    found = _read_targets(entry)
    return UnreadLead(entry, found) if found else None


def _read_targets(entry: Entry) -> tuple[Pointer, ...]:
    """Return where an entry of `lead` leads, nothing for another entry. Most name the backend alone."""
    match entry.map, entry.value.split('|'):
        case (Map.CANARY, [_, backend, policy, flags, *_]) | (Map.SPLITS, [backend, policy, flags, *_]):
            return (Pointer(backend, policy, flags),)
        case Map.FALLBACK, [backend]:
            return (Pointer(backend, ''),)
        case ((Map.EXTERNAL_AUTH | Map.ERROR_PAGES), [_, backend, *_]):
            # What is no Service's backend is one that the configuration always has, or is found by each request.
            return (Pointer(backend, ''),) if '_' in backend else ()
        case Map.MIRRORS, _:
            return tuple(Pointer(part.partition('|')[2], '') for part in entry.value.split(',')[1:])
        case _:
            return ()


def _mirrors(mirrors: Mirrors) -> str:
    """Return NAMESPACE,NUMERATOR/DENOMINATOR|BACKEND,…, which `lua/mirrors.lua` reads."""
    copies = (f'{each.numerator}/{each.denominator}|{each.pointer.backend}' for each in mirrors.items)
    return ','.join((mirrors.namespace, *copies))


def _authentication(authentication: Authentication) -> str:
    """Return TIMEOUT|BACKEND|METHOD|HOST AND PATH|HEADERS|SIGN-IN|CACHE|BODY|COOKIE|NAMESPACE, which `lua/authentication.lua` reads."""
    pointer = authentication.pointer
    fields = (
        authentication.timeout,
        pointer.backend if pointer is not None else external_hosts.backend(authentication.origin),
        authentication.method,
        authentication.url,
        ','.join(authentication.headers),
        authentication.signin,
        authentication.cache,
        authentication.body,
        authentication.cookie,
        authentication.namespace,
    )
    return '|'.join(map(str, fields))


def _error_pages(pages: ErrorPages) -> str:
    """Return CODES|BACKEND|NAMESPACE|INGRESS|SERVICE|PORT, which `lua/errors.lua` reads."""
    codes, service = ','.join(map(str, pages.statuses)), pages.service
    return f'{codes}|{pages.pointer.backend}|{service.namespace}|{pages.ingress}|{service.name}|{pages.port}'


def shares(split: Split) -> dict[str, str]:
    """Return the entries of one split; none where it is closed."""
    return {
        f'{split.policy}:{prefix}': syntax.pointer(Pointer(backend.backend, backend.policy, backend.flags))
        for first, end, backend in ranges(split)
        for prefix in prefixes(first, end)
    }


def prefixes(first: int, end: int) -> Iterator[str]:
    """Yield the shortest prefixes, in hexadecimal, of three digits that cover the draws from `first` up to `end`."""
    while first < end:
        size, digits = 1, 3
        while digits and not first % (size * 16) and first + size * 16 <= end:
            size, digits = size * 16, digits - 1
        yield f'{first // size:0{digits}X}' if digits else ''
        first += size


def ranges(split: Split) -> list[Range]:
    """Return who has which draws: each bound is rounded by itself, so no share is off by more than one draw."""
    weights = [backend.weight for backend in split.backends]
    total = sum(weights)
    if not total or len(weights) > MAX_BACKENDS:
        return []
    ends = [(2 * DRAWS * sofar + total) // (2 * total) for sofar in accumulate(weights)]
    return [Range(*bounds) for bounds in zip([0, *ends], ends, split.backends, strict=False)]


def _text(target: Target) -> str:
    return NO_ROUTE if isinstance(target, NoRoute) else syntax.pointer(_pointer(target))


def _pointer(target: Pointer | Split) -> Pointer:
    """Return what stands for a target in the routing map: for a split its first backend, which names the namespace."""
    if isinstance(target, Pointer):
        return target
    first = target.backends[0].backend if target.backends else ''
    pointer = Pointer(first, target.policy, ''.join(sorted({*target.flags, SPLIT})))
    return pointer if ranges(target) else closed(pointer)


def _candidate(target: Target, conditions: Conditions) -> str:
    return '!'.join([_text(target), *_conditions(conditions)])


def _conditions(conditions: Conditions) -> Iterator[str]:
    """Yield names and values of conditions by turns; those that cost least to judge come first."""
    if conditions.method:
        yield from ('m', _encoded(conditions.method))
    for letter, matches in (('h', conditions.headers), ('q', conditions.query)):
        for match in matches:
            yield (letter.upper() if match.expression else letter) + _encoded(match.name)
            yield _encoded(match.value)
    if conditions.path:
        yield from ('p', _encoded(conditions.path))


def _encoded(text: str) -> str:
    # A text from JSON can have halves of pairs of UTF-16, which are no characters.
    return quote(text.encode(errors='surrogatepass'), safe=_SAFE)
