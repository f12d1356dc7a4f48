"""The kernel's tables by netlink: transactions in, elements, chains and rules out (linux/netfilter/nfnetlink.h).

A program for each transaction would read all of a node's tables first, and would wait at its end until the kernel has let
go of what was removed. One socket stays open here, and the kernel is told what to do and nothing else.
"""

import contextlib
import errno
import os
import secrets
import socket
import struct
import threading
from collections.abc import Iterable, Iterator

from headrace.nft import messages
from headrace.nft.messages import Message

_NETLINK_NETFILTER, _OF_NFTABLES = 12, 10
_BEGIN, _END = 0x10, 0x11
_REQUEST, _ACK, _DUMP = 0x1, 0x4, 0x300
_ERROR, _DONE = 2, 3
_HEAD = struct.Struct('=IHHII')
_FAMILY_BYTES = 4
_BUFFER = 1 << 17
# A transaction is one message of the socket, however long; the kernel allows the owner of the network to send one.
_SO_SNDBUFFORCE, _LONGEST = 32, 1 << 28
_SECONDS = 60.0


class Kernel:
    """The tables of the network that `open` was called in."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._turn = threading.Lock()
        self._serial = secrets.randbits(32)

    def open(self) -> None:
        """Open the socket for transactions, if it is not open; it is that of the network of this thread. Raises OSError."""
        if self._socket is None:
            self._socket = _opened()
            self._socket.settimeout(0)

    def transact(self, told: Iterable[Message]) -> None:
        """Do some messages, all or none; raises OSError."""
        assert self._socket is not None
        with self._turn:
            _transact(self._socket, list(told))

    def serial(self) -> int:
        """Return a number that was not returned before, nor by another process."""
        self._serial += 1
        return self._serial

    def __del__(self) -> None:
        """Close the socket: it lives as long as the agent."""
        if self._socket is not None:
            self._socket.close()


class Reading:
    """One reading of the kernel's tables, on a socket of its own, so that it can take its time."""

    def __init__(self) -> None:
        self._socket = _opened()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def elements(self, name: str) -> Iterator[bytes]:
        """Yield the elements of a set; raises OSError."""
        told = messages.attribute(1, messages.TABLE_NAME) + messages.attribute(2, name.encode() + b'\0')
        for payload in _dump(self._socket, messages.GET_ELEMENTS, told):
            yield from messages.listed(payload)

    def chains(self) -> Iterator[str]:
        """Yield the names of the table's chains."""
        table = messages.TABLE_NAME.rstrip(b'\0').decode()
        for payload in _dump(self._socket, messages.GET_CHAIN, messages.attribute(1, messages.TABLE_NAME)):
            owner, name = messages.chain(payload)
            if owner == table:
                yield name

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield the chain and comment of each rule of the table, in order."""
        told = messages.attribute(1, messages.TABLE_NAME)
        return map(messages.rule, _dump(self._socket, messages.GET_RULE, told))


def _opened() -> socket.socket:
    with contextlib.ExitStack() as held:
        found = held.enter_context(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER))
        found.bind((0, 0))
        found.settimeout(_SECONDS)
        with contextlib.suppress(OSError):
            found.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _LONGEST)
        held.pop_all()
        return found


def _message(kind: int, flags: int, number: int, family: int, resource: int, body: bytes) -> bytes:
    content = struct.pack('=BB', family, 0) + struct.pack('>H', resource) + body
    return _HEAD.pack(_HEAD.size + len(content), kind, flags | _REQUEST, number, 0) + content


def _of_table(message: Message, number: int, flags: int = 0) -> bytes:
    kind, own_flags, body = message
    return _message(_OF_NFTABLES << 8 | kind, own_flags | flags, number, messages.INET, 0, body)


def _transact(netlink: socket.socket, told: list[Message]) -> None:
    if not told:
        return
    batch = [_message(_BEGIN, 0, 0, 0, _OF_NFTABLES, b'')]
    batch += [_of_table(message, number) for number, message in enumerate(told[:-1], 1)]
    batch += [_of_table(told[-1], len(told), _ACK), _message(_END, 0, len(told) + 1, 0, _OF_NFTABLES, b'')]
    netlink.send(b''.join(batch))
    _judge(netlink, told)


def _judge(netlink: socket.socket, told: list[Message]) -> None:
    """Read the answers to a transaction, which are all there when it was sent: one, and more where something was refused."""
    errors, answered = list[tuple[int, int]](), False
    with contextlib.suppress(BlockingIOError):
        while True:
            for kind, number, body in _answers(netlink.recv(_BUFFER, socket.MSG_DONTWAIT)):
                if kind == _ERROR:
                    answered = True
                    if code := -struct.unpack_from('=i', body)[0]:
                        errors.append((code, number))
    if errors:
        code, number = errors[0]
        what = f'message {number} of {len(told)} (kind {told[number - 1][0]})' if 0 < number <= len(told) else 'all'
        raise OSError(code, f'{os.strerror(code)}: {what}')
    if not answered:
        raise OSError(errno.EPROTO, 'the kernel has given no answer')


def _answers(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Yield kind, number and body of the messages in some bytes."""
    start = 0
    while start + _HEAD.size <= len(data):
        size, kind, _, number, _ = _HEAD.unpack_from(data, start)
        yield kind, number, data[start + _HEAD.size : start + size]
        start += (size + 3) & ~3


def _dump(netlink: socket.socket, kind: int, told: bytes) -> Iterator[bytes]:
    """Yield the attributes of all that the kernel has of a kind; raises OSError.

    That other tables have changed meanwhile is of no consequence, so what the kernel says of that is not looked at.
    """
    netlink.send(_of_table((kind, _DUMP, told), 1))
    while True:
        for answer, _, body in _answers(netlink.recv(_BUFFER)):
            if answer == _DONE:
                return
            if answer == _ERROR:
                code = -struct.unpack_from('=i', body)[0]
                raise OSError(code, os.strerror(code))
            yield body[_FAMILY_BYTES:]
