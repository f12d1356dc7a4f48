"""Endpoints that are addresses of Services: no connection goes round between HAProxy and the kernel of a node."""

import contextlib

import pytest

from support.nodes import NODE
from support.objects import endpoint_slice, service
from support.taken import CLUSTER_IP, EXTERNAL, refused, taken

A, B = '10.96.0.77', '10.96.0.78'


def connections(agent):
    info = dict(line.split(': ', 1) for line in agent.ask('show info').splitlines() if ': ' in line)
    return int(info['CumConns'])


def asked(nodes, address, times=3):
    """Connect some times, and wait for each to end."""
    for _ in range(times):
        with contextlib.suppress(OSError):
            nodes.tcp('client', address, 80, seconds=1)


@pytest.mark.parametrize('datapath', ['kernel', 'haproxy'])
@pytest.mark.parametrize(
    ('address', 'port'),
    [(CLUSTER_IP[0], 80), (EXTERNAL[0], 80), (NODE[0], 30080)],
    ids=['ClusterIP', 'external', 'node port'],
)
def test_a_service_whose_endpoint_is_its_own_address_refuses_its_clients(nodes, agent, datapath, address, port):
    document, *_ = taken(annotations={'datapath': datapath})
    agent.put('web', document, endpoint_slice(addresses=[address], port=port, port_name='tcp'))
    agent.start()
    before = connections(agent)
    asked(nodes, CLUSTER_IP[0])
    assert refused(nodes, 'client', CLUSTER_IP[0])
    assert connections(agent) - before < 30


@pytest.mark.parametrize('datapath', ['kernel', 'haproxy'])
def test_services_that_lead_to_each_other_refuse_their_clients(nodes, agent, datapath):
    for name, own, other in (('a', A, B), ('b', B, A)):
        document = service(
            name,
            annotations={'proxy': 'node', 'datapath': datapath},
            ports=[{'name': 'tcp', 'port': 80}],
            clusterIP=own,
            clusterIPs=[own],
        )
        agent.put(name, document, endpoint_slice(name, addresses=[other], port=80, port_name='tcp'))
    agent.set(serviceNetworks=['10.96.0.0/12'])
    agent.start()
    before = connections(agent)
    asked(nodes, A)
    assert refused(nodes, 'client', A)
    assert connections(agent) - before < 30
