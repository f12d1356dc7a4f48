"""Put what a real node for tests needs into ``bin/node``: a root for the machine that it is, a base for images, and a root for hosts.

All are minimal folders of Debian, made by debootstrap, and kept outside the checkout in ``~/.cache/headrace/node``:
so they are made once per machine. Where that cannot be done, ``bin/node.missing`` says why, and the tests skip.

    bin/node/root      a machine's root: containerd, runc, CNI plugins, Docker
    bin/node/base.tar  what stands in for python:3.13-slim, and, with HAProxy over it, for haproxy:3.4
    bin/node/host      the root of a host outside of the cluster: systemd and keepalived

Environment:
  DEBIAN_MIRROR   use this Debian mirror instead of the one in the apt sources
  XDG_CACHE_HOME  instead of ~/.cache
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import sys
import time
from pathlib import Path

from fetch_haproxy import BIN, KEYRING, Apt, SetupError, mirrors, run

SUITE = 'trixie'
ROOT_PACKAGES = (
    'ca-certificates', 'conntrack', 'containerd', 'containernetworking-plugins', 'docker-buildx', 'docker-cli',
    'docker.io', 'iproute2', 'iptables', 'mount', 'nftables', 'runc',
)  # fmt: skip
HOST_PACKAGES = ('curl', 'dbus', 'iproute2', 'keepalived', 'python3', 'systemd', 'systemd-sysv')
BASE_PACKAGES = ('ca-certificates', 'python3', 'python3-venv')
# What the images of Python and Debian do not have either.
NOT_IN_IMAGES = (
    'usr/share/doc', 'usr/share/info', 'usr/share/man', 'usr/share/locale',
    'usr/lib/python3.13/EXTERNALLY-MANAGED', 'var/cache/apt', 'var/lib/apt/lists',
)  # fmt: skip
# As in the image of Python: `python`, and a pip of its own.
AS_PYTHON = """\
set -eu
ln -s /usr/bin/python3 /usr/local/bin/python
python -m venv /tmp/pip
rm /usr/lib/python3.13/EXTERNALLY-MANAGED
/tmp/pip/bin/pip --python /usr/bin/python3 install -q --no-index /usr/share/python-wheels/pip-*.whl
rm -r /tmp/pip
"""
INTERRUPTED = '.making-'


def fetch_debootstrap(folder: Path, mirror: str) -> Path:
    """Unpack Debian's debootstrap below a folder, and return where."""
    apt = Apt(folder / 'apt', mirror, (SUITE,), run('dpkg', '--print-architecture').strip())
    apt.get('update')
    apt.get('download', 'debootstrap', cwd=folder)
    (package,) = folder.glob('debootstrap_*.deb')
    run('dpkg', '-x', str(package), str(folder / 'debootstrap'))
    package.unlink()
    (folder / 'debootstrap' / 'debs').mkdir()
    return folder / 'debootstrap'


def debootstrap(folder: Path, target: Path, packages: tuple[str, ...], mirror: str) -> None:
    """Make a minimal Debian with some packages in a new folder."""
    own = folder / 'usr/share/debootstrap'
    run(
        # What it mounts, and leaves mounted when it fails, is not seen outside.
        'unshare', '--mount', str(folder / 'usr/sbin/debootstrap'), '--variant=minbase', f'--keyring={KEYRING}',
        f'--cache-dir={folder}/debs', f'--include={",".join(packages)}', SUITE, str(target), mirror,
        env={**os.environ, 'DEBOOTSTRAP_DIR': str(own), 'LC_ALL': 'C'},
    )  # fmt: skip
    for name in ('var/cache/apt', 'var/lib/apt/lists'):
        shutil.rmtree(target / name)


def pack(root: Path, target: Path) -> None:
    """Move a root into an archive that is a layer of images, without what they do not need."""
    for name in NOT_IN_IMAGES:
        shutil.rmtree(root / name, ignore_errors=True)
    run('tar', '--numeric-owner', '--sort=name', '-C', str(root), '-cf', str(target), '.')
    shutil.rmtree(root)


def make(target: Path, mirror: str) -> None:
    """Make root and base beside `target`, and put them there in one step."""
    made = target.with_name(INTERRUPTED + target.name)
    tool = fetch_debootstrap(made, mirror)
    debootstrap(tool, made / 'root', ROOT_PACKAGES, mirror)
    debootstrap(tool, made / 'host', HOST_PACKAGES, mirror)
    base = made / 'base'
    debootstrap(tool, base, BASE_PACKAGES, mirror)
    run('chroot', str(base), 'sh', '-c', AS_PYTHON)
    pack(base, made / 'base.tar')
    for name in ('apt', 'debootstrap'):
        shutil.rmtree(made / name)
    made.rename(target)


def made() -> Path:
    """Return the folder with all of it; make it if this machine has not yet."""
    if os.geteuid():
        raise SetupError('it needs root')
    if missing := [name for name in ('apt-get', 'dpkg', 'wget') if not shutil.which(name)]:
        raise SetupError(f'this system has no {", ".join(missing)} to get it from Debian with')
    if not KEYRING.is_file():
        raise SetupError(f'{KEYRING} is missing (package debian-archive-keyring)')
    found = mirrors()
    if not found:
        raise SetupError('no Debian mirror in /etc/apt; name one in DEBIAN_MIRROR')
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'headrace' / 'node'
    cache.mkdir(parents=True, exist_ok=True)
    # All that decides what is made, but for what Debian has of it by then.
    inputs = repr((ROOT_PACKAGES, HOST_PACKAGES, BASE_PACKAGES, NOT_IN_IMAGES, AS_PYTHON)).encode()
    target = cache / f'{SUITE}-{platform.machine()}-{hashlib.sha256(inputs).hexdigest()[:8]}'
    with (cache / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f'{INTERRUPTED}*'):
            shutil.rmtree(left)
        if target.is_dir():
            return target
        said = []
        started = time.monotonic()
        for mirror in found:
            try:
                make(target, mirror)
            except SetupError as error:
                said.append(str(error))
                shutil.rmtree(target.with_name(INTERRUPTED + target.name), ignore_errors=True)
                continue
            print(f'setup: made a node for the tests in {time.monotonic() - started:.0f} s: {target}', flush=True)
            return target
    raise SetupError('no mirror has what is needed:\n' + '\n'.join(said))


def main() -> None:
    """Put it into place, or say why that cannot be done: only the tests of a real node need it."""
    BIN.mkdir(exist_ok=True)
    link, missing = BIN / 'node', BIN / 'node.missing'
    for path in (link, missing):
        path.unlink(missing_ok=True)
    try:
        link.symlink_to(made())
    except (SetupError, OSError) as error:
        missing.write_text(f'{error}\n')
        print(f'setup: no node for the tests: {error}', file=sys.stderr)
        return
    print('setup:   bin/node: ready')


if __name__ == '__main__':
    main()
