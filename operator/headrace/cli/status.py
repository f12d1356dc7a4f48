"""`headrace status`: what a running agent serves, as people or programs read it."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Any

import click

from headrace.cli import output

ADMIN = '127.0.0.1:8405'


class AgentUnreachableError(Exception):
    """No agent answers at this address."""


@click.command()
@click.argument('service', required=False, metavar='[NAMESPACE/NAME]')
@click.option('--admin', default=ADMIN, show_default=True, metavar='ADDR:PORT', help="The agent's admin port.")
@click.option(
    '--format', 'form', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to print.'
)
def status(service: str | None, admin: str, form: str) -> None:
    """Tell what a running agent serves; of one Service also each server and its state."""
    found = fetch(admin, f'/status/{service}' if service else '/status')
    if form == 'json':
        output.echo_json(found)
        return
    for line in _one(found) if service else _all(found):
        click.echo(line)


def fetch(admin: str, path: str) -> Any:
    """Return what a running agent answers; raises AgentUnreachableError."""
    try:
        with urllib.request.urlopen(f'http://{admin}{path}', timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AgentUnreachableError(f'{admin}: {json.load(error).get("error", error)}') from error
    except (OSError, ValueError) as error:
        raise AgentUnreachableError(f'{admin}: {error}') from error


def _all(found: dict[str, Any]) -> Iterable[str]:
    worker = found['worker']
    yield f'headrace {found["version"]}, class {found["class"]}, role {found["role"]}'
    yield f'HAProxy {worker["version"]}, PID {worker["pid"]}' if worker else 'HAProxy does not answer'
    for subject, said in found['troubles'].items():
        yield click.style(f'{subject}: {said}', fg='red')
    yield ''
    yield from output.table(
        [('SERVICE', 'BACKENDS', 'SERVERS', 'EXPOSED')]
        + [
            (
                f'{item["namespace"]}/{item["name"]}',
                str(len(item['backends'])),
                str(sum(backend['servers'] for backend in item['backends'])),
                ', '.join(_exposed(each) for each in item['exposed']) or '–',
            )
            for item in found['services']
        ]
    )
    if found['verdicts']:
        yield ''
        yield from output.verdict_rows(found['verdicts'])
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
    yield f'{found["namespace"]}/{found["name"]}'
    for each in found['exposed']:
        yield f'  {_exposed(each)}'
    for backend in found['backends']:
        yield ''
        yield f'backend {backend["name"]} (port {backend["port"]}, profile {backend["profile"]})'
        servers = found['servers'].get(backend['name'], [])
        yield from output.table(
            ('  ' + item['name'], f'{item["address"]}:{item["port"]}', item['state']) for item in servers
        )
    if found['verdicts']:
        yield ''
        yield from output.verdict_rows(found['verdicts'])


def _exposed(item: dict[str, Any]) -> str:
    shown = f'{item["kind"]} {item["key"]}'
    return shown if item['served'] else f'{shown} (held by another)'


def _time(at: float) -> str:
    return time.strftime('%H:%M:%S', time.localtime(at))
