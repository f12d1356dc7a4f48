"""The addresses of a Service on a node, and what becomes of connections to each (kube-proxy's rules 4, 19-23, 29-33).

A virtual address is one address, port and protocol. Which endpoints count behind it depends on the policy, and for clients of this
node on the cluster's endpoints too: what comes from a node or its pods to an external address counts as coming from
outside, where it may reach every endpoint (rule 20).
"""

import ipaddress
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from headrace import names
from headrace.diagnostics import Diagnostic
from headrace.ir.l4 import Action, Balanced, Datapath, TrafficPath, VirtualAddress
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType, Slice
from headrace.settings import address_pools
from headrace.store import Reader
from headrace.translate import endpoints, refused_addresses
from headrace.translate.build_context import BuildContext
from headrace.translate.endpoints import Selection

# Among so many endpoints the kernel balances plain TCP while HAProxy is away.
SLOTS = 16
CLUSTER_IP, NODE_PORT, EXTERNAL, BALANCER = 'spec.clusterIPs', 'spec.ports', 'spec.externalIPs', 'status.loadBalancer'


@dataclass(frozen=True, slots=True)
class Address:
    """An address and port of a Service. `source` is the field it comes from, `local` if only local endpoints count."""

    address: str
    number: int
    source: str
    local: bool

    @property
    def outer(self) -> bool:
        """Tell whether it is reached from outside of the cluster."""
        return self.source != CLUSTER_IP

    @property
    def family(self) -> int:
        """Return 4 or 6."""
        return family(self.address)


def family(address: str) -> int:
    """Return 6 for an address with a colon, else 4."""
    return 6 if ':' in address else 4


def key(address: str, number: int, protocol: Protocol) -> str:
    """Return what a virtual address is claimed by."""
    return f'{address}:{number}/{protocol}'


def addresses(service: Service, port: ServicePort, reader: Reader, context: BuildContext) -> list[Address]:
    """Return all addresses of a port, sorted; a ClusterIP counts as such, whatever else names the same address."""
    outer = [
        *(
            (address, port.number, EXTERNAL)
            for address in service.external_ips
            if not refusal(address, reader, context)
        ),
        *((address, port.number, BALANCER) for address in service.load_balancer_ips),
    ]
    if port.node_port:
        own_nodes = [node for node in reader.nodes if node.name == context.topology.node]
        outer += [(address, port.node_port, NODE_PORT) for node in own_nodes for address in node.addresses]
    by_end = {
        (address, number): Address(address, number, source, service.external_local) for address, number, source in outer
    }
    for address in service.cluster_ips:
        by_end[address, port.number] = Address(address, port.number, CLUSTER_IP, service.internal_local)
    return [by_end[where] for where in sorted(by_end)]


def refusal(address: str, reader: Reader, context: BuildContext) -> str:
    """Return why an externalIP is not taken over, '' where it is: an author of Services must not take others' traffic."""
    parsed_address = ipaddress.ip_address(address)
    if parsed_address.is_loopback or parsed_address.is_link_local or parsed_address.is_multicast:
        return 'it is no address that others can reach'
    if any(address in node.addresses for node in reader.nodes):
        return 'it is the address of a Node'
    owner = reader.owner(address)
    if owner is not None and owner.ref != reader.ref:
        return f'it is the ClusterIP of {owner.ref}'
    for networks, whose in (
        (context.settings.service_networks, 'Services'),
        ((*context.settings.pod_networks, *(network for node in reader.nodes for network in node.pods)), 'pods'),
    ):
        if any(
            parsed_address in ipaddress.ip_network(network)
            for network in networks
            if family(network) == family(address)
        ):
            return f'it is in the network of {whose}'
    pool = address_pools.pool_of(context.settings.address_pools, address)
    return f'it is in the address pool {pool}' if pool else ''


def own_ends(service: Service, reader: Reader, context: BuildContext) -> frozenset[tuple[str, int]]:
    """Return all addresses and ports of a Service, those at other Nodes too: a connection could come back from there."""
    own_addresses = (address for port in service.ports for address in addresses(service, port, reader, context))
    ports = [port.node_port for port in service.ports if port.node_port]
    nodes = (
        (address, port) for node in (reader.nodes if ports else ()) for address in node.addresses for port in ports
    )
    return frozenset((*((item.address, item.number) for item in own_addresses), *nodes))


def judge(service: Service, reader: Reader, context: BuildContext) -> list[Diagnostic]:
    """Return a diagnostic for each externalIP that is left out."""
    return [
        Diagnostic(service.ref, 'AddressRefused', f'{address} is not taken over: {why}', EXTERNAL)
        for address in service.external_ips
        if (why := refusal(address, reader, context))
    ]


@dataclass(slots=True)
class VirtualAddresses:
    """Makes the virtual addresses of one port, and the groups of endpoints that they need; `refused` are endpoints that are left out.

    `own_ends` are the addresses and ports of the Service itself, which no endpoint may have. `answered`: without any endpoint
    HAProxy has an answer all the same, as a fallback or a redirect. `restricted`: it judges clients.
    """

    service: Service
    port: ServicePort
    slices: tuple[Slice, ...]
    reader: Reader
    context: BuildContext
    own_ends: frozenset[tuple[str, int]]
    datapath: Datapath = 'kernel'
    forwarded: bool = True
    answered: bool = False
    restricted: bool = False
    groups: dict[str, Balanced] = field(default_factory=dict)
    refused: set[str] = field(default_factory=set)
    _selections: dict[tuple[int, bool], Selection] = field(default_factory=dict)

    def select(self, of: int, *, local: bool) -> Selection:
        """Return the endpoints of a family: all, or those of this node."""
        if (of, local) not in self._selections:
            selection = endpoints.select(
                self.slices,
                port=self.port.name,
                protocol=self.port.protocol,
                family=of,
                topology=self.context.topology,
                local=local,
            )
            groups, refusal = refused_addresses.split(selection.groups, self.context, self.own_ends)
            self.refused.update(refusal)
            self._selections[of, local] = replace(selection, groups=groups) if refusal else selection
        return self._selections[of, local]

    def virtual_address(self, where: Address) -> VirtualAddress:
        """Return the virtual address of an address."""
        external_path = self._traffic_path(where.family, local=where.local)
        local_path = self._traffic_path(where.family, local=False) if where.local and where.outer else external_path
        has_ranges = where.source == BALANCER and self.service.type is ServiceType.LOAD_BALANCER
        ranges = _ranges(self.service.source_ranges, where, self._node_addresses()) if has_ranges else None
        synthetic_address = '' if self.datapath == 'kernel' else self.synthetic_address(where)
        return VirtualAddress(
            self.datapath,
            external_path,
            local_path,
            where.outer,
            where.outer and not where.local,
            ranges,
            synthetic_address,
            self.restricted,
            (self.service.namespace, self.service.name, self.port.label),
        )

    def synthetic_address(self, where: Address) -> str:
        """Return what HAProxy sees in the place of an IPv6 address, '' for others."""
        if where.family == 4:  # noqa: PLR2004
            return ''
        return names.synthetic_address(where.address, where.number, self.context.synthetic_key)

    def judge(self) -> tuple[Diagnostic, ...]:
        """Return the diagnostic about the endpoints that are left out."""
        return refused_addresses.judge(self.service, self.port, tuple(sorted(self.refused)))

    def _node_addresses(self) -> Iterable[str]:
        return (
            address
            for node in self.reader.nodes
            if node.name == self.context.topology.node
            for address in node.addresses
        )

    def _traffic_path(self, of: int, *, local: bool) -> TrafficPath:
        selection = self.select(of, local=local)
        if not selection.groups:
            elsewhere = local and self.select(of, local=False).groups
            answered = self.answered and self.datapath != 'kernel'
            return TrafficPath(Action.DROP if elsewhere else Action.SERVE if answered else Action.REFUSE)
        if self.datapath == 'kernel':
            return TrafficPath(Action.SERVE, group=self._group(selection, of, local=local))
        spare = _endpoints_of(selection)[:SLOTS] if self.forwarded else ()
        return TrafficPath(Action.SERVE, spare=spare, local=self._local(spare))

    def _group(self, selection: Selection, of: int, *, local: bool) -> str:
        service, port = self.service, self.port
        text = f'{service.namespace}/{service.name}/{port.label}/{port.protocol}/{of}/{"local" if local else "all"}'
        name = names.digest(text)
        if name not in self.groups:
            ends = _endpoints_of(selection)
            weights = self._weights(ends)
            self.groups[name] = Balanced(
                name, str(port.protocol), ends, service.affinity_seconds, weights, port.name, self._local(ends)
            )
        return name

    def _local(self, ends: tuple[tuple[str, int], ...]) -> tuple[str, ...]:
        """Return the addresses of endpoints on this node, and of those whose node is not known."""
        node = self.context.topology.node
        if not ends or not node:
            return tuple(dict.fromkeys(address for address, _ in ends))
        elsewhere = {
            address
            for item in self.slices
            for address, at in (
                *zip(item.ready, item.nodes, strict=False),
                *((each.address, each.node) for each in item.others),
            )
            if at not in ('', node)
        }
        return tuple(dict.fromkeys(address for address, _ in ends if address not in elsewhere))

    def _weights(self, ends: tuple[tuple[str, int], ...]) -> tuple[int, ...]:
        """Return the weights that slices name for their endpoints; nothing where none of these has one."""
        weights = Counter[tuple[str, int]]()
        for item in self.slices if any(item.weight for item in self.slices) else ():
            for each in item.ports:
                if (each.name, each.protocol) == (self.port.name, self.port.protocol):
                    weights.update({(address, each.number): item.weight for address in item.ready})
        found = tuple(weights[end] for end in ends)
        return found if any(found) else ()


def _endpoints_of(selection: Selection) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((address, group.port) for group in selection.groups for address in group.addresses))


def _ranges(ranges: tuple[str, ...], where: Address, own_addresses: Iterable[str]) -> tuple[str, ...] | None:
    """Return the networks that may connect to a load balancer's address; None for all, and none where one is no CIDR."""
    if not ranges:
        return None
    try:
        networks = [ipaddress.ip_network(text, strict=False) for text in ranges]
    except ValueError:
        return ()
    same_family = [network for network in networks if network.version == where.family]
    if not same_family or any(network.prefixlen == 0 for network in same_family):
        return None
    # A node that reaches the address by itself may have it as its source (rule 31).
    if any(ipaddress.ip_address(address) in network for address in own_addresses for network in same_family):
        same_family.append(ipaddress.ip_network(where.address))
    return tuple(map(str, ipaddress.collapse_addresses(same_family)))  # type: ignore[type-var]
