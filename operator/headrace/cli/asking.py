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
    """Add the options that select the agent."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def fetch(arguments: dict[str, Any], path: str) -> Any:
    """Return what a running agent answers; raises AgentUnreachableError and AccessError."""
    if arguments['pod']:
        return asyncio.run(_through_the_proxy(arguments, path))
    if arguments['api']:
        return asyncio.run(_directly(arguments, path))
    return asyncio.run(_get(arguments['admin'], f'http://{arguments["admin"]}{path}', {}, {}))


async def _through_the_proxy(arguments: dict[str, Any], path: str) -> Any:
    access = accesses.find(arguments['kubeconfig'], arguments['context'])
    credential = await access.token(False)  # noqa: FBT003  nothing was refused yet
    headers = {'Authorization': f'{access.scheme} {credential}'} if credential else {}
    token = arguments['token'] or _bearer('--pod', access, credential)
    namespace, _, name = arguments['pod'].rpartition('/')
    name, _, port = name.partition(':')
    pod = f'/api/v1/namespaces/{namespace or access.namespace}/pods/https:{name}:{port or _API_PORT}/proxy'
    parameters = {'ssl': access.tls, 'server_hostname': access.server_name or None, 'proxy': access.proxy or None}
    return await _get(arguments['pod'], f'{access.server}{pod}{path}', {**headers, _TOKEN: token}, parameters)


async def _directly(arguments: dict[str, Any], path: str) -> Any:
    token = arguments['token']
    if not token:
        access = accesses.find(arguments['kubeconfig'], arguments['context'])
        token = _bearer('--api', access, await access.token(False))  # noqa: FBT003  nothing was refused yet
    try:
        tls = ssl.create_default_context(cafile=arguments['ca'])
    except OSError as error:
        raise AgentUnreachableError(f'--ca {arguments["ca"]}: it holds no certificate that can be used') from error
    parameters = {'ssl': tls, 'server_hostname': arguments['server_name'] or None}
    return await _get(arguments['api'], f'https://{arguments["api"]}{path}', {_TOKEN: token}, parameters)


def _bearer(option: str, access: Access, credential: str) -> str:
    """Return the token of a kubeconfig; raises AgentUnreachableError."""
    if access.scheme != 'Bearer' or not credential:
        raise AgentUnreachableError(f'{option} needs a token: name one by --token; the kubeconfig holds none')
    return credential


async def _get(agent: str, url: str, headers: dict[str, str], parameters: dict[str, Any]) -> Any:
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, headers=headers, **parameters) as response,
        ):
            raw = await response.read()
        value = json.loads(raw)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise AgentUnreachableError(f'{agent}: {str(error) or type(error).__name__}') from error
    if response.status != _OK:
        message = value.get('error') or value.get('message') or response.status
        raise AgentUnreachableError(f'{agent}: {message}')
    return value
