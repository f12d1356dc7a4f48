"""Ingresses as users of ingress-nginx have them, from a seed, and what they cost.

Each has a host of its own, one to three paths, and a Service; a third has TLS. Of all 40 % have no annotations, the others one to
four of those that guides name most, with values that differ from Ingress to Ingress. Names and hosts are the same for every
seed, settings are not.
"""

import gc
import random
import time
import tracemalloc
from collections.abc import Iterator

from tools.bench import parts, varied

from headrace import garbage
from headrace.haproxy.plan import plan
from headrace.objects import parse
from headrace.objects.kinds import Object

CLASS, PREFIX = 'nginx', 'nginx.ingress.kubernetes.io/'
SETTINGS = {'ingress_classes': (CLASS,), 'ingress_annotations': ('ingress-nginx',)}
_PLAIN, _MOST = 0.4, 4
_MEMORY = 2000
_MILLI, _MICRO = 1e3, 1e6


def _annotations(dice: random.Random, number: int) -> dict[str, str]:
    if dice.random() < _PLAIN:
        return {}
    found = {
        'proxy-body-size': f'{dice.randrange(1, 64)}m',
        'proxy-read-timeout': str(dice.randrange(10, 900)),
        'ssl-redirect': dice.choice(('true', 'false')),
        'whitelist-source-range': f'10.{dice.randrange(256)}.0.0/16,192.0.2.{number % 256}',
        'limit-rps': str(dice.randrange(1, 500)),
        'enable-cors': 'true',
        'cors-allow-origin': f'https://o{dice.randrange(1000)}.example.com',
        'affinity': 'cookie',
        'permanent-redirect': f'https://new{number}.example.com$request_uri',
        'app-root': f'/app{dice.randrange(100)}',
        'rewrite-target': f'/v{dice.randrange(10)}',
        'upstream-vhost': f'inner{number}.example.com',
        'backend-protocol': dice.choice(('HTTP', 'HTTPS', 'GRPC')),
        'load-balance': dice.choice(('round_robin', 'ewma')),
        'custom-headers': f'tenant/headers-{number}',
        'server-alias': f'alias{number}.example.com',
    }
    return {f'{PREFIX}{key}': found[key] for key in dice.sample(sorted(found), dice.randrange(1, _MOST + 1))}


def ingress(number: int, dice: random.Random) -> varied.Document:
    """Return the Ingress of a Service."""
    namespace, name = varied.names(number)
    host = f'door{number}.example.com'
    backend = {'service': {'name': name, 'port': {'number': 80}}}
    paths = [{'path': path, 'pathType': 'Prefix', 'backend': backend} for path in ('/', '/api', '/static')]
    return {
        'apiVersion': 'networking.k8s.io/v1',
        'kind': 'Ingress',
        'metadata': {'namespace': namespace, 'name': name, 'annotations': _annotations(dice, number)},
        'spec': {
            'ingressClassName': CLASS,
            'rules': [{'host': host, 'http': {'paths': paths[: dice.randrange(1, len(paths) + 1)]}}],
            **({'tls': [{'hosts': [host], 'secretName': 'certificate'}]} if dice.random() < 1 / 3 else {}),
        },
    }


def cluster(count: int, seed: int, network: int = 10) -> Iterator[varied.Document]:
    """Yield each Service without settings, its slice and its Ingress."""
    dice = random.Random(seed)
    for number in range(count):
        yield _service(number)
        yield varied.endpoint_slice(number, varied.addresses(number, network=network))
        yield ingress(number, dice)


def _service(number: int) -> varied.Document:
    namespace, name = varied.names(number)
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {'namespace': namespace, 'name': name},
        'spec': {'ports': [{'name': 'http', 'port': 80}]},
    }


def _read(documents: Iterator[varied.Document]) -> tuple[Object, ...]:
    return tuple(item for item in (parse.read(document).object for document in documents) if item is not None)


def measure(count: int, samples: int) -> parts.Figures:
    """Measure reading, building, one new Ingress, memory, and how many reloads all of them take."""
    # As an agent does until it serves.
    garbage.collect_seldom()
    documents = list(cluster(count, parts.SEEDS[0]))
    began = time.perf_counter()
    objects = _read(iter(documents))
    yield f'{count}: read a Service, a slice and an Ingress, µs', (time.perf_counter() - began) / count * _MICRO
    del documents
    began = time.perf_counter()
    model = parts.Model(objects, **SETTINGS)
    yield f'{count}: store and build, s', time.perf_counter() - began
    yield from _new(model, count, samples)
    yield from _reloads(count)
    yield from _memory(min(count, _MEMORY))


def _new(model: parts.Model, count: int, samples: int) -> parts.Figures:
    """Measure new Ingresses of Services that are there, each with a host of its own: read, update, plan and text."""
    loaded, dice, spent = model.loaded(), random.Random(1), list[float]()
    gc.collect()
    gc.freeze()
    for number in range(samples):
        document = ingress(number % count, dice)
        document['metadata']['name'] = f'new-{number}'
        document['spec']['rules'][0]['host'] = f'new{number}.example.com'
        began = time.perf_counter()
        change = model.put(_read(iter((document,))))
        _ = [command.text for command in plan.plan(change, loaded).commands]
        spent.append(time.perf_counter() - began)
    gc.unfreeze()
    yield from parts.percentiles(f'{count}: a new Ingress, read, planned and written', spent, _MILLI, 'ms')


def _reloads(count: int) -> parts.Figures:
    """Count the reloads that it takes to add, change and remove all."""
    model = parts.Model(**SETTINGS)
    empty = model.loaded()
    for what, seed in (('add all', 0), ('change all', 1), ('remove all', None)):
        wanted = () if seed is None else _read(cluster(count, parts.SEEDS[seed]))
        made = plan.plan(model.become(wanted), empty)
        yield f'{count}: {what}: commands', len(made.commands)
        yield f'{count}: {what}: reloads', len(made.reasons)


def _memory(count: int) -> parts.Figures:
    """Measure what an Ingress takes beside its Service, as object and as fragment."""
    sizes = []
    for kinds in ({'Service', 'EndpointSlice'}, {'Service', 'EndpointSlice', 'Ingress'}):
        gc.collect()
        tracemalloc.start()
        documents = (item for item in cluster(count, parts.SEEDS[0]) if item['kind'] in kinds)
        held = parts.Model(_read(documents), **SETTINGS)
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0] / count)
        tracemalloc.stop()
        del held
    yield 'an Ingress with the backend that it asks for, bytes (tracemalloc)', sizes[1] - sizes[0]
