"""Certificates by their end. Keys are not in the answers of agents, and so nowhere here."""

import datetime as dt
from dataclasses import dataclass

from headrace.web.views import texts
from headrace.web.views.answers import Answer, Object, count, items, reference, text
from headrace.web.views.answers import texts as texts_of
from headrace.web.views.lists import Pages, Wanted, columns, pages

ORDERS = ('expiry', 'secret')
_SOON_DAYS, _EARLY_DAYS = 7, 30


@dataclass(frozen=True, slots=True)
class Row:
    """A certificate: its Secret, its names, when it ends, and the objects that use it."""

    secret: str
    ends: str
    remaining: str
    level: str
    key: str
    names: tuple[str, ...]
    more_names: int
    users: tuple[Object, ...]
    more_users: int


@dataclass(frozen=True, slots=True)
class Certificates:
    """A page of certificates."""

    rows: tuple[Row, ...]
    pages: Pages


def certificates(answer: Answer, asked: Wanted, now: float) -> Certificates:
    """Return the page of an agent's list, as of a Unix time."""
    rows = tuple(_row(each, now) for each in items(answer, 'items'))
    titles = (('Ends', 'expiry'), ('Secret', 'secret'), ('Names', ''), ('Key', ''), ('Used by', ''))
    return Certificates(rows, pages(asked, answer, len(rows), columns(asked, *titles, usual='expiry')))


def _row(item: Answer, now: float) -> Row:
    ends = text(item, 'notAfter')
    try:
        seconds = dt.datetime.fromisoformat(ends).timestamp() - now
    except ValueError:
        seconds = 0.0
    days = seconds / 86_400
    span = texts.span(seconds)
    return Row(
        secret=f'{text(item, "namespace")}/{text(item, "name")}',
        ends=ends[:19].replace('T', ' '),
        remaining=f'in {span}' if seconds > 0 else f'{span} ago',
        level='error' if days < _SOON_DAYS else 'warning' if days < _EARLY_DAYS else 'ok',
        key=text(item, 'key'),
        names=texts_of(item, 'names'),
        more_names=count(item, 'moreNames'),
        users=tuple(map(reference, items(item, 'users'))),
        more_users=count(item, 'moreUsers'),
    )
