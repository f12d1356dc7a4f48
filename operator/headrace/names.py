"""Names: references to objects, and names that HAProxy accepts.

Owns every rule by which an object's name becomes a backend's, a server's, a policy's or a file's name. All names are
stable (the same on every replica and after every restart), injective, and made only of characters that HAProxy allows
in proxies' names: letters, digits, `-`, `_`, `.`, `:`.
"""

import hashlib
import ipaddress
import re
from functools import lru_cache
from typing import NamedTuple

LABEL = re.compile(r'[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?')
SUBDOMAIN = re.compile(r'(?=.{1,253}\Z)[a-z0-9](?:[-a-z0-9]*[a-z0-9])?(?:\.[a-z0-9](?:[-a-z0-9]*[a-z0-9])?)*')
_MAX_FILE = 200
# Longer texts, such as keys of certificates and all annotations of a Service, are not kept to remember their digests.
_MAX_CACHED = 1024
# The class of objects that name none, and of an installation that is given no name.
DEFAULT_CLASS = 'headrace'
# Where users choose the text, fewer digits would let one of them look for a text that another's digits stand for.
DIGITS = 32
_SHAPE = re.compile(rf'_[0-9a-f]{{{DIGITS}}}\Z')
# The header of requests to which each pass through headrace adds a value.
HOPS = 'X-Headrace-Hops'
# The backend that answers where a route names one that cannot be used; no Service's has such a name.
UNRESOLVED = 'headrace-unresolved'
# The network of stand-ins, on every node by itself: a unique local one (RFC 4193) that spells "headrac".
SYNTHETIC_ADDRESSES = 'fd68:6561:6472:6163::/64'


class Ref(NamedTuple):
    """An object: its kind, namespace (empty for cluster-wide kinds) and name."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `Kind namespace/name`, as diagnostics and logs show it."""
        return f'{self.kind} {self.namespace}/{self.name}' if self.namespace else f'{self.kind} {self.name}'


def digest(text: str, digits: int = DIGITS) -> str:
    """Return `digits` (an even number) hexadecimal digits that stand for `text`."""
    return (_cached_digest if len(text) <= _MAX_CACHED else _digest)(text, digits)


def _digest(text: str, digits: int) -> str:
    return hashlib.blake2b(text.encode(), digest_size=digits // 2).hexdigest()


_cached_digest = lru_cache(maxsize=2048)(_digest)


def policy(owner: Ref, port: str) -> str:
    """Return the policy of a route: 32 hexadecimal digits from its owner and port, never from its content.

    The length is fixed because keys of HAProxy's stick tables are cut at their declared length.
    """
    return digest(f'{owner.kind}/{owner.namespace}/{owner.name}/{port}')


def backend(service: Ref, port: str, *, variant: str = '', shape: str = '') -> str:
    """Return the name of a Service port's backend.

    `_` cannot occur in a name of Kubernetes, so the parts cannot run into one another. `variant` tells apart backends
    of one port with other endpoints (`local`, `v6`); `shape` is the shape's hash, empty for the default shape.
    """
    name = f'{service.namespace}_{service.name}_{port}'
    if variant:
        name += f'_{variant}'
    if shape:
        name += f'_{shape}'
    return name


def owner(backend_name: str) -> tuple[Ref, str]:
    """Return the Service and the port's label that `backend` made a name of.

    A worker that another process configured says of its backends only what they are called, so this is how objects are
    found whose backends it has and that are gone since. All other code has the `Backend` itself.
    """
    namespace, name, port, *_ = *backend_name.split('_'), '', ''
    return Ref('Service', namespace, name), port


def without_shape(backend_name: str) -> str:
    """Return what `backend` would have made of the same parts without the hash of a shape."""
    return _SHAPE.sub('', backend_name)


def server(address: str, port: int, options: str = '') -> str:
    """Return the name of a server: its address and port, and the hash of options that cannot change in place."""
    return f'{address}:{port}_{options}' if options else f'{address}:{port}'


def file(secret: Ref) -> str:
    """Return the name, without its ending, of the file that holds a Secret's material.

    A file's name has at most 255 bytes, fewer than a namespace and a Secret's name may have.
    """
    name = f'{secret.namespace}_{secret.name}'
    return name if len(name) <= _MAX_FILE else f'{name[:_MAX_FILE]}_{digest(name, 16)}'


def namespace_of_file(file_name: str) -> str:
    """Return the namespace of the Secret that `file` made a name of."""
    return file_name.partition('_')[0]


def endpoint_identity(service: Ref, port: str, address: str, number: int) -> str:
    """Return the value of the cookie that means this endpoint, the same on every replica and for every shape."""
    text = f'{service.namespace}/{service.name}/{port}/{address}:{number}'
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


@lru_cache(maxsize=65536)
def synthetic_address(address: str, number: int, key: bytes) -> str:
    """Return the address that stands for an IPv6 address and port on a node; its last two bytes are the port.

    HAProxy asks the kernel for the original destination of a connection over IPv4 only, so over IPv6 the address that
    the kernel put in its place has to tell it. With a secret key of the node, users cannot look for an address whose
    stand-in is that of another Service.
    """
    number_of_address = int.from_bytes(hashlib.blake2b(f'{address}:{number}'.encode(), digest_size=6, key=key).digest())
    return str(ipaddress.IPv6Network(SYNTHETIC_ADDRESSES)[number_of_address << 16 | number])


def wildcard(host: str) -> str:
    """Return the wildcard that matches a host, '' where none does."""
    return '' if host.startswith('*.') else f'*.{host.partition(".")[2]}'
