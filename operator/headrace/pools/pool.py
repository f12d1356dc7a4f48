"""The pools of a class: which addresses each has, and for whom they are."""

import bisect
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

from headrace.objects.label_selectors import Labels, Requirement, Selector
from headrace.settings.address_pools import AddressPool, Range, parse_range

_ALL = Selector()


@dataclass(frozen=True, slots=True)
class Pool:
    """One pool; its ranges are in the order of the settings, from which addresses are given out."""

    name: str
    ranges: tuple[Range, ...]
    auto_assign: bool = True
    namespaces: frozenset[str] = frozenset()
    selector: Selector = _ALL

    def serves(self, namespace: str, labels: Labels) -> bool:
        """Tell whether a Service may have addresses of the pool."""
        return (not self.namespaces or namespace in self.namespaces) and self.selector.selects(labels)

    def size(self, family: int) -> int:
        """Return how many addresses of a family the pool has."""
        return sum(each.last - each.first + 1 for each in self.ranges if each.family == family)


@dataclass(frozen=True, slots=True)
class Pools:
    """All pools of a class, in the order of the settings."""

    items: tuple[Pool, ...] = ()
    _starts: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    _owners: tuple[tuple[Range, Pool], ...] = field(default=(), repr=False)

    def of(self, address: str) -> Pool | None:
        """Return the pool that has an address, None for none."""
        parsed = ipaddress.ip_address(address)
        version, number = parsed.version, int(parsed)
        index = bisect.bisect(self._starts, (version, number)) - 1
        if index < 0:
            return None
        found, pool = self._owners[index]
        return pool if found.family == version and found.first <= number <= found.last else None

    def named(self, name: str) -> Pool | None:
        """Return the pool of a name, None where there is none."""
        return next((pool for pool in self.items if pool.name == name), None)

    def for_service(self, namespace: str, labels: Labels, name: str = '') -> tuple[Pool, ...]:
        """Return the pools that a Service may have an address of: the one that it names, else those that give of themselves."""
        return tuple(
            pool
            for pool in self.items
            if (pool.name == name if name else pool.auto_assign) and pool.serves(namespace, labels)
        )


def make(settings: Iterable[AddressPool]) -> Pools:
    """Return the pools of the settings, which have been judged."""
    items = tuple(
        Pool(
            each.name,
            tuple(map(parse_range, each.addresses)),
            each.auto_assign,
            frozenset(each.namespaces),
            _selector(each),
        )
        for each in settings
    )
    owners = sorted(((found, pool) for pool in items for found in pool.ranges), key=lambda item: item[0])
    return Pools(items, tuple((found.family, found.first) for found, _ in owners), tuple(owners))


def _selector(settings: AddressPool) -> Selector:
    selector = settings.service_selector
    labels = [Requirement(key, 'In', (value,)) for key, value in selector.match_labels.items()]
    expressions = [Requirement(each.key, each.operator, each.values) for each in selector.match_expressions]
    return Selector((*labels, *expressions))


def text(family: int, number: int) -> str:
    """Return an address as Kubernetes writes it."""
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number))  # noqa: PLR2004
