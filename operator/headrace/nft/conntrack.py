"""What the kernel remembers of flows: what it is not to go on with is removed.

A client of UDP keeps its port for long, and the kernel keeps sending it to the endpoint that it once had (rule 37).
Connections that pass HAProxy by go on by it as well, when HAProxy serves their address from now on.
Spoken by netlink (linux/netfilter/nfnetlink_conntrack.h), because the program `conntrack` is rarely there.
"""

import ipaddress
import socket
import struct
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from headrace.ir.fragment import Kind
from headrace.ir.l4 import Action, Balanced, VirtualAddress
from headrace.nft import netlink
from headrace.nft.attributes import attribute, attributes
from headrace.resolve.changes import Change

_CTNETLINK = 1
_GET, _DELETE = 1, 2
_NESTED = 0x8000
_ORIGINAL, _REPLY = 1, 2
_ADDRESSES, _PORTS = 1, 2
_SOURCE: dict[int, int] = {socket.AF_INET: 1, socket.AF_INET6: 3}
_TARGET: dict[int, int] = {socket.AF_INET: 2, socket.AF_INET6: 4}
_PROTOCOL, _SOURCE_PORT, _TARGET_PORT = 1, 2, 3


@dataclass(frozen=True, slots=True)
class Flow:
    """A flow: where its client sent to, who answers, and the tuple by which it is removed."""

    family: int
    protocol: int
    target: tuple[str, int]
    answers: tuple[str, int]
    original: bytes


def may_leave_flows(change: Change) -> bool:
    """Tell whether a change can leave flows behind that the kernel would go on with: those of UDP."""
    virtual_addresses = any(
        item.key[0] is Kind.VIRTUAL_ADDRESS and item.key[1].endswith('/UDP') for item in change.pointers
    )
    groups = any(
        balanced.protocol == 'UDP'
        for item in change.fragments
        for fragment in (item.old, item.new)
        if fragment is not None
        for balanced in fragment.balanced
    )
    return virtual_addresses or groups


def forget(virtual_addresses: Mapping[str, VirtualAddress], groups: Mapping[str, Balanced]) -> int:
    """Remove the UDP flows to virtual addresses whose endpoint is gone; return how many. Raises OSError."""
    usable = {}
    for key, virtual_address in virtual_addresses.items():
        address_port, _, protocol = key.rpartition('/')
        if protocol == 'UDP':
            address, _, number = address_port.rpartition(':')
            usable[address, int(number)] = {
                endpoint
                for path in (virtual_address.external_path, virtual_address.local_path)
                if path.action is Action.SERVE and path.group in groups
                for endpoint in groups[path.group].endpoints
            }
    return _remove_all(socket.IPPROTO_UDP, lambda flow: is_idle(flow, usable)) if usable else 0


def end(past: Mapping[tuple[str, int], str], node_address: str, listeners: Collection[int]) -> int:
    """Remove the TCP flows to some addresses that do not lead to a listener of HAProxy; return how many. Raises OSError.

    `past` tells what stands in for each address at HAProxy, '' for the node's own.
    Their next packet comes to HAProxy, which knows no such connection, and resets it.
    """

    def is_past(flow: Flow) -> bool:
        stand_in = past.get(flow.target)
        address, port = flow.answers
        return stand_in is not None and (address != (stand_in or node_address) or port not in listeners)

    return _remove_all(socket.IPPROTO_TCP, is_past) if past else 0


def _remove_all(protocol: int, is_wanted: Callable[[Flow], bool]) -> int:
    with netlink.opened() as opened:
        flows = [
            flow
            for family in (socket.AF_INET, socket.AF_INET6)
            for flow in _flows(opened, family)
            if flow.protocol == protocol and is_wanted(flow)
        ]
        return sum(_remove(opened, flow) for flow in flows)


def is_idle(flow: Flow, usable: Mapping[tuple[str, int], set[tuple[str, int]]]) -> bool:
    """Tell whether a flow leads from a virtual address to no endpoint that serves; where none serves at all, flows are left (rule 37)."""
    endpoints = usable.get(flow.target)
    return endpoints is not None and bool(endpoints) and flow.answers not in endpoints


def _flows(opened: socket.socket, family: int) -> list[Flow]:
    bodies = netlink.ask(opened, _request(_GET, netlink.DUMP, family))
    return [flow for body in bodies if (flow := _flow(body)) is not None]


def _remove(opened: socket.socket, flow: Flow) -> bool:
    request = _request(_DELETE, netlink.ACK, flow.family, attribute(_ORIGINAL | _NESTED, flow.original))
    try:
        list(netlink.ask(opened, request))
    except FileNotFoundError:
        # It has ended by itself meanwhile.
        return False
    return True


def _request(kind: int, flags: int, family: int, body: bytes = b'') -> bytes:
    return netlink.message(_CTNETLINK << 8 | kind, flags, 1, family, 0, body)


def _flow(body: bytes) -> Flow | None:
    """Return the flow in a message: a head of four bytes, then attributes."""
    parts = dict(attributes(body, netlink.FAMILY_BYTES))
    original, reply = parts.get(_ORIGINAL), parts.get(_REPLY)
    if original is None or reply is None:
        return None
    family = body[0]
    target, answers = _end(original, family, _TARGET, _TARGET_PORT), _end(reply, family, _SOURCE, _SOURCE_PORT)
    if target is None or answers is None:
        return None
    return Flow(family, target[2], target[:2], answers[:2], original)


def _end(text: bytes, family: int, address: dict[int, int], port: int) -> tuple[str, int, int] | None:
    """Return address, port and protocol of one end of a tuple."""
    parts = dict(attributes(text))
    addresses, ports = dict(attributes(parts.get(_ADDRESSES, b''))), dict(attributes(parts.get(_PORTS, b'')))
    packed_address = addresses.get(address.get(family, 0))
    if packed_address is None or _PROTOCOL not in ports or port not in ports:
        return None
    return str(ipaddress.ip_address(packed_address)), struct.unpack('>H', ports[port][:2])[0], ports[_PROTOCOL][0]
