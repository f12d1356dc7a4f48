"""Run the end-to-end tests of Kubernetes' Services on nodes of their own, with headrace beside kube-proxy, or without.

From tests/: `PYTHONPATH=.. ../.venv/bin/python -m e2e --help`; needs root, and what `make e2e` builds.
"""

import argparse
import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

from conftest import ROOT, binary
from e2e import images, outcome
from e2e.nodes import OUTSIDE, SERVICES, Lan, Node
from e2e.plane import NAMESPACE, WISHES, Plane
from e2e.router import POOLS, Router
from e2e.witness import Remembered, Witness
from headrace.kube.rights import When
from support import network
from support.cluster import Cluster
from support.waiting import until

FOCUS = r'\[sig-network\]'
# What needs a cloud, a network beyond this machine or policies of its own, or is about other things than Services.
SKIP = (
    r'\[Disruptive\]|\[Serial\]|\] DNS|Netpol|NetworkPolicy|Ingress'
    r'|Feature:(Networking|KubeProxy|Performance)'
)
# Without a pool a cloud would have to give addresses; and headrace writes no finalizer.
_LOAD_BALANCERS, _FINALIZER = 'LoadBalancers', 'load balancer cleanup finalizer'
_SCTP = 'SCTP'
# The nodes' nft, which kube-proxy uses too: an older one may not read what a newer has made.
_NFT = """\
#!/bin/sh
root={root} libraries=$(echo {root}/usr/lib/*-linux-gnu)
exec $libraries/ld-linux*.so.* --inhibit-cache --library-path $libraries $root/usr/sbin/nft "$@"
"""


class Agent(Cluster):
    """A process of headrace in a node's network."""

    def __init__(self, plane, node, nft):
        super().__init__(
            binary('haproxy-3.4'), plane, NAMESPACE, role='node', name=node.name, everywhere=True,
            namespaces=[], addresses=['0.0.0.0', '::'], tcpPorts='', maxconn=4000, serviceNetworks=list(SERVICES),
        )  # fmt: skip
        self._node, self._nft = node, nft

    def command(self, *more):
        where = f'--net=/proc/{os.getpid()}/fd/{self._node.space.fd}'
        return ['nsenter', where, *super().command('--node', self._node.name, '--nft', self._nft, *more)]


def controller(plane, *, pool):
    """Return headrace's controller, not started yet; with a `pool` it gives addresses to Services of type LoadBalancer."""
    pools = {'addressPools': [{'name': 'routed', 'addresses': list(POOLS)}], 'defaultClass': True} if pool else {}
    return Cluster(
        binary('haproxy-3.4'), plane, NAMESPACE, role='controller', name='controller', everywhere=True,
        when=[When.NODE_ROLE], namespaces=[], nodeRole=True, serviceNetworks=list(SERVICES), **pools,
    )  # fmt: skip


def cluster(stack, given, folder):
    """Start all of it, and return the control plane."""
    programs = ROOT / 'bin' / 'e2e'
    archive = folder / 'images.tar'
    images.write(programs, archive)
    lan = Lan()
    stack.callback(lan.close)
    plane = Plane()
    stack.enter_context(plane)
    witness = stack.enter_context(Witness(plane.api, given.report / 'services.json'))
    stack.enter_context(Remembered(OUTSIDE[0], witness))
    nodes = []
    for number in range(1, given.nodes + 1):
        node = Node(number, ROOT / 'bin' / 'node' / 'root', plane)
        lan.join(node)
        nodes.append(stack.enter_context(node))
    lan.routes(nodes)
    for node in nodes:
        node.take(archive)
        node.start(given.mode)
    nodes[0].schedule()
    if given.pool:
        stack.enter_context(Router(plane.api, lan, nodes))
    if given.wish != 'none' or given.pool:
        plane.api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': NAMESPACE}})
        made = controller(plane, pool=given.pool)
        stack.callback(made.close)
        made.begin()
    if given.wish != 'none':
        _headrace(stack, given, plane, nodes, folder)
    return plane, nodes


def _headrace(stack, given, plane, nodes, folder):
    nft = folder / 'nft'
    nft.write_text(_NFT.format(root=(ROOT / 'bin' / 'node' / 'root').resolve()))
    nft.chmod(0o755)
    agents = [Agent(plane, node, nft) for node in nodes]
    for agent in agents:
        stack.callback(agent.close)
        agent.begin()
        print(f'{agent.name}: agent {agent.root}', flush=True)  # noqa: T201
    for agent in agents:
        until(lambda agent=agent: agent.times('serving'), f'{agent.name} serves: {agent.log}', within=180)
    plane.wish(given.wish)


def _skipped(given):
    """Return what is not run: what is asked for, and what the kernel of this machine does not speak."""
    skipped = f'{SKIP}|{_FINALIZER if given.pool else _LOAD_BALANCERS}' if given.skip is None else given.skip
    try:
        socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_SCTP).close()
    except OSError:
        print('this kernel does not speak SCTP: its tests are not run', flush=True)  # noqa: T201
        return f'{skipped}|{_SCTP}' if skipped else _SCTP
    return skipped


def run(given, plane, report):
    """Run the tests, and return how they ended."""
    command = [
        ROOT / 'bin' / 'e2e' / 'ginkgo', f'--nodes={given.parallel}', f'--flake-attempts={given.attempts}', '--no-color', f'--focus={given.focus}',
        f'--skip={_skipped(given)}', '--timeout=4h', '--output-interceptor-mode=none', *given.ginkgo, ROOT / 'bin' / 'e2e' / 'e2e.test', '--',
        f'--kubeconfig={plane.kubeconfig}', '--provider=skeleton', f'--report-dir={report}', '--report-complete-ginkgo',
        # Else only the first of the parallel processes counts the nodes, and the others skip what asks for two.
        f'--num-nodes={given.nodes}',
        f'--kubectl-path={ROOT / "bin" / "kubectl"}', f'--dump-logs-on-failure={str(given.dump).lower()}',
    ]  # fmt: skip
    return subprocess.run([str(word) for word in command], check=False).returncode


def arguments():
    """Return what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--nodes', type=int, default=3, help='some tests ask for six: two in each zone')
    parser.add_argument('--mode', default='nftables', help="kube-proxy's mode")
    parser.add_argument('--wish', choices=['none', *WISHES], default='handover')
    parser.add_argument('--pool', action='store_true', help='give Services of type LoadBalancer an address of a pool')
    parser.add_argument('--focus', default=FOCUS)
    parser.add_argument('--skip', help='what is not run, instead of what needs what this machine has not')
    parser.add_argument('--parallel', type=int, default=3)
    parser.add_argument('--attempts', type=int, default=1, help='how often a test that fails is run')
    parser.add_argument('--report', type=Path, default=Path(tempfile.gettempdir()) / 'headrace-e2e')
    parser.add_argument('--dump', action='store_true')
    parser.add_argument('--stay', action='store_true', help='run nothing, and say how to come in')
    parser.add_argument('ginkgo', nargs='*')
    return parser.parse_args()


def main():
    """Run it."""
    given = arguments()
    given.report.mkdir(parents=True, exist_ok=True)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    network.isolate()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='hr-e2e-')))
        plane, nodes = cluster(stack, given, folder)
        if given.stay:
            print(f'PID={os.getpid()} KUBECONFIG={plane.kubeconfig} PLANE={plane.folder}', flush=True)  # noqa: T201
            for node in nodes:
                print(f'{node.name} net fd {node.space.fd}, logs {node.machine.shared}', flush=True)  # noqa: T201
            with contextlib.suppress(KeyboardInterrupt):
                signal.pause()
            return 0
        code = run(given, plane, given.report)
    outcomes = outcome.read(given.report)
    print('\n'.join(outcome.lines(outcomes)))  # noqa: T201
    return code


if __name__ == '__main__':
    sys.exit(main())
