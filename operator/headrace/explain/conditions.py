"""Whether a request fulfils the conditions of a candidate, as `lua/choose.lua` judges them, and what keeps it from that."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from headrace.explain import expressions
from headrace.explain.request import Request
from headrace.ir.routing import Conditions, HeaderMatch, QueryMatch
from headrace.translate.regular_expressions import START


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the conditions are fulfilled, in words why, and what groups of the path's expression match, the whole first.

    `ambiguous`: an expression matches one reading of the path and not the other one, which ends the search.
    """

    fulfilled: bool
    because: str
    groups: tuple[str, ...] = ()
    ambiguous: bool = False


def judge(conditions: Conditions, request: Request, reading: str) -> Verdict:
    """Return the verdict about a request whose path endpoints could also read as `reading`."""
    problem = next(filter(None, _problems(conditions, request)), '')
    if problem:
        return Verdict(fulfilled=False, because=problem)
    if not conditions.path:
        return Verdict(fulfilled=True, because=_summary(conditions))
    groups, other = expressions.match(conditions.path, request.path), expressions.match(conditions.path, reading)
    shown = f'the path matches {shown_expression(conditions.path)}'
    if (groups is None) is not (other is None):
        because = f'{shown} in one reading and not in another one, {reading}'
        return Verdict(fulfilled=False, because=because, ambiguous=True)
    if groups is None:
        return Verdict(fulfilled=False, because=shown.replace('matches', 'does not match', 1))
    return Verdict(fulfilled=True, because=_summary(conditions), groups=groups)


def shown_expression(form: str) -> str:
    """Return an expression without the bound that is put before it."""
    return form.removeprefix(START)


def _problems(conditions: Conditions, request: Request) -> Iterable[str]:
    if conditions.method and conditions.method != request.method:
        yield f'the method is {request.method}, not {conditions.method}'
    for header in conditions.headers:
        value = request.host if header.name == 'host' else request.value(header.name)
        yield _difference(f'header {header.name}', header, value)
    if conditions.query:
        parameters = _parameters(request.query or '')
        for match in conditions.query:
            yield _difference(f'query parameter {match.name}', match, parameters.get(match.name))


def _difference(subject: str, match: HeaderMatch | QueryMatch, value: str | None) -> str:
    """Return why a value is not the wanted one; '' where it is."""
    if value is None:
        return f'{subject} is missing'
    if match.expression:
        matches = expressions.match(match.value, value) is not None
        return '' if matches else f'{subject} is {value!r}, which does not match {shown_expression(match.value)}'
    return '' if value == match.value else f'{subject} is {value!r}, not {match.value!r}'


def _parameters(query: str) -> dict[str, str]:
    """Return the query parameters; of several of one name the first counts."""
    parameters: dict[str, str] = {}
    for part in query.split('&'):
        name, _, value = part.partition('=')
        parameters.setdefault(_decoded(name), _decoded(value))
    return parameters


def _decoded(text: str) -> str:
    return unquote(text.replace('+', ' '), errors='surrogateescape')


def _summary(conditions: Conditions) -> str:
    """Return the conditions in words, all of which are fulfilled."""
    parts = [f'method {conditions.method}'] if conditions.method else []
    parts += [f'header {match.name}' for match in conditions.headers]
    parts += [f'query parameter {match.name}' for match in conditions.query]
    if conditions.path:
        parts.append('the expression of the path')
    return f'{", ".join(parts)} as wanted' if parts else 'no conditions'
