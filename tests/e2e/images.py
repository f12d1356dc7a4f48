"""The images that the tests of Kubernetes ask for, under their own names, as one archive to import."""

import stat
import tarfile

from tools.image_archives import add, as_program, put

REGISTRY = 'registry.k8s.io'
# The versions are those that the tests of this version of Kubernetes ask for (test/utils/image/manifest.go).
AGNHOST = f'{REGISTRY}/e2e-test-images/agnhost:2.63.0'
PAUSE = f'{REGISTRY}/pause:3.10.2'
_INVALID_STATE = f'{REGISTRY}/e2e-test-images/regression-issue-74839:1.4'
_TOOLS = (f'{REGISTRY}/e2e-test-images/busybox:1.37.0-1', f'{REGISTRY}/build-image/distroless-iptables:v0.9.6')
_WAITS = (PAUSE, f'{REGISTRY}/e2e-test-images/nginx:1.15-4')
_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/'


def write(folder, target):
    """Write the archive, from a base with tools and the programs beside it."""
    base, layer = folder / 'tools.tar', target.with_suffix('.programs')
    with tarfile.open(layer, 'w') as archive:
        for name in ('agnhost', 'regression-issue-74839'):
            archive.add(folder / name, name, filter=as_program)
        for name in ('localhost.crt', 'localhost.key'):
            archive.add(folder / name, name, filter=as_program)
        _link(archive, 'agnhost-2', 'agnhost')
        # As the images have it, with options that the tests use.
        _link(archive, 'usr/bin/wget', 'busybox')
        made = tarfile.TarInfo('uploads')
        made.type, made.mode = tarfile.DIRTYPE, stat.S_IRWXU
        archive.addfile(made)
    told = []
    with tarfile.open(target, 'w') as archive:
        asked = {
            AGNHOST: {'Entrypoint': ['/agnhost'], 'Cmd': ['pause']},
            _INVALID_STATE: {'Entrypoint': ['/regression-issue-74839']},
            **{name: {'Cmd': ['sh']} for name in _TOOLS},
            **{name: {'Entrypoint': ['sleep', 'infinity']} for name in _WAITS},
        }
        for name, config in asked.items():
            told.append(add(archive, name, {**config, 'Env': [_PATH]}, [base, layer]))
        archive.add(base, base.name)
        archive.add(layer, layer.name)
        put(archive, 'manifest.json', told)
    layer.unlink()


def _link(archive, name, to):
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, to
    archive.addfile(made)
