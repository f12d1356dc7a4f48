"""A request as the rules of a listener see it: the client that a trusted proxy names, and headers about the client."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace.explain.request import Headers, Request
from headrace.explain.trace import Outcome
from headrace.haproxy.render.render import MOST_HOPS
from headrace.names import HOPS
from headrace.resolve.state import State

# So many trusted proxies in a row are believed.
_MOST_PROXIES = 5


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request, with `client` and headers as rules have them, and whether its client is taken to use HTTPS."""

    request: Request
    https: bool


def arrive(state: State, request: Request, port: int) -> Arrival | Outcome:
    """Return a request as rules see it at a listener that clients know by this port, or why it is refused."""
    trusted = [ipaddress.ip_network(network) for network in state.context.settings.trusted_proxies]
    is_trusted = _is_in(trusted, request.client)
    forwarded = _list(request, 'x-forwarded-for') if is_trusted else []
    client, back = request.client, 1
    if is_trusted and request.values('x-forwarded-for') and not (forwarded and _address(forwarded[-1])):
        return Outcome('X-Forwarded-For ends with no address', 400)
    while forwarded and back <= _MOST_PROXIES and (back == 1 or _is_in(trusted, client)):
        if len(forwarded) < back or not _address(forwarded[-back]):
            break
        client, back = forwarded[-back], back + 1
    https = request.secure or (is_trusted and (request.last('x-forwarded-proto') or '').lower() == 'https')
    if len(_list(request, HOPS.lower())) >= MOST_HOPS:
        return Outcome('loop detected', 508)
    arrived = replace(request, client=client)
    return Arrival(replace(arrived, headers=_headers(state, arrived, port, trusted=is_trusted, https=https)), https)


def _headers(state: State, request: Request, port: int, *, trusted: bool, https: bool) -> Headers:
    """Return the headers as conditions see them: what clients say of forwarding is gone, but for that of trusted proxies."""
    kept = [
        (name, value)
        for name, value in request.headers
        if (trusted and name.startswith('x-forwarded-'))
        or ('forwarded' not in name if not trusted else not name.startswith('x_forwarded_'))
    ]
    kept = [item for item in kept if item[0] != 'connection' or item[1].lower() == 'upgrade']
    names = {name for name, _ in kept}
    about = {'for': request.client, 'proto': 'https' if https else 'http', 'host': request.host, 'port': str(port)}
    kept += [(f'x-forwarded-{name}', value) for name, value in about.items() if f'x-forwarded-{name}' not in names]
    if 'ingress-nginx' in state.context.settings.ingress_annotations:
        kept = [*(item for item in kept if item[0] != 'x-real-ip'), ('x-real-ip', request.client)]
    return (*kept, (HOPS.lower(), '1'))


def _list(request: Request, name: str) -> list[str]:
    return [part.strip() for value in request.values(name) for part in value.split(',')]


def _address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_in(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)
