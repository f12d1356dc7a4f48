"""Which addresses no endpoint may have: those that mean the connecting machine itself, and headrace's own listeners.

Users of an API server write endpoints that headrace connects to from its own network, so what is reachable there alone is
refused. A folder is written by the machine's own administrator, and its endpoints may be on loopback. On a node, a connection
from HAProxy to the address of a Service is led to HAProxy again, so these are refused too.
"""

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache

from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Group
from headrace.objects.kinds import Service, ServicePort
from headrace.translate.build_context import BuildContext, Role

# IPv4 networks that are refused from an API server: this host, loopback, link-local, multicast, reserved.
NETWORKS = ('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3')
# Those of them that lead to this host.
LOOPBACK = ('0.0.0.0/8', '127.0.0.0/8')
# Matches all that may be refused, and little else: to parse each endpoint would cost more than all the rest of a change.
_SUSPECT = re.compile(r' (?:0\.|127\.|169\.254\.|2[2-5]\d\.|::|fe[89ab]|ff)')
_SHOWN = 3
_Ends = frozenset[tuple[str, int]]


def split(
    groups: tuple[Group, ...], context: BuildContext, of_service: _Ends = frozenset()
) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Return groups without the endpoints that are refused, and those as ADDRESS:PORT.

    `of_service` are addresses and ports at which the Service itself is served here.
    """
    if not any(_is_suspect(group.addresses, context, of_service) for group in groups):
        return groups, ()
    refused = {
        (group.port, address)
        for group in groups
        for address in group.addresses
        if (address, group.port) in of_service or _is_refused(address, group.port, context)
    }
    groups_left = (
        Group(group.port, tuple(address for address in group.addresses if (group.port, address) not in refused))
        for group in groups
    )
    texts = tuple(f'[{address}]:{port}' if ':' in address else f'{address}:{port}' for port, address in sorted(refused))
    return tuple(group for group in groups_left if group.addresses), texts


def judge(service: Service, port: ServicePort, refused: tuple[str, ...]) -> tuple[Diagnostic, ...]:
    """Return the diagnostic about a port's endpoints that are refused."""
    if not refused:
        return ()
    suffix = f' and {len(refused) - _SHOWN} more' if len(refused) > _SHOWN else ''
    summary = f'{", ".join(refused[:_SHOWN])}{suffix}'
    message = f'port {port.label}: no traffic for {summary}: loopback, link-local, multicast, a Service, or a listener of headrace'
    return (Diagnostic(service.ref, 'EndpointRefused', message),)


def is_own_port(port: int, context: BuildContext) -> bool:
    """Tell whether headrace itself listens on a port."""
    return port in context.own_ports or any(first <= port <= last for first, last in context.tcp_ranges)


def _is_suspect(addresses: tuple[str, ...], context: BuildContext, of_service: _Ends) -> bool:
    text = ' '.join(('', *addresses))
    if _SUSPECT.search(text) is not None or not context.own_addresses.isdisjoint(addresses):
        return True
    if of_service and not {address for address, _ in of_service}.isdisjoint(addresses):
        return True
    networks = _service_networks(context)
    return bool(networks) and _pattern(networks).search(text) is not None


def _service_networks(context: BuildContext) -> tuple[str, ...]:
    """Return the networks of ClusterIPs, none at the edge, to which they lead elsewhere."""
    return context.settings.service_networks if context.role is Role.NODE else ()


@lru_cache(maxsize=4)
def _pattern(networks: tuple[str, ...]) -> re.Pattern[str]:
    """Return what matches all addresses of some networks, and few others."""
    return re.compile('|'.join(_beginning(ipaddress.ip_network(network)) for network in networks))


def _beginning(network: ipaddress.IPv4Network | ipaddress.IPv6Network) -> str:
    """Return a pattern of how an address of a network begins, after a blank: whole octets and a range, or one group."""
    if network.version == 6:  # noqa: PLR2004
        first = int(network.network_address) >> 112
        return f' {first:x}:' if first and network.prefixlen >= 16 else ' [0-9a-f]*:'  # noqa: PLR2004
    whole, bits = divmod(network.prefixlen, 8)
    octets = str(network.network_address).split('.')
    parts = list(map(re.escape, octets[:whole]))
    if bits:
        first = int(octets[whole])
        parts.append(f'(?:{"|".join(map(str, range(first, first + (1 << (8 - bits)))))})')
    return ' ' + r'\.'.join(parts) + ('' if len(parts) == len(octets) else r'\.' if parts else '')


def _is_refused(text: str, port: int, context: BuildContext) -> bool:
    address = ipaddress.ip_address(text)
    ipv4 = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = ipv4 or address
    if context.api_server and (_is_in(address, NETWORKS) or address.is_loopback or _is_special(address)):
        return True
    if _is_in(address, _service_networks(context)):
        return True
    own = address.is_loopback or address.is_unspecified or str(address) in context.own_addresses
    return own and is_own_port(port, context)


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[str]) -> bool:
    return any(address in ipaddress.ip_network(network) for network in networks)
