"""Diagnostics of users' objects."""

from dataclasses import dataclass

from headrace.web.views import masking
from headrace.web.views.answers import Answer, Object, count, items, mapping, reference, text
from headrace.web.views.lists import Pages, Wanted, columns, pages

ORDERS = ('level', 'object', 'reason')
LEVELS = ('error', 'warning', 'info')


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One diagnostic."""

    level: str
    reason: str
    object: Object
    field: str
    message: str


@dataclass(frozen=True, slots=True)
class Problems:
    """A page of diagnostics, and how many there are of each level; `link` leads to those of it."""

    rows: tuple[Diagnostic, ...]
    pages: Pages
    levels: tuple[tuple[str, int, str], ...]
    level: str


def diagnostic(item: Answer) -> Diagnostic:
    """Return one diagnostic."""
    message = masking.url(text(item, 'message'))
    return Diagnostic(text(item, 'level'), text(item, 'reason'), reference(item), text(item, 'field'), message)


def problems(answer: Answer, asked: Wanted) -> Problems:
    """Return the page of an agent's list."""
    rows = tuple(map(diagnostic, items(answer, 'items')))
    titles = (('Level', 'level'), ('Reason', 'reason'), ('Object', 'object'), ('Field', ''), ('Message', ''))
    levels = mapping(answer, 'levels')
    links = tuple((level, count(levels, level), asked.link(level=level, offset='')) for level in LEVELS)
    return Problems(
        rows,
        pages(asked, answer, len(rows), columns(asked, *titles, usual='level')),
        links,
        dict(asked.more).get('level', ''),
    )
