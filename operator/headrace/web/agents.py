"""The agents that the dashboard asks: those that are named, or the pods of an installation; and how they are asked."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import aiohttp

from headrace.kube.calls import CallError, Calls

Parameters = Sequence[tuple[str, str]]
Token = Callable[[], Awaitable[str]]
_TOKEN = 'X-Headrace-Token'  # noqa: S105  the name of a header
_SECONDS, _CONNECT_SECONDS = 10.0, 2.0
_FOUND_SECONDS = 3.0
_OK, _NOT_FOUND = 200, 404
_LARGEST = 64 * 1024 * 1024
# An agent of the node role has the first of these ports that is free, beside one that ends: see --instance-slots.
_EDGE_PORTS, _NODE_PORTS = (8406,), (10312, 10320, 10328, 10336)
_MOST_PODS = '1000'
_COMPONENT = 'app.kubernetes.io/component'


class AgentError(Exception):
    """An agent does not answer, or refuses; the message says why."""


class AbsentError(AgentError):
    """The agent has no such thing."""


@dataclass(frozen=True, slots=True)
class Address:
    """An agent: its name, the Node that it runs on where that is known, and where it may be asked, in the order of attempts."""

    name: str
    urls: tuple[str, ...]
    node: str = ''


Finder = Callable[[], Awaitable[tuple[Address, ...]]]


def named(addresses: Iterable[str]) -> Finder:
    """Return what finds agents by `ADDR:PORT` of their admin ports, on loopback."""
    found = tuple(Address(text, (f'http://{text}',)) for text in addresses)

    async def find() -> tuple[Address, ...]:
        return found

    return find


def of_process(where: Callable[[], tuple[str, int] | None]) -> Finder:
    """Return what finds the agent of this process, by the address and port of its admin port, None until it listens."""

    async def find() -> tuple[Address, ...]:
        found = where()
        if found is None:
            return ()
        host, port = found
        # An agent that listens everywhere shows pages on loopback alone.
        host = {'0.0.0.0': '127.0.0.1', '::': '[::1]'}.get(host, f'[{host}]' if ':' in host else host)  # noqa: S104
        return (Address(f'{host}:{port}', (f'http://{host}:{port}',)),)

    return find


def of_pods(calls: Calls, namespace: str, selector: str) -> Finder:
    """Return what finds the agents of an installation: pods in a namespace with these labels."""

    async def find() -> tuple[Address, ...]:
        path = f'/api/v1/namespaces/{namespace}/pods'
        try:
            answer = await calls.call('GET', path, query={'labelSelector': selector, 'limit': _MOST_PODS})
        except CallError as error:
            raise AgentError(f'the pods of agents cannot be listed: {error}') from error
        pods = answer.get('items') if isinstance(answer, dict) else None
        return tuple(sorted(filter(None, map(_of_pod, pods or ())), key=lambda each: each.name))

    return find


def _of_pod(pod: dict[str, Any]) -> Address | None:
    metadata, status = pod.get('metadata') or {}, pod.get('status') or {}
    address = status.get('podIP')
    if not address or metadata.get('deletionTimestamp') or status.get('phase') != 'Running':
        return None
    host = f'[{address}]' if ':' in address else address
    node = (metadata.get('labels') or {}).get(_COMPONENT) == 'node'
    ports = _NODE_PORTS if node else _EDGE_PORTS
    urls = tuple(f'https://{host}:{port}' for port in ports)
    return Address(str(metadata.get('name', '')), urls, str((pod.get('spec') or {}).get('nodeName') or ''))


class Agents:
    """Asks agents. `token` is shown to them, unless it is None; `tls` is how their certificates are judged."""

    def __init__(
        self, find: Finder, token: Token | None = None, tls: ssl.SSLContext | None = None, server_name: str = ''
    ) -> None:
        self._find, self._token, self._tls, self._server_name = find, token, tls, server_name
        self._session: aiohttp.ClientSession | None = None
        self._found: tuple[float, tuple[Address, ...]] = (float('-inf'), ())
        # Where each was found last, by name.
        self._urls: dict[str, str] = {}

    async def addresses(self) -> tuple[Address, ...]:
        """Return the agents, as of some seconds ago at most; raises AgentError."""
        now = time.monotonic()
        if now - self._found[0] > _FOUND_SECONDS or not self._found[1]:
            self._found = now, await self._find()
        return self._found[1]

    async def close(self) -> None:
        """End all connections."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, agent: Address, path: str, parameters: Parameters = ()) -> Any:
        """Return what an agent answers; raises AgentError and AbsentError."""
        known = self._urls.get(agent.name)
        urls = sorted(agent.urls, key=lambda url: url != known)
        for place, url in enumerate(urls):
            try:
                async with asyncio.timeout(_SECONDS):
                    answer = await self._get(url, path, parameters)
            except (aiohttp.ClientConnectionError, TimeoutError) as error:
                if place == len(urls) - 1:
                    raise AgentError(str(error) or 'no answer in time') from error
            except (aiohttp.ClientError, ValueError) as error:
                raise AgentError(str(error)) from error
            else:
                self._urls[agent.name] = url
                return answer
        raise AgentError('it has no address')

    async def _get(self, url: str, path: str, parameters: Parameters) -> Any:
        if self._session is None:
            limits = aiohttp.TCPConnector(limit_per_host=4)
            self._session = aiohttp.ClientSession(
                connector=limits, timeout=aiohttp.ClientTimeout(total=_SECONDS, connect=_CONNECT_SECONDS)
            )
        headers = {_TOKEN: await self._token()} if self._token is not None else {}
        more: dict[str, Any] = {'ssl': self._tls, 'server_hostname': self._server_name or None} if self._tls else {}
        target = f'{url}{path}?{urlencode(parameters)}' if parameters else f'{url}{path}'
        async with self._session.get(target, headers=headers, allow_redirects=False, **more) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > _LARGEST:
                    raise AgentError('the answer is too large')
        value = json.loads(body)
        if response.status != _OK:
            message = value.get('error') if isinstance(value, dict) else ''
            raise (AbsentError if response.status == _NOT_FOUND else AgentError)(str(message or response.status))
        return value


def context(ca: str | None, *, named_host: bool) -> ssl.SSLContext:
    """Return how agents' certificates are judged: by an authority, or (None) not at all, since each has made its own."""
    tls = ssl.create_default_context(cafile=ca)
    if ca is None:
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    else:
        tls.check_hostname = named_host
    return tls


async def gather(
    agents: Agents, addresses: Sequence[Address], path: str, parameters: Parameters = ()
) -> dict[str, dict[str, Any] | AgentError]:
    """Return the answers of several agents by name, or why there is none."""

    async def one(address: Address) -> dict[str, Any] | AgentError:
        with contextlib.suppress(AbsentError):
            try:
                value = await agents.ask(address, path, parameters)
            except AgentError as error:
                return error
            return value if isinstance(value, dict) else AgentError('it answers with something else')
        return AgentError('it has no such page: it is of another version')

    answers = await asyncio.gather(*map(one, addresses))
    return {address.name: answer for address, answer in zip(addresses, answers, strict=True)}
