"""The table of kinds: how documents of each are found, and which versions of the Gateway API are read."""

import pytest

from headrace.names import Ref
from headrace.objects import parse, registry
from headrace.objects.kinds import ConfigMap
from headrace.objects.references import GATEWAY_GROUP
from headrace.settings.secret_keys import Secrets
from support.gateway_objects import resource
from support.objects import ca_secret

VERSIONS = {
    'GatewayClass': {'v1', 'v1beta1'},
    'Gateway': {'v1', 'v1beta1'},
    'ListenerSet': {'v1'},
    'HTTPRoute': {'v1', 'v1beta1'},
    'GRPCRoute': {'v1'},
    'TLSRoute': {'v1', 'v1alpha2', 'v1alpha3'},
    'TCPRoute': {'v1', 'v1alpha2'},
    'UDPRoute': {'v1', 'v1alpha2'},
    'ReferenceGrant': {'v1', 'v1beta1'},
    'BackendTLSPolicy': {'v1', 'v1alpha3'},
}


def test_all_kinds_of_the_gateway_api_are_read():
    assert {kind.name for kind in registry.KINDS if kind.group == GATEWAY_GROUP} == VERSIONS.keys()
    assert all(kind.optional for kind in registry.KINDS if kind.group == GATEWAY_GROUP)


@pytest.mark.parametrize('kind', VERSIONS)
def test_a_resource_is_read_in_the_versions_that_are_served(kind):
    namespace = '' if kind == 'GatewayClass' else 'shop'
    versions = ('v1', 'v1beta1', 'v1alpha1', 'v1alpha2', 'v1alpha3')
    found = {version: parse.read(resource(kind, 'a', namespace, version=version)).object for version in versions}
    assert {version for version, item in found.items() if item is not None} == VERSIONS[kind]
    assert {item.ref for item in found.values() if item is not None} == {Ref(kind, namespace, 'a')}


def config_map(**data):
    return {'apiVersion': 'v1', 'kind': 'ConfigMap', 'metadata': {'name': 'ca', 'namespace': 'shop'}, 'data': data}


def test_of_a_config_map_the_authorities_are_read():
    pem = ca_secret()['stringData']['ca.crt']
    item = parse.read(config_map(**{'ca.crt': f'# a comment\n{pem}', 'other': 'x'})).object
    assert item == ConfigMap('shop', 'ca', pem.encode(), headers_problem=item.headers_problem)
    assert 'ca.crt is no header' in item.headers_problem
    assert item.ref == Ref('ConfigMap', 'shop', 'ca')
    assert registry.BY_NAME['ConfigMap'].slow(config_map(**{'ca.crt': pem}))
    assert not registry.BY_NAME['ConfigMap'].slow(config_map(other='x'))


@pytest.mark.parametrize(
    ('data', 'problem'),
    [
        ({}, 'ca.crt is missing'),
        ({'ca.crt': ''}, 'ca.crt is missing'),
        ({'ca.crt': 5}, 'ca.crt is missing'),
        ({'ca.crt': 'junk'}, 'PEM'),
    ],
)
def test_a_config_map_without_authorities_says_why(data, problem):
    item = parse.read(config_map(**data)).object
    assert item.authorities == b''
    assert problem in item.authorities_problem


def test_a_config_map_is_read_within_the_limits_of_secrets():
    item = parse.read(config_map(**{'ca.crt': ca_secret()['stringData']['ca.crt']}), Secrets(max_ca_bytes=10)).object
    assert item.authorities == b''
    assert item.authorities_problem
