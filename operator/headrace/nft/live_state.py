"""What the kernel says that the table is, and how that differs from what it should be.

Pure. Rules are compared by their comments. Of each set the kernel's elements are counted, and their hashes are summed up; only of
sets where that differs are elements compared one by one. Clients that are remembered by affinity are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headrace.ir.l4 import Datapath, TrafficPath, VirtualAddress
from headrace.nft import groups, layout, messages
from headrace.nft.messages import Sum
from headrace.nft.rules import Table
from headrace.nft.transaction import Elements, Transaction

# The maps whose virtual addresses the kernel balances, and those by which it stands in for HAProxy.
_PAST_HAPROXY: dict[str, Datapath] = {'hit': 'kernel', 'nearhit': 'kernel', 'spare': 'tcp', 'nearspare': 'tcp'}


class Source(Protocol):
    """What tells the kernel's table."""

    def elements(self, name: str) -> Iterable[bytes]:
        """Return the elements of a set."""

    def chains(self) -> Iterable[str]:
        """Return the names of chains."""

    def rules(self) -> Iterable[tuple[str, str]]:
        """Return the chain and comment of each rule."""


@dataclass(slots=True)
class LiveState:
    """The table as the kernel has it: the comments of each chain's rules, and the elements of those sets that were `read`.

    `missing` are sets that it should have.
    """

    elements: Elements = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: frozenset[str] = frozenset()
    missing: tuple[str, ...] = ()


def read(source: Source, sums: Callable[[], Mapping[str, Sum]]) -> LiveState:
    """Return the table, compared with the sums that are expected; of sets that are as expected no elements, and nothing but chains where there are none."""
    live = LiveState(chains=dict.fromkeys(source.chains(), ()))
    if not live.chains:
        return live
    for name, comment in source.rules():
        live.chains[name] = (*live.chains.get(name, ()), comment)
    names, expected = set[str](), sums()
    for name in layout.sets():
        try:
            if messages.has_intervals(name):
                live.elements |= dict.fromkeys(messages.intervals(name, source.elements(name)), '')
            elif messages.sum_of(_elements(source, name)) == expected.get(name, (0, 0)):
                continue
            else:
                live.elements |= (messages.text(name, raw) for raw in source.elements(name))
        except FileNotFoundError:
            live.missing = (*live.missing, name)
        names.add(name)
    live.read = frozenset(names)
    return live


def _elements(source: Source, name: str) -> Iterable[bytes]:
    """Return the elements of a set as they are told, without what they have counted since."""
    raws = source.elements(name)
    return map(messages.bare, raws) if messages.is_counted(name) else raws


def past_haproxy(live: LiveState) -> dict[str, VirtualAddress]:
    """Return, by key, the virtual addresses that lead past HAProxy, or can, by the elements that were read; only their datapath is known."""
    found: dict[str, VirtualAddress] = {}
    for name, element in live.elements:
        datapath = _PAST_HAPROXY.get(name[:-1])
        if datapath is not None:
            address, protocol, port = element.split(' . ')[:3]
            key = f'{address}:{port}/{protocol.upper()}'
            if datapath == 'kernel' or key not in found:
                found[key] = VirtualAddress(datapath, TrafficPath(), TrafficPath())
    return found


def of_table(table: Table, expected: Mapping[str, Sum]) -> LiveState:
    """Return what the kernel has after a table was applied, and no other program has changed it."""
    sums = table.sums()
    names = frozenset(
        name for name in layout.sets() if messages.has_intervals(name) or sums.get(name) != expected.get(name)
    )
    return LiveState(table.of_sets(names), {name: chain.comments for name, chain in table.each_chain()}, names)


def differences(table: Table, live: LiveState) -> list[str]:
    """Return how the kernel's table differs from what it should be, in words; the first ten of a kind."""
    words = [f'chain {name}' for name, chain in table.each_chain() if live.chains.get(name) != chain.comments][:10]
    words += [f'missing set {name}' for name in live.missing]
    wanted = table.of_sets(live.read)
    if wanted == live.elements:
        return words
    missing = sorted(wanted.items() - live.elements.items())
    surplus = sorted(live.elements.items() - wanted.items())
    words += [f'missing in {name}: {key}' for (name, key), _ in missing[:10]]
    return words + [f'surplus in {name}: {key}' for (name, key), _ in surplus[:10]]


def mending(table: Table, live: LiveState) -> tuple[Transaction, str] | None:
    """Return the transaction that makes elements and chains of groups true, and the text that makes the fixed chains so.

    None where the table has others sets or fixed chains than it should have: then it has to be made anew.
    """
    fixed = layout.chains(table.facts)
    others = {name for name in live.chains if groups.order(name) < 0}
    if live.missing or others != fixed.keys():
        return None
    wanted = table.of_sets(live.read)
    removed = {key: value for key, value in live.elements.items() if wanted.get(key) != value}
    added = {key: value for key, value in wanted.items() if live.elements.get(key) != value}
    transaction = table.missing(live.chains)
    transaction.removals, transaction.additions = removed, added
    differing = [name for name, chain in fixed.items() if live.chains.get(name) != chain.comments]
    return transaction, table.refill(differing)
