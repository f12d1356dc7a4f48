"""Policies of routes and backends as data: entries of maps, header edits, timeouts, users."""

from dataclasses import dataclass
from enum import StrEnum


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
    RATE_EXCEPT = 'rate-except'
    CONNECTIONS = 'connections'
    AUTH = 'auth'
    AUTH_CRYPT = 'auth-crypt'
    AUTH_APR1 = 'auth-apr1'
    REALM = 'realm'
    BODY = 'body'
    BANDWIDTH = 'bandwidth'
    CORS = 'cors'
    CORS_ORIGIN = 'cors-origin'
    CORS_MORE = 'cors-more'
    REDIRECT = 'redirect'
    CANARY = 'canary'
    CANARY_ALWAYS = 'canary-always'
    CANARY_NEVER = 'canary-never'
    CANARY_PATTERN = 'canary-pattern'
    SPLITS = 'splits'
    REWRITE = 'rewrite'
    REWRITE_CAPTURES = 'rewrite-captures'
    REWRITE_FULL = 'rewrite-full'
    REQUEST_HEADERS = 'request-headers'
    REQUEST_HEADERS_GONE = 'request-headers-gone'
    REQUEST_HEADERS_ADDED = 'request-headers-added'
    RESPONSE_HEADERS = 'response-headers'
    RESPONSE_HEADERS_GONE = 'response-headers-gone'
    RESPONSE_HEADERS_ADDED = 'response-headers-added'
    COOKIE_DOMAIN = 'cookie-domain'
    COOKIE_PATH = 'cookie-path'
    ERROR_PAGES = 'error-pages'
    FALLBACK = 'fallback'
    MIRRORS = 'mirrors'
    LOCATION = 'location'
    SESSION_COOKIE = 'session-cookie'
    TIMEOUTS = 'timeouts'
    CLIENT_TIMEOUT = 'client-timeout'
    HSTS = 'hsts'
    CHECK_PATH = 'check-path'
    CHECK_HOST = 'check-host'
    AFFINITY = 'affinity'
    HASH = 'hash'
    EXTERNAL = 'external'
    EXTERNAL_AUTH = 'external-auth'
    EXTERNAL_AUTH_SKIP = 'external-auth-skip'
    LISTENERS = 'listeners'
    GATEWAY_ROUTES = 'gateway-routes'
    GATEWAY_PORTS = 'gateway-ports'
    GATEWAY_HOSTS = 'gateway-hosts'
    GATEWAY_CLIENTS = 'gateway-clients'
    L4_ROUTES = 'l4-routes'


# Maps whose entries lead to a backend.
LEADING = frozenset((Map.CANARY, Map.SPLITS, Map.EXTERNAL_AUTH, Map.ERROR_PAGES, Map.FALLBACK, Map.MIRRORS))


@dataclass(frozen=True, slots=True, order=True)
class Entry:
    """One entry of a map that belongs to its fragment alone, because its key holds a policy's or backend's name."""

    map: Map
    key: str
    value: str


@dataclass(frozen=True, slots=True)
class HeaderEdits:
    """Headers that a policy sets, or removes where the value is empty, and those that it adds to others of their name."""

    policy: str
    request: tuple[tuple[str, str], ...] = ()
    response: tuple[tuple[str, str], ...] = ()
    request_added: tuple[tuple[str, str], ...] = ()
    response_added: tuple[tuple[str, str], ...] = ()


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
