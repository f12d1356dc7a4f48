"""HAProxy's command line over its sockets: the worker's runtime socket and the master's.

Owns connections and framing, and nothing of what commands mean. One interactive connection is kept to a worker; many
commands are written at once and answered in their order, each ended by the prompt (management guide, 9.3).
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

_PROMPT = b'\n> '
_LONGEST_ANSWER = 256 * 1024 * 1024
# So many commands are under way at once: enough to hide the round trip, few enough for others to get their turn.
_CHUNK = 200
_SECONDS = 10.0


class RuntimeSocketError(Exception):
    """A socket of HAProxy does not answer: gone, refused, silent, or in the middle of something else."""


class SocketGoneError(RuntimeSocketError):
    """A socket of HAProxy has no listener."""


class _Reader(asyncio.StreamReader):
    """A reader that tells at once when the other side has gone, also while nothing is read."""

    ended: Callable[[], None] = staticmethod(lambda: None)

    def feed_eof(self) -> None:
        """Note the end, as the transport says it."""
        super().feed_eof()
        self.ended()

    def set_exception(self, exc: Exception) -> None:
        """Note an end that was none of the other side's will."""
        super().set_exception(exc)
        self.ended()


class Connection:
    """One interactive connection to a worker; callers take turns, whole batches at a time."""

    def __init__(self, reader: _Reader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self._turn = asyncio.Lock()
        self.closed = False

    @classmethod
    async def open(cls, path: Path, seconds: float = _SECONDS) -> 'Connection':
        """Connect to a worker's socket; raises RuntimeSocketError."""
        try:
            async with asyncio.timeout(seconds):
                loop = asyncio.get_running_loop()
                reader = _Reader(limit=_LONGEST_ANSWER, loop=loop)
                protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
                transport, _ = await loop.create_unix_connection(lambda: protocol, str(path))
                connection = cls(reader, asyncio.StreamWriter(transport, protocol, reader, loop))
        except (OSError, TimeoutError) as error:
            raise _failed(path, error) from error
        try:
            await connection.tell('prompt', seconds)
        except RuntimeSocketError as error:
            raise RuntimeSocketError(f'{path.name}: {error}') from error
        return connection

    def on_end(self, ended: Callable[[], None]) -> None:
        """Call this as soon as the other side has ended the connection, in whatever way."""
        self._reader.ended = ended

    async def ask(self, texts: Sequence[str], seconds: float = _SECONDS) -> list[str]:
        """Send commands and return their answers in order; raises RuntimeSocketError, after which it is closed.

        `seconds` is the longest silence, not the time for all; what lasts for half of it may be too long already.
        """
        answers: list[str] = []
        loop = asyncio.get_running_loop()
        async with self._turn:
            if self.closed:
                raise RuntimeSocketError('the connection is closed')
            try:
                for start in range(0, len(texts), _CHUNK):
                    chunk = texts[start : start + _CHUNK]
                    self._writer.write(''.join(f'{text}\n' for text in chunk).encode())
                    heard = loop.time()
                    # A timer for each answer would take longer than most answers.
                    async with asyncio.timeout_at(heard + seconds) as silence:
                        for _ in chunk:
                            answer = await self._reader.readuntil(_PROMPT)
                            answers.append(answer[: -len(_PROMPT)].decode(errors='replace'))
                            if (now := loop.time()) - heard > seconds / 2:
                                heard = now
                                silence.reschedule(now + seconds)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
                self.abort()
                raise RuntimeSocketError(f'no answer: {str(error) or type(error).__name__}') from error
            except asyncio.CancelledError:
                # Half-read answers would be taken for those of the next command.
                self.abort()
                raise
        return answers

    async def tell(self, text: str, seconds: float = _SECONDS) -> str:
        """Send one command and return its answer; raises RuntimeSocketError."""
        return (await self.ask([text], seconds))[0]

    def abort(self) -> None:
        """End the connection at once."""
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
        raise _failed(path, error) from error


def _failed(path: Path, error: OSError | TimeoutError) -> RuntimeSocketError:
    absent = isinstance(error, ConnectionRefusedError | FileNotFoundError)
    message = f'{path.name}: {str(error) or type(error).__name__}'
    return SocketGoneError(message) if absent else RuntimeSocketError(message)
