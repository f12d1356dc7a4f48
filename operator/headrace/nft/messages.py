"""From a transaction to the messages of netlink that make it, and from what the kernel says back to elements and rules.

Pure (linux/netfilter/nf_tables.h). Only what changes with Services is put into messages: elements of sets without
intervals, and the chains in which groups of endpoints draw. All else is text for nft. An element is written in the bytes
in which the kernel tells it, so that both can be compared without reading them.
"""

import ipaddress
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

from headrace.nft import layout
from headrace.nft.attributes import attribute, attributes
from headrace.nft.groups import Draw
from headrace.nft.layout import TABLE
from headrace.nft.transaction import Element, Transaction

TABLE_NAME = TABLE.rpartition(' ')[2].encode() + b'\0'
INET = 1
(NEW_CHAIN, GET_CHAIN) = (3, 4)
(NEW_RULE, GET_RULE, DELETE_RULE) = (6, 7, 8)
(NEW_ELEMENTS, GET_ELEMENTS, DELETE_ELEMENTS) = (12, 13, 14)
CREATE, APPEND = 0x400, 0x800
# Attributes of elements, chains and rules.
_LIST_TABLE, _LIST_SET, _LIST_ELEMENTS = 1, 2, 3
_KEY, _DATA, _FLAGS, _EXPRESSION, _KEY_END = 1, 2, 3, 7, 10
_CHAIN_NAME, _RULE_CHAIN, _RULE_EXPRESSIONS, _RULE_USER_DATA = 3, 2, 4, 7
_INTERVAL_END = 1
_HEAD, _KEY_HEAD, _PADDED_PORT, _SLOT = map(struct.Struct, ('=HH', '=HHHH', '>HH', '=I'))
# The verdicts that elements hold.
_DROP, _ACCEPT, _GOTO = 0, 1, -4
# Of a virtual address: address, protocol and port.
_FIELDS = 3
_PROTOCOLS = {'tcp': 6, 'udp': 17, 'sctp': 132}
# NFPROTO_IPV4 and NFPROTO_IPV6
_FAMILY = {4: 2, 6: 10}
# An attribute is 65,535 bytes at most, and so are the elements of one message.
_MOST_BYTES = 60_000

Message = tuple[int, int, bytes]
Sum = tuple[int, int]


def has_intervals(name: str) -> bool:
    """Tell whether a set of the table holds networks."""
    return name[:-1] in layout.INTERVALS


def is_counted(name: str) -> bool:
    """Tell whether elements of a set count packets."""
    return name[:-1] in layout.COUNTED


def can_tell(transaction: Transaction) -> bool:
    """Tell whether a transaction can be put into messages."""
    return (
        not transaction.sets
        and not transaction.chains
        and not any(has_intervals(name) for name, _ in (*transaction.removals, *transaction.additions))
    )


def of(transaction: Transaction) -> Iterator[Message]:
    """Yield the messages of a transaction, which `can_tell` has said can be had: kind, flags, attributes."""
    for draw in sorted(transaction.draws):
        at = attribute(1, TABLE_NAME)
        yield NEW_CHAIN, CREATE, at + attribute(_CHAIN_NAME, draw.name.encode() + b'\0')
        yield DELETE_RULE, 0, at + attribute(_RULE_CHAIN, draw.name.encode() + b'\0')
        yield _drawing(draw)
    yield from _listed(DELETE_ELEMENTS, 0, dict.fromkeys(transaction.removals, ''))
    yield from _listed(NEW_ELEMENTS, CREATE, transaction.additions)


def _listed(kind: int, flags: int, values: Mapping[Element, str]) -> Iterator[Message]:
    by_set: dict[str, list[bytes]] = {}
    for (name, key), value in values.items():
        by_set.setdefault(name, []).append(element(key, value))
    for name, found in by_set.items():
        where = attribute(_LIST_TABLE, TABLE_NAME) + attribute(_LIST_SET, name.encode() + b'\0')
        for part in _parts(found):
            yield kind, flags, where + attribute(_LIST_ELEMENTS, part)


def _parts(found: Iterable[bytes]) -> Iterator[bytes]:
    part, size = list[bytes](), 0
    for item in found:
        if size + len(item) > _MOST_BYTES:
            yield b''.join(part)
            part, size = [], 0
        part.append(item)
        size += len(item)
    if part:
        yield b''.join(part)


def sums(blocks: Iterable[Mapping[Element, str]]) -> dict[str, Sum]:
    """Return of each set without intervals how many elements it has, and the sum of their hashes."""
    counts, totals = Counter[str](), Counter[str]()
    for block in blocks:
        for (name, key), value in block.items():
            if not has_intervals(name):
                counts[name] += 1
                totals[name] += hash(element(key, value))
    return {name: (number, totals[name]) for name, number in counts.items()}


def sum_of(raws: Iterable[bytes]) -> Sum:
    """Return how many elements there are, and the sum of their hashes."""
    number = total = 0
    for raw in raws:
        number += 1
        total += hash(raw)
    return number, total


# --- elements ---------------------------------------------------------------------------------------------------------


def element(key: str, value: str) -> bytes:
    """Return an element as the kernel tells it; `value` is '' in sets, and does not count for what is removed."""
    if key.count(' . ') == _FIELDS:
        # A slot is drawn, so it is a number of the machine.
        start, _, slot = key.rpartition(' . ')
        packed = _start(start) + _SLOT.pack(int(slot))
    else:
        packed = _start(key)
    return _element(packed, (_end(value) if ' . ' in value else _verdict(value)) if value else b'')


def _element(key: bytes, data: bytes) -> bytes:
    size = len(key)
    parts = _KEY_HEAD.pack(size + 8, _KEY, size + 4, 1) + key
    if data:
        parts += _HEAD.pack(len(data) + 4, _DATA) + data
    return _HEAD.pack(len(parts) + 4, 1) + parts


# The elements of a virtual address begin with the same key, and come one after the other.
@lru_cache(maxsize=256)
def _start(text: str) -> bytes:
    return b''.join(map(_field, text.split(' . ')))


@lru_cache(maxsize=256)
def _end(value: str) -> bytes:
    packed = b''.join(map(_field, value.split(' . ')))
    return _HEAD.pack(len(packed) + 4, 1) + packed


def _field(text: str) -> bytes:
    """Return a part of a key or value: address, protocol or port."""
    if '.' in text:
        return bytes(map(int, text.split('.')))
    if ':' in text:
        return ipaddress.ip_address(text).packed
    if text in _PROTOCOLS:
        return bytes((_PROTOCOLS[text], 0, 0, 0))
    return _PADDED_PORT.pack(int(text), 0)


@lru_cache(maxsize=256)
def _verdict(value: str) -> bytes:
    code = {'drop': _DROP, 'accept': _ACCEPT}.get(value, _GOTO)
    verdict = attribute(1, struct.pack('>i', code))
    if code == _GOTO:
        verdict += attribute(2, value.removeprefix('goto ').encode() + b'\0')
    return attribute(2, verdict)


# --- chains -----------------------------------------------------------------------------------------------------------


def _drawing(draw: Draw) -> Message:
    """Return the rule of a chain that draws an endpoint: what nft makes of its text."""
    (comment,) = draw.chain.comments
    ipv4 = draw.version == 4  # noqa: PLR2004
    # Registers have four bytes each: an address, a protocol, a port, and the number, and so the endpoint's address and port.
    address, after = 1, 9 if ipv4 else 2
    port, number = (10, 11) if ipv4 else (13, 14)
    expressions = (
        ('meta', _numbers((2, 15), (1, 1))),
        ('cmp', _numbers((1, 1), (2, 0)) + attribute(3, attribute(1, bytes((_FAMILY[draw.version],))))),
        ('payload', _numbers((1, address), (2, 1), (3, 16 if ipv4 else 24), (4, 4 if ipv4 else 16))),
        ('meta', _numbers((2, 16), (1, after))),
        ('payload', _numbers((1, port), (2, 2), (3, 2), (4, 2))),
        ('numgen', _numbers((1, number), (2, draw.size), (3, 1), (4, 0))),
        ('lookup', attribute(1, draw.map.encode() + b'\0') + _numbers((2, address), (3, address), (5, 0))),
        ('nat', _numbers((1, 1), (2, _FAMILY[draw.version]), (3, 1), (4, 1), (5, after), (6, after), (7, 3))),
    )
    return (
        NEW_RULE,
        CREATE | APPEND,
        attribute(1, TABLE_NAME)
        + attribute(_RULE_CHAIN, draw.name.encode() + b'\0')
        + attribute(_RULE_EXPRESSIONS, b''.join(_expression(kind, data) for kind, data in expressions))
        + attribute(_RULE_USER_DATA, bytes((0, len(comment) + 1)) + comment.encode() + b'\0'),
    )


def _expression(kind: str, data: bytes) -> bytes:
    return attribute(1, attribute(1, kind.encode() + b'\0') + attribute(2, data))


def _numbers(*values: tuple[int, int]) -> bytes:
    return b''.join(struct.pack('=HH', 8, kind) + struct.pack('>I', value) for kind, value in values)


# --- what the kernel tells --------------------------------------------------------------------------------------------


def listed(payload: bytes) -> Iterator[bytes]:
    """Yield the elements in an answer about a set."""
    for kind, data in attributes(payload):
        start = 0
        while kind == _LIST_ELEMENTS and start < len(data):
            size = (
                data[start] | data[start + 1] << 8 if sys.byteorder == 'little' else data[start] << 8 | data[start + 1]
            )
            yield data[start : start + size]
            start += size


def bare(raw: bytes) -> bytes:
    """Return an element without its counter."""
    size = struct.unpack_from('=H', raw, 4)[0]
    return _HEAD.pack(size + 4, 1) + raw[4 : 4 + size]


def counted(raw: bytes) -> tuple[bytes, int, int]:
    """Return an element's key, and its packets and bytes."""
    packets, octets = 0, 0
    parts = dict(attributes(raw, 4))
    expression = dict(attributes(parts.get(_EXPRESSION, b'')))
    if expression.get(1) == b'counter\0':
        counter = dict(attributes(expression[2]))
        octets, packets = int.from_bytes(counter[1]), int.from_bytes(counter[2])
    return _key(parts[_KEY]), packets, octets


def rule(payload: bytes) -> tuple[str, str]:
    """Return the chain of a rule, and its comment, '' for none."""
    found = dict(attributes(payload))
    data, start = found.get(_RULE_USER_DATA, b''), 0
    while start + 2 <= len(data):
        kind, size = data[start], data[start + 1]
        if kind == 0:
            return _name(found[_RULE_CHAIN]), _name(data[start + 2 : start + 2 + size])
        start += 2 + size
    return _name(found[_RULE_CHAIN]), ''


def chain(payload: bytes) -> tuple[str, str]:
    """Return the table of a chain, and its name."""
    found = dict(attributes(payload))
    return _name(found[1]), _name(found[_CHAIN_NAME])


def _name(data: bytes) -> str:
    return data.rstrip(b'\0').decode()


def text(name: str, raw: bytes) -> tuple[Element, str]:
    """Return an element without intervals as the ruleset writes it, and its value."""
    parts = dict(attributes(raw, 4))
    value = ''
    if _DATA in parts:
        kind, data = next(attributes(parts[_DATA]))
        value = ' . '.join((_address(data[:-4]), _port(data[-4:]))) if kind == 1 else _verdict_text(data)
    return (name, key_text(name, _key(parts[_KEY]))), value


def intervals(name: str, raws: Iterable[bytes]) -> Iterator[Element]:
    """Yield the elements of a set of networks as the ruleset writes them."""
    bounds = list[tuple[bytes, bool]]()
    for raw in raws:
        parts = dict(attributes(raw, 4))
        key = _key(parts[_KEY])
        if _KEY_END in parts:
            size = 4 if name.endswith('4') else 16
            network = _network(key[-size:], _key(parts[_KEY_END])[-size:])
            yield name, f'{key_text(name, key[:-size])} . {network}'
        else:
            flags = struct.unpack('>I', parts[_FLAGS])[0] if _FLAGS in parts else 0
            bounds.append((key, not flags & _INTERVAL_END))
    bounds.sort()
    for number, (first, begins) in enumerate(bounds):
        if begins:
            end = bounds[number + 1][0] if number + 1 < len(bounds) else None
            size = len(first)
            last = (int.from_bytes(end) - 1).to_bytes(size) if end is not None else b'\xff' * size
            yield name, _network(first, last)


def key_text(name: str, key: bytes) -> str:
    """Return a key as the ruleset writes it: two addresses, or a virtual address and perhaps a slot."""
    size = 4 if name.endswith('4') else 16
    if name.startswith('hairpin'):
        return f'{_address(key[:size])} . {_address(key[size:])}'
    protocol = next((word for word, number in _PROTOCOLS.items() if number == key[size]), str(key[size]))
    fields = [_address(key[:size]), protocol, _port(key[size + 4 : size + 8])]
    if len(key) > size + 8:
        fields.append(str(struct.unpack('=I', key[size + 8 :])[0]))
    return ' . '.join(fields)


def _key(data: bytes) -> bytes:
    return next(attributes(data))[1]


def _address(data: bytes) -> str:
    return str(ipaddress.ip_address(data))


def _port(data: bytes) -> str:
    return str(struct.unpack('>H', data[:2])[0])


def _network(first: bytes, last: bytes) -> str:
    found = ipaddress.summarize_address_range(ipaddress.ip_address(first), ipaddress.ip_address(last))
    return ', '.join(layout.host(str(network)) for network in found)


def _verdict_text(data: bytes) -> str:
    parts = dict(attributes(data))
    code = struct.unpack('>i', parts[1])[0]
    return f'goto {_name(parts[2])}' if code == _GOTO else {_DROP: 'drop', _ACCEPT: 'accept'}.get(code, str(code))
