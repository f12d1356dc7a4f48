"""What a controller costs that leads: how long it holds its loop, its CPU when nothing changes, and how long namespaces wait for one another.

There is no API server: calls take two milliseconds and change the store, as a watch would show it.
"""

import asyncio
import contextlib
import datetime as dt
import gc
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import msgspec
from tools.bench import varied

from headrace.controller.client import Client
from headrace.controller.controller import Controller, Options
from headrace.diagnostics import Diagnostic
from headrace.kube import agent_lease
from headrace.kube import lease as leases
from headrace.kube.access import Access, Token
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects import status as statuses
from headrace.objects.kinds import Service
from headrace.objects.status import Status
from headrace.settings.settings import Settings
from headrace.translate import build_context

Figures = Iterator[tuple[str, float]]
_CALL_SECONDS = 0.002
_SETTLED_SECONDS, _IDLE_SECONDS = 10.0, 10.0
_NODES, _EDGES, _OTHERS = 100, 2, 1000
_EPOCH = 10**9
_PUT_AT_ONCE = 500
_MOST_SECONDS = 200.0
_NONE = cast('Token', None)
_VIP = '192.0.2.10'
_NODE_LABELS = {'headrace.io/node': 'headrace', 'service.kubernetes.io/service-proxy-name': 'headrace'}


class Calls:
    """The controller's calls on a store that shows at once what was written. `written` has the time of each status."""

    def __init__(self) -> None:
        self.leases = self
        self.written: dict[Ref, float] = {}
        self.controller: Controller
        self.leased = [_lease(f'node-{number}', 'node', number) for number in range(_NODES)]
        self.leased += [_lease(f'edge-{number}', 'edge', number) for number in range(_EDGES)]

    async def list(self, _: str, labels: Mapping[str, str]) -> list[leases.Document]:
        """Return the agents' Leases, as they are when each agent has just renewed its own, and as the API server tells them."""
        await asyncio.sleep(_CALL_SECONDS)
        if 'release' in labels.values():
            return []
        for each in self.leased:
            each['spec']['renewTime'] = leases.stamp(dt.datetime.now(dt.UTC))
        found: list[leases.Document] = msgspec.json.decode(msgspec.json.encode(self.leased))
        return found

    async def get(self, namespace: str, name: str) -> leases.Document:
        """Return the Lease of the election with the counter of epochs."""
        await asyncio.sleep(_CALL_SECONDS)
        lease = leases.make(namespace, name, 'bench', 15, dt.datetime.now(dt.UTC))
        lease['metadata']['annotations'] = {leases.EPOCH: str(_EPOCH), leases.EPOCH_HOLDER: 'bench'}
        return lease

    async def apply_status(self, ref: Ref, status: dict[str, Any], **_: bool) -> None:
        """Keep a status."""
        await asyncio.sleep(_CALL_SECONDS)
        self.written[ref] = time.monotonic()
        service = self.controller.store.get(ref, Service)
        assert service is not None
        self.put([replace(service, status=statuses.read({'status': status}))])

    async def create_event(self, *_: Any) -> None:
        """Take an Event."""
        await asyncio.sleep(_CALL_SECONDS)

    async def patch_service(self, *_: Any) -> None:
        """Take a change of labels."""
        await asyncio.sleep(_CALL_SECONDS)

    def put(self, services: Iterable[Service]) -> None:
        """Let the controller see Services as they are now."""
        for service in services:
            self.controller.store.put(service)
        self.controller._wake(time.monotonic())  # noqa: SLF001  what a watch calls


def _lease(name: str, role: str, number: int) -> leases.Document:
    refused = tuple(
        Diagnostic(Ref('Service', f'tenant-{number % 10}', f'refused-{item}'), 'RefusedByHaproxy', 'no')
        for item in range(agent_lease.MOST_DIAGNOSTICS)
    )
    node = name if role == 'node' else ''
    identity = agent_lease.Identity('headrace', name, 'headrace', role, node=node)
    return agent_lease.document(identity, agent_lease.annotations(_EPOCH, refused), dt.datetime.now(dt.UTC))


def _read(document: dict[str, Any]) -> Any:
    found = parse.read(document).object
    assert found is not None, json.dumps(document)
    return found


def _handed(number: int) -> Service:
    """Return a Service that is at the edge, and that kube-proxy has given up."""
    document = varied.service(number, {'proxy': 'node', 'epoch': str(number + 1)})
    document['metadata']['labels'] = _NODE_LABELS
    found: Service = _read(document)
    return found


def _of_tenant(name: str, tenant: str, **annotations: str) -> Service:
    said = {f'headrace.io/{key.replace("_", "-")}': text for key, text in annotations.items()}
    ports = [{'name': 'http', 'port': 80}]
    spec = {
        'clusterIP': '10.96.0.9',
        'type': 'LoadBalancer',
        'loadBalancerClass': 'headrace.io/headrace',
        'ports': ports,
    }
    metadata = {'name': name, 'namespace': tenant, 'annotations': said}
    found: Service = _read({'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata, 'spec': spec})
    return found


class _Watch:
    """Measures how long the loop is held."""

    def __init__(self) -> None:
        self.longest = 0.0
        self.paused = False

    async def run(self) -> None:
        while True:
            began, pause = time.monotonic(), 0.5 if self.paused else 0.001
            await asyncio.sleep(pause)
            self.longest = max(self.longest, time.monotonic() - began - pause)

    def take(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


def measure(size: int) -> Figures:
    """Yield the figures of a controller with so many Services, all of which have been handed over."""
    yield from asyncio.run(_measure(size))


async def _measure(size: int) -> list[tuple[str, float]]:
    calls, found = Calls(), []
    settings = Settings(
        node_role=True, status_addresses=(_VIP,), domain='example.com', tcp_ports=varied.tcp_ports(size)
    )
    access = Access('http://127.0.0.1:1', tls=False, token=_NONE, namespace='headrace')
    controller = Controller(Options(access, build_context.make(settings), 'headrace', 'bench'), cast('Client', calls))
    calls.controller = controller
    # The Lease of the class has a test of its own.
    controller.class_lease = None
    for number in range(_NODES):
        metadata = {'name': f'node-{number}'}
        controller.store.put(_read({'apiVersion': 'v1', 'kind': 'Node', 'metadata': metadata}))
    for number in range(size):
        controller.store.put(_handed(number))
    await controller.settle()
    # Where Services are served is known with the agents.
    await controller._ask_agents()  # noqa: SLF001  what it does when it begins to lead
    _show(controller)
    await controller.settle()
    # As it does before it stands for election.
    gc.collect()
    gc.freeze()
    watch = _Watch()
    watching = asyncio.create_task(watch.run())
    await asyncio.sleep(0.1)
    watch.take()
    leading = asyncio.create_task(controller.lead())
    await asyncio.sleep(_SETTLED_SECONDS)
    # Every Service is judged once at the beginning, which takes longer on a busy machine.
    while controller.handover._queue._ready or controller.writer._queue._ready:  # noqa: ASYNC110, SLF001
        await asyncio.sleep(0.1)
    assert not leading.done(), leading
    found.append((f'{size} Services: longest block while it begins, ms', watch.take() * 1000))
    await asyncio.sleep(_IDLE_SECONDS)
    found.append((f'{size} Services: longest block when idle, ms', watch.take() * 1000))
    watch.paused = True
    began = time.process_time()
    await asyncio.sleep(_IDLE_SECONDS)
    idle = (time.process_time() - began) / _IDLE_SECONDS
    watch.paused = False
    found.append((f'{size} Services: CPU when idle, percent of a core', idle * 100))
    found += await _round(controller, calls, watch)
    found += await _tenants(calls, watch, size)
    assert not leading.done(), leading
    for task in (leading, watching):
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    return found


def _show(controller: Controller) -> None:
    """Let every Service show already what the controller wants it to say."""
    for ref in controller.store.services():
        wish = controller.decide(ref)
        if wish is not None:
            listed = wish.current.addresses if wish.addresses is None else wish.addresses
            service = controller.store.get(ref, Service)
            assert service is not None
            controller.store.put(replace(service, status=Status('uid', 0, listed, wish.conditions)))


async def _round(controller: Controller, calls: Calls, watch: _Watch) -> list[tuple[str, float]]:
    """Measure how fast the statuses of all Services are written when none shows anything."""
    services = [
        service for ref in controller.store.services() if (service := controller.store.get(ref, Service)) is not None
    ]
    size = len(services)
    watch.take()
    calls.written.clear()
    began, used = time.monotonic(), time.process_time()
    for start in range(0, size, _PUT_AT_ONCE):
        calls.put([replace(each, status=Status('uid')) for each in services[start : start + _PUT_AT_ONCE]])
        await asyncio.sleep(0)
    while len(calls.written) < size and time.monotonic() - began < _MOST_SECONDS:  # noqa: ASYNC110
        await asyncio.sleep(0.05)
    seconds, written = time.monotonic() - began, len(calls.written)
    return [
        (f'{size} Services: statuses written in a second', written / seconds),
        (f'{size} Services: CPU of a status, without the call, ms', (time.process_time() - used) / written * 1000),
        (f'{size} Services: longest block while they are written, ms', watch.take() * 1000),
    ]


async def _tenants(calls: Calls, watch: _Watch, size: int) -> list[tuple[str, float]]:
    """Measure how long the address of one tenant waits behind the mistakes of another one."""
    bad = [_of_tenant(f'bad-{number}', 'tenant-a', host='no host!') for number in range(_OTHERS)]
    good = _of_tenant('good', 'tenant-b', host='good.example.com')
    began = time.monotonic()
    calls.put(bad)
    await asyncio.sleep(0.5)
    put = time.monotonic()
    calls.put([good])
    while good.ref not in calls.written and time.monotonic() - began < _MOST_SECONDS:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    waited = calls.written.get(good.ref, float('inf')) - put
    return [
        (f"{size} Services: address behind another tenant's {_OTHERS} mistakes, s", waited),
        (f'{size} Services: longest block while they come, ms', watch.take() * 1000),
    ]
