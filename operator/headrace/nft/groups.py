"""Groups of endpoints among which the kernel balances, as parts of the node's table.

Pure. Where all endpoints have equal shares, and no client is remembered, a group is elements of maps that all groups share:
a virtual address leads to the chain of all groups with as many endpoints, which draws a number and finds the endpoint by
the address and that number. So a group costs no chain of its own, of which the kernel checks each at every change. With
weights a group has one chain, with affinity one more for each endpoint.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

from headrace.ir.l4 import Balanced
from headrace.nft import layout
from headrace.nft.layout import Chain, family, ip_keyword

# So many clients an endpoint remembers, so that clients cannot fill the kernel's memory.
_AFFINITY_SIZE = 262_144
# A draw among endpoints with weights is one of so many.
_WEIGHTED_DRAWS = 65_536
# How the names of a single group's sets and chains begin, those that others lead to first.
_PREFIXES = ('a-', 'e-', 'b-')


class Draw(NamedTuple):
    """What all groups with as many endpoints share: for clients of one side ('' or 'near'), and one family."""

    side: str
    version: int
    size: int

    @property
    def name(self) -> str:
        """Return the name of the chain."""
        return f'{self.side}draw{self.version}-{self.size}'

    @property
    def chain(self) -> Chain:
        """Return the chain."""
        keyword = ip_keyword(self.version)
        number = f'numgen random mod {self.size}'
        return Chain('', (f'dnat {keyword} to {layout.virtual_address(self.version)} . {number} map @{self.map}',))

    @property
    def map(self) -> str:
        """Return the name of the map in which it looks for the endpoint."""
        return f'{self.side}ends{self.version}'


def order(name: str) -> int:
    """Return where a chain or set of groups stands among others, of which each leads to earlier ones alone; -1 for what is not one."""
    if name.removeprefix('near').startswith('draw'):
        return 0
    return _PREFIXES.index(name[:2]) if name.startswith(_PREFIXES) else -1


@dataclass(frozen=True, slots=True)
class Group:
    """A group of endpoints as chains of the table, by name, the one that virtual addresses lead to last; and the sets they use."""

    chains: Mapping[str, Chain]
    sets: Mapping[str, str]


def group(balanced: Balanced) -> Group:
    """Return the chains and sets that are a group's alone: none where all endpoints have equal shares."""
    if is_even(balanced):
        return Group({}, {})
    protocol = balanced.protocol.lower()
    keyword = ip_keyword(family(balanced.endpoints[0][0]))
    size, draws = _draws(balanced)
    if not balanced.affinity:
        endpoints = ', '.join(
            f'{draw} : {address} . {port}'
            for draw, (address, port) in zip(draws, balanced.endpoints, strict=True)
            if draw
        )
        rule = f'meta l4proto {protocol} dnat {keyword} to numgen random mod {size} map {{ {endpoints} }}'
        return Group({f'b-{balanced.name}': Chain('', (rule,))}, {})
    chains, sets, marks = {}, {}, []
    for address, port in balanced.endpoints:
        mark = _mark(balanced, address, port)
        marks.append(mark)
        kind = f'type ipv{family(address)}_addr; flags dynamic,timeout'
        clients = clients_set(balanced, address, port)
        sets[clients] = f'set {clients} {{ {kind}; timeout {balanced.affinity}s; size {_AFFINITY_SIZE}; }}'
        target = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
        rule = f'meta l4proto {protocol} update @{clients} {{ {keyword} saddr }} dnat {keyword} to {target}'
        chains[f'e-{mark}'] = Chain('', (rule,))
    returning = [f'{keyword} saddr @a-{mark}-{balanced.affinity} goto e-{mark}' for mark in marks]
    spread = ', '.join(f'{draw} : goto e-{mark}' for draw, mark in zip(draws, marks, strict=True) if draw)
    chains[f'b-{balanced.name}'] = Chain('', (*returning, f'numgen random mod {size} vmap {{ {spread} }}'))
    return Group(chains, sets)


def _mark(balanced: Balanced, address: str, port: int) -> str:
    return f'{balanced.name}-{ipaddress.ip_address(address).packed.hex()}{port:04x}'


def clients_set(balanced: Balanced, address: str, port: int) -> str:
    """Return the name of the set of the clients that an endpoint has; the time is a part of it, for a set's own cannot be changed."""
    return f'a-{_mark(balanced, address, port)}-{balanced.affinity}'


def is_even(balanced: Balanced) -> bool:
    """Tell whether each endpoint of a group has one draw, and no client is remembered."""
    return not balanced.affinity and not balanced.weights


def _draws(balanced: Balanced) -> tuple[int, tuple[str, ...]]:
    """Return of how many draws each endpoint of a group has which, as a number or a range; '' for none.

    With weights each bound is rounded by itself, so no share is off by more than one draw.
    """
    if not balanced.weights:
        size = len(balanced.endpoints)
        return size, tuple(map(str, range(size)))
    total = sum(balanced.weights)
    ends = [_WEIGHTED_DRAWS * sofar // total for sofar in accumulate(balanced.weights)]
    draws = (
        (f'{first}-{end - 1}' if end - first > 1 else str(first)) if end > first else ''
        for first, end in zip((0, *ends), ends, strict=False)
    )
    return _WEIGHTED_DRAWS, tuple(draws)
