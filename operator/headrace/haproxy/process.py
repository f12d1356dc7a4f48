"""A HAProxy that headrace starts itself: in master-worker mode, in a session of its own, so that it outlives its starter.

The sidecar case needs none of this: there the container's runtime starts HAProxy, and `master` is all there is.
"""

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from pathlib import Path

from headrace.haproxy.master import Master
from headrace.haproxy.render import CONFIG
from headrace.haproxy.runtime import RuntimeSocketError

RUNTIME_SOCKET = 'runtime.sock'
MASTER_SOCKET = 'master.sock'
# Of sockaddr_un; HAProxy binds a name of its own length besides.
_LONGEST_PATH = 90
_START_SECONDS = 60.0


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
        """Tell whether a master answers."""
        self._reap()
        try:
            await self.master.processes()
        except RuntimeSocketError:
            return False
        return True

    async def start(self) -> None:
        """Start HAProxy and wait until its worker answers; raises HaproxyStartError with what it said."""
        self.sockets.mkdir(parents=True, exist_ok=True)
        for name in (RUNTIME_SOCKET, MASTER_SOCKET):
            (self.sockets / name).unlink(missing_ok=True)
        log = self.sockets / 'haproxy.log'
        command = [
            self.binary,
            '-W',
            '-S',
            f'{self.sockets / MASTER_SOCKET},mode,660',
            '-f',
            str(self.current / CONFIG),
        ]
        with log.open('wb') as output:
            try:
                self._process = subprocess.Popen(  # noqa: ASYNC220, S603  the administrator names the binary
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                    env={**os.environ, 'HEADRACE_SOCKETS': str(self.sockets)},
                )
            except OSError as error:
                raise HaproxyStartError(f'{self.binary}: {error}') from error
        for _ in range(int(_START_SECONDS / 0.02)):
            await asyncio.sleep(0.02)
            if self._process.poll() is not None:
                raise HaproxyStartError(log.read_text(errors='replace')[-2000:].strip())
            if self.runtime_socket.exists() and await self.running():
                return
        self._process.kill()
        raise HaproxyStartError('HAProxy did not answer')

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
        found = re.search(r'^Max open files\s+\d+\s+(\d+)', text, re.MULTILINE)
        return int(found[1]) if found and self.binary else 0

    async def stop(self, seconds: float) -> None:
        """Let HAProxy finish its connections, and end it after `seconds`."""
        try:
            pid = await self.pid()
        except (RuntimeSocketError, StopIteration):
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, signal.SIGUSR1)
            for _ in range(int(seconds / 0.05)):
                self._reap()
                os.kill(pid, 0)
                await asyncio.sleep(0.05)
            os.kill(pid, signal.SIGTERM)

    def _reap(self) -> None:
        if self._process is not None:
            self._process.poll()
