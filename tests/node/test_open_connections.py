"""A TCP port moves between the kernel and HAProxy while clients are connected: how long their connections live."""

import contextlib
import time
from functools import partial

import pytest

from support.live import until
from support.nodes import PODS, say
from support.taken import BY_HAPROXY, CLUSTER_IP, taken

DENY = {'deny': '192.0.2.99'}
DRAIN = 3.0
FAMILIES = pytest.mark.parametrize('family', [0, 1], ids=['IPv4', 'IPv6'])


@pytest.fixture
def agent(make_agent):
    made = make_agent(drainTimeout=f'{DRAIN:.0f}s')
    made.put('web', *taken('one', 'three'))
    made.start()
    until(lambda: made.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    return made


def by_kernel(nodes, family=0):
    """Tell whether the kernel serves new connections: endpoints see who connects."""
    return nodes.tcp('client', CLUSTER_IP[family], 80)['client'] == PODS['client'][family]


@contextlib.contextmanager
def past_haproxy(nodes, family=0):
    """A connection that the kernel has led to its endpoint."""
    with nodes.connected('client', CLUSTER_IP[family], 80) as connection:
        assert say(connection)['client'] == PODS['client'][family]
        yield connection


def ended(connection):
    """Tell whether a connection has ended, by what becomes of a request on it."""
    try:
        say(connection)
    except (ConnectionError, ValueError):
        return True
    return False


@FAMILIES
def test_connections_past_haproxy_may_finish_within_the_drain_timeout(nodes, agent, family):
    with past_haproxy(nodes, family) as connection:
        agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
        until(lambda: not by_kernel(nodes, family), 'HAProxy serves')
        began = time.monotonic()
        while time.monotonic() < began + DRAIN / 2:
            assert not ended(connection)
        with nodes.connected('client', CLUSTER_IP[family], 80) as through_haproxy:
            until(partial(ended, connection), 'the connection ends')
            assert time.monotonic() > began + DRAIN - 0.5
            assert not ended(through_haproxy)
            assert not by_kernel(nodes, family)


def test_a_port_that_comes_back_to_the_kernel_meanwhile_keeps_its_connections(nodes, agent):
    with past_haproxy(nodes) as connection:
        agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
        until(lambda: not by_kernel(nodes), 'HAProxy serves')
        agent.put('web', *taken('one', 'three'))
        until(lambda: by_kernel(nodes), 'the kernel serves')
        time.sleep(DRAIN + 1)
        assert not ended(connection)


@FAMILIES
def test_a_key_that_shuts_clients_out_and_comes_while_no_agent_runs_ends_connections(nodes, agent, family):
    with past_haproxy(nodes, family) as connection:
        agent.kill()
        agent.put('web', *taken('one', 'three', annotations=DENY))
        assert not ended(connection)
        agent.start()
        assert ended(connection)
        assert not by_kernel(nodes, family)


def test_a_key_that_shuts_clients_out_and_comes_while_neither_agent_nor_haproxy_runs_ends_connections(nodes, agent):
    """HAProxy's connections are past it too, while it is away."""
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    until(lambda: not by_kernel(nodes), 'HAProxy serves')
    agent.stop()
    until(lambda: by_kernel(nodes), 'the kernel leads past HAProxy')
    with past_haproxy(nodes) as connection:
        agent.put('web', *taken('one', 'three', annotations=DENY))
        agent.start()
        assert ended(connection)
        assert not by_kernel(nodes)


def test_another_datapath_that_comes_while_no_agent_runs_lets_connections_finish(nodes, agent):
    with past_haproxy(nodes) as connection:
        agent.kill()
        agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
        agent.start()
        assert not by_kernel(nodes)
        assert not ended(connection)
        until(partial(ended, connection), 'the connection ends')


def test_other_connections_are_kept_over_the_start_of_an_agent(nodes, agent):
    with past_haproxy(nodes) as connection:
        agent.kill()
        agent.put('other', *taken('one', name='other', clusterIPs=['10.96.0.11'], annotations=DENY)[:2])
        agent.start()
        time.sleep(DRAIN + 1)
        assert not ended(connection)
        assert by_kernel(nodes)


def test_haproxy_keeps_connections_to_a_port_that_the_kernel_serves_now_until_they_end(nodes, agent):
    agent.put('web', *taken('one', 'three', annotations=BY_HAPROXY))
    until(lambda: not by_kernel(nodes), 'HAProxy serves')
    with nodes.connected('client', CLUSTER_IP[0], 80) as through_haproxy:
        assert not ended(through_haproxy)
        agent.put('web', *taken('one', 'three'))
        until(lambda: by_kernel(nodes), 'the kernel serves')
        # Servers that are forgotten have as much time again.
        end = time.monotonic() + 3 * DRAIN
        while time.monotonic() < end:
            assert not ended(through_haproxy)
            time.sleep(0.2)
    until(lambda: not agent.routes('addresses'), 'HAProxy forgets the port')
    assert agent.reloads() == []
