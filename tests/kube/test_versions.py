"""Controllers and agents of neighbouring versions work together, as they do while an upgrade or a rollback goes on.

The version before is the last release, or a pinned commit: see support/former.py.
"""

import contextlib
import http.client
from collections import Counter
from http import HTTPStatus

import pytest

from conftest import binary
from support import gateway_crds, ports
from support.cluster import LEASES, Cluster, pod
from support.former import former_package  # noqa: F401
from support.gateway_objects import gateway_class
from support.gateways import API, gateway, http_route, listener, rule
from support.live import until
from support.objects import endpoint_slice, ingress, service

LATE = 40
VIP, GATEWAY_VIP = '192.0.2.7', '192.0.2.8'
SLOTS, PROTOCOLS = 2, 4
HANDED_OVER = 'service.kubernetes.io/service-proxy-name'


@pytest.fixture
def gateway_api(control_plane):
    """The kinds of the Gateway API are there, as its release defines them."""
    with gateway_crds.defined(control_plane.api, gateway_crds.released):
        yield


@pytest.fixture
def make(control_plane, namespace, town, former_package):  # noqa: F811
    """What makes processes of one of both versions."""
    first, row = ports.reserve_row(SLOTS * PROTOCOLS)
    made = []

    def give(version, role, **options):
        settings = {'gatewaySlots': SLOTS, 'gatewayFirstSlot': first, 'statusAddresses': [VIP], **options}
        name = f'{version}-{role}'
        found = Cluster(binary('haproxy-3.4'), control_plane, namespace, role=role, name=name, **settings)
        found.package = {'former': former_package, 'present': None}[version]
        made.append(found)
        return found

    yield give
    for each in made:
        each.close()
    for each in row:
        each.close()


def status_of(port, host):
    """Return the status of an answer, 0 where there is none."""
    with (
        contextlib.suppress(OSError),
        contextlib.closing(http.client.HTTPConnection('127.0.0.1', port, timeout=10)) as client,
    ):
        client.request('GET', '/', headers={'Host': host})
        return client.getresponse().status
    return 0


def write_objects(cluster, town):
    """Write what is served: an annotated Service, an Ingress, and a Gateway with a route."""
    cluster.plane.api.apply(gateway_class('headrace'))
    address = pod(town)
    for name in ('annotated', 'web'):
        annotations = {'host': 'annotated.example.com'} if name == 'annotated' else None
        cluster.put(
            name, service(name, annotations=annotations), endpoint_slice(name, addresses=[address], port=town.port)
        )
    cluster.put(
        'routes',
        ingress('web', hosts={'ingress.example.com': 'web'}, ingressClassName='headrace'),
        gateway('web', listener()),
        http_route('web', rule('web'), hostnames=['route.example.com']),
    )


def condition(cluster, kind, type_):
    """Return the status of a condition of a Gateway, or of a route's parent."""
    status = cluster.plane.api.get(cluster.path(kind, 'web', API)).get('status') or {}
    part = status if kind == 'Gateway' else next(iter(status.get('parents') or ()), {})
    return next((each['status'] for each in part.get('conditions') or () if each['type'] == type_), '')


def service_of_gateway(cluster):
    """Return the Service of the only Gateway, None for none."""
    label = 'gateway.networking.k8s.io/gateway-name=web'
    return next(iter(cluster.plane.api.list(cluster.path('Service'), labelSelector=label)['items']), None)


def give_address(cluster):
    """Give the Service of the Gateway an address, as MetalLB does."""
    found = until(lambda: service_of_gateway(cluster), 'the Gateway has a Service', LATE)
    status = {'status': {'loadBalancer': {'ingress': [{'ip': GATEWAY_VIP}]}}}
    cluster.plane.api.patch(f'{cluster.path("Service", found["metadata"]["name"])}/status', status)
    return found['spec']['ports'][0]['targetPort']


def slots(cluster):
    """Return the slot of each port of the Gateway."""
    return {each['port']: each['targetPort'] for each in service_of_gateway(cluster)['spec']['ports']}


def serve(controller, agent, town):
    """Hold that objects come to be served, with their conditions and addresses; return the port of the Gateway."""
    controller.begin('--edge-selector', 'app=edge')
    agent.start()
    write_objects(agent, town)
    slot = give_address(agent)
    until(lambda: (agent.condition('annotated') or {}).get('status') == 'True', 'the Service has a condition', LATE)
    until(lambda: agent.ingress_status() == [{'ip': VIP}], 'the Ingress has an address', LATE)
    until(lambda: condition(agent, 'Gateway', 'Programmed') == 'True', 'the Gateway is programmed', LATE)
    until(lambda: condition(agent, 'HTTPRoute', 'Accepted') == 'True', 'the route is accepted', LATE)
    served(agent, slot)
    return slot


def served(agent, slot):
    """Hold that traffic flows by all three ways in."""
    for port, host in ((agent.ports['http'], 'annotated.example.com'), (agent.ports['http'], 'ingress.example.com')):
        until(lambda port=port, host=host: status_of(port, host) == 200, host, LATE)
    until(lambda: status_of(slot, 'route.example.com') == 200, 'the route', LATE)


@pytest.mark.usefixtures('gateway_api')
@pytest.mark.parametrize(('of_controller', 'of_agent'), [('former', 'present'), ('present', 'former')])
def test_a_controller_and_an_agent_of_two_versions_serve_together(make, town, of_controller, of_agent):
    serve(make(of_controller, 'controller'), make(of_agent, 'edge'), town)


@pytest.mark.usefixtures('gateway_api')
def test_controllers_of_two_versions_follow_each_other_and_none_undoes_what_the_other_wrote(make, town):
    agent, old, new = make('present', 'edge'), make('former', 'controller'), make('present', 'controller')
    slot = serve(old, agent, town)
    new.begin('--edge-selector', 'app=edge')
    until(lambda: new.times('the controller follows the cluster'), seconds=LATE)
    for leader, former_leader, terms in ((new, old, 1), (old, new, 2)):
        former_leader.stop()
        until(
            lambda leader=leader, terms=terms: leader.times('this controller leads') == terms, 'the other leads', LATE
        )
        if leader is new:
            old.begin('--edge-selector', 'app=edge')
        # What is written last: the new leader has looked at all that was there.
        name = f'late-{leader.name}'
        agent.put(name, service(name, annotations={'host': f'{name}.example.com', 'check-interval': 'soon'}))
        until(lambda name=name: agent.condition(name), 'it writes', LATE)
        assert slots(agent) == {80: slot}
        assert (condition(agent, 'Gateway', 'Programmed'), condition(agent, 'HTTPRoute', 'Accepted')) == (
            'True',
            'True',
        )
        assert agent.ingress_status() == [{'ip': VIP}]
        assert agent.condition('annotated')['status'] == 'True'
        served(agent, slot)
    assert max(writes(new).values(), default=0) <= 2, writes(new)


def writes(controller):
    """Return how often a controller has written the status of each object."""
    user = f'system:serviceaccount:{controller.namespace}:{controller.account}'
    noted = [each for each in controller.plane.audited(controller.namespace) if each['user']['username'] == user]
    refs = (each.get('objectRef') or {} for each in noted if each['responseStatus']['code'] == HTTPStatus.OK)
    of_statuses = [ref for ref in refs if ref.get('subresource') == 'status']
    return Counter((each['resource'], each['name']) for each in of_statuses)


def report_of_the_future(controller, node, form):
    """Write the Lease of an agent that has applied all epochs, with a form."""
    controller.report(node, epoch=10**17)
    lease = controller.path('Lease', f'headrace-node-agent-{node}', LEASES)
    controller.plane.api.patch(lease, {'metadata': {'labels': {'headrace.io/form': form}}})


def test_a_hand_over_waits_for_an_agent_whose_report_is_of_a_newer_form_and_an_event_says_so(make_controller):
    controller = make_controller()
    controller.plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'future'}})
    report_of_the_future(controller, 'future', '99')
    controller.put('web', service('web', annotations={'proxy': 'node'}))
    controller.begin()
    until(lambda: controller.service('web')['metadata'].get('labels', {}).get('headrace.io/node'), 'it is chosen', LATE)
    until(lambda: 'AgentsOfNewerVersion' in controller.kubectl('get', 'events'), 'the Event tells', LATE)
    until(lambda: controller.times('a hand-over waits'), 'it waits', LATE)
    assert HANDED_OVER not in controller.service('web')['metadata']['labels']
    epoch = int(controller.service('web')['metadata']['annotations']['headrace.io/epoch'])
    controller.report('future', epoch)
    until(lambda: HANDED_OVER in controller.service('web')['metadata']['labels'], 'it is handed over', LATE)
    controller.plane.api.delete('/api/v1/nodes/future')
