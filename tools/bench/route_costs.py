"""What requests of HTTPRoutes cost HAProxy, by what their routes ask for: at a slot of the edge, as in a cluster."""

import contextlib
import statistics
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

from tools.bench import client, costs
from tools.bench.costs import HOSTS, PAIRS, Meter, hosts
from tools.bench.process import loopback

from headrace.names import Ref
from headrace.translate import build_context, gateway_listeners
from headrace.translate.build_context import BuildContext

_SLOT, _NAMESPACE, _CONTROLLER = 28000, 'default', 'headrace.io/gateway-controller'
_API = 'gateway.networking.k8s.io/v1'
_HEADER = 'X-Kind: a\r\n'
Document = dict[str, Any]
# What the rules of routes of each kind have besides a backend.
_KINDS: dict[str, Document] = {
    'plain': {},
    'with a header condition': {
        'matches': [{'path': {'type': 'PathPrefix', 'value': '/'}, 'headers': [{'name': 'X-Kind', 'value': 'a'}]}]
    },
    'weighted over three backends': {
        'backendRefs': [{'name': f'app-{number}', 'port': 80, 'weight': number + 1} for number in range(3)]
    },
    'with a mirror': {
        'filters': [{'type': 'RequestMirror', 'requestMirror': {'backendRef': {'name': 'app-1', 'port': 80}}}]
    },
    'with a header set': {
        'filters': [
            {'type': 'RequestHeaderModifier', 'requestHeaderModifier': {'set': [{'name': 'X-A', 'value': '1'}]}}
        ]
    },
}


def measure(binary: str, count: int) -> Iterator[tuple[str, float]]:
    """Yield what a request of each kind of route costs one HAProxy, in microseconds, and how many a CPU second serves."""
    with contextlib.ExitStack() as held:
        backend, address = held.enter_context(loopback()), held.enter_context(loopback())
        costs.started(held, binary, {'haproxy/all.cfg': costs.backend_of(backend)})
        context = build_context.make(costs.settings(address, gateway_slots=1, gateway_first_slot=_SLOT), offline=True)
        context = replace(context, own_namespace=_NAMESPACE)
        documents = [*_gateway(context), *_routes()]
        services = {f'app-{number}': {'enabled': 'false'} for number in range(HOSTS)}
        files = costs.rendered(context, backend, services, documents)
        meter = Meter(costs.started(held, binary, files), address)
        spent: dict[str, list[float]] = {kind: [] for kind in _KINDS}
        for number in range(PAIRS + 1):
            for of, kind in enumerate(_KINDS):
                cost = meter.cost(partial(_ask, hosts(f'kind{of}')), count)
                # The first time connections to backends are made, and memory is got.
                if number:
                    spent[kind].append(cost)
    for kind, found in spent.items():
        yield f'{kind}, µs of CPU', statistics.median(found) * 1e6
        yield f'{kind}, requests a CPU second', 1 / statistics.median(found)


def _ask(names: list[str], address: str, count: int) -> client.Result:
    return client.http1((address, _SLOT), names, count=count, connections=costs.CONNECTIONS, headers=_HEADER)


def _gateway(context: BuildContext) -> Iterator[Document]:
    gateway = Ref('Gateway', _NAMESPACE, 'web')
    service = gateway_listeners.service_of(gateway, context)
    listener = {'name': 'http', 'port': 80, 'protocol': 'HTTP'}
    yield _document('GatewayClass', context.class_name, {'controllerName': _CONTROLLER})
    yield _document('Gateway', 'web', {'gatewayClassName': context.class_name, 'listeners': [listener]})
    yield {
        'apiVersion': 'v1', 'kind': 'Service', 'metadata': {'name': service.name, 'namespace': service.namespace},
        'spec': {'type': 'LoadBalancer', 'ports': [{'name': 'p80', 'port': 80, 'targetPort': _SLOT}]},
    }  # fmt: skip


def _routes() -> Iterator[Document]:
    for of, kind in enumerate(_KINDS):
        for number, host in enumerate(hosts(f'kind{of}')):
            rule = {'backendRefs': [{'name': f'app-{number}', 'port': 80}], **_KINDS[kind]}
            spec = {'parentRefs': [{'name': 'web'}], 'hostnames': [host], 'rules': [rule]}
            yield _document('HTTPRoute', f'kind{of}-{number}', spec)


def _document(kind: str, name: str, spec: Document) -> Document:
    namespace = {} if kind == 'GatewayClass' else {'namespace': _NAMESPACE}
    return {'apiVersion': _API, 'kind': kind, 'metadata': {'name': name, **namespace}, 'spec': spec}
