"""The folder as a live source: files are read again when they change, and the store follows.

Promises: a change costs as much as its file. A file that does not parse keeps what it last held, and the verdict says
so; a file that is gone takes its objects with it. An object in two files is the one of the later path.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import watchfiles

from headrace import folder
from headrace.cluster.objects import Object
from headrace.cluster.store import Store
from headrace.folder import SourceError
from headrace.names import Ref
from headrace.verdicts import Verdict

log = logging.getLogger(__name__)
# How often the watcher looks for news that the kernel has told it, in milliseconds.
_STEP = 5
_DEBOUNCE = 50
# Against events that got lost: everything is looked at again, by inode, size and time.
_RESCAN_SECONDS = 60.0
_STARTED_SECONDS = 0.5

Signature = tuple[int, int, int]


class WatchedFolder:
    """Keeps a store as a folder says. `woken` is called after each change of the store."""

    def __init__(self, path: Path, store: Store, woken: Callable[[], None]) -> None:
        self.path, self.store, self._woken = path, store, woken
        self._held: dict[Path, tuple[Object, ...]] = {}
        self._signatures: dict[Path, Signature] = {}
        self._holders: dict[Ref, dict[Path, Object]] = {}
        self._verdicts: dict[Path, tuple[Verdict, ...]] = {}
        self.events = 0
        self.missed = 0

    def verdicts(self) -> tuple[Verdict, ...]:
        """Return what is wrong with files and with objects that could not be read."""
        return tuple(sorted({verdict for found in self._verdicts.values() for verdict in found}))

    def troubles(self) -> dict[str, str]:
        """Return what stands in the way, by subject; files that do not parse are verdicts."""
        return {}

    async def read(self) -> None:
        """Read everything once; raises SourceError for a missing folder."""
        self.read_all()

    def silent(self) -> dict[str, float]:
        """Return how long each watch has told nothing: a folder tells of changes only."""
        return {}

    def stop(self) -> None:
        """Do nothing: what follows a folder ends with its task."""

    def read_all(self) -> None:
        """Read what has changed since last time, all files the first time; raises SourceError for a missing folder."""
        found = folder.paths([self.path])
        for path in found:
            if (signature := _signature(path)) is not None and self._signatures.get(path) != signature:
                self._read(path)
        for path in self._held.keys() - set(found):
            self._forget(path)

    async def follow(self) -> None:
        """Keep reading what changes, for ever."""
        while True:
            # What changes between the last reading and the first watch would be missed.
            asyncio.get_running_loop().call_later(_STARTED_SECONDS, self._catch_up)
            try:
                async for changed in self._changes():
                    self._look_at(changed)
            except (OSError, RuntimeError, SourceError) as error:
                # The folder itself may go and come: what was read stays until it can be read again.
                log.warning('the folder cannot be watched', extra={'folder': str(self.path), 'said': str(error)})
                await asyncio.sleep(1.0)

    def _catch_up(self) -> None:
        with contextlib.suppress(SourceError):
            self.read_all()
            self._woken()

    async def _changes(self) -> AsyncIterator[set[Path]]:
        stop = asyncio.Event()
        try:
            async for events in watchfiles.awatch(
                self.path,
                watch_filter=None,
                debounce=_DEBOUNCE,
                step=_STEP,
                rust_timeout=int(_RESCAN_SECONDS * 1000),
                yield_on_timeout=True,
                stop_event=stop,
                recursive=True,
            ):
                yield {Path(path) for _, path in events}
        finally:
            stop.set()

    def _look_at(self, changed: set[Path]) -> None:
        known = {path for path in changed if path.suffix in folder.SUFFIXES and not _hidden(path, self.path)}
        self.events += len(known)
        if known and known == changed:
            for path in sorted(known):
                if path.is_file():
                    self._read(path)
                else:
                    self._forget(path)
        else:
            # Time to look at everything; or a link was exchanged, as for the volume of a ConfigMap, or a folder moved.
            self.read_all()
        self._woken()

    def _read(self, path: Path) -> None:
        signature = _signature(path)
        try:
            contents = folder.parse(path.read_bytes(), str(path))
        except OSError:
            self._forget(path)
            return
        if signature is not None:
            self._signatures[path] = signature
        self._verdicts[path] = contents.verdicts
        if any(verdict.ref.kind == 'File' for verdict in contents.verdicts) and path in self._held:
            return
        before = {item.ref for item in self._held.get(path, ())}
        self._held[path] = contents.objects
        for item in contents.objects:
            self._holders.setdefault(item.ref, {})[path] = item
        for ref in before - {item.ref for item in contents.objects}:
            self._holders[ref].pop(path, None)
        for ref in before | {item.ref for item in contents.objects}:
            self._settle(ref)

    def _forget(self, path: Path) -> None:
        self._signatures.pop(path, None)
        self._verdicts.pop(path, None)
        for item in self._held.pop(path, ()):
            self._holders[item.ref].pop(path, None)
            self._settle(item.ref)

    def _settle(self, ref: Ref) -> None:
        holders = self._holders.get(ref)
        if holders:
            self.store.put(holders[max(holders)])
        else:
            self._holders.pop(ref, None)
            self.store.drop(ref)


def _signature(path: Path) -> Signature | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _hidden(path: Path, root: Path) -> bool:
    try:
        return any(part.startswith('.') for part in path.relative_to(root).parts)
    except ValueError:
        return True
