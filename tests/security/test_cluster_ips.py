"""externalIPs in the node role: a Service gets no traffic of another one's ClusterIP, whether headrace serves that or not."""

import pytest

from headrace import store
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, node, service

TAKEN = '10.96.0.1'
THIEF = Ref('Service', 'tenant-b', 'thief')


class OnNode:
    """A store and the state of a node that follows it."""

    def __init__(self, *documents):
        self.store = store.Store()
        self.state = state.State(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')))
        self.put(node(), thief(), endpoint_slice('thief', 'tenant-b', addresses=['10.244.0.5']), *documents)

    def put(self, *documents):
        for document in documents:
            self.store.put(parse.read(document).object)
        self.state.update(self.store, self.store.take())

    def drop(self, document):
        metadata = document['metadata']
        self.store.drop(Ref('Service', metadata['namespace'], metadata['name']))
        self.state.update(self.store, self.store.take())

    def takes(self, address=TAKEN):
        """Tell whether the node takes the address over, and that its Service gets a diagnostic where it does not."""
        found = any(key.startswith(f'{address}:') for (_, key), _ in self.state.pointers())
        assert found is not any(each.reason == 'AddressRefused' for each in self.state.diagnostics(THIEF))
        scratch = state.State(self.state.context)
        scratch.update(self.store, self.store.services())
        assert [*scratch.pointers()] == [*self.state.pointers()]
        return found


def thief(address=TAKEN):
    ips = {'clusterIP': '10.96.9.9', 'clusterIPs': ['10.96.9.9']}
    return service('thief', 'tenant-b', annotations={'proxy': 'node'}, externalIPs=[address], **ips)


def owner(address=TAKEN, name='kubernetes'):
    return service(name, 'default', ports=[443], clusterIP=address, clusterIPs=[address])


def test_a_cluster_ip_of_a_service_that_kube_proxy_serves_is_not_taken_over():
    assert not OnNode(owner()).takes()


def test_a_cluster_ip_that_comes_later_is_given_up():
    found = OnNode()
    assert found.takes()
    found.put(owner())
    assert not found.takes()
    found.drop(owner())
    assert found.takes()


@pytest.mark.parametrize('first', [True, False])
def test_a_cluster_ip_belongs_to_the_service_that_has_it_by_now(first):
    found = OnNode(owner('10.96.0.2'))
    assert found.takes()
    found.put(owner(TAKEN))
    assert not found.takes()
    other = owner(TAKEN, 'other')
    found.put(other)
    found.drop(owner() if first else other)
    assert not found.takes()


def test_an_address_of_no_service_is_taken_over():
    found = OnNode(owner())
    found.put(thief('192.0.2.77'))
    assert found.takes('192.0.2.77')
    found.put(owner('10.96.0.3'), thief('10.96.0.3'))
    assert not found.takes('10.96.0.3')
