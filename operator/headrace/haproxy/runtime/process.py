"""A HAProxy that headrace starts itself: in master-worker mode, in a session of its own, so that it outlives its starter.

The sidecar case needs none of this: there the container's runtime starts HAProxy, and `master` is all there is.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import time
from pathlib import Path

from headrace.haproxy.render.render import CONFIG
from headrace.haproxy.runtime.master import Master
from headrace.haproxy.runtime.sockets import RuntimeSocketError, SocketGoneError

RUNTIME_SOCKET = 'runtime.sock'
MASTER_SOCKET = 'master.sock'
# Of sockaddr_un; HAProxy binds a name of its own length besides.
_LONGEST_PATH = 90
_START_SECONDS = 60.0
_STEP_SECONDS = 0.02


class HaproxyStartError(Exception):
    """HAProxy did not start; the message is what it said."""


class Haproxy:
    """A HAProxy that serves the folder `current`, and speaks on sockets in `sockets`; started here if it has to be."""

    def __init__(self, current: Path, sockets: Path, binary: str = '') -> None:
        if len(str(sockets / RUNTIME_SOCKET)) > _LONGEST_PATH:
            raise HaproxyStartError(f'{sockets}: the path is too long for a socket; give a shorter --state')
        self.current, self.sockets, self.binary = current, sockets, binary
        self.master = Master(sockets / MASTER_SOCKET)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def runtime_socket(self) -> Path:
        """Return the path of the worker's socket."""
        return self.sockets / RUNTIME_SOCKET

    async def running(self) -> bool:
        """Tell whether a master is there; one that is silent, as in the middle of a reload, is."""
        self._reap()
        try:
            await self.master.processes()
        except SocketGoneError:
            return False
        except RuntimeSocketError:
            return True
        return True

    async def start(self) -> None:
        """Start HAProxy and wait until its worker answers; raises HaproxyStartError with what it said.

        One that was started here before, and whose starter was killed before it answered, is waited for instead.
        """
        self.sockets.mkdir(mode=0o750, parents=True, exist_ok=True)
        if await self._former():
            return
        for name in (RUNTIME_SOCKET, MASTER_SOCKET):
            (self.sockets / name).unlink(missing_ok=True)
        log = self.sockets / 'haproxy.log'
        with log.open('wb') as output:
            try:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603  the administrator names the binary
                    [self.binary, '-W', '-S', self._master_option, '-f', str(self.current / CONFIG)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env={**os.environ, 'HEADRACE_SOCKETS': str(self.sockets)},
                )
            except OSError as error:
                raise HaproxyStartError(f'{self.binary}: {error}') from error
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            await asyncio.sleep(_STEP_SECONDS)
            if self._process.poll() is not None:
                raise HaproxyStartError(log.read_text(errors='replace')[-2000:].strip() or 'HAProxy ended at once')
            if await self._answers():
                return
        self._process.kill()
        raise HaproxyStartError('HAProxy did not answer')

    @property
    def _master_option(self) -> str:
        return f'{self.sockets / MASTER_SOCKET},mode,660'

    async def _answers(self) -> bool:
        with contextlib.suppress(RuntimeSocketError):
            return self.runtime_socket.exists() and bool(await self.master.processes())
        return False

    async def _former(self) -> bool:
        """Return whether a HAProxy of these sockets that still runs answers; end it when it does not."""
        deadline = time.monotonic() + _START_SECONDS
        number = signal.SIGTERM
        while pids := await asyncio.to_thread(processes_with, self._master_option):
            if await self._answers():
                return True
            if time.monotonic() >= deadline:
                for pid in pids:
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.kill(pid, number)
                number, deadline = signal.SIGKILL, time.monotonic() + 1.0
            self._reap()
            await asyncio.sleep(_STEP_SECONDS)
        return False

    async def pid(self) -> int:
        """Return the PID of the master; raises RuntimeSocketError."""
        return next(process.pid for process in await self.master.processes() if process.kind == 'master')

    async def descriptor_limit(self) -> int:
        """Return how many descriptors the process may have, 0 when that cannot be seen from here."""
        try:
            limits = Path(f'/proc/{await self.pid()}/limits')
            text = await asyncio.to_thread(limits.read_text)
        except (OSError, RuntimeSocketError, StopIteration):
            return 0
        match = re.search(r'^Max open files\s+\d+\s+(\d+)', text, re.MULTILINE)
        return int(match[1]) if match and self.binary else 0

    async def stop(self, seconds: float, hurry: asyncio.Event) -> None:
        """Let HAProxy finish its connections, and end it after `seconds` or when there is a hurry."""
        try:
            pid = await self.pid()
        except (RuntimeSocketError, StopIteration):
            if self._process is not None and self._process.poll() is None:
                self._process.terminate()
            return
        deadline = time.monotonic() + seconds
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)
            while time.monotonic() < deadline and not hurry.is_set() and await self._connections():
                self._reap()
                os.kill(pid, 0)
                await asyncio.sleep(_STEP_SECONDS)
            os.kill(pid, signal.SIGTERM)
            while True:
                self._reap()
                os.kill(pid, 0)
                await asyncio.sleep(_STEP_SECONDS)

    async def _connections(self) -> bool:
        """Tell whether clients are still connected; peers keep a worker for seconds after the last one."""
        with contextlib.suppress(RuntimeSocketError):
            workers = await self.master.workers()
            texts = [await self.master.tell(worker.pid, 'show info') for worker in workers]
            return not texts or any('\nCurrConns: 0\n' not in text for text in texts)
        return True

    def _reap(self) -> None:
        if self._process is not None:
            self._process.poll()


def processes_with(argument: str) -> list[int]:
    """Return the processes that were started with this argument, the calling one left out."""
    raw_argument, pids = os.fsencode(argument), list[int]()
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        with contextlib.suppress(OSError):
            if raw_argument in path.read_bytes().split(b'\0') and int(path.parent.name) != os.getpid():
                pids.append(int(path.parent.name))
    return pids
