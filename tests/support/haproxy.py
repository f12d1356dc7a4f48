"""A real HAProxy for tests: a process that loads a folder, is told commands over its runtime socket, and ends.

It leaves nothing behind: sockets are in a folder of their own (paths of sockets must be short), removed at the end.
"""

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

_SECONDS = 30.0


class Ports:
    """Free TCP ports of 127.0.0.1, held until the end, so that no other test gets them.

    They are bound with SO_REUSEPORT and not listened on, so HAProxy can bind them too and has all clients.
    """

    def __init__(self, count):
        self._held = [socket.socket() for _ in range(count)]
        for held in self._held:
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            held.bind(('127.0.0.1', 0))

    @property
    def numbers(self):
        """The numbers of the ports."""
        return [held.getsockname()[1] for held in self._held]

    def close(self):
        """Give the ports back."""
        for held in self._held:
            held.close()


class Haproxy:
    """One process. `start` loads FOLDER/haproxy as it is; `command` sends one command and returns the answer."""

    def __init__(self, binary):
        self.binary = binary
        self._closing = contextlib.ExitStack()
        self._process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, folder):
        """Start with a rendered folder, and wait until the runtime socket answers."""
        self.sockets = Path(self._closing.enter_context(tempfile.TemporaryDirectory(prefix='hr-')))
        log = self._closing.enter_context((self.sockets / 'log').open('w+b'))
        self._process = subprocess.Popen(
            [self.binary, '-db', '-f', str(Path(folder) / 'haproxy')],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, 'HEADRACE_SOCKETS': str(self.sockets)},
        )
        until = time.monotonic() + _SECONDS
        while True:
            if self._process.poll() is not None or time.monotonic() > until:
                said = (self.sockets / 'log').read_text(errors='replace')
                self.stop()
                raise AssertionError(f'HAProxy did not start:\n{said}')
            with contextlib.suppress(OSError):
                self.command('show version')
                return self
            time.sleep(0.01)

    def command(self, text):
        """Send one command, with its payload if it has one, and return what is answered."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(self.sockets / 'runtime.sock'))
            connection.sendall(f'{text}\n'.encode())
            parts = []
            while part := connection.recv(65536):
                parts.append(part)
        return b''.join(parts).decode(errors='replace').strip('\n')

    def alive(self):
        """Tell whether the process is still there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self):
        """The process's ID."""
        return self._process.pid

    def stop(self):
        """End the process and remove its sockets."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        self._closing.close()
