"""`headrace explain`: why something is served or not, from files or from a running agent."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from headrace.cli import asking, inputs, output
from headrace.resolve import explanation
from headrace.resolve.state import State
from headrace.store import Store

_NOT_SERVED = 1


@click.command()
@click.argument('target', metavar='HOST[/PATH]|[KIND/]NAMESPACE/NAME')
@click.option(
    '-f',
    '--file',
    'given',
    type=click.Path(path_type=Path),
    multiple=True,
    help='Objects: a file or folder, may be given more than once. Without it a running agent is asked.',
)
@asking.options
@inputs.seen_from()
def explain(target: str, given: tuple[Path, ...], **options: Any) -> None:
    """Tell why a host, a path, a Service or an Ingress is served or not, and who holds what is contested.

    Exit code 1: it is not served.
    """
    if given:
        seen = inputs.look(options)
        contents = inputs.load(given, seen)
        for line in output.diagnostic_lines(contents.diagnostics):
            click.echo(line, err=True)
        store, state = Store(), State(seen.context.placed_by(contents.objects))
        for item in contents.objects:
            store.put(item)
        state.update(store, store.take())
        found: Any = explanation.value(explanation.explain(state, store, target))
    else:
        found = asking.fetch(options, f'/explain?{urlencode({"of": target})}')
    if options['output'] == 'json':
        output.echo_json(found)
    else:
        for line in _lines(found):
            click.echo(line)
    if not found['served']:
        sys.exit(_NOT_SERVED)


def _lines(found: dict[str, Any]) -> Iterable[str]:
    word = click.style('served', fg='green') if found['served'] else click.style('not served', fg='red')
    yield f'{found["target"]}: {word}: {found["because"]}'
    rows = [
        (
            f'  {claim["what"]}',
            claim['key'],
            claim['holder'],
            ', '.join([*claim['waiting'], *([f'and {claim["moreWaiting"]} more'] if claim['moreWaiting'] else [])])
            or '–',
            claim['backend'] or '–',
        )
        for claim in found['claims']
    ]
    if rows:
        yield ''
        yield from output.table([('  CLAIM', 'KEY', 'HOLDER', 'WAITING', 'LEADS TO'), *rows])
    if found['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(found['diagnostics'])
    if found['moreClaims'] or found['moreDiagnostics']:
        yield ''
        yield f'and {found["moreClaims"]} more claims, {found["moreDiagnostics"]} more diagnostics'
