"""`headrace explain`: why something is served or not, from files or from a running agent."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from headrace.cli import asking, inputs, output
from headrace.resolve import explanation

_NOT_SERVED = 1


@click.command()
@click.argument('target', metavar='HOST[/PATH]|[KIND/]NAMESPACE/NAME')
@click.option(
    '-f',
    '--file',
    'sources',
    type=click.Path(path_type=Path),
    multiple=True,
    help='Objects: a file or folder, may be given more than once. Without it a running agent is asked.',
)
@asking.options
@inputs.view_options()
def explain(target: str, sources: tuple[Path, ...], **options: Any) -> None:
    """Tell why a host, a path or an object is served or not, and who holds what is contested.

    Exit code 1: it is not served.
    """
    if sources:
        view = inputs.view_of(options)
        contents = inputs.load(sources, view)
        for line in output.diagnostic_lines(contents.diagnostics):
            click.echo(line, err=True)
        store, state = inputs.build(view, contents.objects)
        value: Any = explanation.value(explanation.explain(state, store, target))
    else:
        value = asking.fetch(options, f'/explain?{urlencode({"of": target})}')
    if options['output'] == 'json':
        output.echo_json(value)
    else:
        for line in _lines(value):
            click.echo(line)
    if not value['served']:
        sys.exit(_NOT_SERVED)


def _lines(value: dict[str, Any]) -> Iterable[str]:
    word = click.style('served', fg='green') if value['served'] else click.style('not served', fg='red')
    yield f'{value["target"]}: {word}: {value["because"]}'
    rows = [
        (
            f'  {claim["what"]}',
            claim['key'],
            claim['holder'],
            ', '.join([*claim['waiting'], *([f'and {claim["moreWaiting"]} more'] if claim['moreWaiting'] else [])])
            or '–',
            claim['backend'] or '–',
        )
        for claim in value['claims']
    ]
    if rows:
        yield ''
        yield from output.table([('  CLAIM', 'KEY', 'HOLDER', 'WAITING', 'LEADS TO'), *rows])
    if value['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(value['diagnostics'])
    if value['moreClaims'] or value['moreDiagnostics']:
        yield ''
        yield f'and {value["moreClaims"]} more claims, {value["moreDiagnostics"]} more diagnostics'
