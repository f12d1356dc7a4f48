"""Generations: frozen candidates, one of which is what HAProxy starts and reloads from.

Promises: `current` is a link that always leads to a complete folder; it moves at once, and only to a generation that was
judged good. Each generation's number is part of its configuration (`HEADRACE_GENERATION`), so a worker can be asked
which one it started from.
"""

import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from headrace.haproxy.encode import userlists
from headrace.haproxy.plan.plan import Loaded
from headrace.haproxy.render.render import CONFIG, HTTPS, USERS
from headrace.haproxy.runtime.files import WriteError
from headrace.resolve.model_snapshot import ModelSnapshot

VARIABLE = 'HEADRACE_GENERATION'
CURRENT = 'current'
# The sections of a worker that no command changes; profiles have names of their own.
_STATIC = ('00-global.cfg', '10-defaults.cfg', '30-frontends.cfg')


@dataclass(frozen=True, slots=True)
class Generation:
    """A frozen folder, the snapshot that it was rendered from, and the profiles that it brings."""

    number: str
    folder: Path
    snapshot: ModelSnapshot
    profiles: frozenset[str]


class Generations:
    """The generations in a state folder; those in memory are the ones that this process has frozen."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / 'generations'
        self.known: dict[str, Generation] = {}
        # The one that the worker has started from: the next agent reads there what no command has changed.
        self.serving = ''
        self._last = 0

    @property
    def current(self) -> Path:
        """Return the link that HAProxy is started with."""
        return self.folder / CURRENT

    def new(self) -> tuple[str, Path]:
        """Return the number and the empty folder of a generation to be; raises WriteError."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            numbers = [int(path.name) for path in self.root.iterdir() if path.name.isdigit()]
            self._last = max([self._last, *numbers]) + 1
            folder = self.root / str(self._last)
            folder.mkdir()
        except OSError as error:
            raise WriteError(f'{self.root}: {error}') from error
        return str(self._last), folder

    def seal(self, number: str, folder: Path, snapshot: ModelSnapshot, profiles: frozenset[str]) -> Generation:
        """Write the number into the configuration and remember the generation; raises WriteError."""
        try:
            text = f'global\n  setenv {VARIABLE} {number}\n'
            (folder / CONFIG / '01-generation.cfg').write_text(text)
        except OSError as error:
            raise WriteError(f'{folder}: {error}') from error
        generation = Generation(number, folder, snapshot, profiles)
        self.known[number] = generation
        return generation

    async def promote(self, generation: Generation) -> None:
        """Let `current` lead to a generation, at once, and remove those that are not needed, in a thread; raises WriteError."""
        before = self.promoted()
        self.point(generation.number)
        await asyncio.to_thread(self._forget, {generation.number, before, self.serving})

    def point(self, number: str) -> None:
        """Let `current` lead to the generation of this number, at once, and keep all others; raises WriteError."""
        link = self.folder / f'.{CURRENT}.new'
        try:
            link.unlink(missing_ok=True)
            link.symlink_to(os.path.relpath(self.root / number, self.folder))
            link.replace(self.current)
        except OSError as error:
            raise WriteError(f'{self.current}: {error}') from error

    def promoted(self) -> str:
        """Return the number of the generation that `current` leads to, '' for none."""
        try:
            return self.current.readlink().name
        except OSError:
            return ''

    def discard(self, generation: Generation) -> None:
        """Remove a generation that was refused, unless HAProxy would start from it."""
        if generation.number != self.promoted():
            self.drop(generation.number)

    def drop(self, number: str) -> None:
        """Remove what there is of a generation."""
        self.known.pop(number, None)
        shutil.rmtree(self.root / number, ignore_errors=True)

    def _forget(self, numbers: set[str]) -> None:
        for path in self.root.iterdir():
            if path.name not in numbers:
                self.drop(path.name)


def loaded(folder: Path) -> Loaded:
    """Return what the files of a generation bring to a worker that starts from them; nothing where they are gone."""
    profiles = re.findall(r'^defaults (\S+)', _text(folder / CONFIG / '20-profiles.cfg'), re.MULTILINE)
    users = userlists.of_section(_text(folder / USERS))
    return Loaded(frozenset(profiles), direct=(folder / HTTPS).exists(), users=users)


def same_static(folder: Path, other: Path) -> bool:
    """Tell whether two folders agree in what no command changes."""
    return all(_text(folder / CONFIG / name) == _text(other / CONFIG / name) != '' for name in _STATIC)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ''
