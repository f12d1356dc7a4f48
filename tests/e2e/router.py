"""The router in front of the nodes: it leads the addresses of Services' load balancers to nodes, as BGP speakers have it.

An address of a Service with `externalTrafficPolicy: Local` is led to the nodes with a ready endpoint of it alone, others to all. Of
several nodes each connection has one; of a Service with `sessionAffinity: ClientIP` all of them have the same.
"""

import contextlib
import threading
from pathlib import Path

from support.api import ApiError, collection

POOLS = ('203.0.113.0/24', 'fd00:53::/120')
# What clients outside have as their address, so that they are no neighbours of the nodes.
_CLIENTS = ('192.0.2.1', 'fd00:54::1')
_NOWHERE = ('192.0.2.254', 'fd00:54::fe')
_SLICES, _OWNER = 'discovery.k8s.io/v1', 'kubernetes.io/service-name'


class Router:
    """Follows statuses and endpoints, and sets routes of its network; a context manager."""

    def __init__(self, api, lan, nodes):
        self._api, self._lan = api, lan
        self._nodes = {node.name: node.addresses for node in nodes}
        self._routes = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self):
        """Begin."""
        self._lan.space.ip(f'addr add {_CLIENTS[0]}/32 dev lan\naddr add {_CLIENTS[1]}/128 dev lan nodad')
        # What is sent to an address that nobody has is lost, and no error of the sender: tests tell the two apart.
        lines = ['link add sink type veth peer name sunk', 'link set sink up', 'link set sunk up']
        for pool, client, hop in zip(POOLS, _CLIENTS, _NOWHERE, strict=True):
            lines.append(f'neigh add {hop} lladdr 02:00:00:00:00:01 dev sink nud permanent')
            lines.append(f'route add {pool} via {hop} dev sink onlink src {client}')
        self._lan.space.ip('\n'.join(lines))
        self._lan.space.enter(_hash_by_ports)
        self._thread.start()
        return self

    def __exit__(self, *_):
        """End; the routes go with the network."""
        self._stop.set()
        self._thread.join(60)

    def _follow(self):
        while not self._stop.wait(0.25):
            with contextlib.suppress(ApiError, OSError):
                self._set(self._wanted())

    def _wanted(self):
        """Return the nodes that each address is led to."""
        wanted, slices = {}, None
        for service in self._api.list(collection('Service'))['items']:
            found = service['status'].get('loadBalancer', {}).get('ingress', ())
            local = service['spec'].get('externalTrafficPolicy') == 'Local'
            if found and local and slices is None:
                slices = self._api.list(collection('EndpointSlice', api=_SLICES))['items']
            nodes = self._with_endpoints(service['metadata'], slices) if found and local else {*self._nodes}
            if service['spec'].get('sessionAffinity') == 'ClientIP':
                nodes = {*sorted(nodes)[:1]}
            for address in (each['ip'] for each in found if each.get('ipMode') == 'VIP'):
                wanted[address] = wanted.get(address, set()) | nodes
        return wanted

    def _with_endpoints(self, service, slices):
        of_service = (
            each
            for each in slices
            if each['metadata']['namespace'] == service['namespace']
            and each['metadata'].get('labels', {}).get(_OWNER) == service['name']
        )
        endpoints = [endpoint for each in of_service for endpoint in each.get('endpoints') or ()]
        ready = {each.get('nodeName') for each in endpoints if each.get('conditions', {}).get('ready') is not False}
        return ready & {*self._nodes}

    def _set(self, wanted):
        lines = []
        for address, nodes in wanted.items():
            if nodes and self._routes.get(address) != nodes:
                family = ':' in address
                hops = ' '.join(f'nexthop via {self._nodes[name][family]}' for name in sorted(nodes))
                lines.append(f'route replace {address} src {_CLIENTS[family]} {hops}')
        lines += [f'route del {each}' for each in self._routes if not wanted.get(each)]
        if lines:
            self._lan.space.ip('\n'.join(lines))
        self._routes = {address: nodes for address, nodes in wanted.items() if nodes}


def _hash_by_ports():
    for family in ('ipv4', 'ipv6'):
        Path('/proc/sys/net', family, 'fib_multipath_hash_policy').write_text('1')
