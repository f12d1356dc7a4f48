"""Where a claimed key leads."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a claimed key leads: to a backend, under a policy with these flags (letters in their order).

    `cluster` is the backend of all endpoints, for clients of this node, where others get those of this node alone.
    """

    backend: str
    policy: str
    flags: str = ''
    cluster: str = ''


@dataclass(frozen=True, slots=True)
class Reserved:
    """What stands at a host's route `/` that is not claimed: wildcards of other namespaces do not serve the host."""

    namespace: str


@dataclass(frozen=True, slots=True)
class NoRoute:
    """What stands for a host of a Gateway's listener where no route does: no route of a less specific host serves it."""


@dataclass(frozen=True, slots=True)
class GatewayPort:
    """What stands at a bound port that listeners of Gateways have: the port's number as clients know it.

    `validates` tells that clients must show a certificate that is valid.
    """

    number: int
    validates: bool = False


@dataclass(frozen=True, slots=True)
class Unread:
    """What a worker that another process configured has at a key, kept as it is until a reload, and where it leads."""

    text: str
    pointers: tuple[Pointer, ...] = ()
