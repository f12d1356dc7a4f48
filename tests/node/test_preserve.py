"""`client-ip: preserve` and `datapath: kernel`: the kernel balances a TCP port, and endpoints see who connects.

They see what kube-proxy shows them, and no more.
"""

import socket
import struct
from functools import partial

import pytest

from support.clients import Clients
from support.live import until
from support.nodes import NODE, OUTSIDE, PODS, SECOND, say
from support.taken import BALANCER, BY_HAPROXY, CLUSTER_IP, EXTERNAL, refused, taken

PRESERVE = {'client-ip': 'preserve'}
KERNEL = {'datapath': 'kernel'}
FAMILIES = pytest.mark.parametrize('family', [0, 1], ids=['IPv4', 'IPv6'])


def seen(nodes, space, address, port=80, times=12):
    """Return which pods have answered a client, and which address they saw."""
    found = [nodes.tcp(space, address, port) for _ in range(times)]
    return {said['pod'] for said in found}, {said['client'] for said in found}


def ended(connection):
    """Tell whether a connection has ended, by what becomes of a request on it."""
    try:
        say(connection)
    except (ConnectionError, ValueError):
        return True
    return False


def sent_again(connection):
    """Return how many packets of a connection the kernel had to send again: `tcpi_total_retrans` (linux/tcp.h)."""
    return struct.unpack_from('=I', connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104), 100)[0]


def outer(family):
    """Return the addresses that are reached from outside, with their ports."""
    return ((EXTERNAL[family], 80), (BALANCER[family], 80), (NODE[family], 30080))


@pytest.mark.parametrize('asked', [{}, PRESERVE, KERNEL], ids=['plain', 'client-ip', 'datapath'])
@FAMILIES
def test_pods_are_seen_as_who_they_are_and_others_hide_behind_the_node(nodes, agent, family, asked):
    agent.put('web', *taken('one', 'three', annotations=asked))
    agent.start()
    pods = {name: addresses[family] for name, addresses in PODS.items()}
    assert seen(nodes, 'client', CLUSTER_IP[family], times=20) == ({'one', 'three'}, {pods['client']})
    # An endpoint on the other node would answer these past this one, so that they would not know the answer.
    others = [('outside', OUTSIDE, *where) for where in ((CLUSTER_IP[family], 80), *outer(family))]
    for space, own, address, port in (*others, ('second', SECOND, NODE[family], 30080)):
        served, clients = seen(nodes, space, address, port, times=20)
        assert (served, own[family] in clients) == ({'one', 'three'}, False), (space, address)
    for address, port in outer(family):
        assert seen(nodes, 'client', address, port)[0] <= {'one', 'three'}
    assert seen(nodes, 'node', CLUSTER_IP[family])[0] <= {'one', 'three'}


@FAMILIES
def test_with_the_policy_local_endpoints_of_the_node_see_who_is_outside(nodes, agent, family):
    agent.put('web', *taken('one', 'three', annotations=PRESERVE, externalTrafficPolicy='Local'))
    agent.start()
    for address, port in outer(family):
        assert seen(nodes, 'outside', address, port) == ({'one'}, {OUTSIDE[family]}), address
        # What comes from a pod of the node counts as coming from outside: to all endpoints (rule 20).
        assert seen(nodes, 'client', address, port, times=20)[0] == {'one', 'three'}, address
    assert seen(nodes, 'client', CLUSTER_IP[family], times=20)[0] == {'one', 'three'}


def test_a_pod_that_meets_itself_is_answered(nodes, agent):
    agent.put('web', *taken('one', annotations=PRESERVE))
    agent.start()
    for family, address in enumerate(CLUSTER_IP):
        for where, port in ((address, 80), *outer(family)):
            assert nodes.tcp('one', where, port)['pod'] == 'one', where
        # Another pod is not hidden for that.
        assert seen(nodes, 'two', address, times=3) == ({'one'}, {PODS['two'][family]})


def test_without_endpoints_clients_are_refused_at_once_until_one_is_ready(nodes, agent):
    agent.put('web', *taken(annotations=PRESERVE))
    agent.start()

    def all_refused():
        everywhere = ((space, family) for space in ('client', 'node', 'outside') for family in (0, 1))
        return all(
            refused(nodes, space, address, port)
            for space, family in everywhere
            for address, port in ((CLUSTER_IP[family], 80), *outer(family))
        )

    assert all_refused()
    agent.put('web', *taken('three', annotations=PRESERVE))
    until(lambda: not refused(nodes, 'client', CLUSTER_IP[0]), 'the endpoint serves')
    assert seen(nodes, 'client', CLUSTER_IP[1], times=3) == ({'three'}, {PODS['client'][1]})
    agent.put('web', *taken(annotations=PRESERVE))
    until(all_refused, 'nothing serves')


def test_a_service_moves_between_the_kernel_and_haproxy_without_a_lost_connection(nodes, agent):
    """Nor does the kernel have to send the first packet of one again, for which the client would wait a second."""
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    again = []

    def quick(space, address, port):
        # Not by the clock: on a busy machine a client may just not get its turn.
        with nodes.connected(space, address, port) as connection:
            if count := sent_again(connection):
                again.append((space, address, count))
            say(connection)

    where = [('client', CLUSTER_IP[0], 80), ('client', CLUSTER_IP[1], 80), ('node', CLUSTER_IP[0], 80)]
    where += [('outside', EXTERNAL[0], 80), ('outside', NODE[0], 30080), ('outside', NODE[1], 30080)]
    own = PODS['client'][0]
    clients = Clients(*(partial(quick, *each) for each in where))
    try:
        with nodes.connected('client', CLUSTER_IP[0], 80) as through_haproxy:
            assert say(through_haproxy)['client'] != own
            for _ in range(4):
                clients.more()
                agent.put('web', *taken('one', 'three', annotations=KERNEL))
                until(lambda: nodes.tcp('client', CLUSTER_IP[0], 80)['client'] == own, 'the kernel serves')
                with nodes.connected('client', CLUSTER_IP[1], 80) as through_the_kernel:
                    assert say(through_the_kernel)['client'] == PODS['client'][1]
                    clients.more()
                    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
                    until(lambda: nodes.tcp('client', CLUSTER_IP[0], 80)['client'] != own, 'HAProxy serves')
                    # Connections stay where they are.
                    assert say(through_the_kernel)['client'] == PODS['client'][1]
                assert say(through_haproxy)['client'] != own
        clients.more()
    finally:
        lost = clients.stop()
    assert (lost, again) == ([], [])


@FAMILIES
@pytest.mark.parametrize(
    ('said', 'stays'),
    [
        pytest.param({'allow': '192.0.2.99'}, False, id='allow'),
        pytest.param({'deny': '192.0.2.99'}, False, id='deny'),
        pytest.param({'rate-limit': '100/s'}, False, id='rate-limit'),
        pytest.param({'max-connections': '100'}, True, id='max-connections'),
        pytest.param(BY_HAPROXY, True, id='haproxy'),
    ],
)
def test_connections_past_haproxy_end_at_once_when_it_is_to_judge_clients(nodes, agent, said, stays, family):
    agent.put('web', *taken('one', 'three', annotations=KERNEL))
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    own = PODS['client'][family]
    with nodes.connected('client', CLUSTER_IP[family], 80) as connection:
        assert say(connection)['client'] == own
        agent.put('web', *taken('one', 'three', annotations=said))

        def moved():
            try:
                return nodes.tcp('client', CLUSTER_IP[family], 80)['client'] != own
            except OSError:
                return 'allow' in said

        until(moved, 'HAProxy serves')
        if stays:
            assert say(connection)['client'] == own
        else:
            # The kernel forgets it after HAProxy has the change.
            until(partial(ended, connection), 'the connection ends')
