"""Fixtures of live tests: a town of pods and clients, and agents that end with the test."""

import pytest

from conftest import binary
from support import fakes
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

    def make(**options):
        found = Live(binary('haproxy-3.4'), **options)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


@pytest.fixture
def without_quic(tmp_path):
    """An agent with a HAProxy that refuses all of QUIC, as one of another library of TLS does; not started yet."""
    found = Live(fakes.without_quic(tmp_path, binary('haproxy-3.4')), http3=True)
    yield found
    found.close()


@pytest.fixture
def make_sidecar(town):
    """What makes agents that only attach to their HAProxy; each ends with the test, and all that was started."""
    made = []

    def make(**settings):
        found = Sidecar(binary('haproxy-3.4'), town, **settings)
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
