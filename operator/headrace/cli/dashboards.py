"""`headrace web`: the dashboard, of agents that are named or of the pods of an installation; and of an agent's own process."""

import asyncio
import ipaddress
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from headrace.agent import logs
from headrace.agent.api_certificate import ApiCertificate
from headrace.cli import addresses, wiring
from headrace.cli.asking import ADMIN
from headrace.kube import session as sessions
from headrace.kube.access import Access
from headrace.kube.calls import Calls
from headrace.kube.reviews import Reviews
from headrace.settings.settings import SettingsError
from headrace.web import access as accesses
from headrace.web import agents, dashboard
from headrace.web.agents import Agents, Finder
from headrace.web.dashboard import Options

WEB = '127.0.0.1:8407'
_HEADER = 'header:'
Function = TypeVar('Function', bound=Callable[..., Any])


def options(prefix: str = '') -> Callable[[Function], Function]:
    """Add the options that say who may see the dashboard, each with a prefix."""
    made = (
        click.option(
            f'--{prefix}auth', f'{prefix.replace("-", "_")}auth', default='', metavar='token|header:NAME',
            help='Who may see the dashboard, beyond loopback: those whose token the API server lets `get agents.headrace.io/status`, or those whom a reverse proxy has authenticated, as this header with their name tells.  [default: this host alone]',
        ),
        click.option(
            f'--{prefix}trusted-proxy', f'{prefix.replace("-", "_")}trusted_proxy', multiple=True, metavar='CIDR',
            help='With header:NAME: where such proxies are, may be given more than once.',
        ),
        click.option(
            f'--{prefix}certificate', f'{prefix.replace("-", "_")}certificate', type=click.Path(path_type=Path), default=None, metavar='FOLDER',
            help='Certificate of the dashboard, as tls.crt and tls.key.  [default: beyond loopback with token one made at the start, else plain HTTP]',
        ),
    )  # fmt: skip

    def add(function: Function) -> Function:
        for option in reversed(made):
            function = option(function)
        return function

    return add


@click.command()
@click.option('--listen', default=WEB, show_default=True, metavar='[ADDR]:PORT', help='Where the dashboard is served.')
@click.option(
    '--agent',
    'named',
    multiple=True,
    metavar='ADDR:PORT',
    help=f'Admin port of an agent on this host, may be given more than once.  [default: {ADMIN}]',
)
@click.option(
    '--pods',
    default='',
    metavar='SELECTOR',
    help='Ask the agents of the pods with these labels, in the namespace of the pod or the kubeconfig, at their port of --api.',
)
@click.option(
    '--ca',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="With --pods: the authority of agents' certificates, as PEM.  [default: certificates are not verified]",
)
@click.option('--server-name', default='', metavar='NAME', help="With --ca: the name in agents' certificates.")
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help="With --pods and --auth token.  [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]",
)
@click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]')
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
@options()
def web(**given: Any) -> None:
    """Serve the dashboard: what agents serve and why, their traffic, and their changes. It changes nothing."""
    logs.set_up(given['log_format'], given['log_level'])
    asyncio.run(_serve(given))


async def _serve(given: dict[str, Any]) -> None:
    cluster = wiring.access(given) if given['pods'] or given['auth'] == 'token' else None
    if given['pods'] and given['named']:
        raise SettingsError('--agent and --pods exclude each other')
    if (given['ca'] or given['server_name']) and not given['pods']:
        raise SettingsError('--ca and --server-name are for --pods')
    calls, close = _calls(cluster) if cluster is not None else (None, None)
    if given['pods'] and cluster is not None and calls is not None:
        find = agents.of_pods(calls, cluster.namespace, given['pods'])
        tls = agents.context(str(given['ca']) if given['ca'] else None, named_host=bool(given['server_name']))
        asked = Agents(find, _token(cluster), tls, given['server_name'])
    else:
        asked = Agents(agents.named(given['named'] or [ADMIN]))
    made = _options(given, '', given['listen'], asked, (cluster, calls))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    work, stopping = asyncio.create_task(dashboard.run(made)), asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([work, stopping], return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            work.result()
    finally:
        for task in (work, stopping):
            task.cancel()
        await asyncio.gather(work, stopping, return_exceptions=True)
        if close is not None:
            await close()


def beside(given: dict[str, Any], cluster: Access | None, find: Finder) -> Callable[[], Any]:
    """Return what serves the dashboard of an agent in the same process, as `--web` and its options say."""

    async def serve() -> None:
        calls, close = _calls(cluster) if cluster is not None and given['web_auth'] == 'token' else (None, None)
        try:
            await dashboard.run(_options(given, 'web_', given['web'], Agents(find), (cluster, calls)))
        finally:
            if close is not None:
                await close()

    # What cannot work is said before anything is started.
    _judge(given, 'web_', given['web'], cluster)
    return serve


def _calls(cluster: Access) -> tuple[Calls, Callable[[], Any]]:
    session = sessions.make(cluster, {})
    return Calls(cluster.server, lambda: session), session.close


def _token(cluster: Access) -> agents.Token:
    async def token() -> str:
        return await cluster.token(False)  # noqa: FBT003  nothing was refused yet

    return token


def _options(
    given: dict[str, Any], prefix: str, listen: str, asked: Agents, kube: tuple[Access | None, Calls | None]
) -> Options:
    cluster, calls = kube
    _judge(given, prefix, listen, cluster)
    auth, where = given[f'{prefix}auth'], addresses.parse(listen)
    allowed: accesses.Access = accesses.OfThisHost()
    if auth == 'token' and cluster is not None and calls is not None:
        allowed = accesses.OfToken(Reviews(calls, cluster.namespace))
    elif auth:
        allowed = accesses.OfProxy(auth.removeprefix(_HEADER), _networks(given[f'{prefix}trusted_proxy']))
    folder, tls = given[f'{prefix}certificate'], None
    if folder is not None or (auth == 'token' and not _is_loopback(where[0])):
        certificate = ApiCertificate(wiring.pod_name(), folder)
        if problem := certificate.read():
            raise SettingsError(problem)
        tls = certificate.tls
    return Options(where, asked, allowed, tls)


def _judge(given: dict[str, Any], prefix: str, listen: str, cluster: Access | None) -> None:
    """Raise SettingsError where others could see the dashboard, or none could."""
    auth, proxies = given[f'{prefix}auth'], given[f'{prefix}trusted_proxy']
    host, _ = addresses.parse(listen)
    if auth and auth != 'token' and not (auth.startswith(_HEADER) and auth != _HEADER):
        raise SettingsError(f'{auth!r} is neither token nor header:NAME')
    if not auth and not _is_loopback(host):
        raise SettingsError(
            f'the dashboard listens beyond loopback ({listen}): say by --{prefix.replace("_", "-")}auth who may see it'
        )
    if auth == 'token' and cluster is None:
        raise SettingsError('tokens are judged by an API server, and this process follows none')
    if auth.startswith(_HEADER) is not bool(proxies):
        raise SettingsError('header:NAME and --trusted-proxy need each other: who else could send that header')
    _networks(proxies)


def _networks(texts: tuple[str, ...]) -> tuple[accesses.Network, ...]:
    try:
        return accesses.networks(texts)
    except ValueError as error:
        raise SettingsError(f'--trusted-proxy: {error}') from error


def _is_loopback(host: str) -> bool:
    try:
        return host == 'localhost' or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
