"""`headrace migrate compare`: the same requests to two controllers, and in what their answers differ."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from headrace.cli import output
from headrace.folder import SourceError
from headrace.migration import comparison, request_lines
from headrace.migration.comparison import Address
from headrace.settings.key_forms import MAX_PORT

_DIFFERENCES = 1
_MAX_RATE = 1000.0
_PORTS = 2


class _AddressType(click.ParamType[Address]):
    """HOST, HOST:HTTP or HOST:HTTP:HTTPS, an IPv6 address in brackets."""

    name = 'HOST[:HTTP[:HTTPS]]'

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address:
        """Return the address that a text stands for."""
        host, _, ports = value.rpartition(']') if value.startswith('[') else ('', '', '')
        host, *numbers = (host.removeprefix('['), *ports.split(':')[1:]) if host else value.split(':')
        if not host or len(numbers) > _PORTS or not all(map(_is_port, numbers)):
            self.fail(f'{value!r} is not HOST[:HTTP[:HTTPS]]', param, ctx)
        return Address(host, *map(int, numbers))


def _is_port(text: str) -> bool:
    return text.isdecimal() and 1 <= int(text) <= MAX_PORT


@click.command()
@click.argument('requests', type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option('--old', type=_AddressType(), required=True, help='Where the controller answers that is to be left.')
@click.option('--new', type=_AddressType(), required=True, help='Where headrace answers.')
@click.option('--host', default='', help='Host of requests in an access log that does not say it.')
@click.option('--tls', is_flag=True, help='Requests of an access log that does not say it are sent over TLS.')
@click.option(
    '--header',
    'headers',
    multiple=True,
    metavar='NAME',
    help='A header of answers to compare besides Location; may be given more than once.',
)
@click.option(
    '--rate',
    type=click.FloatRange(0.1, _MAX_RATE),
    default=10.0,
    show_default=True,
    help='Requests a second to each of the two, at most.',
)
@click.option(
    '--limit',
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help='Requests of the file that are sent, at most.',
)
@click.option(
    '--timeout',
    type=click.FloatRange(0.1, 600.0),
    default=10.0,
    show_default=True,
    help='Seconds that an answer may take.',
)
@click.option(
    '--all-methods',
    is_flag=True,
    help='Send methods other than GET and HEAD too, without a body; they may change something.',
)
@click.option('--insecure', is_flag=True, help='Do not verify certificates.')
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
def compare(requests: Path, old: Address, new: Address, form: str, **options: Any) -> None:
    """Send the REQUESTS of a file to two controllers, and list in what the answers differ.

    A line is a URL, a method and a URL, or a line of an access log. Each request is sent once. Exit code 1: some differ.
    """
    try:
        lines = request_lines.parse(
            requests.read_text(errors='replace').splitlines(), options['host'], tls=options['tls']
        )
    except OSError as error:
        raise SourceError(f'{requests}: {error.strerror}') from error
    safe = [item for item in lines.requests if options['all_methods'] or item.method in request_lines.SAFE_METHODS]
    requests_sent = safe[: options['limit']]
    differences = []
    for number, request in enumerate(requests_sent):
        began = time.monotonic()
        before, after = (
            comparison.ask(address, request, options['timeout'], verify=not options['insecure'])
            for address in (old, new)
        )
        if of_request := comparison.differences(before, after, options['headers']):
            differences.append((request, of_request))
        if number + 1 < len(requests_sent):
            time.sleep(max(0.0, 1 / options['rate'] - (time.monotonic() - began)))
    omissions = {
        'unread': lines.unread,
        'unsafe': len(lines.requests) - len(safe),
        'beyondLimit': len(safe) - len(requests_sent),
    }
    if form == 'json':
        rows = [
            {
                'request': str(request),
                'differences': [{'what': item.what, 'old': item.old, 'new': item.new} for item in of_request],
            }
            for request, of_request in differences
        ]
        output.echo_json({'sent': len(requests_sent), 'differing': rows, **omissions})
    else:
        rows_of_table = [
            (str(request), item.what, item.old or '–', item.new or '–')
            for request, of_request in differences
            for item in of_request
        ]
        for line in output.table([('REQUEST', 'WHAT', 'OLD', 'NEW'), *rows_of_table] if rows_of_table else []):
            click.echo(line)
        click.echo(
            f'{len(requests_sent)} requests sent to each, {len(differences)} with differences; left out: {omissions["unread"]} lines that hold none, '
            f'{omissions["unsafe"]} of other methods, {omissions["beyondLimit"]} beyond the limit'
        )
    if differences:
        sys.exit(_DIFFERENCES)
