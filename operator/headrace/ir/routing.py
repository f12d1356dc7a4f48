"""Merged routes: what stands at one listener, host and path, contributed by any number of objects.

An Ingress and a route of the Gateway API do not own their path as an annotated Service does: each contributes candidates,
and the first candidate whose conditions a request fulfils serves it. These are the values; `virtual_hosts` orders them.
"""

from dataclasses import dataclass
from typing import Literal

from headrace.ir.pointers import Pointer
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

    `headers` and `query` are sorted and have each name once, so that equal conditions are equal values. `path` is a
    regular expression of the whole path, '' for none.
    """

    method: str = ''
    headers: tuple[HeaderMatch, ...] = ()
    query: tuple[QueryMatch, ...] = ()
    path: str = ''


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


# One backend without a weight is what an annotated Service has.
Target = Pointer | Split


@dataclass(frozen=True, slots=True)
class Staging:
    """What one object wants to stand at a route. `rule` is the position of its rule in the object."""

    owner: Ref
    created: str
    rule: int
    target: Target
    conditions: Conditions = ALWAYS


@dataclass(frozen=True, slots=True, order=True)
class Route:
    """Where candidates meet. `host` is a host, `*.` and a host, or `*`; `listener` is '' for the class's own ones.

    `path` is absolute; a prefix has no slash at its end, but for `/` alone.
    """

    listener: str
    host: str
    path: str
    match: Literal['exact', 'prefix'] = 'prefix'
