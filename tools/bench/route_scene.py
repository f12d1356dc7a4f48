"""A real control plane with the Gateway API, a Gateway with one listener for HTTP, an endpoint, and clients of HAProxy.

The Gateway has a slot of the edge, as in a cluster; the Service that a controller would keep for it is there from the start.
"""

import asyncio
import collections
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import aiohttp
import yaml

# First, because it makes the packages of headrace and of the tests importable.
from tools.bench import cluster, load
from tools.bench.agent import NAMESPACE as OWN_NAMESPACE
from tools.bench.agent import ROOT, Agent

from support import gateways, network
from support.controlplane import ControlPlane

NAMESPACE = 'probes'
SETTINGS = 'secrets: {namespaces: ["*"]}\ngatewaySlots: 4\n'
_SLOT = 28000
MOST_SECONDS = 60.0
_DEFINITIONS = ROOT / 'bin' / 'conformance' / 'crds' / 'standard'
_PAUSE = 0.0005
_OK, _NOT_FOUND = 200, 404
_CONCURRENCY = 32
Document = dict[str, Any]


class Client:
    """A client of HAProxy on one connection, which counts answers by their status."""

    def __init__(self) -> None:
        self.statuses = collections.Counter[int]()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection('127.0.0.1', _SLOT)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def ask(self, host: str) -> int:
        """Send a request, and return the status of the answer; 0 where the connection ends, and there is a new one."""
        try:
            self._writer.write(f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode())
            head = await self._reader.readuntil(b'\r\n\r\n')
            await self._reader.readexactly(int(head.lower().partition(b'content-length: ')[2].split(b'\r')[0]))
            status = int(head.split(b' ')[1])
        except (OSError, asyncio.IncompleteReadError):
            status = 0
            await self.__aenter__()
        self.statuses[status] += 1
        return status

    async def until_served(self, host: str, began: float) -> int:
        """Ask until the endpoint answers, and return how many answers were neither that nor 404."""
        errors = 0
        while time.monotonic() - began < MOST_SECONDS:
            status = await self.ask(host)
            if status == _OK:
                return errors
            errors += status != _NOT_FOUND
            await asyncio.sleep(_PAUSE)
        raise TimeoutError(f'{host} is not served')


class Scene:
    """A control plane with the API's definitions, a Gateway, and an endpoint; `api` is a session of its administrator."""

    def __init__(self, plane: ControlPlane, folder: Path, api: aiohttp.ClientSession, server: load.Server) -> None:
        self.plane, self.folder, self.api, self.server = plane, folder, api, server
        self.port = 0

    async def create(self, documents: Iterable[Document]) -> None:
        """Create objects, many at a time."""
        await load.load(self.server, documents, concurrency=_CONCURRENCY)

    async def patch(self, document: Document) -> None:
        """Replace the spec, or the endpoints, of an object."""
        headers = {'Content-Type': 'application/merge-patch+json'}
        body = {key: value for key, value in document.items() if key in ('spec', 'endpoints')}
        async with self.api.patch(path_of(document), data=json.dumps(body), headers=headers) as answer:
            assert answer.ok, await answer.text()
            await answer.read()

    async def delete(self, document: Document) -> None:
        """Delete an object."""
        async with self.api.delete(path_of(document)) as answer:
            await answer.read()

    @contextlib.asynccontextmanager
    async def agent(self) -> AsyncIterator[Agent]:
        """Run an agent and its HAProxy, ready."""
        with Agent(Path(self.plane.kubeconfig), self.folder, SETTINGS) as agent:
            await agent.ready()
            yield agent


def path_of(document: Document) -> str:
    """Return the path of an object."""
    metadata = document['metadata']
    return f'{load.COLLECTIONS[document["kind"]].format(metadata["namespace"])}/{metadata["name"]}'


@contextlib.asynccontextmanager
async def started() -> AsyncIterator[Scene]:
    """Start a control plane, define the API, and create the Gateway and two Services of one endpoint."""
    with ControlPlane() as plane, tempfile.TemporaryDirectory(prefix='hrb') as folder:
        server = load.Server.of(Path(plane.kubeconfig))
        for path in sorted(_DEFINITIONS.glob('*.yaml')):
            for document in yaml.safe_load_all(path.read_text()):
                if document and document['kind'] == 'CustomResourceDefinition':
                    plane.api.create(document)
        connector = aiohttp.TCPConnector(ssl=server.tls, limit=_CONCURRENCY)
        headers = {'Authorization': f'Bearer {server.token}'}
        endpoints = await asyncio.start_server(cluster.answer, '0.0.0.0', 0)
        async with aiohttp.ClientSession(server.url, connector=connector, headers=headers) as api:
            scene = Scene(plane, Path(folder), api, server)
            scene.port = endpoints.sockets[0].getsockname()[1]
            listener = gateways.listener(namespaces='All')
            plane.api.create(gateways.GATEWAY_CLASS)
            context = replace(gateways.CLUSTER, own_namespace=OWN_NAMESPACE)
            plane.api.create(gateways.slot_service('web', {80: _SLOT}, namespace=NAMESPACE, context=context))
            await scene.create([*service('web', scene.port), *service('other', scene.port)])
            plane.api.create(gateways.gateway('web', listener, namespace=NAMESPACE, admits='All'))
            yield scene
        endpoints.close()


def service(name: str, port: int, *addresses: str) -> list[Document]:
    """Return a Service that no route but those of Gateways leads to, and its slice."""
    service, endpoints = cluster.backend(name, f'{network.PODS}.1.1', port)
    service['metadata'].pop('annotations', None)
    if addresses:
        endpoints['endpoints'] = [{'addresses': [address]} for address in addresses]
    return [service, endpoints]
