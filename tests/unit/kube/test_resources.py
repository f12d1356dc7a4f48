"""What is watched, where and with which selectors: no more than what is needed, so that no more rights are."""

from dataclasses import replace

import pytest

from headrace.kube import resources
from headrace.kube.resources import (
    CONFIG_MAPS,
    GATEWAY_CLASSES,
    GATEWAY_RESOURCES,
    INGRESS_CLASSES,
    INGRESSES,
    NAMESPACES,
    NODES,
    SECRETS,
    SERVICES,
    SLICES,
    Scope,
)
from headrace.settings.settings import Secrets, Settings
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology

BOTH = (SERVICES, SLICES)


@pytest.mark.parametrize(
    ('resource', 'version', 'everywhere', 'within'),
    [
        (SERVICES, 'v1', '/api/v1/services', '/api/v1/namespaces/shop/services'),
        (
            SLICES,
            'discovery.k8s.io/v1',
            '/apis/discovery.k8s.io/v1/endpointslices',
            '/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices',
        ),
    ],
    ids=['core', 'a group'],
)
def test_a_kind_has_the_paths_of_the_api(resource, version, everywhere, within):
    assert (resource.api_version, resource.path(), resource.path('shop')) == (version, everywhere, within)


def test_a_scope_of_the_whole_cluster_has_one_list_for_each_kind():
    assert Scope((SERVICES, NODES)).paths() == {'/api/v1/services': SERVICES, '/api/v1/nodes': NODES}


def test_a_scope_of_namespaces_has_one_list_for_each_but_one_of_a_kind_without():
    assert Scope((SERVICES, NODES), ('a', 'b')).paths() == {
        '/api/v1/namespaces/a/services': SERVICES,
        '/api/v1/namespaces/b/services': SERVICES,
        '/api/v1/nodes': NODES,
    }


def watched(namespaces=(), secrets=(), source='endpoints', **seen):
    made = Settings(
        ingress=False,
        gateway_api=False,
        namespaces=namespaces,
        secrets=Secrets(namespaces=secrets),
        address_source=source,
    )
    return resources.scopes_of(build_context.make(made, **seen))


@pytest.mark.parametrize(
    ('namespaces', 'secrets', 'scopes'),
    [
        pytest.param((), (), (Scope(BOTH),), id='no Secrets'),
        pytest.param((), ('*',), (Scope((*BOTH, SECRETS)),), id='all Secrets'),
        pytest.param((), ('headrace',), (Scope(BOTH), Scope((SECRETS,), ('headrace',))), id='Secrets of one namespace'),
        pytest.param(('a', 'b'), (), (Scope(BOTH, ('a', 'b')),), id='two namespaces, no Secrets'),
        pytest.param(('a', 'b'), ('*',), (Scope((*BOTH, SECRETS), ('a', 'b')),), id='two namespaces, all their Secrets'),
        pytest.param(('a', 'b'), ('b', 'a'), (Scope((*BOTH, SECRETS), ('a', 'b')),), id='the same in another order'),
        pytest.param(('a', 'b'), ('b', 'c'), (Scope(BOTH, ('a', 'b')), Scope((SECRETS,), ('b',))), id='Secrets of one of them'),
        pytest.param(('a', 'b'), ('c',), (Scope(BOTH, ('a', 'b')),), id='Secrets of a namespace that does not exist here'),
    ],
)  # fmt: skip
def test_kinds_are_watched_in_the_namespaces_of_the_settings(namespaces, secrets, scopes):
    assert watched(namespaces, secrets) == scopes


OWN_NODE = 'metadata.name=n1'


@pytest.mark.parametrize(
    ('seen', 'selectors'),
    [
        pytest.param({}, [], id='the edge reads none'),
        pytest.param({'role': Role.NODE}, [''], id='the node role reads all'),
        pytest.param({'source': 'node-ports'}, [''], id='addresses of nodes need all'),
        pytest.param({'topology': Topology('n1', '')}, [OWN_NODE], id='its own one, for its zone'),
        pytest.param({'topology': Topology('n1', 'z1')}, [], id='none where the zone is known'),
        pytest.param({'topology': Topology('n1', ''), 'source': 'node-ports'}, [''], id='all hold its own one'),
    ],
)
def test_nodes_are_watched_only_where_they_are_read(seen, selectors):
    (scope,) = watched(**seen)
    assert [item.field_selector for item in scope.resources if item.kind == 'Node'] == selectors


def test_secrets_that_hold_nothing_for_us_never_come():
    assert set(SECRETS.field_selector.split(',')) == {
        'type!=helm.sh/release.v1',
        'type!=kubernetes.io/service-account-token',
        'type!=kubernetes.io/dockerconfigjson',
    }


@pytest.mark.parametrize(
    ('settings', 'role', 'kinds'),
    [
        pytest.param({}, Role.EDGE, [INGRESSES, INGRESS_CLASSES], id='all namespaces'),
        pytest.param({'namespaces': ('a',)}, Role.EDGE, [INGRESSES], id='IngressClasses are cluster-wide'),
        pytest.param({'ingress': False}, Role.EDGE, [], id='a class without Ingresses'),
        pytest.param({}, Role.NODE, [], id='the node role'),
    ],
)
def test_ingresses_are_watched_at_the_edge_of_a_class_that_serves_them(settings, role, kinds):
    context = replace(build_context.make(Settings(**settings), role=role), api_server=True)
    (scope,) = resources.scopes_of(context)
    assert [item for item in scope.resources if item.group == 'networking.k8s.io'] == kinds
    assert scope.namespaces == settings.get('namespaces', ())


@pytest.mark.parametrize(
    ('settings', 'role', 'kinds'),
    [
        pytest.param({}, Role.EDGE, (GATEWAY_CLASSES, *GATEWAY_RESOURCES, NAMESPACES), id='all namespaces'),
        pytest.param(
            {'namespaces': ('a',)}, Role.EDGE, (GATEWAY_CLASSES, *GATEWAY_RESOURCES), id='labels of namespaces are not'
        ),
        pytest.param({'gateway_api': False}, Role.EDGE, (), id='a class without the Gateway API'),
        pytest.param({}, Role.NODE, (), id='the node role'),
    ],
)
def test_the_gateway_api_is_watched_at_the_edge_of_a_class_that_serves_it(settings, role, kinds):
    (scope,) = resources.scopes_of(build_context.make(Settings(ingress=False, **settings), role=role))
    assert tuple(item for item in scope.resources if item.optional) == kinds
    assert all(item.optional for item in kinds)


def test_config_maps_are_watched_where_secrets_are():
    settings = Settings(secrets=Secrets(namespaces=('a', 'b')))
    _, scope = resources.scopes_of(build_context.make(settings))
    assert scope == Scope((SECRETS, CONFIG_MAPS), ('a', 'b'))
    assert CONFIG_MAPS.field_selector == 'metadata.name!=kube-root-ca.crt'


def test_what_is_read_for_gateways_alone_is_watched_while_gateways_are_served():
    for resource in (NAMESPACES, CONFIG_MAPS, GATEWAY_RESOURCES[0]):
        assert resource.evidence == ('gateway.networking.k8s.io/v1', 'gateways')
    assert GATEWAY_CLASSES.evidence == ('gateway.networking.k8s.io/v1', 'gatewayclasses')
