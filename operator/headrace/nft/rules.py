"""From the model to the node's table, and from a change of the model to a transaction of element changes.

Pure. A virtual address is a handful of elements, a group of endpoints one chain (with affinity one more for each endpoint), so one
change costs as much as itself. What nft gets is text: its JSON parser (1.0.6) crashes on a rule that leads to the
address and port in a map. Nothing of that text comes from an object but parsed addresses, ports and hashes.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import accumulate

from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import Action, Balanced, TrafficPath, VirtualAddress
from headrace.nft import layout
from headrace.nft.layout import TABLE, Chain, NodeFacts, family, host, ip_keyword
from headrace.resolve.changes import Change, PointerChange
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate.virtual_addresses import SLOTS

Element = tuple[str, str]
Elements = dict[Element, str]
# So many clients an endpoint remembers, so that clients cannot fill the kernel's memory.
_AFFINITY_SIZE = 262_144
# A draw among endpoints with weights is one of so many.
_WEIGHTED_DRAWS = 65_536
# Where the ports of the listener that a virtual address leads to begin.
_LISTENERS = {'http': 0, 'tcp': 2, 'tls': 4}
# The maps that lead to HAProxy or stand in for it, and those that lead to what the kernel balances.
_LED = frozenset(('far', 'near', 'spare', 'nearspare'))
_BALANCED = frozenset(('hit', 'nearhit'))
# A command that names thousands of elements is parsed as fast as one that names few.
_CHUNK = 1000


@dataclass(frozen=True, slots=True)
class Group:
    """A group of endpoints as chains of the table, by name, the one that virtual addresses lead to last; and the sets they use."""

    chains: Mapping[str, Chain]
    sets: Mapping[str, str]


def elements(key: str, virtual_address: VirtualAddress, facts: NodeFacts) -> Elements:
    """Return the elements that a virtual address is made of."""
    address_port, _, protocol = key.rpartition('/')
    address, _, number = address_port.rpartition(':')
    version = family(address)
    address_key = f'{address} . {protocol.lower()} . {number}'
    elements_by_name = _side(virtual_address, virtual_address.external_path, 'far', address_key, facts)
    if virtual_address.local_path != virtual_address.external_path:
        local_path = _side(virtual_address, virtual_address.local_path, 'near', address_key, facts)
        if (
            virtual_address.local_path.action is Action.SERVE
            and virtual_address.external_path.action is not Action.SERVE
        ):
            local_path['nearshut', address_key] = 'accept'
        elements_by_name |= local_path
    if virtual_address.ranges is not None:
        elements_by_name['ranged', address_key] = ''
        elements_by_name |= {('ranges', f'{address_key} . {host(network)}'): '' for network in virtual_address.ranges}
    return {(f'{name}{version}', text): value for (name, text), value in elements_by_name.items()}


def _side(
    virtual_address: VirtualAddress, path: TrafficPath, side: str, address_key: str, facts: NodeFacts
) -> Elements:
    prefix = '' if side == 'far' else 'near'
    if path.action is not Action.SERVE:
        return {(f'{prefix}shut', address_key): 'drop' if path.action is Action.DROP else 'goto refuse'}
    if virtual_address.datapath == 'kernel':
        return {
            (f'{prefix}hit', address_key): f'goto b-{path.group}',
            **_hidden(virtual_address, prefix, '', address_key),
        }
    address = virtual_address.synthetic_address or (facts.address if ':' not in address_key else '')
    port = facts.ports[_LISTENERS[virtual_address.datapath] + (side == 'near')]
    side_elements: Elements = {(side, address_key): f'{address} . {port}'} if address else {}
    if path.spare:
        side_elements |= _hidden(virtual_address, prefix, 'spare', address_key)
        for slot in range(SLOTS):
            endpoint, port_number = path.spare[slot % len(path.spare)]
            side_elements[f'{prefix}spare', f'{address_key} . {slot}'] = f'{endpoint} . {port_number}'
    return side_elements


def _spares(virtual_address: VirtualAddress) -> set[str]:
    """Return the addresses that a virtual address can lead to past HAProxy."""
    return {
        address for path in (virtual_address.external_path, virtual_address.local_path) for address, _ in path.spare
    }


def _hidden(virtual_address: VirtualAddress, prefix: str, kind: str, address_key: str) -> Elements:
    """Return what hides clients behind the node: all of an outer virtual address, of an inner one those that are no pods."""
    if prefix or (virtual_address.outer and not virtual_address.masked):
        return {}
    return {(f'{kind}masq' if virtual_address.outer else f'{kind}inner', address_key): ''}


def group(balanced: Balanced) -> Group:
    """Return a group's chains and sets."""
    protocol = balanced.protocol.lower()
    keyword = ip_keyword(family(balanced.endpoints[0][0]))
    size, draws = _draws(balanced)
    if not balanced.affinity:
        endpoints = ', '.join(
            f'{draw} : {address} . {port}'
            for draw, (address, port) in zip(draws, balanced.endpoints, strict=True)
            if draw
        )
        rule = f'meta l4proto {protocol} dnat {keyword} to numgen random mod {size} map {{ {endpoints} }}'
        return Group({f'b-{balanced.name}': Chain('', (rule,))}, {})
    chains, sets, marks = {}, {}, []
    for address, port in balanced.endpoints:
        mark = f'{balanced.name}-{ipaddress.ip_address(address).packed.hex()}{port:04x}'
        marks.append(mark)
        kind = f'type ipv{family(address)}_addr; flags dynamic,timeout'
        # The time is a part of the name: a set's own cannot be changed.
        clients = f'a-{mark}-{balanced.affinity}'
        sets[clients] = f'set {clients} {{ {kind}; timeout {balanced.affinity}s; size {_AFFINITY_SIZE}; }}'
        target = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
        rule = f'meta l4proto {protocol} update @{clients} {{ {keyword} saddr }} dnat {keyword} to {target}'
        chains[f'e-{mark}'] = Chain('', (rule,))
    returning = [f'{keyword} saddr @a-{mark}-{balanced.affinity} goto e-{mark}' for mark in marks]
    spread = ', '.join(f'{draw} : goto e-{mark}' for draw, mark in zip(draws, marks, strict=True) if draw)
    chains[f'b-{balanced.name}'] = Chain('', (*returning, f'numgen random mod {size} vmap {{ {spread} }}'))
    return Group(chains, sets)


def _draws(balanced: Balanced) -> tuple[int, tuple[str, ...]]:
    """Return of how many draws each endpoint of a group has which, as a number or a range; '' for none.

    With weights each bound is rounded by itself, so no share is off by more than one draw.
    """
    if not balanced.weights:
        size = len(balanced.endpoints)
        return size, tuple(map(str, range(size)))
    total = sum(balanced.weights)
    ends = [_WEIGHTED_DRAWS * sofar // total for sofar in accumulate(balanced.weights)]
    draws = (
        (f'{first}-{end - 1}' if end - first > 1 else str(first)) if end > first else ''
        for first, end in zip((0, *ends), ends, strict=False)
    )
    return _WEIGHTED_DRAWS, tuple(draws)


@dataclass(slots=True)
class Transaction:
    """What is to be done to the table at once: elements and chains that go and come."""

    removals: Elements = field(default_factory=dict)
    additions: Elements = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.removals or self.additions or self.sets or self.chains)

    def split(self) -> tuple['Transaction', 'Transaction']:
        """Return what is to be done before HAProxy gets its commands, and what only after them.

        Virtual addresses that go are gone, and those that close are shut, before it has no server for their clients. One that
        moves between it and the kernel never leads nowhere: it leads to the kernel before HAProxy forgets it, and away
        from there when HAProxy knows it. What is needed to meet oneself is there for as long as anything leads there.
        """
        first, rest = Transaction(sets=self.sets, chains=self.chains), Transaction()
        proxied, balanced = self._coming(_LED), self._coming(_BALANCED)
        for key in sorted(self.removals, key=_meets):
            late = bool(rest.removals) if _meets(key) else _virtual_address_of(key) in proxied
            if _shuts(key):
                late = key not in self.additions and _virtual_address_of(key) not in balanced
            (rest if late else first).removals[key] = self.removals[key]
        for key in sorted(self.additions, key=_meets):
            late = (
                not (first.additions or first.chains)
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
        """Return it as nft reads it. Chains that are not reachable any more stay: see `Table.stale`."""
        lines = [f'add {_declaration(declaration)}' for declaration in self.sets.values()]
        for name in self.chains:
            lines += [f'add chain {TABLE} {name}', f'flush chain {TABLE} {name}']
        for name, chain in self.chains.items():
            lines += rules(name, chain)
        lines += _element_commands('delete', dict.fromkeys(self.removals, ''))
        lines += _element_commands('add', self.additions)
        return ''.join(f'{line}\n' for line in lines)


def rules(name: str, chain: Chain) -> list[str]:
    """Return the commands that add a chain's rules."""
    return [f'add rule {TABLE} {name} {rule} comment "{layout.comment(rule)}"' for rule in chain.rules]


def _declaration(declaration: str) -> str:
    kind, _, rest = declaration.partition(' ')
    return f'{kind} {TABLE} {rest}'


def _element_commands(verb: str, values_by_element: Mapping[Element, str]) -> list[str]:
    by_set: dict[str, list[str]] = {}
    for (name, key), value in sorted(values_by_element.items()):
        by_set.setdefault(name, []).append(f'{key} : {value}' if value else key)
    return [
        f'{verb} element {TABLE} {name} {{ {", ".join(keys[start : start + _CHUNK])} }}'
        for name, keys in by_set.items()
        for start in range(0, len(keys), _CHUNK)
    ]


class Table:
    """The table as it should be. Only its owner changes it; `stale` are chains and sets that are not reachable any more."""

    def __init__(self, snapshot: ModelSnapshot, facts: NodeFacts) -> None:
        self.facts = facts
        self.elements: Elements = layout.fixed_elements(facts)
        self.groups: dict[str, Balanced] = {}
        self.stale: set[str] = set()
        self._users: Counter[str] = Counter()
        for (kind, key), content in snapshot.pointers.items():
            if kind is Kind.VIRTUAL_ADDRESS and isinstance(content, VirtualAddress):
                self.elements |= elements(key, content, facts)
                self._users.update(_spares(content))
        for fragment in snapshot.fragments.values():
            for balanced in fragment.balanced:
                self.groups[balanced.name] = balanced
                self._meet(balanced, 1)
        self.elements |= {_hairpin(address): '' for address in self._users}

    def copy(self, facts: NodeFacts) -> 'Table':
        """Return the table as it is now and stays, with facts that differ in `bypass` alone; only for its text."""
        table = Table(ModelSnapshot(), facts)
        table.elements, table.groups = dict(self.elements), dict(self.groups)
        return table

    def _meet(self, balanced: Balanced, step: int) -> None:
        for address, _ in balanced.endpoints:
            self._users[address] += step

    def chains(self) -> dict[str, Chain]:
        """Return all chains, each before it is jumped to."""
        chains: dict[str, Chain] = {}
        for name in sorted(self.groups):
            chains |= group(self.groups[name]).chains
        return layout.chains(self.facts) | chains

    def sets(self) -> dict[str, str]:
        """Return the declarations of all sets and maps."""
        declarations = layout.sets()
        for name in sorted(self.groups):
            declarations |= group(self.groups[name]).sets
        return declarations

    def text(self) -> str:
        """Return the transaction that makes the table anew, whatever is there."""
        lines = [f'add table {TABLE}', f'delete table {TABLE}', f'add table {TABLE}']
        lines += [f'add {_declaration(declaration)}' for declaration in self.sets().values()]
        chains = self.chains()
        for name, chain in chains.items():
            head = f' {{ {chain.head}; policy accept; }}' if chain.head else ''
            lines.append(f'add chain {TABLE} {name}{head}')
        for name, chain in chains.items():
            lines += rules(name, chain)
        return ''.join(f'{line}\n' for line in (*lines, *_element_commands('add', self.elements)))

    def change(self, change: Change) -> Transaction:
        """Note a change of the model, and return what leads to it."""
        transaction = Transaction()
        touched: set[Element] = set()
        desired: Elements = {}
        for pointer in change.pointers:
            if pointer.key[0] is Kind.VIRTUAL_ADDRESS:
                self._reopen(pointer, touched, desired)
        for item in change.fragments:
            self._regroup(item.old, item.new, transaction, touched)
        for name, addresses in touched:
            if name.startswith('hairpin') and self._users[addresses.partition(' ')[0]] > 0:
                desired[name, addresses] = ''
        for key in sorted(touched | desired.keys()):
            previous, value = self.elements.get(key), desired.get(key)
            if previous == value:
                continue
            if previous is not None:
                transaction.removals[key] = previous
                del self.elements[key]
            if value is not None:
                transaction.additions[key] = self.elements[key] = value
        return transaction

    def _reopen(self, pointer: PointerChange, touched: set[Element], desired: Elements) -> None:
        key = pointer.key[1]
        if isinstance(pointer.old, VirtualAddress):
            touched.update(elements(key, pointer.old, self.facts))
            self._users.subtract(spares := _spares(pointer.old))
            touched.update(map(_hairpin, spares))
        if isinstance(pointer.new, VirtualAddress):
            desired.update(elements(key, pointer.new, self.facts))
            self._users.update(spares := _spares(pointer.new))
            touched.update(map(_hairpin, spares))

    def _regroup(
        self, old: Fragment | None, new: Fragment | None, transaction: Transaction, touched: set[Element]
    ) -> None:
        before = {balanced.name: balanced for balanced in old.balanced} if old else {}
        after = {balanced.name: balanced for balanced in new.balanced} if new else {}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            for balanced, step in ((before.get(name), -1), (after.get(name), 1)):
                if balanced is not None:
                    self._meet(balanced, step)
                    touched |= {_hairpin(address) for address, _ in balanced.endpoints}
            before_parts = group(before[name]) if name in before else Group({}, {})
            after_parts = group(after[name]) if name in after else Group({}, {})
            transaction.chains |= {
                key: chain for key, chain in after_parts.chains.items() if before_parts.chains.get(key) != chain
            }
            transaction.sets |= {key: text for key, text in after_parts.sets.items() if key not in before_parts.sets}
            self.stale |= (before_parts.chains.keys() - after_parts.chains.keys()) | (
                before_parts.sets.keys() - after_parts.sets.keys()
            )
            self.stale -= after_parts.chains.keys() | after_parts.sets.keys()
            if name in after:
                self.groups[name] = after[name]
            else:
                del self.groups[name]

    def move(self, facts: NodeFacts) -> Transaction | None:
        """Note other facts of the node, and return what leads to it; None where the table has to be made anew."""
        previous = self.facts
        families = ({family(network) for network in each.pods} for each in (previous, facts))
        differs = replace(facts, local_pods=previous.local_pods, pods=previous.pods) != previous
        if differs or len(set(map(frozenset, families))) > 1:
            return None
        before, after = layout.fixed_elements(previous), layout.fixed_elements(facts)
        transaction = Transaction(
            removals={key: '' for key in before if key not in after},
            additions={key: '' for key in after if key not in before},
        )
        self.facts = facts
        self.elements = {
            key: value for key, value in self.elements.items() if key not in transaction.removals
        } | transaction.additions
        return transaction

    def inherit(self, before: 'Table') -> None:
        """Note what a table before this one has left in the kernel that is not reachable any more."""
        names = before.stale | before.chains().keys() | before.sets().keys()
        self.stale = names - self.chains().keys() - self.sets().keys()

    def switch(self, *, bypass: bool) -> str:
        """Note that HAProxy is away, or back, and return the transaction that leads plain TCP past it, or to it again."""
        self.facts = replace(self.facts, bypass=bypass)
        chains = layout.chains(self.facts)
        lines = []
        for name in layout.PAST:
            lines += [f'flush chain {TABLE} {name}', *rules(name, chains[name])]
        return ''.join(f'{line}\n' for line in lines)

    def sweep(self) -> str:
        """Return the transaction that removes what is not reachable any more, '' for nothing; chains before sets.

        They are not removed in the transaction that made them idle: kernels count the verdicts of maps until it is done.
        """
        ordered = sorted(self.stale, key=lambda name: (not name.startswith('b-'), not name.startswith('e-'), name))
        self.stale.clear()
        lines = [f'delete {"set" if name.startswith("a-") else "chain"} {TABLE} {name}' for name in ordered]
        return ''.join(f'{line}\n' for line in lines)


def _shuts(key: Element) -> bool:
    return 'shut' in key[0]


def _meets(key: Element) -> bool:
    return key[0].startswith('hairpin')


def _virtual_address_of(key: Element) -> str:
    """Return the address, protocol and port that an element begins with."""
    return ' . '.join(key[1].split(' . ')[:3])


def _hairpin(address: str) -> Element:
    return f'hairpin{family(address)}', f'{address} . {address}'
