"""Put what the conformance tests of the Gateway API need into ``bin/conformance``.

Built from published Go modules, as tests/conformance/suite/go.mod pins them and go.sum checks them, and kept outside the
checkout in ``~/.cache/headrace/conformance``: once per machine, about five minutes on two cores.

    bin/conformance/conformance.test     the tests
    bin/conformance/echo-basic, coredns  the programs of the images that they name
    bin/conformance/crds/CHANNEL         the definitions of the API of a channel

Environment: that of build_controlplane.py.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from build_controlplane import BIN, FLAGS, BuildError, Module, fetch_go, find_go

MODULE = Module(
    'conformance', Path(__file__).resolve().parent.parent / 'tests' / 'conformance' / 'suite',
    'sigs.k8s.io/gateway-api/conformance',
    {'echo-basic': 'sigs.k8s.io/gateway-api/conformance/echo-basic', 'coredns': './dns'},
)  # fmt: skip
API = 'sigs.k8s.io/gateway-api'
LINKING = '-ldflags=-s -w'
CHANNELS = ('standard', 'experimental')
_INTERRUPTED = '.building-'


def _go(go: str, *words: str) -> str:
    environment = {**os.environ, 'CGO_ENABLED': '0', 'GOWORK': 'off', 'GOTOOLCHAIN': 'auto'}
    done = subprocess.run([go, *words], cwd=MODULE.folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if not line.startswith('go: downloading')]
        raise BuildError(f'`{go} {words[0]}` in {MODULE.folder} failed:\n' + '\n'.join(lines))
    return done.stdout.strip()


def build(target: Path) -> None:
    """Build all programs into a folder, and copy the definitions of the API."""
    go = find_go() or fetch_go(target / 'go')
    print(
        f'setup: building the conformance tests of the Gateway API {MODULE.version()}: once, some minutes', flush=True
    )
    for name, package in MODULE.programs.items():
        _go(go, 'build', *FLAGS, LINKING, '-o', str(target / name), package)
    _go(go, 'test', '-c', *FLAGS, LINKING, '-o', str(target / 'conformance.test'), '.')
    sources = Path(_go(go, 'list', '-mod=readonly', '-m', '-f', '{{.Dir}}', API)) / 'config' / 'crd'
    for channel in CHANNELS:
        folder = target / 'crds' / channel
        folder.mkdir(parents=True)
        for path in sources.glob(f'{channel}/gateway.networking.*.yaml'):
            # Go's sources are read-only, and this copy is to be removed some day.
            (folder / path.name).write_bytes(path.read_bytes())
    shutil.rmtree(target / 'go', ignore_errors=True)


def built() -> Path:
    """Return the folder with all of it; build it if this machine has not yet."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'headrace' / MODULE.name
    inputs = [path.read_bytes() for path in sorted(MODULE.folder.rglob('*')) if path.is_file()]
    inputs += [repr((FLAGS, LINKING, MODULE.programs, CHANNELS)).encode()]
    digest = hashlib.sha256(b'\0'.join(inputs)).hexdigest()[:8]
    target = cache / f'{MODULE.version()}-{platform.machine()}-{digest}'
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f'{_INTERRUPTED}*'):
            shutil.rmtree(left)
        if not target.is_dir():
            started = time.monotonic()
            folder = Path(tempfile.mkdtemp(prefix=_INTERRUPTED, dir=cache))
            build(folder)
            folder.rename(target)
            print(f'setup: built in {time.monotonic() - started:.0f} s: {target}', flush=True)
    return target


def main() -> int:
    """Put it into place; exit with a message if that cannot be done."""
    try:
        target = built()
    except (BuildError, OSError) as error:
        sys.exit(f'error: {error}')
    link = BIN / MODULE.name
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    print('setup:   bin/conformance: ready')
    return 0


if __name__ == '__main__':
    sys.exit(main())
