"""Put what the end-to-end tests of Kubernetes need into ``bin/e2e``: the tests, and what their pods are made of.

Built from published Go modules, as tests/e2e/go.mod pins them and go.sum checks them, and kept outside the checkout in
``~/.cache/headrace/e2e``: once per machine, about ten minutes on two cores.

    bin/e2e/e2e.test, ginkgo             the tests, and what runs several of them at a time
    bin/e2e/agnhost, regression-…        the programs of the images that they ask for
    bin/e2e/tools.tar                    what these images have beside: a minimal Debian with tools of the network

Environment: that of build_controlplane.py and build_node.py; needs root.
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

from build_controlplane import FLAGS, BuildError, Module, fetch_go, find_go, linking
from build_node import NOT_IN_IMAGES, SUITE, debootstrap
from fetch_haproxy import BIN, Apt, SetupError, mirrors, run

MODULE = Module('e2e', Path(__file__).resolve().parent.parent / 'tests' / 'e2e', 'k8s.io/kubernetes', {})
PACKAGES = (
    'github.com/onsi/ginkgo/v2/ginkgo',
    'k8s.io/kubernetes/test/images/agnhost',
    'k8s.io/kubernetes/test/images/regression-issue-74839',
)
# A key that is public, of pods that speak TLS.
KEYS = ('localhost.crt', 'localhost.key')
TESTS = 'k8s.io/kubernetes/test/e2e'
# What the image of agnhost has besides, and those of others that the tests ask for.
TOOLS = (
    'bind9-dnsutils', 'busybox', 'conntrack', 'curl', 'iperf', 'iproute2', 'iptables', 'netcat-openbsd', 'nftables',
    'procps',
)  # fmt: skip
_INTERRUPTED = '.building-'


def build(made: Path) -> None:
    """Build all programs into a folder."""
    go = find_go() or fetch_go(made / 'go')
    print(f'setup: building the tests of Kubernetes {MODULE.version()}: once, some minutes ({made})', flush=True)
    environment = {**os.environ, 'CGO_ENABLED': '0', 'GOWORK': 'off', 'GOTOOLCHAIN': 'auto'}
    flags = [*FLAGS, f'-ldflags={linking(MODULE)}']
    for words in (
        ['build', *flags, '-o', f'{made}/', *PACKAGES],
        ['test', '-c', *flags, '-o', f'{made}/e2e.test', TESTS],
    ):
        done = subprocess.run(
            [go, *words], cwd=MODULE.folder, env=environment, stderr=subprocess.PIPE, text=True, check=False
        )
        if done.returncode:
            said = [line for line in done.stderr.splitlines() if not line.startswith('go: downloading')]
            raise BuildError(f'`{go} {words[0]}` in {MODULE.folder} failed:\n' + '\n'.join(said))
    where = [go, 'list', '-mod=readonly', '-m', '-f', '{{.Dir}}', 'k8s.io/kubernetes']
    sources = subprocess.run(
        where, cwd=MODULE.folder, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout
    for name in KEYS:
        # The sources are read-only, and what is kept is to be removed some day.
        (made / name).write_bytes((Path(sources.strip()) / 'test/images/agnhost/porter' / name).read_bytes())
    shutil.rmtree(made / 'go', ignore_errors=True)


def pack(made: Path, mirror: str) -> None:
    """Make the base of images in a folder."""
    work = made / 'work'
    apt = Apt(work / 'apt', mirror, (SUITE,), run('dpkg', '--print-architecture').strip())
    apt.get('update')
    apt.get('download', 'debootstrap', cwd=work)
    (package,) = work.glob('debootstrap_*.deb')
    run('dpkg', '-x', str(package), str(work / 'debootstrap'))
    (work / 'debootstrap' / 'debs').mkdir()
    debootstrap(work / 'debootstrap', work / 'base', TOOLS, mirror)
    for name in NOT_IN_IMAGES:
        shutil.rmtree(work / 'base' / name, ignore_errors=True)
    run('tar', '--numeric-owner', '--sort=name', '-C', str(work / 'base'), '-cf', str(made / 'tools.tar'), '.')
    shutil.rmtree(work)


def built() -> Path:
    """Return the folder with all of it; build it if this machine has not yet."""
    cache = Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'headrace' / 'e2e'
    inputs = [(MODULE.folder / name).read_bytes() for name in ('go.mod', 'go.sum')]
    inputs += [repr((FLAGS, linking(MODULE), PACKAGES, TESTS, TOOLS, KEYS)).encode()]
    digest = hashlib.sha256(b'\0'.join(inputs)).hexdigest()[:8]
    target = cache / f'{MODULE.version()}-{platform.machine()}-{digest}'
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / 'lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for left in cache.glob(f'{_INTERRUPTED}*'):
            shutil.rmtree(left)
        if not target.is_dir():
            started = time.monotonic()
            made = Path(tempfile.mkdtemp(prefix=_INTERRUPTED, dir=cache))
            pack(made, mirrors()[0])
            build(made)
            made.rename(target)
            print(f'setup: built in {time.monotonic() - started:.0f} s: {target}', flush=True)
    return target


def main() -> int:
    """Put it into place; exit with a message if that cannot be done."""
    if os.geteuid():
        sys.exit('error: the end-to-end tests of Kubernetes need root')
    try:
        target = built()
    except (BuildError, SetupError, OSError) as error:
        sys.exit(f'error: {error}')
    link = BIN / 'e2e'
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    print('setup:   bin/e2e: ready')
    return 0


if __name__ == '__main__':
    sys.exit(main())
