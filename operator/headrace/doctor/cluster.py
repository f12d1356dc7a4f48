"""Checks of the way to the cluster: the API server, the token, each right, and whether endpoints can be reached."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import aiohttp

from headrace.doctor.findings import Finding, Level, good, missing, warning
from headrace.kube import own_token
from headrace.kube import session as sessions
from headrace.kube.access import Access, AccessError
from headrace.kube.calls import CallError, Calls, ForbiddenError
from headrace.kube.own_token import Claims, TokenError
from headrace.kube.resources import NODES, SERVICES, SLICES
from headrace.kube.rights import RULES, Rule, When, Where
from headrace.objects import cluster as nodes
from headrace.objects import slices
from headrace.settings.settings import Settings

_CONNECT_SECONDS, _API_SECONDS = 2.0, 10.0
# Of each way, so many are tried.
_TRIED = 8
_PAGE = 200
_REVIEWS = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'
_DAY = 86400


@dataclass(frozen=True, slots=True)
class Target:
    """An address and port to which a connection is tried."""

    address: str
    port: int


async def look(access: Access, settings: Settings, name: str) -> list[Finding]:
    """Return what was found about the cluster; `name` is the host's in `external.agents`."""
    try:
        token = await access.token(False)  # noqa: FBT003  nothing was refused yet
    except AccessError as error:
        return [missing('token', str(error), '`headrace token NAME` makes another one')]
    said, claims = judge_token(token, name, time.time())
    found = [*said]
    async with sessions.make(access, {}) as session:
        calls = Calls(access.server, lambda: session)
        reach = await _reach(access, session, token)
        found.append(reach)
        if reach.level is not Level.GOOD:
            return found
        account = claims.account if claims is not None else ''
        found += [item async for item in _rights(calls, access.namespace, settings, name, account)]
        found += await _endpoints(calls, settings)
    return found


def judge_token(token: str, name: str, now: float) -> tuple[list[Finding], Claims | None]:
    """Say whose token it is and how long it holds."""
    try:
        claims = own_token.claims(token)
    except TokenError as error:
        return [warning('token', str(error), 'with one of `headrace token NAME` the agent renews it')], None
    left = claims.expires - now
    if left <= 0:
        return [missing('token', 'it has ended', '`headrace token NAME` makes another one')], claims
    found = [good('token', f'of {claims.account}, for {left / _DAY:.1f} days')]
    if not claims.account.endswith(f'external-{name}'):
        remedy = f'set POD_NAME in /etc/headrace/environment to the name in external.agents (this host is {name})'
        found.append(warning('token', f'{claims.account} is not the account of a host {name}', remedy))
    return found, claims


async def _reach(access: Access, session: aiohttp.ClientSession, token: str) -> Finding:
    """Ask for what every account may read; the middleware of the session would retry a token that is refused."""
    try:
        async with asyncio.timeout(_API_SECONDS), session.get(f'{access.server}/version') as answer:
            version = await answer.json()
            date = answer.headers.get('Date', '')
    except TimeoutError:
        why = 'it refuses the token, or does not answer' if token else 'it does not answer'
        return missing('API server', f'{access.server}: {why}', 'is the token revoked, or the way to it closed?')
    except (aiohttp.ClientError, ValueError) as error:
        return missing(
            'API server', f'{access.server}: {error}', 'is the address in the kubeconfig the one for this host?'
        )
    return good('API server', f'{access.server}, Kubernetes {version.get("gitVersion", "?")}, {date or "no date"}')


async def _rights(calls: Calls, own: str, settings: Settings, name: str, account: str) -> AsyncIterator[Finding]:
    """Yield the rights that are missing, or that all are there."""
    refused = []
    asked = list(wanted(own, settings, name, account))
    for attributes in asked:
        body = {
            'apiVersion': 'authorization.k8s.io/v1',
            'kind': 'SelfSubjectAccessReview',
            'spec': {'resourceAttributes': attributes},
        }
        try:
            answer = await calls.call('POST', _REVIEWS, body)
        except CallError as error:
            yield missing('rights', str(error))
            return
        if not answer['status'].get('allowed'):
            refused.append(attributes)
    for attributes in refused:
        resource = '/'.join(filter(None, (attributes['resource'], attributes.get('subresource', ''))))
        where = f' in {attributes["namespace"]}' if attributes['namespace'] else ''
        remedy = f'is {name} in external.agents of the release, and are its settings those of this host?'
        yield missing('rights', f'{attributes["verb"]} {resource}{where}', remedy)
    if not refused:
        yield good('rights', f'{len(asked)} of {len(asked)}')


def wanted(own: str, settings: Settings, name: str, account: str) -> Iterator[dict[str, str]]:
    """Yield what an agent on a host asks for, as the attributes of a review."""
    uses = {When.ALWAYS}
    uses |= {When.INGRESS} if settings.ingress else set()
    uses |= {When.GATEWAY_API, When.CONFIG_MAPS} if settings.gateway_api else set()
    uses |= {When.NODE_ADDRESSES} if settings.address_source == 'node-ports' else set()
    for rule in RULES:
        if 'external' in rule.roles and rule.when in uses:
            yield from _attributes(rule, own, settings, name, account)


def _attributes(rule: Rule, own: str, settings: Settings, name: str, account: str) -> Iterator[dict[str, str]]:
    if rule.where is Where.UNLIMITED and settings.namespaces:
        return
    secret_namespaces = ('',) if '*' in settings.secrets.namespaces else settings.secrets.namespaces or (own,)
    places = {
        Where.NAMESPACES: settings.namespaces or ('',),
        Where.SECRETS: secret_namespaces,
        Where.OWN: (own,),
    }.get(rule.where, ('',))
    document = rule.document(settings.class_name, name, account)
    resource, _, part = rule.resource.partition('/')
    for namespace in places:
        for named in document.get('resourceNames', ('',)):
            for verb in rule.verbs:
                yield {
                    'group': rule.group,
                    'resource': resource,
                    'subresource': part,
                    'namespace': namespace,
                    'name': named,
                    'verb': verb,
                }


async def _endpoints(calls: Calls, settings: Settings) -> list[Finding]:
    """Try both ways to endpoints, and say which the settings name."""
    namespaces = settings.namespaces or ('',)
    try:
        listed = [item for each in namespaces for item in await _page(calls, SLICES.path(each))]
        direct = await _try(endpoints_of(listed))
    except CallError as error:
        return [warning('endpoints', str(error))]
    try:
        services = [item for each in namespaces for item in await _page(calls, SERVICES.path(each))]
        machines = await _page(calls, NODES.path())
        by_node = await _try(node_ports_of(services, machines))
    except ForbiddenError:
        by_node = None
    except CallError as error:
        return [warning('endpoints', str(error))]
    return [*judge_ways(settings.address_source, direct, by_node)]


def judge_ways(source: str, direct: tuple[int, int], by_node: tuple[int, int] | None) -> Iterator[Finding]:
    """Say which way works, by how many of how many connections were made; None for one that cannot be tried."""
    told = {'endpoints': direct, 'node-ports': by_node}
    for way, counts in told.items():
        subject = f'addressSource: {way}'
        if counts is None:
            yield warning(subject, 'not tried: the account may not read Nodes', 'set addressSource in the release too')
        elif not counts[1]:
            yield warning(subject, 'not tried: there is none')
        elif counts[0]:
            yield good(subject, f'{counts[0]} of {counts[1]} that were tried can be reached')
        else:
            how = f'none of {counts[1]} that were tried can be reached'
            other = next(each for each in told if each != way)
            remedy = f'set addressSource: {other}, or make a route'
            yield missing(subject, how, remedy) if way == source else warning(subject, how)


async def _page(calls: Calls, path: str) -> list[dict[str, Any]]:
    return list((await calls.call('GET', path, query={'limit': str(_PAGE)})).get('items') or ())


def endpoints_of(listed: Iterable[dict[str, Any]]) -> list[Target]:
    """Return some ready TCP endpoints, one of each slice."""
    found = []
    for document in listed:
        metadata = document['metadata']
        item = slices.read(metadata['namespace'], metadata['name'], document)
        port = next((each.number for each in item.ports if each.protocol == 'TCP'), 0)
        if item.service and item.ready and port and metadata['namespace'] != 'default':
            found.append(Target(item.ready[0], port))
    return found[:_TRIED]


def node_ports_of(services: Iterable[dict[str, Any]], machines: Iterable[dict[str, Any]]) -> list[Target]:
    """Return some node ports on ready Nodes."""
    read = [nodes.read_node('', each['metadata']['name'], each) for each in machines]
    addresses = [item.addresses[0] for item in read if item.usable and item.addresses]
    numbers = [
        port['nodePort']
        for service in services
        for port in service['spec'].get('ports') or ()
        if port.get('nodePort') and port.get('protocol', 'TCP') == 'TCP'
    ]
    return [Target(address, number) for number in numbers[:_TRIED] for address in addresses[:2]][:_TRIED]


async def _try(targets: list[Target]) -> tuple[int, int]:
    """Return to how many of some targets a connection can be made."""
    return sum(await asyncio.gather(*map(_connects, targets))), len(targets)


async def _connects(target: Target) -> bool:
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(target.address, target.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
