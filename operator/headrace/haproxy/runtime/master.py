"""HAProxy's master process: its workers, and the seamless reload (management guide, 9.4)."""

import re
from dataclasses import dataclass
from pathlib import Path

from headrace.haproxy.runtime import sockets
from headrace.haproxy.runtime.sockets import RuntimeSocketError

_RELOAD_SECONDS = 120.0
_TELL_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Process:
    """A line of `show proc`: `reloads` since it was started."""

    pid: int
    kind: str
    old: bool
    reloads: int


@dataclass(frozen=True, slots=True)
class Reloaded:
    """How a reload ended; `log` is what HAProxy said."""

    good: bool
    log: str


class Master:
    """The master's socket. Every question has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def processes(self) -> tuple[Process, ...]:
        """Return master and workers, the oldest old worker first; raises RuntimeSocketError."""
        processes: list[Process] = []
        old = False
        for line in (await sockets.once(self.path, ['show proc'])).splitlines():
            if line.startswith('#'):
                old = 'old workers' in line or (old and line.startswith('#<'))
            elif match := re.match(r'(\d+)\s+(master|worker)\s+(\d+)', line):
                processes.append(Process(int(match[1]), match[2], old, int(match[3])))
        if not processes:
            raise RuntimeSocketError('show proc: no answer that can be read')
        return tuple(sorted(processes, key=lambda process: (not process.old, -process.reloads, process.pid)))

    async def workers(self) -> tuple[Process, ...]:
        """Return all workers, old ones first; raises RuntimeSocketError."""
        return tuple(process for process in await self.processes() if process.kind == 'worker')

    async def old_workers(self, serving: int) -> tuple[int, ...]:
        """Return the PIDs of workers that only finish their connections, the oldest first; raises RuntimeSocketError.

        `serving` is the one that serves: after a failed reload the master lists it among the old ones (3.4).
        """
        return tuple(process.pid for process in await self.workers() if process.old and process.pid != serving)

    async def reload(self) -> Reloaded:
        """Reload and return how it ended; raises RuntimeSocketError when no end was seen.

        The answer comes when the new worker serves or has failed, so it is waited for long.
        """
        answer = await sockets.once(self.path, ['reload'], _RELOAD_SECONDS, more=True)
        match = re.match(r'Success=([01])', answer)
        if match is None:
            raise RuntimeSocketError('reload: no answer that can be read')
        return Reloaded(match[1] == '1', answer.partition('--')[2].strip())

    async def tell(self, pid: int, line: str, seconds: float = _TELL_SECONDS) -> str:
        """Send one command to a worker, also to an old one, and return the answer; raises RuntimeSocketError.

        For one that has just ended, the master gives no answer at all.
        """
        return await sockets.once(self.path, [f'@!{pid} {line}'], seconds)

    async def end(self, pid: int) -> None:
        """End an old worker at once, with the connections that it still holds; raises RuntimeSocketError."""
        await sockets.once(self.path, ['expert-mode on', f'@!{pid} debug dev exit 0'])
