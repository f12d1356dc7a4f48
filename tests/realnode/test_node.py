"""headrace on a real node: installed, serving, killed, upgraded and uninstalled, and at the end nothing is left.

The tests follow each other: one installation is what all of them are about.
"""

import os
import secrets
import signal

import pytest

from support import chart, gateway_crds, pods, viewers
from support.api import collection
from support.machine import traces
from support.realnode import NAMESPACE, NODE
from support.traffic import Load, Town
from support.waiting import until

pytestmark = pytest.mark.timeout(420)
LATE = 120
# A Service of a user, whose pods are of an image that is there; each answers with its name.
SHOP = (
    pods.deployment('shop')
    + """\
---
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: default}
spec:
  selector: {app: shop}
  ports: [{name: http, port: 80, targetPort: 8080}]
"""
)


DOOR = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: door, namespace: default}
spec:
  ingressClassName: headrace
  rules:
    - host: door.example.com
      http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: shop, port: {name: http}}}}]}
"""
# And a Gateway with a route to it.
GATE = """\
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: headrace}
spec: {controllerName: headrace.io/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gate, namespace: default}
spec:
  gatewayClassName: headrace
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: gate, namespace: default}
spec:
  parentRefs: [{name: gate}]
  hostnames: [gate.example.com]
  rules: [{backendRefs: [{name: shop, port: 80}]}]
"""


@pytest.fixture(scope='module')
def town():
    """Clients, outside of the cluster."""
    made = Town()
    yield made
    made.close()


@pytest.fixture(scope='module')
def installed(real_node):
    """The cluster, with headrace installed by the chart's defaults, and the Gateway API."""
    for definition in gateway_crds.released():
        real_node.plane.api.apply(definition)
    real_node.helm('install', 'headrace', chart.CHART, '--create-namespace')
    rolled_out(real_node)
    real_node.kubectl('apply', '-f', '-', text=SHOP)
    real_node.kubectl('rollout', 'status', 'deployment/shop', f'--timeout={LATE}s')
    real_node.kubectl('annotate', 'service', 'shop', 'headrace.io/host=shop.example.com')
    return real_node


def rolled_out(cluster):
    for name in ('headrace-edge', 'headrace-controller'):
        cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', f'deployment/{name}', f'--timeout={LATE}s')


def port(cluster):
    """Return the port of the node at which the edge is reached from outside."""
    ports = cluster.plane.api.get(f'{collection("Service", NAMESPACE)}/headrace')['spec']['ports']
    return next(each['nodePort'] for each in ports if each['name'] == 'http')


@pytest.fixture
def load(installed, town):
    """Clients that ask for the shop all the time; `stop` them before the end."""
    made = Load(town, port(installed), kept=6, new_each_second=30.0, where=lambda: NODE)
    yield made
    made.stop()


@pytest.fixture
def door(installed, town):
    """A client that asks for the host of the Ingress all the time."""
    made = Load(town, port(installed), kept=1, new_each_second=0, host='door.example.com', where=lambda: NODE)
    yield made
    made.stop()


def served(load, more=50):
    """Wait until so many more requests have been answered."""
    answered = load.answered
    until(lambda: load.answered > answered + more, f'requests are answered; lost: {load.lost[-3:]}', within=LATE)


def restarts(cluster, name):
    """Return how often containers of a name have been started again."""
    return sum(
        status['restartCount']
        for pod in cluster.pods('edge')
        for status in pod['status'].get('containerStatuses', ())
        if status['name'] == name
    )


def all_ready(cluster):
    pods = cluster.pods('edge')
    conditions = [{each['type']: each['status'] for each in pod['status']['conditions']} for pod in pods]
    return len(pods) == 2 and all(each.get('Ready') == 'True' for each in conditions)


def test_an_annotated_service_is_served_from_outside(installed, town, load):
    served(load)
    until(lambda: len(load.pods) == 2, 'both pods have answered')


def test_an_ingress_is_served_and_its_address_is_that_of_the_edge(installed, door):
    installed.kubectl('apply', '-f', '-', text=DOOR)
    until(lambda: door.answered > 0, 'the Ingress is served', within=LATE)
    # As a load balancer in front of the cluster does.
    address = '{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}}'
    where = ('-n', NAMESPACE, 'patch', 'service', 'headrace', '--subresource=status', '--type=merge')
    installed.kubectl(*where, '-p', address)
    until(lambda: '192.0.2.9' in installed.kubectl('get', 'ingress', 'door'), 'it has the address', within=LATE)
    installed.kubectl('annotate', 'ingress', 'door', 'headrace.io/allow=nonsense')
    until(lambda: ' 503 ' in door.lost[-1], 'what protects it does not parse', within=LATE)
    until(lambda: 'InvalidValue' in installed.kubectl('describe', 'ingress', 'door'), 'there is an Event', within=LATE)


def of_gateway(cluster):
    """Return the Services of Gateways."""
    label = 'headrace.io/gateway-class'
    return cluster.plane.api.list(collection('Service', NAMESPACE), labelSelector=label)['items']


def gateway_status(cluster, kind):
    """Return the status of the Gateway or its route."""
    path = collection(kind, 'default', 'gateway.networking.k8s.io/v1')
    return cluster.plane.api.get(f'{path}/gate').get('status') or {}


def test_a_gateway_has_a_service_of_its_own_that_leads_to_the_edge(installed, town):
    installed.kubectl('apply', '-f', '-', text=GATE)
    (service,) = until(lambda: of_gateway(installed), 'it has a Service', within=LATE)
    address = '{"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.10"}]}}}'
    where = ('-n', NAMESPACE, 'patch', 'service', service['metadata']['name'], '--subresource=status', '--type=merge')
    installed.kubectl(*where, '-p', address)
    until(lambda: gateway_status(installed, 'Gateway').get('addresses'), 'it has the address', within=LATE)
    until(lambda: gateway_status(installed, 'HTTPRoute').get('parents'), 'the route has a status', within=LATE)
    port_of_node = service['spec']['ports'][0]['nodePort']
    load = Load(town, port_of_node, kept=1, new_each_second=0, host='gate.example.com', where=lambda: NODE)
    try:
        until(lambda: load.answered > 0, 'the route is served', within=LATE)
    finally:
        load.stop()


def test_an_administrator_sees_through_the_api_server_what_a_pod_serves(installed):
    pod = installed.pods('edge')[0]
    until(lambda: 'default/shop' in viewers.status(installed, NAMESPACE, pod, LATE), 'the shop is shown', within=LATE)


def test_what_is_wrong_is_told_to_the_owner(installed):
    installed.kubectl('annotate', 'service', 'shop', 'headrace.io/check-interval=soon')
    wrong = {'headrace.io/Programmed': 'False'}
    until(lambda: conditions(installed) == wrong, 'there is a condition', within=LATE)
    until(lambda: 'InvalidValue' in installed.kubectl('describe', 'service', 'shop'), 'there is an Event', within=LATE)


def conditions(cluster):
    found = cluster.plane.api.get(f'{collection("Service", "default")}/shop')['status'].get('conditions', ())
    return {each['type']: each['status'] for each in found}


def test_helm_test_gets_its_answer(installed):
    assert 'Succeeded' in installed.helm('test', 'headrace', '--timeout', '90s')


def test_an_operator_that_is_killed_loses_no_request(installed, load):
    served(load)
    pod, before = installed.pods('edge')[0], restarts(installed, 'operator')
    os.kill(installed.process(pod, 'headrace run'), signal.SIGKILL)
    until(lambda: restarts(installed, 'operator') > before, 'the kubelet starts it again', within=LATE)
    served(load)
    assert not load.stop().lost, load.lost[:3]


def test_a_haproxy_that_is_killed_comes_back_and_others_serve_meanwhile(installed, load):
    served(load)
    pod, before = installed.pods('edge')[1], restarts(installed, 'haproxy')
    os.kill(installed.process(pod, 'haproxy -W'), signal.SIGKILL)
    until(lambda: restarts(installed, 'haproxy') > before, 'the kubelet starts it again', within=LATE)
    until(lambda: all_ready(installed) and calm(load), 'both are ready, and nothing is lost any more', within=LATE)


def calm(load):
    """Tell whether the next requests are all answered."""
    lost = len(load.lost)
    served(load, 200)
    return len(load.lost) == lost


def test_an_upgrade_under_load_loses_no_request(installed, load):
    served(load)
    before = {pod['metadata']['name'] for pod in installed.pods('edge')}
    other = f'podAnnotations.turn={secrets.token_hex(4)}'
    installed.helm('upgrade', 'headrace', chart.CHART, '--set', f'edge.{other},controller.{other}')
    rolled_out(installed)
    until(lambda: not before & {pod['metadata']['name'] for pod in everything(installed)}, 'the old end', within=LATE)
    served(load)
    assert not load.stop().lost, load.lost[:3]


def everything(cluster):
    """Return all pods of headrace, also those that are about to end."""
    return cluster.plane.api.list(collection('Pod', NAMESPACE))['items']


def test_nothing_was_asked_for_that_is_not_allowed(installed):
    found = {account: installed.calls(account) for account in ('edge', 'controller')}
    assert all(found.values())
    assert not [call for each in found.values() for call, decision in each if decision != 'allow']


def test_an_uninstall_leaves_nothing_in_the_cluster(installed):
    installed.helm('uninstall', 'headrace')
    until(lambda: not everything(installed), 'the pods end', within=LATE)
    kinds = 'all,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,leases,secrets'
    label = 'app.kubernetes.io/instance=headrace'
    for words in (['-n', NAMESPACE, 'get', kinds], ['get', 'clusterroles,clusterrolebindings,priorityclasses']):
        until(lambda words=words: not installed.kubectl(*words, '-l', label, '-o', 'name'), 'all is gone', within=LATE)
    leases = collection('Lease', NAMESPACE, 'coordination.k8s.io/v1')
    until(lambda: not installed.plane.api.list(leases)['items'], 'the Leases go', within=LATE)
    assert not conditions(installed)
    assert not of_gateway(installed)
    assert gateway_status(installed, 'HTTPRoute') == {}
    assert {each['reason'] for each in gateway_status(installed, 'Gateway')['conditions']} == {'Pending'}
    names = [each['metadata']['name'] for each in installed.plane.api.list(collection('Secret', NAMESPACE))['items']]
    assert not names


@pytest.mark.parametrize('account', ['edge', 'controller'])
def test_what_was_asked_of_the_api_server_is_what_the_chart_allows(real_node, account):
    # Pods that end after their rights have gone are refused; the review of the own account needs no right.
    asked = {call for call, decision in real_node.calls(account) if decision == 'allow'}
    rules = {rule[1:] for rule in chart.rules(chart.render(namespace=NAMESPACE), account)}
    # Not all kinds of the Gateway API are here.
    unused = chart.gateway_rules(account) - asked
    # A Lease that an agent makes by PUT takes the right to create it, and the call is an update.
    unused |= {('coordination.k8s.io', 'leases', 'create')} if account == 'edge' else set()
    assert asked - {('authentication.k8s.io', 'selfsubjectreviews', 'create')} == rules - unused


def test_the_machine_is_as_it_was(real_node, before):
    machine = real_node.machine
    assert any('kubelet' in line for line in machine.processes().values())
    real_node.close()
    assert machine.processes() == {}
    assert not [folder for folder in machine.folders() if folder.exists()]
    assert not machine.folder.exists()
    assert real_node.links() == real_node.before
    assert traces() == before
