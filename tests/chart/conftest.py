"""What the tests of the chart share."""

import contextlib

import pytest

from conftest import binary
from support import chart, gateway_crds
from support.api import ApiError
from support.cluster import forget_class
from support.installed import Installed
from support.traffic import Town


@pytest.fixture
def release(control_plane, namespace):
    """What installs the chart's objects for real, pods aside; they are gone after the test."""
    made = []

    def install(values=None):
        documents = chart.render(values, namespace=namespace)
        for document in chart.installed(documents):
            if document['kind'] not in chart.WITH_PODS:
                control_plane.api.create(document)
                made.append(document)
        return documents

    yield install
    for document in reversed(made):
        with contextlib.suppress(ApiError):  # one that a test has removed itself
            control_plane.api.delete(chart.home(document))


@pytest.fixture
def town(control_plane):  # the network is made before the pods
    """Pods and clients, in the network that the control plane is in."""
    made = Town()
    yield made
    made.close()


@pytest.fixture
def make_installed(control_plane, namespace, town):
    made = []

    def make(documents, account, **how):
        found = Installed(binary('haproxy-3.4'), control_plane, namespace, documents, account, **how)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()
    forget_class(control_plane.api)


@pytest.fixture
def release_installed(release, make_installed):
    """What makes a controller of a chart that is really installed, not started yet."""

    def make(**values):
        documents = release(values)
        return make_installed(documents, 'controller', role='controller')

    return make


@pytest.fixture
def gateway_api(control_plane):
    """The kinds of the Gateway API are there, as its release defines them: the API server knows whose a condition is."""
    with gateway_crds.defined(control_plane.api, gateway_crds.released):
        yield
