"""The rows of a dialect's table: a foreign key, how exactly it is served, and which of headrace's keys it sets."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from headrace.annotations.keys import BY_NAME
from headrace.annotations.values import Invalid

if TYPE_CHECKING:
    from headrace.annotations.foreign.translation import Translation

# The cookie of sessions where an Ingress names none, in both dialects.
SESSION_COOKIE = 'INGRESSCOOKIE'
Form = Callable[[str], 'str | Invalid']


class Verdict(StrEnum):
    """How a foreign key is served: as its own controller does, with a difference, or not at all."""

    EXACT = 'exact'
    DIFFERS = 'differs'
    IGNORED = 'ignored'


@dataclass(frozen=True, slots=True)
class Row:
    """A foreign key.

    `text` says how it differs or why it is ignored; `sets` are headrace's keys that it sets, none where it speaks of the
    Ingress's structure; `form` makes the text of the first of them, '' for its default; `group` translates keys that
    depend on each other; `closes` marks keys whose loss would let requests through, `shapes` those that speak of the
    Ingress's structure.
    """

    name: str
    verdict: Verdict
    text: str = ''
    sets: tuple[str, ...] = ()
    form: Form | None = None
    group: 'Callable[[Translation], None] | None' = None
    closes: bool = False
    shapes: bool = False

    @property
    def missing(self) -> tuple[str, ...]:
        """Return headrace's keys that this version does not have."""
        return tuple(key for key in self.sets if key not in BY_NAME)

    @property
    def served(self) -> tuple[Verdict, str]:
        """Return the verdict of this version, and its explanation: without its keys a row is not served yet."""
        if self.sets and len(self.missing) == len(self.sets):
            return Verdict.IGNORED, f'not yet: headrace has no key {", ".join(self.missing)}'
        return self.verdict, self.text


def exact(name: str, *sets: str, text: str = '', form: Form | None = None, closes: bool = False) -> Row:
    """Return the row of a key that is served as its own controller does."""
    return Row(name, Verdict.EXACT, text, sets, form, closes=closes)


def differs(name: str, text: str, *sets: str, form: Form | None = None, closes: bool = False) -> Row:
    """Return the row of a key that is served with a difference."""
    return Row(name, Verdict.DIFFERS, text, sets, form, closes=closes)


def structural(name: str, text: str = '') -> Row:
    """Return the row of a key that is served as its own controller does, and sets no key but the Ingress's structure."""
    return Row(name, Verdict.EXACT, text, shapes=True)


def ignored(names: str, text: str) -> tuple[Row, ...]:
    """Return the rows of keys that are ignored for one reason."""
    return tuple(Row(name, Verdict.IGNORED, text) for name in names.split())


def in_group(group: 'Callable[[Translation], None]', *rows: Row) -> tuple[Row, ...]:
    """Return rows whose keys one function translates together."""
    return tuple(replace(row, group=group) for row in rows)


def by_name(*rows: Row | Iterable[Row]) -> dict[str, Row]:
    """Return rows by the name of their key, in the order given."""
    flat = [row for item in rows for row in ((item,) if isinstance(item, Row) else item)]
    table = {row.name: row for row in flat}
    assert len(table) == len(flat)
    return table
