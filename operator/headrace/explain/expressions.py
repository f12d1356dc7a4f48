"""Regular expressions of routes, judged as PCRE2 judges them in HAProxy: over bytes, and within a bound of time.

The forms are those of `translate.regular_expressions`. PCRE2's bound is a number of trials, which no other engine counts, so
an expression that takes long is the one thing that can be judged otherwise here.

In a running agent changes wait while a request is explained. There expressions get turns: a turn that has lasted ends with
PauseError, and the request is explained again with what its expressions have been found to match. A long one takes up to 0.2 s
to compile, which is for another thread.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache

import regex

from headrace.translate import path_normalisation
from headrace.translate.regular_expressions import END, START

_SECONDS = 0.02
_TURN_SECONDS = 0.02
_LONG = 1000
# Expressions are remembered as they are compiled.
_MOST = 1000

Groups = tuple[str, ...] | None


class PauseError(Exception):
    """The turn of a request's expressions is over, before the one of this form."""

    def __init__(self, form: str) -> None:
        super().__init__(form)
        self.form = form


class Judgements:
    """What expressions of one request match, by expression and text, over several turns."""

    def __init__(self) -> None:
        self._groups: dict[tuple[str, str], Groups] = {}
        self._compiled = set[str]()
        self._end = 0.0

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Judge expressions until the turn is over; raises PauseError."""
        self._end = time.monotonic() + _TURN_SECONDS
        token = _JUDGEMENTS.set(self)
        try:
            yield
        except PauseError as error:
            self._compiled.add(error.form)
            raise
        finally:
            _JUDGEMENTS.reset(token)

    def match(self, form: str, text: str) -> Groups:
        """Return what an expression matches, which is judged once; raises PauseError."""
        if (form, text) not in self._groups:
            if time.monotonic() > self._end or (len(form) > _LONG and form not in self._compiled):
                raise PauseError(form)
            self._groups[form, text] = _match(form, text)
        return self._groups[form, text]


_JUDGEMENTS: ContextVar[Judgements | None] = ContextVar('judgements', default=None)


def match(form: str, text: str) -> Groups:
    """Return what an expression and its groups match, the whole first; None where it does not match, or takes too long."""
    judgements = _JUDGEMENTS.get()
    return _match(form, text) if judgements is None else judgements.match(form, text)


def _match(form: str, text: str) -> Groups:
    try:
        found = compiled(form).search(_bytes(text), timeout=_SECONDS)
    except TimeoutError:
        return None
    if found is None:
        return None
    return tuple((part or b'').decode(errors='surrogateescape') for part in (found[0], *found.groups()))


def _bytes(text: str) -> bytes:
    return text.encode(errors='surrogateescape')


@lru_cache(maxsize=_MOST)
def compiled(form: str) -> 'regex.Pattern[bytes]':
    """Return an expression as it is judged."""
    return regex.compile(form.removeprefix(START).replace(END, r'\Z').encode('ascii'))


def has_dot_segments(path: str) -> bool:
    """Tell whether an endpoint could leave a path by its dot segments, in any of its readings."""
    return path_normalisation.other(path) is None
