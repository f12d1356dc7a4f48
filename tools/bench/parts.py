"""What is measured, part by part. Each part is a generator of names and figures, run in a process of its own.

Those that need an API server are in `cluster_parts`; what runs here, and for how long, is in `catalogue`.
"""

import gc
import json
import random
import resource
import statistics
import tempfile
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

from tools.bench import costs, route_costs, town, varied
from tools.bench import node as node_role
from tools.bench.figures import Figures
from tools.bench.process import Process, loopback

from headrace import folder
from headrace.haproxy.encode import profiles
from headrace.haproxy.plan import plan
from headrace.haproxy.plan.plan import Loaded, Plan
from headrace.haproxy.render.render import Files, Renderer
from headrace.haproxy.render.templating import Overrides
from headrace.haproxy.runtime import files
from headrace.haproxy.runtime.responses import Outcome
from headrace.objects import parse
from headrace.objects.kinds import Object
from headrace.resolve.changes import Change
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context, shapes

SEEDS = (7, 1234, 4321)
# What a real HAProxy resolves, checks and asks must be on this machine.
HERE = 127
_NEW = 200
_TRACED = 2000
_MICRO, _MILLI = 1e6, 1e3


@dataclass(frozen=True)
class Chosen:
    """What was asked for: numbers of Services, samples, the binary, what a soak repeats, and the seconds that a part has."""

    sizes: tuple[int, ...]
    samples: int
    haproxy: str
    reloads: int = 200
    changes: int = 1_000_000
    seconds: float = 600.0

    @property
    def largest(self) -> int:
        """Return the largest size."""
        return max(self.sizes)


class Model:
    """A store and what is built from it, as an agent holds them."""

    def __init__(self, objects: tuple[Object, ...] = (), **settings: object) -> None:
        wanted = {'tcp_ports': varied.tcp_ports(50_000), **settings}
        self.context = build_context.make(Settings(**wanted), offline=True)  # type: ignore[arg-type]
        self.store, self.state = Store(), State(self.context)
        self.put(objects)

    def put(self, objects: tuple[Object, ...]) -> Change:
        """Put objects into the store, and return what changes."""
        for item in objects:
            self.store.put(item)
        return self.state.update(self.store, self.store.take())

    def become(self, objects: tuple[Object, ...]) -> Change:
        """Make the store hold these objects and no others, and return what changes."""
        for ref in {item.ref for item in self.store.objects()} - {item.ref for item in objects}:
            self.store.drop(ref)
        return self.put(objects)

    def loaded(self) -> Loaded:
        """Return what a HAProxy that was started with this has loaded."""
        return Loaded(
            frozenset(profiles.in_use(self.state.fragments.values(), *shapes.usual_cookies(self.context.settings)))
        )

    def files(self) -> Files:
        """Return the rendered files."""
        # With so many checked servers the limit of descriptors may be too low; that is not what is measured.
        return Renderer(self.context, Overrides(global_lines=('no strict-limits',))).render(self.state)


def objects(count: int, seed: int = SEEDS[0], network: int = 10) -> tuple[Object, ...]:
    """Return the objects of a cluster."""
    found = (parse.read(document).object for document in varied.cluster(count, seed, network=network))
    return tuple(item for item in found if item is not None)


def render(chosen: Chosen) -> Figures:
    """Measure reading a folder, building, rendering and writing."""
    for count in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix='hr-bench-') as place:
            varied.write(Path(place) / 'in', varied.cluster(count))
            gc.collect()
            began = time.perf_counter()
            contents = folder.read([Path(place) / 'in'])
            read = time.perf_counter()
            model = Model(contents.objects)
            built = time.perf_counter()
            made = model.files()
            rendered = time.perf_counter()
            files.write(Path(place) / 'out', made)
            written = time.perf_counter()
        yield f'{count}: read, s', read - began
        yield f'{count}: store and build, s', built - read
        yield f'{count}: render, s', rendered - built
        yield f'{count}: write, s', written - rendered
        yield f'{count}: files', len(made)
        yield f'{count}: megabytes', sum(map(len, made.values())) / 1e6
        yield f'{count}: profiles', len(model.loaded().profiles)


def reloads(chosen: Chosen) -> Figures:
    """Count the reloads that it takes to add, change and remove every Service."""
    count = chosen.largest
    for seed, other in zip(SEEDS, (*SEEDS[1:], SEEDS[0]), strict=True):
        model = Model()
        empty = model.loaded()
        for what, wanted in (
            ('add all', objects(count, seed)),
            (f'change all to seed {other}', objects(count, other)),
            ('remove all', ()),
        ):
            change = model.become(wanted)
            began = time.perf_counter()
            made = plan.plan(change, empty)
            yield f'{count}, seed {seed}: {what}: reloads', len(made.reasons)
            yield f'{count}, seed {seed}: {what}: fragments', len(change.fragments)
            yield f'{count}, seed {seed}: {what}: commands', len(made.commands)
            yield f'{count}, seed {seed}: {what}: plan, s', time.perf_counter() - began


class Endpoint:
    """Changes of one endpoint of any Service: another first address, each time one that was not there."""

    def __init__(self, count: int, network: int = 10) -> None:
        self._dice, self._count, self._network, self._made = random.Random(1), count, network, 0

    def document(self) -> varied.Document:
        """Return the slice of some Service with one endpoint exchanged."""
        self._made += 1
        number = self._dice.randrange(self._count)
        fresh = f'{self._network}.250.{self._made >> 8 & 255}.{self._made & 255}'
        return varied.endpoint_slice(number, [fresh, *varied.addresses(number, network=self._network)[1:]])


def endpoint(chosen: Chosen) -> Figures:
    """Measure what one endpoint's change costs: reading its slice, the update, the plan with its text."""
    for count in chosen.sizes:
        model, source = Model(objects(count)), Endpoint(count)
        loaded = model.loaded()
        gc.collect()
        gc.freeze()
        spent: dict[str, list[float]] = {'read and put': [], 'update': [], 'plan and text': [], 'all': []}
        for _ in range(chosen.samples):
            document = source.document()
            began = time.perf_counter()
            item = parse.read(document).object
            assert item is not None
            model.store.put(item)
            read = time.perf_counter()
            change = model.state.update(model.store, model.store.take())
            built = time.perf_counter()
            _ = [command.text for command in plan.plan(change, loaded).commands]
            ended = time.perf_counter()
            for name, taken in zip(spent, (read - began, built - read, ended - built, ended - began), strict=True):
                spent[name].append(taken)
        for name, taken_all in spent.items():
            yield from percentiles(f'{count}: {name}', taken_all, _MICRO, 'µs')
        gc.unfreeze()


def memory(chosen: Chosen) -> Figures:
    """Measure what objects and fragments take, by tracemalloc, and the process as a whole (ru_maxrss)."""
    yield 'RSS after the imports, MB', _rss()
    # First, because texts that a larger model has left would not be counted.
    yield from _bytes(min(chosen.largest, _TRACED))
    model = Model(objects(chosen.largest))
    yield f'{chosen.largest} of 10 endpoints: RSS at most, MB', _rss()
    del model


def _bytes(count: int) -> Figures:
    sizes = {}
    # Caches are full then, and count for neither.
    _built(count, 1)
    for endpoints in (1, 10):
        gc.collect()
        tracemalloc.start()
        held = _built(count, endpoints)
        gc.collect()
        sizes[endpoints] = tracemalloc.get_traced_memory()[0] / count
        tracemalloc.stop()
        del held
    each = (sizes[10] - sizes[1]) / 9
    yield 'a Service without its endpoints, bytes (tracemalloc)', sizes[1] - each
    yield 'an endpoint, bytes (tracemalloc)', each


def _built(count: int, endpoints: int) -> Model:
    """Return a model whose documents came as they come from the API, as bytes, and are gone."""
    model = Model()
    for document in varied.cluster(count, endpoints=endpoints):
        item = parse.read(json.loads(json.dumps(document))).object
        assert item is not None
        model.store.put(item)
    model.state.update(model.store, model.store.take())
    return model


def haproxy(chosen: Chosen) -> Figures:
    """Measure a real HAProxy: check, start, memory, one endpoint's commands, and a new Service."""
    count = chosen.largest
    with loopback() as address:
        ports = varied.tcp_ports(count + _NEW)
        model = Model(objects(count, network=HERE), addresses=(address,), tcp_ports=ports, threads=1, maxconn=1000)
        with Process(chosen.haproxy, model.files()) as process:
            yield f'{count}: haproxy -c, s', process.check()
            yield f'{count}: start until it answers, s', process.start()
            yield f'{count}: RSS of HAProxy, MB', process.rss()
            yield from _told(process, model, chosen)


def _told(process: Process, model: Model, chosen: Chosen) -> Figures:
    count, loaded = chosen.largest, model.loaded()
    source, spent = Endpoint(count, HERE), list[float]()
    refused = 0
    for _ in range(chosen.samples):
        item = parse.read(source.document()).object
        assert item is not None
        change = model.put((item,))
        began = time.perf_counter()
        refused += _refused(process, plan.plan(change, loaded))
        spent.append(time.perf_counter() - began)
    yield from percentiles(f'{count}: one endpoint, planned, sent and answered', spent, _MILLI, 'ms')
    spent.clear()
    for number in range(count, count + min(_NEW, chosen.samples)):
        settings = {'request-headers': f'X-New: {number}', 'rate-limit': '5/s'}
        found = varied.addresses(number, network=HERE)
        documents = (varied.service(number, settings), varied.endpoint_slice(number, found))
        made = tuple(item for item in (parse.read(document).object for document in documents) if item is not None)
        began = time.perf_counter()
        refused += _refused(process, plan.plan(model.put(made), loaded))
        spent.append(time.perf_counter() - began)
    yield from percentiles(f'{count}: a new Service with settings, planned, sent and answered', spent, _MILLI, 'ms')
    yield f'{count}: refused', refused


def transition(chosen: Chosen) -> Figures:
    """Measure one plan from a cluster of one seed to a larger one of another seed, and back."""
    before, after = min(chosen.largest, 2000), min(chosen.largest, 2000) * 5 // 4
    first, second = objects(before, SEEDS[1], HERE), objects(after, SEEDS[2], HERE)
    with loopback() as address:
        ports = varied.tcp_ports(after)
        model = Model(first, addresses=(address,), tcp_ports=ports, threads=1, maxconn=1000)
        with Process(chosen.haproxy, model.files()) as process:
            process.start()
            loaded = model.loaded()
            for what, wanted in ((f'{before} to {after}', second), (f'{after} to {before}', first)):
                change = model.become(wanted)
                began = time.perf_counter()
                made = plan.plan(change, loaded)
                planned = time.perf_counter()
                refused = _refused(process, made)
                yield f'{what}: fragments', len(change.fragments)
                yield f'{what}: commands', len(made.commands)
                yield f'{what}: reloads', len(made.reasons)
                yield f'{what}: plan, s', planned - began
                yield f'{what}: apply, s', time.perf_counter() - planned
                yield f'{what}: refused', refused


def live(chosen: Chosen) -> Figures:
    """Measure a running agent on a folder: cold start, changes to HAProxy and to the first request, reloads, memory."""
    for count in chosen.sizes:
        yield from town.measure(chosen.haproxy, count, chosen.samples)


def requests(chosen: Chosen) -> Figures:
    """Measure what requests cost HAProxy, against hand-written configurations."""
    yield from costs.measure(chosen.haproxy, max(chosen.samples, costs.FEWEST))


def authentication(chosen: Chosen) -> Figures:
    """Measure what external authentication costs a request."""
    yield from costs.authentication(chosen.haproxy, max(chosen.samples, costs.FEWEST))


def route_kinds(chosen: Chosen) -> Figures:
    """Measure what requests of HTTPRoutes cost, by what the routes ask for."""
    yield from route_costs.measure(chosen.haproxy, max(chosen.samples, costs.FEWEST))


def node(chosen: Chosen) -> Figures:
    """Measure the node role: changes of the kernel's table, the way past HAProxy, and requests; needs root and nft."""
    yield from node_role.measure(chosen.haproxy, chosen.largest, chosen.samples)


def _refused(process: Process, made: Plan) -> int:
    """Send a plan's commands, and return how many were refused; removals that connections hold up are tried again."""
    left = list(made.commands)
    for _ in range(20):
        answered = process.send(left)
        busy = [item.command for item in answered if item.outcome is Outcome.BUSY]
        if any(item.outcome is Outcome.REFUSED for item in answered) or not busy:
            return sum(item.outcome is not Outcome.DONE for item in answered)
        left = busy
    return len(left)


def percentiles(what: str, spent: list[float], factor: float, unit: str) -> Figures:
    """Yield the median and the 99th percentile of some times."""
    cuts = statistics.quantiles(spent, n=100)
    yield f'{what}, p50, {unit}', cuts[49] * factor
    yield f'{what}, p99, {unit}', cuts[98] * factor


def _rss() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def controller(chosen: Chosen) -> Figures:
    """Yield what a controller that leads costs, without an API server."""
    from tools.bench import controller as leading  # noqa: PLC0415  only the controller pays for its client

    return leading.measure(chosen.largest)


def pools(chosen: Chosen) -> Figures:
    """Yield what the allocation of addresses costs a controller."""
    from tools.bench import pools as allocating  # noqa: PLC0415  only this part pays for the controller

    return allocating.measure(chosen.largest)


def ingress(chosen: Chosen) -> Figures:
    """Measure Ingresses with annotations of ingress-nginx: what they cost, and how many reloads they take."""
    from tools.bench import ingresses  # noqa: PLC0415  it is built on these parts

    return ingresses.measure(chosen.largest, chosen.samples)


def soak(chosen: Chosen) -> Figures:
    """Measure what stays behind after many reloads and many changes of endpoints."""
    from tools.bench import soak as long  # noqa: PLC0415  it is built on these parts

    return long.measure(chosen)


def loss(chosen: Chosen) -> Figures:
    """Count the requests that are lost while everything happens at once."""
    from tools.bench import loss as lost  # noqa: PLC0415  as above

    return lost.measure(chosen)
