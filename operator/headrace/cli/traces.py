"""How an explained request is printed: what was looked at in its order, and where the request ends."""

from collections.abc import Iterator
from typing import Any

import click

from headrace.cli import output

# So many endpoints of a backend are printed.
_SHOWN = 10


def lines(value: dict[str, Any]) -> Iterator[str]:
    """Yield the lines about a trace, given as its JSON value."""
    value = _printable(value)
    outcome = value['outcome']
    yield f'{value["request"]}: {verdict(outcome)}'
    rows = [('  listener', '', value['listener'], '')]
    stage = 'listener'
    for step in value['steps']:
        mark = click.style('+', fg='green') if step['passed'] else click.style('-', fg='yellow')
        shown = '' if step['stage'] == stage else step['stage']
        stage = step['stage']
        subject = f'{step["subject"]} of {step["object"]}' if step['object'] else step['subject']
        rows.append((f'  {shown}', mark, subject, step['because']))
    yield ''
    yield from output.table(rows)
    if outcome['destinations']:
        yield ''
        yield from output.table(_destinations(value))
    for header, text in outcome['headers'].items():
        yield f'  {header}: {text}'
    if value['provisos']:
        yield ''
        yield 'unless:'
        yield from (f'  {item["status"] or "another answer"}: {item["because"]}' for item in value['provisos'])


def verdict(outcome: dict[str, Any]) -> str:
    """Return in a word what the client sees, and why."""
    if outcome['closed']:
        return click.style('closed', fg='red') + f': {outcome["because"]}'
    if outcome['destinations']:
        services = dict.fromkeys(f'{item["service"]}:{item["port"]}' for item in outcome['destinations'])
        return click.style('served', fg='green') + f' by {", ".join(services)}: {outcome["because"]}'
    colour = 'green' if outcome['served'] else 'red'
    return click.style(str(outcome['status']), fg=colour) + f': {outcome["because"]}'


def _printable(value: Any) -> Any:
    """Return a value of JSON whose texts a terminal can show."""
    if isinstance(value, dict):
        return {output.printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list):
        return list(map(_printable, value))
    return output.printable(value) if isinstance(value, str) else value


def _destinations(value: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield '  SHARE', 'SERVICE', 'PATH', 'BACKEND', 'ENDPOINTS'
    states = value.get('servers', {})
    for item in value['outcome']['destinations']:
        shown = [
            f'{endpoint} ({state})' if (state := states.get(item['backend'], {}).get(endpoint)) else endpoint
            for endpoint in item['endpoints'][:_SHOWN]
        ]
        if more := len(item['endpoints']) - _SHOWN:
            shown += [f'and {more} more'] if more > 0 else []
        where = item['externalName'] or ', '.join(shown) or '–'
        yield (
            f'  {item["share"]:.1%}',
            f'{item["service"]}:{item["port"]}',
            item['path'] or '–',
            item['backend'],
            where,
        )
