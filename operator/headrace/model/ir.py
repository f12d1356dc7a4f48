"""The values of the model: what one object contributes, and the parts it is made of.

All are frozen and compare by content, so that the difference of two states is found by identity first and equality
second. Names of servers and texts of configuration are not here: they are made from these values when needed.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache
from typing import Literal

from headrace import names
from headrace.names import Ref
from headrace.verdicts import Verdict

Mode = Literal['http', 'tcp']
DEFAULT_RETRY_ON = ('conn-failure',)
SECOND = 1000


@dataclass(frozen=True, slots=True)
class Shape:
    """What of a backend only its section can say; rendered as a named `defaults` section, the profile.

    Times are milliseconds. The timeouts are those of TCP; in HTTP they are data and stay at their defaults here.
    """

    mode: Mode = 'http'
    balance: str = 'random'
    check: str = 'off'
    expect: str = '200-399'
    cookie: str = ''
    retries: int = 3
    retry_on: tuple[str, ...] = DEFAULT_RETRY_ON
    connect: int = 5 * SECOND
    server: int = 60 * SECOND
    tunnel: int = 3600 * SECOND
    queue: int = 5 * SECOND
    snippets: tuple[str, ...] = ()
    compression: bool = False
    affinity: bool = False
    external: bool = False

    @property
    def rendered(self) -> 'Shape':
        """Return the shape whose profile the backend's section in the file is from.

        A profile does not compress for a backend made at run time, so none that says so is ever rendered: such a backend
        comes with a reload, and compresses in its own section.
        """
        return replace(self, compression=False) if self.compression else self

    @property
    def suffix(self) -> str:
        """Return the hash that backends of this shape carry in their name, '' for the default shape."""
        return '' if self == _DEFAULT_SHAPE else _shape_digest(self)

    @property
    def profile(self) -> str:
        """Return the name of the `defaults` section: its mode and the digest of the whole shape."""
        return f'{self.mode}-{_shape_digest(self)}'


_DEFAULT_SHAPE = Shape()


@lru_cache(maxsize=4096)
def _shape_digest(shape: Shape) -> str:
    # Texts stand in quotes there, so different shapes have different texts.
    return names.digest(repr(shape))


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS to the endpoint: `ca_file` is a file's name ('' for none), `sni` a host, `host-header` or ''.

    `ca_mark` stands for the file's content: servers keep the authorities that they were made with, so others need new
    servers.
    """

    verify: bool = False
    ca_file: str = ''
    sni: str = ''
    ca_mark: str = ''


@dataclass(frozen=True, slots=True)
class Options:
    """What stands on a server's line. All but `max_connections` need a new server when they change."""

    protocol: Literal['', 'h2'] = ''
    tls: ServerTls | None = None
    proxy: Literal['', 'v1', 'v2'] = ''
    check: bool = False
    interval: int = 2 * SECOND
    rise: int = 2
    fall: int = 3
    eject_after: int = 0
    slow_start: int = 0
    max_connections: int = 0

    @property
    def suffix(self) -> str:
        """Return the hash that servers carry in their name, '' where everything is default."""
        return _options_suffix(self)


@lru_cache(maxsize=16384)
def _options_suffix(options: Options) -> str:
    fixed = replace(options, max_connections=0)
    return '' if fixed == Options() else names.digest(repr(fixed))


@dataclass(frozen=True, slots=True)
class Group:
    """Servers of a backend that listen on one port number: `addresses` is the slice's own sorted tuple if it can be."""

    port: int
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Backend:
    """One Service port and its servers. `service` and `port` (its label) are the same for every shape.

    `affinity` is for how many seconds a client stays with its endpoint, 0 for not at all. `pin` is the endpoint's
    ADDRESS:PORT where the backend stands for this endpoint alone, so that a client can be led to it.
    """

    name: str
    service: Ref
    port: str
    shape: Shape
    options: Options
    groups: tuple[Group, ...] = ()
    affinity: int = 0
    pin: str = ''

    def with_groups(self, groups: tuple[Group, ...]) -> 'Backend':
        """Return the backend with other servers; `replace` takes four times as long, and this runs for each endpoint."""
        return Backend(self.name, self.service, self.port, self.shape, self.options, groups, self.affinity, self.pin)


class Map(StrEnum):
    """Files of data that rules look up. A value is the file's name below the folder of maps, without its ending."""

    ROUTES = 'routes'
    PORTS = 'ports'
    ADDRESSES = 'addresses'
    PASSTHROUGH = 'passthrough'
    CLIENT_CA = 'client-ca'
    ROUTE_CA = 'route-ca'
    ALLOW = 'allow'
    DENY = 'deny'
    RATE = 'rate'
    AUTH = 'auth'
    AUTH_CRYPT = 'auth-crypt'
    BODY = 'body'
    CORS = 'cors'
    CORS_ORIGIN = 'cors-origin'
    CORS_MORE = 'cors-more'
    REDIRECT = 'redirect'
    CANARY = 'canary'
    CANARY_ALWAYS = 'canary-always'
    CANARY_NEVER = 'canary-never'
    REWRITE = 'rewrite'
    REQUEST_HEADERS = 'request-headers'
    REQUEST_HEADERS_GONE = 'request-headers-gone'
    RESPONSE_HEADERS = 'response-headers'
    RESPONSE_HEADERS_GONE = 'response-headers-gone'
    TIMEOUTS = 'timeouts'
    CLIENT_TIMEOUT = 'client-timeout'
    HSTS = 'hsts'
    CHECK_PATH = 'check-path'
    CHECK_HOST = 'check-host'
    AFFINITY = 'affinity'
    EXTERNAL = 'external'
    LISTENERS = 'listeners'


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One entry of a map that belongs to its fragment alone, because its key holds a policy's or backend's name."""

    map: Map
    key: str
    value: str


class Kind(StrEnum):
    """What can be claimed by one object only, and so has a winner."""

    ROUTE = 'route'
    PORT = 'port'
    ADDRESS = 'address'
    DOOR = 'door'
    TLS = 'tls'
    LISTENER = 'listener'
    CERTIFICATE = 'certificate'
    AUTHORITY = 'authority'


@dataclass(frozen=True, slots=True)
class Pem:
    """Content of a certificate's or authority's file; never shown. `mark` stands for it in texts."""

    data: bytes

    def __repr__(self) -> str:
        """Return a text without key material."""
        return f'Pem({self.mark})'

    @property
    def mark(self) -> str:
        """Return 16 hexadecimal digits that change with the content and tell nothing of it."""
        return names.digest(names.digest(self.data.hex(), 64), 16)


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where a claimed key leads: to a backend, under a policy with these flags (letters in their order).

    `cluster` is the backend of all endpoints, for clients of this node, where others get those of this node alone.
    """

    backend: str
    policy: str
    flags: str = ''
    cluster: str = ''

    @property
    def text(self) -> str:
        """Return the value of a routing map."""
        value = f'{self.backend}|{self.policy}|{self.flags}'
        return f'{value}|{self.cluster}' if self.cluster else value


@dataclass(frozen=True, slots=True)
class Reserved:
    """What stands at a host's route `/` that is not claimed: wildcards of other namespaces do not serve the host."""

    namespace: str


@dataclass(frozen=True, slots=True)
class HostTls:
    """A host's TLS as one claim, or that of a port's own addresses: passed through, or ended here with certificates.

    `certificates` and `client_ca` are names of files; `verify` is `none`, `optional` or `required`.
    `excluded` are the hosts below a wildcard that do not get its certificates, because they belong to other namespaces.
    """

    passthrough: Pointer | None = None
    certificates: tuple[str, ...] = ()
    client_ca: str = ''
    verify: str = 'none'
    excluded: tuple[str, ...] = ()


class Fate(StrEnum):
    """What a node does with a connection to one of its addresses."""

    SERVE = 'serve'
    REFUSE = 'refuse'
    DROP = 'drop'


Way = Literal['http', 'tcp', 'tls', 'kernel']


@dataclass(frozen=True, slots=True)
class Side:
    """What clients of one kind get at a door.

    `group` names the endpoints among which the kernel balances, '' where HAProxy does; `spare` are some of those that
    the kernel can send clients to while HAProxy is away.
    """

    fate: Fate = Fate.REFUSE
    group: str = ''
    spare: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Door:
    """One address, port and protocol that a node takes over, and where it leads: to a listener of HAProxy, or past it.

    `far` is for clients from elsewhere, `near` for this node and its pods. `outer` tells an address that is reached from
    outside of the cluster; `masked` that its clients' addresses must give way to the node's where the kernel forwards
    them. `ranges` are the only networks that may connect; None for all. `stand_in` is what HAProxy sees as the destination
    over IPv6, '' where it sees the address itself.
    """

    way: Way
    far: Side
    near: Side
    outer: bool = False
    masked: bool = False
    ranges: tuple[str, ...] | None = None
    stand_in: str = ''


@dataclass(frozen=True, slots=True)
class Balanced:
    """Endpoints of one port that the kernel can balance by itself, as address and port, sorted.

    `affinity` is for how many seconds a client stays with its endpoint, 0 for not at all.
    """

    name: str
    protocol: str
    endpoints: tuple[tuple[str, int], ...]
    affinity: int = 0


Content = Pointer | Reserved | HostTls | Pem | Door


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
class HeaderEdits:
    """Headers that a policy sets, or removes where the value is empty."""

    policy: str
    request: tuple[tuple[str, str], ...] = ()
    response: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts (ms) of an HTTP route and its backend that differ from the profile's; 0 where they do not."""

    policy: str
    server: int = 0
    tunnel: int = 0
    connect: int = 0
    queue: int = 0


@dataclass(frozen=True, slots=True)
class Userlist:
    """Users of a policy whose hashes only HAProxy's `userlist` can judge; never shown."""

    policy: str
    users: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        """Return a text without credentials."""
        return f'Userlist(policy={self.policy}, users={len(self.users)})'


@dataclass(frozen=True, slots=True)
class Fragment:
    """What one Service contributes. All tuples are sorted; `demands` are ports of other Services that it needs.

    `endpoint_verdicts` are those that follow from its endpoints, which change far more often than all the rest. Of an
    object that exceeds a limit, `closed` tells the closed form, and `shut` are the hosts that it names without a claim
    for each of their paths: routes that its namespace has of them are closed too. `unchecked` is the verdict of one that
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
    unchecked: tuple[Verdict, ...] = ()
    needs: tuple[Ref, ...] = ()
    endpoint_verdicts: tuple[Verdict, ...] = ()
    verdicts: tuple[Verdict, ...] = ()

    def with_endpoints(self, backends: tuple[Backend, ...], verdicts: tuple[Verdict, ...]) -> 'Fragment':
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
            verdicts,
            self.verdicts,
        )
