"""`headrace status`: what a running agent serves, as people or programs read it."""

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import click

from headrace.cli import asking, output


@click.command()
@click.argument('named', required=False, metavar='[[KIND/]NAMESPACE/NAME]')
@asking.options
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
def status(named: str | None, form: str, **given: Any) -> None:
    """Tell what a running agent serves; of one object also each server and its state.

    It asks on loopback, or an agent in a cluster through the API server (--pod), which judges the token that is shown.
    """
    found = asking.fetch(given, f'/status/{named}') if named else _every_page(given)
    if form == 'json':
        output.echo_json(found)
        return
    for line in _one(found) if named else _all(found):
        click.echo(line)


def _every_page(given: dict[str, Any]) -> Any:
    """Return the whole status, of which an agent gives so many objects at a time."""
    found = asking.fetch(given, '/status')
    token = found.pop('continue')
    while token:
        more = asking.fetch(given, f'/status?{urlencode({"continue": token})}')
        for part in ('objects', 'diagnostics'):
            found[part] += more[part]
        token = more['continue']
    return found


def _all(found: dict[str, Any]) -> Iterable[str]:
    worker = found['worker']
    yield f'headrace {found["version"]}, class {found["class"]}, role {found["role"]}'
    yield f'HAProxy {worker["version"]}, PID {worker["pid"]}' if worker else 'HAProxy does not answer'
    for subject, said in found['problems'].items():
        yield click.style(f'{subject}: {said}', fg='red')
    yield ''
    yield from output.table(
        [('OBJECT', 'BACKENDS', 'SERVERS', 'EXPOSED')]
        + [
            (
                f'{item["kind"]} {item["namespace"]}/{item["name"]}',
                str(len(item['backends'])),
                str(sum(backend['servers'] for backend in item['backends'])),
                _several(item) or '–',
            )
            for item in found['objects']
        ]
    )
    if found['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(found['diagnostics'])
    if found['reloads']:
        yield ''
        yield from output.table(
            (
                _time(item['at']),
                'reload' if item['good'] else 'reload failed',
                '; '.join(item['reasons']) or item['said'],
            )
            for item in found['reloads']
        )
    if found['plans']:
        yield ''
        yield from output.table(
            (
                _time(item['at']),
                f'{item["commands"]} commands',
                f'{item["seconds"] * 1000:.1f} ms',
                ', '.join(item['refs']),
            )
            for item in found['plans'][-5:]
        )


def _one(found: dict[str, Any]) -> Iterable[str]:
    yield f'{found["kind"]} {found["namespace"]}/{found["name"]}'
    for each in found['exposed']:
        yield f'  {_exposed(each)}'
    if found['moreExposed']:
        yield f'  and {found["moreExposed"]} more'
    for backend in found['backends']:
        yield ''
        yield f'backend {backend["name"]} (port {backend["port"]}, profile {backend["profile"]})'
        servers = found['servers'].get(backend['name'], [])
        yield from output.table(
            ('  ' + item['name'], f'{item["address"]}:{item["port"]}', item['state']) for item in servers
        )
    if found['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(found['diagnostics'])


def _several(item: dict[str, Any]) -> str:
    more = [f'and {item["moreExposed"]} more'] if item['moreExposed'] else []
    return ', '.join([*(_exposed(each) for each in item['exposed']), *more])


def _exposed(item: dict[str, Any]) -> str:
    shown = f'{item["kind"]} {item["key"]}'
    return shown if item['served'] else f'{shown} (held by another)'


def _time(at: float) -> str:
    return time.strftime('%H:%M:%S', time.localtime(at))
