"""What all tests share: the real binaries, and the option that writes golden files anew."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    parser.addoption('--update-golden', action='store_true', help='write what is rendered to the golden folders')


@pytest.fixture(scope='session')
def update_golden(request):
    """Whether golden files are to be written instead of compared."""
    return request.config.getoption('--update-golden')


def binary(name):
    """Return the path of a binary that `make setup` put into bin/; its absence is a failure, never a skip."""
    path = ROOT / 'bin' / name
    if not os.access(path, os.X_OK):
        pytest.fail(f'{path} is missing: run make setup')
    return str(path)


@pytest.fixture(params=['3.4', '3.0'])
def haproxy_version(request):
    """Each version of HAProxy that headrace works with."""
    return request.param


@pytest.fixture
def haproxy_binary(haproxy_version):
    """The binary of that version."""
    return binary(f'haproxy-{haproxy_version}')


@pytest.fixture(scope='session')
def haproxy_34():
    """The binary of HAProxy 3.4."""
    return binary('haproxy-3.4')


@pytest.fixture(scope='session')
def haproxy_30():
    """The binary of HAProxy 3.0."""
    return binary('haproxy-3.0')
