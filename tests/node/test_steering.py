"""Real packets to the addresses of Services that a node has taken over, in network namespaces of the test's own."""

import pytest

from support.nodes import NODE, PODS, PORT
from support.objects import endpoint_slice, service

CLUSTER_IP = ('10.96.0.10', 'fd00:96::10')
EXTERNAL = ('203.0.113.7', 'fd00:113::7')
BALANCER = ('203.0.113.8', 'fd00:113::8')
WHERE = {'client': 'n1', 'one': 'n1', 'two': 'n1', 'three': 'n2'}


def taken(*pods, name='web', port_name='tcp', protocol='TCP', annotations=None, status=None, **spec):
    """Return a Service with all kinds of addresses that a node serves, and its slices; `pods` are those that are ready."""
    wanted = {'clusterIPs': [*CLUSTER_IP], 'ipFamilies': ['IPv4', 'IPv6'], 'type': 'LoadBalancer', **spec}
    port = {'name': port_name, 'port': 80, 'protocol': protocol, 'nodePort': 30080}
    made = service(name, annotations={'proxy': 'node', **(annotations or {})}, ports=[port], **wanted)
    made['spec']['externalIPs'] = [*EXTERNAL]
    made['status'] = status or {'loadBalancer': {'ingress': [{'ip': address} for address in BALANCER]}}
    slices = [
        endpoint_slice(
            name,
            name=f'{name}-{family.lower()}',
            port=PORT,
            port_name=port_name,
            protocol=protocol,
            family=family,
            endpoints=[{'addresses': [PODS[pod][index]], 'nodeName': WHERE[pod]} for pod in pods],
        )
        for index, family in enumerate(('IPv4', 'IPv6'))
    ]
    return made, *slices


ADDRESSES = [
    *(pytest.param(address, 80, id=f'cluster-{index}') for index, address in ((4, CLUSTER_IP[0]), (6, CLUSTER_IP[1]))),
    *(pytest.param(address, 80, id=f'external-{index}') for index, address in ((4, EXTERNAL[0]), (6, EXTERNAL[1]))),
    *(pytest.param(address, 80, id=f'balancer-{index}') for index, address in ((4, BALANCER[0]), (6, BALANCER[1]))),
    *(pytest.param(address, 30080, id=f'node-port-{index}') for index, address in ((4, NODE[0]), (6, NODE[1]))),
]


@pytest.mark.parametrize('port_name', ['tcp', 'http'])
def test_all_addresses_serve_pods_the_node_and_hosts_outside(nodes, agent, port_name):
    agent.put('web', *taken('one', 'three', port_name=port_name))
    agent.start()
    for parameter in ADDRESSES:
        address, port = parameter.values
        for space in ('client', 'node', 'outside'):
            if port_name == 'http':
                status, _, said = nodes.http(space, address, port)
                assert status == 200, (space, address)
            else:
                said = nodes.tcp(space, address, port)
            assert said['pod'] in ('one', 'three'), (space, address)
