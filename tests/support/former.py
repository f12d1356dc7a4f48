"""headrace as it was before: the last release, or a pinned commit of this repository, beside what is tested.

It is read from the history, so a clone without one makes tests fail.
"""

import io
import os
import subprocess
import sys
import tarfile

import pytest

from conftest import ROOT

# The first commit whose controller keeps the Services of Gateways and writes the statuses of the Gateway API. With the first tag
# that comes after it, the last tag is taken.
PINNED = '1b0c5579c9ff1fa8ab890843f4d30f2a8fa311f3'
_PACKAGE = 'operator/headrace'


def revision():
    """Return the last tag before HEAD that is after the pinned commit, else that commit."""
    if _git('rev-parse', '--is-shallow-repository').decode().strip() == 'true':
        raise AssertionError('the history is shallow, and tests need all of it: git fetch --unshallow --tags')
    tags = (
        _git('tag', '--list', 'v*', '--merged', 'HEAD^', '--contains', PINNED, '--sort=-version:refname')
        .decode()
        .split()
    )
    return tags[0] if tags else PINNED


@pytest.fixture(scope='module')
def former_package(tmp_path_factory):
    """The folder that the package of that revision is in, for `package` of a live headrace."""
    folder = tmp_path_factory.mktemp('former')
    archive = _git('archive', '--format=tar', revision(), _PACKAGE)
    with tarfile.open(fileobj=io.BytesIO(archive)) as file:
        file.extractall(folder, filter='data')
    words = [sys.executable, '-c', 'import headrace; print(headrace.__file__)']
    package = folder / 'operator'
    environment = {**os.environ, 'PYTHONPATH': str(package)}
    ran = subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout
    assert ran.startswith(str(package)), f'{ran} is not the former version'
    return package


def _git(*words):
    done = subprocess.run(['git', '-C', ROOT, *words], capture_output=True, check=False)
    assert done.returncode == 0, f'git {" ".join(words)}: {done.stderr.decode()}'
    return done.stdout
