"""From the Nodes and the settings to what a node's table depends on. Pure."""

import ipaddress
from collections.abc import Iterable

from headrace.nft.layout import NodeFacts
from headrace.objects.kinds import Node
from headrace.translate.build_context import BuildContext


def find(nodes: Iterable[Node], context: BuildContext, *, bypass: bool = False) -> NodeFacts:
    """Return the facts of the node that a build context names; without its Node it has no address."""
    all_nodes = tuple(nodes)
    own_nodes = [node for node in all_nodes if node.name == context.topology.node]
    networks = context.settings.pod_networks
    return NodeFacts(
        address=next((address for node in own_nodes for address in node.addresses if ':' not in address), ''),
        local_pods=_collapsed(networks or [network for node in own_nodes for network in node.pods]),
        pods=_collapsed(networks or [network for node in all_nodes for network in node.pods]),
        ports=context.node_ports,
        closed=context.closed_ports,
        bypass=bypass,
    )


def _collapsed(networks: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest networks that are the same addresses: nft takes none that overlap."""
    parsed = [ipaddress.ip_network(network, strict=False) for network in networks]
    return tuple(
        str(network)
        for version in (4, 6)
        for network in ipaddress.collapse_addresses(each for each in parsed if each.version == version)  # type: ignore[type-var]
    )
