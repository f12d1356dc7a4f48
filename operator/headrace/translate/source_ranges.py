"""`spec.loadBalancerSourceRanges` of a Service, as the networks that may connect."""

from headrace.annotations import values
from headrace.annotations.values import Network


def allowed_by_source_ranges(ranges: tuple[str, ...]) -> tuple[Network, ...] | None:
    """Return the networks, or None when one of them is no CIDR (which an API server would have refused)."""
    parsed_networks = [values.network(text) for text in ranges]
    networks = tuple(network for network in parsed_networks if isinstance(network, Network))
    return networks if len(networks) == len(parsed_networks) else None
