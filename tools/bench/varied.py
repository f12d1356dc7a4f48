"""The cluster that figures are measured on: Services with settings of their own, from a seed.

Of all Services 40 % have no settings, 30 % a check or timeouts of their own, 20 % headers, a redirect or CORS, and 10 %
an allow list or a rate limit; a TCP port has an allow list or a rate limit in the place of what only HTTP has. Nearly
all values differ from Service to Service. Four of five are HTTP with a host, one is TCP on a port. Names, hosts and
addresses are the same for every seed, settings are not: so one seed's cluster is another's with all settings changed.

`python -m tools.bench.varied N FOLDER` writes it, a hundred Services a file, as JSON.
"""

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

PREFIX = 'headrace.io/'
NAMESPACES = 50
PER_FILE = 100
# On loopback those of headrace's own listeners are refused.
PORT = 9080
_TCP_EVERY = 5
_FIRST_TCP_PORT = 20000
Document = dict[str, Any]


def cluster(
    count: int, seed: int = 7, *, endpoints: int = 10, network: int = 10, port: int = PORT
) -> Iterator[Document]:
    """Yield each Service and after it its slice.

    `network` is the first number of all addresses of endpoints (127 for those that any process can serve here), and
    `port` the number that they listen on.
    """
    dice = random.Random(seed)
    for number in range(count):
        yield service(number, _settings(dice, number, tcp=is_tcp(number)))
        yield endpoint_slice(number, addresses(number, endpoints, network), port)


def is_tcp(number: int) -> bool:
    """Tell whether a Service is TCP on a port; the others are HTTP with a host."""
    return number % _TCP_EVERY == _TCP_EVERY - 1


def names(number: int) -> tuple[str, str]:
    """Return a Service's namespace and name."""
    return f'tenant-{number % NAMESPACES:02d}', f'app-{number:05d}'


def host(number: int) -> str:
    """Return the host of an HTTP Service."""
    namespace, name = names(number)
    return f'{name}.{namespace}.example.com'


def tcp_ports(count: int) -> str:
    """Return the range of ports of so many Services, as the class's settings take it."""
    return f'{_FIRST_TCP_PORT}-{tcp_port(count)}'


def tcp_port(number: int) -> int:
    """Return the port of a TCP Service."""
    return _FIRST_TCP_PORT + number // _TCP_EVERY


def addresses(number: int, endpoints: int = 10, network: int = 10) -> list[str]:
    """Return the addresses of a Service's endpoints; those of all Services differ."""
    first = number * endpoints
    return [_address(network, 128, each) for each in range(first, first + endpoints)]


def _address(network: int, second: int, number: int) -> str:
    return f'{network}.{second + (number >> 16)}.{number >> 8 & 255}.{number & 255}'


def service(number: int, settings: Mapping[str, str]) -> Document:
    """Return a Service with these settings beside those that expose it."""
    namespace, name = names(number)
    exposed = {'mode': 'tcp'} if is_tcp(number) else {'mode': 'http', 'host': host(number)}
    said = {'enabled': 'true', **exposed, **settings}
    port = tcp_port(number) if is_tcp(number) else 80
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {
            'name': name,
            'namespace': namespace,
            'creationTimestamp': '2026-01-01T00:00:00Z',
            'annotations': {PREFIX + key: value for key, value in said.items()},
        },
        'spec': {
            'clusterIP': _address(10, 96, number),
            'ports': [{'name': 'main', 'port': port, 'targetPort': PORT, 'protocol': 'TCP'}],
        },
    }


def endpoint_slice(number: int, found: list[str], port: int = PORT) -> Document:
    """Return the slice of a Service with these endpoints, all ready."""
    namespace, name = names(number)
    conditions = {'ready': True, 'serving': True, 'terminating': False}
    return {
        'apiVersion': 'discovery.k8s.io/v1',
        'kind': 'EndpointSlice',
        'metadata': {'name': f'{name}-1', 'namespace': namespace, 'labels': {'kubernetes.io/service-name': name}},
        'addressType': 'IPv4',
        'ports': [{'name': 'main', 'port': port, 'protocol': 'TCP'}],
        'endpoints': [{'addresses': [address], 'conditions': dict(conditions)} for address in found],
    }


def _settings(dice: random.Random, number: int, *, tcp: bool) -> dict[str, str]:
    kind = dice.choices(('none', 'backend', 'route', 'access'), (40, 30, 20, 10))[0]
    if kind == 'none':
        return {}
    if kind == 'backend':
        return _tcp_check(dice) if tcp else dice.choice((_http_check, _timeouts))(dice, number)
    if kind == 'route' and not tcp:
        return dice.choice((_headers, _redirect, _cors))(dice, number)
    return dice.choice((_allow, _rate))(dice)


def _tcp_check(dice: random.Random) -> dict[str, str]:
    return {'check': 'tcp', 'check-interval': f'{dice.randrange(20, 60)}s'}


def _http_check(dice: random.Random, number: int) -> dict[str, str]:
    return {'check': 'http', 'check-path': f'/healthy/{number}', 'check-interval': f'{dice.randrange(20, 60)}s'}


def _timeouts(dice: random.Random, _: int) -> dict[str, str]:
    return {
        'timeout-server': f'{dice.randrange(1000, 90_000)}ms',
        'timeout-connect': f'{dice.randrange(300, 5000)}ms',
    }


def _headers(dice: random.Random, number: int) -> dict[str, str]:
    plan = dice.choice(('free', 'paid', 'trial'))
    return {
        'request-headers': f'X-Tenant: tenant-{number}\nX-Plan: {plan}',
        'response-headers': f'X-Served-For: tenant-{number}\nServer:',
    }


def _redirect(dice: random.Random, number: int) -> dict[str, str]:
    code = dice.choice(('301', '302', '307', '308'))
    return {'redirect-to': f'https://moved-{number}.example.net/{dice.randrange(1000)}', 'redirect-code': code}


def _cors(dice: random.Random, number: int) -> dict[str, str]:
    origins = f'https://app-{number}.example.com, https://admin-{dice.randrange(10_000)}.example.com'
    return {'cors-allow-origin': origins, 'cors-max-age': f'{dice.randrange(60, 3600)}s'}


def _allow(dice: random.Random) -> dict[str, str]:
    networks = [
        f'10.{dice.randrange(256)}.{dice.randrange(256)}.0/{dice.choice((22, 23, 24, 27))}'
        for _ in range(dice.randrange(1, 6))
    ]
    return {'allow': ', '.join((*networks, '127.0.0.0/8'))}


def _rate(dice: random.Random) -> dict[str, str]:
    return {'rate-limit': f'{dice.randrange(50, 5000)}/{dice.choice("sm")}'}


def write(folder: Path, documents: Iterator[Document]) -> None:
    """Write documents into a folder, which is made if it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    items = list(documents)
    step = 2 * PER_FILE
    for number, start in enumerate(range(0, len(items), step)):
        document = {'apiVersion': 'v1', 'kind': 'List', 'items': items[start : start + step]}
        (folder / f'services-{number:04d}.json').write_text(json.dumps(document))


def main() -> None:
    """Write a cluster into a folder."""
    parser = argparse.ArgumentParser(prog='python -m tools.bench.varied', description='Write a cluster into a folder.')
    parser.add_argument('count', type=int, help='how many Services')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--seed', type=int, default=7)
    parser.add_argument('--endpoints', type=int, default=10, help='of each Service')
    parser.add_argument('--network', type=int, default=10, help="first number of the endpoints' addresses")
    parser.add_argument('--port', type=int, default=PORT, help='that endpoints listen on')
    given = parser.parse_args()
    found = cluster(given.count, given.seed, endpoints=given.endpoints, network=given.network, port=given.port)
    write(given.folder, found)


if __name__ == '__main__':
    main()
