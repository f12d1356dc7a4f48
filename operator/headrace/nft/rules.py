"""From the model to the node's table, and from a change of the model to a transaction of element changes.

Pure. A virtual address is a handful of elements, a group of endpoints one chain (with affinity one more for each endpoint), so one
change costs as much as itself. What nft gets is text: its JSON parser (1.0.6) crashes on a rule that leads to the
address and port in a map. Nothing of that text comes from an object but parsed addresses, ports and hashes.
"""

import ipaddress
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import Action, Balanced, TrafficPath, VirtualAddress
from headrace.nft import layout
from headrace.nft.layout import TABLE, Chain, NodeFacts, family, host, word
from headrace.resolve.changes import Change, PointerChange
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate.virtual_addresses import SLOTS

Element = tuple[str, str]
Elements = dict[Element, str]
# So many clients an endpoint remembers, so that clients cannot fill the kernel's memory.
_AFFINITY_SIZE = 262_144
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
    where, _, protocol = key.rpartition('/')
    address, _, number = where.rpartition(':')
    of = family(address)
    at = f'{address} . {protocol.lower()} . {number}'
    found = _side(virtual_address, virtual_address.external_path, 'far', at, facts)
    if virtual_address.local_path != virtual_address.external_path:
        local_path = _side(virtual_address, virtual_address.local_path, 'near', at, facts)
        if (
            virtual_address.local_path.action is Action.SERVE
            and virtual_address.external_path.action is not Action.SERVE
        ):
            local_path['nearshut', at] = 'accept'
        found |= local_path
    if virtual_address.ranges is not None:
        found['ranged', at] = ''
        found |= {('ranges', f'{at} . {host(network)}'): '' for network in virtual_address.ranges}
    return {(f'{name}{of}', text): value for (name, text), value in found.items()}


def _side(virtual_address: VirtualAddress, path: TrafficPath, whose: str, at: str, facts: NodeFacts) -> Elements:
    prefix = '' if whose == 'far' else 'near'
    if path.action is not Action.SERVE:
        return {(f'{prefix}shut', at): 'drop' if path.action is Action.DROP else 'goto refuse'}
    if virtual_address.datapath == 'kernel':
        return {(f'{prefix}hit', at): f'goto b-{path.group}', **_hidden(virtual_address, prefix, '', at)}
    address = virtual_address.synthetic_address or (facts.address if ':' not in at else '')
    port = facts.ports[_LISTENERS[virtual_address.datapath] + (whose == 'near')]
    found: Elements = {(whose, at): f'{address} . {port}'} if address else {}
    if path.spare:
        found |= _hidden(virtual_address, prefix, 'spare', at)
        for slot in range(SLOTS):
            endpoint, to = path.spare[slot % len(path.spare)]
            found[f'{prefix}spare', f'{at} . {slot}'] = f'{endpoint} . {to}'
    return found


def _spares(virtual_address: VirtualAddress) -> set[str]:
    """Return the addresses that a virtual address can lead to past HAProxy."""
    return {
        address for path in (virtual_address.external_path, virtual_address.local_path) for address, _ in path.spare
    }


def _hidden(virtual_address: VirtualAddress, prefix: str, kind: str, at: str) -> Elements:
    """Return what hides clients behind the node: all of an outer virtual address, of an inner one those that are no pods."""
    if prefix or (virtual_address.outer and not virtual_address.masked):
        return {}
    return {(f'{kind}masq' if virtual_address.outer else f'{kind}inner', at): ''}


def group(held: Balanced) -> Group:
    """Return a group's chains and sets."""
    protocol = held.protocol.lower()
    of = word(family(held.endpoints[0][0]))
    size = len(held.endpoints)
    if not held.affinity:
        listed = ', '.join(f'{index} : {address} . {port}' for index, (address, port) in enumerate(held.endpoints))
        rule = f'meta l4proto {protocol} dnat {of} to numgen random mod {size} map {{ {listed} }}'
        return Group({f'b-{held.name}': Chain('', (rule,))}, {})
    chains, sets, marks = {}, {}, []
    for address, port in held.endpoints:
        mark = f'{held.name}-{ipaddress.ip_address(address).packed.hex()}{port:04x}'
        marks.append(mark)
        kind = f'type ipv{family(address)}_addr; flags dynamic,timeout'
        # The time is a part of the name: a set's own cannot be changed.
        clients = f'a-{mark}-{held.affinity}'
        sets[clients] = f'set {clients} {{ {kind}; timeout {held.affinity}s; size {_AFFINITY_SIZE}; }}'
        target = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
        rule = f'meta l4proto {protocol} update @{clients} {{ {of} saddr }} dnat {of} to {target}'
        chains[f'e-{mark}'] = Chain('', (rule,))
    known = [f'{of} saddr @a-{mark}-{held.affinity} goto e-{mark}' for mark in marks]
    spread = ', '.join(f'{index} : goto e-{mark}' for index, mark in enumerate(marks))
    chains[f'b-{held.name}'] = Chain('', (*known, f'numgen random mod {size} vmap {{ {spread} }}'))
    return Group(chains, sets)


@dataclass(slots=True)
class Transaction:
    """What is to be done to the table at once: elements and chains that go and come."""

    gone: Elements = field(default_factory=dict)
    come: Elements = field(default_factory=dict)
    sets: dict[str, str] = field(default_factory=dict)
    chains: dict[str, Chain] = field(default_factory=dict)

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.gone or self.come or self.sets or self.chains)

    def split(self) -> tuple['Transaction', 'Transaction']:
        """Return what is to be done before HAProxy gets its commands, and what only after them.

        Virtual addresses that go are gone, and those that close are shut, before it has no server for their clients. One that
        moves between it and the kernel never leads nowhere: it leads to the kernel before HAProxy forgets it, and away
        from there when HAProxy knows it. What is needed to meet oneself is there for as long as anything leads there.
        """
        first, rest = Transaction(sets=self.sets, chains=self.chains), Transaction()
        led, balanced = self._coming(_LED), self._coming(_BALANCED)
        for key in sorted(self.gone, key=_meets):
            late = bool(rest.gone) if _meets(key) else _virtual_address_of(key) in led
            if _shuts(key):
                late = key not in self.come and _virtual_address_of(key) not in balanced
            (rest if late else first).gone[key] = self.gone[key]
        for key in sorted(self.come, key=_meets):
            late = (
                not (first.come or first.chains) if _meets(key) else _virtual_address_of(key) in led and not _shuts(key)
            )
            (rest if late else first).come[key] = self.come[key]
        return first, rest

    def _coming(self, maps: frozenset[str]) -> set[str]:
        """Return the virtual addresses that get an element in one of these maps."""
        return {_virtual_address_of(key) for key in self.come if key[0][:-1] in maps}

    @property
    def text(self) -> str:
        """Return it as nft reads it. Chains that are not reachable any more stay: see `Table.stale`."""
        lines = [f'add {_declared(declaration)}' for declaration in self.sets.values()]
        for name in self.chains:
            lines += [f'add chain {TABLE} {name}', f'flush chain {TABLE} {name}']
        for name, chain in self.chains.items():
            lines += rules(name, chain)
        lines += _named('delete', dict.fromkeys(self.gone, ''))
        lines += _named('add', self.come)
        return ''.join(f'{line}\n' for line in lines)


def rules(name: str, chain: Chain) -> list[str]:
    """Return the commands that add a chain's rules."""
    return [f'add rule {TABLE} {name} {rule} comment "{layout.comment(rule)}"' for rule in chain.rules]


def _declared(declaration: str) -> str:
    kind, _, rest = declaration.partition(' ')
    return f'{kind} {TABLE} {rest}'


def _named(verb: str, found: Mapping[Element, str]) -> list[str]:
    by_set: dict[str, list[str]] = {}
    for (name, key), value in sorted(found.items()):
        by_set.setdefault(name, []).append(f'{key} : {value}' if value else key)
    return [
        f'{verb} element {TABLE} {name} {{ {", ".join(listed[at : at + _CHUNK])} }}'
        for name, listed in by_set.items()
        for at in range(0, len(listed), _CHUNK)
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
            for held in fragment.balanced:
                self.groups[held.name] = held
                self._meet(held, 1)
        self.elements |= {_hairpin(address): '' for address in self._users}

    def copy(self, facts: NodeFacts) -> 'Table':
        """Return the table as it is now and stays, with facts that differ in `bypass` alone; only for its text."""
        made = Table(ModelSnapshot(), facts)
        made.elements, made.groups = dict(self.elements), dict(self.groups)
        return made

    def _meet(self, held: Balanced, step: int) -> None:
        for address, _ in held.endpoints:
            self._users[address] += step

    def chains(self) -> dict[str, Chain]:
        """Return all chains, each before it is jumped to."""
        found: dict[str, Chain] = {}
        for name in sorted(self.groups):
            found |= group(self.groups[name]).chains
        return layout.chains(self.facts) | found

    def sets(self) -> dict[str, str]:
        """Return the declarations of all sets and maps."""
        found = layout.sets()
        for name in sorted(self.groups):
            found |= group(self.groups[name]).sets
        return found

    def text(self) -> str:
        """Return the transaction that makes the table anew, whatever is there."""
        lines = [f'add table {TABLE}', f'delete table {TABLE}', f'add table {TABLE}']
        lines += [f'add {_declared(declaration)}' for declaration in self.sets().values()]
        chains = self.chains()
        for name, chain in chains.items():
            head = f' {{ {chain.head}; policy accept; }}' if chain.head else ''
            lines.append(f'add chain {TABLE} {name}{head}')
        for name, chain in chains.items():
            lines += rules(name, chain)
        return ''.join(f'{line}\n' for line in (*lines, *_named('add', self.elements)))

    def change(self, change: Change) -> Transaction:
        """Note a change of the model, and return what leads to it."""
        made = Transaction()
        touched: set[Element] = set()
        wanted: Elements = {}
        for pointer in change.pointers:
            if pointer.key[0] is Kind.VIRTUAL_ADDRESS:
                self._reopen(pointer, touched, wanted)
        for item in change.fragments:
            self._regroup(item.old, item.new, made, touched)
        for name, addresses in touched:
            if name.startswith('hairpin') and self._users[addresses.partition(' ')[0]] > 0:
                wanted[name, addresses] = ''
        for key in sorted(touched | wanted.keys()):
            held, value = self.elements.get(key), wanted.get(key)
            if held == value:
                continue
            if held is not None:
                made.gone[key] = held
                del self.elements[key]
            if value is not None:
                made.come[key] = self.elements[key] = value
        return made

    def _reopen(self, pointer: PointerChange, touched: set[Element], wanted: Elements) -> None:
        where = pointer.key[1]
        if isinstance(pointer.old, VirtualAddress):
            touched.update(elements(where, pointer.old, self.facts))
            self._users.subtract(spares := _spares(pointer.old))
            touched.update(map(_hairpin, spares))
        if isinstance(pointer.new, VirtualAddress):
            wanted.update(elements(where, pointer.new, self.facts))
            self._users.update(spares := _spares(pointer.new))
            touched.update(map(_hairpin, spares))

    def _regroup(self, old: Fragment | None, new: Fragment | None, made: Transaction, touched: set[Element]) -> None:
        before = {held.name: held for held in old.balanced} if old else {}
        after = {held.name: held for held in new.balanced} if new else {}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            for found, step in ((before.get(name), -1), (after.get(name), 1)):
                if found is not None:
                    self._meet(found, step)
                    touched |= {_hairpin(address) for address, _ in found.endpoints}
            parts = group(before[name]) if name in before else Group({}, {})
            kept = group(after[name]) if name in after else Group({}, {})
            made.chains |= {key: chain for key, chain in kept.chains.items() if parts.chains.get(key) != chain}
            made.sets |= {key: text for key, text in kept.sets.items() if key not in parts.sets}
            self.stale |= (parts.chains.keys() - kept.chains.keys()) | (parts.sets.keys() - kept.sets.keys())
            self.stale -= kept.chains.keys() | kept.sets.keys()
            if name in after:
                self.groups[name] = after[name]
            else:
                del self.groups[name]

    def move(self, facts: NodeFacts) -> Transaction | None:
        """Note other facts of the node, and return what leads to it; None where the table has to be made anew."""
        held = self.facts
        families = ({family(network) for network in each.pods} for each in (held, facts))
        moved = replace(facts, here=held.here, pods=held.pods) != held
        if moved or len(set(map(frozenset, families))) > 1:
            return None
        before, after = layout.fixed_elements(held), layout.fixed_elements(facts)
        made = Transaction(
            gone={key: '' for key in before if key not in after}, come={key: '' for key in after if key not in before}
        )
        self.facts = facts
        self.elements = {key: value for key, value in self.elements.items() if key not in made.gone} | made.come
        return made

    def inherit(self, before: 'Table') -> None:
        """Note what a table before this one has left in the kernel that is not reachable any more."""
        there = before.stale | before.chains().keys() | before.sets().keys()
        self.stale = there - self.chains().keys() - self.sets().keys()

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
