"""Claims, and the fragment: all that one object contributes."""

from dataclasses import dataclass
from enum import StrEnum

from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Mode
from headrace.ir.l4 import Balanced, VirtualAddress
from headrace.ir.pointers import Pointer, Reserved
from headrace.ir.policy import Entry, HeaderEdits, Timeouts, Userlist
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


Content = Pointer | Reserved | HostTls | Pem | VirtualAddress


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


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one Service contributes. All tuples are sorted; `demands` are ports of other Services that it needs.

    `endpoint_diagnostics` are those that follow from its endpoints, which change far more often than all the rest. Of an
    object that exceeds a limit, `closed` tells the closed form, and `shut` are the hosts that it names without a claim
    for each of their paths: routes that its namespace has of them are closed too. `unchecked` is the diagnostic of one that
    has no checks for want of room.
    """

    ref: Ref
    created: str = ''
    claims: tuple[Claim, ...] = ()
    data: tuple[Entry, ...] = ()
    backends: tuple[Backend, ...] = ()
    headers: tuple[HeaderEdits, ...] = ()
    timeouts: tuple[Timeouts, ...] = ()
    userlists: tuple[Userlist, ...] = ()
    balanced: tuple[Balanced, ...] = ()
    demands: tuple[tuple[Ref, str, Mode], ...] = ()
    closed: bool = False
    shut: tuple[str, ...] = ()
    unchecked: tuple[Diagnostic, ...] = ()
    needs: tuple[Ref, ...] = ()
    endpoint_diagnostics: tuple[Diagnostic, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

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
            self.balanced,
            self.demands,
            self.closed,
            self.shut,
            self.unchecked,
            self.needs,
            diagnostics,
            self.diagnostics,
        )
