"""Measure an agent on a real control plane: start, memory, and from an API write to the first request there.

    python -m tools.bench.cluster --services 5000

Needs root (all of it runs in a network namespace of its own) and `make controlplane`. The cluster is the varied one;
changes go to Services beside it, whose endpoints are one small server at many addresses.
"""

import argparse
import asyncio
import json
import ssl
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path[:0] = [str(ROOT / 'operator'), str(ROOT / 'tests')]

from tools.bench import load, varied  # noqa: E402
from tools.bench.agent import HTTP_PORT, Agent  # noqa: E402

from support import network  # noqa: E402
from support.controlplane import ControlPlane  # noqa: E402

PROBED = 100


def measure(services: int, samples: int, rate: float) -> dict[str, float]:
    """Return the figures of one cluster of this size."""
    network.isolate()
    with ControlPlane() as plane, tempfile.TemporaryDirectory(prefix='hrb') as folder:
        server = load.Server.of(Path(plane.kubeconfig))
        began = time.monotonic()
        asyncio.run(load.load(server, map(allocated, varied.cluster(services, 7)), concurrency=16))
        found = {'objects loaded a second': 2 * services / (time.monotonic() - began)}
        return found | asyncio.run(_Run(plane, server, Path(folder), samples, rate).measure())


def allocated(document: dict[str, Any]) -> dict[str, Any]:
    """Return a document whose addresses the API server is to choose."""
    spec = {key: value for key, value in document.get('spec', {}).items() if not key.startswith('clusterIP')}
    return {**document, 'spec': spec} if spec else document


def probed(port: int) -> list[dict[str, Any]]:
    """Return the Services that are changed, with one endpoint each."""
    documents = []
    for number in range(PROBED):
        service, endpoints = backend(f'probe-{number}', f'{network.PODS}.1.1', port)
        service['metadata']['annotations'] = {'headrace.io/host': f'p{number}.example.com'}
        documents += [service, endpoints]
    return documents


def backend(name: str, address: str, port: int) -> list[dict[str, Any]]:
    """Return a Service without settings and its slice with one endpoint."""
    metadata = {'name': name, 'namespace': 'probes'}
    return [
        {
            'apiVersion': 'v1',
            'kind': 'Service',
            'metadata': metadata,
            'spec': {'ports': [{'name': 'http', 'port': 80}]},
        },
        {
            'apiVersion': 'discovery.k8s.io/v1',
            'kind': 'EndpointSlice',
            'metadata': metadata | {'labels': {'kubernetes.io/service-name': name}},
            'addressType': 'IPv4',
            'ports': [{'name': 'http', 'port': port, 'protocol': 'TCP'}],
            'endpoints': [{'addresses': [address]}],
        },
    ]


class _Run:
    def __init__(self, plane: Any, server: load.Server, folder: Path, samples: int, rate: float) -> None:
        self.plane, self.server, self.folder, self.samples, self.rate = plane, server, folder, samples, rate
        self.times: list[float] = []
        self.wrote: list[float] = []
        self.port = 0

    async def measure(self) -> dict[str, float]:
        endpoints = await asyncio.start_server(answer, '0.0.0.0', 0)
        self.port = endpoints.sockets[0].getsockname()[1]
        await load.load(self.server, probed(self.port))
        began = time.monotonic()
        with Agent(self.plane.kubeconfig, self.folder) as agent:
            await agent.ready()
            found = {
                'cold start, s': time.monotonic() - began,
                'RSS, MB': agent.memory(),
                'peak RSS, MB': agent.memory('VmHWM'),
            }
            cpu = agent.cpu()
            await self._changes()
            found |= {
                'agent CPU, ms an event': (agent.cpu() - cpu) / self.samples * 1000,
                **quantiles('API write alone, ms', self.wrote),
                **quantiles('API write to request, ms', self.times),
                'RSS after, MB': agent.memory(),
                'API server back to event, s': await self._restart(),
            }
        endpoints.close()
        return found

    async def _changes(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self.server.tls, limit=32)
        headers = {'Authorization': f'Bearer {self.server.token}', 'Content-Type': 'application/merge-patch+json'}
        async with aiohttp.ClientSession(self.server.url, connector=connector, headers=headers) as api:
            due, tasks = time.monotonic(), []
            for number in range(self.samples):
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                due += 1 / self.rate
                tasks.append(asyncio.create_task(self._change(api, number)))
            await asyncio.gather(*tasks)

    async def _change(self, api: aiohttp.ClientSession, number: int) -> None:
        place, address = number % PROBED, f'{network.PODS}.{2 + number // 250 % 250}.{1 + number % 250}'
        _, wanted = backend(f'probe-{place}', address, self.port)
        path = f'/apis/discovery.k8s.io/v1/namespaces/probes/endpointslices/probe-{place}'
        patch = {'endpoints': wanted['endpoints'], 'ports': wanted['ports']}
        began = time.monotonic()
        async with api.patch(path, data=json.dumps(patch)) as answer:
            assert answer.ok, await answer.text()
            await answer.read()
        self.wrote.append(time.monotonic() - began)
        reader, writer = await asyncio.open_connection('127.0.0.1', HTTP_PORT)
        asked = f'GET / HTTP/1.1\r\nHost: p{place}.example.com\r\n\r\n'.encode()
        while time.monotonic() - began < 30:  # noqa: PLR2004
            writer.write(asked)
            head = await reader.readuntil(b'\r\n\r\n')
            length = int(head.lower().partition(b'content-length: ')[2].split(b'\r')[0])
            said = await reader.readexactly(length)
            if said == address.encode():
                break
        else:
            raise TimeoutError(f'{address} was never asked: {head!r} {said!r}')
        self.times.append(time.monotonic() - began)
        writer.close()

    async def _restart(self) -> float:
        """Kill the API server, start it again, and return the seconds until a change arrives once it is ready."""
        await asyncio.to_thread(self.plane.restart_api_server)
        began = time.monotonic()
        context: ssl.SSLContext = self.server.tls
        headers = {'Authorization': f'Bearer {self.server.token}', 'Content-Type': 'application/merge-patch+json'}
        connector = aiohttp.TCPConnector(ssl=context)
        async with aiohttp.ClientSession(self.server.url, connector=connector, headers=headers) as api:
            await self._change(api, self.samples + 7)
        return time.monotonic() - began


async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer every request with the address that it came to."""
    place = writer.get_extra_info('sockname')[0].encode()
    try:
        while await reader.readuntil(b'\r\n\r\n'):
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s' % (len(place), place))
    except (asyncio.CancelledError, asyncio.IncompleteReadError, OSError):
        writer.close()


def quantiles(name: str, values: list[float]) -> dict[str, float]:
    """Return the median, the 90th and the 99th percentile of some seconds, in milliseconds."""
    ranked = statistics.quantiles(values, n=100)
    return {f'{name}, p50': ranked[49] * 1000, f'{name}, p90': ranked[89] * 1000, f'{name}, p99': ranked[98] * 1000}


def main() -> None:
    """Measure, and print a table and JSON."""
    parser = argparse.ArgumentParser(prog='python -m tools.bench.cluster', description=__doc__.partition('\n')[0])
    parser.add_argument('--services', type=int, default=5000)
    parser.add_argument('--samples', type=int, default=2000)
    parser.add_argument('--rate', type=float, default=50.0, help='changes a second')
    given = parser.parse_args()
    found = measure(given.services, given.samples, given.rate)
    for name, value in found.items():
        print(f'{name:40} {value:10.3f}')
    print(json.dumps({'services': given.services, 'samples': given.samples, 'rate': given.rate, **found}))


if __name__ == '__main__':
    main()
