"""The clients that kube-proxy remembers by `sessionAffinity`: at a hand-over they stay with their endpoints.

kube-proxy keeps them in the kernel: in mode nftables in a set for each endpoint, in mode iptables in a list of the match `recent`,
which is a file. Their names are made from those of the Service and its port and from the endpoint. Both are only read; what is not
there, or cannot be read, counts as no client.
"""

import base64
import contextlib
import hashlib
import ipaddress
import re
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from headrace.ir.l4 import Balanced
from headrace.names import Ref
from headrace.nft import groups, messages, netlink
from headrace.nft.attributes import attribute, attributes
from headrace.nft.transaction import declared, element_commands

_OF_NFTABLES = 10
_FAMILIES = {4: 2, 6: 10}
_KEY, _VALUE, _EXPIRATION, _HEAD_BYTES = 1, 1, 5, 4
_TABLE = b'kube-proxy\0'
# As long as the names of kube-proxy's chains and sets are without their first word.
_LONGEST_NAME = 240
_LISTS = Path('/proc/net/xt_recent')
_LINE = re.compile(r'src=(\S+) ttl: \d+ last_seen: (\d+) ')
# The clock whose steps are the kernel's ticks, and by how many seconds their count is ahead of its start.
_COARSE_CLOCK, _AHEAD_SECONDS = 6, 300
Endpoint = tuple[str, int]


def text(newcomers: Iterable[tuple[Ref, Balanced]]) -> str:
    """Return the transaction that gives the table the clients of groups that are new to it, '' for none; raises OSError."""
    lines = list[str]()
    for service, balanced in newcomers:
        clients, sets = find(service, balanced), groups.group(balanced).sets
        for (address, port), seconds in clients.items():
            name = groups.clients_set(balanced, address, port)
            elements = {(name, f'{client} timeout {left}s'): '' for client, left in seconds.items()}
            lines += [f'add {declared(sets[name])}', *element_commands('add', elements)]
    return ''.join(f'{line}\n' for line in lines)


def find(service: Ref, balanced: Balanced) -> dict[Endpoint, dict[str, int]]:
    """Return the clients of each endpoint, and for how many seconds more they stay with it; raises OSError."""
    found = {}
    with contextlib.closing(netlink.opened()) as opened:
        for endpoint in balanced.endpoints:
            clients = {**_of_list(service, balanced, endpoint), **_of_set(opened, service, balanced, endpoint)}
            if clients:
                found[endpoint] = clients
    return found


def _of_set(opened: socket.socket, service: Ref, balanced: Balanced, endpoint: Endpoint) -> dict[str, int]:
    """Return the clients that kube-proxy remembers in mode nftables."""
    address, port = endpoint
    where = f'{service.namespace}/{service.name}/{balanced.protocol.lower()}/{balanced.port}__{address}/{port}'.replace(
        ':', '.'
    )
    name = f'{_hash(where)[:8]}-{where}'
    if len(name) > _LONGEST_NAME:
        name = f'{name[: _LONGEST_NAME - 3]}...'
    told = attribute(1, _TABLE) + attribute(2, f'affinity-{name}'.encode() + b'\0')
    kind = _OF_NFTABLES << 8 | messages.GET_ELEMENTS
    family = _FAMILIES[ipaddress.ip_address(address).version]
    try:
        return dict(_clients(opened, netlink.message(kind, netlink.DUMP, 1, family, 0, told)))
    except FileNotFoundError:
        return {}


def _clients(opened: socket.socket, request: bytes) -> Iterator[tuple[str, int]]:
    for body in netlink.ask(opened, request):
        for element in messages.listed(body[netlink.FAMILY_BYTES :]):
            parts = dict(attributes(element, _HEAD_BYTES))
            key, left = dict(attributes(parts.get(_KEY, b''))), parts.get(_EXPIRATION)
            if _VALUE in key and left is not None:
                milliseconds = struct.unpack('>Q', left)[0]
                yield str(ipaddress.ip_address(key[_VALUE])), milliseconds // 1000 + 1


def _of_list(service: Ref, balanced: Balanced, endpoint: Endpoint) -> dict[str, int]:
    """Return the clients that kube-proxy remembers in mode iptables; lists have those too whose time is over."""
    address, port = endpoint
    name = f'{service.namespace}/{service.name}' + (f':{balanced.port}' if balanced.port else '')
    end = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
    try:
        text = (_LISTS / f'KUBE-SEP-{_hash(f"{name}{balanced.protocol.lower()}{end}")[:16]}').read_text()
    except OSError:
        return {}
    left = {client: round(balanced.affinity - _age(int(seen))) for client, seen in _LINE.findall(text)}
    return {str(ipaddress.ip_address(client)): seconds for client, seconds in left.items() if seconds > 0}


def _age(tick: int) -> float:
    """Return how many seconds ago a tick of the kernel was."""
    rate = round(1 / time.clock_getres(_COARSE_CLOCK))
    now = (1 << 32) - _AHEAD_SECONDS * rate + time.monotonic() * rate
    return max(0.0, (now - tick) / rate)


def _hash(text: str) -> str:
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()
