"""A transaction of the node's table: what goes and what comes, in which order, and as text of nft.

Pure. What nft gets is text: its JSON parser (1.0.6) crashes on a rule that leads to the address and port in a map. Nothing
of that text comes from an object but parsed addresses, ports and hashes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from headrace.nft import layout
from headrace.nft.groups import Draw
from headrace.nft.layout import TABLE, Chain

Element = tuple[str, str]
Elements = dict[Element, str]
# The maps that lead to HAProxy or stand in for it, and those that lead to what the kernel balances.
_LED = frozenset(('far', 'near', 'spare', 'nearspare'))
_BALANCED = frozenset(('hit', 'nearhit'))
# A command that names thousands of elements is parsed as fast as one that names few.
_CHUNK = 1000


@dataclass(slots=True)
class Transaction:
    """What is to be done to the table at once: elements and chains that go and come; `draws` are chains that groups share."""

    removals: Elements = field(default_factory=dict)
    additions: Elements = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)
    draws: set[Draw] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.removals or self.additions or self.sets or self.chains or self.draws)

    def split(self) -> tuple['Transaction', 'Transaction']:
        """Return what is to be done before HAProxy gets its commands, and what only after them.

        Virtual addresses that go are gone, and those that close are shut, before it has no server for their clients. One that
        moves between it and the kernel never leads nowhere: it leads to the kernel before HAProxy forgets it, and away
        from there when HAProxy knows it. What is needed to meet oneself is there for as long as anything leads there.
        """
        first, rest = Transaction(sets=self.sets, chains=self.chains, draws=self.draws), Transaction()
        proxied, balanced = self._coming(_LED), self._coming(_BALANCED)
        for key in sorted(self.removals, key=_meets):
            late = bool(rest.removals) if _meets(key) else _virtual_address_of(key) in proxied
            if _shuts(key):
                late = key not in self.additions and _virtual_address_of(key) not in balanced
            (rest if late else first).removals[key] = self.removals[key]
        for key in sorted(self.additions, key=_meets):
            late = (
                not (first.additions or first.chains or first.draws)
                if _meets(key)
                else _virtual_address_of(key) in proxied and not _shuts(key)
            )
            (rest if late else first).additions[key] = self.additions[key]
        return first, rest

    def _coming(self, maps: frozenset[str]) -> set[str]:
        """Return the virtual addresses that get an element in one of these maps."""
        return {_virtual_address_of(key) for key in self.additions if key[0][:-1] in maps}

    @property
    def text(self) -> str:
        """Return it as nft reads it, without `draws`; what is not reachable any more stays: see `Table.stale`.

        nft 1.0.6 takes no rule that leads to the port in a map of all protocols, but together with the map's declaration.
        """
        lines = [f'add {declared(declaration)}' for declaration in self.sets.values()]
        for name in self.chains:
            lines += [f'add chain {TABLE} {name}', f'flush chain {TABLE} {name}']
        for name, chain in self.chains.items():
            lines += rules(name, chain)
        lines += element_commands('delete', dict.fromkeys(self.removals, ''))
        lines += element_commands('add', self.additions)
        return ''.join(f'{line}\n' for line in lines)


def rules(name: str, chain: Chain) -> list[str]:
    """Return the commands that add a chain's rules."""
    return [f'add rule {TABLE} {name} {rule} comment "{layout.comment(rule)}"' for rule in chain.rules]


def declared(declaration: str) -> str:
    """Return the declaration of a set or map as a command names it."""
    kind, _, rest = declaration.partition(' ')
    return f'{kind} {TABLE} {rest}'


def element_commands(verb: str, values_by_element: Mapping[Element, str]) -> list[str]:
    """Return the commands that add or delete elements."""
    by_set: dict[str, list[str]] = {}
    for (name, key), value in sorted(values_by_element.items()):
        by_set.setdefault(name, []).append(f'{key} : {value}' if value else key)
    return [
        f'{verb} element {TABLE} {name} {{ {", ".join(keys[start : start + _CHUNK])} }}'
        for name, keys in by_set.items()
        for start in range(0, len(keys), _CHUNK)
    ]


def _shuts(key: Element) -> bool:
    return 'shut' in key[0]


def _meets(key: Element) -> bool:
    return key[0].startswith('hairpin')


def _virtual_address_of(key: Element) -> str:
    """Return the address, protocol and port that an element begins with."""
    return ' . '.join(key[1].split(' . ')[:3])
