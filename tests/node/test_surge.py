"""Two agents on one node, as while a DaemonSet surges: the second takes the table over, without a lost connection."""

import contextlib
import json
import ssl
import subprocess
from functools import partial

import pytest

from conftest import binary
from support import certificates
from support.clients import Clients
from support.former import former_package  # noqa: F401
from support.live import HEADRACE, Live, until
from support.nodes import NODE, PODS, PORT, say
from support.objects import endpoint_slice, service

TCP, TCP6, HTTP, KEPT, TLS = '10.96.0.10', 'fd00:96::10', '10.96.0.20', '10.96.0.30', '10.96.0.40'
KEY = certificates.for_names('safe.example.com')


def clients_of(nodes):
    """Return clients in a pod and on the node that connect all the time, by TCP and HTTP."""

    def ok(space):
        status, _, _ = nodes.http(space, HTTP, 80, seconds=15)
        assert status == 200

    works = [partial(nodes.tcp, space, TCP, 80, seconds=15) for space in ('client', 'node', 'outside')]

    def safe(space):
        trusting = ssl.create_default_context(cadata=KEY[1].decode())
        with (
            contextlib.closing(nodes.connected(space, TLS, 443, seconds=15)) as plain,
            trusting.wrap_socket(plain, server_hostname='safe.example.com') as secured,
        ):
            assert say(secured)['pod'] == 'one'

    works += [partial(nodes.tcp, 'client', TCP6, 80, seconds=15), partial(safe, 'client')]
    return Clients(*works, *(partial(ok, space) for space in ('client', 'node')))


def seated(agent, first=None):
    """Let an agent share the node's folder and settings with a first one, as two pods of a DaemonSet do."""
    if first is None:
        # Ports that tests hold for themselves would be taken.
        agent.set(nodeHealthPort=10284)
    else:
        agent.source, agent.state, agent.config, agent.role = first.source, first.state, first.config, first.role[:4]
    agent.sockets = agent.root / 'run'
    agent.role = (*agent.role, '--instance-slots', '--sockets', agent.sockets)
    return agent


@pytest.fixture
def pair(request, agent, former_package):  # noqa: F811
    """Two agents of one node, none of which is started yet; a test may name one that is of the former version."""
    second = Live(binary('haproxy-3.4'))
    former = getattr(request, 'param', '')
    agent.package, second.package = (former_package if name == former else None for name in ('first', 'second'))
    yield seated(agent), seated(second, agent)
    second.close()


def put(agent):
    """Four Services: plain TCP, HTTP, TLS, and TCP whose clients the kernel keeps with their endpoints."""
    said = {'proxy': 'node'}
    kept = service('kept', annotations=said, clusterIP=KEPT, sessionAffinity='ClientIP')
    addresses = [PODS['one'][0], PODS['three'][0]]
    agent.put(
        'all',
        service(
            'plain',
            annotations={**said, 'datapath': 'haproxy'},
            clusterIPs=[TCP, TCP6],
            ports=[{'name': 'tcp', 'port': 80}],
        ),
        endpoint_slice('plain', name='six', family='IPv6', addresses=[PODS['one'][1]], port=PORT, port_name='tcp'),
        endpoint_slice('plain', addresses=addresses, port=PORT, port_name='tcp'),
        certificates.tls_secret('safe', *KEY),
        service(
            'safe', annotations={**said, 'tls-secret': 'safe'}, clusterIP=TLS, ports=[{'name': 'tcp', 'port': 443}]
        ),
        endpoint_slice('safe', addresses=addresses[:1], port=PORT, port_name='tcp'),
        service('web', annotations=said, clusterIP=HTTP, ports=[{'name': 'http', 'port': 80}]),
        endpoint_slice('web', addresses=addresses, port=PORT, port_name='http'),
        kept | {'spec': {**kept['spec'], 'ports': [{'name': 'tcp', 'port': 80}]}},
        endpoint_slice('kept', addresses=addresses, port=PORT, port_name='tcp'),
    )


def listeners():
    """Return the ports that the table leads to."""
    command = ['nft', '-j', 'list', 'map', 'inet', 'headrace', 'far4']
    text = subprocess.run(command, capture_output=True, text=True, check=True)
    items = [item['map'] for item in json.loads(text.stdout)['nftables'] if 'map' in item]
    return {element[1]['concat'][1] for element in items[0]['elem']}


def alive(agent):
    return subprocess.run([HEADRACE, 'alive', agent.sockets], capture_output=True, text=True, check=False)


@pytest.mark.parametrize('pair', ['', 'first', 'second'], ids=['alike', 'an upgrade', 'a rollback'], indirect=True)
def test_a_second_agent_takes_the_table_over_under_load_and_no_connection_is_lost(nodes, pair):
    first, second = pair
    put(first)
    first.start()
    until(lambda: first.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    assert listeners() == {10280, 10282, 10286}
    stays = nodes.tcp('client', KEPT, 80)['pod']
    clients = clients_of(nodes)
    try:
        old = nodes.connected('client', TCP, 80)
        assert say(old)['pod'] in ('one', 'three')
        clients.more()
        second.start()
        # It is warm, and gets no client before the first one lets go.
        until((second.sockets / 'ready').exists, 'the second is ready')
        clients.more()
        assert (listeners(), second.metric('headrace_table_held')) == ({10280, 10282, 10286}, 0)
        first.set(drainDelay='2s')
        until(lambda: first.times('read the settings again'), 'it has read how long it drains')
        first.process.terminate()
        until(lambda: second.times('took the table over'), 'the second has the table')
        assert listeners() == {10288, 10290, 10294}
        clients.more()
        # The first still has its old connections, and what changes now is the second's.
        assert say(old)['pod'] in ('one', 'three')
        assert not (first.sockets / 'ready').exists()
        old.close()
        assert first.process.wait(30) == 0
        clients.more()
    finally:
        lost = clients.stop()
    assert lost == []
    # What the kernel remembers of clients is still there: only elements have moved. Tables of the former version have other chains,
    # and are made anew, which forgets them.
    if first.package is second.package is None:
        assert {nodes.tcp('client', KEPT, 80)['pod'] for _ in range(8)} == {stays}
    assert second.metric('headrace_table_bypass') == 0
    assert second.metric('headrace_table_repairs_total') == 0


def test_a_second_agent_takes_over_from_one_that_is_killed_and_that_one_waits_then(nodes, pair):
    first, second = pair
    put(first)
    first.start()
    second.start()
    clients = clients_of(nodes)
    try:
        clients.more()
        first.kill()
        until(lambda: second.times('took the table over'), 'the second has the table')
        clients.more()
        # It comes back to its own instance slot, and finds the table in good hands.
        first.start()
        assert first.times('another agent of this node has the table') == 1
        assert listeners() == {10288, 10290, 10294}
        clients.more()
        second.kill()
        until(lambda: first.times('took the table over'), 'the first has it again')
        clients.more()
    finally:
        lost = clients.stop()
    assert lost == []
    assert listeners() == {10280, 10282, 10286}


def test_all_instance_slots_ports_are_closed_to_direct_access(nodes, pair):
    first, second = pair
    put(first)
    first.start()
    second.start()
    for port in (10280, 10282, 10286, 10287, 10288, 10290, 10294, 10299):
        with pytest.raises(ConnectionRefusedError):
            nodes.connected('client', '192.0.2.1', port)


def test_a_probe_finds_the_agent_wherever_it_listens(nodes, pair):
    first, _ = pair
    assert alive(first).returncode == 1
    put(first)
    first.start()
    assert alive(first).returncode == 0
    first.kill()
    assert alive(first).returncode == 1


def test_load_balancers_hear_of_the_agent_alone_that_has_the_table(nodes, pair):
    first, second = pair
    first.set(nodeHealthzPort=10386)
    put(first)
    first.start()

    def healthy():
        with contextlib.suppress(OSError):
            return nodes.http('outside', NODE[0], 10386, path='/healthz')[0] == 200
        return False

    until(healthy, 'the first is healthy')
    second.start()
    until((second.sockets / 'ready').exists, 'the second is ready')
    assert all(healthy() for _ in range(20))
    first.stop()
    until(healthy, 'the second answers')
    assert all(healthy() for _ in range(20))
