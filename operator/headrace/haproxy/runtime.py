"""HAProxy's command line over its sockets: the worker's runtime socket and the master's.

Owns connections and framing, and nothing of what commands mean. One interactive connection is kept to a worker; many
commands are written at once and answered in their order, each ended by the prompt (management guide, 9.3).
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from pathlib import Path

_PROMPT = b'\n> '
_LONGEST_ANSWER = 256 * 1024 * 1024
# So many commands are under way at once: enough to hide the round trip, few enough for others to get their turn.
_CHUNK = 200
_SECONDS = 10.0


class RuntimeSocketError(Exception):
    """A socket of HAProxy does not answer: gone, refused, silent, or in the middle of something else."""


class Connection:
    """One interactive connection to a worker; callers take turns, whole batches at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self.closed = False

    @classmethod
    async def open(cls, path: Path, seconds: float = _SECONDS) -> 'Connection':
        """Connect to a worker's socket; raises RuntimeSocketError."""
        try:
            async with asyncio.timeout(seconds):
                reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_ANSWER)
                made = cls(reader, writer)
                writer.write(b'prompt\n')
                await reader.readuntil(_PROMPT)
        except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            raise RuntimeSocketError(f'{path.name}: {error or type(error).__name__}') from error
        return made

    async def ask(self, texts: Sequence[str], seconds: float = _SECONDS) -> list[str]:
        """Send commands and return their answers in order; raises RuntimeSocketError, after which it is closed.

        `seconds` is the longest silence, not the time for all.
        """
        answers: list[str] = []
        async with self._turn:
            if self.closed:
                raise RuntimeSocketError('the connection is closed')
            try:
                for start in range(0, len(texts), _CHUNK):
                    chunk = texts[start : start + _CHUNK]
                    self._writer.write(''.join(f'{text}\n' for text in chunk).encode())
                    for _ in chunk:
                        async with asyncio.timeout(seconds):
                            found = await self._reader.readuntil(_PROMPT)
                        answers.append(found[: -len(_PROMPT)].decode(errors='replace'))
            except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self._abort()
                raise RuntimeSocketError(f'no answer: {error or type(error).__name__}') from error
            except asyncio.CancelledError:
                # Half-read answers would be taken for those of the next command.
                self._abort()
                raise
        return answers

    async def tell(self, text: str, seconds: float = _SECONDS) -> str:
        """Send one command and return its answer; raises RuntimeSocketError."""
        return (await self.ask([text], seconds))[0]

    def _abort(self) -> None:
        self.closed = True
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close the connection; a worker that is stopping can then end."""
        self.closed = True
        self._writer.close()
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(1):
                await self._writer.wait_closed()


async def once(path: Path, texts: Iterable[str], seconds: float = _SECONDS, *, more: bool = False) -> str:
    """Send one line on a connection of its own and return all that is answered; raises RuntimeSocketError.

    The way to talk to the master. With `more` the sending side stays open: HAProxy ends the connection itself when a
    `reload` is over, and would forget one whose asker has gone.
    """
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_unix_connection(str(path), limit=_LONGEST_ANSWER)
            try:
                writer.write((';'.join(texts) + '\n').encode())
                if not more:
                    writer.write_eof()
                return (await reader.read()).decode(errors='replace')
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        raise RuntimeSocketError(f'{path.name}: {error or type(error).__name__}') from error
