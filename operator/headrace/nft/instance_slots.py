"""Several agents on one node, as while a DaemonSet surges: each has an instance slot, and one of them holds the table.

An instance slot is a folder and a set of ports; an agent whose predecessor in the pod had it finds it again by a file beside the
sockets. The table, and what is loaded at a boot, belong to the one that holds the lock; the kernel lets go of it when
the process ends, however that comes.
"""

import asyncio
import contextlib
import errno
import fcntl
import os
import shutil
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from headrace.settings.settings import INSTANCE_SLOTS

# Beside the sockets: a link to the instance slot's folder, by which HAProxy is started.
LINK = 'state'
_STEP_SECONDS = 0.05
_NUMBER = 'slot'


class InstanceSlotError(Exception):
    """There is no instance slot to be had; the message says why."""


@dataclass(slots=True)
class InstanceSlot:
    """An instance slot that this process has, and the lock of the table, which it may hold.

    `last` tells that its last agent was the last to hold the table.
    """

    number: int
    root: Path
    last: bool
    _file: IO[str]
    _table: IO[str] | None = field(default=None)

    @property
    def folder(self) -> Path:
        """Return the folder that is this instance slot's alone."""
        return _folder(self.root, self.number)

    @property
    def holds(self) -> bool:
        """Tell whether the table is held."""
        return self._table is not None

    def hold(self) -> bool:
        """Hold the table if no other agent does; return whether it is held."""
        if self._table is None:
            self._table = _locked(self.root / 'table.lock')
            if self._table is not None:
                # What it leaves behind is the last good state from now on.
                _write(self.root / _NUMBER, str(self.number))
        return self._table is not None

    async def wait(self) -> None:
        """Wait until the table is held."""
        while not self.hold():  # noqa: ASYNC110  another process releases it without notice
            await asyncio.sleep(_STEP_SECONDS)

    def release(self) -> None:
        """Let the next one hold the table."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def sweep(self) -> None:
        """Remove what agents that are gone have left in other instance slots: files, and keys in them."""
        for number in range(INSTANCE_SLOTS):
            folder = _folder(self.root, number)
            if number != self.number and folder.exists() and (file := _locked(self.root / f'{number}.lock')):
                shutil.rmtree(folder, ignore_errors=True)
                file.close()

    def close(self) -> None:
        """Leave the instance slot."""
        self.release()
        self._file.close()


def take(root: Path, sockets: Path, ports: Callable[[int], Iterable[int]]) -> InstanceSlot:
    """Return an instance slot: the one that these sockets belong to, else the last good one, else a free one, swept.

    `ports` are those of an instance slot. Raises SeatError and OSError.
    """
    root.mkdir(mode=0o750, parents=True, exist_ok=True)
    sockets.mkdir(mode=0o750, parents=True, exist_ok=True)
    own_number, last = _number(sockets / _NUMBER), _number(root / _NUMBER)
    for number in (
        [own_number] if own_number is not None else sorted(range(INSTANCE_SLOTS), key=lambda each: each != last)
    ):
        file = _locked(root / f'{number}.lock')
        if file is None:
            continue
        if own_number is None and not _are_free(ports(number)):
            file.close()
            continue
        folder = _folder(root, number)
        if number not in (own_number, last):
            # Whatever was here before is older than the last good state.
            shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o750, exist_ok=True)
        with contextlib.suppress(OSError):
            # HAProxy reads it as a member of a group, which may be another one than that of an earlier agent.
            os.chown(folder, -1, os.getegid())
        _write(sockets / _NUMBER, str(number))
        link = sockets / f'.{LINK}.new'
        link.unlink(missing_ok=True)
        link.symlink_to(folder)
        link.replace(sockets / LINK)
        return InstanceSlot(number, root, number == last, file)
    raise InstanceSlotError(
        f'{root}: another agent is in instance slot {own_number}'
        if own_number is not None
        else f'{root}: all instance slots are taken'
    )


def _folder(root: Path, number: int) -> Path:
    return root / str(number)


def _locked(path: Path) -> IO[str] | None:
    file = path.open('a')
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _number(path: Path) -> int | None:
    with contextlib.suppress(OSError, ValueError):
        number = int(path.read_text())
        return number if number in range(INSTANCE_SLOTS) else None
    return None


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f'.{path.name}.new')
    temporary.write_text(text)
    temporary.replace(path)


def _are_free(ports: Iterable[int]) -> bool:
    """Tell whether no process listens on any of some ports: HAProxy would share them with another HAProxy."""
    for port in ports:
        for family, address in ((socket.AF_INET, '0.0.0.0'), (socket.AF_INET6, '::')):  # noqa: S104  a look, no listener
            try:
                probe = socket.socket(family, socket.SOCK_STREAM)
            except OSError:
                continue
            with probe:
                # Connections that are ending take no port from a listener.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    probe.bind((address, port))
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        return False
    return True
