"""Services in a class with address pools: who leaves the edge, and which annotations say that they have no effect."""

import pytest

from headrace.settings.address_pools import AddressPool
from headrace.settings.settings import Settings
from support.objects import built, reasons, service

PORT = {'name': 'tcp-db', 'port': 5432}
POOLS = {'address_pools': (AddressPool(name='public', addresses=('192.0.2.0/24',)),)}
SETTINGS = {'tcp_ports': '5432', 'domain': 'apps.example.com'}


def balanced(annotations=None, **spec):
    wanted = {'type': 'LoadBalancer', 'loadBalancerClass': 'headrace.io/headrace', **spec}
    return service(annotations=annotations or {}, ports=[PORT], **wanted)


def made(document, **settings):
    return built(document, settings=Settings(**{**SETTINGS, **settings}))


def served(document, **settings):
    """Return the keys of what leads to a Service at the edge."""
    fragments = made(document, **settings).fragments.values()
    return sorted({claim.key for each in fragments for claim in each.claims if claim.kind in ('port', 'route')})


@pytest.mark.parametrize(
    ('annotations', 'pooled'),
    [
        pytest.param({}, [], id='the class alone'),
        pytest.param({'enabled': 'false'}, [], id='not at the edge'),
        pytest.param({'enabled': 'true'}, ['5432'], id='all at the edge'),
        pytest.param({'port': '5432'}, ['5432'], id='a port of the edge'),
        pytest.param({'address': '192.0.2.1'}, [], id='an address'),
    ],
)
def test_the_class_alone_asks_for_the_edge_only_without_pools(annotations, pooled):
    assert served(balanced(annotations), **POOLS) == pooled
    assert served(balanced(annotations)) == ([] if 'false' in annotations.values() else ['5432'])


@pytest.mark.parametrize(
    ('annotations', 'spec', 'settings', 'said'),
    [
        pytest.param({}, {}, POOLS, [], id='nothing said'),
        pytest.param({'address': '192.0.2.1', 'address-pool': 'public', 'address-sharing-key': 'k'}, {}, POOLS, [], id='all keys of pools'),
        pytest.param({'address': '192.0.2.1'}, {}, {}, ['NotApplicable'], id='no pools'),
        pytest.param({'address-pool': 'public'}, {'type': 'ClusterIP', 'loadBalancerClass': ''}, POOLS, ['NotApplicable'], id='no load balancer'),
        pytest.param({'address': '192.0.2.1'}, {'loadBalancerClass': ''}, POOLS, ['NotApplicable'], id='no class'),
        pytest.param({'address': '192.0.2.1', 'port': '5432'}, {}, POOLS, ['NotApplicable'], id='at the edge'),
        pytest.param({'balance': 'leastconn'}, {}, POOLS, ['NotApplicable'], id='a key that kube-proxy does not know'),
        pytest.param({'balance': 'leastconn', 'proxy': 'node'}, {}, POOLS, [], id='a key of the node role'),
        pytest.param({'allow': '10.0.0.0/8'}, {}, POOLS, ['AddressWithheld'], id='a key that protects'),
        pytest.param({'allow.tcp-db': '10.0.0.0/33'}, {}, POOLS, ['AddressWithheld', 'InvalidValue'], id='one that does not parse'),
        pytest.param({'allow': '10.0.0.0/8', 'proxy': 'node'}, {}, POOLS, [], id='a key that the node role keeps'),
        pytest.param({'allow': '10.0.0.0/8', 'port': '5432'}, {}, POOLS, [], id='a key that the edge keeps'),
    ],
)  # fmt: skip
def test_a_key_without_effect_says_so(annotations, spec, settings, said):
    found = reasons(made(balanced(annotations, **spec), **settings))
    assert [reason for reason in found if reason != 'NoEndpoints'] == said
