"""`headrace run`: the agent."""

import asyncio
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from headrace import settings
from headrace.agent import logs
from headrace.agent.agent import Agent, Options
from headrace.cli import inputs
from headrace.haproxy.check import HaproxyMissingError
from headrace.settings import Settings, SettingsError

_ADMIN = '127.0.0.1:8405'


def _state_folder() -> Path:
    held = os.environ.get('XDG_STATE_HOME')
    return (Path(held) if held else Path.home() / '.local' / 'state') / 'headrace'


@click.command()
@click.option(
    '--source',
    type=click.Path(exists=True, path_type=Path),
    required=True,
    help='Folder of YAML or JSON files to follow.',
)
@click.option(
    '--start-haproxy', metavar='PATH', default='', help='Start this HAProxy and keep it; it outlives a killed agent.'
)
@click.option(
    '--haproxy',
    metavar='PATH',
    default='',
    help='HAProxy that judges candidates.  [default: the started one, else haproxy on the PATH]',
)
@click.option(
    '--state',
    type=click.Path(path_type=Path),
    default=_state_folder,
    show_default='~/.local/state/headrace',
    help='Folder for files that HAProxy starts from.',
)
@click.option(
    '--sockets',
    type=click.Path(path_type=Path),
    default=None,
    help="Folder with HAProxy's runtime and master sockets.  [default: STATE/sockets]",
)
@click.option('--http', default=None, metavar='[ADDR:]PORT', help='Listener for HTTP.  [default: 8080]')
@click.option('--https', default=None, metavar='[ADDR:]PORT', help='Listener for HTTPS.  [default: 8443]')
@click.option(
    '--health', default=None, metavar='[ADDR:]PORT', help="HAProxy's own readiness and metrics.  [default: 8404]"
)
@click.option(
    '--admin', default=_ADMIN, show_default=True, metavar='ADDR:PORT', help="The agent's health, metrics and status."
)
@click.option(
    '--log-format', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to log.'
)
@click.option(
    '--log-level',
    type=click.Choice(['debug', 'info', 'warning', 'error']),
    default='info',
    show_default=True,
    help='From which level on to log.',
)
@click.option('--keep-haproxy', is_flag=True, help='Leave HAProxy as it is when the agent is told to stop.')
@click.option('--supervised', is_flag=True, help='Start the agent again whenever it ends; for PID 1 of a container.')
@inputs.seen_from
def run(**given: Any) -> None:
    """Follow a folder, and keep a HAProxy true to it.

    Each option is also an environment variable: HEADRACE_RUN_SOURCE, HEADRACE_RUN_START_HAPROXY, ….
    """
    # A flag that only the entry point acts on: whoever comes here is the child.
    del given['supervised']
    logs.set_up(given['log_format'], given['log_level'])
    adjust = _adjustment(given)
    seen = inputs.look(given, adjust, live=True)
    start = _found(given['start_haproxy']) if given['start_haproxy'] else ''
    checker = _found(given['haproxy'] or start or 'haproxy')
    state = given['state'].absolute()
    state.mkdir(mode=0o750, parents=True, exist_ok=True)
    options = Options(
        source=given['source'],
        state=state,
        sockets=(given['sockets'] or state / 'sockets').absolute(),
        view=seen.view,
        overrides=seen.overrides,
        start=start,
        checker=checker,
        admin=_address(given['admin']),
        config=given['config'],
        adjust=adjust,
        keep=given['keep_haproxy'],
    )
    asyncio.run(Agent(options).run())


def _found(binary: str) -> str:
    path = shutil.which(binary)
    if path is None:
        raise HaproxyMissingError(f'{binary}: no such program')
    return str(Path(path).absolute())


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(':')
    if not port.isdigit():
        raise SettingsError(f'{text} is no ADDR:PORT')
    return host.strip('[]'), int(port)


def _adjustment(given: dict[str, Any]) -> Callable[[Settings], Settings]:
    """Return what lays the options over a file's settings, now and whenever the file is read again."""
    wanted: dict[str, object] = {
        name: value
        for name, value in (('class_name', given['class_name']), ('tcp_ports', given['tcp_ports']))
        if value is not None
    }
    addresses = set()
    for option in ('http', 'https', 'health'):
        if given[option] is not None:
            host, wanted[f'{option}_port'] = _address(given[option])
            addresses |= {host} - {''}
    if len(addresses) > 1:
        raise SettingsError('--http, --https and --health must name the same address; name several in `addresses`')
    if addresses:
        wanted['addresses'] = tuple(addresses)

    def adjust(held: Settings) -> Settings:
        return settings.make(msgspec.to_builtins(msgspec.structs.replace(held, **wanted))) if wanted else held

    return adjust
