"""Backends: their shape, the options of their servers, and the servers."""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from headrace import names
from headrace.names import Ref

Mode = Literal['http', 'tcp']

DEFAULT_RETRY_ON = ('conn-failure',)

SECOND = 1000
# The authorities that the system HAProxy runs on trusts, in the place of a file of ours.
SYSTEM_AUTHORITIES = '@system-ca'


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
    limited: bool = False
    affinity: bool = False
    external: bool = False

    @property
    def rendered(self) -> 'Shape':
        """Return the shape whose profile the backend's section in the file is from.

        A profile neither compresses nor limits bandwidth for a backend made at run time, so none that says so is ever rendered:
        such a backend comes with a reload, and does it in its own section.
        """
        return replace(self, compression=False, limited=False) if self.compression or self.limited else self

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
    """TLS to the endpoint: `ca_file` is a file's name or SYSTEM_AUTHORITIES ('' for none), `sni` a host, `host-header` or ''.

    `certificate` is the name of the file with the certificate that endpoints are shown, '' for none. `ca_mark` stands for the file's content: servers keep the authorities that they were made with, so others need new
    servers.
    """

    verify: bool = False
    ca_file: str = ''
    sni: str = ''
    ca_mark: str = ''
    certificate: str = ''


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
class Demand:
    """A backend that an object needs of a Service's port, made by the Service's fragment, so that it follows the endpoints.

    `values` are the object's own settings of the backend by key, sorted; those of the Service go before them.
    """

    service: Ref
    port: str
    mode: Mode
    values: tuple[tuple[str, object], ...] = ()

    def __lt__(self, other: 'Demand') -> bool:
        """Order demands, whatever the types of their values."""
        return self._order() < other._order()

    def _order(self) -> tuple[Ref, str, str, str]:
        return self.service, self.port, self.mode, repr(self.values)


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
