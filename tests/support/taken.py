"""A Service that a node has taken over, with all kinds of addresses, and what clients may meet there."""

import time

from support.nodes import PODS, PORT
from support.objects import endpoint_slice, service

CLUSTER_IP = ('10.96.0.10', 'fd00:96::10')
EXTERNAL = ('203.0.113.7', 'fd00:113::7')
BALANCER = ('203.0.113.8', 'fd00:113::8')
WHERE = {'client': 'n1', 'one': 'n1', 'two': 'n1', 'three': 'n2'}


BY_HAPROXY = {'datapath': 'haproxy'}


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


def refused(nodes, space, address, port=80):
    """Tell whether a client is refused, and at once."""
    began = time.monotonic()
    try:
        nodes.connected(space, address, port).close()
    except ConnectionRefusedError:
        return time.monotonic() - began < 0.9
    return False


def dropped(nodes, space, address, port=80):
    """Tell whether a client hears nothing."""
    try:
        nodes.connected(space, address, port, seconds=0.7).close()
    except TimeoutError:
        return True
    return False
