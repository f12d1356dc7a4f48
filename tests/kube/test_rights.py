"""The rights that headrace uses are those of its table: no call without a line, and no line without a call."""

import contextlib

import pytest

from headrace.kube import rights
from headrace.kube.rights import When, Where
from support import gateway_crds
from support.api import ApiError, collection
from support.cluster import pod
from support.gateway_objects import gateway_class
from support.gateways import (
    API,
    backend,
    backend_tls_policy,
    gateway,
    grpc_route,
    http_route,
    l4_route,
    listener,
    listener_set,
    rule,
    tcp_route,
)
from support.live import until
from support.objects import endpoint_slice, ingress, service

LATE = 60
# The API server asks for this right where a server-side apply makes a Service, and notes a patch.
CREATED_BY_APPLY = (('', 'services', 'create'), ('discovery.k8s.io', 'endpointslices', 'create'))
# And where a Lease is made by PUT, as an agent makes its own, and notes an update.
CREATED_BY_UPDATE = (('coordination.k8s.io', 'leases', 'create'),)
SECRET = {
    'apiVersion': 'v1',
    'kind': 'Secret',
    'type': 'kubernetes.io/basic-auth',
    'metadata': {'name': 'users'},
    'stringData': {'username': 'u', 'password': 'p'},
}


class Noted:
    """What the API server noted of one process."""

    def __init__(self, cluster):
        user = f'system:serviceaccount:{cluster.namespace}:{cluster.account}'
        self.events = [event for event in cluster.plane.audited(cluster.namespace) if event['user']['username'] == user]

    def calls(self):
        """Group, resource, verb and namespace ('' for none) of each call."""
        found = set()
        for event in self.events:
            of = event.get('objectRef')
            if of and 'resource' in of:
                resource = '/'.join(filter(None, (of['resource'], of.get('subresource'))))
                found.add((of.get('apiGroup', ''), resource, event['verb'], of.get('namespace', '')))
        return found

    def paths(self):
        return {event['requestURI'].partition('?')[0] for event in self.events if 'objectRef' not in event}

    def forbidden(self):
        key = 'authorization.k8s.io/decision'
        return [event['requestURI'] for event in self.events if event.get('annotations', {}).get(key) == 'forbid']


def table(role, namespace):
    """The same of the table, when all settings ask for what they can."""
    unnoted = CREATED_BY_APPLY if role == 'controller' else CREATED_BY_UPDATE
    return {
        (rule.group, rule.resource, verb, '' if rule.where is Where.CLUSTER else namespace)
        for rule in rights.RULES
        # With namespaces named, as here, there is no Lease of the class (see test_classes.py), and no IngressClass is read.
        if role in rule.roles and rule.where not in (Where.CLASS, Where.UNLIMITED)
        for verb in rule.verbs
    } - {(*each, namespace) for each in unnoted}


def agree(cluster, role):
    """Wait until every line was used, and hold that nothing else was."""
    wanted = table(role, cluster.namespace)
    until(lambda: Noted(cluster).calls() >= wanted, f'{wanted - Noted(cluster).calls()} is used', seconds=LATE)
    noted = Noted(cluster)
    assert noted.calls() - wanted == set()
    assert noted.paths() <= set(rights.DISCOVERY)
    assert noted.forbidden() == []


@pytest.fixture
def joined(control_plane):
    """A Node that has joined, with the startup taint."""
    taint = {'key': 'headrace.io/starting', 'effect': 'NoSchedule'}
    control_plane.api.create(
        {'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'joins'}, 'spec': {'taints': [taint]}}
    )
    yield
    with contextlib.suppress(ApiError):
        control_plane.api.delete(f'{collection("Node")}/joins')


@pytest.fixture
def gateway_api(control_plane):
    """The kinds of the Gateway API are there."""
    with gateway_crds.defined(control_plane.api):
        yield


@pytest.mark.usefixtures('gateway_api')
def test_an_edge_agent_uses_its_rights_and_no_others(make_cluster, town):
    cluster = make_cluster(when=[When.NODE_ADDRESSES, When.API], addressSource='node-ports')
    cluster.put('users', SECRET)
    cluster.web([pod(town)], town.port, annotations={'basic-auth-secret': 'users'})
    cluster.start('--api', '127.0.0.1:0')
    # The bearer is known, and has no right.
    assert cluster.api('/status', {'X-Headrace-Token': cluster.token})[0] == 403
    until(lambda: any(call[2] == 'update' for call in Noted(cluster).calls()), 'the Lease is renewed', seconds=LATE)
    assert cluster.stop() == 0
    agree(cluster, 'edge')


@pytest.mark.usefixtures('gateway_api')
def test_a_controller_uses_its_rights_and_no_others(make_cluster, town, joined):
    settings = {'statusAddresses': ['192.0.2.7', 'nodes'], 'nodeRole': True, 'startupTaint': 'headrace.io/starting'}
    uses = [When.STATUS_OF_NODES, When.NODE_ROLE, When.STARTUP_TAINT]
    first = make_cluster(role='controller', when=uses, **settings)
    first.report('joins')
    first.web([pod(town)], town.port, annotations={'check-interval': 'soon'})
    first.web([pod(town)], town.port, 'taken', 'taken.example.com', {'proxy': 'node'})
    first.put('shown', ingress('shown', hosts={'shown.example.com': 'web'}, ingressClassName='headrace'))
    first.plane.api.apply(gateway_class('shown'))
    first.put(
        'shown',
        gateway('shown', listener(), listener('udp', 53, 'UDP'), class_name='shown', admits='Same'),
        service('udp', ports=[{'name': 'dns', 'port': 53, 'protocol': 'UDP'}]),
        endpoint_slice('udp', addresses=['10.1.2.3'], port=53, port_name='dns', protocol='UDP'),
        listener_set('shown', listener('more', 8080), parent='shown'),
        backend_tls_policy('shown', 'web', system=True),
        http_route('shown', rule('web'), parents=[{'name': 'shown'}]),
        grpc_route('shown', rule('web'), parents=[{'name': 'shown'}]),
        tcp_route('shown', 'web', gateway='shown'),
        l4_route('TLSRoute', 'shown', 'web', gateway='shown'),
        l4_route('UDPRoute', 'shown', backend('udp', port=53), gateway='shown'),
    )
    first.begin('--edge-selector', 'app=edge')
    until(lambda: first.condition('web'), seconds=LATE)
    until(lambda: any(call[1:3] == ('services', 'patch') for call in Noted(first).calls()))
    until(lambda: any(call[1:3] == ('endpointslices', 'patch') for call in Noted(first).calls()))
    first.plane.api.delete(first.path('Gateway', 'shown', API))
    until(lambda: any(call[1:3] == ('services', 'delete') for call in Noted(first).calls()))
    until(lambda: any(call[1:3] == ('endpointslices', 'delete') for call in Noted(first).calls()))
    until(lambda: any(call[1:3] == ('events', 'create') for call in Noted(first).calls()))
    assert first.stop() == 0
    # Who comes next finds the Event, and says that it has happened again.
    first.begin()
    agree(first, 'controller')


@pytest.mark.parametrize('role', ['edge', 'node', 'controller'])
def test_no_role_may_more_than_it_says(role):
    mine = [rule for rule in rights.RULES if role in rule.roles]
    assert not {verb for rule in mine for verb in rule.verbs} & {'*', 'deletecollection', 'bind', 'escalate'}
    assert not {'*'} & {word for rule in mine for word in (rule.group, rule.resource)}
    writes = {(rule.resource, rule.where) for rule in mine if set(rule.verbs) & {'create', 'update', 'patch', 'delete'}}
    if role != 'controller':
        # An agent writes one object, in its own namespace; reviews are questions, of which nothing is kept.
        reviews = {('tokenreviews', Where.CLUSTER), ('subjectaccessreviews', Where.CLUSTER)}
        assert writes == {('leases', Where.OWN), *reviews}
