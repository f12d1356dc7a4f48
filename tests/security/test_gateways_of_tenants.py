"""At the class's own ports, which all namespaces share, a Gateway takes nothing of another namespace's hosts."""

import pytest

from conftest import binary
from headrace.ir.fragment import Kind
from headrace.settings.settings import Settings
from support.edge import Edge, Endpoints, web
from support.gateways import gateway, http_route, listener, rule
from support.objects import built, ingress, ingress_class

API = {
    'host': 'api.com',
    'http': {
        'paths': [
            {'path': '/v1', 'pathType': 'Prefix', 'backend': {'service': {'name': 'own', 'port': {'number': 80}}}},
        ]
    },
}
OLD, NEW = '2024-01-01T00:00:00Z', '2025-01-01T00:00:00Z'


def of_bank(documents):
    """Return documents of the namespace `bank`."""
    for document in documents:
        document['metadata']['namespace'] = 'bank'
    return documents


@pytest.fixture(scope='module')
def edge():
    """An edge that `shop` was first at: with a Gateway for shop.com, and an Ingress for a path of api.com."""
    with Endpoints() as endpoints:
        documents = (
            *web('own', endpoints, address='127.0.9.1', host=''),
            *of_bank(web('evil', endpoints, address='127.0.9.2', host='')),
            ingress_class(),
            ingress('api', rules=[API], ingressClassName='headrace', created=OLD),
            gateway('web', listener(hostname='shop.com'), created=OLD),
            http_route('r', rule('own', path='/'), created=OLD),
            gateway('web', listener(hostname='shop.com'), listener('api', hostname='api.com'), listener('free', hostname='free.com'), listener('any', hostname='*.com'), namespace='bank', created=NEW),
            http_route('evil', rule('evil', path='/admin'), rule('evil', path='/'), namespace='bank', created=NEW),
        )  # fmt: skip
        with Edge(binary('haproxy-3.4'), *documents) as found:
            yield found


def served(edge, host, path):
    """Return the last number of the endpoint's address, or the status that headrace answered with."""
    answer = edge.get(host, path)
    return answer.said['at'].rpartition('.')[2] if answer.body.startswith(b'{') else answer.status


@pytest.mark.parametrize(
    ('host', 'path', 'wanted'),
    [
        pytest.param('shop.com', '/', '1', id='the older Gateway has its host'),
        pytest.param('shop.com', '/admin', '1', id='a longer path of another namespace is not served'),
        pytest.param('api.com', '/v1', '1', id='the Ingress has its path'),
        pytest.param('api.com', '/admin', 404, id='what it leaves is not for another namespace'),
        pytest.param('free.com', '/admin', '2', id='a host of no other namespace'),
    ],
)
def test_a_host_belongs_to_the_namespace_that_was_first(edge, host, path, wanted):
    assert served(edge, host, path) == wanted


def test_a_listener_that_another_namespace_has_says_so():
    made = built(
        gateway('web', listener(hostname='*.shop.com'), created=OLD),
        gateway(
            'web', listener(hostname='a.shop.com'), listener('free', hostname='shop.com'), namespace='bank', created=NEW
        ),
    )
    conflicts = [each for each in made.all_diagnostics() if each.reason == 'HostnameConflict']
    assert [(each.ref.namespace, each.part.section) for each in conflicts] == [('bank', 'http')]


def test_the_host_policy_holds_for_hosts_of_listeners_and_of_routes():
    made = built(
        gateway('web', listener(), listener('other', hostname='other.com')),
        http_route('r', rule('own'), hostnames=['mine.com', 'foreign.com']),
        settings=Settings(host_policy={'shop': ('mine.com',)}),
    )
    keys = {claim.key for fragment in made.fragments.values() for claim in fragment.claims if claim.kind is Kind.ROUTE}
    assert keys == {'8080:mine.com/'}
    forbidden = [each for each in made.all_diagnostics() if each.reason == 'HostForbidden']
    assert sorted(each.ref.kind for each in forbidden) == ['Gateway', 'HTTPRoute']
