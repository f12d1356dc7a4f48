"""The candidate: a folder that follows the model, from which generations are frozen.

Owns which files a change touches. A change costs as much as the shards and maps that it is in. Nothing starts from
this folder; `generations` freezes it.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from headrace.haproxy.encode import certificate_lists, map_entries, tls_listeners
from headrace.haproxy.encode.profiles import Usage
from headrace.haproxy.encode.syntax import map_file
from headrace.haproxy.render import render
from headrace.haproxy.render.render import Renderer
from headrace.haproxy.runtime import files
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.policy import Entry, Map
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate import shapes

# So many files are written in one go, after which others get their turn.
_CHUNK = 16
_SECTIONS = 'sections'


class Staging:
    """Follows one snapshot, which its owner changes; `note` every change of it, then `flush`."""

    def __init__(self, folder: Path, renderer: Renderer, snapshot: ModelSnapshot) -> None:
        self.folder, self.renderer, self.snapshot = folder, renderer, snapshot
        self._shards: dict[int, set[Ref]] = {}
        self._maps: dict[Map, dict[str, str]] = {name: {} for name in Map}
        self._usage = usage(renderer)
        self._listeners = tls_listeners.of({})
        self._stale: set[str] = set()
        # The claims of stale files of TLS.
        self._pem_keys: dict[str, ClaimKey] = {}
        self._stale_shards: set[int] = set()
        # What changed since all files were written, as it was then.
        self.written: dict[Ref, Fragment | None] = {}
        # Files that were written since a generation was frozen, and need not have reached the disk.
        self._unsynced: set[str] = set()
        self._turn = asyncio.Lock()

    @property
    def stale(self) -> bool:
        """Tell whether files are behind the snapshot."""
        return bool(self._stale or self._stale_shards)

    @property
    def profiles(self) -> frozenset[str]:
        """Return the names of the profiles that the snapshot needs."""
        return frozenset(self._usage.profiles())

    def use(self, renderer: Renderer) -> None:
        """Render with another renderer from now on."""
        self.renderer = renderer
        self._usage.base = usage(renderer).base
        self._stale |= {_SECTIONS, *self._slot_lists()}

    def fill(self) -> None:
        """Write everything, and keep what later changes are made from; raises WriteError and TemplateError."""
        self.renew()
        files.write(self.folder, self.renderer.snapshot(self.snapshot))
        self._stale.clear()
        self._pem_keys.clear()
        self._stale_shards.clear()

    def note(self, change: Change) -> None:
        """Mark the files that a change of the snapshot touches; what raises does so before anything is marked."""
        entries_of = {
            item.ref: (map_entries.of_fragment(item.old), map_entries.of_fragment(item.new))
            for item in change.fragments
            if _differ(item)
        }
        pointer_entries = [
            (map_entries.of_pointer(*item.key, item.old), map_entries.of_pointer(*item.key, item.new))
            for item in change.pointers
        ]
        for item in change.fragments:
            self.written.setdefault(item.ref, item.old)
            self._place(item.ref, item.old, item.new)
            if self._usage.exchange(item.old, item.new):
                self._stale.add(_SECTIONS)
            old, new = item.old, item.new
            if item.ref in entries_of:
                self._exchange(*entries_of[item.ref])
            if (old.userlists if old else ()) != (new.userlists if new else ()):
                self._stale.add(_SECTIONS)
        for pointer, (before, after) in zip(change.pointers, pointer_entries, strict=True):
            self._exchange(before, after)
            self._point(pointer)
        self._listen(change.pointers)

    def _listen(self, changes: Iterable[PointerChange]) -> None:
        before, self._listeners = self._listeners, self._listeners.after(changes)
        if before is self._listeners:
            return
        self._exchange(before.entries(), self._listeners.entries())
        self._stale |= certificate_lists.differing(before, self._listeners)
        if before.sizes != self._listeners.sizes:
            self._stale.add(_SECTIONS)

    def _point(self, change: PointerChange) -> None:
        kind, key = change.key
        if isinstance(change.old, Pem) or isinstance(change.new, Pem):
            self._mark_pem(change.key)
        if (place := certificate_lists.place(kind, key)) is not None:
            self._stale.add(place.file)
        if kind is Kind.CERTIFICATE:
            self._stale.add(render.CRT_LIST)
        if kind is Kind.TLS:
            self._stale.add(render.HTTPS)
        if kind in (Kind.CERTIFICATE, Kind.AUTHORITY) and (change.old is None or change.new is None):
            self._stale.add(render.MATERIALS)
        if change.key == render.DEFAULT and (change.old is None or change.new is None):
            self._stale.add(_SECTIONS)

    def _mark_pem(self, key: ClaimKey) -> None:
        file = render.pem_file(*key)
        self._pem_keys[file] = key
        self._stale.add(file)

    def _exchange(self, old: Iterable[Entry], new: Iterable[Entry]) -> None:
        before, after = frozenset(old), frozenset(new)
        for entry in before - after:
            self._maps[entry.map].pop(entry.key, None)
            self._stale.add(map_file(entry.map))
        for entry in after - before:
            self._maps[entry.map][entry.key] = entry.value
            self._stale.add(map_file(entry.map))

    def _place(self, ref: Ref, old: Fragment | None, new: Fragment | None) -> None:
        if old is not None and new is not None and old.backends == new.backends and old.timeouts == new.timeouts:
            return
        number = render.shard(ref)
        members = self._shards.setdefault(number, set())
        if new is not None and new.backends:
            members.add(ref)
        else:
            members.discard(ref)
        self._stale_shards.add(number)

    def renew(self) -> None:
        """Make anew what files are made from, and mark them all: a change could not be noted."""
        self._shards.clear()
        self._usage = usage(self.renderer)
        for ref, fragment in self.snapshot.fragments.items():
            self._place(ref, None, fragment)
            self._usage.exchange(None, fragment)
        self._maps = map_entries.of_snapshot(self.snapshot)
        before, self._listeners = self._listeners, tls_listeners.of_pointers(self.snapshot.pointers)
        self._stale |= {_SECTIONS, render.CRT_LIST, render.MATERIALS, *map(map_file, Map)}
        self._stale |= certificate_lists.differing(before, self._listeners) | self._slot_lists()
        for key, content in self.snapshot.pointers.items():
            if isinstance(content, Pem):
                self._mark_pem(key)

    def _slot_lists(self) -> set[str]:
        return {certificate_lists.of_slot(slot) for slot in self.renderer.context.tls_slots}

    async def flush(self) -> None:
        """Write what is behind; raises WriteError and TemplateError, and keeps what it could not write as stale."""
        async with self._turn:
            while self._stale or self._stale_shards:
                await self._write_some()

    async def freeze(self, target: Path) -> tuple[ModelSnapshot, frozenset[str]]:
        """Write what is behind, link the folder to `target`, and return the snapshot and the profiles that it now holds."""
        async with self._turn:
            while self._stale or self._stale_shards:
                await self._write_some()
            snapshot, profiles = self.snapshot.copy(), self.profiles
            await asyncio.to_thread(self._link, target)
        return snapshot, profiles

    def _link(self, target: Path) -> None:
        """Let the files reach the disk, once however often each was written, and link them."""
        files.flush(self.folder, self._unsynced)
        self._unsynced.clear()
        files.link(self.folder, target)

    async def _write_some(self) -> None:
        numbers = sorted(self._stale_shards)[:_CHUNK]
        names = sorted(self._stale)[:_CHUNK] if not numbers else []
        # Not stale from now on: what changes while this is written makes it stale again.
        self._stale_shards.difference_update(numbers)
        self._stale.difference_update(names)
        try:
            contents: dict[str, bytes | None] = {}
            for number in numbers:
                contents[render.shard_file(number)] = self._shard(number)
                # A change waits for no more than one file: of a large model all of these take many milliseconds.
                await asyncio.sleep(0)
            for name in names:
                contents |= self._file(name)
                await asyncio.sleep(0)
            self._unsynced.update(contents)
            await asyncio.to_thread(_write, self.folder, contents)
            for name in set(names) - self._stale:
                self._pem_keys.pop(name, None)
            if not self._stale and not self._stale_shards:
                self.written.clear()
        except BaseException:
            self._stale_shards.update(numbers)
            self._stale.update(names)
            raise

    def _shard(self, number: int) -> bytes | None:
        fragments = [self.snapshot.fragments[ref] for ref in sorted(self._shards[number])]
        return self.renderer.backends(fragments) if fragments else None

    def _file(self, name: str) -> dict[str, bytes | None]:
        if name == _SECTIONS:
            sections = self.renderer.sections([*self.snapshot.fragments.values()])
            return {**sections, **self._file(render.HTTPS)}
        if name == render.HTTPS:
            return {name: self.renderer.https(self.snapshot)}
        if name == render.CRT_LIST:
            return {name: render.crt_list(self.snapshot.pointers)}
        if certificate_lists.is_of_slot(name):
            lists = self.renderer.slot_lists(self.snapshot.pointers)
            return {file: lists[file] for file in (certificate_lists.PLACEHOLDER, name) if file in lists}
        if certificate_lists.is_one(name):
            return {name: certificate_lists.files(self._listeners).get(name)}
        if name == render.MATERIALS:
            return {name: self.renderer.materials(self.snapshot.pointers)}
        for map_name in Map:
            if name == map_file(map_name):
                return {name: render.map_text(self._maps[map_name])}
        content = self.snapshot.pointers.get(self._pem_keys[name])
        return {name: content.data if isinstance(content, Pem) else None}


def _differ(item: FragmentChange) -> bool:
    """Tell whether the entries of a fragment may have changed."""
    return item.old is None or item.new is None or not item.old.has_same_data(item.new)


def usage(renderer: Renderer) -> Usage:
    """Return the use of shapes of which no fragment has any yet."""
    settings = renderer.context.settings
    return Usage(*shapes.usual_cookies(settings), external=settings.allow_external_name)


def _write(folder: Path, contents: dict[str, bytes | None]) -> None:
    for name, data in contents.items():
        if data is None:
            files.drop(folder, name)
        else:
            files.put(folder, name, data)
