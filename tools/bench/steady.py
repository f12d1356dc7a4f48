"""Clients that ask all the time, in a process of their own, and count what they lost: any request that is not answered with 200.

They do not ask twice. A connection is left where an answer says that it will be closed, as HAProxy does before a worker ends.
"""

import asyncio
import multiprocessing
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

_PAUSE = 0.01
_SECONDS = 20.0
_MOST_NAMED = 5


@dataclass(slots=True)
class Count:
    """How many requests were answered, and what became of others, of which a few are named with their time."""

    answered: int = 0
    lost: int = 0
    named: list[str] = field(default_factory=list)

    def lose(self, why: str) -> None:
        """Note a request without its answer."""
        self.lost += 1
        if len(self.named) < _MOST_NAMED:
            self.named.append(f'{time.strftime("%H:%M:%S")} {why}')


class Steady:
    """So many clients that keep their connections, and one that makes a connection for each request, of one host."""

    def __init__(self, where: tuple[str, int], host: str, kept: int) -> None:
        context = multiprocessing.get_context('spawn')
        self._told, there = context.Pipe()
        self._process = context.Process(target=_work, args=(where, host, kept, there))
        self.count = Count()

    def __enter__(self) -> Self:
        self._process.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._told.send(None)
        if self._told.poll(2 * _SECONDS):
            self.count = self._told.recv()
        self._process.terminate()
        self._process.join()


def _work(where: tuple[str, int], host: str, kept: int, told: Connection) -> None:
    told.send(asyncio.run(_ask_all(where, host, kept, told)))


async def _ask_all(where: tuple[str, int], host: str, kept: int, told: Connection) -> Count:
    count, ended = Count(), asyncio.Event()
    tasks = [asyncio.create_task(_ask(where, host, count, ended, keep=number > 0)) for number in range(kept + 1)]
    await asyncio.to_thread(told.recv)
    ended.set()
    await asyncio.gather(*tasks)
    return count


async def _ask(where: tuple[str, int], host: str, count: Count, ended: asyncio.Event, *, keep: bool) -> None:
    request = f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode()
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
    while not ended.is_set():
        try:
            async with asyncio.timeout(_SECONDS):
                # One that was closed while nothing was asked is no longer used.
                if streams is None or streams[0].at_eof():
                    streams = await asyncio.open_connection(*where)
                streams[1].write(request)
                head = (await streams[0].readuntil(b'\r\n\r\n')).lower()
                await streams[0].readexactly(int(head.partition(b'content-length: ')[2].split(b'\r')[0]))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            count.lose(f'{"kept" if keep else "new"} connection: {type(error).__name__}')
            streams = None
            continue
        if head.startswith(b'http/1.1 200 '):
            count.answered += 1
        else:
            count.lose(head.split(b'\r\n')[0].decode(errors='replace'))
        if not keep or b'\r\nconnection: close\r\n' in head:
            streams[1].close()
            streams = None
        await asyncio.sleep(_PAUSE)
