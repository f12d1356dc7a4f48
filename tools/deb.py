"""Build the Debian package of headrace for hosts outside of a cluster: `python -m tools.deb`, or `make deb`.

The package has headrace and the Python packages of its lock file under /opt/headrace/lib, units of systemd, and no compiler
on the target: wheels are taken as they are, for one version of Python, that of the distribution. Two builds of one commit are
equal to the byte.

Environment:
  PYTHON_VERSION  of the distribution that it is for; 3.13, of Debian 13, without it
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import headrace

ROOT = Path(__file__).resolve().parent.parent
PACKAGING = ROOT / 'packaging'
DOCS = ('external.md', 'settings.md', 'running.md', 'operations.md', 'reloads.md')
_LAUNCHER = """\
#!/usr/bin/python3 -I
import sys

sys.path.insert(0, '/opt/headrace/lib')
from headrace.__main__ import main

main()
"""
_ARCHITECTURES = {'x86_64': 'amd64', 'aarch64': 'arm64'}
_CONTROL = """\
Package: headrace
Version: {version}
Architecture: {architecture}
Maintainer: The headrace maintainers <maintainers@headrace.invalid>
Section: net
Priority: optional
Depends: python3 (>= {python}), python3 (<< {next_python}), systemd
Recommends: haproxy (>= 3.4)
Suggests: keepalived
Installed-Size: {kilobytes}
Description: load balancer for Kubernetes, for a host outside of the cluster
 The agent follows the API server of a cluster, and keeps a HAProxy on this host
 true to its Services, Ingresses and Gateways. HAProxy 3.4 or later is needed:
 of the distribution, of HAProxy's own packages, or at a path of one's own.
"""


class BuildError(Exception):
    """The package cannot be built here; the message says why."""


def build(target: Path, python: str) -> Path:
    """Write the package for a version of Python into a folder, and return its path; raises BuildError."""
    if shutil.which('dpkg-deb') is None:
        raise BuildError('dpkg-deb is missing: build on Debian or Ubuntu, or in a container of one')
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        raise BuildError(f'no wheels are locked for {platform.machine()}')
    epoch = _run('git', '-C', str(ROOT), 'log', '-1', '--format=%ct').strip()
    target.mkdir(exist_ok=True)
    path = target / f'headrace_{headrace.__version__}+py{python}_{architecture}.deb'
    with tempfile.TemporaryDirectory(prefix='headrace-deb-') as place:
        root = Path(place) / 'root'
        _stage(root, python)
        _describe(root, python, architecture)
        for item in (root, *root.rglob('*')):
            os.utime(item, (int(epoch), int(epoch)), follow_symlinks=False)
        environment = {**os.environ, 'SOURCE_DATE_EPOCH': epoch}
        _run('dpkg-deb', '--root-owner-group', '-Zxz', '--build', str(root), str(path), env=environment)
    return path


def _stage(root: Path, python: str) -> None:
    """Put everything to its place below a root."""
    library = root / 'opt/headrace/lib'
    _run(
        sys.executable, '-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-compile', '--no-deps',
        '--require-hashes', '--only-binary=:all:', '--python-version', python, '--implementation', 'cp',
        *(word for tag in _platforms() for word in ('--platform', tag)),
        '--target', str(library), '-r', str(ROOT / 'operator' / 'requirements.lock'),
    )  # fmt: skip
    shutil.rmtree(library / 'bin', ignore_errors=True)
    shutil.copytree(ROOT / 'operator' / 'headrace', library / 'headrace', ignore=shutil.ignore_patterns('__pycache__'))
    for source, place, mode in _files():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, path)
        path.chmod(mode)
    launcher = root / 'usr/bin/headrace'
    launcher.parent.mkdir(parents=True)
    launcher.write_text(_LAUNCHER)
    launcher.chmod(0o755)
    for item in (root, *root.rglob('*')):
        if item.is_dir():
            item.chmod(0o755)


def _platforms() -> list[str]:
    """Return the tags of wheels for this machine, the newest first."""
    return [f'manylinux_2_{minor}_{platform.machine()}' for minor in (36, 34, 28, 24, 17)] + [
        f'manylinux2014_{platform.machine()}'
    ]


def _files() -> list[tuple[Path, str, int]]:
    """Return the files of packaging/ and docs/: from where, to where, with which mode."""
    found = [
        (PACKAGING / 'haproxy', 'usr/lib/headrace/haproxy', 0o755),
        (PACKAGING / 'settings.yaml', 'etc/headrace/settings.yaml', 0o644),
        (PACKAGING / 'sysusers.conf', 'usr/lib/sysusers.d/headrace.conf', 0o644),
        (PACKAGING / 'tmpfiles.conf', 'usr/lib/tmpfiles.d/headrace.conf', 0o644),
        (ROOT / 'LICENSE', 'usr/share/doc/headrace/copyright', 0o644),
    ]
    found += [
        (unit, f'usr/lib/systemd/system/{unit.name}', 0o644) for unit in sorted((PACKAGING / 'systemd').iterdir())
    ]
    return found + [(ROOT / 'docs' / name, f'usr/share/doc/headrace/{name}', 0o644) for name in DOCS]


def _describe(root: Path, python: str, architecture: str) -> None:
    """Write what dpkg reads."""
    control = root / 'DEBIAN'
    control.mkdir()
    major, minor = map(int, python.split('.'))
    kilobytes = sum(item.stat().st_size for item in root.rglob('*') if item.is_file()) // 1024
    values = {
        'version': f'{headrace.__version__}+py{python}',
        'architecture': architecture,
        'python': python,
        'next_python': f'{major}.{minor + 1}',
        'kilobytes': kilobytes,
    }
    (control / 'control').write_text(_CONTROL.format(**values))
    (control / 'conffiles').write_text('/etc/headrace/settings.yaml\n')
    for script in (PACKAGING / 'debian').iterdir():
        shutil.copyfile(script, control / script.name)
        (control / script.name).chmod(0o755)


def _run(*command: str, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        raise BuildError(f'{command[0]}: {done.stderr.strip()}')
    return done.stdout


def main() -> int:
    """Build it into dist/, and say how large it is; return the exit code."""
    try:
        path = build(ROOT / 'dist', os.environ.get('PYTHON_VERSION', '3.13'))
    except BuildError as error:
        sys.exit(f'error: {error}')
    print(f'{path.relative_to(ROOT)}: {path.stat().st_size / 1e6:.1f} MB')
    return 0


if __name__ == '__main__':
    sys.exit(main())
