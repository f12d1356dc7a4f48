"""Processes of headrace as forks of one process that has imported it: each start spares 0.6 s of CPU.

`start` returns what subprocess.Popen would, as far as tests use it. One template process serves each network namespace
that a process of pytest starts from; it ends with that process. What a fork shares with the template are modules and the
seed of hashes; arguments, environment, standard streams and signals are its own, and it runs the entry point of headrace.
"""

import atexit
import functools
import gc
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
_MOST = 200_000
_SECONDS = 90.0
_STREAMS = (0, 1, 2)


class Process:
    """A process that the template has forked; its exit code comes through a pipe."""

    def __init__(self, pid, status):
        self.pid, self.returncode = pid, None
        self._status = status

    def poll(self):
        """Return the exit code, None while it runs."""
        return self._read(0)

    def wait(self, timeout=None):
        """Return the exit code as soon as there is one."""
        if self._read(timeout) is None:
            raise subprocess.TimeoutExpired(f'headrace, process {self.pid}', timeout)
        return self.returncode

    def send_signal(self, number):
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self):
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _read(self, seconds):
        if self.returncode is None:
            waiting = select.poll()
            waiting.register(self._status, select.POLLIN)
            if waiting.poll(None if seconds is None else seconds * 1000):
                self.returncode = int(os.read(self._status, 16))
                os.close(self._status)
        return self.returncode


def start(arguments, output, environment):
    """Start headrace with arguments, both output streams in a file, and an environment."""
    return _template(Path('/proc/thread-self/ns/net').stat().st_ino).fork(arguments, output, environment)


def run(*words, **environment):
    """Run a command of headrace, with some variables more; return its exit code and all that it printed."""
    with tempfile.TemporaryFile() as output:
        process = start([*map(str, words)], output, {**os.environ, **environment})
        try:
            code = process.wait(_SECONDS)
        finally:
            process.kill()
        output.seek(0)
        return code, output.read().decode()


@functools.cache
def _template(_namespace):
    return _Template()


class _Template:
    """The template process, seen from pytest."""

    def __init__(self):
        self._channel, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, '-m', 'support.prefork', str(other.fileno())]
        with other:
            self._process = subprocess.Popen(
                command, cwd=_TESTS, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[other.fileno()]
            )
        atexit.register(self._end)

    def fork(self, arguments, output, environment):
        """Return a new process."""
        status, written = os.pipe()
        asked = {'arguments': arguments, 'environment': environment, 'folder': str(Path.cwd())}
        try:
            socket.send_fds(self._channel, [json.dumps(asked).encode()], [output.fileno(), written])
            pid = int(self._channel.recv(16))
        finally:
            os.close(written)
        return Process(pid, status)

    def _end(self):
        self._channel.close()
        self._process.wait()


def _serve(channel):
    """Fork for each request; return in a fork the arguments of its command line, and None when pytest has ended."""
    ended, wake = os.pipe()
    os.set_blocking(wake, False)
    # Only a signal with a handler in Python wakes.
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    statuses = {}
    waiting = select.poll()
    waiting.register(channel, select.POLLIN)
    waiting.register(ended, select.POLLIN)
    while True:
        ready = dict(waiting.poll())
        if ended in ready:
            os.read(ended, 4096)
            _report(statuses)
        if channel.fileno() not in ready:
            continue
        data, descriptors, *_ = socket.recv_fds(channel, _MOST, 2)
        if not data:
            return None
        output, status = descriptors
        if not (pid := os.fork()):
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            asked = json.loads(data)
            _become(asked, output)
            channel.close()
            for unused in (ended, wake, *descriptors, *statuses.values()):
                os.close(unused)
            return asked['arguments']
        statuses[pid] = status
        os.close(output)
        channel.send(str(pid).encode())


def _report(statuses):
    """Write the exit code of each child that has ended."""
    for pid in list(statuses):
        ended, code = os.waitpid(pid, os.WNOHANG)
        if ended:
            status = statuses.pop(pid)
            os.write(status, str(os.waitstatus_to_exitcode(code)).encode())
            os.close(status)


def _become(asked, output):
    """Give this process the streams, the environment and the folder that it was started with."""
    for stream in _STREAMS[1:]:
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(asked['environment'])
    os.chdir(asked['folder'])
    tempfile.tempdir = None
    random.seed()


if __name__ == '__main__':
    from headrace import __main__ as entry_point
    from headrace.cli import main as _imported  # noqa: F401  what each fork finds imported

    # A collection would copy all pages of what was imported.
    gc.collect()
    gc.freeze()
    if (found := _serve(socket.socket(fileno=int(sys.argv[1])))) is not None:
        sys.argv = ['headrace', *found]
        entry_point.main()
