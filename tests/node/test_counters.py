"""Traffic that the kernel balances is in the agent's metrics: connections, packets and bytes by Service, of clients near and far."""

import pytest

from support.live import until
from support.taken import CLUSTER_IP, taken


def counted(agent, name, **labels):
    """Return the value of a counter of the Service `web`."""
    return agent.metric(f'headrace_service_kernel_{name}_total', namespace='shop', service='web', port='tcp', **labels)


@pytest.mark.parametrize('family', [0, 1], ids=['IPv4', 'IPv6'])
def test_connections_packets_and_bytes_of_clients_in_pods_and_on_the_node_are_counted(nodes, agent, family):
    agent.put('web', *taken('one', 'three'))
    agent.start()
    for space in ('client', 'client', 'node'):
        nodes.tcp(space, CLUSTER_IP[family], 80)
    until(lambda: counted(agent, 'connections') == 3, 'three connections are counted')
    assert counted(agent, 'packets', direction='in') >= 3 * 3
    assert counted(agent, 'packets', direction='out') >= 3 * 2
    assert counted(agent, 'bytes', direction='in') > 3 * 100
    assert counted(agent, 'bytes', direction='out') > 3 * 100
    # Another endpoint takes nothing away, and counting makes no table another one.
    agent.put('web', *taken('one'))
    nodes.tcp('client', CLUSTER_IP[family], 80)
    until(lambda: counted(agent, 'connections') == 4, 'the fourth one too')
    assert agent.metric('headrace_table_repairs_total') == 0
