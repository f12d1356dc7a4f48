"""Asking a real HAProxy whether it would accept a folder, and the sum of descriptors that `-c` does not do."""

import os
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from headrace.haproxy import listeners, versions
from headrace.haproxy.render import CONFIG
from headrace.model.ir import Fragment
from headrace.model.view import Role, View

_TIMEOUT_SECONDS = 60
# Sockets, pipes and files that a worker holds besides connections, listeners and checks.
_OWN_DESCRIPTORS = 100


class HaproxyMissingError(Exception):
    """The binary cannot be run."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether HAProxy accepts the folder, and its words."""

    accepted: bool
    output: str


def version(binary: str) -> str:
    """Return the version of a HAProxy binary, as in `3.4.7`; raises HaproxyMissingError and OldHaproxyError."""
    words = _run([binary, '-v']).stdout.split()
    if len(words) < 3 or words[0] != 'HAProxy':  # noqa: PLR2004
        raise HaproxyMissingError(f'{binary} is no HAProxy')
    found = words[2].partition('-')[0]
    versions.require(found, binary)
    return found


def check(binary: str, folder: Path) -> Outcome:
    """Run `haproxy -c` on a rendered folder; raises HaproxyMissingError."""
    return check_file(binary, folder / CONFIG)


def check_file(binary: str, path: Path) -> Outcome:
    """Run `haproxy -c` on one file, or on a folder of files that are one configuration; raises HaproxyMissingError."""
    found = _run([binary, '-c', '-f', str(path)])
    return Outcome(found.returncode == 0, (found.stdout + found.stderr).strip())


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, 'HEADRACE_SOCKETS': os.environ.get('HEADRACE_SOCKETS', '/run/headrace')}
    try:
        return subprocess.run(  # noqa: S603  the administrator names the binary
            command,
            capture_output=True,
            text=True,
            errors='replace',
            timeout=_TIMEOUT_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HaproxyMissingError(f'{command[0]}: {error}') from error


def descriptors(view: View, fragments: Iterable[Fragment]) -> int:
    """Return how many descriptors HAProxy asks for at a start: twice maxconn, listeners, and one a checked server.

    A start or reload is refused for too few of them where `-c` passed, so this sum is done beforehand.
    """
    known = list(fragments)
    checked = sum(
        len(group.addresses)
        for fragment in known
        for backend in fragment.backends
        if backend.options.check
        for group in backend.groups
    )
    return 2 * view.settings.maxconn + _listeners(view, known) + checked + _OWN_DESCRIPTORS


def _listeners(view: View, fragments: Sequence[Fragment]) -> int:
    settings = view.settings
    if view.role is Role.NODE:
        return (
            len(view.node_ports) * len(settings.addresses) + 1 + sum(listeners.of_fragments(fragments).sizes.values())
        )
    ranges = sum(last - first + 1 for first, last in settings.ranges())
    return (4 + settings.http3 + ranges) * len(settings.addresses)
