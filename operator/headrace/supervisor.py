"""The container's PID 1: starts the agent, starts it again when it ends, and takes care of processes without parents.

Small on purpose, so that nothing of it can fail with the agent: it imports nothing of headrace.
"""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Sequence
from types import FrameType

_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_STEP_SECONDS = 0.05
# Who has lived so long has not failed at its start.
_GOOD_LIFE_SECONDS = 60.0
# The command line, settings or input cannot be used: another start would end the same way.
_HOPELESS = 2
_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Supervisor:
    """Keeps one child alive until it ends well, cannot work at all, or the supervisor stops."""

    def __init__(self, command: Sequence[str]) -> None:
        self.command = list(command)
        self.child = 0
        self.stopping = False

    def run(self) -> int:
        """Return the exit code to end with."""
        for number in _SIGNALS:
            signal.signal(number, self._forward)
        pause = _FIRST_PAUSE
        while True:
            began = time.monotonic()
            self.child = os.posix_spawn(self.command[0], self.command, os.environ)
            code = self._wait()
            self.child = 0
            if self._stopping() or code in (0, _HOPELESS):
                return code
            if time.monotonic() - began >= _GOOD_LIFE_SECONDS:
                pause = _FIRST_PAUSE
            sys.stderr.write(f'headrace: the agent ended with {code}; it starts again in {pause:g} s\n')
            sys.stderr.flush()
            self._pause(pause)
            if self._stopping():
                return code
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _stopping(self) -> bool:
        """Tell whether a signal has said so; it may at any moment."""
        return self.stopping

    def _wait(self) -> int:
        """Wait until the child ends; others that end meanwhile were orphans."""
        while True:
            pid, status = os.wait()
            if pid == self.child:
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code

    def _pause(self, pause: float) -> None:
        """Wait before the next start, but not for long when told to stop; orphans may end meanwhile."""
        until = time.monotonic() + pause
        while time.monotonic() < until and not self._stopping():
            with contextlib.suppress(ChildProcessError):
                os.waitpid(-1, os.WNOHANG)
            time.sleep(_STEP_SECONDS)

    def _forward(self, number: int, _: FrameType | None) -> None:
        self.stopping = self.stopping or number in (signal.SIGTERM, signal.SIGINT)
        with contextlib.suppress(ProcessLookupError):
            if self.child:
                os.kill(self.child, number)


def main(arguments: Sequence[str]) -> int:
    """Supervise `headrace` with these arguments; return the exit code."""
    return Supervisor([sys.executable, '-m', 'headrace', *arguments]).run()
