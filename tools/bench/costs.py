"""What a request costs HAProxy: the rendered configuration against hand-written ones.

One of these gives clients and endpoints the same: headers about the client, one map of hosts, timeouts, and idle connections
that a reload keeps. The others do the least. Two are measured in turn, in pairs, by the CPU seconds of their processes; a ratio
below 1 says by how much the rendered one serves fewer requests per CPU second. Backends are one HAProxy that answers by itself.
"""

import contextlib
import statistics
from collections.abc import Callable, Iterable, Iterator
from functools import partial

from tools.bench import client, varied
from tools.bench.process import Process, loopback

from headrace.haproxy.encode import commands
from headrace.haproxy.render.render import Renderer
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context, placeholder_certificates
from headrace.translate.build_context import BuildContext

PAIRS = 9
HOSTS = 20
# Fewer requests than this say nothing.
FEWEST = 100
_HTTP, _HTTPS, _HEALTH, _TCP, _BACKEND = 8080, 8443, 8404, 20000, 9000
CONNECTIONS = 32
_TLS_NAME = 'headrace-bench'
Load = Callable[[str, int], client.Result]
# Annotations of Services, without the prefix, by name.
Services = dict[str, dict[str, str]]
# What routes of each kind have besides a host.
_ASKED = {'external-auth-service': 'asked', 'external-auth-response-headers': 'X-User'}
_KINDS: Services = {
    'plain': {},
    'with a header set': {'request-headers': 'X-A: 1'},
    'with external authentication': _ASKED,
    'with external authentication, remembered': _ASKED | {'external-auth-cache': '1h'},
}

_GLOBAL = """global
  stats socket "${HEADRACE_SOCKETS-.}/runtime.sock" mode 660 level admin
  maxconn 8000
  nbthread 1
defaults base
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
"""
# What the rendered configuration has in its defaults.
_SAME_DEFAULTS = """  timeout http-request 10s
  timeout http-keep-alive 60s
  timeout queue 5s
  timeout tunnel 1h
  option idle-close-on-response
  option redispatch
"""
# The removal is the cheapest one that leaves no header of a client that speaks of forwarding.
_HEADERS = """  http-request del-header forwarded -m sub
  http-request set-header X-Forwarded-For %[src]
  http-request set-header X-Forwarded-Proto %[ssl_fc,iif(https,http)]
  http-request set-header X-Forwarded-Host %[req.hdr(host)]
  http-request set-header X-Forwarded-Port %[dst_port]
"""


class Meter:
    """A HAProxy and the address that it listens on."""

    def __init__(self, process: Process, address: str) -> None:
        self.process, self.address = process, address

    def cost(self, load: Load, count: int) -> float:
        """Return the CPU seconds of one request, measured over so many."""
        before = self.process.cpu()
        answered = load(self.address, count).count
        return (self.process.cpu() - before) / answered


def measure(binary: str, count: int) -> Iterator[tuple[str, float]]:
    """Yield what each kind of request costs, in microseconds, and the ratio to the hand-written configuration."""
    with contextlib.ExitStack() as held:
        backend = held.enter_context(loopback())
        started(held, binary, {'haproxy/all.cfg': backend_of(backend)})
        ours_at, same, mapped, static, tcp = (held.enter_context(loopback()) for _ in range(5))
        ours = Meter(started(held, binary, rendered(_of_services(ours_at), backend, _exposed())), ours_at)
        # As the agent does while no TLS is passed through: half of the connections would take one hop more.
        ours.process.send(commands.take_turns(passing=False))
        equal = Meter(started(held, binary, _same_work(same, backend)), same)
        by_map = Meter(started(held, binary, _by_map(mapped, backend)), mapped)
        one = Meter(started(held, binary, _static(static, backend)), static)
        plain_tcp = Meter(started(held, binary, _plain_tcp(tcp, backend)), tcp)
        for name, other, load, of in (
            ('HTTP/1.1, the same work', equal, _http1, count),
            ('HTTP/1.1 over TLS, the same work', equal, _https1, count),
            ('HTTP/2 over TLS, the same work', equal, _http2, count),
            ('new TCP connections, the same work', equal, _connections, max(1, count // 4)),
            ('HTTP/1.1, one map', by_map, _http1, count),
            ('HTTP/1.1, one static backend', one, _http1, count),
            ('HTTP/1.1 over TLS, one map', by_map, _https1, count),
            ('HTTP/2 over TLS, one map', by_map, _http2, count),
            ('new TCP connections, one static backend', plain_tcp, _connections, max(1, count // 4)),
        ):
            yield from _pairs(name, ours, other, load, of)


def _pairs(name: str, ours: Meter, other: Meter, load: Load, count: int) -> Iterator[tuple[str, float]]:
    spent, reference, ratios = list[float](), list[float](), list[float]()
    for meter in (ours, other):
        # The first time connections to backends are made, and memory is got.
        meter.cost(load, max(CONNECTIONS, count // 4))
    for number in range(PAIRS):
        turn = (ours, other) if number % 2 else (other, ours)
        costs = {meter: meter.cost(load, count) for meter in turn}
        spent.append(costs[ours])
        reference.append(costs[other])
        ratios.append(costs[other] / costs[ours] if costs[ours] else 1.0)
    yield f'{name}: rendered, µs of CPU', statistics.median(spent) * 1e6
    yield f'{name}: hand-written, µs of CPU', statistics.median(reference) * 1e6
    yield f'{name}: requests per CPU second, ratio', statistics.median(ratios)


def _http1(address: str, count: int) -> client.Result:
    return _ask(hosts(), address, count)


def _https1(address: str, count: int) -> client.Result:
    return client.http1((address, _HTTPS), hosts(), count=count, connections=CONNECTIONS, tls=True)


def _http2(address: str, count: int) -> client.Result:
    return client.http2((address, _HTTPS), hosts(), count=count, connections=CONNECTIONS)


def _connections(address: str, count: int) -> client.Result:
    return client.new_connections((address, _TCP), count=count)


def hosts(of: str = 'app') -> list[str]:
    """Return the hosts that are asked for."""
    return [f'{of}-{number}.example.com' for number in range(HOSTS)]


def _exposed() -> Services:
    """Return a Service for each host, and one of TCP."""
    return {f'app-{number}': {'host': host} for number, host in enumerate(hosts())} | {'tcp': {'port': str(_TCP)}}


def authentication(binary: str, count: int) -> Iterator[tuple[str, float]]:
    """Yield what requests of several kinds of routes cost one HAProxy, in microseconds; the kinds are measured by turns."""
    kinds = {f'kind{number}': kind for number, kind in enumerate(_KINDS)}
    services: Services = {'asked': {'enabled': 'false'}}
    for of, kind in kinds.items():
        services |= {f'{of}-{number}': {'host': host, **_KINDS[kind]} for number, host in enumerate(hosts(of))}
    with contextlib.ExitStack() as held:
        backend, address = held.enter_context(loopback()), held.enter_context(loopback())
        started(held, binary, {'haproxy/all.cfg': backend_of(backend)})
        meter = Meter(started(held, binary, rendered(_of_services(address), backend, services)), address)
        spent: dict[str, list[float]] = {of: [] for of in kinds}
        for number in range(PAIRS + 1):
            for of, found in spent.items():
                cost = meter.cost(partial(_ask, hosts(of)), count)
                # The first time connections to backends are made, and memory is got.
                if number:
                    found.append(cost)
        for of, kind in kinds.items():
            yield f'{kind}, µs of CPU', statistics.median(spent[of]) * 1e6


def _ask(names: list[str], address: str, count: int) -> client.Result:
    return client.http1((address, _HTTP), names, count=count, connections=CONNECTIONS)


def started(held: contextlib.ExitStack, binary: str, files: dict[str, bytes]) -> Process:
    """Start a HAProxy of some files."""
    process = held.enter_context(Process(binary, files))
    process.start()
    return process


def backend_of(address: str) -> bytes:
    """Return the configuration of the HAProxy that answers by itself."""
    return f"""{_GLOBAL}
frontend answers from base
  bind {address}:{_BACKEND}
  http-request return status 200 content-type text/plain string "hello\\n"
""".encode()


def _by_map(address: str, backend: str) -> dict[str, bytes]:
    return _mapped(address, backend, '')


def _same_work(address: str, backend: str) -> dict[str, bytes]:
    """Return a configuration written by hand that gives clients and endpoints what the rendered one gives them."""
    same = dict(_mapped(address, backend, _HEADERS, _SAME_DEFAULTS))
    same['haproxy/all.cfg'] += f"""
frontend tcp from base
  mode tcp
  bind {address}:{_TCP}
  tcp-request connection reject if {{ nbsrv(one) lt 1 }}
  default_backend one
backend one from base
  mode tcp
  server s {backend}:{_BACKEND}
""".encode()
    return same


def _mapped(address: str, backend: str, rules: str, defaults: str = '') -> dict[str, bytes]:
    lines = [f'{host} app-{number}\n' for number, host in enumerate(hosts())]
    backends = [f'backend app-{number} from base\n  server s {backend}:{_BACKEND}\n' for number in range(HOSTS)]
    text = f"""{_GLOBAL}{defaults}
frontend http from base
  bind {address}:{_HTTP}
  bind {address}:{_HTTPS} ssl crt certificate.pem alpn h2,http/1.1
{rules}  use_backend %[req.hdr(host),field(1,:),lower,map_str(hosts.map)]
""".replace('global\n', 'global\n  default-path parent\n', 1)
    return {
        'haproxy/all.cfg': (text + '\n'.join(backends)).replace('certificate.pem', 'certificates/one.pem')
        .replace('hosts.map', 'maps/hosts.map').encode(),
        'maps/hosts.map': ''.join(lines).encode(),
        'certificates/one.pem': placeholder_certificates.certificate(Ref('Secret', '', _TLS_NAME))[0],
    }  # fmt: skip


def _static(address: str, backend: str) -> dict[str, bytes]:
    text = f"""{_GLOBAL}
frontend http from base
  bind {address}:{_HTTP}
  default_backend one
backend one from base
  server s {backend}:{_BACKEND}
"""
    return {'haproxy/all.cfg': text.encode()}


def _plain_tcp(address: str, backend: str) -> dict[str, bytes]:
    text = f"""{_GLOBAL}
frontend tcp from base
  mode tcp
  bind {address}:{_TCP}
  default_backend one
backend one from base
  mode tcp
  server s {backend}:{_BACKEND}
"""
    return {'haproxy/all.cfg': text.encode()}


def settings(address: str, **more: object) -> Settings:
    """Return the settings of an edge on an address."""
    return Settings(
        addresses=(address,), http_port=_HTTP, https_port=_HTTPS, health_port=_HEALTH, tcp_ports=str(_TCP),
        threads=1, maxconn=1000, default_certificate=f'default/{_TLS_NAME}', **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _of_services(address: str) -> BuildContext:
    return build_context.make(settings(address), offline=True)


def rendered(
    context: BuildContext, backend: str, services: Services, documents: Iterable[dict[str, object]] = ()
) -> dict[str, bytes]:
    """Return the files of Services with one endpoint each, and of other documents."""
    store, state = Store(), State(context)
    for document in (*_documents(services, backend), *documents):
        item = parse.read(document).object
        assert item is not None
        store.put(item)
    state.update(store, store.take())
    return dict(Renderer(context).render(state))


def _documents(services: Services, backend: str) -> Iterator[dict[str, object]]:
    for name, exposed in services.items():
        metadata = {'name': name, 'namespace': 'default'}
        annotations = {varied.PREFIX + key: value for key, value in exposed.items()}
        yield {
            'apiVersion': 'v1', 'kind': 'Service', 'metadata': {**metadata, 'annotations': annotations},
            'spec': {'ports': [{'name': 'main', 'port': 80}]},
        }  # fmt: skip
        yield {
            'apiVersion': 'discovery.k8s.io/v1', 'kind': 'EndpointSlice', 'addressType': 'IPv4',
            'metadata': {**metadata, 'labels': {'kubernetes.io/service-name': metadata['name']}},
            'ports': [{'name': 'main', 'port': _BACKEND}], 'endpoints': [{'addresses': [backend]}],
        }  # fmt: skip
