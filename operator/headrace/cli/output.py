"""What people and programs read: aligned tables with colours on terminals only, or JSON."""

import json
from collections.abc import Iterable, Mapping, Sequence

import click

from headrace.diagnostics import Diagnostic, Level
from headrace.names import Ref

_COLOURS = {Level.ERROR: 'red', Level.WARNING: 'yellow', Level.INFO: 'blue'}


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns; the last column is as long as it is."""
    cells = [list(row) for row in rows]
    if not cells:
        return []
    widths = [max(len(click.unstyle(row[column])) for row in cells) for column in range(len(cells[0]) - 1)]
    return [
        '  '.join([*(_pad(cell, width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in cells
    ]


def _pad(cell: str, width: int) -> str:
    return cell + ' ' * (width - len(click.unstyle(cell)))


def printable(text: str) -> str:
    """Return a text of users with escapes for what steers a terminal, and for what neither UTF-8 nor XML has."""
    if text.isprintable():
        return text
    return ''.join(sign if sign.isprintable() else sign.encode('unicode_escape').decode() for sign in text)


def diagnostic_lines(diagnostics: Iterable[Diagnostic]) -> list[str]:
    """Return diagnostics as a table: level, reason, object, field and message."""
    return table(
        (
            click.style(diagnostic.level, fg=_COLOURS[diagnostic.level]),
            diagnostic.reason,
            str(diagnostic.ref),
            diagnostic.field or '-',
            diagnostic.message,
        )
        for diagnostic in diagnostics
    )


def diagnostic_rows(values: Iterable[Mapping[str, str]]) -> list[str]:
    """Return diagnostics that an agent told as a table."""
    return table(
        (
            click.style(item['level'], fg=_COLOURS[Level(item['level'])]),
            item['reason'],
            str(Ref(item['kind'], item['namespace'], item['name'])),
            item.get('field') or '-',
            item['message'],
        )
        for item in values
    )


def echo_json(value: object) -> None:
    """Print a value as JSON."""
    click.echo(json.dumps(value, indent=2))


def summary(diagnostics: Sequence[Diagnostic]) -> str:
    """Return how many diagnostics of each level there are, as in `2 errors, 1 warning`."""
    counts = [(level, sum(diagnostic.level is level for diagnostic in diagnostics)) for level in Level]
    names = {Level.ERROR: 'error', Level.WARNING: 'warning', Level.INFO: 'note'}
    return (
        ', '.join(f'{count} {names[level]}{"s" if count != 1 else ""}' for level, count in counts if count)
        or 'no diagnostics'
    )
