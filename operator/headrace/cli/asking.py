"""How commands ask a running agent: on loopback, the agent of a pod through the API server's proxy, or its port by TLS."""

import asyncio
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import click

from headrace.kube import access as accesses
from headrace.kube.access import Access

ADMIN = '127.0.0.1:8405'
_API_PORT = '8406'
_SECONDS = 30.0
_OK = 200
_TOKEN = 'X-Headrace-Token'  # noqa: S105  the name of a header
Function = TypeVar('Function', bound=Callable[..., Any])
_OPTIONS = (
    click.option('--admin', default=ADMIN, show_default=True, metavar='ADDR:PORT', help="The agent's admin port, on loopback."),
    click.option('--pod', default='', metavar='[NAMESPACE/]NAME[:PORT]', help="Ask the agent of this pod through the API server's proxy.  [port: 8406]"),
    click.option('--api', default='', metavar='ADDR:PORT', help="Ask an agent at its port of --api, by TLS."),
    click.option('--ca', type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None, help="With --api: the authority of its certificate, as PEM.  [default: the system's]"),
    click.option('--server-name', default='', metavar='NAME', help='With --api: the name in its certificate.  [default: that of ADDR]'),
    click.option('--token', default='', help='With --pod and --api: the token to show.  [default: that of the kubeconfig]'),
    click.option('--kubeconfig', type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None, help="With --pod and --api.  [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]"),
    click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]'),
)  # fmt: skip


class AgentUnreachableError(Exception):
    """No agent answers there, or it refuses."""


def options(function: Function) -> Function:
    """Add the options that say whom to ask."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fetch(given: dict[str, Any], path: str) -> Any:
    """Return what a running agent answers; raises AgentUnreachableError and AccessError."""
    if given['pod']:
        return asyncio.run(_through_the_proxy(given, path))
    if given['api']:
        return asyncio.run(_directly(given, path))
    return asyncio.run(_asked(given['admin'], f'http://{given["admin"]}{path}', {}, {}))


async def _through_the_proxy(given: dict[str, Any], path: str) -> Any:
    way = accesses.find(given['kubeconfig'], given['context'])
    credential = await way.token(False)  # noqa: FBT003  nothing was refused yet
    headers = {'Authorization': f'{way.scheme} {credential}'} if credential else {}
    token = given['token'] or _bearer('--pod', way, credential)
    namespace, _, name = given['pod'].rpartition('/')
    name, _, port = name.partition(':')
    pod = f'/api/v1/namespaces/{namespace or way.namespace}/pods/https:{name}:{port or _API_PORT}/proxy'
    how = {'ssl': way.tls, 'server_hostname': way.server_name or None, 'proxy': way.proxy or None}
    return await _asked(given['pod'], f'{way.server}{pod}{path}', {**headers, _TOKEN: token}, how)


async def _directly(given: dict[str, Any], path: str) -> Any:
    token = given['token']
    if not token:
        way = accesses.find(given['kubeconfig'], given['context'])
        token = _bearer('--api', way, await way.token(False))  # noqa: FBT003  nothing was refused yet
    try:
        tls = ssl.create_default_context(cafile=given['ca'])
    except OSError as error:
        raise AgentUnreachableError(f'--ca {given["ca"]}: it holds no certificate that can be used') from error
    how = {'ssl': tls, 'server_hostname': given['server_name'] or None}
    return await _asked(given['api'], f'https://{given["api"]}{path}', {_TOKEN: token}, how)


def _bearer(option: str, way: Access, credential: str) -> str:
    """Return the token of a kubeconfig; raises AgentUnreachableError."""
    if way.scheme != 'Bearer' or not credential:
        raise AgentUnreachableError(f'{option} needs a token: name one by --token; the kubeconfig holds none')
    return credential


async def _asked(whom: str, url: str, headers: dict[str, str], how: dict[str, Any]) -> Any:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers, **how) as answer,
        ):
            raw = await answer.read()
        found = json.loads(raw)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise AgentUnreachableError(f'{whom}: {str(error) or type(error).__name__}') from error
    if answer.status != _OK:
        said = found.get('error') or found.get('message') or answer.status
        raise AgentUnreachableError(f'{whom}: {said}')
    return found
