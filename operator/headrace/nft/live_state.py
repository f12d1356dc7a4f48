"""What the kernel says that the table is, and how that differs from what it should be.

Pure. Rules are compared by their comments. Of each set the kernel's elements are counted, and their hashes are summed up; only of
sets where that differs are elements compared one by one. Clients that are remembered by affinity are left out.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headrace.ir.l4 import Datapath, TrafficPath, VirtualAddress
from headrace.nft import layout, messages
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
    """The table as the kernel has it: the comments of each chain's rules, and the elements of those sets that were `read`."""

    elements: Elements = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)
    read: frozenset[str] = frozenset()


def read(source: Source, sums: Callable[[], Mapping[str, Sum]]) -> LiveState:
    """Return the table, compared with the sums that are expected; of sets that are as expected no elements, and nothing but chains where there are none."""
    live = LiveState(chains=dict.fromkeys(source.chains(), ()))
    if not live.chains:
        return live
    for name, comment in source.rules():
        live.chains[name] = (*live.chains.get(name, ()), comment)
    names, expected = set[str](), sums()
    for name in layout.sets():
        if messages.has_intervals(name):
            live.elements |= dict.fromkeys(messages.intervals(name, source.elements(name)), '')
        elif messages.sum_of(source.elements(name)) == expected.get(name, (0, 0)):
            continue
        else:
            live.elements |= (messages.text(name, raw) for raw in source.elements(name))
        names.add(name)
    live.read = frozenset(names)
    return live


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
    wanted = table.of_sets(live.read)
    if wanted == live.elements:
        return words
    missing = sorted(wanted.items() - live.elements.items())
    surplus = sorted(live.elements.items() - wanted.items())
    words += [f'missing in {name}: {key}' for (name, key), _ in missing[:10]]
    return words + [f'surplus in {name}: {key}' for (name, key), _ in surplus[:10]]


def mending(table: Table, live: LiveState) -> tuple[Transaction, str] | None:
    """Return the transaction that makes the kernel's elements true, and the text that makes its chains true.

    None where more than elements differ. Whether HAProxy is away is the one thing of the chains that comes and goes.
    """
    chains = {name for name, chain in table.each_chain() if live.chains.get(name) != chain.comments}
    if not chains <= set(layout.PAST) or not chains <= live.chains.keys():
        return None
    wanted = table.of_sets(live.read)
    removed = {key: value for key, value in live.elements.items() if wanted.get(key) != value}
    added = {key: value for key, value in wanted.items() if live.elements.get(key) != value}
    switch = table.switch(bypass=table.facts.bypass) if chains else ''
    return Transaction(removals=removed, additions=added), switch
