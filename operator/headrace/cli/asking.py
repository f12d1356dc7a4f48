"""How commands ask a running agent: on loopback, or the agent of a pod through the API server's proxy."""

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
    click.option('--token', default='', help='With --pod: the token to show.  [default: that of the kubeconfig]'),
    click.option('--kubeconfig', type=click.Path(exists=True, dir_okay=False, path_type=Path), default=None, help="With --pod.  [default: the pod's ServiceAccount, else KUBECONFIG, else ~/.kube/config]"),
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
    return asyncio.run(_asked(given['admin'], f'http://{given["admin"]}{path}', {}))


async def _through_the_proxy(given: dict[str, Any], path: str) -> Any:
    way = accesses.find(given['kubeconfig'], given['context'])
    credential = await way.token(False)  # noqa: FBT003  nothing was refused yet
    headers = {'Authorization': f'{way.scheme} {credential}'} if credential else {}
    token = given['token'] or (credential if way.scheme == 'Bearer' else '')
    if not token:
        raise AgentUnreachableError('--pod needs a token: name one by --token; the kubeconfig holds none')
    namespace, _, name = given['pod'].rpartition('/')
    name, _, port = name.partition(':')
    pod = f'/api/v1/namespaces/{namespace or way.namespace}/pods/https:{name}:{port or _API_PORT}/proxy'
    return await _asked(given['pod'], f'{way.server}{pod}{path}', {**headers, _TOKEN: token}, way)


async def _asked(whom: str, url: str, headers: dict[str, str], way: Access | None = None) -> Any:
    tls: ssl.SSLContext | bool = way.tls if way is not None else True
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(
                url,
                headers=headers,
                ssl=tls,
                server_hostname=(way.server_name if way else '') or None,
                proxy=(way.proxy if way else '') or None,
            ) as answer,
        ):
            raw = await answer.read()
        found = json.loads(raw)
    except (aiohttp.ClientError, TimeoutError, ValueError) as error:
        raise AgentUnreachableError(f'{whom}: {str(error) or type(error).__name__}') from error
    if answer.status != _OK:
        said = found.get('error') or found.get('message') or answer.status
        raise AgentUnreachableError(f'{whom}: {said}')
    return found
