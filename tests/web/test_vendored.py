"""Files that others wrote are what npm publishes: by the checksums that are noted, and by the packages themselves."""

import base64
import hashlib
import json
import os
import shutil
import subprocess
import tarfile

import pytest

from conftest import ROOT
from support import network

FOLDERS = (ROOT / 'operator' / 'headrace' / 'web' / 'static' / 'vendor', ROOT / 'tests' / 'web' / 'vendor')
PACKAGES = [(folder, each) for folder in FOLDERS for each in json.loads((folder / 'packages.json').read_text())]
NAMES = [package['package'] for _, package in PACKAGES]


@pytest.mark.parametrize(('folder', 'package'), PACKAGES, ids=NAMES)
def test_files_have_the_checksums_that_are_noted(folder, package):
    found = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in package['files']}
    assert found == {name: each['sha256'] for name, each in package['files'].items()}


@pytest.mark.parametrize('folder', FOLDERS, ids=lambda folder: folder.parts[-3])
def test_each_file_is_noted_with_its_package(folder):
    noted = {name for found, package in PACKAGES if found == folder for name in package['files']}
    assert {path.name for path in folder.iterdir()} == {*noted, 'packages.json'}


@pytest.mark.skipif(shutil.which('npm') is None, reason='npm is not here; the checksums are tested without it')
@pytest.mark.parametrize(('folder', 'package'), PACKAGES, ids=NAMES)
def test_files_are_those_of_the_package(folder, package, tmp_path):
    name = f'{package["package"]}@{package["version"]}'
    # Other tests may have moved this process into a network without a way out.
    net = network.machine()
    command = ['nsenter', f'--net=/proc/{os.getpid()}/fd/{net}'] if os.geteuid() == 0 else []
    try:
        done = subprocess.run(
            [*command, 'npm', 'pack', '--silent', name],
            cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
    finally:
        os.close(net)
    if done.returncode:
        pytest.skip(f'npm gives no {name}: {done.stderr[-200:]}')
    (archive,) = tmp_path.glob('*.tgz')
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f'sha512-{digest}' == package['integrity']
    with tarfile.open(archive) as opened:
        for file, each in package['files'].items():
            assert opened.extractfile(f'package/{each["path"]}').read() == (folder / file).read_bytes()
