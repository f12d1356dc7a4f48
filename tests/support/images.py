"""Images without a registry: the operator's by `docker build`, others from folders, all as archives to import."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

from tools import image_archives

import headrace
from conftest import ROOT
from support.machine import INSIDE, UnableError
from support.waiting import until

# As the chart names them by default, and two that are only needed here.
OPERATOR, HAPROXY, BASE, PAUSE = (
    f'docker.io/library/{name}'
    for name in (f'headrace:{headrace.__version__}', 'haproxy:3.4', 'python:standin', 'pause:standin')
)
_HAPROXY_FILES = ROOT / '.cache' / 'haproxy' / '3.4' / 'usr'
# As the stock image says them.
_HAPROXY = {
    'User': 'haproxy', 'Cmd': ['haproxy', '-f', '/usr/local/etc/haproxy/haproxy.cfg'], 'StopSignal': 'SIGUSR1',
    'WorkingDir': '/var/lib/haproxy', 'Env': [image_archives.PATH],
}  # fmt: skip
_PAUSE = {'Entrypoint': ['sleep', 'infinity'], 'Env': [image_archives.PATH]}


def write(base, folder, target, pause=PAUSE):
    """Write an archive with the images of HAProxy and of what holds a pod's namespaces, from what bin/ has."""
    if not _HAPROXY_FILES.is_dir():
        raise UnableError(f'{_HAPROXY_FILES} is missing: HAProxy is not the one that make setup unpacks')
    layer = folder / 'haproxy.tar'
    _haproxy_layer(layer)
    with tarfile.open(target, 'w') as archive:
        told = [
            image_archives.add(archive, HAPROXY, _HAPROXY, [base, layer]),
            image_archives.add(archive, pause, _PAUSE, [base]),
        ]
        archive.add(base, base.name)
        archive.add(layer, layer.name)
        image_archives.put(archive, 'manifest.json', told)


def _haproxy_layer(target):
    """Write what HAProxy's image has over the base: the unpacked package, with its libraries, and its user."""
    users = 'root:x:0:0:root:/root:/bin/bash\nhaproxy:x:99:99::/var/lib/haproxy:/usr/sbin/nologin\n'
    with tarfile.open(target, 'w') as archive:
        archive.add(_HAPROXY_FILES, 'usr', filter=_roots)
        for name, text in {'etc/passwd': users, 'etc/group': 'root:x:0:\nhaproxy:x:99:\n'}.items():
            image_archives.put_text(archive, name, text)


def _roots(member):
    member.uid = member.gid = 0
    member.uname = member.gname = ''
    return member


class Docker:
    """A Docker in a machine; it touches no network, and what it builds has that of the machine."""

    def __init__(self, machine):
        self.machine = machine
        # Programs of an image find other names than the machine's root has.
        for name in ('resolv.conf', 'hosts'):
            shutil.copy(f'/etc/{name}', machine.shared / name)
            machine.run('sh', '-c', f'cat {INSIDE}/{name} >/etc/{name}')
        never = [f'--{what}=false' for what in ('iptables', 'ip6tables', 'ip-forward', 'ip-masq')]
        self.daemon = machine.start('dockerd', 'dockerd', '--bridge=none', *never)
        until(self._answers, 'Docker answers', within=60)

    def _answers(self):
        if self.daemon.poll() is not None:
            raise UnableError(f'Docker does not start:\n{self.machine.log("dockerd")}')
        return not subprocess.run(self.machine.command('docker', 'info'), capture_output=True, check=False).returncode

    def take(self, base):
        """Import a base for images."""
        with base.open('rb') as file:
            subprocess.run(
                self.machine.command('docker', 'import', '-', BASE), stdin=file, check=True, capture_output=True
            )

    def build(self):
        """Build the operator's image from this checkout, with the Dockerfile as it is; return its description."""
        sent = self.machine.shared / 'sent'
        for path in ('operator', 'pyproject.toml', 'README.md', 'LICENSE'):
            copy = shutil.copytree if (ROOT / path).is_dir() else shutil.copy
            sent.mkdir(exist_ok=True)
            copy(ROOT / path, sent / path)
        words = ['docker', 'build', '--network=host', '--progress=plain', '--build-arg', f'PYTHON={BASE}']
        for name, text in _pip().items():
            (self.machine.shared / name).write_bytes(text)
            words += ['--secret', f'id={name},src={INSIDE}/{name}']
        for name in ('HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY'):
            if value := os.environ.get(name) or os.environ.get(name.lower()):
                words += ['--build-arg', f'{name}={value}']
        words += ['--file', f'{INSIDE}/sent/operator/Dockerfile', '--tag', OPERATOR, f'{INSIDE}/sent']
        done = subprocess.run(self.machine.command(*words), capture_output=True, text=True, timeout=240, check=False)
        assert not done.returncode, done.stderr
        return json.loads(self.machine.run('docker', 'image', 'inspect', OPERATOR))[0]

    def save(self, path):
        """Write the operator's image to an archive."""
        with path.open('wb') as file:
            subprocess.run(self.machine.command('docker', 'save', OPERATOR), stdout=file, check=True)


def _pip():
    """Return this machine's configuration of pip, and the authorities that it believes, as a build takes them."""
    listed = subprocess.run(
        [sys.executable, '-m', 'pip', 'config', 'list'],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    kept = {}
    for line in listed.splitlines():
        name, _, value = line.partition('=')
        section, _, key = name.rpartition('.')
        value = value.strip('\'"')
        # Folders of this machine are not there in a build.
        if section in {'global', 'install', ':env:'} and (key != 'find-links' or '://' in value):
            kept[key] = value
    found = {}
    if authorities := kept.pop('cert', os.environ.get('SSL_CERT_FILE', '')):
        kept['cert'] = '/run/secrets/certificates'
        found['certificates'] = Path(authorities).read_bytes()
    if kept:
        found['pip.conf'] = '\n'.join(['[global]', *(f'{key} = {value}' for key, value in kept.items()), '']).encode()
    return found
