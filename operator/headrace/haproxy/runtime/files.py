"""Writing rendered files to a folder: only those that differ, each whole, and those no longer rendered removed."""

import os
import re
from collections.abc import Iterable
from pathlib import Path

from headrace.haproxy.encode import syntax
from headrace.haproxy.render.render import CONFIG, USERS, Files
from headrace.ir.policy import Map

_OWN = (CONFIG, syntax.MAPS, syntax.CERTIFICATES, syntax.AUTHORITIES, syntax.ERRORS)
# What headrace writes, and what is left of a file that was never finished.
_FILES = r'haproxy/(?:(?:\d\d-[a-z]+|backends-\d{4})\.cfg|[a-z]+\.lua)|maps/[a-z0-9-]+\.map|certificates/(?:(?:list|tls-[a-z]+-\d+)\.txt|[a-z0-9._-]+\.pem)|authorities/[a-z0-9._-]+\.pem|errors/\d{3}-[0-9a-f]{8}(?:\.http)?'
_OURS = re.compile(rf'(?:{_FILES})|[a-z]+/\.[a-z0-9._-]+\.new')
_CREDENTIALS = (syntax.map_file(Map.AUTH), syntax.map_file(Map.AUTH_CRYPT), syntax.map_file(Map.AUTH_APR1), USERS)
_PRIVATE = 0o640
_PUBLIC = 0o644


class WriteError(Exception):
    """The folder cannot be written, or holds something that headrace did not put there."""


def judge(folder: Path) -> None:
    """Raise WriteError where `write` would remove a file that headrace did not put there."""
    try:
        for path in (path for name in _OWN if (folder / name).exists() for path in sorted((folder / name).iterdir())):
            if not _OURS.fullmatch(path.relative_to(folder).as_posix()):
                raise WriteError(f'{path} was not put there by headrace; choose another folder')
    except OSError as error:
        raise WriteError(f'{folder}: {error}') from error


def write(folder: Path, files: Files, *, sync: bool = False) -> None:
    """Make a folder hold exactly these files below its own sub-folders; raises WriteError.

    With `sync` each file reaches the disk first.
    """
    try:
        for name in _OWN:
            (folder / name).mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            _write(folder / name, data, _mode(name), sync=sync)
        for name in _OWN:
            for path in (folder / name).iterdir():
                if path.relative_to(folder).as_posix() not in files:
                    path.unlink()
    except OSError as error:
        raise WriteError(f'{folder}: {error}') from error


def put(folder: Path, name: str, data: bytes) -> None:
    """Write one file whole, which `flush` lets reach the disk; raises WriteError."""
    try:
        _replace(folder / name, data, _mode(name))
    except OSError as error:
        raise WriteError(f'{folder / name}: {error}') from error


def flush(folder: Path, names: Iterable[str]) -> None:
    """Let files reach the disk that were put; those that are gone are left out. Raises WriteError."""
    for name in names:
        try:
            descriptor = os.open(folder / name, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise WriteError(f'{folder / name}: {error}') from error
        try:
            os.fsync(descriptor)
        except OSError as error:
            raise WriteError(f'{folder / name}: {error}') from error
        finally:
            os.close(descriptor)


def drop(folder: Path, name: str) -> None:
    """Remove a file, if it is there; raises WriteError."""
    try:
        (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise WriteError(f'{folder / name}: {error}') from error


def link(source: Path, target: Path) -> None:
    """Make a folder that holds the same files as another by hard links, so that it costs neither time nor memory.

    Files are replaced, never written to, so the links keep what stood there. Raises WriteError.
    """
    try:
        for name in _OWN:
            (target / name).mkdir(parents=True, exist_ok=True)
            with os.scandir(source / name) as entries:
                for entry in entries:
                    if not entry.name.startswith('.'):
                        os.link(entry.path, target / name / entry.name)
    except OSError as error:
        raise WriteError(f'{target}: {error}') from error


def _write(path: Path, data: bytes, mode: int, *, sync: bool = False) -> None:
    """Write one file, unless it holds the data already."""
    try:
        if path.read_bytes() == data:
            return
    except FileNotFoundError:
        pass
    _replace(path, data, mode, sync=sync)


def _replace(path: Path, data: bytes, mode: int, *, sync: bool = False) -> None:
    """Write one file by a temporary one beside it, so that a reader sees the old or the new one, never a part."""
    place = str(path)
    folder, _, name = place.rpartition('/')
    temporary = f'{folder}/.{name}.new'
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, 'wb') as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(temporary, place)  # noqa: PTH105  paths of strings, since this runs for each change of a file


def _mode(name: str) -> int:
    """Return the mode of a file: keys, and hashes of passwords, are for HAProxy's group alone."""
    return _PRIVATE if name.startswith(syntax.CERTIFICATES) or name in _CREDENTIALS else _PUBLIC
