"""What the node role costs: a change in the kernel's table, the way past HAProxy, and a request on each way to a pod.

It is measured in network namespaces of its own: that of this process is the node, and it has two pods. Ways are taken in
turn, and each is compared with the direct one of the same round. Clients are one process, and the endpoint is a HAProxy
that answers by itself, as everywhere here.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from shutil import which

from tools import spaces
from tools.bench import client, node_agent, varied
from tools.bench.figures import Figures, Hole
from tools.bench.process import Process
from tools.spaces import Space

from headrace.haproxy.render.render import Renderer
from headrace.nft import node_facts
from headrace.nft.command import Nft
from headrace.nft.rules import Table
from headrace.objects import parse
from headrace.resolve.model_snapshot import of_state
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology

ROUNDS = 9
# The ways past HAProxy are few, and changes of the table slow enough to show with these.
SWITCHES = 9
MOST_CHANGES = 500
_ADDRESS, _NODE = '192.0.2.1', 'n1'
_CLIENT, _SERVER = ('10.244.1.10', 'fd00:244:1::10'), ('10.244.1.11', 'fd00:244:1::11')
_BACKEND, _PORT = 9000, 80
_ENDPOINTS = 10
# Where the ways of requests are, beside the ClusterIPs of the varied cluster.
_PROXIED, _KERNEL, _TCP, _HTTP = '10.111.0.1', '10.111.0.2', '10.111.0.3', '10.111.0.4'

_ENDPOINT = f"""global
  stats socket "${{HEADRACE_SOCKETS-.}}/runtime.sock" mode 660 level admin
  maxconn 8000
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
frontend answers
  bind {_SERVER[0]}:{_BACKEND}
  http-request return status 200 content-type text/plain string "hello\\n"
"""
# As kube-proxy of mode nftables leads a ClusterIP to its endpoints.
_KUBE_PROXY = f"""table ip proxied {{
  chain endpoint {{
    meta l4proto tcp dnat to {_SERVER[0]}:{_BACKEND}
  }}
  chain service {{
    numgen random mod 1 vmap {{ 0 : goto endpoint }}
  }}
  map services {{
    type ipv4_addr . inet_proto . inet_service : verdict
    elements = {{ {_PROXIED} . tcp . {_PORT} : goto service }}
  }}
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr . meta l4proto . th dport vmap @services
  }}
}}
"""


class Model:
    """The Services that a node serves, as an agent holds them."""

    def __init__(self) -> None:
        self.context = build_context.make(Settings(threads=1, maxconn=2000), role=Role.NODE, topology=Topology(_NODE))
        self.store, self.state = Store(), State(self.context)
        self.put(_node())

    def put(self, *documents: varied.Document) -> None:
        """Put objects into the store; nothing is built of them yet."""
        for document in documents:
            item = parse.read(document).object
            assert item is not None
            self.store.put(item)

    def table(self) -> Table:
        """Return the table of all that is there."""
        self.state.update(self.store, self.store.take())
        return Table(of_state(self.state), node_facts.find(self.store.nodes(), self.context))


def missing() -> str:
    """Return what stands in the way of measuring, '' for nothing."""
    if not which('nft') or not which('nsenter'):
        return 'nft and nsenter are not there'
    try:
        spaces.leave()
    except OSError as error:
        return f'no network namespace can be made ({error})'
    return ''


def measure(binary: str, count: int, samples: int) -> Figures:
    """Yield what changes of a table of so many Services cost, and requests on each way; this process moves for it."""
    if said := missing():
        raise Hole(said)
    with contextlib.ExitStack() as held:
        ways = _ways(held, binary)
        yield from _requests(ways, max(samples // 5, 20))
    yield from asyncio.run(_changes(count, max(min(samples, MOST_CHANGES), 2)))
    with contextlib.closing(Space('node', own=True)) as machine:
        yield from node_agent.measure(binary, count, samples, _node())
        machine.run('nft', 'flush', 'ruleset')


# --- the table --------------------------------------------------------------------------------------------------------


async def _changes(count: int, samples: int) -> list[tuple[str, float]]:
    """Return what changes of the table cost, from the model to the kernel's answer."""
    model, nft = Model(), Nft(which('nft') or '')
    for number in range(count):
        model.put(*_service(number))
    table = model.table()
    began = time.perf_counter()
    await nft.apply(table.frame())
    for part in table.parts():
        await nft.do(part)
    found = [(f'{count}: the whole table, s', time.perf_counter() - began)]
    for what, change in (('one more Service', _more(count)), ('one endpoint', _moved(count))):
        spent = [await _told(model, table, nft, next(change)) for _ in range(samples)]
        cuts = statistics.quantiles(spent, n=100)
        found += [(f'{count}: {what}, p50, ms', cuts[49] * 1e3), (f'{count}: {what}, p99, ms', cuts[98] * 1e3)]
    switched: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(SWITCHES):
        for bypass, spent in switched.items():
            spent.append(await _timed(nft, table.switch(bypass=bypass)))
    found += [
        (f'{count}: the way past HAProxy, {"in" if bypass else "out"}, ms', statistics.median(spent) * 1e3)
        for bypass, spent in switched.items()
    ]
    await nft.remove()
    return found


async def _timed(nft: Nft, text: str) -> float:
    began = time.perf_counter()
    await nft.apply(text)
    return time.perf_counter() - began


async def _told(model: Model, table: Table, nft: Nft, documents: tuple[varied.Document, ...]) -> float:
    """Return how long a change takes, as the agent makes it: what goes, and then what comes."""
    model.put(*documents)
    began = time.perf_counter()
    for part in table.change(model.state.update(model.store, model.store.take())).split():
        await nft.do(part)
    return time.perf_counter() - began


def _more(count: int) -> Iterator[tuple[varied.Document, ...]]:
    """Yield Services that were not there before."""
    while True:
        yield _service(count)
        count += 1


def _moved(count: int) -> Iterator[tuple[varied.Document, ...]]:
    """Yield slices with one endpoint exchanged."""
    turn = 0
    while True:
        number = turn * 7 % count
        fresh = f'10.250.{turn >> 8 & 255}.{turn & 255}'
        turn += 1
        yield (varied.endpoint_slice(number, [fresh, *varied.addresses(number, _ENDPOINTS)[1:]]),)


def _service(number: int) -> tuple[varied.Document, ...]:
    made = varied.service(number, {})
    made['metadata']['annotations'] = {f'{varied.PREFIX}proxy': 'node', f'{varied.PREFIX}datapath': 'haproxy'}
    return made, varied.endpoint_slice(number, varied.addresses(number, _ENDPOINTS))


def _node() -> varied.Document:
    return {
        'apiVersion': 'v1',
        'kind': 'Node',
        'metadata': {'name': _NODE},
        'spec': {'podCIDRs': ['10.244.1.0/24']},
        'status': {'addresses': [{'type': 'InternalIP', 'address': _ADDRESS}]},
    }


# --- requests ---------------------------------------------------------------------------------------------------------


@dataclass
class Way:
    """A way from the client's pod to the endpoint, and what was measured on it."""

    name: str
    where: tuple[str, int]
    rates: list[float] = field(default_factory=list)
    times: list[float] = field(default_factory=list)


class Ways:
    """The client's pod, and all ways from it."""

    def __init__(self, pod: Space) -> None:
        self.pod = pod

    def fresh(self) -> tuple[Way, ...]:
        """Return the ways, with nothing measured; the first is what others are compared with."""
        return (
            Way('direct', (_SERVER[0], _BACKEND)),
            Way('DNAT as of kube-proxy', (_PROXIED, _PORT)),
            Way('headrace, kernel', (_KERNEL, _PORT)),
            Way('headrace, TCP', (_TCP, _PORT)),
            Way('headrace, HTTP', (_HTTP, _PORT)),
        )


def _ways(held: contextlib.ExitStack, binary: str) -> Ways:
    """Make the node, its pods, the endpoint, and both ways through HAProxy; the table is the agent's own."""
    machine = Space('node', own=True)
    held.callback(machine.close)
    spaces.forward()
    machine.ip(f'link set lo up\naddr add {_ADDRESS}/32 dev lo')
    pods = []
    for name, addresses in (('client', _CLIENT), ('server', _SERVER)):
        pods.append(Space(name))
        held.callback(pods[-1].close)
        spaces.attach(machine, pods[-1], addresses)
    endpoint = held.enter_context(Process(binary, {'haproxy/all.cfg': _ENDPOINT.encode()}))
    pods[1].enter(endpoint.start)
    model = Model()
    for name, address, said in (
        ('kernel', _KERNEL, {}),
        ('tcp', _TCP, {'datapath': 'haproxy'}),
        ('http', _HTTP, {'mode': 'http'}),
    ):
        model.put(*_led(name, address, said))
    table = model.table()
    files = Renderer(model.context).render(model.state)
    held.enter_context(Process(binary, files)).start()
    machine.run('nft', '-f', '-', text=table.text() + _KUBE_PROXY)
    held.callback(machine.run, 'nft', 'flush', 'ruleset')
    return Ways(pods[0])


def _led(name: str, address: str, said: dict[str, str]) -> tuple[varied.Document, ...]:
    """Return a Service that the node serves, with the endpoint."""
    metadata = {'name': name, 'namespace': 'default'}
    annotations = {f'{varied.PREFIX}{key}': value for key, value in {'proxy': 'node', **said}.items()}
    return (
        {
            'apiVersion': 'v1', 'kind': 'Service', 'metadata': {**metadata, 'annotations': annotations},
            'spec': {'clusterIP': address, 'ports': [{'name': 'main', 'port': _PORT, 'protocol': 'TCP'}]},
        },
        {
            'apiVersion': 'discovery.k8s.io/v1', 'kind': 'EndpointSlice', 'addressType': 'IPv4',
            'metadata': {**metadata, 'labels': {'kubernetes.io/service-name': name}},
            'ports': [{'name': 'main', 'port': _BACKEND, 'protocol': 'TCP'}], 'endpoints': [{'addresses': [_SERVER[0]]}],
        },
    )  # fmt: skip


def _requests(ways: Ways, count: int) -> Figures:
    """Measure each way in turn, by each kind of connection, and compare it with the direct one of the same round."""
    kinds: tuple[tuple[str, Callable[[tuple[str, int], int], client.Result]], ...] = (
        ('keep-alive', client.on_one_connection),
        ('a connection each', client.each_on_its_own),
    )
    for kind, load in kinds:
        found = ways.fresh()
        for way in found:
            ways.pod.enter(load, way.where, max(count // 4, 5))
        for number in range(ROUNDS):
            # Each way comes after each other one.
            for turn in range(len(found)):
                way = found[(turn + number) % len(found)]
                times = ways.pod.enter(load, way.where, count).times
                way.rates.append(len(times) / sum(times))
                way.times += times
        for way in found:
            cuts = statistics.quantiles(way.times, n=100)
            ratios = [mine / direct for mine, direct in zip(way.rates, found[0].rates, strict=True)]
            yield f'{kind}: {way.name}: requests/s', statistics.median(way.rates)
            yield f'{kind}: {way.name}: p50, µs', cuts[49] * 1e6
            yield f'{kind}: {way.name}: p99, µs', cuts[98] * 1e6
            yield f'{kind}: {way.name}: ratio to direct', statistics.median(ratios)
