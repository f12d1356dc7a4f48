"""The operator's image, built by Docker from the Dockerfile as it is, on a base that stands in for Python's."""

import io
import json
import tarfile

import pytest

pytestmark = pytest.mark.timeout(420)
MEGABYTE = 1000 * 1000
# What compiles, fetches or installs; the base's own Perl and package manager are not ours to judge.
NOT_NEEDED = {'cc', 'gcc', 'g++', 'make', 'ld', 'pip', 'pip3', 'git', 'curl', 'wget'}


@pytest.fixture(scope='module')
def layers(image):
    """The names and owners of what each layer of the image adds, the base's first."""
    found = []
    with tarfile.open(image[1]) as archive:
        (told,) = json.load(archive.extractfile('manifest.json'))
        for name in told['Layers']:
            with tarfile.open(fileobj=io.BytesIO(archive.extractfile(name).read())) as layer:
                found.append({member.name.removeprefix('./'): member for member in layer.getmembers()})
    return found


def test_it_runs_headrace_as_an_unprivileged_user(image):
    config = image[0]['Config']
    assert (config['User'], config['Entrypoint'], config['Cmd']) == ('10001:10001', ['headrace'], None)
    environment = dict(word.split('=', 1) for word in config['Env'])
    assert environment['HOME'] == '/tmp'
    assert environment['PATH'].startswith('/opt/headrace/bin:')


def test_nothing_of_the_build_is_left(layers):
    merged = {name for layer in layers for name in layer}
    gone = {name.replace('.wh.', '', 1) for name in merged if name.rpartition('/')[2].startswith('.wh.')}
    programs = {name.rpartition('/')[2] for name in merged - gone if name.rpartition('/')[0].endswith('bin')}
    assert 'headrace' in programs
    assert not programs & NOT_NEEDED
    assert not [name for name in merged if name.startswith(('build/', 'src/', 'wheels/', 'run/secrets/', 'etc/pip'))]


def test_what_it_adds_belongs_to_root_and_is_precompiled(layers):
    added = [member for layer in layers[1:] for name, member in layer.items() if name.startswith('opt/headrace/')]
    assert {(member.uid, member.gid) for member in added} == {(0, 0)}
    assert not [member.name for member in added if member.mode & 0o022 and not member.issym()]
    assert any(member.name.endswith('/headrace/__pycache__/__main__.cpython-313.pyc') for member in added)


def test_it_is_small(image, layers):
    size = image[0]['Size']
    base = sum(member.size for member in layers[0].values())
    assert size - base < 150 * MEGABYTE
