"""Where the matches of HTTPRoutes and GRPCRoutes stand: a path of the routing map, and conditions besides it.

A gRPC call is a POST to `/SERVICE/METHOD`.
"""

from collections.abc import Iterable
from typing import NamedTuple

from headrace.ir.routing import ALWAYS, Conditions, HeaderMatch, QueryMatch
from headrace.objects.route_matches import GRPCMatch, HTTPMatch, PathKind, ValueMatch
from headrace.translate import regular_expressions
from headrace.translate.regular_expressions import Unsupported

ROOT = '/'
# The name of a service or method.
_ANY_NAME = '[^/]+'


class Location(NamedTuple):
    """A path of the routing map, the whole one or a prefix, and what a request must fulfil besides."""

    path: str
    exact: bool
    conditions: Conditions


class UnreadableError(Exception):
    """A match that cannot be judged: its rule is closed."""


def of_match(match: HTTPMatch | GRPCMatch) -> Location:
    """Return the location of a match; raises UnreadableError for an expression that is not supported."""
    return _of_request(match) if isinstance(match, HTTPMatch) else _of_call(match)


def closed(match: HTTPMatch | GRPCMatch) -> Location:
    """Return the location at which a match that cannot be read closes its rule."""
    if isinstance(match, GRPCMatch):
        return Location(ROOT, exact=False, conditions=ALWAYS)
    path = ROOT if match.path.kind is PathKind.EXPRESSION else match.path.value
    return Location(path, match.path.kind is PathKind.EXACT, Conditions(match.method))


def _of_request(match: HTTPMatch) -> Location:
    if match.path.kind is PathKind.EXPRESSION:
        expression = match.path.value
        conditions = _conditions(match.headers, match.query, match.method, _parsed(expression), len(expression))
        return Location(ROOT, exact=False, conditions=conditions)
    conditions = _conditions(match.headers, match.query, match.method)
    return Location(match.path.value, match.path.kind is PathKind.EXACT, conditions)


def _of_call(match: GRPCMatch) -> Location:
    if match.service and not match.expression:
        path = f'/{match.service}/{match.method}' if match.method else f'/{match.service}'
        return Location(path, bool(match.method), _conditions(match.headers))
    if not match.service and not match.method:
        return Location(ROOT, exact=False, conditions=_conditions(match.headers))
    if match.expression:
        # Each is an expression by itself, before both are parts of one.
        for text in filter(None, (match.service, match.method)):
            _parsed(text)
    service, method = (f'(?:{text})' if text else _ANY_NAME for text in (match.service, match.method))
    length = len(match.service) + len(match.method)
    conditions = _conditions(match.headers, expression=_parsed(f'/{service}/{method}'), length=length)
    return Location(ROOT, exact=False, conditions=conditions)


def _conditions(
    headers: Iterable[ValueMatch],
    query: Iterable[ValueMatch] = (),
    method: str = '',
    expression: str = '',
    length: int = 0,
) -> Conditions:
    if not (headers or query or method or expression):
        return ALWAYS
    return Conditions(
        method,
        tuple(sorted(HeaderMatch(each.name, _value(each), each.expression) for each in headers)),
        tuple(sorted(QueryMatch(each.name, _value(each), each.expression) for each in query)),
        expression,
        length,
    )


def _value(match: ValueMatch) -> str:
    return _parsed(match.value) if match.expression else match.value


def _parsed(text: str) -> str:
    parsed = regular_expressions.parse(text)
    if isinstance(parsed, Unsupported):
        raise UnreadableError(f'the regular expression {text[:60]!a} {parsed.reason}; the rule is closed')
    return parsed
