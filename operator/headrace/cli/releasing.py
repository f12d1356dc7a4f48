"""`headrace release`: give Services back to kube-proxy."""

import asyncio
from pathlib import Path

import click

from headrace import settings
from headrace.settings import SettingsError


@click.command()
@click.argument('services', nargs=-1, metavar='[NAMESPACE/NAME]...')
@click.option('--all', 'everything', is_flag=True, help='All Services that the node role has.')
@click.option('--wait', 'waiting', is_flag=True, help='Return only when kube-proxy serves them.')
@click.option('--timeout', default='5m', show_default=True, metavar='DURATION', help='How long to wait at most.')
@click.option('--class', 'class_name', default='headrace', show_default=True, help='Name of the installation.')
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="[default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]",
)
@click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]')
def release(
    services: tuple[str, ...],
    everything: bool,  # noqa: FBT001  as click gives it
    waiting: bool,  # noqa: FBT001
    timeout: str,
    class_name: str,
    **where: Path | str | None,
) -> None:
    """Give Services back to kube-proxy: take `headrace.io/proxy` away from them.

    The controller then lets kube-proxy serve them again, and after that the nodes let go. No connection is lost. A
    Service that carries `service.kubernetes.io/service-proxy-name` by somebody else's hand keeps it.
    """
    named = tuple((found[0], found[2]) for text in services if (found := text.partition('/')))
    if any(not namespace or not name for namespace, name in named):
        raise SettingsError('a Service is NAMESPACE/NAME')
    if bool(named) is everything:
        raise SettingsError('name Services, or say --all')
    try:
        seconds = settings.milliseconds(timeout) / 1000
    except AssertionError as error:
        raise SettingsError(f'--timeout: {timeout} is no duration, as 90s or 5m') from error
    asyncio.run(_release(class_name, named, seconds if waiting else 0.0, where))


async def _release(
    class_name: str, named: tuple[tuple[str, str], ...], seconds: float, where: dict[str, Path | str | None]
) -> None:
    # Only here, because what they import costs some 40 MB.
    from headrace.controller import client, release  # noqa: PLC0415

    kubeconfig, context = where['kubeconfig'], where['context']
    calls = await client.connect(Path(kubeconfig) if kubeconfig else None, str(context or ''), class_name)
    try:
        found = await release.release(calls, class_name, named, click.echo)
        if seconds:
            await release.wait(calls, class_name, found, seconds)
    finally:
        await calls.close()
