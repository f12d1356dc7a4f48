"""The node role's DaemonSet on a real node, beside a real kube-proxy, and without an edge; installed by Helm 3.

Before the tests of the edge, and in another namespace, so that what is noted of either is its own. They follow each
other: one installation is what all of them are about.
"""

import os
import secrets
import signal
import socket
import subprocess
from functools import partial

import pytest

from support import chart, images, pods, viewers
from support.api import collection
from support.clients import Clients
from support.nodes import Space, answer
from support.realnode import NAME, NODE
from support.traffic import Load, Town
from support.waiting import until

pytestmark = pytest.mark.timeout(420)
LATE = 120
NAMESPACE, CLASS, TAINT = 'proxies', 'inner', 'headrace.io/starting'
VALUES = {
    'node.enabled': 'true',
    'edge.enabled': 'false',
    'controller.replicas': '1',
    'settings.class': CLASS,
    'settings.startupTaint': TAINT,
    'shutdown.drainSeconds': '2',
    'shutdown.hardStopSeconds': '20',
}
# Two Services of the same pods: one of them stays with kube-proxy. And a client.
SHOP = (
    pods.deployment('goods')
    + """\
---
apiVersion: v1
kind: Service
metadata: {name: chosen, namespace: default}
spec: {type: NodePort, selector: {app: goods}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: default}
spec: {type: NodePort, selector: {app: goods}, ports: [{name: http, port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: client, namespace: default, labels: {app: client}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: client, image: IMAGE, command: [sleep, infinity]}]
""".replace('IMAGE', images.OPERATOR)
)


class Shop:
    """The cluster, and those who ask: a client in a pod, and clients outside."""

    def __init__(self, cluster, town):
        self.cluster, self.town = cluster, town
        (pod,) = cluster.pods('client', 'default', label='app')
        number = cluster.process(pod, 'sleep infinity')
        self.client = Space('client', fd=os.open(f'/proc/{number}/ns/net', os.O_RDONLY))

    def service(self, name):
        return self.cluster.plane.api.get(f'{collection("Service", "default")}/{name}')

    def labels(self, name='chosen'):
        """Return the labels of a Service by which it goes to the node and back."""
        return self.service(name)['metadata'].get('labels', {})

    def ask(self, name):
        """Ask a Service by its ClusterIP, from a pod."""
        address = self.service(name)['spec']['clusterIP']
        return partial(self._ask, address)

    def _ask(self, address):
        with self.client.enter(socket.create_connection, (address, 80), 5) as connection:
            connection.sendall(b'GET / HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n')
            status, _, _ = answer(connection)
        assert status == 200

    def load(self, name='chosen', **how):
        """Return clients outside that ask for a Service by its node port."""
        port = self.service(name)['spec']['ports'][0]['nodePort']
        return Load(self.town, port, where=lambda: NODE, **{'kept': 4, 'new_each_second': 20.0, **how})

    def kube_proxy_serves(self, name):
        """Tell whether kube-proxy leads a Service to endpoints."""
        return f'default/{name}:http cluster IP' in self.cluster.machine.run('iptables-save', '-t', 'nat')

    def table(self):
        """Return the node's tables of nftables that are ours."""
        return self.cluster.machine.run('nft', 'list', 'tables', 'inet')


@pytest.fixture(scope='module')
def town():
    """Clients, outside of the cluster."""
    made = Town()
    yield made
    made.close()


@pytest.fixture(scope='module')
def shop(real_node, town):
    """The cluster, with the node role installed, on a Node that came with the startup taint."""
    real_node.kubectl('taint', 'node', NAME, f'{TAINT}=:NoSchedule')
    real_node.kubectl('create', 'namespace', NAMESPACE)
    real_node.kubectl('label', 'namespace', NAMESPACE, 'pod-security.kubernetes.io/enforce=privileged')
    install(real_node)
    until(lambda: not taints(real_node), 'the controller takes the taint away', within=LATE)
    real_node.kubectl('apply', '-f', '-', text=SHOP)
    real_node.kubectl('rollout', 'status', 'deployment/goods', f'--timeout={LATE}s')
    real_node.kubectl('wait', '--for=condition=ready', 'pod/client', f'--timeout={LATE}s')
    made = Shop(real_node, town)
    for name in ('chosen', 'other'):
        # A pod is ready before kube-proxy knows, and until then its clients are refused.
        until(partial(answers, made.ask(name)), f'kube-proxy serves {name}', within=LATE)
    yield made
    made.client.close()
    real_node.kubectl('delete', '-f', '-', '--wait=false', text=SHOP)
    real_node.kubectl('delete', 'namespace', NAMESPACE, '--wait=false')


def helm(cluster, *words):
    return cluster.helm(*words, program='helm3', namespace=NAMESPACE)


def install(cluster):
    helm(cluster, 'install', 'proxies', chart.CHART, '--set', ','.join(f'{k}={v}' for k, v in VALUES.items()))
    rolled_out(cluster)


def choose(shop):
    """Let a Service go to the node, and wait until it has."""
    said = ['headrace.io/proxy=node', f'headrace.io/class={CLASS}']
    shop.cluster.kubectl('annotate', 'service', 'chosen', '--overwrite', *said)
    until(lambda: not shop.kube_proxy_serves('chosen'), 'kube-proxy lets go', within=LATE)


def rolled_out(cluster):
    for name in ('daemonset/proxies-headrace-node', 'deployment/proxies-headrace-controller'):
        cluster.kubectl('-n', NAMESPACE, 'rollout', 'status', name, f'--timeout={LATE}s')


def taints(cluster):
    return cluster.plane.api.get(f'{collection("Node")}/{NAME}')['spec'].get('taints', ())


def agents(shop):
    return shop.cluster.pods('node', NAMESPACE)


def restarts(shop, container):
    return sum(
        each['restartCount']
        for pod in agents(shop)
        for each in pod['status'].get('containerStatuses', ())
        if each['name'] == container
    )


def served(load, more=50):
    """Wait until so many more requests have been answered."""
    answered = load.answered
    until(lambda: load.answered > answered + more, f'requests are answered; lost: {load.lost[-3:]}', within=LATE)


def test_a_chosen_service_goes_to_the_node_and_no_request_is_lost(shop):
    clients, load = Clients(shop.ask('chosen'), shop.ask('other')), shop.load()
    try:
        clients.more()
        choose(shop)
        clients.more()
        served(load)
    finally:
        lost = [*clients.stop(), *load.stop().lost]
    assert shop.labels() == {'headrace.io/node': CLASS, 'service.kubernetes.io/service-proxy-name': CLASS}
    assert shop.kube_proxy_serves('other')
    assert lost == []


def test_an_administrator_sees_through_the_api_server_what_a_node_serves(shop):
    (pod,) = agents(shop)
    assert 'default/chosen' in viewers.status(shop.cluster, NAMESPACE, pod, LATE)


def test_an_upgrade_by_surge_under_load_loses_no_request(shop):
    clients, load = Clients(shop.ask('chosen'), shop.ask('other')), shop.load()
    before = {pod['metadata']['uid'] for pod in agents(shop)}
    try:
        clients.more()
        turn = f'node.podAnnotations.turn={secrets.token_hex(4)}'
        helm(shop.cluster, 'upgrade', 'proxies', chart.CHART, '--reset-then-reuse-values', '--set', turn)
        rolled_out(shop.cluster)
        until(
            lambda: not before & {pod['metadata']['uid'] for pod in everything(shop)}, 'the old one ends', within=LATE
        )
        clients.more()
        served(load)
    finally:
        lost = [*clients.stop(), *load.stop().lost]
    assert len(agents(shop)) == 1
    assert lost == []


def everything(shop):
    return shop.cluster.plane.api.list(collection('Pod', NAMESPACE))['items']


def test_an_operator_that_is_killed_loses_no_request(shop):
    clients, load = Clients(shop.ask('chosen')), shop.load()
    before = restarts(shop, 'operator')
    try:
        clients.more()
        os.kill(shop.cluster.process(agents(shop)[0], 'headrace run'), signal.SIGKILL)
        until(lambda: restarts(shop, 'operator') > before, 'the kubelet starts it again', within=LATE)
        clients.more()
        served(load)
    finally:
        lost = [*clients.stop(), *load.stop().lost]
    assert lost == []


def test_a_haproxy_that_is_killed_comes_back_and_kube_proxy_serves_the_others_meanwhile(shop):
    others, before = Clients(shop.ask('other')), restarts(shop, 'haproxy')
    ask = shop.ask('chosen')
    try:
        others.more()
        os.kill(shop.cluster.process(agents(shop)[0], 'haproxy -W'), signal.SIGKILL)
        until(lambda: restarts(shop, 'haproxy') > before, 'the kubelet starts it again', within=LATE)
        until(lambda: answers(ask), 'the Service is served again', within=LATE)
        others.more()
    finally:
        lost = others.stop()
    assert lost == []


def answers(ask):
    try:
        ask()
    except (OSError, AssertionError, IndexError):
        return False
    return True


def test_an_uninstall_gives_all_back_under_load_and_leaves_nothing_on_the_node(shop):
    if not agents(shop):
        # A second try.
        install(shop.cluster)
        choose(shop)
    clients, load = Clients(shop.ask('chosen'), shop.ask('other')), shop.load()
    try:
        clients.more()
        helm(shop.cluster, 'uninstall', 'proxies', '--timeout', '5m')
        assert shop.kube_proxy_serves('chosen')
        until(lambda: not everything(shop), 'the pods end', within=LATE)
        clients.more()
        served(load)
    finally:
        lost = [*clients.stop(), *load.stop().lost]
    assert lost == []
    found = shop.service('chosen')
    assert not found['metadata'].get('labels')
    assert not {name for name in found['metadata']['annotations'] if name.startswith('headrace.io/')} - {
        'headrace.io/class'
    }
    assert not found['status'].get('conditions')
    leases = collection('Lease', NAMESPACE, 'coordination.k8s.io/v1')
    until(lambda: not shop.cluster.plane.api.list(leases)['items'], 'the Leases go', within=LATE)
    machine = shop.cluster.machine
    assert 'headrace' not in shop.table()
    assert (
        'fd68'
        not in subprocess.run(
            machine.command('ip', '-6', 'route', 'show', 'table', 'local'), capture_output=True, text=True, check=False
        ).stdout
    )
    # As the documentation says: a folder, without a table and without a key, but for one that is the same everywhere.
    left = machine.run('find', '/var/lib/headrace', '-type', 'f', '-not', '-name', 'nobody.pem').split()
    assert not [path for path in left if path.endswith(('.pem', 'table.nft'))]


@pytest.mark.parametrize('account', ['node', 'controller'])
def test_what_was_asked_of_the_api_server_is_what_the_chart_allows(shop, account):
    asked = {
        call
        for call, decision in shop.cluster.calls(account, NAMESPACE)
        if decision == 'allow' and call[1] != 'selfsubjectreviews'
    }
    values = {'node': {'enabled': True}, 'edge': {'enabled': False}, 'settings': {'startupTaint': TAINT}}
    rules = {rule[1:] for rule in chart.rules(chart.render(values, namespace=NAMESPACE), account)}
    # No mistake was made here that a controller could have told of.
    status = ('networking.k8s.io', 'ingresses/status')
    spared = {('events.k8s.io', 'events'), ('', 'services/status'), status} if account == 'controller' else set()
    assert asked <= rules
    # The API server has no CRDs of the Gateway API.
    unused = rules - asked - chart.gateway_rules(account)
    # A Lease that an agent makes by PUT takes the right to create it, and the call is an update.
    unused -= {('coordination.k8s.io', 'leases', 'create')} if account == 'node' else set()
    assert {rule for rule in unused if rule[:2] not in spared} == set()
