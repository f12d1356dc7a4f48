"""Paths of Ingresses as matches of HTTPRoutes, with the filter that rewrites what they match.

Pure. ingress-nginx's expressions are of the beginning of a path, without regard to case; those of HTTPRoutes are of the
whole path. Its rewriting by groups has no counterpart but for the usual forms, which stand for a prefix.
"""

import re
from dataclasses import dataclass
from typing import Any

from headrace.objects.ingress import IngressPath, PathType

_ROOT = '/'
_TYPES = {PathType.EXACT: 'Exact', PathType.PREFIX: 'PathPrefix', PathType.IMPLEMENTATION_SPECIFIC: 'PathPrefix'}
# A literal prefix, and the rest of the path in the last group: `/app(/|$)(.*)`, `/app/?(.*)`, `/app/(.*)`, `/(.*)`.
_PREFIX = re.compile(r'(?P<prefix>(?:/[\w~-]+)*)(?:(?P<second>\(/\|\$\)\(\.[*+]\))|/\??\(\.[*+]\))\$?')
# What is no expression but for `.`, which mostly stands for itself.
_LITERAL = re.compile(r'(?:/[\w.~-]*)+')
_TARGET = re.compile(r'(?P<path>(?:/[^$]*)?/)\$(?P<group>[1-9])')
AS_PREFIX = 'its expressions are prefixes by path element now, with regard to case'
AS_EXPRESSION = 'its paths are regular expressions of the whole path now'


class UntranslatableError(Exception):
    """Something of an Ingress has no counterpart in the Gateway API; the message says what and why."""


@dataclass(frozen=True, slots=True)
class RoutePath:
    """A path match, the path modifier of an URLRewrite filter if the path is rewritten, and what differs then."""

    match: dict[str, Any]
    modifier: dict[str, Any] | None = None
    remark: str = ''


def of_path(path: IngressPath, rewrite: str, *, expression: bool, prefixes: bool) -> RoutePath:
    """Return the match of a path; `rewrite` is headrace's `rewrite-path`, '' for none. Raises UntranslatableError.

    `prefixes` tells that a path of the host is rewritten by groups, so that expressions without signs are prefixes as well.
    """
    if expression:
        rewrite = '' if rewrite == path.path else rewrite
        return _of_groups(path.path, rewrite) if prefixes else _of_expression(path.path, rewrite)
    if is_by_groups(rewrite):
        raise UntranslatableError(f'rewriting {path.path}, which is no expression, to {rewrite} has no counterpart')
    match = {'type': _TYPES[path.type], 'value': path.path}
    if not rewrite:
        return RoutePath(match)
    if path.type is PathType.EXACT:
        return RoutePath(match, {'type': 'ReplaceFullPath', 'replaceFullPath': rewrite})
    return RoutePath(match, {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': rewrite})


def is_by_groups(rewrite: str) -> bool:
    """Tell whether a path is rewritten to what groups of its expression have matched."""
    return '$' in rewrite


def _of_expression(text: str, rewrite: str) -> RoutePath:
    return RoutePath({'type': 'RegularExpression', 'value': _whole(text)}, _full(rewrite), AS_EXPRESSION)


def _of_groups(text: str, rewrite: str) -> RoutePath:
    if not is_by_groups(rewrite):
        if not _LITERAL.fullmatch(text):
            raise UntranslatableError(f'{text} is an expression beside paths that are rewritten by groups')
        return RoutePath({'type': 'PathPrefix', 'value': text}, _full(rewrite), AS_PREFIX)
    prefix, target = _PREFIX.fullmatch(text), _TARGET.fullmatch(rewrite)
    if prefix is None or target is None or int(target['group']) != (2 if prefix['second'] else 1):
        raise UntranslatableError(f'rewriting {text} to {rewrite} by groups has no counterpart')
    modifier = {'type': 'ReplacePrefixMatch', 'replacePrefixMatch': target['path'].rstrip('/') or _ROOT}
    return RoutePath({'type': 'PathPrefix', 'value': prefix['prefix'] or _ROOT}, modifier, AS_PREFIX)


def _full(rewrite: str) -> dict[str, Any] | None:
    return {'type': 'ReplaceFullPath', 'replaceFullPath': rewrite} if rewrite else None


def _whole(text: str) -> str:
    """Return an expression of the whole path for one of its beginning, without regard to case.

    All get longer by the same, because of several that match the longest one serves.
    """
    return f'(?i)(?:{text}).*'
