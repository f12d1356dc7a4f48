"""Archives of container images, as `docker load` and `ctr images import` read them, made of layers without a registry."""

from __future__ import annotations

import hashlib
import io
import json
import platform
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURES = {'x86_64': 'amd64', 'aarch64': 'arm64'}
PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'


def add(archive: tarfile.TarFile, name: str, config: dict[str, object], layers: list[Path]) -> dict[str, object]:
    """Add the configuration of an image to an archive, and return its entry of the manifest; its layers are not added."""
    digests = [f'sha256:{_digest(layer)}' for layer in layers]
    document = {
        'architecture': ARCHITECTURES[platform.machine()], 'os': 'linux', 'config': config,
        'rootfs': {'type': 'layers', 'diff_ids': digests},
    }  # fmt: skip
    path = f'{hashlib.sha256(json.dumps(document).encode()).hexdigest()}.json'
    put(archive, path, document)
    return {'Config': path, 'RepoTags': [name], 'Layers': [layer.name for layer in layers]}


def _digest(path: Path) -> str:
    with path.open('rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def put(archive: tarfile.TarFile, name: str, document: object) -> None:
    """Add a document as JSON to an archive."""
    put_text(archive, name, json.dumps(document))


def put_text(archive: tarfile.TarFile, name: str, text: str) -> None:
    """Add a file with a text to an archive."""
    member = tarfile.TarInfo(name)
    member.size = len(text.encode())
    archive.addfile(member, io.BytesIO(text.encode()))


def as_program(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Return a member of an archive as a program of root that all may run."""
    member.uid = member.gid = 0
    member.uname = member.gname = ''
    member.mode = 0o755
    return member
