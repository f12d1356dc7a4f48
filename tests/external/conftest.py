"""What the tests of hosts outside of the cluster share: the package, and hosts with it installed."""

import contextlib
import shutil

import pytest
from tools import deb
from tools.spaces import Space

from conftest import ROOT
from support import network
from support.host import Host
from support.machine import UnableError

_HAPROXY = ROOT / '.cache' / 'haproxy' / '3.4'
_LIBRARIES = '/opt/haproxy/usr/lib/x86_64-linux-gnu'
# As bin/haproxy-3.4 starts it.
_PROGRAM = f"""\
#!/bin/sh
exec {_LIBRARIES}/ld-linux-x86-64.so.2 --inhibit-cache --library-path {_LIBRARIES} --argv0 /usr/sbin/haproxy \\
    /opt/haproxy/usr/sbin/haproxy "$@"
"""


@pytest.fixture(scope='session')
def host_root():
    """The root of hosts, as `make node` has made it."""
    folder, missing = ROOT / 'bin' / 'node', ROOT / 'bin' / 'node.missing'
    if not folder.is_dir():
        why = missing.read_text().strip() if missing.exists() else 'bin/node is missing: run make node'
        pytest.skip(f'there is no root for a host: {why}')
    if not _HAPROXY.is_dir():
        pytest.skip(f'{_HAPROXY} is missing: HAProxy is not the one that make setup unpacks')
    return folder.resolve() / 'host'


def build(folder):
    """Build the Debian package for the Python of the hosts, in the network of this machine, and return its path."""
    space = Space('machine', fd=network.machine())
    try:
        return space.enter(deb.build, folder, '3.13')
    finally:
        space.close()


@pytest.fixture(scope='session')
def package(tmp_path_factory):
    """The Debian package."""
    return build(tmp_path_factory.mktemp('deb'))


@pytest.fixture
def build_again(tmp_path):
    """What builds it once more."""
    return lambda: build(tmp_path)


@pytest.fixture
def make_host(host_root, package):
    """What starts a host with HAProxy and the package installed."""
    # It takes ports as 80, which this machine may need itself.
    network.isolate()
    with contextlib.ExitStack() as held:

        def make(name='lb-1'):
            try:
                host = held.enter_context(Host(host_root, name))
            except UnableError as error:
                pytest.skip(f'no host can be made here: {error}')
            shutil.copyfile(package, host.shared / 'headrace.deb')
            shutil.copytree(_HAPROXY, host.shared / 'haproxy', symlinks=True)
            host.run('mv', '/shared/haproxy', '/opt/haproxy')
            host.write('/usr/sbin/haproxy', _PROGRAM)
            host.run('chmod', '755', '/usr/sbin/haproxy')
            host.run('dpkg', '--install', '/shared/headrace.deb')
            return host

        yield make
