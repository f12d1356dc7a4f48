"""Put what the end-to-end tests of Kubernetes need into ``bin/e2e``: the tests, and what their pods are made of.

Built from published Go modules, as tests/e2e/go.mod pins them and go.sum checks them, and kept outside the checkout in
``~/.cache/headrace/e2e``: once per machine, about ten minutes on two cores.

    bin/e2e/e2e.test, ginkgo             the tests, and what runs several of them at a time
    bin/e2e/agnhost, regression-…        the programs of the images that they ask for
    bin/e2e/tools.tar                    what these images have beside: a minimal Debian with tools of the network

Environment: that of build_controlplane.py and build_node.py; needs root.
"""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import go_modules
from build_controlplane import linking
from build_node import debootstrap, fetch_debootstrap, pack
from fetch_haproxy import SetupError, mirrors
from go_modules import FLAGS, BuildError, Module

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


def build(made: Path) -> None:
    """Build all programs into a folder, and make the base of images."""
    pack_tools(made, mirrors()[0])
    go = go_modules.go_of(made)
    print(f'setup: building the tests of Kubernetes {MODULE.version()}: once, some minutes ({made})', flush=True)
    flags = [*FLAGS, f'-ldflags={linking(MODULE)}']
    go_modules.run_go(MODULE, go, 'build', *flags, '-o', f'{made}/', *PACKAGES)
    go_modules.run_go(MODULE, go, 'test', '-c', *flags, '-o', f'{made}/e2e.test', TESTS)
    sources = Path(go_modules.run_go(MODULE, go, 'list', '-mod=readonly', '-m', '-f', '{{.Dir}}', MODULE.main))
    for name in KEYS:
        # The sources are read-only, and what is kept is to be removed some day.
        (made / name).write_bytes((sources / 'test/images/agnhost/porter' / name).read_bytes())


def pack_tools(made: Path, mirror: str) -> None:
    """Make the base of images in a folder."""
    work = made / 'work'
    debootstrap(fetch_debootstrap(work, mirror), work / 'base', TOOLS, mirror)
    pack(work / 'base', made / 'tools.tar')
    shutil.rmtree(work)


def built() -> Path:
    """Return the folder with all of it; build it if this machine has not yet."""
    inputs = [*go_modules.pinned(MODULE), repr((FLAGS, linking(MODULE), PACKAGES, TESTS, TOOLS, KEYS)).encode()]
    return go_modules.cached(MODULE, inputs, build)


def main() -> int:
    """Put it into place; exit with a message if that cannot be done."""
    if os.geteuid():
        sys.exit('error: the end-to-end tests of Kubernetes need root')
    try:
        go_modules.link(built())
    except (BuildError, SetupError, OSError) as error:
        sys.exit(f'error: {error}')
    print('setup:   bin/e2e: ready')
    return 0


if __name__ == '__main__':
    sys.exit(main())
