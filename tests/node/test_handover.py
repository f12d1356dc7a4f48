"""A Service goes from the real kube-proxy to a node and back, under load, on a real API server, with real packets."""

import contextlib
import http.client
import json
import os
import subprocess
import threading
import time
from functools import partial

import pytest

from conftest import ROOT, binary
from headrace.kube.rights import When
from support.api import collection
from support.cluster import Cluster
from support.live import HEADRACE, until
from support.nodes import NODE, PODS, PORT
from support.objects import endpoint_slice, node, service
from support.taken import WHERE

CLUSTER_IP = '10.96.77.7'
LABEL = 'service.kubernetes.io/service-proxy-name'
LATE = 60
RULES = {'nftables': ('nft', 'list', 'table', 'ip', 'kube-proxy'), 'iptables': ('iptables-save', '-t', 'nat')}


class Clients:
    """Clients that connect all the time, from a pod and from the node; `lost` is what went wrong, and when."""

    def __init__(self, nodes):
        self.lost, self.done = [], 0
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(nodes, space)) for space in ('client', 'node')]
        for thread in self._threads:
            thread.start()

    def _run(self, nodes, space):
        while not self._stop.is_set():
            try:
                self._ask(nodes, space)
            except (OSError, http.client.HTTPException) as error:
                self.lost.append((space, time.time(), repr(error)))
            else:
                self.done += 1
            time.sleep(0.005)

    def _ask(self, nodes, space):
        nodes.tcp(space, CLUSTER_IP, 80, seconds=15)

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(10)


class Keeping(Clients):
    """Clients of HTTP that keep a connection for a second, or until an answer says that it ends."""

    def __init__(self, nodes):
        self._kept = {}
        super().__init__(nodes)

    def _ask(self, nodes, space):
        kept, until_then = self._kept.pop(space, (None, 0.0))
        if kept is None:
            kept, until_then = http.client.HTTPConnection(CLUSTER_IP), time.monotonic() + 1
            kept.sock = nodes.connected(space, CLUSTER_IP, 80, seconds=15)
        with contextlib.ExitStack() as closing:
            closing.callback(kept.close)
            kept.request('GET', '/')
            answer = kept.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
            if not answer.will_close and time.monotonic() < until_then:
                closing.pop_all()
                self._kept[space] = kept, until_then

    def stop(self):
        super().stop()
        for kept, _ in self._kept.values():
            kept.close()


def speaker(nodes, port):
    """Return which client a pod sees."""
    if port == 'tcp':
        return nodes.tcp('client', CLUSTER_IP, 80)['client']
    return nodes.http('client', CLUSTER_IP, 80)[2]['client']


@pytest.fixture
def kube_proxy(control_plane, tmp_path):
    """What starts the real kube-proxy on the node, in a mode."""
    started = []

    def start(mode):
        command = [binary('kube-proxy', 'make controlplane'), '--kubeconfig', control_plane.kubeconfig]
        command += ['--hostname-override', 'n1', '--proxy-mode', mode, '--cluster-cidr', '10.244.0.0/16']
        command += ['--conntrack-max-per-core', '0']
        with (tmp_path / 'kube-proxy.log').open('wb') as log:
            started.append(subprocess.Popen([str(word) for word in command], stdout=log, stderr=log))

    yield start
    for process in started:
        process.kill()
        process.wait()
        subprocess.run([binary('kube-proxy'), '--cleanup'], capture_output=True, check=False)


@pytest.fixture
def cluster(control_plane, namespace, nodes):
    """A controller and an agent on the node, not started yet."""
    made = node('n1', addresses=(NODE[0],))
    control_plane.api.create(
        {
            'apiVersion': 'v1',
            'kind': 'Node',
            'metadata': made['metadata'],
            'spec': {'podCIDRs': ['10.244.1.0/24'], 'podCIDR': '10.244.1.0/24'},
        }
    )
    subprocess.run(
        [
            ROOT / 'bin' / 'kubectl',
            '--kubeconfig',
            control_plane.kubeconfig,
            'patch',
            'node',
            'n1',
            '--subresource=status',
            '--type=merge',
            '-p',
            str({'status': made['status']}).replace("'", '"'),
        ],
        check=True,
        capture_output=True,
    )
    haproxy = binary('haproxy-3.4')
    controller = Cluster(
        haproxy,
        control_plane,
        namespace,
        role='controller',
        name='control',
        when=[When.NODE_ROLE],
        nodeRole=True,
        everywhere=True,
    )
    agent = Cluster(
        haproxy,
        control_plane,
        namespace,
        role='node',
        name='agent',
        addresses=['0.0.0.0', '::'],
        tcpPorts='',
        everywhere=True,
    )
    yield controller, agent
    for each in (controller, agent):
        each.close()
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)


def labels(cluster):
    return cluster.service('web')['metadata'].get('labels', {})


def settled(work):
    def true():
        with contextlib.suppress(OSError):
            return work()
        return None

    return true


@pytest.mark.parametrize(
    ('mode', 'port', 'kind'),
    [('nftables', 'tcp', Clients), ('iptables', 'tcp', Clients), ('nftables', 'http', Keeping)],
)
def test_a_service_is_handed_over_and_back_without_a_lost_connection(nodes, cluster, kube_proxy, mode, port, kind):
    controller, agent = cluster
    kube_proxy(mode)
    plain = service('web', clusterIP=CLUSTER_IP, ports=[{'name': port, 'port': 80}])
    controller.put(
        'web', plain, endpoint_slice('web', addresses=[PODS['one'][0], PODS['three'][0]], port=PORT, port_name=port)
    )
    until(settled(lambda: speaker(nodes, port)), 'kube-proxy serves', LATE)
    # kube-proxy leaves a pod its address.
    assert speaker(nodes, port) == PODS['client'][0]
    # The attempts before that have left flows that no client is to continue by its port.
    nodes.forget_flows()
    controller.begin()
    agent.start('--node', 'n1')
    clients = kind(nodes)
    try:
        controller.annotate('web', proxy='node', datapath='haproxy')
        until(lambda: labels(controller).get(LABEL) == 'headrace', 'kube-proxy is told', LATE)
        until(lambda: speaker(nodes, port) != PODS['client'][0], 'HAProxy serves', LATE)
        until(
            lambda: CLUSTER_IP not in nodes.spaces['node'].run(*RULES[mode]),
            'kube-proxy lets go',
            LATE,
        )
        taken = clients.done
        until(lambda: clients.done > taken + 100, 'the node serves alone')
        command = [
            HEADRACE,
            'release',
            f'{controller.namespace}/web',
            '--wait',
            '--kubeconfig',
            controller.plane.kubeconfig,
        ]
        subprocess.run(command, check=True, capture_output=True, timeout=90, env={**os.environ})
        assert {LABEL, 'headrace.io/node'}.isdisjoint(labels(controller))
        until(lambda: speaker(nodes, port) == PODS['client'][0], 'kube-proxy serves', LATE)
        back = clients.done
        until(lambda: clients.done > back + 100, 'kube-proxy serves alone')
    finally:
        clients.stop()
    assert clients.lost == []
    assert clients.done > 300


def test_a_node_without_an_agent_holds_the_hand_over_up_until_it_is_gone(nodes, cluster, control_plane):
    controller, agent = cluster
    control_plane.api.create({'apiVersion': 'v1', 'kind': 'Node', 'metadata': {'name': 'n2'}})
    plain = service('web', clusterIP=CLUSTER_IP, annotations={'proxy': 'node'})
    controller.put('web', plain, endpoint_slice('web', addresses=[PODS['one'][0]], port=PORT))
    controller.begin()
    agent.start('--node', 'n1')
    until(lambda: labels(controller).get('headrace.io/node') == 'headrace', 'it is chosen', LATE)
    until(settled(lambda: nodes.tcp('client', CLUSTER_IP, 80)), 'the node serves', LATE)
    # The agent's Lease tells its epoch within five seconds, and that alone is not enough.
    until(lambda: any(agent.epochs()), 'the epoch is applied', LATE)
    time.sleep(2.5)
    assert LABEL not in labels(controller)
    control_plane.api.delete(f'{collection("Node")}/n2')
    until(lambda: labels(controller).get(LABEL) == 'headrace', 'kube-proxy is told', LATE)


def test_what_cannot_be_served_completely_is_never_chosen_and_told(cluster):
    controller, _ = cluster
    said = {'proxy': 'node', 'client-ip': 'preserve', 'max-connections': '5'}
    controller.put('web', service('web', clusterIP=CLUSTER_IP, annotations=said))
    controller.begin()
    until(lambda: controller.condition('web'), 'the condition is written', LATE)
    assert controller.condition('web')['reason'] == 'HandoverBlocked'
    assert 'headrace.io/client-ip' in controller.condition('web')['message']
    assert labels(controller) == {}


@pytest.mark.parametrize('mode', ['nftables', 'iptables'])
def test_clients_stay_with_their_endpoints_when_a_service_is_handed_over(nodes, cluster, kube_proxy, mode):
    controller, agent = cluster
    kube_proxy(mode)
    port = {'name': 'tcp', 'port': 80}
    plain = service('web', clusterIP=CLUSTER_IP, ports=[port], sessionAffinity='ClientIP')
    ends = [{'addresses': [PODS[name][0]], 'nodeName': WHERE[name]} for name in ('one', 'two', 'three')]
    controller.put('web', plain, endpoint_slice('web', endpoints=ends, port=PORT, port_name='tcp'))
    until(settled(lambda: speaker(nodes, 'tcp')), 'kube-proxy serves', LATE)
    nodes.forget_flows()

    def served():
        """Return which pod serves each client."""
        return {space: nodes.tcp(space, CLUSTER_IP, 80)['pod'] for space in ('client', 'one', 'two', 'node')}

    before = served()
    assert served() == before
    controller.begin()
    agent.start('--node', 'n1')
    controller.annotate('web', proxy='node')
    until(lambda: labels(controller).get(LABEL) == 'headrace', 'kube-proxy is told', LATE)
    until(lambda: f'{CLUSTER_IP} . tcp . 80' in table(), 'the kernel balances by our table', LATE)
    for _ in range(3):
        assert served() == before


def table():
    """Return our table as nft lists it."""
    command = ['nft', 'list', 'table', 'inet', 'headrace']
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def test_the_health_of_a_node_has_the_form_of_kube_proxys(nodes, cluster, kube_proxy):
    _, agent = cluster
    kube_proxy('nftables')
    agent.set(nodeHealthzPort=10386)
    agent.start('--node', 'n1')
    for path in ('/healthz', '/livez'):
        theirs, ours = (until(settled(partial(health, port, path)), 'it answers', LATE) for port in (10256, 10386))
        assert (ours[0], ours[1]['X-Content-Type-Options']) == (theirs[0], theirs[1]['X-Content-Type-Options'])
        assert form(ours[2]) == form(theirs[2])


def health(port, path):
    """Return status, headers and what is said of a node's health."""
    with contextlib.closing(http.client.HTTPConnection(NODE[0], port, timeout=5)) as connection:
        connection.request('GET', path)
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


def form(said):
    """Return what is said without its times, by the type of each part that is none."""
    if isinstance(said, dict):
        return {key: form(value) for key, value in said.items() if not key.startswith('IP')} | {
            'families': [form(value) for key, value in said.items() if key == 'IPv4']
        }
    return said if isinstance(said, bool) else type(said)
