"""Put what the conformance tests of the Gateway API need into ``bin/conformance``.

Built from published Go modules, as tests/conformance/suite/go.mod pins them and go.sum checks them, and kept outside the
checkout in ``~/.cache/headrace/conformance``: once per machine, about five minutes on two cores.

    bin/conformance/conformance.test     the tests
    bin/conformance/echo-basic, coredns  the programs of the images that they name
    bin/conformance/crds/CHANNEL         the definitions of the API of a channel

Environment: that of build_controlplane.py.
"""

from __future__ import annotations

import sys
from pathlib import Path

import go_modules
from go_modules import FLAGS, BuildError, Module

MODULE = Module(
    'conformance', Path(__file__).resolve().parent.parent / 'tests' / 'conformance' / 'suite',
    'sigs.k8s.io/gateway-api/conformance',
    {'echo-basic': 'sigs.k8s.io/gateway-api/conformance/echo-basic', 'coredns': './dns'},
)  # fmt: skip
API = 'sigs.k8s.io/gateway-api'
LINKING = '-ldflags=-s -w'
CHANNELS = ('standard', 'experimental')


def build(target: Path) -> None:
    """Build all programs into a folder, and copy the definitions of the API."""
    go = go_modules.go_of(target)
    print(
        f'setup: building the conformance tests of the Gateway API {MODULE.version()}: once, some minutes', flush=True
    )
    for name, package in MODULE.programs.items():
        go_modules.run_go(MODULE, go, 'build', *FLAGS, LINKING, '-o', str(target / name), package)
    go_modules.run_go(MODULE, go, 'test', '-c', *FLAGS, LINKING, '-o', str(target / 'conformance.test'), '.')
    sources = (
        Path(go_modules.run_go(MODULE, go, 'list', '-mod=readonly', '-m', '-f', '{{.Dir}}', API)) / 'config' / 'crd'
    )
    for channel in CHANNELS:
        folder = target / 'crds' / channel
        folder.mkdir(parents=True)
        for path in sources.glob(f'{channel}/gateway.networking.*.yaml'):
            # Go's sources are read-only, and this copy is to be removed some day.
            (folder / path.name).write_bytes(path.read_bytes())


def built() -> Path:
    """Return the folder with all of it; build it if this machine has not yet."""
    inputs = [path.read_bytes() for path in sorted(MODULE.folder.rglob('*')) if path.is_file()]
    inputs += [repr((FLAGS, LINKING, MODULE.programs, CHANNELS)).encode()]
    return go_modules.cached(MODULE, inputs, build)


def main() -> int:
    """Put it into place; exit with a message if that cannot be done."""
    try:
        go_modules.link(built())
    except (BuildError, OSError) as error:
        sys.exit(f'error: {error}')
    print('setup:   bin/conformance: ready')
    return 0


if __name__ == '__main__':
    sys.exit(main())
