"""The stand-in for MetalLB, on a real API server."""

import pytest

from conformance.addresses import REQUEST, UNUSABLE, USABLE, Balancer
from support.api import collection
from support.waiting import until


@pytest.fixture
def balance(control_plane, namespace):
    """Make a Service of type LoadBalancer, and return a function that tells its addresses."""
    api = control_plane.api

    def make(name, annotation='', **spec):
        metadata = {'namespace': namespace, 'name': name, 'annotations': {REQUEST: annotation} if annotation else {}}
        spec = {'type': 'LoadBalancer', 'ports': [{'port': 80}], **spec}
        api.create({'apiVersion': 'v1', 'kind': 'Service', 'metadata': metadata, 'spec': spec})

        def addresses():
            status = api.get(f'{collection("Service", namespace)}/{name}')['status']
            return [each['ip'] for each in status['loadBalancer'].get('ingress', ())]

        return addresses

    with Balancer(api):
        yield make


def test_each_service_gets_an_address_of_its_own_of_each_family(balance):
    first, second = balance('first'), balance('second', ipFamilyPolicy='RequireDualStack')
    until(lambda: first() and second(), 'both have addresses')
    assert len({*first(), *second()}) == 3


@pytest.mark.parametrize('how', [{'annotation': USABLE}, {'loadBalancerIP': USABLE}], ids=['annotation', 'field'])
def test_a_service_gets_the_address_that_it_asks_for(balance, how):
    asking = balance('asking', **how)
    until(asking, 'it has an address')
    assert asking() == [USABLE]


def test_a_service_gets_none_for_one_that_no_route_leads_to_nor_of_another_class(balance):
    left = [
        balance('unusable', UNUSABLE),
        balance('nonsense', 'x'),
        balance('other', loadBalancerClass='example.com/lb'),
    ]
    until(balance('last'), 'a later one has an address')
    assert [addresses() for addresses in left] == [[], [], []]
