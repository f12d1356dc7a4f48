"""Freezing: making a generation of what is wanted now, or of a part of an earlier one.

Promises: one generation at a time is frozen, and of one that could not be frozen nothing stays.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from headrace.haproxy.render.templating import TemplateError
from headrace.haproxy.runtime import files
from headrace.haproxy.runtime.files import WriteError
from headrace.haproxy.runtime.generations import Generation, Generations
from headrace.haproxy.runtime.journal import Journal
from headrace.haproxy.runtime.staging import Staging, usage
from headrace.resolve.model_snapshot import ModelSnapshot


class Freezer:
    """Freezes what `staging` follows. `search` finds the objects that an unexpected exception is about."""

    def __init__(
        self,
        staging: Staging,
        journal: Journal,
        generations: Generations,
        search: Callable[[Exception], Awaitable[None]],
    ) -> None:
        self._staging, self._journal, self._generations, self._search = staging, journal, generations, search
        self._turn = asyncio.Lock()

    async def freeze(self) -> Generation:
        """Return a new generation of what is wanted now; raises WriteError and TemplateError."""
        async with self._folder() as (number, folder):
            self._journal.open(number)
            return self._generations.seal(number, folder, *await self._staging.freeze(folder))

    async def freeze_part(self, base: Generation, snapshot: ModelSnapshot) -> Generation:
        """Return a generation of a part of the snapshot that another one was made from.

        It has no change that came after the other one: the journal brings these to its worker, and what stands now where
        the part has nothing. Raises WriteError and TemplateError.
        """
        async with self._folder() as (number, folder):
            refs = base.snapshot.fragments.keys() - snapshot.fragments.keys()
            keys = base.snapshot.pointers.keys() - snapshot.pointers.keys()
            self._journal.fork(number, base.number, refs, keys)
            profiles = await asyncio.to_thread(self._write_part, base, snapshot, folder)
            return self._generations.seal(number, folder, snapshot, profiles)

    def _write_part(self, base: Generation, snapshot: ModelSnapshot, folder: Path) -> frozenset[str]:
        """Write the files of a part of another generation, and return its profiles."""
        renderer = self._staging.renderer
        # Only files that differ are written.
        files.link(base.folder, folder)
        files.write(folder, renderer.snapshot(snapshot), sync=True)
        shapes = usage(renderer)
        for fragment in snapshot.fragments.values():
            shapes.exchange(None, fragment)
        return frozenset(shapes.profiles())

    @contextlib.asynccontextmanager
    async def _folder(self) -> AsyncIterator[tuple[str, Path]]:
        """Yield the number and the folder of a new generation, which goes if it is not sealed."""
        async with self._turn:
            number, folder = self._generations.new()
            self._journal.keep({*self._generations.known, number})
            try:
                yield number, folder
            except (WriteError, TemplateError):
                self._generations.drop(number)
                raise
            except Exception as error:
                self._generations.drop(number)
                await self._search(error)
                raise TemplateError(f'internal error: {type(error).__name__}') from error
            except BaseException:
                self._generations.drop(number)
                raise
