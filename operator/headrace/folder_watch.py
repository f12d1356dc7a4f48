"""The folder as a live source: files are read again when they change, and the store follows.

Promises: a change costs as much as its file. A file that does not parse keeps what it last held, and the diagnostic says
so; a file that is gone takes its objects with it, but not at once: a file that is replaced may be removed first. While the
folder itself is gone, everything stays. An object in two files is the one of the later path. Large files are parsed in a
thread, so that the event loop goes on; one reading follows the other.
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

import watchfiles

from headrace import folder
from headrace.diagnostics import Diagnostic
from headrace.folder import SourceError
from headrace.names import Ref
from headrace.objects.kinds import Object
from headrace.objects.secrets import DEFAULT_LIMITS
from headrace.settings.secret_keys import Secrets
from headrace.store import Store

log = logging.getLogger(__name__)
# How often the watcher looks for news that the kernel has told it, and how long it gathers them, in milliseconds.
_STEP = 2
_DEBOUNCE = 20
# Against events that got lost: everything is looked at again, by inode, size and time.
_RESCAN_SECONDS = 60.0
# How soon a folder that was exchanged is noticed.
_IDLE_SECONDS = 1.0
_START_SECONDS = 0.5
# An object that is in no file any more is kept for so long.
_REMOVAL_SECONDS = 0.1
_BACK_SECONDS = 1.0
# A file of so many bytes is parsed within some milliseconds.
_SMALL = 32 * 1024

Signature = tuple[int, int, int]


class WatchedFolder:
    """Keeps a store as a folder says. `on_change` is called after each change of the store, with the time of the news."""

    def __init__(
        self, path: Path, store: Store, on_change: Callable[[float], None], limits: Secrets = DEFAULT_LIMITS
    ) -> None:
        self.path, self.store, self._on_change, self._limits = path.absolute(), store, on_change, limits
        self._objects: dict[Path, tuple[Object, ...]] = {}
        self._signatures: dict[Path, Signature] = {}
        self._holders: dict[Ref, dict[Path, Object]] = {}
        self._diagnostics: dict[Path, tuple[Diagnostic, ...]] = {}
        # Objects that are in no file any more, and since when.
        self._removals: dict[Ref, float] = {}
        self._root = _Root(self.path)
        self._roots = self._root.count
        self._last_scan = 0.0
        # One reading at a time: the later one has the newer content.
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self.events = 0
        self.missed_changes = 0

    def diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return what is wrong with files and with objects that could not be read."""
        # By a copy: metrics are made in a thread.
        return tuple(sorted({diagnostic for of_file in list(self._diagnostics.values()) for diagnostic in of_file}))

    def problems(self) -> dict[str, str]:
        """Return what stands in the way, by subject; files that do not parse are diagnostics."""
        return {}

    async def read(self) -> None:
        """Read everything once; raises SourceError for a missing folder."""
        async with self._turn:
            await self._read_all()

    def silent(self) -> dict[str, float]:
        """Return how long each watch has told nothing: a folder tells of changes only."""
        return {}

    def stop(self) -> None:
        """Do nothing: what follows a folder ends with its task."""

    async def _read_all(self) -> None:
        """Read what has changed since last time, all files the first time; raises SourceError for a missing folder."""
        files = folder.paths([self.path])
        self._last_scan = time.monotonic()
        for path in files:
            if (signature := _signature(path)) is not None and self._signatures.get(path) != signature:
                await self._read(path)
        for path in self._objects.keys() - set(files):
            self._forget(path)
        for ref in self.store.incomplete():
            self._settle(ref)

    async def follow(self) -> None:
        """Read what changes until cancelled."""
        problem = ''
        while True:
            # What changes between the last reading and the first watch would be missed.
            self._catch_up_later()
            try:
                self._root.look()
                root = self._root.count
                if problem:
                    log.info('the folder is there again', extra={'folder': str(self.path)})
                problem = ''
                await self._catch_up()
                async with contextlib.aclosing(self._changes()) as changes:
                    async for paths in changes:
                        await self._look_at(paths)
                        if not self._root.look() or self._root.count != root:
                            break
            except (OSError, RuntimeError, SourceError) as error:
                if str(error) != problem:
                    problem = str(error)
                    log.warning('the folder cannot be watched; what was read stays', extra={'error': problem})
                await asyncio.sleep(_IDLE_SECONDS)

    def _catch_up_later(self) -> None:
        asyncio.get_running_loop().call_later(_START_SECONDS, self._begin_to_catch_up)

    def _begin_to_catch_up(self) -> None:
        task = asyncio.create_task(self._catch_up())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _catch_up(self) -> None:
        with contextlib.suppress(SourceError, OSError):
            async with self._turn:
                await self._read_all()
            self._on_change(time.monotonic())

    async def _changes(self) -> AsyncGenerator[set[Path], None]:
        stop = asyncio.Event()
        try:
            async for events in watchfiles.awatch(
                self.path,
                watch_filter=None,
                debounce=_DEBOUNCE,
                step=_STEP,
                rust_timeout=int(_IDLE_SECONDS * 1000),
                yield_on_timeout=True,
                stop_event=stop,
                recursive=True,
            ):
                yield {Path(path) for _, path in events}
        finally:
            stop.set()

    async def _look_at(self, paths: set[Path]) -> None:
        began = time.monotonic()
        files = {path for path in paths if path.suffix in folder.SUFFIXES and not _hidden(path, self.path)}
        self.events += len(files)
        async with self._turn:
            for path in sorted(files):
                if path.is_file():
                    await self._read(path)
                elif path in self._objects:
                    self._forget(path)
            if self._moves_others(paths - files):
                await self._read_all()
                # Files that came with a folder may have come before it was watched.
                self._catch_up_later()
            elif began - self._last_scan >= _RESCAN_SECONDS:
                await self._read_all()
            elif not files:
                return
        self._on_change(began)

    def _moves_others(self, paths: set[Path]) -> bool:
        """Tell whether files of ours came or went with what changed: a folder, or a link as in a ConfigMap's volume."""
        return any(
            path.is_symlink()
            or (path.is_dir() and not _hidden(path, self.path))
            or (not path.exists() and any(path in file.parents for file in self._objects))
            for path in paths
        )

    async def _read(self, path: Path) -> None:
        signature, content = _signature(path), _content(path)
        if content is None:
            self._forget(path)
            return
        if len(content) <= _SMALL:
            contents = folder.parse(content, str(path), self._limits)
        else:
            contents = await asyncio.to_thread(folder.parse, content, str(path), self._limits)
        self._take(path, signature, contents)

    def _take(self, path: Path, signature: Signature | None, contents: folder.Contents) -> None:
        if signature is not None:
            self._signatures[path] = signature
        self._diagnostics[path] = contents.diagnostics
        if any(diagnostic.ref.kind == 'File' for diagnostic in contents.diagnostics) and path in self._objects:
            return
        before = {item.ref: item for item in self._objects.get(path, ())}
        failures = {diagnostic.ref for diagnostic in contents.diagnostics if diagnostic.reason == 'InternalError'}
        now = {item.ref: item for item in (*(before[ref] for ref in failures & before.keys()), *contents.objects)}
        self._objects[path] = tuple(now.values())
        for ref, item in now.items():
            self._holders.setdefault(ref, {})[path] = item
        for ref in before.keys() - now.keys():
            self._holders[ref].pop(path, None)
        for ref in before.keys() | now.keys():
            self._settle(ref)

    def _forget(self, path: Path) -> None:
        self._signatures.pop(path, None)
        self._diagnostics.pop(path, None)
        for item in self._objects.pop(path, ()):
            self._holders[item.ref].pop(path, None)
            self._settle(item.ref)

    def _settle(self, ref: Ref) -> None:
        holders = self._holders.get(ref)
        if holders:
            self._removals.pop(ref, None)
            self.store.put(holders[max(holders)])
            return
        self._holders.pop(ref, None)
        if not self._removals:
            asyncio.get_running_loop().call_later(_REMOVAL_SECONDS, self._drop_removed)
        self._removals[ref] = time.monotonic()

    def _drop_removed(self) -> None:
        """Take out of the store what has been in no file for a while; nothing while the folder itself is gone."""
        now, there = time.monotonic(), self._root.look()
        if self._root.count != self._roots:
            # It is back, or another one; its files may still be on their way.
            self._roots = self._root.count
            self._removals = dict.fromkeys(self._removals, now + _BACK_SECONDS)
            self._begin_to_catch_up()
        due = [ref for ref, since in self._removals.items() if there and now - since >= _REMOVAL_SECONDS]
        for ref in due:
            del self._removals[ref]
            self.store.drop(ref)
        if due:
            self._on_change(now)
        if self._removals:
            asyncio.get_running_loop().call_later(_REMOVAL_SECONDS, self._drop_removed)


class _Root:
    """A folder that may be removed and made again. `count` grows with each one that is seen at the path."""

    def __init__(self, path: Path) -> None:
        self.path, self.count = path, 0
        self._descriptor = -1
        self.look()

    def look(self) -> bool:
        """Return whether there is a folder now."""
        try:
            status = self.path.stat()
            if self._descriptor < 0 or not os.path.samestat(status, os.fstat(self._descriptor)):
                # What is open is not reused: another folder has another number.
                self._release()
                self._descriptor = os.open(self.path, os.O_PATH)
                self.count += 1
        except OSError:
            self._release()
            return False
        return True

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _signature(path: Path) -> Signature | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None


def _hidden(path: Path, root: Path) -> bool:
    try:
        return any(part.startswith('.') for part in path.relative_to(root).parts)
    except ValueError:
        return True
