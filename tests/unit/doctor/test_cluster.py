"""What the doctor says about the way to the cluster: the token, the rights that are asked for, and both ways to endpoints."""

import pytest

from headrace.doctor import cluster
from headrace.doctor.cluster import Target
from headrace.doctor.findings import Level
from headrace.settings.settings import Secrets, Settings
from support.objects import endpoint_slice, service
from support.tokens import token

ACCOUNT = 'headrace-external-lb-1'


def levels(found):
    return [finding.level for finding in found]


def test_a_token_says_for_how_long_it_holds_and_for_which_host_it_is():
    found, claims = cluster.judge_token(token(iat=1, exp=864000), 'lb-1', 86400)
    assert (levels(found), claims.account) == ([Level.GOOD], ACCOUNT)
    assert found[0].message == f'of {ACCOUNT}, for 9.0 days'
    found, _ = cluster.judge_token(token(iat=1, exp=864000), 'lb-2', 86400)
    assert (levels(found), 'POD_NAME' in found[1].remedy) == ([Level.GOOD, Level.WARNING], True)
    found, _ = cluster.judge_token(token(iat=1, exp=864000), 'lb-1', 864000)
    assert (levels(found), found[0].message) == ([Level.MISSING], 'it has ended')
    found, claims = cluster.judge_token('opaque', 'lb-1', 0)
    assert (levels(found), claims) == ([Level.WARNING], None)
    assert 'opaque' not in found[0].message


def asked(**settings):
    return {
        (each['namespace'], each['resource'], each['name'], each['verb'])
        for each in cluster.wanted('headrace-system', Settings(**settings), 'lb-1', ACCOUNT)
    }


def test_each_right_that_the_settings_need_is_asked_for_and_no_other():
    found = asked()
    assert ('', 'services', '', 'watch') in found
    assert ('headrace-system', 'leases', 'headrace-edge-lb-1', 'update') in found
    assert ('headrace-system', 'leases', 'headrace-controller', 'get') in found
    assert ('headrace-system', 'serviceaccounts', ACCOUNT, 'create') in found
    assert ('headrace-system', 'secrets', '', 'list') in found
    assert not [each for each in found if each[1] in ('nodes', 'tokenreviews')]
    assert ('', 'nodes', '', 'list') in asked(address_source='node-ports')
    assert not [each for each in asked(ingress=False, gateway_api=False) if each[1] in ('ingresses', 'gateways')]


def test_rights_are_asked_for_in_the_namespaces_of_the_settings():
    found = asked(namespaces=('shop', 'mail'), secrets=Secrets(namespaces=('shop',)))
    assert {each[0] for each in found if each[1] == 'services'} == {'shop', 'mail'}
    assert {each[0] for each in found if each[1] == 'secrets'} == {'shop'}
    assert not [each for each in found if each[1] == 'ingressclasses']
    assert {each[0] for each in asked(secrets=Secrets(namespaces=('*',))) if each[1] == 'secrets'} == {''}


@pytest.mark.parametrize(
    ('source', 'direct', 'by_node', 'expected'),
    [
        ('endpoints', (3, 3), (2, 2), [Level.GOOD, Level.GOOD]),
        ('endpoints', (0, 3), (2, 2), [Level.MISSING, Level.GOOD]),
        ('node-ports', (0, 3), (2, 2), [Level.WARNING, Level.GOOD]),
        ('node-ports', (3, 3), (0, 2), [Level.GOOD, Level.MISSING]),
        ('node-ports', (0, 0), None, [Level.WARNING, Level.WARNING]),
    ],
)
def test_of_the_two_ways_to_endpoints_the_one_of_the_settings_has_to_work(source, direct, by_node, expected):
    found = list(cluster.judge_ways(source, direct, by_node))
    assert levels(found) == expected
    other = {'endpoints': 'node-ports', 'node-ports': 'endpoints'}[source]
    assert all(f'addressSource: {other}' in finding.remedy for finding in found if finding.level is Level.MISSING)


def named(document, namespace='shop'):
    document['metadata']['namespace'] = namespace
    return document


def test_what_is_tried_are_ready_endpoints_of_users_and_node_ports_of_usable_nodes():
    listed = [
        named(endpoint_slice('web', addresses=['10.1.0.1', '10.1.0.2'], port=8080)),
        named(endpoint_slice('empty', addresses=[], port=8080)),
        named(endpoint_slice('kubernetes', addresses=['192.0.2.1'], port=6443), 'default'),
    ]
    assert cluster.endpoints_of(listed) == [Target('10.1.0.1', 8080)]
    machines = [
        {
            'metadata': {'name': name},
            'status': {
                'addresses': [{'type': 'InternalIP', 'address': address}],
                'conditions': [{'type': 'Ready', 'status': ready}],
            },
        }
        for name, address, ready in (('a', '10.0.0.1', 'True'), ('b', '10.0.0.2', 'False'))
    ]
    wanted = service(
        'web',
        ports=[
            {'name': 'http', 'port': 80, 'nodePort': 30080},
            {'name': 'dns', 'port': 53, 'protocol': 'UDP', 'nodePort': 30053},
        ],
    )
    assert cluster.node_ports_of([wanted], machines) == [Target('10.0.0.1', 30080)]
