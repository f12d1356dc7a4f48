"""Before an uninstall everything that was written for the Gateway API is taken back, and nothing of other controllers."""

import secrets

import pytest

from support import prefork
from support.api import collection
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
from support.objects import endpoint_slice, service

LATE = 60
OURS, THEIRS = 'headrace.io/gateway-controller', 'example.com/gateway-controller'
ROUTES = ('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute')
CONDITION = {
    'type': 'example.com/Theirs',
    'status': 'True',
    'reason': 'Theirs',
    'message': '',
    'lastTransitionTime': '2026-01-01T00:00:00Z',
}
OF_ROUTE = {'parentRef': {'name': 'theirs'}, 'controllerName': THEIRS, 'conditions': [CONDITION]}
OF_POLICY = {'ancestorRef': {'name': 'theirs'}, 'controllerName': THEIRS, 'conditions': [CONDITION]}
UDP = [{'name': 'dns', 'port': 53, 'protocol': 'UDP'}]


@pytest.fixture
def elsewhere(control_plane):
    """Another namespace than that of the installation."""
    name = f'test-{secrets.token_hex(4)}'
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Namespace', 'metadata': {'name': name}})
    yield name
    control_plane.api.delete(f'{collection("Namespace")}/{name}')


def objects():
    """Return a Gateway of ours, and one object of each kind that is about it."""
    return (
        service('web'),
        service('udp', ports=UDP),
        endpoint_slice('udp', addresses=['10.1.2.3'], port=53, port_name='dns', protocol='UDP'),
        gateway('web', listener(), listener('udp', 53, 'UDP'), class_name='ours', admits='Same'),
        listener_set('more', listener('more', 8080)),
        backend_tls_policy('web', 'web', system=True),
        http_route('web', rule('web')),
        grpc_route('web', rule('web')),
        tcp_route('web', 'web'),
        l4_route('TLSRoute', 'web', 'web', hostnames=['web.example.com']),
        l4_route('UDPRoute', 'web', backend('udp', port=53)),
    )


def begin(controller, *documents):
    """Start a controller that leads, with objects."""
    controller.plane.api.apply(gateway_class('ours'))
    controller.begin('--edge-selector', 'app=edge')
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    controller.put('all', *documents)


def shown(controller, kind, name='web'):
    """Return the status of an object."""
    path = controller.path(kind, name, API) if kind != 'GatewayClass' else f'{collection(kind, api=API)}/{name}'
    return controller.plane.api.get(path).get('status') or {}


def write(controller, kind, name, status):
    """Write a part of a status as another controller does."""
    path = f'{controller.path(kind, name, API)}/status'
    body = {'status': status}
    controller.plane.api.request('PATCH', path, body, content='application/merge-patch+json', fieldManager='theirs')


def entries(controller, kind):
    """Return the controllers that a route's or policy's status names."""
    status = shown(controller, kind)
    return [entry['controllerName'] for entry in status.get('parents') or status.get('ancestors') or ()]


def kept(controller, kind):
    """Return the names of the Services, or EndpointSlices, of Gateways."""
    path = controller.path(kind, api='v1' if kind == 'Service' else 'discovery.k8s.io/v1')
    found = controller.plane.api.list(path, labelSelector='headrace.io/gateway-class=headrace')
    return [each['metadata']['name'] for each in found['items']]


def release(controller, *more):
    """Run what the hook runs, as its ServiceAccount; return what was printed."""
    words = ['release', '--all', '--wait', '--kubeconfig', controller.kubeconfig, '--config', controller.config, *more]
    code, text = prefork.run(*words, POD_NAME='release', POD_NAMESPACE=controller.namespace)
    assert code == 0, text
    return text


def forbidden(controller):
    """Return what the API server has refused to the accounts of the release."""
    noted = controller.plane.audited(controller.namespace)
    return [
        each['requestURI']
        for each in noted
        if (each.get('annotations') or {}).get('authorization.k8s.io/decision') == 'forbid'
    ]


@pytest.mark.usefixtures('gateway_api')
def test_a_release_takes_back_all_of_the_gateway_api_beside_a_controller(release_installed):
    controller = release_installed()
    begin(controller, *objects())
    routes = (*ROUTES, 'BackendTLSPolicy')
    until(lambda: all(OURS in entries(controller, kind) for kind in routes), seconds=LATE)
    until(lambda: shown(controller, 'Gateway').get('listeners'), seconds=LATE)
    until(lambda: shown(controller, 'ListenerSet', 'more').get('listeners'), seconds=LATE)
    until(lambda: shown(controller, 'GatewayClass', 'ours').get('supportedFeatures'), seconds=LATE)
    until(lambda: kept(controller, 'Service') and kept(controller, 'EndpointSlice'), seconds=LATE)
    for kind in routes:
        key, entry = ('ancestors', OF_POLICY) if kind == 'BackendTLSPolicy' else ('parents', OF_ROUTE)
        write(controller, kind, 'web', {key: [*shown(controller, kind)[key], entry]})
    conditions = shown(controller, 'Gateway')['conditions']
    write(controller, 'Gateway', 'web', {'conditions': [*conditions, CONDITION]})

    assert 'to 9 objects' in release(controller)
    for kind in routes:
        assert entries(controller, kind) == [THEIRS], kind
    assert shown(controller, 'Gateway') == {'conditions': [CONDITION]}
    for kind, name in (('ListenerSet', 'more'), ('GatewayClass', 'ours')):
        status = shown(controller, kind, name)
        assert [*status] == ['conditions']
        assert {each['reason'] for each in status['conditions']} == {'Pending'}
    assert (kept(controller, 'Service'), kept(controller, 'EndpointSlice')) == ([], [])
    assert forbidden(controller) == []
    # The controller that stands aside makes none of it anew, and nothing is left for a second release.
    assert 'to 0 objects' in release(controller)


@pytest.mark.usefixtures('gateway_api')
def test_a_release_leaves_the_gateways_of_other_classes_and_controllers_alone(release_installed):
    controller = release_installed()
    begin(controller, *objects())
    for name, owner in (('other-class', f'{OURS}-other'), ('theirs', THEIRS)):
        controller.plane.api.apply(gateway_class(name, owner))
        controller.put(name, gateway(name, class_name=name))
        write(controller, 'Gateway', name, {'conditions': [CONDITION | {'type': 'Accepted'}]})
    until(lambda: OURS in entries(controller, 'HTTPRoute'), seconds=LATE)
    foreign = {'parentRef': {'name': 'other-class'}, 'controllerName': f'{OURS}-other', 'conditions': [CONDITION]}
    write(controller, 'HTTPRoute', 'web', {'parents': [*shown(controller, 'HTTPRoute')['parents'], foreign]})
    release(controller)
    assert entries(controller, 'HTTPRoute') == [f'{OURS}-other']
    for name in ('other-class', 'theirs'):
        assert [each['type'] for each in shown(controller, 'Gateway', name)['conditions']] == ['Accepted']


@pytest.mark.usefixtures('gateway_api')
def test_a_release_does_not_wait_for_services_of_gateways_on_the_nodes(release_installed):
    controller = release_installed(node={'enabled': True})
    controller.settings['nodeRole'] = True
    controller.set()
    udp = service('udp', ports=UDP), service('udp2', ports=UDP)
    controller.report('n1', epoch=10**17)
    begin(
        controller,
        *udp,
        gateway('web', listener('udp', 53, 'UDP'), class_name='ours'),
        l4_route('UDPRoute', 'web', backend('udp', port=53, weight=9), backend('udp2', port=53)),
    )

    def chosen():
        label = 'headrace.io/node=headrace'
        return controller.plane.api.list(controller.path('Service'), labelSelector=label)['items']

    until(chosen, 'the node role has the Service of the Gateway', seconds=LATE)
    release(controller, '--timeout', '30s')
    assert kept(controller, 'Service') == []


@pytest.mark.usefixtures('gateway_api')
def test_a_release_of_some_namespaces_takes_back_what_is_in_these(release_installed, namespace):
    controller = release_installed(watchNamespaces=[namespace])
    begin(controller, *objects())
    until(lambda: OURS in entries(controller, 'UDPRoute'), seconds=LATE)
    until(lambda: kept(controller, 'Service') and kept(controller, 'EndpointSlice'), seconds=LATE)
    until(lambda: shown(controller, 'Gateway').get('listeners'), seconds=LATE)
    release(controller)
    assert not any(entries(controller, kind) for kind in ROUTES)
    assert not shown(controller, 'Gateway').get('listeners')
    assert (kept(controller, 'Service'), kept(controller, 'EndpointSlice')) == ([], [])
    assert forbidden(controller) == []


def test_a_controller_of_other_namespaces_than_its_own_works(release_installed, elsewhere):
    controller = release_installed(watchNamespaces=[elsewhere])
    controller.begin('--edge-selector', 'app=edge')
    until(lambda: controller.times('this controller leads'), seconds=LATE)
    document = service('web', annotations={'host': 'web.example.com', 'check-interval': 'soon'}, namespace=elsewhere)
    controller.plane.api.apply(document)
    path = f'{collection("Service", elsewhere)}/web'
    until(lambda: controller.plane.api.get(path)['status'].get('conditions'), seconds=LATE)
    release(controller)
    assert not controller.plane.api.get(path)['status'].get('conditions')
    assert forbidden(controller) == []
