"""A HAProxy that the agent does not start, as in a pod, and sockets between it and the agent that can fail.

`Sidecar` is a `Live` whose agent only attaches; its `runtime` and `masters` are the sockets that the agent is given.
"""

import asyncio
import contextlib
import os
import socket
import subprocess

from support.live import Live, until

_GARBAGE = b'\x00\xff 1 x=$( \t%%s\n1 2 3\n'
_PROMPT = b'\n> '


class FaultySocket:
    """A unix socket that passes everything on to a real one, from `accept` on and until it is told to fail.

    `silent` swallows what comes, in both directions; `garbled` answers each line with nonsense; `refuse` is a listener
    that has gone. `cut` ends the connection that has passed so many more lines, or lets them pass and loses the answers.
    `hold_after` lets everything wait that comes after a line, until `release`.
    """

    def __init__(self, town, path, real):
        self.town, self.path, self.real = town, path, real
        self.silent = self.garbled = False
        self.cuts = 0
        self._lines, self._lose_answers = None, False
        self._last, self._held = None, None
        self._server, self._tasks = None, set()

    async def _listen(self):
        listener = socket.socket(socket.AF_UNIX)
        self.path.unlink(missing_ok=True)
        listener.bind(str(self.path))
        self._server = await asyncio.start_unix_server(self._serve, sock=listener)

    def refuse(self):
        """Be a socket without a listener, from now on; `accept` ends that."""
        self.town.run(self._end())

    async def _end(self):
        if self._server is not None:
            self._server.close()
            self._server = None
        # One that has just been accepted has no task that has begun, and could not be ended.
        await asyncio.sleep(0)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # A transport that is aborted closes in the next turn, and the loop may end after this.
        await asyncio.sleep(0)
        # asyncio may have removed the name; it is still there where a process was killed.
        if not self.path.exists():
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(self.path))

    def accept(self):
        """Listen, and pass everything on."""
        self.silent = self.garbled = False
        self.town.run(self._begin())

    async def _begin(self):
        # What a connection has swallowed it will not pass on any more.
        await self._end()
        await self._listen()

    def cut(self, lines, *, answers=False):
        """End the connection after so many more lines; with `answers` HAProxy gets the rest, and its words are lost."""
        self.town.run(self._cut(lines, answers=answers))

    async def _cut(self, lines, *, answers):
        self._lines, self._lose_answers = lines, answers

    def hold_after(self, line):
        """Let what comes after this line wait, until `release`."""
        self._last = line

    def release(self):
        """Let everything pass that waits."""
        self.town.loop.call_soon_threadsafe(self._release)

    def _release(self):
        self._held.set()
        self._held = None

    def close(self):
        self.town.run(self._end())
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        real = back = None
        try:
            answers, real = await asyncio.open_unix_connection(str(self.real))
            back = asyncio.create_task(self._answer(answers, writer))
            await self._ask(reader, writer, real)
            if not self.silent:
                # A client that has asked and closed its side still waits for the answer.
                await back
        except OSError:
            pass
        finally:
            self._tasks.discard(task)
            if back is not None:
                back.cancel()
            for each in (writer, real):
                if each is not None:
                    each.transport.abort()

    async def _ask(self, reader, writer, real):
        while data := await reader.read(1 << 16):
            if self.silent:
                continue
            if self.garbled:
                writer.write((_GARBAGE + _PROMPT) * data.count(b'\n'))
                continue
            if self._lines is not None and self._is_plan(data):
                lines = data.splitlines(keepends=True)
                if len(lines) > self._lines:
                    real.write(data if self._lose_answers else b''.join(lines[: self._lines]))
                    await self._settled(real)
                    self._lines = None
                    self.cuts += 1
                    raise ConnectionResetError
                self._lines -= len(lines)
            if self._held is not None:
                await self._held.wait()
            if self._last is not None and self._last in data.splitlines():
                self._last, self._held = None, asyncio.Event()
            real.write(data)
            await real.drain()
        if not self.silent:
            with contextlib.suppress(OSError):
                real.write_eof()

    @staticmethod
    def _is_plan(data):
        """Tell whether something is changed here; questions pass."""
        return any(not line.startswith((b'show ', b'prompt', b'@')) for line in data.splitlines())

    @staticmethod
    async def _settled(real):
        """Let HAProxy read what was sent, before the connection is reset: it throws away what it has not read."""
        await real.drain()
        real.write_eof()
        await asyncio.sleep(0.2)

    async def _answer(self, answers, writer):
        while data := await answers.read(1 << 16):
            # What HAProxy was still asked in earnest is answered so: without that answer an agent waits for a minute.
            if not self.silent:
                writer.write(data)
                await writer.drain()
        if not self.silent:
            with contextlib.suppress(OSError):
                writer.write_eof()


class Sidecar(Live):
    """An agent that attaches to a HAProxy by sockets that can fail."""

    def __init__(self, haproxy, town, **settings):
        super().__init__(haproxy, start=False, **settings)
        self.sockets, front = self.root / 'real', self.root / 'front'
        self.sockets.mkdir()
        front.mkdir()
        self.front = front
        self.runtime = FaultySocket(town, front / 'runtime.sock', self.sockets / 'runtime.sock')
        self.masters = FaultySocket(town, front / 'master.sock', self.sockets / 'master.sock')
        self.container = None

    def command(self, *more):
        return [*super().command(*more), '--sockets', str(self.front)]

    def start(self, *more):
        """Start the agent, and HAProxy if it does not run, and wait until it serves."""
        told = self.times('serving')
        self.begin(*more)
        until(lambda: (self.state / 'current').exists() or self.process.poll() is not None, 'there are files')
        if self.container is None:
            self.start_container()
        until(lambda: self.times('serving') > told or self.process.poll() is not None, 'the agent serves')
        assert self.process.poll() is None, self.log.read_text()
        return self

    def start_container(self):
        """Start HAProxy from what the agent has promoted, as a kubelet does."""
        with (self.root / 'haproxy.log').open('ab') as log:
            self.container = subprocess.Popen(
                [
                    self.haproxy,
                    '-W',
                    '-S',
                    f'{self.sockets}/master.sock,mode,660',
                    '-f',
                    self.state / 'current/haproxy',
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, 'HEADRACE_SOCKETS': str(self.sockets)},
            )
        until((self.sockets / 'runtime.sock').exists, 'HAProxy listens')
        self.runtime.accept()
        self.masters.accept()

    def close(self):
        try:
            self.runtime.close()
            self.masters.close()
        finally:
            super().close()
        if self.container is not None:
            self.container.wait(10)
