"""Claims, and the fragment: all that one object contributes."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from headrace import names
from headrace.diagnostics import Diagnostic, StatusPart
from headrace.ir.backend import Backend, Demand
from headrace.ir.l4 import Balanced, HealthCheck, UDPTarget, VirtualAddress
from headrace.ir.pointers import GatewayPort, Pointer, Reserved, Unread
from headrace.ir.policy import Entry, HeaderEdits, Timeouts, Userlist
from headrace.ir.routing import Candidates, Lead, Split, Target
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref


class Kind(StrEnum):
    """What can be claimed by one object only, and so has a winner."""

    ROUTE = 'route'
    PORT = 'port'
    ADDRESS = 'address'
    VIRTUAL_ADDRESS = 'virtual address'
    TLS = 'tls'
    LISTENER = 'listener'
    CERTIFICATE = 'certificate'
    AUTHORITY = 'authority'
    GATEWAY_PORT = 'gateway port'
    GATEWAY_TLS = 'gateway TLS'
    L4_ROUTE = 'layer-4 route'
    UDP_PORT = 'UDP port of a Gateway'
    HEALTH_CHECK = 'health check port'


Content = (
    Target | Candidates | Reserved | Unread | GatewayPort | HostTls | Pem | VirtualAddress | UDPTarget | HealthCheck
)


def pointers(content: Content | None) -> Iterator[Pointer]:
    """Yield the backends and policies that what stands at a key leads to."""
    match content:
        case Pointer():
            yield content
        case Split() | Unread():
            yield from content.pointers
        case Candidates():
            for item in content.items:
                yield from pointers(item.target)
        case HostTls(passthrough=Pointer() as passthrough):
            yield passthrough
        case _:
            pass


@dataclass(frozen=True, slots=True)
class Claim:
    """A wish for a key that only one object can have, and what shall stand there.

    `address` is the ADDRESS:PORT that a stand-in as the key is for, '' for other keys.
    """

    kind: Kind
    key: str
    value: Content
    field: str = ''
    address: str = ''

    @property
    def shown(self) -> str:
        """Return the key as its owner wrote it."""
        if self.kind is Kind.ROUTE:
            exact = self.key.endswith('/#')
            host, _, path = self.key.removesuffix('/#').partition('/')
            return f'{host}/{path} ({"exactly" if exact else "prefix"})'
        if self.kind is Kind.VIRTUAL_ADDRESS:
            # Where HAProxy serves it, both conflicts have the same message, and so one.
            return f'address {self.key.removesuffix("/TCP")}'
        kind = {Kind.PORT: 'TCP port', Kind.ADDRESS: 'address', Kind.TLS: 'TLS of host'}.get(self.kind, self.kind)
        return f'{kind} {self.address or self.key}'


@dataclass(frozen=True, slots=True)
class Attachment:
    """A part of a route's status that is ours, and the listeners that the route is attached to there, by owner and name."""

    part: StatusPart
    listeners: tuple[tuple[Ref, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one object contributes. All tuples are sorted; `demands` are ports of other Services that it needs.

    `leads` are what of its policies leads to further backends. `endpoint_diagnostics` are those that follow from its
    endpoints, which change far more often than all the rest. Of an object that exceeds a limit, `closed` tells the
    closed form; `shut` are the hosts that it names without a claim for each of their paths: routes that its namespace
    has of them are closed too. `unchecked` is the diagnostic of one that has no checks for want of room.
    """

    ref: Ref
    created: str = ''
    claims: tuple[Claim, ...] = ()
    data: tuple[Entry, ...] = ()
    backends: tuple[Backend, ...] = ()
    headers: tuple[HeaderEdits, ...] = ()
    timeouts: tuple[Timeouts, ...] = ()
    userlists: tuple[Userlist, ...] = ()
    leads: tuple[Lead, ...] = ()
    balanced: tuple[Balanced, ...] = ()
    demands: tuple[Demand, ...] = ()
    closed: bool = False
    shut: tuple[str, ...] = ()
    unchecked: tuple[Diagnostic, ...] = ()
    needs: tuple[Ref, ...] = ()
    attachments: tuple[Attachment, ...] = ()
    endpoint_diagnostics: tuple[Diagnostic, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def policies(self) -> set[str]:
        """Return the policies under whose names it has data."""
        policies = {names.policy(self.ref, backend.port) for backend in self.backends if backend.service == self.ref}
        return policies.union(pointer.policy for claim in self.claims for pointer in pointers(claim.value))

    def has_same_data(self, other: 'Fragment') -> bool:
        """Tell whether the map entries and user lists of another fragment equal its own, claims aside."""
        own_data = (self.data, self.leads, self.headers, self.timeouts, self.userlists)
        return own_data == (other.data, other.leads, other.headers, other.timeouts, other.userlists)

    def with_endpoints(self, backends: tuple[Backend, ...], diagnostics: tuple[Diagnostic, ...]) -> 'Fragment':
        """Return the fragment with other endpoints; see `Backend.with_groups`."""
        return Fragment(
            self.ref,
            self.created,
            self.claims,
            self.data,
            backends,
            self.headers,
            self.timeouts,
            self.userlists,
            self.leads,
            self.balanced,
            self.demands,
            self.closed,
            self.shut,
            self.unchecked,
            self.needs,
            self.attachments,
            diagnostics,
            self.diagnostics,
        )
