"""Lists in pages: what was asked for, links to other orders and pages."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlencode

from headrace.web.views.answers import Answer, count

ROWS = 50
_LONGEST_SEARCH = 200
_LAST = 1_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of a list is wanted, and the page that it is on; `more` are further parameters of its links."""

    path: str
    search: str = ''
    sort: str = ''
    offset: int = 0
    more: tuple[tuple[str, str], ...] = ()

    @property
    def parameters(self) -> dict[str, str]:
        """Return it as parameters for an agent."""
        given = {'search': self.search, 'sort': self.sort, 'offset': str(self.offset), 'limit': str(ROWS)}
        return {name: value for name, value in (*given.items(), *self.more) if value}

    def link(self, **changes: str) -> str:
        """Return the link to this list with some parameters changed."""
        given = {
            'search': self.search,
            'sort': self.sort,
            'offset': str(self.offset or ''),
            **dict(self.more),
            **changes,
        }
        query = urlencode({name: value for name, value in given.items() if value})
        return f'{self.path}?{query}' if query else self.path


def wanted(path: str, parameters: Mapping[str, str], orders: tuple[str, ...], *more: str) -> Wanted:
    """Return what the parameters of a page ask for; what cannot be used counts as not given."""
    sort, offset = parameters.get('sort', ''), parameters.get('offset', '')
    number = int(offset) if offset.isascii() and offset.isdigit() and len(offset) <= len(str(_LAST)) else 0
    return Wanted(
        path,
        parameters.get('search', '')[:_LONGEST_SEARCH],
        sort if sort.removeprefix('-') in orders else '',
        min(number, _LAST),
        tuple((name, parameters[name][:_LONGEST_SEARCH]) for name in more if parameters.get(name)),
    )


@dataclass(frozen=True, slots=True)
class Column:
    """A heading of a table: with a link where rows can be put into its order. `order` is `ascending`, `descending` or ''."""

    title: str
    link: str = ''
    order: str = ''
    number: bool = False


def columns(asked: Wanted, *titles: tuple[str, str], usual: str = '') -> tuple[Column, ...]:
    """Return headings from titles and orders, '' for none; one that is chosen leads to its reverse."""
    made = []
    for title, order in titles:
        current = asked.sort or usual
        state = {order: 'ascending', f'-{order}': 'descending'}.get(current, '') if order else ''
        other = f'-{order}' if state == 'ascending' else order
        made.append(
            Column(
                title.removeprefix('#'),
                asked.link(sort=other, offset='') if order else '',
                state,
                title.startswith('#'),
            )
        )
    return tuple(made)


@dataclass(frozen=True, slots=True)
class Pages:
    """Where a page is in its list, and the links to those beside it ('' for none)."""

    first: int = 0
    last: int = 0
    matching: int = 0
    total: int = 0
    previous: str = ''
    following: str = ''
    columns: tuple[Column, ...] = field(default=())


def pages(asked: Wanted, answer: Answer, rows: int, headings: tuple[Column, ...] = ()) -> Pages:
    """Return the place of a page of so many rows."""
    matching, total = count(answer, 'matching'), count(answer, 'total')
    before, after = asked.offset - ROWS, asked.offset + ROWS
    return Pages(
        first=asked.offset + 1 if rows else 0,
        last=asked.offset + rows,
        matching=matching,
        total=total,
        previous=asked.link(offset=str(max(0, before)) if before > 0 else '') if asked.offset else '',
        following=asked.link(offset=str(after)) if after < matching else '',
        columns=headings,
    )
