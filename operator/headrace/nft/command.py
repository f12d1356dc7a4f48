"""The `nft` program: transactions in, listings out. Each call is one process, and what it does is done whole or not at all."""

import asyncio
import json
import signal
from dataclasses import dataclass
from typing import Any

from headrace.nft.layout import TABLE

_SECONDS = 60.0
_LONGEST_ERROR = 500


class NftError(Exception):
    """nft has not done what was asked; the message says why."""


class NoTableError(NftError):
    """The table is not there."""


@dataclass(frozen=True, slots=True)
class Nft:
    """The program, by its path."""

    binary: str

    async def apply(self, text: str) -> None:
        """Do a transaction; raises NftError, and then nothing of it is done."""
        await self._call(('-f', '-'), text)

    async def listing(self) -> dict[str, Any]:
        """Return the table as the kernel has it; raises NoTableError and NftError."""
        text = await self._call(('-j', 'list', 'table', *TABLE.split(' ')), '')
        try:
            document = await asyncio.to_thread(json.loads, text)
        except ValueError as error:
            raise NftError(f'{self.binary}: its listing is no JSON') from error
        assert isinstance(document, dict)
        return document

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
            kind = NoTableError if 'No such file or directory' in message and 'list' in arguments else NftError
            raise kind(message or f'{self.binary} {_ended(process.returncode)}')
        return output.decode()


def _ended(code: int) -> str:
    if code == -signal.SIGSEGV:
        return 'crashed: it may be older than the nft that has made other tables of this node, and not understand them'
    return f'was ended by signal {-code}' if code < 0 else f'ended with {code}'
