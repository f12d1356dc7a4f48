"""What the tests on a cluster share."""

import pytest

from conftest import binary
from headrace.kube.rights import When
from support.cluster import Cluster
from support.traffic import Town


@pytest.fixture
def town(control_plane):  # the network is made before the pods
    """Pods and clients, in the network that the control plane is in."""
    made = Town()
    yield made
    made.close()


@pytest.fixture
def make_cluster(control_plane, namespace, town):
    """What starts processes of headrace on the control plane; all end with the test."""
    made = []

    def make(**options):
        found = Cluster(binary('haproxy-3.4'), control_plane, namespace, **options)
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()


@pytest.fixture
def cluster(make_cluster):
    """An edge agent, not started yet."""
    return make_cluster()


@pytest.fixture
def make_controller(control_plane, namespace):
    """What makes a controller of the node role, not started yet; `when` are further uses of rights."""
    made = []

    def make(*when, **settings):
        how = {'role': 'controller', 'name': 'control', 'everywhere': True, 'nodeRole': True}
        found = Cluster(
            binary('haproxy-3.4'), control_plane, namespace, when=[When.NODE_ROLE, *when], **how, **settings
        )
        made.append(found)
        return found

    yield make
    for each in made:
        each.close()
