"""Matches of HTTPRoutes and GRPCRoutes: what a request must be for a rule, and how documents become it.

Values to compare with are of the form that the API allows; regular expressions are texts without control characters, and
their grammar is judged where they are translated. A match that cannot be read is left out, since without one of its
conditions it would take other requests; it is a problem of its rule.
"""

import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import TypeVar

from headrace.diagnostics import shorten
from headrace.objects import fields
from headrace.objects.problems import Problems
from headrace.objects.route_filters import HEADER_NAME, HEADER_VALUE, METHODS, URI_PATH

_MAX_TEXT = 4096
_MAX_PATH = 1024
_TEXT = re.compile(r'[^\x00-\x1f\x7f\ud800-\udfff]+')
_FORBIDDEN_IN_PATH = re.compile(r'//|/\.\.?(?:/|\Z)|%2[fF]')
_SERVICE = re.compile(r'\.?[A-Za-z_][A-Za-z_0-9]*(?:\.[A-Za-z_][A-Za-z_0-9]*)*')
_METHOD = re.compile(r'[A-Za-z_][A-Za-z_0-9]*')


class PathKind(StrEnum):
    """How a path is compared with a request's."""

    EXACT = 'Exact'
    PREFIX = 'PathPrefix'
    EXPRESSION = 'RegularExpression'


@dataclass(frozen=True, slots=True)
class PathMatch:
    """A path of a request: the whole, a prefix that ends at a `/`, or a regular expression for the whole."""

    value: str = '/'
    kind: PathKind = PathKind.PREFIX


@dataclass(frozen=True, slots=True)
class ValueMatch:
    """A header or query parameter that a request must have; `expression` tells that `value` is a regular expression.

    Names of headers are in lower case.
    """

    name: str
    value: str
    expression: bool = False


@dataclass(frozen=True, slots=True)
class HTTPMatch:
    """Conditions of which all must hold; '' for any method. Each name of a header and parameter is there once, in their order."""

    path: PathMatch = PathMatch()
    method: str = ''
    headers: tuple[ValueMatch, ...] = ()
    query: tuple[ValueMatch, ...] = ()


@dataclass(frozen=True, slots=True)
class GRPCMatch:
    """Conditions of which all must hold; '' for any service or method. `expression`: both are regular expressions."""

    service: str = ''
    method: str = ''
    expression: bool = False
    headers: tuple[ValueMatch, ...] = ()


Match = TypeVar('Match', HTTPMatch, GRPCMatch)

_PATH_KINDS = {kind.value: kind for kind in PathKind}
ANY_PATH = PathMatch()
ANY_REQUEST = HTTPMatch()
ANY_CALL = GRPCMatch()


def read(
    rule: fields.Document,
    field: str,
    problems: Problems,
    read_match: Callable[[object, str, Problems], Match | None],
    default: Match,
) -> tuple[Match, ...]:
    """Return the matches of a rule in their order, each as `read_match` reads it; the default where the rule has no list."""
    if rule.get('matches') in (None, []):
        return (default,)
    matches = (
        read_match(entry, f'{field}.matches[{index}]', problems)
        for index, entry in enumerate(problems.entries(rule, 'matches', field))
    )
    return tuple(match for match in matches if match is not None)


def read_http(entry: object, field: str, problems: Problems) -> HTTPMatch | None:
    """Return the match of an HTTPRoute; None, and a problem, when it is invalid."""
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no match')
        return None
    path = _path(entry.get('path'), f'{field}.path', problems)
    method = entry.get('method')
    if method is not None and not (isinstance(method, str) and method in METHODS):
        problems.add(f'{field}.method', f'{shorten(method)} is no method')
        return None
    headers = _values(entry, 'headers', field, problems)
    query = _values(entry, 'queryParams', field, problems)
    if path is None or headers is None or query is None:
        return None
    return HTTPMatch(path, method or '', headers, query) if method or headers or query else _of_path(path)


def read_grpc(entry: object, field: str, problems: Problems) -> GRPCMatch | None:
    """Return the match of a GRPCRoute; None, and a problem, when it is invalid."""
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no match')
        return None
    headers = _values(entry, 'headers', field, problems)
    if (call := entry.get('method')) is None:
        return None if headers is None else GRPCMatch(headers=headers)
    field = f'{field}.method'
    if not isinstance(call, dict):
        problems.add(field, f'{shorten(call)} is no match of a method')
        return None
    kind = fields.value(call, 'type', PathKind.EXACT)
    service, method = (fields.value(call, key, '') for key in ('service', 'method'))
    if kind not in (PathKind.EXACT, PathKind.EXPRESSION):
        problems.add(f'{field}.type', f'{shorten(kind)} is neither Exact nor RegularExpression')
        return None
    if not isinstance(service, str) or not isinstance(method, str) or not (service or method):
        problems.add(field, 'neither a service nor a method is named')
        return None
    for key, text, form in (('service', service, _SERVICE), ('method', method, _METHOD)):
        if text and (len(text) > _MAX_PATH or not (_TEXT if kind == PathKind.EXPRESSION else form).fullmatch(text)):
            problems.add(f'{field}.{key}', f'{shorten(text)} is no {key}')
            return None
    return None if headers is None else GRPCMatch(service, method, kind == PathKind.EXPRESSION, headers)


@lru_cache(maxsize=8192)
def _of_path(path: PathMatch) -> HTTPMatch:
    return HTTPMatch(path)


def _path(document: object, field: str, problems: Problems) -> PathMatch | None:
    if document is None:
        return ANY_PATH
    if not isinstance(document, dict):
        problems.add(field, f'{shorten(document)} is no match of a path')
        return None
    kind, value = fields.value(document, 'type', PathKind.PREFIX), fields.value(document, 'value', '/')
    if not isinstance(kind, str) or kind not in _PATH_KINDS:
        problems.add(f'{field}.type', f'{shorten(kind)} is not one of Exact, PathPrefix and RegularExpression')
        return None
    path = _judged_path(value, _PATH_KINDS[kind]) if isinstance(value, str) and len(value) <= _MAX_PATH else None
    if path is None:
        problems.add(f'{field}.value', f'{shorten(value)} is no path for {kind}')
    return path


@lru_cache(maxsize=8192)
def _judged_path(value: str, kind: PathKind) -> PathMatch | None:
    """Return one value for all matches of a path; None when it is invalid."""
    if kind is PathKind.EXPRESSION:
        is_path = _TEXT.fullmatch(value) is not None
    else:
        is_path = (
            value.startswith('/') and URI_PATH.fullmatch(value) is not None and not _FORBIDDEN_IN_PATH.search(value)
        )
    return PathMatch(value, kind) if is_path else None


def _values(document: fields.Document, key: str, field: str, problems: Problems) -> tuple[ValueMatch, ...] | None:
    """Return the headers or parameters of a match, of each name the first; None when one cannot be read."""
    entries = document.get(key)
    if entries is None:
        return ()
    if not isinstance(entries, list):
        problems.add(f'{field}.{key}', f'{shorten(entries)} is no list')
        return None
    matches: dict[str, ValueMatch] = {}
    for index, entry in enumerate(entries):
        name, value, kind = (
            (entry.get('name'), entry.get('value'), fields.value(entry, 'type', 'Exact'))
            if isinstance(entry, dict)
            else (entry, None, None)
        )
        if not isinstance(name, str) or not HEADER_NAME.fullmatch(name):
            problems.add(f'{field}.{key}[{index}].name', f'{shorten(name)} is no name for {key}')
            return None
        if kind not in ('Exact', 'RegularExpression'):
            problems.add(f'{field}.{key}[{index}].type', f'{shorten(kind)} is neither Exact nor RegularExpression')
            return None
        form = HEADER_VALUE if key == 'headers' and kind == 'Exact' else _TEXT
        if not isinstance(value, str) or len(value) > _MAX_TEXT or not form.fullmatch(value):
            problems.add(f'{field}.{key}[{index}].value', f'{shorten(value)} is no value for {key}')
            return None
        name = sys.intern(name.lower() if key == 'headers' else name)
        matches.setdefault(name, ValueMatch(name, value, kind == 'RegularExpression'))
    return tuple(matches.values())
