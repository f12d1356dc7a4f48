"""What the tests on a real node share: the image, and the node; a machine that cannot have them says why, and skips."""

import pytest
from tools.spaces import Space

from conftest import ROOT
from support import images, network
from support.machine import Machine, UnableError, traces
from support.realnode import RealNode


@pytest.fixture(scope='session')
def node_folder():
    """What `make node` has made."""
    folder, missing = ROOT / 'bin' / 'node', ROOT / 'bin' / 'node.missing'
    if not folder.is_dir():
        why = missing.read_text().strip() if missing.exists() else 'bin/node is missing: run make node'
        pytest.skip(f'there is no node to test on: {why}')
    return folder.resolve()


@pytest.fixture(scope='session')
def before():
    """What this machine was like before there was one inside."""
    return traces()


@pytest.fixture(scope='session')
def image(node_folder, before, tmp_path_factory):
    """The operator's image as Docker has built it from this checkout: its description, and an archive of it."""
    folder, space = tmp_path_factory.mktemp('image'), Space('machine', fd=network.machine())
    try:
        with Machine(node_folder / 'root', space, folder) as machine:
            docker = images.Docker(machine)
            docker.take(node_folder / 'base.tar')
            described = docker.build()
            docker.save(folder / 'operator.tar')
    except UnableError as error:
        pytest.skip(f'no image can be built here: {error}')
    finally:
        space.close()
    return described, folder / 'operator.tar'


@pytest.fixture(scope='session')
def real_node(node_folder, image, tmp_path_factory):
    """A cluster of one node that has all images and nothing installed."""
    folder = tmp_path_factory.mktemp('images')
    try:
        images.write(node_folder / 'base.tar', folder, folder / 'others.tar')
        with RealNode(node_folder / 'root') as cluster:
            for archive in (folder / 'others.tar', image[1]):
                cluster.take(archive)
            cluster.start()
            yield cluster
    except UnableError as error:
        pytest.skip(f'no node can be made here: {error}')
