"""The loader that figures are measured with: all that it is given is stored, and a refusal is no silence."""

import asyncio

import pytest
from tools.bench import load

from support.api import collection


@pytest.fixture
def server(control_plane):
    """The API server as the loader knows it."""
    return load.Server.of(control_plane.kubeconfig)


def test_each_service_is_stored_with_its_slice(control_plane, namespace, server):
    created = asyncio.run(load.load(server, load.simple(40, 3, namespace), concurrency=8))
    assert created == 80
    services = control_plane.api.list(collection('Service', namespace))['items']
    slices = control_plane.api.list(collection('EndpointSlice', namespace, 'discovery.k8s.io/v1'))['items']
    names = {f'service-{number:05d}' for number in range(40)}
    assert {item['metadata']['name'] for item in services} == names
    assert {item['metadata']['labels']['kubernetes.io/service-name'] for item in slices} == names
    addresses = [address for item in slices for endpoint in item['endpoints'] for address in endpoint['addresses']]
    assert len(set(addresses)) == 120


def test_an_object_that_is_refused_ends_the_loading(namespace, server):
    (service, _) = load.simple(1, 1, namespace)
    service['spec']['ports'] = []
    with pytest.raises(load.LoadError, match='Service service-00000: 422'):
        asyncio.run(load.load(server, [service]))


def test_what_is_there_already_is_refused_but_for_the_namespace(namespace, server):
    assert asyncio.run(load.load(server, load.simple(2, 1, namespace))) == 4
    with pytest.raises(load.LoadError, match='409'):
        asyncio.run(load.load(server, load.simple(2, 1, namespace)))
