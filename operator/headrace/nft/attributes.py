"""Attributes of netlink: a size, a kind, and bytes that are padded to four (linux/netlink.h). Pure."""

import struct
from collections.abc import Iterator

_HEAD = struct.Struct('=HH')
# Without the flags of nested attributes, and of the byte order.
_KIND = 0x3FFF


def attribute(kind: int, data: bytes) -> bytes:
    """Return an attribute."""
    return _HEAD.pack(len(data) + _HEAD.size, kind) + data + b'\0' * (-len(data) % 4)


def attributes(data: bytes, start: int = 0) -> Iterator[tuple[int, bytes]]:
    """Yield the attributes in some bytes, by kind; what follows one that is shorter than its head is left out."""
    while start + _HEAD.size <= len(data):
        size, kind = _HEAD.unpack_from(data, start)
        if size < _HEAD.size:
            return
        yield kind & _KIND, data[start + _HEAD.size : start + size]
        start += (size + 3) & ~3
