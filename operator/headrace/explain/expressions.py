"""Regular expressions of routes, judged as PCRE2 judges them in HAProxy: over bytes, and within a bound of time.

The forms are those of `translate.regular_expressions`. PCRE2's bound is a number of trials, which no other engine counts, so
an expression that takes long is the one thing that can be judged otherwise here.
"""

from functools import lru_cache

import regex

from headrace.translate import path_normalisation
from headrace.translate.regular_expressions import END, START

_SECONDS = 0.05
# Expressions are remembered as they are compiled.
_MOST = 1000


def match(form: str, text: str) -> tuple[str, ...] | None:
    """Return what an expression and its groups match, the whole first; None where it does not match, or takes too long."""
    try:
        found = _compiled(form).search(_bytes(text), timeout=_SECONDS)
    except TimeoutError:
        return None
    if found is None:
        return None
    return tuple((part or b'').decode(errors='surrogateescape') for part in (found[0], *found.groups()))


def _bytes(text: str) -> bytes:
    return text.encode(errors='surrogateescape')


@lru_cache(maxsize=_MOST)
def _compiled(form: str) -> 'regex.Pattern[bytes]':
    return regex.compile(form.removeprefix(START).replace(END, r'\Z').encode('ascii'))


def has_dot_segments(path: str) -> bool:
    """Tell whether an endpoint could leave a path by its dot segments, in any of its readings."""
    return path_normalisation.other(path) is None
