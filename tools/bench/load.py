"""Put many Services and their slices into an API server as fast as it takes them.

By hand, with a control plane of the tests or any other:

    python -m tools.bench.load --services 5000 --kubeconfig PATH
"""

import argparse
import asyncio
import base64
import http
import os
import ssl
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

Document = dict[str, Any]

_SECONDS = aiohttp.ClientTimeout(total=120)
COLLECTIONS = {
    'Namespace': '/api/v1/namespaces',
    'Secret': '/api/v1/namespaces/{}/secrets',
    'Service': '/api/v1/namespaces/{}/services',
    'EndpointSlice': '/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices',
    'Ingress': '/apis/networking.k8s.io/v1/namespaces/{}/ingresses',
    'Gateway': '/apis/gateway.networking.k8s.io/v1/namespaces/{}/gateways',
    'HTTPRoute': '/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes',
    'ListenerSet': '/apis/gateway.networking.k8s.io/v1/namespaces/{}/listenersets',
    'ReferenceGrant': '/apis/gateway.networking.k8s.io/v1/namespaces/{}/referencegrants',
}


class LoadError(Exception):
    """The API server did not take an object; the message says which, and why."""


@dataclass(frozen=True, slots=True)
class Server:
    """An API server, how to know it, and who asks."""

    url: str
    tls: ssl.SSLContext
    token: str

    @classmethod
    def of(cls, kubeconfig: Path) -> 'Server':
        """Return the server of a kubeconfig's current context; its user has to have a token."""
        content = yaml.safe_load(kubeconfig.read_text(encoding='utf-8'))
        named = {part: {item['name']: item for item in content[part]} for part in ('clusters', 'users', 'contexts')}
        context = named['contexts'][content['current-context']]['context']
        cluster = named['clusters'][context['cluster']]['cluster']
        inline = cluster.get('certificate-authority-data')
        tls = ssl.create_default_context(
            cafile=cluster.get('certificate-authority'),
            cadata=base64.b64decode(inline).decode() if inline else None,
        )
        return cls(cluster['server'], tls, named['users'][context['user']]['user']['token'])


def simple(count: int, endpoints: int = 10, namespace: str = 'load') -> Iterator[Document]:
    """Yield Services without a selector, and after each its slice; no address occurs twice."""
    for number in range(count):
        metadata = {'name': f'service-{number:05d}', 'namespace': namespace}
        yield {
            'apiVersion': 'v1',
            'kind': 'Service',
            'metadata': metadata,
            'spec': {'ports': [{'name': 'http', 'port': 80, 'targetPort': 8080}]},
        }
        addresses = (number * endpoints + each for each in range(endpoints))
        yield {
            'apiVersion': 'discovery.k8s.io/v1',
            'kind': 'EndpointSlice',
            'metadata': {**metadata, 'labels': {'kubernetes.io/service-name': metadata['name']}},
            'addressType': 'IPv4',
            'ports': [{'name': 'http', 'port': 8080, 'protocol': 'TCP'}],
            'endpoints': [{'addresses': [f'10.{128 + (i >> 16)}.{i >> 8 & 255}.{i & 255}']} for i in addresses],
        }


async def load(server: Server, documents: Iterable[Document], *, concurrency: int = 32) -> int:
    """Create all objects, and their namespaces where those are missing; return how many objects were created.

    A document is made when a connection is free for it, so an iterator of any length costs no memory.
    """
    created = 0
    refused: list[Exception] = []
    waiting = iter(documents)
    namespaces: dict[str, asyncio.Task[None]] = {}
    connector = aiohttp.TCPConnector(ssl=server.tls, limit=concurrency)
    headers = {'Authorization': f'Bearer {server.token}', 'Accept': 'application/json'}
    async with aiohttp.ClientSession(server.url, headers=headers, connector=connector, timeout=_SECONDS) as session:

        async def work() -> None:
            nonlocal created
            # After a refusal all end with what they are at; nothing is cancelled in the middle of a request.
            while not refused and (document := next(waiting, None)):
                namespace = document['metadata']['namespace']
                if namespace not in namespaces:
                    wanted = {'kind': 'Namespace', 'apiVersion': 'v1', 'metadata': {'name': namespace}}
                    namespaces[namespace] = asyncio.create_task(create(session, wanted, may_exist=True))
                try:
                    await namespaces[namespace]
                    await create(session, document)
                except (LoadError, aiohttp.ClientError, TimeoutError) as error:
                    refused.append(error)
                else:
                    created += 1

        await asyncio.gather(*(work() for _ in range(concurrency)))
    if refused:
        raise refused[0]
    return created


async def create(session: aiohttp.ClientSession, document: Document, *, may_exist: bool = False) -> None:
    """Create an object."""
    metadata = document['metadata']
    path = COLLECTIONS[document['kind']].format(metadata.get('namespace'))
    async with session.post(path, json=document) as answer:
        if not answer.ok and not (may_exist and answer.status == http.HTTPStatus.CONFLICT):
            said = await answer.text()
            raise LoadError(f'{document["kind"]} {metadata["name"]}: {answer.status} {said[:500]}')
        await answer.read()


def main(arguments: list[str] | None = None) -> int:
    """Load simple Services, and say how fast it went; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument('--kubeconfig', type=Path, default=os.environ.get('KUBECONFIG'), help='default: $KUBECONFIG')
    parser.add_argument('--services', type=int, default=1000, help='how many, with one slice each')
    parser.add_argument('--endpoints', type=int, default=10, help='of each Service')
    parser.add_argument('--namespace', default='load', help='made where it is missing')
    parser.add_argument('--concurrency', type=int, default=32, help='requests at a time')
    options = parser.parse_args(arguments)
    if options.kubeconfig is None:
        parser.error('--kubeconfig or KUBECONFIG has to name a kubeconfig')
    documents = simple(options.services, options.endpoints, options.namespace)
    started = time.monotonic()
    try:
        created = asyncio.run(load(Server.of(options.kubeconfig), documents, concurrency=options.concurrency))
    except (LoadError, aiohttp.ClientError, TimeoutError) as error:
        sys.exit(f'error: {error}')
    seconds = time.monotonic() - started
    print(f'{created} objects in {seconds:.1f} s: {created / seconds:.0f} a second')
    return 0


if __name__ == '__main__':
    sys.exit(main())
