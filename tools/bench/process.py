"""A real HAProxy to measure: its files in memory, and one connection to its runtime socket."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from headrace.haproxy.encode.commands import Command
from headrace.haproxy.render.render import CONFIG, Files
from headrace.haproxy.runtime import files, responses
from headrace.haproxy.runtime.responses import Answered

_PROMPT = b'\n> '
_MEMORY = Path('/dev/shm')
_SECONDS = 60.0
_CHUNK = 200


@contextlib.contextmanager
def loopback() -> Iterator[str]:
    """Return a loopback address that no other process is likely to use, so that all its ports are free."""
    yield f'127.{random.randrange(100, 120)}.{random.randrange(1, 255)}.{random.randrange(1, 255)}'


class Process:
    """One process in the foreground, and an interactive connection to it."""

    def __init__(self, binary: str, rendered: Files) -> None:
        self._binary, self._rendered = binary, rendered
        self._closing = contextlib.ExitStack()

    def __enter__(self) -> Self:
        made = tempfile.TemporaryDirectory(prefix='hr-bench-', dir=_MEMORY if _MEMORY.is_dir() else None)
        self.folder = Path(self._closing.enter_context(made))
        files.write(self.folder, self._rendered)
        self._rendered = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.close()

    def _command(self, *more: str) -> list[str]:
        return [self._binary, *more, '-f', str(self.folder / CONFIG)]

    def _environment(self) -> dict[str, str]:
        return {**os.environ, 'HEADRACE_SOCKETS': str(self.folder)}

    def check(self) -> float:
        """Return how many seconds `haproxy -c` takes."""
        began = time.perf_counter()
        subprocess.run(self._command('-c', '-q'), env=self._environment(), check=True, stderr=subprocess.DEVNULL)
        return time.perf_counter() - began

    def start(self) -> float:
        """Start, and return how many seconds it takes until the runtime socket answers."""
        began = time.perf_counter()
        log = self._closing.enter_context((self.folder / 'log').open('wb'))
        self._process = subprocess.Popen(
            self._command('-db'), env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
        self._closing.callback(self._end)
        self._socket = self._closing.enter_context(socket.socket(socket.AF_UNIX))
        self._socket.settimeout(_SECONDS)
        while True:
            if self._process.poll() is not None or time.perf_counter() - began > _SECONDS:
                raise SystemExit((self.folder / 'log').read_text(errors='replace'))
            with contextlib.suppress(OSError):
                self._socket.connect(str(self.folder / 'runtime.sock'))
                break
            time.sleep(0.002)
        self._buffer = b''
        self._ask(['prompt'])
        return time.perf_counter() - began

    def _end(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Return the PID of the process, once it has started."""
        return self._process.pid

    def rss(self) -> float:
        """Return the memory of the process, in MB."""
        pages = int(Path(f'/proc/{self._process.pid}/statm').read_text().split()[1])
        return pages * os.sysconf('SC_PAGE_SIZE') / 1e6

    def cpu(self) -> float:
        """Return the CPU seconds that the process has taken, exact to the nanosecond."""
        tasks = Path(f'/proc/{self._process.pid}/task').glob('*/schedstat')
        return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9

    def send(self, commands: Sequence[Command]) -> list[Answered]:
        """Send commands in their order, and judge the answers."""
        found: list[str] = []
        for start in range(0, len(commands), _CHUNK):
            found += self._ask([command.text for command in commands[start : start + _CHUNK]])
        return [responses.judge(command, answer) for command, answer in zip(commands, found, strict=True)]

    def _ask(self, texts: list[str]) -> list[str]:
        self._socket.sendall(''.join(f'{text}\n' for text in texts).encode())
        found: list[str] = []
        while len(found) < len(texts):
            *whole, self._buffer = self._buffer.split(_PROMPT)
            found += [part.decode(errors='replace') for part in whole]
            if len(found) < len(texts):
                part = self._socket.recv(262_144)
                if not part:
                    raise SystemExit('HAProxy closed the connection')
                self._buffer += part
        return found
