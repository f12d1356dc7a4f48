"""Routes that several objects contribute to: conditions, several backends by weight, and candidates.

An Ingress and a route of the Gateway API do not own their path as an annotated Service does: each contributes candidates,
and the first candidate whose conditions a request fulfils serves it. `resolve.virtual_hosts` orders them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace.ir.pointers import NoRoute, Pointer
from headrace.ir.policy import Entry
from headrace.names import Ref


@dataclass(frozen=True, slots=True, order=True)
class HeaderMatch:
    """A header that a request must have. `name` is in lower case.

    `expression` tells that `value` is a regular expression in the form of `regular_expressions`, else it is the whole
    value. Several headers of one name count as one, joined by commas.
    """

    name: str
    value: str
    expression: bool = False


@dataclass(frozen=True, slots=True, order=True)
class QueryMatch:
    """A query parameter that a request must have; the first of its name counts. `value` is as in HeaderMatch."""

    name: str
    value: str
    expression: bool = False


@dataclass(frozen=True, slots=True)
class Conditions:
    """What a request must fulfil besides listener, host and path: all of it. '' for any method.

    `headers` and `query` are sorted and have each name once, so that equal conditions are equal values. `path` is a regular
    expression in the form of `regular_expressions`, '' for none. Longer ones, by `path_length`, come first: what a user wrote has
    not the length of what stands for it.
    """

    method: str = ''
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    path: str = ''
    path_length: int = 0


ALWAYS = Conditions()


@dataclass(frozen=True, slots=True)
class WeightedBackend:
    """One of several backends of a route, with the policy for requests that it gets.

    Of that policy count headers (request and response), timeouts and affinity.
    """

    backend: str
    weight: int = 1
    policy: str = ''
    flags: str = ''


@dataclass(frozen=True, slots=True)
class Split:
    """Several backends that share the requests of a route by weight, under the route's policy.

    The shares are data under the name of the policy, so two splits never have the same one.
    """

    backends: tuple[WeightedBackend, ...]
    policy: str
    flags: str = ''

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go, each under the policy of its backend, else that of the route."""
        for backend in self.backends:
            yield Pointer(backend.backend, backend.policy or self.policy, backend.flags)


@dataclass(frozen=True, slots=True)
class Canary:
    """What leads some requests of a policy to another backend: so many of 10,000, and those that ask for it."""

    policy: str
    weight: int
    pointer: Pointer

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go."""
        yield self.pointer


@dataclass(frozen=True, slots=True)
class Authentication:
    """The backend that decides about the requests of a policy, and how it is asked. Times are milliseconds, sizes bytes.

    `url` is host and path; `headers` of an answer go into the request; `cookie` is the one that HAProxy sets for the backend itself.
    Without a `pointer` an `origin` outside of the cluster is asked, or with an empty one who serves that host and path in the
    `namespace`.
    """

    policy: str
    pointer: Pointer | None
    namespace: str = ''
    origin: str = ''
    timeout: int = 0
    method: str = 'GET'
    url: str = ''
    headers: tuple[str, ...] = ()
    signin: str = ''
    cache: int = 0
    body: int = 0
    cookie: str = ''

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go."""
        if self.pointer is not None:
            yield self.pointer


@dataclass(frozen=True, slots=True)
class ErrorPages:
    """The backend whose answers replace those of a policy that have one of these codes.

    Its requests name the Service, the port and the Ingress of the answer that is replaced.
    """

    policy: str
    pointer: Pointer
    statuses: tuple[int, ...]
    service: Ref
    port: int
    ingress: str = ''

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go."""
        yield self.pointer


@dataclass(frozen=True, slots=True)
class Fallback:
    """The backend that gets the requests of a policy whose own backend has no server that can be used."""

    policy: str
    pointer: Pointer

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go."""
        yield self.pointer


@dataclass(frozen=True, slots=True)
class Mirror:
    """A backend that gets a copy of `numerator` of `denominator` requests."""

    pointer: Pointer
    numerator: int = 100
    denominator: int = 100


@dataclass(frozen=True, slots=True)
class Mirrors:
    """The backends that get copies of a policy's requests, which count for the `namespace` that wants them."""

    policy: str
    namespace: str
    items: tuple[Mirror, ...]

    @property
    def pointers(self) -> Iterator[Pointer]:
        """Yield where requests go."""
        for mirror in self.items:
            yield mirror.pointer


@dataclass(frozen=True, slots=True)
class UnreadLead:
    """An entry of another lead that a worker has which another process configured, and where it leads."""

    entry: Entry
    pointers: tuple[Pointer, ...]

    @property
    def policy(self) -> str:
        """Return the key that begins with the policy whose requests are led."""
        return self.entry.key


# What leads requests of a policy to further backends.
Lead = Authentication | Canary | ErrorPages | Fallback | Mirrors | Split | UnreadLead
# One backend without a weight is what an annotated Service has.
Target = Pointer | Split | NoRoute


def is_of_gateway(key: str) -> bool:
    """Tell whether a route's key is one of a Gateway's port, `PORT:HOST/PATH`, and not of the class's own listeners."""
    return ':' in key.partition('/')[0]


@dataclass(frozen=True, slots=True)
class Candidate:
    """What an object wants to stand at a route for some requests. `rule` is the position of its rule in the object."""

    target: Target
    conditions: Conditions = ALWAYS
    rule: int = 0


@dataclass(frozen=True, slots=True)
class Candidates:
    """The candidates of one object at a route, or those of all objects that can serve, in their order.

    What they leave of a host that is `reserved` for a namespace is not for wildcards of other ones; '' for no namespace.
    """

    items: tuple[Candidate, ...]
    reserved: str = ''
