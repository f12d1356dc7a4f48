"""The grammar of values that speak of answers: what they replace, and what stands instead."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from headrace.annotations.values import Invalid, path, plain_host, split

_ERROR = re.compile(r'[45]\d\d', re.ASCII)
_URI_PREFIX = re.compile(r"(?:https?|/)[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{0,511}")


@dataclass(frozen=True, slots=True)
class Replacement:
    """A text, and what stands in its place; neither holds `|`, white space or a backslash."""

    old: str
    new: str


def replacement(item: Callable[[str], str | Invalid]) -> Callable[[str], Replacement | Invalid]:
    """Return a parser of two items, the second in the place of the first."""

    def parse(text: str) -> Replacement | Invalid:
        items = [item(part) for part in text.split()]
        match items:
            case [str(old), str(new)]:
                return Replacement(old, new)
        invalid = next((value for value in items if isinstance(value, Invalid)), None)
        return Invalid(f'two words, FROM TO{", each " + invalid.expected if invalid else ""}')

    return parse


def cookie_domain(text: str) -> str | Invalid:
    """Return the domain of a cookie without the dot that it may begin with (RFC 6265 section 5.2.3)."""
    return plain_host(text.removeprefix('.'))


def cookie_path(text: str) -> str | Invalid:
    """Return the path of a cookie."""
    value = path(text)
    return value if isinstance(value, str) and ';' not in value else Invalid('a path without ;')


def location_rewrite(text: str) -> Replacement | Invalid | None:
    """Return what a location begins with and shall begin with; None for `off`, and for `default`, which changes nothing here."""
    if text in ('off', 'default'):
        return None
    return replacement(_uri_prefix)(text)


def _uri_prefix(text: str) -> str | Invalid:
    return text if _URI_PREFIX.fullmatch(text) else Invalid('the beginning of an http or https URL, or of a path')


def error_statuses(text: str) -> tuple[int, ...] | Invalid:
    """Return codes of errors, sorted."""
    codes = split(text)
    if codes and all(_ERROR.fullmatch(code) for code in codes):
        return tuple(sorted({int(code) for code in codes}))
    return Invalid('a list of codes from 400 to 599')
