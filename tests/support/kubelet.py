"""What a kubelet does with a pod of the chart, by hand: users, capabilities, volumes, a read-only root, start, probes, end.

Containers are processes in mount namespaces of their own. The operator's image is this checkout; HAProxy's is this
machine's /usr with the unpacked HAProxy over it, so its shell and `ldd` are real. All processes end with `close`.
"""

import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

from conftest import ROOT
from support import chart, logs
from support.live import HEADRACE

# What the stock image is stopped by; the operator's by the usual one.
_STOP = {'haproxy': signal.SIGUSR1, 'operator': signal.SIGTERM}
_ENTRY = {'operator': [str(HEADRACE)]}
_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


class Pod:
    """One pod, none of whose containers runs yet. `descriptors` are the soft and hard limit of each.

    `host` is the folder of the node that its hostPath means, for pods of the node role.
    """

    def __init__(self, plane, documents, namespace, address, descriptors=(1024, 1048576), *, of='edge', host=None):
        # No process gets more than this machine's own limit.
        highest = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self.address, self.descriptors = address, tuple(min(one, highest) for one in descriptors)
        self.spec = chart.pod_specs(documents)[f'{chart.RELEASE}-headrace-{of}']
        self.host = host
        self.containers = chart.containers(self.spec)
        self.folder = Path(tempfile.mkdtemp(prefix='hr-pod-'))
        self.folder.chmod(0o755)
        self.processes = {}
        # With those that were killed alone: the kernel ends what else was in a container, which is not so here.
        self._started = []
        self._logs = [self.folder / f'{name}.log' for name in ('checker', 'operator', 'haproxy')]
        for path in self._logs:
            logs.follow(path)
        self.environment = {
            'PATH': _PATH, 'HOME': '/tmp', 'PYTHONDONTWRITEBYTECODE': '1', 'POD_NAME': f'{of}-{address}',
            'POD_NAMESPACE': namespace, 'HEADRACE_NODE': 'here',
            'KUBERNETES_SERVICE_HOST': '127.0.0.1', 'KUBERNETES_SERVICE_PORT': str(plane.port),
        }  # fmt: skip
        path = f'/api/v1/namespaces/{namespace}/serviceaccounts/{self.spec["serviceAccountName"]}/token'
        token = plane.api.request('POST', path, {'spec': {'expirationSeconds': 3600}})['status']['token']
        projected = {'token': token, 'ca.crt': plane.ca.read_text(), 'namespace': namespace}
        group = self.spec['securityContext']['fsGroup']
        for volume in self.spec['volumes']:
            made = self.folder / volume['name']
            if 'hostPath' in volume:
                made.symlink_to(host)
                continue
            made.mkdir()
            # As the kubelet leaves an emptyDir with an fsGroup.
            os.chown(made, 0, group)
            made.chmod(0o2777)
            found = projected if 'projected' in volume else {}
            if 'configMap' in volume:
                found = chart.find(documents, 'ConfigMap', volume['configMap']['name'])['data']
            for name, text in found.items():
                (made / name).write_text(text)

    def _script(self, name):
        """Return the shell script that makes a container's root and enters it as its user."""
        container, root = self.containers[name], self.folder / f'root-{name}'
        lines = ['set -eu', f'mkdir -p {root}', f'mount -t tmpfs -o mode=755 root {root}', f'cd {root}']
        lines += ['mkdir -p usr etc dev proc tmp var/lib run/headrace root checker']
        lines.append('for f in passwd group nsswitch.conf hosts ld.so.cache ld.so.conf; do cp /etc/$f etc/$f; done')
        over = f'{ROOT}/.cache/haproxy/3.4/usr' if name != 'operator' else ''
        lines.append(f'mount -t overlay overlay -o lowerdir={over}:/usr usr' if over else 'mount --bind /usr usr')
        lines += ['for d in bin sbin lib lib64; do ln -s usr/$d $d; done', 'mount --rbind /dev dev']
        lines += ['mount --bind /proc proc', 'mount -o remount,bind,ro usr || true']
        mounts = [
            (self.folder / one['name'], one['mountPath'], one.get('readOnly')) for one in container['volumeMounts']
        ]
        if name == 'operator':
            mounts += [(path, str(path), True) for path in (ROOT, Path(sys.base_prefix))]
        for source, target, read_only in sorted(mounts, key=lambda one: one[1]):
            lines += [f'mkdir -p .{target}', f'mount --bind {source.resolve()} .{target}']
            lines += [f'mount -o remount,bind,ro .{target}'] if read_only else []
        lines.append(f'mount -o remount,ro {root}')
        context = container['securityContext']
        user, group = context['runAsUser'], context['runAsGroup']
        groups = f'{group},{self.spec["securityContext"]["fsGroup"]}'
        kept = ''.join(f',+{name.lower()}' for name in context['capabilities'].get('add', ()))
        enter = f'chroot . setpriv --reuid {user} --regid {group} --groups {groups} --no-new-privs'
        enter += f' --bounding-set=-all{kept}'
        return '\n'.join([*lines, f'exec {enter} --inh-caps=-all "$@"'])

    def run(self, name, command):
        """Start a command in a container, and return the process."""
        environment = self.environment | {
            one['name']: one['value'] for one in self.containers[name].get('env', ()) if 'value' in one
        }
        with (self.folder / f'{name}.log').open('ab') as log:
            process = subprocess.Popen(
                ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', self._script(name), 'sh', *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, self.descriptors),  # noqa: PLW1509
            )
        self._started.append(process)
        return process

    def start(self, name):
        """Start a container with its rendered command line."""
        container = self.containers[name]
        # All pods here share one network.
        words = [re.sub(r'=:(840[56])$', rf'={self.address}:\1', word) for word in container.get('args', ())]
        self.processes[name] = self.run(name, [*_ENTRY.get(name, []), *container.get('command', ()), *words])

    def begin(self, *order):
        """Run the init container, then start the others in this order."""
        self.start('checker')
        assert self.processes.pop('checker').wait(60) == 0, self.log('checker')
        for name in order or ('operator', 'haproxy'):
            self.start(name)
        return self

    def probe(self, port, path):
        """Return the status that a probe gets; 0 for no answer."""
        try:
            with urllib.request.urlopen(f'http://{self.address}:{port}{path}', timeout=2) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def succeeds(self, name, probe):
        """Tell what a probe by command finds."""
        first, *more = self.containers[name][probe]['exec']['command']
        words = [*(_ENTRY['operator'] if first == 'headrace' else [first]), *more]
        return self.run(name, words).wait(30) == 0

    def ready(self):
        """Tell what the readiness probe would find."""
        if 'exec' in self.containers['haproxy']['readinessProbe']:
            return self.succeeds('haproxy', 'readinessProbe')
        return self.probe(8404, self.containers['haproxy']['readinessProbe']['httpGet']['path']) == 200

    def wait(self):
        """Wait until the pod is ready."""
        deadline = time.monotonic() + 30
        while (
            not self.ready()
            and time.monotonic() < deadline
            and all(one.poll() is None for one in self.processes.values())
        ):
            time.sleep(0.02)
        assert self.ready(), self.logs()
        return self

    def terminate(self):
        """End the pod as a kubelet does: all preStop hooks, then each container's own signal."""
        hook = self.containers['haproxy']['lifecycle']['preStop']['exec']['command']
        stopping = self.run('haproxy', hook)
        self.processes['operator'].send_signal(_STOP['operator'])
        assert stopping.wait(60) == 0, self.log('haproxy')
        self.processes['haproxy'].send_signal(_STOP['haproxy'])

    def log(self, name):
        path = self.folder / f'{name}.log'
        return path.read_text(errors='replace')[-3000:] if path.exists() else ''

    def logs(self):
        return '\n'.join(f'--- {name}\n{self.log(name)}' for name in ('checker', 'operator', 'haproxy'))

    def close(self):
        for path in self._logs:
            logs.forget(path)
        for one in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)
