"""What a Service asks the pools for, and what it or another Service has."""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects.label_selectors import Labels

# A protocol and the number of a port.
Port = tuple[str, int]
# What orders Services: the older one keeps an address that two have.
Age = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What a Service asks for. `namespace` is the one whose pools it may have: that of the Gateway for the Service of one.

    `families` are those of the Service, the first one first; with `all_families` it gets an address of each or none.
    `addresses` and `pool` are asked for by name, in the field `field`. Services of a namespace with the same `sharing_key` can
    share an address where their ports differ, and `local_endpoints`, which stands for the endpoints of one with
    `externalTrafficPolicy: Local`, is the same. `shown` are the addresses in its status. With `problems` it gets no new address.
    """

    ref: Ref
    created: str = ''
    namespace: str = ''
    families: tuple[int, ...] = (4,)
    all_families: bool = False
    addresses: tuple[str, ...] = ()
    pool: str = ''
    field: str = ''
    sharing_key: str = ''
    local_endpoints: str = ''
    ports: frozenset[Port] = frozenset()
    labels: Labels = ()
    shown: tuple[str, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    @property
    def age(self) -> Age:
        """Return what orders Services."""
        return self.created, self.ref.namespace, self.ref.name


@dataclass(frozen=True, slots=True)
class Foreign:
    """A Service that this class gives no address, with those of its status: another controller's, or written by hand."""

    ref: Ref
    created: str = ''
    shown: tuple[str, ...] = ()

    @property
    def age(self) -> Age:
        """Return what orders Services."""
        return self.created, self.ref.namespace, self.ref.name


@dataclass(frozen=True, slots=True)
class Allocation:
    """The addresses that a Service shall have, and what is wrong. `missing` are families that it would take an address of."""

    addresses: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    missing: tuple[int, ...] = ()


NOTHING = Allocation()
