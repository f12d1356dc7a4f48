"""Make kind, and an image of its nodes that comes from no registry, in ``bin/kind``.

Kubernetes, kind and CoreDNS are built from published Go modules, as tests/controlplane/go.mod and tests/kind/go.mod pin
them and go.sum checks them; systemd, containerd, runc and the CNI plugins are Debian's; what makes them a node of kind is
in the module of kind itself. Kept outside the checkout in ``~/.cache/headrace/kind``, 1.2 GB: once per machine, about three
minutes on two cores beyond those of build_controlplane.py.

    bin/kind/kind        the program
    bin/kind/node.tar    the image, for `docker load`; bin/kind/image has its name
    bin/kind/agnhost     what the image of examples/services is made of

Environment: that of build_controlplane.py and build_node.py; needs root.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tarfile
from pathlib import Path

import build_controlplane
import go_modules
import image_archives
import kernel_settings
from build_controlplane import CONTROLPLANE, linking
from build_node import debootstrap, fetch_debootstrap, pack
from fetch_haproxy import SetupError, mirrors, run
from go_modules import FLAGS, ROOT, BuildError, Module

MODULE = Module('kind', ROOT / 'tests' / 'kind', 'sigs.k8s.io/kind', {'coredns': './dns'})
E2E = Module('e2e', ROOT / 'tests' / 'e2e', 'k8s.io/kubernetes', {'agnhost': 'k8s.io/kubernetes/test/images/agnhost'})
NETWORK = ROOT / 'tests' / 'kind' / 'pod-network.yaml'
NODE_PACKAGES = (
    'ca-certificates', 'conntrack', 'containerd', 'containernetworking-plugins', 'curl', 'dbus', 'ethtool', 'iproute2',
    'iptables', 'jq', 'kmod', 'mount', 'nftables', 'procps', 'runc', 'systemd',
)  # fmt: skip
# What kube-proxy needs in its image, and the network of pods in that of pause.
BASE_PACKAGES = ('conntrack', 'iproute2', 'iptables', 'nftables')
# Units that are for a whole machine, and settings of a kernel that nodes share.
NOT_IN_NODES = (
    'usr/lib/systemd/system/*.target.wants/*udev*', 'usr/lib/systemd/system/basic.target.wants/*',
    'usr/lib/systemd/system/local-fs.target.wants/*', 'usr/lib/systemd/system/multi-user.target.wants/*',
    'usr/lib/systemd/system/sysinit.target.wants/systemd-tmpfiles-setup.service', 'etc/systemd/system/*.wants/*',
    'usr/lib/systemd/system/containerd.service', 'usr/lib/sysctl.d/*', 'etc/machine-id',
)  # fmt: skip
# containerd's settings of a container beside what a pod says, as kind wants them.
SPECIFICATION = """\
ctr oci spec | jq '.hooks.createContainer += [{"path": "/kind/bin/mount-product-files.sh"}] | del(.process.rlimits)' \
    >/etc/containerd/cri-base.json
"""
KEEP_KERNEL = """\
#!/bin/sh
# Made by tools/build_kind.py.
set -eu
cd /proc/sys
mkdir -p /run/kernel
while read -r name value; do
    file=/run/kernel/$(echo "$name" | tr / .)
    [ ! -e "$file" ] || continue
    echo "$value" >"$file"
    mount --bind "$file" "$name"
done <<END
{settings}
END
"""
# Fills a node's store of images; containerd unpacks each for its first pod.
FILL = """\
set -eu
mount -t proc proc {root}/proc
mount -t tmpfs run {root}/run
mount --bind {images} {root}/mnt
chroot {root} containerd --log-level error &
until chroot {root} ctr version >/dev/null 2>&1; do kill -0 $!; sleep 0.2; done
chroot {root} ctr --namespace k8s.io images import --no-unpack /mnt/images.tar
kill $!
wait $! || true
"""


def build(folder: Path) -> None:
    """Build the programs and the image into a folder."""
    go = go_modules.go_of(folder)
    print(f'setup: building kind and an image of its nodes: once, some minutes ({folder})', flush=True)
    flags = [*FLAGS, f'-ldflags={linking(CONTROLPLANE)}']
    go_modules.run_go(MODULE, go, 'build', *flags, '-o', f'{folder}/', 'tool')
    for module in (MODULE, E2E):
        for name, package in module.programs.items():
            go_modules.run_go(module, go, 'build', *flags, '-o', str(folder / name), package)
    sources = Path(go_modules.run_go(MODULE, go, 'list', '-mod=readonly', '-m', '-f', '{{.Dir}}', MODULE.main))
    version = f'v{CONTROLPLANE.version()}'
    images = run(str(folder / 'kubeadm'), 'config', 'images', 'list', f'--kubernetes-version={version}').split()
    programs = build_controlplane.built(CONTROLPLANE)
    work, mirror = folder / 'work', mirrors()[0]
    tool = fetch_debootstrap(work, mirror)
    debootstrap(tool, work / 'base', BASE_PACKAGES, mirror)
    pack(work / 'base', work / 'base.tar')
    write_images(images, [folder, programs], work)
    root = work / 'node'
    debootstrap(tool, root, NODE_PACKAGES, mirror)
    furnish(root, sources / 'images/base/files')
    for name in ('kubelet', 'kubeadm', 'kubectl', 'crictl'):
        shutil.copy((folder if (folder / name).exists() else programs) / name, root / 'usr/bin' / name)
    configure(root, next(name for name in images if '/pause:' in name), version)
    run('unshare', '--mount', '--pid', '--fork', '--kill-child', 'sh', '-c', FILL.format(root=root, images=work))
    pack(root, work / 'layer.tar')
    write_node(work / 'layer.tar', folder, f'headrace/kind-node:{version}')
    shutil.rmtree(work)
    for name in ('kubeadm', 'kubectl', 'crictl', 'coredns'):
        (folder / name).unlink()


def furnish(root: Path, files: Path) -> None:
    """Let a root have what kind has for its nodes, and no units and settings that are for a whole machine."""
    for pattern in NOT_IN_NODES:
        for path in root.glob(pattern):
            path.unlink()
    for path in files.rglob('*'):
        if path.is_file():
            target = root / path.relative_to(files)
            target.parent.mkdir(parents=True, exist_ok=True)
            # A module keeps no modes.
            target.write_bytes(path.read_bytes())
            target.chmod(0o755 if target.parent.name == 'bin' else 0o644)
    for link, to in {
        'usr/sbin/init': '/usr/lib/systemd/systemd',
        'usr/local/bin/containerd': '/usr/bin/containerd',
        'opt/cni/bin': '/usr/lib/cni',
    }.items():
        (root / link).parent.mkdir(parents=True, exist_ok=True)
        (root / link).symlink_to(to)


def configure(root: Path, pause: str, version: str) -> None:
    """Write a node's settings; `pause` is the image of what holds a pod's namespaces."""
    containerd = (root / 'etc/containerd/config.toml').read_text()
    containerd = re.sub(r'(?m)^( *sandbox_image = ).*', rf'\1"{pause}"', containerd)
    for name, text in {
        # Where this process may not lower the score, nothing would start.
        'etc/containerd/config.toml': containerd.replace(
            'restrict_oom_score_adj = false', 'restrict_oom_score_adj = true'
        ),
        # Control groups of version 1 do as well.
        'etc/default/kubelet': (root / 'etc/default/kubelet').read_text().rstrip() + ' --fail-cgroupv1=false\n',
        'etc/kubernetes/manifests/.keep': '',
        'etc/systemd/journald.conf': '[Journal]\nReadKMsg=no\n',
        'etc/systemd/system/kubelet.service.d/12-kernel.conf': '[Service]\nExecStartPre=/kind/bin/keep-kernel.sh\n',
        'kind/bin/keep-kernel.sh': KEEP_KERNEL.format(
            settings='\n'.join(f'{name} {value}' for name, value in kernel_settings.KUBELET.items())
        ),
        'kind/manifests/default-cni.yaml': NETWORK.read_text().replace('image: PAUSE', f'image: {pause}'),
        'kind/version': version,
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / 'kind/bin/keep-kernel.sh').chmod(0o755)
    run('chroot', str(root), 'sh', '-euc', SPECIFICATION)
    run('chroot', str(root), 'systemctl', 'enable', 'kubelet', 'containerd', 'undo-mount-hacks')
    run('chroot', str(root), 'systemctl', 'mask', 'systemd-binfmt')


def write_images(names: list[str], folders: list[Path], work: Path) -> None:
    """Write the images that kubeadm names: each has its program, and two of them the base."""
    base = work / 'base.tar'
    with tarfile.open(work / 'images.tar', 'w') as archive:
        archive.add(base, base.name)
        entries = []
        for name in names:
            program = name.rpartition('/')[2].partition(':')[0]
            config: dict[str, object] = {'Entrypoint': [program], 'Env': [image_archives.PATH]}
            layers = [base] if program in {'kube-proxy', 'pause'} else []
            if program == 'pause':
                config['Entrypoint'] = ['sleep', 'infinity']
            else:
                layers.append(write_layer(program, folders, work))
                archive.add(layers[-1], layers[-1].name)
            entries.append(image_archives.add(archive, name, config, layers))
        image_archives.put(archive, 'manifest.json', entries)


def write_layer(program: str, folders: list[Path], work: Path) -> Path:
    """Write a layer that has a program of one of the folders, and return it."""
    layer = work / f'{program}.tar'
    source = next(folder / program for folder in folders if (folder / program).exists())
    with tarfile.open(layer, 'w') as content:
        content.add(source, f'usr/local/bin/{program}', filter=image_archives.as_program)
    return layer


def write_node(layer: Path, folder: Path, name: str) -> None:
    """Write the image of a node, and its name beside it."""
    config: dict[str, object] = {
        # Without the last word systemd uses both versions of control groups where a machine has both, and the kubelet's
        # groups are not where it expects them.
        'Entrypoint': ['/usr/local/bin/entrypoint', '/sbin/init', 'systemd.legacy_systemd_cgroup_controller=1'],
        'Env': ['container=docker', image_archives.PATH],
        'StopSignal': 'SIGRTMIN+3',
    }
    with tarfile.open(folder / 'node.tar', 'w') as archive:
        entry = image_archives.add(archive, name, config, [layer])
        archive.add(layer, layer.name)
        image_archives.put(archive, 'manifest.json', [entry])
    (folder / 'image').write_text(f'{name}\n')


def provide() -> Path:
    """Return the folder with all of it; build it if this machine has not yet."""
    inputs = [content for module in (MODULE, CONTROLPLANE, E2E) for content in go_modules.pinned(module)]
    inputs += [Path(__file__).read_bytes(), NETWORK.read_bytes(), (MODULE.folder / 'dns' / 'main.go').read_bytes()]
    return go_modules.cached(MODULE, [*inputs, linking(CONTROLPLANE).encode()], build)


def main() -> int:
    """Put it into place; exit with a message if that cannot be done."""
    if os.geteuid():
        sys.exit('error: the image of a node needs root')
    try:
        folder = provide()
        go_modules.link(folder)
    except (BuildError, SetupError, OSError) as error:
        sys.exit(f'error: {error}')
    print(
        f'setup:   bin/kind: ready; docker load --input bin/kind/node.tar && make kind KIND_IMAGE={(folder / "image").read_text()}'
    )
    return 0


if __name__ == '__main__':
    sys.exit(main())
