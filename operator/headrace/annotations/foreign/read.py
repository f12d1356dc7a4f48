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


def read(dialect: str, annotations: tuple[tuple[str, str], ...], namespace: str) -> Foreign:
    """Return what an Ingress's annotations of this dialect become; headrace's own keys among them count more."""
    speaks = DIALECTS[dialect]
    given, prefixes = _given(speaks, annotations)
    if not given:
        return Foreign()
    own = frozenset(key.removeprefix(parse.PREFIX) for key, _ in annotations if key.startswith(parse.PREFIX))
    translation = Translation(speaks.table, given, own, namespace)
    rows = [row for name, row in speaks.table.items() if name in given]
    if speaks.role is not None:
        rows = speaks.role(translation, rows)
    for row in rows:
        if len(given[row.name]) > MAX_LENGTH:
            translation.refuse(row.name, f'the value is longer than {MAX_LENGTH} characters')
        elif row.form is not None:
            _copy(translation, row)
        elif row.closes and row.verdict is Verdict.IGNORED and row.group is None:
            translation.close(row.name, row.text)
    for group in dict.fromkeys(row.group for row in rows if row.group is not None):
        group(translation)
    return translation.finish(prefixes)


def _given(speaks: Dialect, annotations: tuple[tuple[str, str], ...]) -> tuple[dict[str, str], dict[str, str]]:
    """Return the values of a dialect's annotations by key, and the prefix under which each was given."""
    given: dict[str, str] = {}
    prefixes: dict[str, str] = {}
    for prefix in reversed(speaks.prefixes):
        for key, value in annotations:
            if key.startswith(prefix) and key != prefix:
                given[key.removeprefix(prefix)] = value
                prefixes[key.removeprefix(prefix)] = prefix
    return given, prefixes


def _copy(translation: Translation, row: Row) -> None:
    """Translate a key that stands for itself."""
    assert row.form is not None
    text = row.form(translation.value(row.name))
    if isinstance(text, Invalid):
        translation.invalid(row.name, text)
    elif text and row.sets:
        translation.set(row.name, row.sets[0], text)
