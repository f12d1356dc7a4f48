"""The cluster: a control plane and a real node, as long as its process lives. What other processes need of it is a file.

Beside it in FOLDER is what enters its network: `kubectl`, and `enter` for any other program.
"""

import contextlib
import fcntl
import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import e2e.images
import support.images
from conformance import addresses, images
from conftest import ROOT
from e2e.nodes import OUTSIDE, Lan, Node
from e2e.plane import Plane
from support import network
from support.names import Names
from support.waiting import until

FOLDER = ROOT / '.cache' / 'conformance'
_STATE, _LOCK, _LOG = FOLDER / 'cluster.json', FOLDER / 'lock', FOLDER / 'cluster.log'
# What has been brought into the cluster, by name.
_CONTENTS = FOLDER / 'contents.json'
_START_WITHIN = 240
_MODULES = os.pathsep.join(str(ROOT / name) for name in ('tests', '', 'operator'))
# A cluster that is not used ends by itself.
_IDLE_SECONDS = 90 * 60
# The clusters that this process has started, which is to wait for their end if it ends them.
_STARTED = []


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster that runs, seen from another process."""

    pid: int
    kubeconfig: str
    importer: list[str]
    started: float

    def entered(self, *words):
        """Return a command as it runs in the network from which load balancers' addresses are reached."""
        return ['nsenter', f'--net=/proc/{self.pid}/ns/net', *map(str, words)]

    def run(self, *words, text=None, seconds=180):
        """Run a program in that network, as cluster-admin, and return what it says."""
        where = {**os.environ, 'KUBECONFIG': self.kubeconfig}
        homes = {f'HELM_{name}_HOME': str(FOLDER / 'helm' / name.lower()) for name in ('CACHE', 'CONFIG', 'DATA')}
        done = subprocess.run(
            self.entered(*words), input=text, capture_output=True, text=True, timeout=seconds, env={**where, **homes},
            check=False,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f'{words[0]} {" ".join(map(str, words[1:]))}: {done.stderr.strip()}')
        return done.stdout

    def kubectl(self, *words, **how):
        """Run kubectl."""
        return self.run(ROOT / 'bin' / 'kubectl', *words, **how)

    def has(self, name, value):
        """Whether this was recorded under a name."""
        return _contents().get(name) == value

    def record(self, name, value):
        """Record what has been brought into the cluster."""
        _CONTENTS.write_text(json.dumps({**_contents(), name: value}))

    def take(self, archive):
        """Import the images of an archive."""
        with archive.open('rb') as file:
            subprocess.run(self.importer, stdin=file, check=True, capture_output=True)


def _contents():
    return json.loads(_CONTENTS.read_text()) if _CONTENTS.exists() else {}


def running():
    """Return the cluster that runs, None for none."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _LOCK.open('a') as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if _STATE.exists():
                _STATE.touch()
                return Cluster(**json.loads(_STATE.read_text()))
    return None


def start():
    """Start a cluster in a process of its own, unless one runs; and return it."""
    if found := running():
        return found
    for path in (_STATE, _CONTENTS):
        path.unlink(missing_ok=True)
    with _LOG.open('wb') as log:
        process = subprocess.Popen(
            [sys.executable, '-m', 'conformance', 'serve'], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True, env={**os.environ, 'PYTHONPATH': _MODULES},
        )  # fmt: skip
    _STARTED.append(process)
    until(lambda: running() or process.poll() is not None, 'the cluster runs', within=_START_WITHIN)
    if not (found := running()):
        raise RuntimeError(f'the cluster does not start:\n{_LOG.read_text()[-3000:]}')
    return found


def stop():
    """End the cluster, if one runs."""
    if found := running():
        os.kill(found.pid, signal.SIGTERM)
        until(lambda: not running(), 'the cluster has ended', within=90)
        while _STARTED:
            _STARTED.pop().wait()


def serve():
    """Be the cluster, until SIGTERM or for as long as it is used."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _LOCK.open('a') as lock, contextlib.ExitStack() as stack:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        stack.callback(_STATE.unlink, missing_ok=True)
        found = _started(stack)
        _write_programs(found)
        _STATE.write_text(json.dumps({name: getattr(found, name) for name in Cluster.__slots__}))
        with contextlib.suppress(KeyboardInterrupt):
            while time.time() - _STATE.stat().st_mtime < _IDLE_SECONDS:
                time.sleep(5)


def _started(stack):
    begun = time.monotonic()
    network.isolate()
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='hr-conformance-')))
    machine = ROOT / 'bin' / 'node'
    images.write(ROOT / 'bin' / 'conformance', folder / 'programs.tar')
    support.images.write(machine / 'base.tar', folder, folder / 'others.tar', e2e.images.PAUSE)
    lan = Lan()
    stack.callback(lan.close)
    plane = stack.enter_context(Plane())
    stack.enter_context(Names(OUTSIDE[0], plane.api))
    stack.enter_context(addresses.Balancer(plane.api))
    node = Node(1, machine / 'root', plane)
    lan.join(node)
    stack.enter_context(node)
    for reached, by in zip(addresses.RANGES, node.addresses, strict=True):
        lan.space.ip(f'route add {reached} via {by}')
        # A Service has its address before the node serves it. A client that comes in between gets an error at once: what the node
        # sent back to the router would be lost, and conntrack would keep the connection from being served later.
        node.space.ip(f'route add unreachable {reached}')
    lan.routes([node])
    for name in ('programs', 'others'):
        node.take(folder / f'{name}.tar')
    node.start('nftables')
    node.schedule()
    importer = node.machine.command('ctr', '--namespace', 'k8s.io', 'images', 'import', '-')
    return Cluster(os.getpid(), str(plane.kubeconfig), importer, round(time.monotonic() - begun, 1))


def _write_programs(found):
    enter = shlex.join(found.entered('env', f'KUBECONFIG={found.kubeconfig}'))
    for name, words in {'enter': '', 'kubectl': shlex.quote(str(ROOT / 'bin' / 'kubectl'))}.items():
        path = FOLDER / name
        path.write_text(f'#!/bin/sh\nexec {enter} {words} "$@"\n')
        path.chmod(0o755)
