"""`headrace token`: what an agent on a host outside of the cluster needs to reach the API server."""

import asyncio
import base64
import re
from pathlib import Path
from typing import Any

import click
import yaml

from headrace.cli import wiring
from headrace.haproxy.runtime.files import WriteError
from headrace.kube import own_token
from headrace.kube import session as sessions
from headrace.kube.access import Access, AccessError
from headrace.kube.calls import Calls, NotFoundError
from headrace.kube.own_token import TokenError
from headrace.settings.settings import SettingsError, milliseconds

_AUTHORITY = 'kube-root-ca.crt'
_SHORTEST, _MILLI = 600, 1000
KUBECONFIG, TOKEN = 'kubeconfig', 'token'


@click.command()
@click.argument('name')
@click.option('--namespace', default='headrace-system', show_default=True, metavar='NAME', help='That of the release.')
@click.option(
    '--account', default='', metavar='NAME', help="The host's ServiceAccount.  [default: headrace-external-NAME]"
)
@click.option(
    '--kubeconfig',
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=None,
    help='Of an administrator.  [default: KUBECONFIG, else ~/.kube/config]',
)
@click.option('--context', default='', metavar='NAME', help='Context of the kubeconfig.  [default: its current one]')
@click.option(
    '--server', default='', metavar='URL', help="The API server as the host reaches it.  [default: the kubeconfig's]"
)
@click.option(
    '--duration',
    default='720h',
    show_default=True,
    help='How long the token holds, at least 10m; the agent renews it when half of that is over.',
)
@click.option(
    '--output',
    type=click.Path(file_okay=False, path_type=Path),
    default=None,
    help='Folder for the files.  [default: ./NAME]',
)
def token(name: str, **options: Any) -> None:
    """Make a kubeconfig for the agent on host NAME, which `external.agents` of the chart lists.

    It is two files, `kubeconfig` and the `token` that it names, to be moved to /var/lib/headrace/credentials of the host.
    Anyone who has them may read what the edge reads. Removing NAME from `external.agents` revokes all tokens of the host.
    """
    seconds = _seconds(options['duration'])
    access = wiring.access(options)
    account = options['account'] or f'headrace-external-{name}'
    made, authority = asyncio.run(_ask(access, options['namespace'], account, seconds))
    try:
        holds = own_token.claims(made)
    except TokenError as error:
        raise AccessError(f'the API server gave no token: {error}') from error
    document = kubeconfig(options['server'] or access.server, access.server_name, authority, options['namespace'])
    folder = options['output'] or Path(name)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        own_token.write(folder / TOKEN, made)
        (folder / KUBECONFIG).write_text(document)
    except OSError as error:
        raise WriteError(f'{folder}: {error.strerror}') from error
    hours = (holds.expires - holds.issued) / 3600
    click.echo(f'wrote {folder}/{KUBECONFIG} and {folder}/{TOKEN}, which holds for {hours:g} h')


def _seconds(text: str) -> int:
    seconds = milliseconds(text) // _MILLI if re.fullmatch(r'\d{1,6}(s|m|h|d)', text) else 0
    if seconds < _SHORTEST:
        raise SettingsError(f'--duration {text}: a duration of 10m or more, as in 720h')
    return seconds


async def _ask(access: Access, namespace: str, account: str, seconds: int) -> tuple[str, str]:
    """Return a token of the account, and the authority of the API server's certificate; raises CallError."""
    async with sessions.make(access, {}) as session:
        calls = Calls(access.server, lambda: session)
        try:
            made = await own_token.request(calls, namespace, account, seconds)
        except NotFoundError as error:
            message = f'{error}; is the host in external.agents of the chart, and the release in namespace {namespace}?'
            raise NotFoundError(message, error.reason) from error
        found = await calls.call('GET', f'/api/v1/namespaces/{namespace}/configmaps/{_AUTHORITY}')
    return made, found['data']['ca.crt']


def kubeconfig(server: str, server_name: str, authority: str, namespace: str) -> str:
    """Return a kubeconfig whose token is in the file beside it."""
    cluster = {'server': server, 'certificate-authority-data': base64.b64encode(authority.encode()).decode()}
    if server_name:
        cluster['tls-server-name'] = server_name
    document = {
        'apiVersion': 'v1',
        'kind': 'Config',
        'current-context': 'headrace',
        'clusters': [{'name': 'headrace', 'cluster': cluster}],
        'users': [{'name': 'headrace', 'user': {'tokenFile': TOKEN}}],
        'contexts': [
            {'name': 'headrace', 'context': {'cluster': 'headrace', 'user': 'headrace', 'namespace': namespace}}
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)
