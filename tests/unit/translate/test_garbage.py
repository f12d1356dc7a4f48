"""Building leaves nothing for the collector of cyclic garbage, which would walk the whole model of a large cluster for it."""

import gc

import pytest

from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from support.gateways import GATEWAY_CLASS, backend, gateway, http_route, listener, rule
from support.objects import endpoint_slice, ingress, ingress_class, service

NAMES = [f'web-{number}' for number in range(20)]


def annotated(name):
    annotations = {'host': f'{name}.example.com', 'allow': '10.0.0.0/8', 'request-headers': 'X-A: b'}
    return service(name, annotations=annotations)


def of_ingress(name):
    annotations = {'headrace.io/cors-allow-origin': '*', 'headrace.io/canary-service': 'web-1'}
    return ingress(name, annotations=annotations, hosts={f'{name}.example.com': name}, ingressClassName='headrace')


def of_gateway(name):
    return http_route(name, rule(backend(name)), hostnames=[f'{name}.example.com'])


@pytest.mark.parametrize(
    'objects',
    [
        pytest.param([annotated(name) for name in NAMES], id='Services'),
        pytest.param(
            [ingress_class(), *map(service, NAMES), *map(of_ingress, NAMES)],
            id='Ingresses',
        ),
        pytest.param(
            [
                GATEWAY_CLASS,
                gateway('web', listener('http', 80, 'HTTP')),
                *map(service, NAMES),
                *map(of_gateway, NAMES),
            ],
            id='HTTPRoutes',
        ),
    ],
)
def test_building_fragments_leaves_no_cycles(objects):
    store, state = Store(), State(build_context.make(Settings()))
    for document in [*objects, *(endpoint_slice(name, addresses=('10.0.0.1',)) for name in NAMES)]:
        store.put(parse.read(document).object)
    gc.collect()
    gc.disable()
    try:
        state.update(store, store.take())
        assert sum(1 for fragment in state.fragments.values() if fragment.claims) >= len(NAMES)
        assert gc.collect() == 0
    finally:
        gc.enable()
