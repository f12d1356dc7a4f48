"""`headrace explain`: why something is served or not, and what becomes of a request; from files or from a running agent."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import click

from headrace.cli import asking, inputs, output, traces
from headrace.explain import request as requests
from headrace.explain import trace, tracing
from headrace.explain.request import CLIENT, Request, RequestError
from headrace.resolve import explanation
from headrace.resolve.state import State
from headrace.store import Store

_NOT_SERVED = 1


@click.command()
@click.argument('target', metavar='[HOST[/PATH]|[KIND/]NAMESPACE/NAME]', default='')
@click.option(
    '-f',
    '--file',
    'sources',
    type=click.Path(path_type=Path),
    multiple=True,
    help='Objects: a file or folder, may be given more than once. Without it a running agent is asked.',
)
@click.option('--request', 'line', default='', metavar="'METHOD URL'", help='Tell what becomes of this request.')
@click.option(
    '--header',
    'headers',
    multiple=True,
    metavar="'NAME: VALUE'",
    help='With --request: a header of it, may be given more than once.',
)
@click.option(
    '--from',
    'client',
    default=CLIENT,
    show_default=True,
    metavar='ADDRESS',
    help='With --request: the address of its client.',
)
@click.option(
    '--listener',
    default='',
    metavar='NAMESPACE/GATEWAY[/LISTENER]|class',
    help="With --request: the listener that it comes to.  [default: the class's own, then those of Gateways]",
)
@click.option(
    '--client-certificate',
    'certificate',
    is_flag=True,
    help='With --request: the client shows a certificate that is accepted.',
)
@asking.options
@inputs.view_options()
def explain(target: str, sources: tuple[Path, ...], **options: Any) -> None:
    """Tell why a host, a path or an object is served or not, and who holds what is contested.

    With --request: the routes that are considered for a request and why each fits or does not, its policy, the backends and endpoints that could get it, and what its client sees.

    Exit code 1: it is not served.
    """
    request = _request(options) if options['line'] else None
    if (request is None) is not bool(target):
        raise click.UsageError('name a host or an object, or give --request')
    if sources:
        view = inputs.view_of(options)
        contents = inputs.load(sources, view)
        for line in output.diagnostic_lines(contents.diagnostics):
            click.echo(line, err=True)
        value = _explained(*inputs.build(view, contents.objects), request or target)
    elif request is None:
        value = asking.fetch(options, f'/explain?{urlencode({"of": target})}')
    else:
        value = asking.fetch(options, f'/explain?{_query(options)}')
    if options['output'] == 'json':
        output.echo_json(value)
    else:
        for line in traces.lines(value) if request else _lines(value):
            click.echo(line)
    if not (value['outcome'] if request else value)['served']:
        sys.exit(_NOT_SERVED)


def _request(options: dict[str, Any]) -> Request:
    try:
        headers = map(requests.parse_header, options['headers'])
        certificate = options['certificate']
        return requests.parse(options['line'], headers, options['client'], options['listener'], certificate=certificate)
    except RequestError as error:
        raise click.UsageError(output.printable(str(error))) from error


def _explained(store: Store, state: State, subject: Request | str) -> Any:
    if isinstance(subject, str):
        return explanation.value(explanation.explain(state, store, subject))
    try:
        return trace.value(tracing.trace(state, store, subject))
    except RequestError as error:
        raise click.UsageError(output.printable(str(error))) from error


def _query(options: dict[str, Any]) -> str:
    """Return the request as the running agent takes it."""
    pairs = [('request', options['line']), ('from', options['client']), ('listener', options['listener'])]
    pairs += [('header', header) for header in options['headers']]
    return urlencode([*pairs, *([('certificate', 'true')] if options['certificate'] else [])])


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
