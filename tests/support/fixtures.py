"""Fixtures of live tests: a town of pods and clients, and agents that end with the test."""

import pytest

from conftest import binary
from support.live import Live
from support.sidecar import Sidecar
from support.traffic import Town


@pytest.fixture
def town():
    """Pods and clients."""
    made = Town()
    yield made
    made.close()


@pytest.fixture
def make_live():
    """What makes agents; each ends with the test, and all that it started."""
    made = []

    def make(version='3.4', **options):
        found = Live(binary(f'haproxy-{version}'), **options)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


@pytest.fixture
def make_sidecar(town):
    """What makes agents that only attach to their HAProxy; each ends with the test, and all that was started."""
    made = []

    def make(version='3.4', **settings):
        found = Sidecar(binary(f'haproxy-{version}'), town, **settings)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


@pytest.fixture
def sidecar(make_sidecar):
    """An agent that only attaches to HAProxy 3.4, by sockets that can fail; not started yet."""
    return make_sidecar()


@pytest.fixture
def live(make_live):
    """An agent with HAProxy 3.4, not started yet."""
    return make_live()


@pytest.fixture
def live_30(make_live):
    """The same with HAProxy 3.0."""
    return make_live('3.0')
