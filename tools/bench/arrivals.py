"""Measure new Ingresses on a real control plane: from the API write to the first request that the agent serves.

    python -m tools.bench.arrivals --ingresses 1000

Needs what tools.bench.cluster needs. The cluster is that of tools.bench.ingresses. Ingresses with annotations come one after the
other, by turns for a Service that is there and with a Service of their own, and then a Service that says by annotations how it is
reached, each with a host of its own; each is asked for until it answers, and deleted. Any answer but 404 before the first 200 is
an error.
"""

import argparse
import asyncio
import collections
import itertools
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

# First, because it makes the packages of headrace and of the tests importable.
from tools.bench import cluster, ingresses, load, varied
from tools.bench.agent import HTTP_PORT, Agent

from support import certificates, network
from support.controlplane import ControlPlane

_SETTINGS = 'ingressClasses: [nginx]\ningressAnnotations: [ingress-nginx]\nsecrets: {namespaces: ["*"]}\n'
_KINDS = ('for a Service', 'with a Service', 'no Ingress, a Service by annotations')
_MOST_SECONDS, _PAUSE = 30.0, 0.0005
_NOT_FOUND, _OK = 404, 200
_ENDPOINT = f'{network.PODS}.1.1'
Document = dict[str, Any]


def measure(count: int, samples: int, seconds: float) -> dict[str, float]:
    """Return the figures with so many Ingresses present."""
    network.isolate()
    with ControlPlane() as plane, tempfile.TemporaryDirectory(prefix='hrb') as folder:
        server = load.Server.of(Path(plane.kubeconfig))
        asyncio.run(load.load(server, _present(count), concurrency=16))
        return asyncio.run(_Run(server, samples, seconds).measure(plane.kubeconfig, Path(folder)))


def _present(count: int) -> Iterator[Document]:
    """Yield the Services, slices and Ingresses that are there, and the certificate that those with TLS name."""
    key, certificate = certificates.for_names('*.example.com')
    for number in range(varied.NAMESPACES):
        secret: Document = certificates.tls_secret('certificate', key, certificate)
        secret['metadata']['namespace'] = varied.names(number)[0]
        yield secret
    yield from map(cluster.allocated, ingresses.cluster(count, 7))


def _annotations(dice: random.Random, number: int) -> dict[str, str]:
    """Return one to four settings, with which a request is answered by the endpoint."""
    settings = {
        'proxy-body-size': f'{dice.randrange(1, 64)}m',
        'proxy-read-timeout': str(dice.randrange(10, 900)),
        'whitelist-source-range': f'127.0.0.0/8,192.0.2.{number % 256}',
        'limit-rps': str(dice.randrange(100, 500)),
        'enable-cors': 'true',
        'affinity': 'cookie',
        'upstream-vhost': f'inner{number}.example.com',
        'load-balance': 'ewma',
    }
    return {f'{ingresses.PREFIX}{key}': settings[key] for key in dice.sample(sorted(settings), dice.randrange(1, 5))}


def _arrival(number: int, port: int, dice: random.Random, kind: str) -> list[Document]:
    """Return what is new: an Ingress after the Service and the slice that come with it, or these alone."""
    if kind == _KINDS[2]:
        service, endpoints = cluster.backend(f'new-{number}', _ENDPOINT, port)
        said = {'host': f'new{number}.example.org', 'request-headers': f'X-New: {number}', 'rate-limit': '100000/s'}
        service['metadata']['annotations'] = {f'{varied.PREFIX}{key}': text for key, text in said.items()}
        # Its endpoints are first, so that it can be served from the moment when it is there.
        return [endpoints, service]
    own = kind == _KINDS[1]
    document = ingresses.ingress(number, dice)
    document['metadata'] = {
        'namespace': 'probes',
        'name': f'new-{number}',
        'annotations': _annotations(dice, number),
    }
    service = f'new-{number}' if own else f'probe-{number % cluster.PROBED}'
    backend = {'service': {'name': service, 'port': {'number': 80}}}
    paths = [{'path': path, 'pathType': 'Prefix', 'backend': backend} for path in ('/', '/api')]
    document['spec'] = {
        'ingressClassName': ingresses.CLASS,
        'rules': [{'host': f'new{number}.example.org', 'http': {'paths': paths}}],
    }
    return [*(cluster.backend(service, _ENDPOINT, port) if own else ()), document]


class _Run:
    """Writes objects, asks for them, and keeps the times by kind."""

    def __init__(self, server: load.Server, samples: int, seconds: float) -> None:
        self.server, self.samples, self.seconds = server, samples, seconds
        self.wrote: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        self.served: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        # Answers other than 404 before the first 200, by kind and status.
        self.errors = collections.Counter[tuple[str, int]]()

    async def measure(self, kubeconfig: Path, folder: Path) -> dict[str, float]:
        endpoints = await asyncio.start_server(cluster.answer, '0.0.0.0', 0)
        port = endpoints.sockets[0].getsockname()[1]
        probed = (cluster.backend(f'probe-{number}', _ENDPOINT, port) for number in range(cluster.PROBED))
        await load.load(self.server, itertools.chain.from_iterable(probed))
        began = time.monotonic()
        with Agent(kubeconfig, folder, _SETTINGS) as agent:
            await agent.ready()
            found = {'cold start, s': time.monotonic() - began, 'RSS, MB': agent.memory()}
            cpu = agent.cpu()
            await self._arrivals(port)
            arrived = sum(map(len, self.served.values()))
            found |= {'agent CPU, ms an Ingress that comes and goes': (agent.cpu() - cpu) / arrived * 1000}
            found |= {'reloads': await agent.reloads(), 'answers other than 404 and 200': self.errors.total()}
            found |= {f'{kind}: answers {status}': count for (kind, status), count in sorted(self.errors.items())}
        endpoints.close()
        for kind in _KINDS:
            wrote, served = self.wrote[kind], self.served[kind]
            after = [total - write for total, write in zip(served, wrote, strict=True)]
            found[f'{kind}: samples'] = len(served)
            for name, times in (('write alone', wrote), ('write to request', served), ('after the write', after)):
                found |= cluster.quantiles(f'{kind}: {name}, ms', times)
        return found

    async def _arrivals(self, port: int) -> None:
        dice, deadline = random.Random(3), time.monotonic() + self.seconds
        connector = aiohttp.TCPConnector(ssl=self.server.tls)
        headers = {'Authorization': f'Bearer {self.server.token}'}
        streams = await asyncio.open_connection('127.0.0.1', HTTP_PORT)
        async with aiohttp.ClientSession(self.server.url, connector=connector, headers=headers) as api:
            for number in range(len(_KINDS) * self.samples):
                kind = _KINDS[number % len(_KINDS)]
                documents = _arrival(number, port, dice, kind)
                began = time.monotonic()
                for document in documents:
                    await load.create(api, document)
                self.wrote[kind].append(time.monotonic() - began)
                await self._ask(kind, f'new{number}.example.org', began, *streams)
                self.served[kind].append(time.monotonic() - began)
                for document in documents:
                    await _delete(api, document)
                if time.monotonic() > deadline:
                    break
        streams[1].close()

    async def _ask(
        self, kind: str, host: str, began: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send requests until the endpoint answers one."""
        request = f'GET /api HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode()
        while time.monotonic() - began < _MOST_SECONDS:
            writer.write(request)
            head = await reader.readuntil(b'\r\n\r\n')
            await reader.readexactly(int(head.lower().partition(b'content-length: ')[2].split(b'\r')[0]))
            status = int(head.split(b' ')[1])
            if status == _OK:
                return
            if status != _NOT_FOUND:
                self.errors[kind, status] += 1
            await asyncio.sleep(_PAUSE)
        raise TimeoutError(f'{host} is not served: {head!r}')


async def _delete(api: aiohttp.ClientSession, document: Document) -> None:
    metadata = document['metadata']
    path = load.COLLECTIONS[document['kind']].format(metadata['namespace'])
    async with api.delete(f'{path}/{metadata["name"]}') as answer:
        await answer.read()


def main() -> None:
    """Measure, and print a table and JSON, with how busy the machine was."""
    parser = argparse.ArgumentParser(prog='python -m tools.bench.arrivals', description=__doc__.partition('\n')[0])
    parser.add_argument('--ingresses', type=int, default=1000, help='that are there before')
    parser.add_argument('--samples', type=int, default=2000, help='of each kind, at most')
    parser.add_argument('--seconds', type=float, default=240.0, help='for all samples, at most')
    given = parser.parse_args()
    before = os.getloadavg()[0]
    found = measure(given.ingresses, given.samples, given.seconds)
    found |= {'load of the machine before, processes': before, 'and after': os.getloadavg()[0]}
    for name, value in found.items():
        print(f'{name:60} {value:10.3f}')
    print(json.dumps({'ingresses': given.ingresses, **found}))


if __name__ == '__main__':
    main()
