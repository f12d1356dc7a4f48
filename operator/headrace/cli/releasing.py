"""`headrace release`: Services go back to kube-proxy, and what was written to users' objects is taken back."""

import asyncio
import re
from pathlib import Path
from typing import Any

import click

from headrace.agent import logs
from headrace.cli import inputs, wiring
from headrace.controller import client, ownership, return_to_kube_proxy, uninstall
from headrace.kube import resources
from headrace.kube.calls import CallError
from headrace.settings.settings import SettingsError, milliseconds


@click.command()
@click.argument('services', nargs=-1, metavar='[NAMESPACE/NAME]...')
@click.option('--all', 'everything', is_flag=True, help='All Services, and all that was written to objects.')
@click.option('--wait', is_flag=True, help='End when kube-proxy serves the Services, and nothing is left.')
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
def release(services: tuple[str, ...], **options: Any) -> None:
    """Give Services back to kube-proxy; with --all, take back everything that this installation has written.

    The wish headrace.io/proxy is taken from the Services; the controller lets kube-proxy serve them again, and after that
    the nodes let go. A label service.kubernetes.io/service-proxy-name that another party has set stays.

    --all is for the time before an uninstall: once all Services are back, what headrace has written to statuses is
    removed, of the Gateway API's resources too, while controllers that still run stand aside for ten minutes. The Services of
    Gateways are removed; what else the edge serves stays served until it is removed itself.
    """
    logs.set_up(options['log_format'], 'info')
    names = tuple((parts[0], parts[2]) for text in services if (parts := text.partition('/')))
    if any(not namespace or not name for namespace, name in names):
        raise SettingsError('a Service is NAMESPACE/NAME')
    if bool(names) is options['everything']:
        raise SettingsError('name Services, or say --all')
    if not re.fullmatch(r'\d{1,6}(ms|s|m|h)', options['timeout']):
        raise SettingsError(f'--timeout {options["timeout"]}: no duration, as in 120s')
    asyncio.run(_release(options, names, milliseconds(options['timeout']) / 1000))


async def _release(options: dict[str, Any], names: tuple[tuple[str, str], ...], seconds: float) -> None:
    settings = inputs.settings_of(options['config'], {'class_name': options['class_name']})
    access = wiring.access(options)
    calls = client.connect(access, settings.class_name)
    identity = f'release-{wiring.pod_name()}'
    kinds = resources.status_kinds(settings)
    installation = uninstall.Installation(
        settings.class_name, access.namespace, settings.namespaces, identity, kinds, settings.gateway_api
    )
    try:
        async with asyncio.timeout(seconds):
            if options['everything'] and not settings.namespaces:
                holder = await ownership.ClassLease(calls, settings.class_name, access.namespace).find_other()
                if holder:
                    click.echo(
                        f'class {settings.class_name} is held by another release, {holder}: this one has written nothing'
                    )
                    return
            services = await return_to_kube_proxy.give_back(calls, installation, names, click.echo)
            # Controllers that stand aside could not give anything back any more.
            if options['wait'] or options['everything']:
                await return_to_kube_proxy.wait(calls, settings.class_name, services)
            if options['everything']:
                count = await uninstall.release(calls, installation, wait=options['wait'])
                click.echo(f'took back what was written to {count} objects')
    except TimeoutError as error:
        raise CallError(f'not everything could be taken back within {seconds:g} s; does a controller run?') from error
    finally:
        await calls.close()
