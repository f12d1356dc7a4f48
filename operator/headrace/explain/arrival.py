"""A request as the rules of a listener see it: the client that a trusted proxy names, and headers about the client."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace.explain.request import Headers, Request
from headrace.explain.trace import Outcome
from headrace.haproxy.render.render import MOST_HOPS
from headrace.names import HOPS
from headrace.resolve.state import State

# So many trusted proxies in a row are believed.
_MOST_PROXIES = 5
# HAProxy takes zeros before a number, and a port after an address of IPv4.
_IPV4 = re.compile(r'0*(\d{1,3})\.0*(\d{1,3})\.0*(\d{1,3})\.0*(\d{1,3})(?::0*(\d{1,5}))?', re.ASCII)
_MOST_PORT = 65_535


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
    if forwarded and not _address(forwarded[-1]):
        return Outcome('X-Forwarded-For ends with no address', 400)
    while back <= min(_MOST_PROXIES, len(forwarded)) and _is_in(trusted, client):
        address = _address(forwarded[-back])
        if not address:
            break
        client, back = address, back + 1
    https = request.secure or (is_trusted and 'https' in map(str.lower, _list(request, 'x-forwarded-proto')))
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


def _address(text: str) -> str:
    """Return an address of X-Forwarded-For as HAProxy reads it, '' for none."""
    if (match := _IPV4.fullmatch(text)) is not None:
        text = '.'.join(match.groups()[:4]) if int(match[5] or 0) <= _MOST_PORT else ''
    elif text.startswith('[') and text.endswith(']'):
        text = text[1:-1] if ':' in text else ''
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return ''
    if isinstance(address, ipaddress.IPv6Address):
        return '' if address.scope_id else str(address.ipv4_mapped or address)
    return str(address)


def _is_in(networks: Iterable[ipaddress.IPv4Network | ipaddress.IPv6Network], text: str) -> bool:
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return any(address in network for network in networks)
