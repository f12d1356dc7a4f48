"""The form of an address pool in a class's settings, and what is wrong with a list of them."""

import ipaddress
import itertools
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import msgspec

from headrace.settings import key_forms as forms
from headrace.settings.key_forms import meta

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST_RANGES = 1000


class Range(NamedTuple):
    """The addresses of one family (4 or 6) from the first to the last, as numbers."""

    family: int
    first: int
    last: int


class Expression(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """A requirement of labels, as Kubernetes' selectors have them."""

    key: str
    operator: Literal['In', 'NotIn', 'Exists', 'DoesNotExist']
    values: tuple[str, ...] = ()


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """A selector of labels, as Kubernetes' objects have it; an empty one selects all."""

    match_labels: dict[str, str] = msgspec.field(default_factory=dict)
    match_expressions: tuple[Expression, ...] = ()


class AddressPool(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """Addresses that the controller gives to Services and Gateways."""

    name: Annotated[str, meta('Name of the pool.', 'restart', pattern=forms.NAME)]
    addresses: Annotated[
        tuple[str, ...],
        meta(
            'Networks (`192.0.2.0/24`) and ranges (`192.0.2.10-192.0.2.20`) of IPv4 and IPv6. All of their addresses are given out, the first and the last of a network too.',
            'restart',
        ),
    ]
    auto_assign: Annotated[
        bool, meta('Give addresses to Services that ask for no pool and no address by name.', 'restart')
    ] = True
    namespaces: Annotated[
        tuple[str, ...],
        meta(
            'Namespaces of the Services and Gateways that may have addresses of the pool. Empty: all namespaces.',
            'restart',
        ),
    ] = ()
    service_selector: Annotated[
        LabelSelector,
        meta('Labels of the Services that may have addresses of the pool. Empty: all Services.', 'restart'),
    ] = LabelSelector()

    def ranges(self) -> tuple[Range, ...]:
        """Return the addresses of the pool in the order of the settings; raises ValueError."""
        return tuple(map(parse_range, self.addresses))


def parse_range(text: str) -> Range:
    """Return the range of a network or of two addresses with a dash; raises ValueError."""
    first, dash, last = text.partition('-')
    if not dash:
        network = ipaddress.ip_network(text.strip())
        return Range(network.version, int(network.network_address), int(network.broadcast_address))
    ends = (ipaddress.ip_address(first.strip()), ipaddress.ip_address(last.strip()))
    if ends[0].version != ends[1].version or int(ends[0]) > int(ends[1]) or '%' in text:
        raise ValueError(f'{text!r} is no range of addresses')
    return Range(ends[0].version, int(ends[0]), int(ends[1]))


def pool_of(pools: Iterable[AddressPool], address: str) -> str:
    """Return the name of the pool that has an address, '' for none."""
    parsed = ipaddress.ip_address(address)
    version, number = parsed.version, int(parsed)
    for pool in pools:
        if any(each.family == version and each.first <= number <= each.last for each in pool.ranges()):
            return pool.name
    return ''


def problem(pools: Iterable[AddressPool], reserved: Iterable[str], own_addresses: Iterable[str]) -> str:
    """Return what is wrong with the pools of a class, '' for nothing.

    `reserved` are networks of pods and Services, `own_addresses` what the class publishes for its edge.
    """
    names, ranges = list[str](), list[tuple[Range, str]]()
    for pool in pools:
        if pool.name in names:
            return f'{pool.name} stands there twice'
        names.append(pool.name)
        try:
            of_pool = pool.ranges()
        except ValueError as error:
            return f'{pool.name}: {error}'
        if not 1 <= len(of_pool) <= _MOST_RANGES:
            return f'{pool.name}: addresses must hold 1 to {_MOST_RANGES} networks or ranges'
        if wrong := _unusable(pool, of_pool) or _wrong_selector(pool):
            return wrong
        ranges += [(each, pool.name) for each in of_pool]
    ranges.sort()
    for (before, name), (after, other) in itertools.pairwise(ranges):
        if before.family == after.family and after.first <= before.last:
            return f'{name} and {other} have the same addresses' if name != other else f'{name} has an address twice'
    return _overlap(ranges, reserved, own_addresses)


def _unusable(pool: AddressPool, ranges: Iterable[Range]) -> str:
    """Return which addresses of a pool no Service can have: the API server refuses them in a status."""
    for text, each in zip(pool.addresses, ranges, strict=True):
        make = ipaddress.IPv4Address if each.family == 4 else ipaddress.IPv6Address  # noqa: PLR2004
        for address in (make(each.first), make(each.last)):
            mapped = getattr(address, 'ipv4_mapped', None)
            if address.is_unspecified or address.is_loopback or address.is_link_local or address.is_multicast or mapped:
                return f'{pool.name}: {text!r} holds {address}, which is no address that others can reach'
    return ''


def _wrong_selector(pool: AddressPool) -> str:
    for each in pool.service_selector.match_expressions:
        # An API server takes a list with `In` and `NotIn`, and none with the others.
        if bool(each.values) is not each.operator.endswith('In'):
            return f'{pool.name}: serviceSelector: {each.operator} of {each.key!r} has {len(each.values)} values'
    return ''


def _overlap(ranges: list[tuple[Range, str]], reserved: Iterable[str], own_addresses: Iterable[str]) -> str:
    taken = [(parse_range(text), text, 'a network of pods or Services') for text in reserved]
    taken += [(parse_range(text), text, 'an address of statusAddresses') for text in own_addresses]
    for each, name in ranges:
        for other, text, what in taken:
            if each.family == other.family and each.first <= other.last and other.first <= each.last:
                return f'{name} has addresses of {text}, {what}'
    return ''
