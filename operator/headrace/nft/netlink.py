"""Requests to the kernel's netfilter by netlink, and their answers (linux/netlink.h, linux/netfilter/nfnetlink.h)."""

import contextlib
import os
import socket
import struct
from collections.abc import Iterator

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
ERROR, DONE = 2, 3
# Of the head that follows the one of netlink: a family, a version, and a resource.
FAMILY_BYTES = 4
BUFFER = 1 << 18
_NETFILTER = 12
_HEAD = struct.Struct('=IHHII')
# A transaction is one message of the socket, however long; the kernel allows the owner of the network to send one.
_SO_SNDBUFFORCE, _LONGEST = 32, 1 << 28
_SECONDS = 60.0


def opened() -> socket.socket:
    """Return a socket to netfilter in the network of this thread; raises OSError."""
    with contextlib.ExitStack() as held:
        found = held.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETFILTER))
        found.bind((0, 0))
        found.settimeout(_SECONDS)
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _LONGEST)
        held.pop_all()
        return found


def message(kind: int, flags: int, number: int, family: int, resource: int, body: bytes) -> bytes:
    """Return a request; `kind` has the subsystem in its upper byte, `body` are attributes."""
    content = struct.pack('=BB', family, 0) + struct.pack('>H', resource) + body
    return _HEAD.pack(_HEAD.size + len(content), kind, flags | REQUEST, number, 0) + content


def answers(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, number and body of the messages in some bytes."""
    start = 0
    while start + _HEAD.size <= len(data):
        size, kind, _, number, _ = _HEAD.unpack_from(data, start)
        yield kind, number, data[start + _HEAD.size : start + size]
        start += (size + 3) & ~3


def error(body: bytes) -> int:
    """Return the number of the error in an answer of that kind, 0 for none."""
    return int(-struct.unpack_from('=i', body)[0])


def ask(netlink: socket.socket, request: bytes) -> Iterator[bytes]:
    """Send a request for a dump or an acknowledgement, and yield the bodies that answer it; raises OSError.

    What changes while the kernel dumps is of no consequence, so what it says of that is not looked at.
    """
    netlink.send(request)
    while True:
        for kind, _, body in answers(netlink.recv(BUFFER)):
            if kind == DONE:
                return
            if kind == ERROR:
                if number := error(body):
                    raise OSError(number, os.strerror(number))
                return
            yield body
