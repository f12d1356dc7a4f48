"""From slices to the servers of one port: which endpoints are used, and which are not.

The rules are those of kube-proxy (pkg/proxy/topology.go, endpointslicecache.go): slices are merged, a port is found by
name and protocol and never by number, `ready` alone decides, and when nothing is ready those that serve while they
terminate get the traffic, without regard to topology. Only endpoints of one address family go together.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.ir.backend import Group
from headrace.objects.kinds import Hints, Node, Protocol, Slice

_NO_HINTS = Hints()


@dataclass(frozen=True, slots=True)
class Topology:
    """Where this process runs, for hints and local policies; empty where it is not known."""

    node: str = ''
    zone: str = ''


@dataclass(frozen=True, slots=True)
class Selection:
    """The endpoints to use; `terminating` tells that none of them is ready."""

    groups: tuple[Group, ...] = ()
    terminating: bool = False


def families(slices: Iterable[Slice]) -> frozenset[int]:
    """Return the address families that have any endpoint that could be used."""
    return frozenset(
        item.family
        for item in slices
        if item.ready or any(e.ready or (e.serving and e.terminating) for e in item.others)
    )


def select(
    slices: Iterable[Slice], *, port: str, protocol: Protocol, family: int, topology: Topology, local: bool = False
) -> Selection:
    """Return the endpoints of a port in one family: all that rule 16 allows, or (`local`) those on this node only."""
    matches = [
        (item, entry.number)
        for item in slices
        if item.family == family
        for entry in item.ports
        if entry.name == port and entry.protocol is protocol
    ]
    ready = _local(matches, topology.node) if local else _ready(matches, topology)
    if any(addresses for _, addresses in ready):
        return Selection(_group(ready))
    # An address that a pod took over which is not ready yet is no longer that of the pod that terminates (rule 11).
    reused = {(e.address, number) for item, number in matches for e in item.others if not e.terminating}
    terminating = [
        (
            number,
            tuple(
                e.address
                for e in item.others
                if e.serving
                and e.terminating
                and (e.address, number) not in reused
                and _is_here(e.node, topology, local)
            ),
        )
        for item, number in matches
    ]
    groups = _group(terminating)
    return Selection(groups, terminating=bool(groups))


def count_local(slices: Iterable[Slice], family: int, topology: Topology) -> int:
    """Return how many addresses of ready endpoints are on this node, whatever their ports."""
    matches = [(item, 0) for item in slices if item.family == family]
    return len({address for _, addresses in _local(matches, topology.node) for address in addresses})


def _is_here(node: str, topology: Topology, local: bool) -> bool:  # noqa: FBT001
    """Tell whether a policy lets this node use an endpoint on `node`; one whose node is not known is not local."""
    return not local or (node != '' and node == topology.node)


def _ready_others(item: Slice) -> tuple[str, ...]:
    """Return the endpoints that are ready although they terminate, as publishNotReadyAddresses makes them."""
    return tuple(e.address for e in item.others if e.ready)


def _ready(matches: list[tuple[Slice, int]], topology: Topology) -> list[tuple[int, tuple[str, ...]]]:
    if topology != Topology() and any(_has_hints(item) for item, _ in matches):
        by_hints = _by_hints(matches, topology)
        if by_hints is not None:
            return by_hints
    endpoints: list[tuple[int, tuple[str, ...]]] = []
    for item, number in matches:
        endpoints.append((number, item.ready))
        if item.others and (others := _ready_others(item)):
            endpoints.append((number, others))
    return endpoints


def _by_hints(matches: list[tuple[Slice, int]], topology: Topology) -> list[tuple[int, tuple[str, ...]]] | None:
    """Return the endpoints that hints give to this node, else to this zone; None when hints are not complete."""
    with_hints = [(number, _with_hints(item)) for item, number in matches]
    for kind, location in (('nodes', topology.node), ('zones', topology.zone)):
        hint_names = [getattr(hints, kind) for _, endpoints in with_hints for _, hints in endpoints]
        if location and all(hint_names) and any(location in names for names in hint_names):
            return [
                (number, tuple(sorted(address for address, hints in endpoints if location in getattr(hints, kind))))
                for number, endpoints in with_hints
            ]
    return None


def _has_hints(item: Slice) -> bool:
    return bool(item.hints) or any(e.ready and e.hints != _NO_HINTS for e in item.others)


def _with_hints(item: Slice) -> list[tuple[str, Hints]]:
    """Return all ready endpoints of a slice with their hints, those too that are ready while they terminate."""
    plain = zip(item.ready, item.hints or (_NO_HINTS,) * len(item.ready), strict=True)
    return [*plain, *((e.address, e.hints) for e in item.others if e.ready)]


def _local(matches: list[tuple[Slice, int]], node: str) -> list[tuple[int, tuple[str, ...]]]:
    endpoints: list[tuple[int, tuple[str, ...]]] = []
    for item, number in matches:
        if item.nodes and node:
            endpoints.append((number, tuple(a for a, at in zip(item.ready, item.nodes, strict=True) if at == node)))
        endpoints.append((number, tuple(e.address for e in item.others if e.ready and e.node and e.node == node)))
    return endpoints


def _group(endpoints: list[tuple[int, tuple[str, ...]]]) -> tuple[Group, ...]:
    """Return groups by port number; a slice's own tuple is kept when it is the only one of its number."""
    by_port: dict[int, list[tuple[str, ...]]] = {}
    for number, addresses in endpoints:
        if addresses:
            by_port.setdefault(number, []).append(addresses)
    return tuple(
        Group(
            number,
            parts[0] if len(parts) == 1 and _is_set(parts[0]) else tuple(sorted({a for part in parts for a in part})),
        )
        for number, parts in sorted(by_port.items())
    )


def _is_set(addresses: tuple[str, ...]) -> bool:
    """Tell whether sorted addresses hold no repetition."""
    return len(set(addresses)) == len(addresses)


def node_ports(
    nodes: Iterable[Node], *, node_port: int, family: int, with_endpoints: frozenset[str] | None
) -> tuple[Group, ...]:
    """Return the node port on every usable Node of the family, or only on those that have an endpoint."""
    if not node_port:
        return ()
    addresses = sorted(
        address
        for node in nodes
        if node.usable and (with_endpoints is None or node.name in with_endpoints)
        for address in node.addresses
        if (6 if ':' in address else 4) == family
    )
    return (Group(node_port, tuple(dict.fromkeys(addresses))),) if addresses else ()


def nodes_with_endpoints(slices: Iterable[Slice]) -> frozenset[str]:
    """Return the Nodes that have a ready endpoint, for externalTrafficPolicy Local."""
    ready = {node for item in slices for node in item.nodes}
    others = {e.node for item in slices for e in item.others if e.ready}
    return frozenset((ready | others) - {''})
