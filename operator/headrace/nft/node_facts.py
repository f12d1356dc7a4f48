"""From the Nodes and the settings to the site of a node's table. Pure."""

import ipaddress
from collections.abc import Iterable

from headrace.nft.layout import Site
from headrace.objects.kinds import Node
from headrace.translate.build_context import View


def find(nodes: Iterable[Node], view: View, *, bypass: bool = False) -> Site:
    """Return the site of the node that a view is placed on; without its Node it has no address."""
    known = tuple(nodes)
    own = [node for node in known if node.name == view.place.node]
    named = view.settings.pod_networks
    return Site(
        address=next((address for node in own for address in node.addresses if ':' not in address), ''),
        here=_collapsed(named or [network for node in own for network in node.pods]),
        pods=_collapsed(named or [network for node in known for network in node.pods]),
        ports=view.node_ports,
        closed=view.closed_ports,
        bypass=bypass,
    )


def _collapsed(networks: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest networks that are the same addresses: nft takes none that overlap."""
    found = [ipaddress.ip_network(network, strict=False) for network in networks]
    return tuple(
        str(network)
        for version in (4, 6)
        for network in ipaddress.collapse_addresses(each for each in found if each.version == version)  # type: ignore[type-var]
    )
