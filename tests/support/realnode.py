"""A cluster of one real node: its own control plane, and containerd, kubelet, kube-scheduler and kube-proxy on a machine.

clients, API server, DNS (this process's network) ── veth ── the node ── its pods
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

from tools.spaces import Space

from conftest import ROOT, binary
from support import chart, images, logs, network, node_settings
from support.api import ApiError, collection
from support.controlplane import WITH_NODES, ControlPlane
from support.machine import INSIDE, PROGRAMS, Machine
from support.names import Names
from support.waiting import until

OUTSIDE, NODE, PODS = '198.51.100.1', '198.51.100.2', '10.200.0.0/24'
NAME, NAMESPACE = 'real', 'headrace-system'
_CNI = {
    'cniVersion': '1.0.0', 'name': 'pods',
    'plugins': [
        {
            'type': 'ptp', 'ipMasq': False,
            'ipam': {'type': 'host-local', 'ranges': [[{'subnet': PODS}]], 'routes': [{'dst': '0.0.0.0/0'}]},
        },
        {'type': 'portmap', 'capabilities': {'portMappings': True}},
    ],
}  # fmt: skip


class RealNode:
    """The cluster; a context manager. `plane` is its control plane, `machine` its node."""

    def __init__(self, root):
        network.isolate()
        self._own, self.space = Space('outside', own=True), Space(NAME)
        self._closed, self.before = False, self.links()
        self._wire()
        self.plane = ControlPlane(OUTSIDE, WITH_NODES)
        self.machine = Machine(root, self.space, Path(binary('kubelet', 'make node-test')).resolve().parent)
        self._names = Names(OUTSIDE, self.plane.api)
        self._logs = [self.machine.shared / f'{name}.log' for name in ('containerd', 'kubelet')]
        for path in self._logs:
            logs.follow(path)

    def _wire(self):
        self._own.ip(
            f'link add {NAME} type veth peer name eth0 netns {self._net}\naddr add {OUTSIDE}/24 dev {NAME}\n'
            f'link set {NAME} up\nroute add {PODS} via {NODE}'
        )
        self.space.ip(f'link set lo up\naddr add {NODE}/24 dev eth0\nlink set eth0 up\nroute add default via {OUTSIDE}')
        self.space.enter(Path('/proc/sys/net/ipv4/ip_forward').write_text, '1')

    @property
    def _net(self):
        return f'/proc/{os.getpid()}/fd/{self.space.fd}'

    def __enter__(self):
        self._names.__enter__()
        try:
            self.machine.__enter__()
            self.plane.__enter__()
            self._configure()
            self._start_containerd()
        except BaseException:
            self.close()
            raise
        return self

    def _configure(self):
        shared = self.machine.shared
        (shared / 'cni').mkdir()
        (shared / 'cni' / '10-pods.conflist').write_text(json.dumps(_CNI))
        (shared / 'containerd.toml').write_text(node_settings.containerd(images.PAUSE))
        (shared / 'kubelet.json').write_text(json.dumps(node_settings.kubelet(OUTSIDE, nodeStatusUpdateFrequency='2s')))
        (shared / 'resolv.conf').write_text(f'nameserver {OUTSIDE}\n')
        shutil.copy(self.plane.ca, shared / 'ca.crt')
        config = self.plane.kubeconfig.read_text().replace(str(self.plane.ca), f'{INSIDE}/ca.crt')
        (shared / 'kubeconfig').write_text(config)

    def _start_containerd(self):
        self.machine.start('containerd', 'containerd', '--config', INSIDE / 'containerd.toml')
        until(self._has_containerd, 'containerd answers')

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

    def start(self):
        """Start what is a node, and wait until it is ready."""
        kubeconfig = f'--kubeconfig={INSIDE}/kubeconfig'
        self.machine.start(
            'kubelet', PROGRAMS / 'kubelet', f'--config={INSIDE}/kubelet.json', kubeconfig,
            f'--hostname-override={NAME}', f'--node-ip={NODE}',
        )  # fmt: skip
        self.machine.start(
            'kube-scheduler', PROGRAMS / 'kube-scheduler', kubeconfig, '--leader-elect=false', '--secure-port=0'
        )
        self.machine.start(
            'kube-proxy', PROGRAMS / 'kube-proxy', kubeconfig, f'--hostname-override={NAME}',
            '--proxy-mode=iptables', f'--cluster-cidr={PODS}', '--conntrack-max-per-core=0',
        )  # fmt: skip
        until(self._is_ready, 'the node is ready', within=90)

    def _is_ready(self):
        try:
            found = self.plane.api.get(f'{collection("Node")}/{NAME}')
        except ApiError:
            return False
        ready = {each['type']: each['status'] for each in found['status'].get('conditions', ())}.get('Ready') == 'True'
        return ready and not found['spec'].get('taints')

    def kubectl(self, *words, text=None, seconds=120):
        """Run kubectl as cluster-admin, and return what it said."""
        command = [ROOT / 'bin' / 'kubectl', '--kubeconfig', self.plane.kubeconfig, *words]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=seconds, check=False)
        assert not done.returncode, f'{words}: {done.stderr}'
        return done.stdout

    def helm(self, *words, program='helm', namespace=NAMESPACE, seconds=300):
        """Run Helm as cluster-admin, and return what it said."""
        where = chart.environment(self.plane, self.machine.folder)
        command = [binary(program, 'make node-test'), *words, '--namespace', namespace]
        done = subprocess.run(command, env=where, capture_output=True, text=True, timeout=seconds, check=False)
        assert not done.returncode, f'{words}: {done.stderr}'
        return done.stdout

    def pods(self, component, namespace=NAMESPACE, label='app.kubernetes.io/component'):
        """Return the pods of a part of headrace that are not about to end."""
        found = self.plane.api.list(collection('Pod', namespace), labelSelector=f'{label}={component}')['items']
        return [each for each in found if 'deletionTimestamp' not in each['metadata']]

    def calls(self, account, namespace=NAMESPACE):
        """Return what the API server noted of a ServiceAccount: API group, resource and verb, and its decision."""
        found = []
        for event in self.plane.audited(namespace):
            of = event.get('objectRef', {})
            if event['user']['username'].endswith(f'-{account}') and 'resource' in of:
                resource = '/'.join(filter(None, (of['resource'], of.get('subresource'))))
                decision = event['annotations']['authorization.k8s.io/decision']
                found.append(((of.get('apiGroup', ''), resource, event['verb']), decision))
        return found

    def process(self, pod, word):
        """Return the first process of a pod whose command line has a word, as it is numbered here."""
        uid = pod['metadata']['uid']
        found = [
            number
            for number, line in self.machine.processes().items()
            if word in line and uid in Path(f'/proc/{number}/cgroup').read_text()
        ]
        return min(found)

    def links(self):
        """Return the network devices that this process sees."""
        return self._own.run('ip', '-brief', 'link')

    def __exit__(self, *_):
        """End all of it, and leave nothing."""
        self.close()

    def close(self):
        """End all of it, and leave nothing; a second time nothing is left to do."""
        if self._closed:
            return
        self._closed = True
        for path in self._logs:
            logs.forget(path)
        self.machine.close()
        self.plane.stop()
        self._names.__exit__()
        self._own.ip(f'link del {NAME}')
        self.space.close()
