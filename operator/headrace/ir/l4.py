"""What a node does with connections to the addresses that it takes over."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NamedTuple

from headrace.names import Ref


class Action(StrEnum):
    """What a node does with a connection to one of its addresses."""

    SERVE = 'serve'
    REFUSE = 'refuse'
    DROP = 'drop'


Datapath = Literal['http', 'tcp', 'tls', 'kernel']


@dataclass(frozen=True, slots=True)
class TrafficPath:
    """What clients of one kind get at a virtual address.

    `group` names the endpoints among which the kernel balances, '' where HAProxy does; `spare` are some of those that
    the kernel can send clients to while HAProxy is away, and `local` the addresses among them that are on this node.
    """

    action: Action = Action.REFUSE
    group: str = ''
    spare: tuple[tuple[str, int], ...] = ()
    local: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VirtualAddress:
    """One address, port and protocol that a node takes over, and where it leads: to a listener of HAProxy, or past it.

    `external_path` is for clients from elsewhere, `local_path` for this node and its pods. `outer` tells an address that is
    reached from outside of the cluster; `masked` that its clients' addresses must give way to the node's where the kernel
    forwards them. `ranges` are the only networks that may connect; None for all. `synthetic_address` is what HAProxy sees
    as the destination over IPv6, '' where it sees the address itself. `restricted` tells that HAProxy judges which clients
    may connect, so that no connection may go on past it. `owner` is whose it is: namespace, Service and port.
    """

    datapath: Datapath
    external_path: TrafficPath
    local_path: TrafficPath
    outer: bool = False
    masked: bool = False
    ranges: tuple[str, ...] | None = None
    synthetic_address: str = ''
    restricted: bool = False
    owner: tuple[str, str, str] = ('', '', '')


@dataclass(frozen=True, slots=True)
class Balanced:
    """Endpoints of one port that the kernel can balance by itself, as address and port, sorted.

    `port` is the name of the Service's port, '' for none. `affinity` is for how many seconds a client stays with its endpoint,
    0 for not at all. `weights` run parallel to the endpoints, or are empty where all are alike. `local` are the addresses that
    are on this node, or may be.
    """

    name: str
    protocol: str
    endpoints: tuple[tuple[str, int], ...]
    affinity: int = 0
    weights: tuple[int, ...] = ()
    port: str = ''
    local: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """What a load balancer is told that asks a node about a Service: how many of its ready endpoints are here."""

    service: Ref
    endpoints: int


class UDPBackend(NamedTuple):
    """A port of a Service, by its name, and its weight among the backends of a UDP port."""

    service: Ref
    port: str
    weight: int = 1


@dataclass(frozen=True, slots=True)
class UDPTarget:
    """The backends, sorted, whose endpoints get what comes to a UDP port of a Gateway."""

    gateway: Ref
    port: int
    backends: tuple[UDPBackend, ...]

    @property
    def is_weighted(self) -> bool:
        """Tell whether the weights of the backends differ."""
        return len({backend.weight for backend in self.backends}) > 1
