"""Run `make kind` with a Docker on a machine inside this one, and with images that come from no registry.

From tests/: `PYTHONPATH=.. ../.venv/bin/python -m kind [COMMAND …]`; needs root, and what `make kind-image` builds. The command
is run in the network of that Docker in place of tools/kind.sh.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tools import image_archives, spaces

from conformance import operator_image
from conftest import ROOT
from support import images
from support.machine import INSIDE, Machine
from support.waiting import until

_NODE, _KIND = ROOT / 'bin' / 'node', ROOT / 'bin' / 'kind'
# The client of the Docker that runs, which may need other libraries than this machine has.
_DOCKER = """\
#!/bin/sh
libraries=$(echo {root}/usr/lib/*-linux-gnu)
exec $libraries/ld-linux*.so.* --inhibit-cache --library-path $libraries {root}/usr/bin/docker "$@"
"""


def _example(target):
    """Write an archive with the image that the example asks for."""
    (name,) = re.findall(r'image: (\S+)', (ROOT / 'examples' / 'services' / 'http.yaml').read_text())
    layer = target.with_suffix('.layer')
    with tarfile.open(layer, 'w') as content:
        content.add(_KIND / 'agnhost', 'agnhost', filter=image_archives.as_program)
    with tarfile.open(target, 'w') as archive:
        entry = image_archives.add(archive, name, {'Entrypoint': ['/agnhost']}, [layer])
        archive.add(layer, layer.name)
        image_archives.put(archive, 'manifest.json', [entry])


def _start(stack, folder):
    """Start Docker, and return the environment of its clients."""
    space = spaces.Space('docker')
    stack.callback(space.close)
    space.ip('link set lo up')
    space.enter(spaces.forward)
    machine = stack.enter_context(Machine((_NODE / 'root').resolve(), space, folder, 'docker'))
    # kind lets every node see the modules of the kernel, of which there may be none.
    machine.run('mkdir', '-p', '/lib/modules')
    machine.start('dockerd', 'dockerd', f'--host=unix://{INSIDE}/docker.sock')
    (folder / 'docker').write_text(_DOCKER.format(root=(_NODE / 'root').resolve()))
    (folder / 'docker').chmod(0o755)
    environment = {
        **os.environ, 'DOCKER_HOST': f'unix://{machine.shared}/docker.sock', 'KUBECONFIG': str(folder / 'kubeconfig'),
        'PATH': f'{folder}:{_KIND}:{ROOT / "bin"}:{os.environ["PATH"]}',
    }  # fmt: skip

    def run(*command, **how):
        entered = ['nsenter', f'--net={space.path}', *map(str, command)]
        return subprocess.run(entered, cwd=ROOT, env={**environment, **how}, check=False).returncode

    until((machine.shared / 'docker.sock').exists, 'Docker answers', within=60)
    return run


def main():
    """Run it."""
    command = sys.argv[1:] or [ROOT / 'tools' / 'kind.sh']
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix='hr-kind-')))
        run = _start(stack, folder)
        archives = [folder / 'others.tar', folder / 'example.tar']
        images.write(_NODE.resolve() / 'base.tar', folder, archives[0])
        _example(archives[1])
        for archive in (operator_image.build(folder, _NODE.resolve(), anew=True).archive, _KIND / 'node.tar'):
            run('docker', 'load', '--quiet', '--input', archive)
        return run(
            *command,
            KIND_IMAGE=(_KIND / 'image').read_text().strip(),
            IMAGE=images.OPERATOR,
            ARCHIVES=' '.join(map(str, archives)),
        )


if __name__ == '__main__':
    sys.exit(main())
