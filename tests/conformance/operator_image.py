"""The operator's image: built by its Dockerfile once, and afterwards with what changed in the checkout as one more layer.

The layer has only the files that differ, so the image is ready within a second, and the compiled form of all others stays.
"""

import dataclasses
import hashlib
import io
import json
import tarfile
import tomllib
from pathlib import Path

from tools.image_archives import put
from tools.spaces import Space

from conftest import ROOT
from support import images, network
from support.machine import Machine

REPOSITORY = images.OPERATOR.rpartition(':')[0]
# What else decides what the image is.
_FIXED = ('operator/Dockerfile', 'operator/build.lock', 'operator/requirements.lock')
_PACKAGE = 'operator/headrace'
_LAYER, _CONFIG, _MANIFEST = (
    f'application/vnd.oci.image.{kind}' for kind in ('layer.v1.tar', 'config.v1+json', 'manifest.v1+json')
)


@dataclasses.dataclass(frozen=True, slots=True)
class Built:
    """An image that Docker has built: its archive, where the package is in it, and the digest of each of its files."""

    archive: Path
    inside: str
    files: dict[str, str]


def _digest(content):
    return hashlib.sha256(content).hexdigest()


def _package():
    """Return the package of the checkout: contents by path."""
    folder = ROOT / _PACKAGE
    paths = (path for path in folder.rglob('*') if path.is_file() and path.suffix != '.pyc')
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(paths)}


def _project():
    """Return what of pyproject.toml decides how the package is built: most of the file is about checks."""
    whole = tomllib.loads((ROOT / 'pyproject.toml').read_text())
    return whole['project'], whole['build-system'], whole['tool']['hatch']


def build(folder, node, *, anew=False):
    """Return the image of Docker, built into a folder `anew`, or where something else than the package has changed.

    `node` is what `make node` has made.
    """
    fixed = _digest(
        repr(([(ROOT / name).read_bytes() for name in _FIXED], _project(), str(node), Built.__slots__)).encode()
    )
    archive, record = folder / 'operator.tar', folder / 'operator.json'
    if (
        not anew
        and record.exists()
        and (known := json.loads(record.read_text()))['fixed'] == fixed
        and archive.exists()
    ):
        return Built(archive, known['inside'], known['files'])
    files = {path: _digest(content) for path, content in _package().items()}
    record.unlink(missing_ok=True)
    space = Space('machine', fd=network.machine())
    try:
        with Machine(node / 'root', space, folder) as machine:
            docker = images.Docker(machine)
            docker.take(node / 'base.tar')
            docker.build()
            docker.save(archive)
    finally:
        space.close()
    built = Built(archive, _place(archive), files)
    record.write_text(json.dumps({'fixed': fixed, 'inside': built.inside, 'files': files}))
    return built


def _place(archive):
    """Return the folder of the package in an image."""
    with tarfile.open(archive) as whole:
        *_, last = json.load(whole.extractfile('manifest.json'))[0]['Layers']
        with tarfile.open(fileobj=whole.extractfile(last)) as layer:
            (found,) = (name for name in layer.getnames() if name.endswith('/site-packages/headrace/__init__.py'))
    return found.rpartition('/')[0]


def tag(built):
    """Return the tag of the image of this checkout: it tells which."""
    return f'{images.OPERATOR.rpartition(":")[2]}-{_digest(_layer(built))[:12]}'


def write(built, target):
    """Write an archive with the image of this checkout, but without the layers of Docker's image, which a node has."""
    layer = _layer(built)
    with tarfile.open(built.archive) as archive:
        manifest = json.load(archive.extractfile('manifest.json'))[0]
        config = json.load(archive.extractfile(manifest['Config']))
        sizes = [archive.getmember(path).size for path in manifest['Layers']]
    digests = [*config['rootfs']['diff_ids'], f'sha256:{_digest(layer)}']
    config['rootfs']['diff_ids'] = digests
    config.pop('history', None)
    text = json.dumps(config).encode()
    described = {
        'schemaVersion': 2, 'mediaType': _MANIFEST, 'config': _described(_CONFIG, text),
        'layers': [
            {'mediaType': _LAYER, 'digest': digest, 'size': size}
            for digest, size in zip(digests, [*sizes, len(layer)], strict=True)
        ],
    }  # fmt: skip
    name = {'io.containerd.image.name': f'{REPOSITORY}:{tag(built)}'}
    index = {
        'schemaVersion': 2,
        'manifests': [{**_described(_MANIFEST, json.dumps(described).encode()), 'annotations': name}],
    }
    with tarfile.open(target, 'w') as archive:
        put(archive, 'oci-layout', {'imageLayoutVersion': '1.0.0'})
        put(archive, 'index.json', index)
        for content in (text, json.dumps(described).encode(), layer):
            _put(archive, f'blobs/sha256/{_digest(content)}', content)


def _described(kind, content):
    return {'mediaType': kind, 'digest': f'sha256:{_digest(content)}', 'size': len(content)}


def _layer(built):
    """Return the layer with what differs from an image; a file that is gone hides the one below."""
    package, written = _package(), io.BytesIO()
    with tarfile.open(fileobj=written, mode='w') as archive:
        for path, content in package.items():
            if built.files.get(path) != _digest(content):
                _put(archive, f'{built.inside}/{path}', content)
        for path in sorted(built.files.keys() - package.keys()):
            parent, _, name = path.rpartition('/')
            _put(archive, '/'.join(filter(None, (built.inside, parent, f'.wh.{name}'))), b'')
    return written.getvalue()


def _put(archive, name, content):
    member = tarfile.TarInfo(name)
    member.size, member.mode = len(content), 0o644
    archive.addfile(member, io.BytesIO(content))
