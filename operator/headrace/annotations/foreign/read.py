"""Read an Ingress's foreign annotations of one dialect."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headrace.annotations import parse
from headrace.annotations.foreign import haproxy_ingress, ingress_nginx, nginx_traffic
from headrace.annotations.foreign.table import Row, Verdict
from headrace.annotations.foreign.translation import Foreign, Translation
from headrace.annotations.values import MAX_LENGTH, Invalid


@dataclass(frozen=True, slots=True)
class Dialect:
    """The annotations of one controller: its prefixes, the first of which counts most, and its keys.

    `role` returns which of the rows that an Ingress has count, where that depends on some of them.
    """

    prefixes: tuple[str, ...]
    table: Mapping[str, Row]
    role: Callable[[Translation, list[Row]], list[Row]] | None = None


DIALECTS: Mapping[str, Dialect] = {
    'ingress-nginx': Dialect(ingress_nginx.PREFIXES, ingress_nginx.TABLE, nginx_traffic.canary_role),
    'haproxy-ingress': Dialect(haproxy_ingress.PREFIXES, haproxy_ingress.TABLE),
}


def read(name: str, annotations: tuple[tuple[str, str], ...], namespace: str) -> Foreign:
    """Return what an Ingress's annotations of this dialect become; headrace's own keys among them count more."""
    dialect = DIALECTS[name]
    values, prefixes = _values(dialect, annotations)
    if not values:
        return Foreign()
    own_keys = frozenset(key.removeprefix(parse.PREFIX) for key, _ in annotations if key.startswith(parse.PREFIX))
    translation = Translation(dialect.table, values, own_keys, namespace)
    rows = [row for key, row in dialect.table.items() if key in values]
    if dialect.role is not None:
        rows = dialect.role(translation, rows)
    for row in rows:
        if len(values[row.name]) > MAX_LENGTH:
            translation.refuse(row.name, f'the value is longer than {MAX_LENGTH} characters')
        elif row.form is not None:
            _copy(translation, row)
        elif row.closes and row.verdict is Verdict.IGNORED and row.group is None:
            translation.close(row.name, row.text)
    for group in dict.fromkeys(row.group for row in rows if row.group is not None):
        group(translation)
    return translation.finish(prefixes)


def _values(dialect: Dialect, annotations: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of a dialect's annotations by key, and the prefix under which each was given."""
    values: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for prefix in reversed(dialect.prefixes):
        for key, value in annotations:
            if key.startswith(prefix) and key != prefix:
                values[key.removeprefix(prefix)] = value
                prefixes[key.removeprefix(prefix)] = prefix
    return values, prefixes


def _copy(translation: Translation, row: Row) -> None:
    """Translate a key that stands for itself."""
    assert row.form is not None
    text = row.form(translation.value(row.name))
    if isinstance(text, Invalid):
        translation.invalid(row.name, text)
    elif text and row.sets:
        translation.set(row.name, row.sets[0], text)
