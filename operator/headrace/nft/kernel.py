"""The kernel's tables by netlink: transactions in, elements, chains and rules out (linux/netfilter/nfnetlink.h).

A program for each transaction would read all of a node's tables first, and would wait at its end until the kernel has let
go of what was removed. Here one socket stays open, and only the transaction's own messages are sent.
"""

import contextlib
import errno
import os
import socket
import threading
from collections.abc import Iterable, Iterator

from headrace.nft import messages, netlink
from headrace.nft.attributes import attribute
from headrace.nft.messages import Message

_OF_NFTABLES = 10
_BEGIN, _END = 0x10, 0x11


class Kernel:
    """The tables of the network that `open` was called in."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._turn = threading.Lock()

    def open(self) -> None:
        """Open the socket for transactions, if it is not open; it is that of the network of this thread. Raises OSError."""
        if self._socket is None:
            self._socket = netlink.opened()
            self._socket.settimeout(0)

    def transact(self, told: Iterable[Message]) -> None:
        """Do some messages, all or none; raises OSError."""
        assert self._socket is not None
        with self._turn:
            _transact(self._socket, list(told))

    def __del__(self) -> None:
        """Close the socket: it lives as long as the agent."""
        if self._socket is not None:
            self._socket.close()


class Reading:
    """One reading of the kernel's tables, on a socket of its own, so that it can take its time."""

    def __init__(self) -> None:
        self._socket = netlink.opened()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def elements(self, name: str) -> Iterator[bytes]:
        """Yield the elements of a set; raises OSError."""
        told = attribute(1, messages.TABLE_NAME) + attribute(2, name.encode() + b'\0')
        for payload in _dump(self._socket, messages.GET_ELEMENTS, told):
            yield from messages.listed(payload)

    def chains(self) -> Iterator[str]:
        """Yield the names of the table's chains."""
        table = messages.TABLE_NAME.rstrip(b'\0').decode()
        for payload in _dump(self._socket, messages.GET_CHAIN, attribute(1, messages.TABLE_NAME)):
            owner, name = messages.chain(payload)
            if owner == table:
                yield name

    def rules(self) -> Iterator[tuple[str, str]]:
        """Yield the chain and comment of each rule of the table, in order."""
        told = attribute(1, messages.TABLE_NAME)
        return map(messages.rule, _dump(self._socket, messages.GET_RULE, told))


def _of_table(message: Message, number: int, flags: int = 0) -> bytes:
    kind, own_flags, body = message
    return netlink.message(_OF_NFTABLES << 8 | kind, own_flags | flags, number, messages.INET, 0, body)


def _transact(opened: socket.socket, told: list[Message]) -> None:
    if not told:
        return
    batch = [netlink.message(_BEGIN, 0, 0, 0, _OF_NFTABLES, b'')]
    batch += [_of_table(message, number) for number, message in enumerate(told[:-1], 1)]
    batch += [
        _of_table(told[-1], len(told), netlink.ACK),
        netlink.message(_END, 0, len(told) + 1, 0, _OF_NFTABLES, b''),
    ]
    opened.send(b''.join(batch))
    _judge(opened, told)


def _judge(opened: socket.socket, told: list[Message]) -> None:
    """Read the answers to a transaction, which are all there when it was sent: one, and more where something was refused."""
    errors, answered = list[tuple[int, int]](), False
    with contextlib.suppress(BlockingIOError):
        while True:
            for kind, number, body in netlink.answers(opened.recv(netlink.BUFFER, socket.MSG_DONTWAIT)):
                if kind == netlink.ERROR:
                    answered = True
                    if code := netlink.error(body):
                        errors.append((code, number))
    if errors:
        code, number = errors[0]
        what = f'message {number} of {len(told)} (kind {told[number - 1][0]})' if 0 < number <= len(told) else 'all'
        raise OSError(code, f'{os.strerror(code)}: {what}')
    if not answered:
        raise OSError(errno.EPROTO, 'the kernel has given no answer')


def _dump(opened: socket.socket, kind: int, told: bytes) -> Iterator[bytes]:
    """Yield the attributes of all that the kernel has of a kind; raises OSError."""
    for body in netlink.ask(opened, _of_table((kind, netlink.DUMP, told), 1)):
        yield body[netlink.FAMILY_BYTES :]
