"""A TCP proxy on 127.0.0.1 that can cut, refuse, stall and delay what passes through it.

It runs in a thread of its own; each method returns when its effect is there. Faults are context
managers: at their end all is well again.
"""

import asyncio
import contextlib
import socket
import struct
import threading

from support import ports

_CHUNK = 65536
_NO_LINGER = struct.pack('ii', 1, 0)


class Proxy:
    """A proxy to a port of 127.0.0.1; a context manager, which leaves no connection and no thread."""

    def __init__(self, target):
        self._target = target
        self.port, self._held = ports.reserve()
        self._delay = 0.0
        self._open = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name='proxy', daemon=True)

    def __enter__(self):
        """Begin to listen."""
        self._thread.start()
        self._do(self._listen())
        return self

    def __exit__(self, *_):
        """End all connections and the thread."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._held.close()

    @property
    def connections(self):
        """How many connections of clients are open."""
        return len(self._open)

    def cut(self):
        """Reset all open connections, on both sides."""
        self._do(self._cut())

    @contextlib.contextmanager
    def refusing(self):
        """Reset all connections, and refuse new ones."""
        self._do(self._close())
        try:
            yield
        finally:
            self._do(self._listen())

    @contextlib.contextmanager
    def stalled(self):
        """Accept connections and keep them, but let nothing through; at the end all of it arrives."""
        self._do(self._set_flowing(on=False))
        try:
            yield
        finally:
            self._do(self._set_flowing(on=True))

    @contextlib.contextmanager
    def delayed(self, seconds):
        """Let all that arrives from now on wait so long, in each direction; throughput stays as it was."""
        self._delay = seconds
        try:
            yield
        finally:
            self._delay = 0.0

    # --- in the thread ---------------------------------------------------------------------------

    def _do(self, work):
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _listen(self):
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server = await asyncio.start_server(self._serve, ports.LOCAL, self.port, reuse_port=True)

    async def _close(self):
        self._server.close()
        await self._cut()

    async def _end(self):
        await self._close()
        # One that has just been accepted is no task yet; nothing but the loop's own socket is left at the end.
        while len(self._loop._selector.get_map()) > 1:
            await asyncio.sleep(0.005)
            await self._cut()

    async def _cut(self):
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _set_flowing(self, *, on):
        if on:
            self._flowing.set()
        else:
            self._flowing.clear()

    async def _serve(self, reader, writer):
        self._open.add(task := asyncio.current_task())
        writers = [writer]
        try:
            await self._flowing.wait()
            server_reader, server_writer = await asyncio.open_connection(ports.LOCAL, self._target)
            writers.append(server_writer)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, server_writer))
                both.create_task(self._pump(server_reader, writer))
            for each in writers:
                each.close()
        except* (OSError, asyncio.CancelledError):
            for each in writers:
                _reset(each)
        finally:
            self._open.discard(task)

    async def _pump(self, reader, writer):
        """Pass on what comes, each piece after its delay, and the end after all of it."""
        due = asyncio.Queue()
        async with asyncio.TaskGroup() as both:
            both.create_task(self._send(due, writer))
            while True:
                chunk = await reader.read(_CHUNK)
                due.put_nowait((self._loop.time() + self._delay, chunk))
                if not chunk:
                    return

    async def _send(self, due, writer):
        while True:
            at, chunk = await due.get()
            await asyncio.sleep(at - self._loop.time())
            await self._flowing.wait()
            if not chunk:
                writer.write_eof()
                return
            writer.write(chunk)
            await writer.drain()


def _reset(writer):
    """End a connection at once, so that its other end reads a reset and not an orderly end."""
    with contextlib.suppress(OSError):
        writer.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
    writer.transport.abort()
