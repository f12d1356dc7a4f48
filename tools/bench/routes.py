"""Measure routes of the Gateway API on a real control plane, as gateway-api-bench does: each part starts a cluster of its own.

    python -m tools.bench.routes [attached propagation churn edits sets flapping]

Needs what tools.bench.cluster needs, and `make conformance-tools` for the definitions of the API. A Gateway has one listener for
HTTP; its routes lead to one endpoint of this process.

- `attached`: routes until the Gateway's status counts all of them, and until it counts none again;
- `propagation`: routes one after the other, from the API write to the first 200; any other answer but 404 before it is an error;
- `churn`: the same while that many routes are there and change, 50 a second;
- `edits`: a route's backend and filters change under traffic; any answer but 200 is an error;
- `sets`: ListenerSets of one listener and 16 routes each: until all serve, and one more while they are there;
- `flapping`: one of four endpoints ends and comes back under traffic, with retries and without.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import os
import random
import time
from collections.abc import Iterable, Iterator
from typing import Any

# First, because it makes the packages of headrace and of the tests importable.
from tools.bench import cluster, load, route_scene
from tools.bench.agent import NAMESPACE as OWN_NAMESPACE
from tools.bench.agent import ROOT, Agent
from tools.bench.route_scene import MOST_SECONDS, NAMESPACE, SETTINGS, Client, Document, Scene, path_of, service

from support import gateways, network

_GATEWAY = {'namespace': NAMESPACE, 'name': 'web'}
_OK = 200
_CHANGES = 50
_PER_SET = 16
_TENANTS = [f'tenant-{number:02d}' for number in range(50)]
# The API takes no more namespaces of one grant.
_MOST_GRANTED = 16


def _route(number: int, namespace: str = NAMESPACE, **spec: Any) -> Document:
    """Return a route with a host of its own, a condition and a filter."""
    rule = {
        'matches': [{'path': {'type': 'PathPrefix', 'value': '/'}}],
        'filters': [gateways.modifier('Request', set={'X-Route': str(number)})],
        'backendRefs': [{'name': 'web', 'port': 80}],
        **spec,
    }
    document: Document = gateways.http_route(
        f'route-{number:05d}', rule, hostnames=[f'r{number}.example.org'], parents=[_GATEWAY], namespace=namespace
    )
    return document


async def attached(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Measure how soon the status of the Gateway says how many routes are attached."""
    config = scene.folder / 'controller.yaml'
    config.write_text(SETTINGS)
    command = [
        str(ROOT / '.venv' / 'bin' / 'headrace'), 'run', '--source', 'kube', '--kubeconfig', str(scene.plane.kubeconfig),
        '--role', 'controller', '--state', str(scene.folder / 'controller'), '--config', str(config),
        '--admin', '127.0.0.1:0', '--log-level', 'warning',
    ]  # fmt: skip
    environment = {**os.environ, 'POD_NAME': 'bench', 'POD_NAMESPACE': OWN_NAMESPACE}
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    routes = [_route(number) for number in range(given.routes)]
    try:
        await _count(scene, 0)
        began = time.monotonic()
        await scene.create(routes)
        written = time.monotonic()
        await _count(scene, given.routes)
        counted = time.monotonic()
        found = {'created, s': written - began, 'counted, s from the first write': counted - began}
        await _every_status(scene, given.routes)
        found |= {'every route accepted, s from the first write': time.monotonic() - began}
        began = time.monotonic()
        async with asyncio.TaskGroup() as tasks:
            for route in routes:
                tasks.create_task(scene.delete(route))
        written = time.monotonic()
        await _count(scene, 0)
        return found | {'deleted, s': written - began, 'none counted, s from the first write': time.monotonic() - began}
    finally:
        process.terminate()
        await process.wait()


async def _count(scene: Scene, wanted: int) -> None:
    """Wait until the listener of the Gateway counts so many routes."""
    path = f'{load.COLLECTIONS["Gateway"].format(NAMESPACE)}/web'
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        async with scene.api.get(path) as answer:
            listeners = (await answer.json()).get('status', {}).get('listeners') or [{}]
        if listeners[0].get('attachedRoutes') == wanted:
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(f'{wanted} routes are not counted: {listeners}')


async def _every_status(scene: Scene, wanted: int) -> None:
    """Wait until so many routes have a parent that accepts them."""
    deadline = time.monotonic() + MOST_SECONDS
    while time.monotonic() < deadline:
        async with scene.api.get(load.COLLECTIONS['HTTPRoute'].format(NAMESPACE)) as answer:
            items = (await answer.json())['items']
        if sum(bool((item.get('status') or {}).get('parents')) for item in items) == wanted:
            return
        await asyncio.sleep(0.05)
    raise TimeoutError('not every route has a status')


async def propagation(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Measure routes one after the other, which all stay."""
    async with scene.agent() as agent:
        return await _one_by_one(scene, agent, range(given.samples))


async def _one_by_one(scene: Scene, agent: Agent, numbers: Iterable[int]) -> dict[str, float]:
    wrote, served, errors = list[float](), list[float](), 0
    before = await agent.reloads()
    async with Client() as client:
        for number in numbers:
            document = _route(number)
            began = time.monotonic()
            await load.create(scene.api, document)
            wrote.append(time.monotonic() - began)
            errors += await client.until_served(f'r{number}.example.org', began)
            served.append(time.monotonic() - began)
    after = [total - write for total, write in zip(served, wrote, strict=True)]
    return {
        'samples': len(served),
        'errors': errors,
        'reloads': await agent.reloads() - before,
        **cluster.quantiles('write alone, ms', wrote),
        **cluster.quantiles('write to request, ms', served),
        **cluster.quantiles('after the write, ms', after),
        'RSS, MB': agent.memory(),
    }


async def churn(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Measure new routes while others change."""
    present = [_route(number, _TENANTS[number % len(_TENANTS)]) for number in range(100_000, 100_000 + given.present)]
    for document in present:
        document['spec']['rules'][0]['backendRefs'][0]['namespace'] = NAMESPACE
    await scene.create([*_grants(), *present])
    dice = random.Random(5)
    async with scene.agent() as agent:
        changing = asyncio.create_task(_change(scene, present, dice))
        found = await _one_by_one(scene, agent, range(min(given.samples, 1000)))
        changing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await changing
        return {'routes present': len(present), **found, 'agent CPU, s': agent.cpu()}


def _grants() -> Iterator[Document]:
    """Yield what lets the routes of all tenants refer to the Services of this namespace."""
    for start in range(0, len(_TENANTS), _MOST_GRANTED):
        document: Document = gateways.grant(namespace=NAMESPACE)
        document['metadata']['name'] = f'grant-{start}'
        (source,) = document['spec']['from']
        document['spec']['from'] = [
            {**source, 'namespace': tenant} for tenant in _TENANTS[start : start + _MOST_GRANTED]
        ]
        yield document


async def _change(scene: Scene, present: list[Document], dice: random.Random) -> None:
    """Change a filter of a route, so many times a second."""
    due, number = time.monotonic(), 0
    while True:
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        due, number = due + 1 / _CHANGES, number + 1
        document = dice.choice(present)
        document['spec']['rules'][0]['filters'] = [gateways.modifier('Request', set={'X-Route': f'change-{number}'})]
        await scene.patch(document)


async def edits(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Count what answers otherwise while a route changes."""
    await scene.create([_route(0)])
    header = gateways.modifier('Request', set={'X-Edit': 'one'})
    choices = [
        {'backendRefs': [{'name': 'other', 'port': 80}]},
        {'filters': [header]},
        {'backendRefs': [{'name': 'web', 'port': 80, 'weight': 1}, {'name': 'other', 'port': 80, 'weight': 2}]},
        {'timeouts': {'request': '20s'}},
        {},
    ]
    async with scene.agent() as agent:
        traffic = await _traffic('r0.example.org', 8)
        for number in range(given.edits):
            await scene.patch(_route(0, **choices[number % len(choices)]))
            await asyncio.sleep(0.2)
        statuses = await traffic()
        return {'edits': given.edits, **_summed(statuses), 'reloads': await agent.reloads()}


async def _traffic(host: str, connections: int) -> Any:
    """Send requests on some connections, and return a function that ends it and counts the answers by status."""
    stop = asyncio.Event()
    statuses = collections.Counter[int]()

    async def send() -> None:
        async with Client() as client:
            await client.until_served(host, time.monotonic())
            client.statuses.clear()
            while not stop.is_set():
                await client.ask(host)
            statuses.update(client.statuses)

    tasks = [asyncio.create_task(send()) for _ in range(connections)]
    await asyncio.sleep(0.5)

    async def end() -> collections.Counter[int]:
        stop.set()
        await asyncio.gather(*tasks)
        return statuses

    return end


def _summed(statuses: collections.Counter[int]) -> dict[str, float]:
    others = {f'answers {status}': count for status, count in sorted(statuses.items()) if status != _OK}
    return {'requests': statuses.total(), 'errors': statuses.total() - statuses[_OK], **others}


async def sets(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Measure many ListenerSets, each with its routes."""

    def documents(number: int) -> Iterator[Document]:
        name, host = f'set-{number:04d}', f's{number}.example.net'
        yield gateways.listener_set(
            name,
            gateways.listener('own', hostname=f'*.{host}', namespaces='Same'),
            parent=_GATEWAY,
            namespace=NAMESPACE,
        )
        parent = {'kind': 'ListenerSet', 'group': gateways.API.partition('/')[0], 'name': name}
        for each in range(_PER_SET):
            route = _route(number * _PER_SET + each)
            route['spec'] |= {'parentRefs': [parent], 'hostnames': [f'h{each}.{host}']}
            yield route

    async with scene.agent() as agent, Client() as client:
        began = time.monotonic()
        await scene.create(document for number in range(given.sets) for document in documents(number))
        written = time.monotonic()
        for each in range(_PER_SET):
            await client.until_served(f'h{each}.s{given.sets - 1}.example.net', time.monotonic())
        found = {
            'sets': given.sets,
            'routes': given.sets * _PER_SET,
            'created, s': written - began,
            'served, s after the last write': time.monotonic() - written,
            'RSS, MB': agent.memory(),
        }
        times = []
        for number in range(given.sets, given.sets + 100):
            listener_set, route, *_ = documents(number)
            began = time.monotonic()
            for document in (listener_set, route):
                await load.create(scene.api, document)
            await client.until_served(f'h0.s{number}.example.net', began)
            times.append(time.monotonic() - began)
        return found | cluster.quantiles('a set and a route, write to request, ms', times) | {
            'reloads': await agent.reloads()
        }  # fmt: skip


async def flapping(scene: Scene, given: argparse.Namespace) -> dict[str, float]:
    """Count what fails while one endpoint of four ends and comes back; its slice follows 50 ms later."""
    addresses = [f'{network.PODS}.9.{number}' for number in range(1, 5)]
    steady = [await asyncio.start_server(cluster.answer, address, 9000) for address in addresses[1:]]
    await scene.create(service('flapping', 9000, *addresses))
    backend = {'backendRefs': [{'name': 'flapping', 'port': 80}]}
    await scene.create([_route(0, **backend)])
    slice_of = service('flapping', 9000, *addresses)[1]
    found: dict[str, float] = {}
    async with scene.agent() as agent:
        for name, annotations in (('retries', None), ('no retries', {'headrace.io/retries': '0'})):
            metadata = {**_route(0)['metadata'], 'annotations': annotations}
            headers = {'Content-Type': 'application/merge-patch+json'}
            async with scene.api.patch(
                path_of(_route(0)), data=json.dumps({'metadata': metadata}), headers=headers
            ) as answer:
                await answer.read()
            traffic = await _traffic('r0.example.org', 8)
            for _ in range(given.flaps):
                server = await asyncio.start_server(cluster.answer, addresses[0], 9000)
                slice_of['endpoints'] = [{'addresses': [address]} for address in addresses]
                await scene.patch(slice_of)
                await asyncio.sleep(0.2)
                server.close()
                await asyncio.sleep(0.05)
                slice_of['endpoints'] = [{'addresses': [address]} for address in addresses[1:]]
                await scene.patch(slice_of)
                await asyncio.sleep(0.15)
            found |= {f'{name}: {what}': count for what, count in _summed(await traffic()).items()}
        found['reloads'] = await agent.reloads()
    for server in steady:
        server.close()
    return {'flaps of each': given.flaps, **found}


PARTS = {part.__name__: part for part in (attached, propagation, churn, edits, sets, flapping)}


async def measure(name: str, given: argparse.Namespace) -> dict[str, float]:
    """Return the figures of one part; this process has to be in a network of its own."""
    async with route_scene.started() as scene:
        return await PARTS[name](scene, given)


def main() -> None:
    """Measure, and print a table and JSON, with how busy the machine was."""
    parser = argparse.ArgumentParser(prog='python -m tools.bench.routes', description=__doc__.partition('\n')[0])
    parser.add_argument('parts', nargs='*', metavar='PART', help=f'of {", ".join(PARTS)} (all of them)')
    parser.add_argument('--routes', type=int, default=1000, help='that are attached')
    parser.add_argument('--samples', type=int, default=3000, help='routes one after the other')
    parser.add_argument('--present', type=int, default=5000, help='routes that change meanwhile')
    parser.add_argument('--edits', type=int, default=20)
    parser.add_argument('--sets', type=int, default=500, help=f'ListenerSets, of {_PER_SET} routes each')
    parser.add_argument('--flaps', type=int, default=25)
    given = parser.parse_args()
    network.isolate()
    figures: dict[str, dict[str, float]] = {}
    for name in given.parts or PARTS:
        before = os.getloadavg()[0]
        figures[name] = asyncio.run(measure(name, given))
        figures[name] |= {'load of the machine before, processes': before}
        for what, value in figures[name].items():
            print(f'{name:12} {what:58} {value:10.3f}', flush=True)
    print(json.dumps(figures))


if __name__ == '__main__':
    main()
