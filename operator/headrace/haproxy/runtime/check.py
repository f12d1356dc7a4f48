"""Asking a real HAProxy whether it would accept a folder, and the sum of descriptors that `-c` does not do."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.haproxy.encode import tls_listeners
from headrace.haproxy.render.render import CONFIG
from headrace.haproxy.runtime import versions
from headrace.ir.fragment import Fragment
from headrace.translate.build_context import BuildContext, Role

# HAProxy reads 10,000 Services in a few seconds; what takes longer than this would hold up every reload.
LONGEST_SECONDS = 60.0
# Checks leave the processor to those who serve.
_NICE, _NICEST = 10, 19
# Sockets, pipes and files that a worker holds besides connections, listeners and checks.
_OWN_DESCRIPTORS = 100


class HaproxyMissingError(Exception):
    """The binary cannot be run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether HAProxy accepts the folder, its words, how long it took, and whether it was ended before it had judged.

    `searchable`: some objects may be at fault, and without them it may be accepted.
    """

    accepted: bool
    output: str
    seconds: float = 0.0
    timed_out: bool = False
    searchable: bool = True


def version(binary: str) -> str:
    """Return the version of a HAProxy binary, as in `3.4.7`; raises HaproxyMissingError and OldHaproxyError."""
    try:
        words = _run([binary, '-v'], LONGEST_SECONDS).stdout.split()
    except subprocess.TimeoutExpired as error:
        raise HaproxyMissingError(f'{binary} does not tell its version') from error
    if len(words) < 3 or words[0] != 'HAProxy':  # noqa: PLR2004
        raise HaproxyMissingError(f'{binary} is no HAProxy')
    number = words[2].partition('-')[0]
    versions.require(number, binary)
    return number


def check(binary: str, folder: Path, seconds: float = LONGEST_SECONDS) -> Outcome:
    """Run `haproxy -c` on a rendered folder, for so long at most; raises HaproxyMissingError."""
    return check_file(binary, folder / CONFIG, seconds)


def check_file(binary: str, path: Path, seconds: float = LONGEST_SECONDS) -> Outcome:
    """Do the same with one file, or with a folder of files that are one configuration; raises HaproxyMissingError.

    A configuration that takes longer is refused, like any other that HAProxy does not accept.
    """
    start = time.monotonic()
    try:
        process = _run([binary, '-c', '-f', str(path)], seconds)
    except subprocess.TimeoutExpired:
        message = f'HAProxy has not read the configuration within {seconds:.0f} s'
        return Outcome(accepted=False, output=message, seconds=time.monotonic() - start, timed_out=True)
    return Outcome(process.returncode == 0, (process.stdout + process.stderr).strip(), time.monotonic() - start)


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    """Run HAProxy with low priority; raises HaproxyMissingError, and TimeoutExpired when it was ended."""
    environment = {**os.environ, 'HEADRACE_SOCKETS': os.environ.get('HEADRACE_SOCKETS', '/run/headrace')}
    try:
        process = subprocess.Popen(  # noqa: S603  the administrator names the binary
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors='replace',
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise HaproxyMissingError(f'{command[0]}: {error}') from error
    with process:
        with contextlib.suppress(OSError):
            lower = min(os.getpriority(os.PRIO_PROCESS, 0) + _NICE, _NICEST)
            os.setpriority(os.PRIO_PROCESS, process.pid, lower)
        try:
            output, errors = process.communicate(timeout=seconds)
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def descriptors(context: BuildContext, fragments: Iterable[Fragment]) -> int:
    """Return how many descriptors HAProxy asks for at a start: two a connection, listeners, and one a checked server.

    It may have twice as many connections as clients of one listener: see the template `client-limit`.
    A start or reload is refused for too few of them where `-c` passed, so this sum is done beforehand.
    """
    all_fragments = list(fragments)
    checked = sum(
        len(group.addresses)
        for fragment in all_fragments
        for backend in fragment.backends
        if backend.options.check
        for group in backend.groups
    )
    return 4 * context.settings.maxconn + _listeners(context, all_fragments) + checked + _OWN_DESCRIPTORS


def _listeners(context: BuildContext, fragments: Sequence[Fragment]) -> int:
    settings = context.settings
    if context.role is Role.NODE:
        return (
            len(context.node_ports) * len(settings.addresses)
            + 1
            + sum(tls_listeners.of_fragments(fragments).sizes.values())
        )
    ranges = sum(last - first + 1 for first, last in settings.ranges())
    slots = sum(map(len, context.slots.values()))
    return (4 + settings.http3 + ranges + slots) * len(settings.addresses)
