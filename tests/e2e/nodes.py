"""Several real nodes on one network, each a machine of its own: containerd, kubelet, kube-proxy, and a pod network.

clients, API server, DNS (this process's network) ── lan (a bridge) ── nodes ── their pods

Everything is of two families. There are three zones, which nodes are in by turns.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from conftest import binary
from e2e import images
from support import node_settings
from support.api import ApiError, collection
from support.machine import INSIDE, PROGRAMS, Machine
from support.nodes import Space
from support.waiting import until

OUTSIDE = ('198.51.100.1', 'fd00:51::1')
PODS = ('10.200.0.0/16', 'fd00:200::/32')
SERVICES = ('10.96.0.0/16', 'fd00:10:96::/112')
_ZONES = 3
# Many pods come and go at once.
_KUBELET = {'nodeStatusUpdateFrequency': '4s', 'serializeImagePulls': False, 'maxPods': 110}


class Lan:
    """The network that all nodes are on: a bridge of this process's own network."""

    def __init__(self):
        self.space = Space('outside', own=True)
        lines = ['link add lan type bridge', 'link set lan up', f'addr add {OUTSIDE[0]}/24 dev lan']
        self.space.ip('\n'.join([*lines, f'addr add {OUTSIDE[1]}/64 dev lan nodad']))
        # What is sent to addresses of the cluster from outside goes by the first node, as a router would have it.
        self.space.enter(_forward)

    def join(self, node):
        """Connect a node, and announce its pods to the network."""
        self.space.ip(
            f'link add {node.name} type veth peer name eth0 netns /proc/{os.getpid()}/fd/{node.space.fd}\n'
            f'link set {node.name} master lan\nlink set {node.name} up'
        )
        node.space.ip(
            f'link set lo up\nlink set eth0 up\naddr add {node.addresses[0]}/24 dev eth0\n'
            f'addr add {node.addresses[1]}/64 dev eth0 nodad\n'
            f'route add default via {OUTSIDE[0]}\nroute add default via {OUTSIDE[1]}'
        )
        node.space.enter(_forward)

    def routes(self, nodes):
        """Tell each where the pods of the others are."""
        for each in nodes:
            for other in nodes:
                if other is not each:
                    each.space.ip(_ways(other))
            self.space.ip(_ways(each))

    def close(self):
        """Remove it."""
        self.space.ip('link del lan')
        self.space.close()


def _ways(node):
    return '\n'.join(f'route add {pods} via {by}' for pods, by in zip(node.pods, node.addresses, strict=True))


def _forward():
    for path in ('net/ipv4/ip_forward', 'net/ipv6/conf/all/forwarding'):
        Path('/proc/sys', path).write_text('1')


class Node:
    """One node; a context manager. Its programs end with it."""

    def __init__(self, number, root, plane):
        self.number, self.plane = number, plane
        self.name = f'node-{number}'
        self.addresses = (f'198.51.100.{10 + number}', f'fd00:51::{10 + number}')
        self.pods = (f'10.200.{number}.0/24', f'fd00:200:{number}::/64')
        self.space = Space(self.name)
        self.machine = Machine(root, self.space, Path(binary('kubelet', 'make e2e')).resolve().parent, self.name)

    def __enter__(self):
        """Start containerd."""
        self.machine.__enter__()
        self._configure()
        self.machine.start('containerd', 'containerd', '--config', INSIDE / 'containerd.toml')
        until(self._has_containerd, 'containerd answers')
        return self

    def __exit__(self, *_):
        """End all of it."""
        self.machine.close()
        self.space.close()

    def _configure(self):
        shared = self.machine.shared
        (shared / 'cni').mkdir()
        (shared / 'cni' / '10-pods.conflist').write_text(json.dumps(self._cni()))
        (shared / 'containerd.toml').write_text(node_settings.containerd(images.PAUSE))
        (shared / 'kubelet.json').write_text(json.dumps(node_settings.kubelet(OUTSIDE[0], **_KUBELET)))
        (shared / 'resolv.conf').write_text(f'nameserver {OUTSIDE[0]}\n')
        shutil.copy(self.plane.ca, shared / 'ca.crt')
        config = self.plane.kubeconfig.read_text().replace(str(self.plane.ca), f'{INSIDE}/ca.crt')
        (shared / 'kubeconfig').write_text(config)

    def _cni(self):
        ranges = [[{'subnet': pods}] for pods in self.pods]
        ways = [{'dst': '0.0.0.0/0'}, {'dst': '::/0'}]
        pods = {'type': 'ptp', 'ipMasq': False, 'ipam': {'type': 'host-local', 'ranges': ranges, 'routes': ways}}
        ports = {'type': 'portmap', 'capabilities': {'portMappings': True}, 'snat': True}
        return {'cniVersion': '1.0.0', 'name': 'pods', 'plugins': [pods, ports]}

    def _has_containerd(self):
        return not subprocess.run(self.machine.command('ctr', 'version'), capture_output=True, check=False).returncode

    def take(self, archive):
        """Import the images of an archive."""
        with archive.open('rb') as file:
            subprocess.run(
                self.machine.command('ctr', '--namespace', 'k8s.io', 'images', 'import', '-'),
                stdin=file,
                check=True,
                capture_output=True,
            )

    def start(self, mode):
        """Start kubelet and, in a mode, kube-proxy."""
        kubeconfig = f'--kubeconfig={INSIDE}/kubeconfig'
        zone = f'topology.kubernetes.io/zone=zone-{self.number % _ZONES}'
        self.machine.start(
            'kubelet', PROGRAMS / 'kubelet', f'--config={INSIDE}/kubelet.json', kubeconfig,
            f'--hostname-override={self.name}', f'--node-ip={",".join(self.addresses)}', f'--node-labels={zone}',
        )  # fmt: skip
        until(self._found, f'{self.name} is registered', within=90)
        self.plane.api.patch(self.path, {'spec': {'podCIDR': self.pods[0], 'podCIDRs': list(self.pods)}})
        self.machine.start(
            'kube-proxy', PROGRAMS / 'kube-proxy', kubeconfig, f'--hostname-override={self.name}',
            f'--proxy-mode={mode}', f'--cluster-cidr={",".join(PODS)}', '--conntrack-max-per-core=0',
        )  # fmt: skip
        until(self._is_ready, f'{self.name} is ready', within=90)

    @property
    def path(self):
        """Where its Node is in the API."""
        return f'{collection("Node")}/{self.name}'

    def _found(self):
        try:
            return self.plane.api.get(self.path)
        except (ApiError, OSError):
            return None

    def _is_ready(self):
        found = self._found()
        if not found:
            return False
        ready = {each['type']: each['status'] for each in found['status'].get('conditions', ())}.get('Ready') == 'True'
        return ready and not found['spec'].get('taints')

    def schedule(self):
        """Start the scheduler of the cluster here."""
        self.machine.start(
            'kube-scheduler', PROGRAMS / 'kube-scheduler', f'--kubeconfig={INSIDE}/kubeconfig',
            '--leader-elect=false', '--secure-port=0',
        )  # fmt: skip
