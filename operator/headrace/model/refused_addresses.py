"""Which addresses no endpoint may have: those that mean the connecting machine itself, and headrace's own listeners.

Users of an API server write endpoints that headrace connects to from its own network, so what is reachable there alone is
refused. A folder is written by the machine's own administrator, and its endpoints may be on loopback.
"""

import ipaddress
import re
from collections.abc import Iterable

from headrace.cluster.objects import Service, ServicePort
from headrace.model.ir import Group
from headrace.model.view import View
from headrace.verdicts import Verdict

# IPv4 networks that are refused from an API server: this host, loopback, link-local, multicast, reserved.
NETWORKS = ('0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3')
# Those of them that lead to this host.
LOOPBACK = ('0.0.0.0/8', '127.0.0.0/8')
# Matches all that may be refused, and little else: to parse each endpoint would cost more than all the rest of a change.
_SUSPECT = re.compile(r' (?:0\.|127\.|169\.254\.|2[2-5]\d\.|::|fe[89ab]|ff)')
_SHOWN = 3


def split(groups: tuple[Group, ...], view: View) -> tuple[tuple[Group, ...], tuple[str, ...]]:
    """Return groups without the endpoints that are refused, and those as ADDRESS:PORT."""
    if not any(_is_suspect(group.addresses, view) for group in groups):
        return groups, ()
    refused = {
        (group.port, address)
        for group in groups
        for address in group.addresses
        if _is_refused(address, group.port, view)
    }
    kept = (
        Group(group.port, tuple(address for address in group.addresses if (group.port, address) not in refused))
        for group in groups
    )
    shown = tuple(f'[{address}]:{port}' if ':' in address else f'{address}:{port}' for port, address in sorted(refused))
    return tuple(group for group in kept if group.addresses), shown


def judge(service: Service, port: ServicePort, refused: tuple[str, ...]) -> tuple[Verdict, ...]:
    """Return the diagnostic about a port's endpoints that are refused."""
    if not refused:
        return ()
    more = f' and {len(refused) - _SHOWN} more' if len(refused) > _SHOWN else ''
    which = f'{", ".join(refused[:_SHOWN])}{more}'
    message = f'port {port.label}: no traffic for {which}: loopback, link-local, multicast, or a listener of headrace'
    return (Verdict(service.ref, 'EndpointRefused', message),)


def is_own_port(port: int, view: View) -> bool:
    """Tell whether headrace itself listens on a port."""
    return port in view.own_ports or any(first <= port <= last for first, last in view.tcp_ranges)


def _is_suspect(addresses: tuple[str, ...], view: View) -> bool:
    return _SUSPECT.search(' '.join(('', *addresses))) is not None or not view.own_addresses.isdisjoint(addresses)


def _is_refused(text: str, port: int, view: View) -> bool:
    address = ipaddress.ip_address(text)
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    address = mapped or address
    if view.api_server and (_is_in(address, NETWORKS) or address.is_loopback or _is_special(address)):
        return True
    here = address.is_loopback or address.is_unspecified or str(address) in view.own_addresses
    return here and is_own_port(port, view)


def _is_special(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_link_local or address.is_multicast or address.is_unspecified


def _is_in(address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Iterable[str]) -> bool:
    return any(address in ipaddress.ip_network(network) for network in networks)
