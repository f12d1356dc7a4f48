"""`headrace status`: what a running agent serves, as people or programs read it."""

import time
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import click

from headrace.cli import asking, output


@click.command()
@click.argument('target', required=False, metavar='[[KIND/]NAMESPACE/NAME]')
@asking.options
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
def status(target: str | None, form: str, **options: Any) -> None:
    """Tell what a running agent serves; of one object also each server and its state.

    It asks on loopback, or an agent in a cluster through the API server (--pod), which judges the token that is shown.
    """
    value = asking.fetch(options, f'/status/{target}') if target else _every_page(options)
    if form == 'json':
        output.echo_json(value)
        return
    for line in _lines_of_object(value) if target else _lines_of_agent(value):
        click.echo(line)


def _every_page(options: dict[str, Any]) -> Any:
    """Return the whole status, of which an agent gives so many objects at a time."""
    value = asking.fetch(options, '/status')
    token = value.pop('continue')
    while token:
        more = asking.fetch(options, f'/status?{urlencode({"continue": token})}')
        for part in ('objects', 'diagnostics'):
            value[part] += more[part]
        token = more['continue']
    return value


def _lines_of_agent(value: dict[str, Any]) -> Iterable[str]:
    worker = value['worker']
    yield f'headrace {value["version"]}, class {value["class"]}, role {value["role"]}'
    yield f'HAProxy {worker["version"]}, PID {worker["pid"]}' if worker else 'HAProxy does not answer'
    for subject, problem in value['problems'].items():
        yield click.style(f'{subject}: {problem}', fg='red')
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
            for item in value['objects']
        ]
    )
    if value['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(value['diagnostics'])
    if value['reloads']:
        yield ''
        yield from output.table(
            (
                _time(item['at']),
                'reload' if item['good'] else 'reload failed',
                '; '.join(item['reasons']) or item['error'],
            )
            for item in value['reloads']
        )
    if value['plans']:
        yield ''
        yield from output.table(
            (
                _time(item['at']),
                f'{item["commands"]} commands',
                f'{item["seconds"] * 1000:.1f} ms',
                ', '.join(item['refs']),
            )
            for item in value['plans'][-5:]
        )


def _lines_of_object(value: dict[str, Any]) -> Iterable[str]:
    yield f'{value["kind"]} {value["namespace"]}/{value["name"]}'
    for each in value['exposed']:
        yield f'  {_exposure(each)}'
    if value['moreExposed']:
        yield f'  and {value["moreExposed"]} more'
    for backend in value['backends']:
        yield ''
        yield f'backend {backend["name"]} (port {backend["port"]}, profile {backend["profile"]})'
        servers = value['servers'].get(backend['name'], [])
        yield from output.table(
            ('  ' + item['name'], f'{item["address"]}:{item["port"]}', item['state']) for item in servers
        )
    if value['diagnostics']:
        yield ''
        yield from output.diagnostic_rows(value['diagnostics'])


def _several(item: dict[str, Any]) -> str:
    more = [f'and {item["moreExposed"]} more'] if item['moreExposed'] else []
    return ', '.join([*(_exposure(each) for each in item['exposed']), *more])


def _exposure(item: dict[str, Any]) -> str:
    text = f'{item["kind"]} {item["key"]}'
    return text if item['served'] else f'{text} (held by another)'


def _time(at: float) -> str:
    return time.strftime('%H:%M:%S', time.localtime(at))
