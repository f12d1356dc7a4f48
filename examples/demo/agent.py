"""A running `headrace run` with the HAProxy that it starts, and what both say of themselves."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# The command beside the Python that runs this: the one of the same .venv.
HEADRACE = Path(sys.executable).with_name('headrace')
_SECONDS = 20.0
# Whoever does not end by itself in this time is made to.
_PATIENCE = 8.0


class AgentError(Exception):
    """The agent does not run; the message is what it said."""


class Agent:
    """An agent on a folder; all its files are in `place`, which has to be short, because sockets are there too."""

    def __init__(self, place: Path, haproxy: str) -> None:
        self.place, self.haproxy = place, haproxy
        self.log = place / 'agent.log'
        self.admin = ''
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, source: Path, settings: Path) -> None:
        """Start it, and wait until it serves; raises AgentError."""
        command = [HEADRACE, 'run', '--source', source, '--start-haproxy', self.haproxy, '--config', settings]
        command += ['--state', self.place / 'state', '--admin', '127.0.0.1:0', '--log-format', 'json']
        with self.log.open('wb') as output:
            try:
                # A session of its own: Ctrl-C is for the demonstration, which then ends the agent.
                self._process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
                )
            except OSError as error:
                raise AgentError(f'{HEADRACE} cannot be run ({error.strerror}); `make setup` installs it') from error
        if not wait_for(self._serves):
            raise AgentError(f'headrace run does not serve:\n{self._said()}')

    def _serves(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AgentError(f'headrace run ended:\n{self._said()}')
        said = {line.get('message'): line for line in self._lines()}
        self.admin = said.get('listening', {}).get('admin', '')
        return 'serving' in said

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text(errors='replace').splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def _said(self) -> str:
        """Return what was said outside of the log's lines, which is why it ended; else the whole log."""
        text = self.log.read_text(errors='replace').strip()
        return '\n'.join(line for line in text.splitlines() if not line.startswith('{')) or text

    def status(self) -> dict[str, Any]:
        """Return what `headrace status` shows."""
        with urllib.request.urlopen(f'http://{self.admin}/status', timeout=_SECONDS) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def diagnostics(self) -> set[str]:
        """Return what the agent finds wrong: reason and object."""
        return {
            f'{item["reason"]} of {item["kind"]} {item["namespace"]}/{item["name"]}'
            for item in self.status()['diagnostics']
        }

    def reasons_of_reloads(self, count: int) -> list[str]:
        """Return the kinds of reasons of all reloads, once there were so many; a reload is counted when it has ended."""
        found: list[dict[str, Any]] = []

        def all_there() -> bool:
            found[:] = self.status()['reloads']
            return len(found) >= count

        wait_for(all_there)
        return [reason.partition(':')[0] for reload in found for reason in reload['reasons']]

    def haproxy_says(self) -> tuple[int, int]:
        """Return the PID of HAProxy's worker, and how often HAProxy was reloaded, both as its master says."""
        found: tuple[int, int] | None = None

        def answers() -> bool:
            nonlocal found
            found = _processes_of(self._ask_master(b'show proc\n'))
            return found is not None

        # At the end of a reload the master starts itself again, and is deaf for a moment.
        if not wait_for(answers) or found is None:
            raise AgentError('HAProxy does not say which processes it has')
        return found

    def _ask_master(self, command: bytes) -> str:
        said = b''
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(_SECONDS)
            connection.connect(str(self.place / 'state' / 'sockets' / 'master.sock'))
            connection.sendall(command)
            connection.shutdown(socket.SHUT_WR)
            while part := connection.recv(65536):
                said += part
        return said.decode()

    def close(self) -> None:
        """End the agent and its HAProxy, and wait until both are gone."""
        process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                # The second time is for those in a hurry: clients that are still connected are not waited for.
                process.terminate()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(_PATIENCE)
        # Neither an agent that was killed nor its HAProxy may stay.
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in self._processes():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            if wait_for(lambda: not self._processes(), _PATIENCE):
                break
        if process is not None:
            process.wait()

    def _processes(self) -> list[int]:
        """Return all living processes that were started with files of this place."""
        found, mark = [], os.fsencode(f'{self.place}/')
        for path in Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError):
                if mark in (path / 'cmdline').read_bytes() and _lives(path) and int(path.name) != os.getpid():
                    found.append(int(path.name))
        return found


def _processes_of(said: str) -> tuple[int, int] | None:
    """Return the PID of the worker and the number of reloads; None where that is not what was said."""
    master = re.search(r'^\d+\s+master\s+(\d+)', said, re.MULTILINE)
    worker = re.search(r'^# workers\n(\d+)', said, re.MULTILINE)
    return (int(worker[1]), int(master[1])) if master and worker else None


def _lives(process: Path) -> bool:
    return (process / 'stat').read_text().rpartition(')')[2].split()[0] != 'Z'


def wait_for(true: Callable[[], bool], seconds: float = _SECONDS) -> bool:
    """Wait until something is true; return False when it is not in time."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            return False
        time.sleep(0.01)
    return True
