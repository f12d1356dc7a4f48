"""What tells the kernel a node's table: netlink for what there is much of, else the `nft` program, a process for each call.

What a call does is done whole or not at all.
"""

import asyncio
import signal
from dataclasses import dataclass, field
from typing import NamedTuple

from headrace.nft import layout, live_state, messages
from headrace.nft.kernel import Kernel, Reading
from headrace.nft.layout import TABLE
from headrace.nft.live_state import LiveState
from headrace.nft.rules import Table
from headrace.nft.transaction import Transaction

_SECONDS = 60.0
_LONGEST_ERROR = 500


class NftError(Exception):
    """nft has not done what was asked; the message says why."""


class Counter(NamedTuple):
    """What an element has counted: the kind of its set, its key (address, protocol and port), packets and bytes."""

    kind: str
    key: str
    packets: int
    octets: int


@dataclass(frozen=True, slots=True)
class Nft:
    """The program, by its path, and the kernel."""

    binary: str
    kernel: Kernel = field(default_factory=Kernel)

    async def apply(self, text: str) -> None:
        """Do a transaction; raises NftError, and then nothing of it is done."""
        await self._call(('-f', '-'), text)

    async def do(self, transaction: Transaction) -> None:
        """Do a transaction, by netlink where it can be put into messages; raises NftError, and then nothing of it is done."""
        if not transaction:
            return
        if messages.can_tell(transaction):
            await self._tell(transaction)
            return
        if transaction.draws:
            # Nothing leads there before the rest is done.
            await self._tell(Transaction(draws=transaction.draws))
        if text := transaction.text:
            await self.apply(text)

    async def _tell(self, transaction: Transaction) -> None:
        try:
            # The socket is one of this thread's network.
            self.kernel.open()
            await asyncio.to_thread(self._transact, transaction)
        except OSError as error:
            raise NftError(f'netlink: {error.strerror or error}') from error

    def _transact(self, transaction: Transaction) -> None:
        self.kernel.transact(messages.of(transaction))

    async def live(self, table: Table) -> LiveState:
        """Return the table as the kernel has it, to compare it with what it should be, and nothing where there is none; raises NftError."""
        try:
            reading = Reading()
        except OSError as error:
            raise NftError(f'netlink: {error.strerror or error}') from error
        try:
            return await asyncio.to_thread(live_state.read, reading, table.sums)
        except OSError as error:
            raise NftError(f'netlink: {error.strerror or error}') from error
        finally:
            reading.close()

    async def counters(self) -> list[Counter]:
        """Return what the elements have counted that have counted anything; raises NftError."""
        try:
            reading = Reading()
        except OSError as error:
            raise NftError(f'netlink: {error.strerror or error}') from error
        try:
            return await asyncio.to_thread(_counters, reading)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise NftError(f'netlink: {error.strerror or error}') from error
        finally:
            reading.close()

    async def present(self) -> bool:
        """Tell whether the table is there; raises NftError."""
        text = await self._call(('list', 'tables', 'inet'), '')
        return f'table {TABLE}' in text.splitlines()

    async def remove(self) -> None:
        """Remove the table, if it is there; raises NftError."""
        await self.apply(f'add table {TABLE}\ndelete table {TABLE}\n')

    async def _call(self, arguments: tuple[str, ...], text: str) -> str:
        try:
            process = await asyncio.create_subprocess_exec(
                self.binary,
                *arguments,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise NftError(f'{self.binary}: {error.strerror or error}') from error
        try:
            async with asyncio.timeout(_SECONDS):
                output, errors = await process.communicate(text.encode())
        except TimeoutError as error:
            process.kill()
            await process.wait()
            raise NftError(f'{self.binary}: no answer within {_SECONDS:.0f} s') from error
        if process.returncode:
            message = ' '.join(errors.decode(errors='replace').split())[:_LONGEST_ERROR]
            raise NftError(message or f'{self.binary} {_ended(process.returncode)}')
        return output.decode()


def _counters(reading: Reading) -> list[Counter]:
    found = []
    for version in layout.FAMILIES:
        for kind in layout.COUNTED:
            name = f'{kind}{version}'
            for raw in reading.elements(name):
                key, packets, octets = messages.counted(raw)
                if packets:
                    found.append(Counter(kind, messages.key_text(name, key), packets, octets))
    return found


def _ended(code: int) -> str:
    if code == -signal.SIGSEGV:
        return 'crashed: it may be older than the nft that has made other tables of this node, and not understand them'
    return f'was ended by signal {-code}' if code < 0 else f'ended with {code}'
