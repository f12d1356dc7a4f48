"""The route that makes the stand-ins of IPv6 addresses this node's own: one network in the table `local`, on no interface.

Spoken by netlink (linux/rtnetlink.h), because the program `ip` may not be there.
"""

import ipaddress
import os
import socket
import struct

from headrace.names import SYNTHETIC_ADDRESSES

_NEW, _DELETE = 24, 25
_REQUEST, _ACK, _REPLACE, _CREATE = 0x1, 0x4, 0x100, 0x400
_TABLE_LOCAL, _BY_ADMINISTRATORS, _SCOPE_HOST, _LOCAL = 255, 4, 254, 2
_TARGET, _DEVICE = 1, 4
_HEAD = struct.Struct('=IHHII')


class RouteError(Exception):
    """The kernel does not take the route; the message says why."""


def add() -> None:
    """Add the route, or leave it as it is; raises RouteError, as where there is no IPv6."""
    _tell(_NEW, _REQUEST | _ACK | _REPLACE | _CREATE)


def remove() -> bool:
    """Remove the route; return whether there was one."""
    try:
        _tell(_DELETE, _REQUEST | _ACK)
    except RouteError:
        return False
    return True


def _tell(kind: int, flags: int) -> None:
    network = ipaddress.IPv6Network(SYNTHETIC_ADDRESSES)
    head = struct.pack(
        '=8BI',
        socket.AF_INET6,
        network.prefixlen,
        0,
        0,
        _TABLE_LOCAL,
        _BY_ADMINISTRATORS,
        _SCOPE_HOST,
        _LOCAL,
        0,
    )
    target = struct.pack('=HH', 20, _TARGET) + network.network_address.packed
    try:
        device = struct.pack('=HHI', 8, _DEVICE, socket.if_nametoindex('lo'))
        body = head + target + device
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
            netlink.settimeout(5)
            netlink.send(_HEAD.pack(_HEAD.size + len(body), kind, flags, 1, 0) + body)
            answer = netlink.recv(4096)
    except OSError as error:
        raise RouteError(f'the route to {SYNTHETIC_ADDRESSES}: {error.strerror or error}') from error
    number = -struct.unpack_from('=i', answer, _HEAD.size)[0]
    if number:
        raise RouteError(f'the route to {SYNTHETIC_ADDRESSES}: {os.strerror(number)}')
