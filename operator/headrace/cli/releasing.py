"""`headrace release`: what an installation has written to users' objects is taken back, before it is removed."""

import asyncio
import re
from pathlib import Path
from typing import Any

import click

from headrace.agent import logs
from headrace.cli import connecting, inputs
from headrace.kube.calls import CallError
from headrace.settings import SettingsError, milliseconds


@click.command()
@click.option('--all', 'everything', is_flag=True, required=True, help='Of all objects; there is no other choice yet.')
@click.option('--wait', is_flag=True, help='End when nothing is left.')
@click.option('--timeout', default='120s', show_default=True, metavar='DURATION', help='Give up after this time.')
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="[default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]",
)
@click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]')
@click.option('--class', 'class_name', default=None, help='Name of the installation.  [default: headrace]')
@click.option(
    '--config',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="File with the class's settings.",
)
@click.option(
    '--log-format', type=click.Choice(['human', 'json']), default='human', show_default=True, help='How to log.'
)
def release(**given: Any) -> None:
    """Take back what an installation has written to users' objects: conditions, and addresses in their status.

    For the time before an uninstall: controllers that still run stand aside for ten minutes. What is served stays
    served until the edge itself is removed.
    """
    logs.set_up(given['log_format'], 'info')
    if not re.fullmatch(r'\d{1,6}(ms|s|m|h)', given['timeout']):
        raise SettingsError(f'--timeout {given["timeout"]}: no duration, as in 120s')
    count = asyncio.run(_release(given, milliseconds(given['timeout']) / 1000))
    click.echo(f'took back what was written to {count} objects')


async def _release(given: dict[str, Any], seconds: float) -> int:
    from headrace.controller import client, release  # noqa: PLC0415  the client costs some 40 MB

    held = inputs.settings_of(given['config'], {'class_name': given['class_name']})
    way = connecting.access(given)
    calls = await client.connect(way, held.class_name)
    which = release.Installation(held.class_name, way.namespace, held.namespaces, f'release-{connecting.pod_name()}')
    try:
        async with asyncio.timeout(seconds):
            return await release.release(calls, which, wait=given['wait'])
    except TimeoutError as error:
        raise CallError(f'not everything could be taken back within {seconds:g} s') from error
    finally:
        await calls.close()
