"""From the model to the node's table, and from a change of the model to a transaction of element changes.

Pure. A virtual address is a handful of elements, a group of endpoints one chain (with affinity one more for each endpoint), so one
change costs as much as itself.
"""

import ipaddress
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import accumulate, islice

from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import Action, Balanced, TrafficPath, VirtualAddress
from headrace.nft import layout, messages
from headrace.nft.layout import TABLE, Chain, NodeFacts, family, host, ip_keyword
from headrace.nft.messages import Sum
from headrace.nft.transaction import Element, Elements, Transaction, declared, element_commands, rules
from headrace.resolve.changes import Change, PointerChange
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate.virtual_addresses import SLOTS

# So many clients an endpoint remembers, so that clients cannot fill the kernel's memory.
_AFFINITY_SIZE = 262_144
# A draw among endpoints with weights is one of so many.
_WEIGHTED_DRAWS = 65_536
# Where the ports of the listener that a virtual address leads to begin.
_LISTENERS = {'http': 0, 'tcp': 2, 'tls': 4}
# The elements of so many virtual addresses are made at once.
_BLOCK = 500
# And so many chains: the kernel goes through all maps of a transaction for each one of it.
_GROUPS = 200


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
        mark = _mark(balanced, address, port)
        marks.append(mark)
        kind = f'type ipv{family(address)}_addr; flags dynamic,timeout'
        clients = clients_set(balanced, address, port)
        sets[clients] = f'set {clients} {{ {kind}; timeout {balanced.affinity}s; size {_AFFINITY_SIZE}; }}'
        target = f'[{address}]:{port}' if ':' in address else f'{address}:{port}'
        rule = f'meta l4proto {protocol} update @{clients} {{ {keyword} saddr }} dnat {keyword} to {target}'
        chains[f'e-{mark}'] = Chain('', (rule,))
    returning = [f'{keyword} saddr @a-{mark}-{balanced.affinity} goto e-{mark}' for mark in marks]
    spread = ', '.join(f'{draw} : goto e-{mark}' for draw, mark in zip(draws, marks, strict=True) if draw)
    chains[f'b-{balanced.name}'] = Chain('', (*returning, f'numgen random mod {size} vmap {{ {spread} }}'))
    return Group(chains, sets)


def _mark(balanced: Balanced, address: str, port: int) -> str:
    return f'{balanced.name}-{ipaddress.ip_address(address).packed.hex()}{port:04x}'


def clients_set(balanced: Balanced, address: str, port: int) -> str:
    """Return the name of the set of the clients that an endpoint has; the time is a part of it, for a set's own cannot be changed."""
    return f'a-{_mark(balanced, address, port)}-{balanced.affinity}'


def is_even(balanced: Balanced) -> bool:
    """Tell whether each endpoint of a group has one draw, and no client is remembered."""
    return not balanced.affinity and not balanced.weights


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


class Table:
    """The table as it should be. Only its owner changes it; `stale` are chains and sets that are not reachable any more.

    Its elements follow from virtual addresses, and are as many as two dozen for each, so they are made when they are
    asked for.
    """

    def __init__(self, snapshot: ModelSnapshot, facts: NodeFacts) -> None:
        self.facts = facts
        self.virtual_addresses: dict[str, VirtualAddress] = {}
        self.groups: dict[str, Balanced] = {}
        self.stale: set[str] = set()
        self._users: Counter[str] = Counter()
        self._size: int | None = None
        for (kind, key), content in snapshot.pointers.items():
            if kind is Kind.VIRTUAL_ADDRESS and isinstance(content, VirtualAddress):
                self.virtual_addresses[key] = content
                self._users.update(_spares(content))
        for fragment in snapshot.fragments.values():
            for balanced in fragment.balanced:
                self.groups[balanced.name] = balanced
                self._users.update(address for address, _ in balanced.endpoints)

    def copy(self, facts: NodeFacts) -> 'Table':
        """Return the table as it is now and stays, with facts that differ in `bypass` alone; only for its text."""
        table = Table(ModelSnapshot(), facts)
        table.virtual_addresses, table.groups = dict(self.virtual_addresses), dict(self.groups)
        table._users = self._users.copy()
        return table

    def blocks(self) -> Iterator[Elements]:
        """Yield all elements, those of a virtual address together, in parts that are small enough to be handled at once."""
        yield layout.fixed_elements(self.facts)
        for keys in _batched(self.virtual_addresses, _BLOCK):
            block: Elements = {}
            for key in keys:
                block |= elements(key, self.virtual_addresses[key], self.facts)
            yield block
        for addresses in _batched(self._users, _BLOCK * SLOTS):
            yield {_hairpin(address): '' for address in addresses}

    @property
    def elements(self) -> Elements:
        """Return all elements at once, which takes much memory where they are many."""
        return {key: value for block in self.blocks() for key, value in block.items()}

    @property
    def size(self) -> int:
        """Return how many elements there are."""
        if self._size is None:
            self._size = sum(map(len, self.blocks()))
        return self._size

    def of_sets(self, names: Container[str]) -> Elements:
        """Return the elements of some sets."""
        return {key: value for block in self.blocks() for key, value in block.items() if key[0] in names}

    def sums(self) -> dict[str, Sum]:
        """Return of each set without intervals how many elements it has, and the sum of their hashes."""
        return messages.sums(self.blocks())

    def each_chain(self) -> Iterator[tuple[str, Chain]]:
        """Yield all chains, each before it is jumped to where that is by a rule."""
        yield from layout.chains(self.facts).items()
        for name in sorted(self.groups):
            yield from group(self.groups[name]).chains.items()

    def chains(self) -> dict[str, Chain]:
        """Return all chains by name."""
        return dict(self.each_chain())

    def sets(self) -> dict[str, str]:
        """Return the declarations of all sets and maps."""
        declarations = layout.sets()
        for name in sorted(self.groups):
            declarations |= group(self.groups[name]).sets
        return declarations

    def text(self) -> str:
        """Return the transaction that makes the table anew, whatever is there."""
        lines = [f'add {declared(declaration)}' for declaration in self.sets().values()]
        return ''.join((*_frame(self.chains(), lines), *(_text(block) for block in self.blocks())))

    def frame(self) -> str:
        """Return the transaction that makes the table anew without what `parts` adds, in which it serves nothing."""
        lines = [f'add {declared(declaration)}' for declaration in layout.sets().values()]
        return ''.join((*_frame(layout.chains(self.facts), lines), _text(layout.fixed_elements(self.facts))))

    def parts(self) -> Iterator[Transaction]:
        """Yield what `frame` is without, in transactions of which none takes the kernel long."""
        kinds = (True, False)
        for wanted in kinds:
            names = sorted(name for name, balanced in self.groups.items() if is_even(balanced) is wanted)
            for part in _batched(names, _GROUPS):
                transaction = Transaction()
                for name in part:
                    balanced = self.groups[name]
                    found = group(balanced)
                    transaction.sets |= found.sets
                    transaction.chains |= found.chains
                    transaction.even |= dict.fromkeys(found.chains, balanced) if wanted else {}
                yield transaction
        for block in islice(self.blocks(), 1, None):
            for wanted in kinds:
                additions = {key: value for key, value in block.items() if messages.has_intervals(key[0]) is not wanted}
                if additions:
                    yield Transaction(additions=additions)

    def change(self, change: Change) -> Transaction:
        """Note a change of the model, and return what leads to it."""
        transaction = Transaction()
        before, after, met = Elements(), Elements(), dict[str, bool]()
        for pointer in change.pointers:
            if pointer.key[0] is Kind.VIRTUAL_ADDRESS:
                self._reopen(pointer, before, after, met)
        for item in change.fragments:
            self._regroup(item.old, item.new, transaction, met)
        for address, was_met in met.items():
            if was_met:
                before[_hairpin(address)] = ''
            if address in self._users:
                after[_hairpin(address)] = ''
        transaction.removals |= {key: before[key] for key in sorted(before) if after.get(key) != before[key]}
        transaction.additions |= {key: after[key] for key in sorted(after) if before.get(key) != after[key]}
        if self._size is not None:
            self._size += len(transaction.additions) - len(transaction.removals)
        return transaction

    def _reopen(self, pointer: PointerChange, before: Elements, after: Elements, met: dict[str, bool]) -> None:
        key = pointer.key[1]
        if (old := self.virtual_addresses.pop(key, None)) is not None:
            before |= elements(key, old, self.facts)
            self._meet(_spares(old), -1, met)
        if isinstance(pointer.new, VirtualAddress):
            self.virtual_addresses[key] = pointer.new
            after |= elements(key, pointer.new, self.facts)
            self._meet(_spares(pointer.new), 1, met)

    def _meet(self, addresses: Iterable[str], step: int, met: dict[str, bool]) -> None:
        """Count what leads to some addresses; `met` notes for each whether anything did before."""
        for address in addresses:
            met.setdefault(address, address in self._users)
            self._users[address] += step
            if not self._users[address]:
                del self._users[address]

    def _regroup(
        self, old: Fragment | None, new: Fragment | None, transaction: Transaction, met: dict[str, bool]
    ) -> None:
        before = {balanced.name: balanced for balanced in old.balanced} if old else {}
        after = {balanced.name: balanced for balanced in new.balanced} if new else {}
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            for balanced, step in ((before.get(name), -1), (after.get(name), 1)):
                if balanced is not None:
                    self._meet((address for address, _ in balanced.endpoints), step, met)
            before_parts = group(before[name]) if name in before else Group({}, {})
            after_parts = group(after[name]) if name in after else Group({}, {})
            transaction.chains |= {
                key: chain for key, chain in after_parts.chains.items() if before_parts.chains.get(key) != chain
            }
            transaction.even |= {
                key: after[name] for key in after_parts.chains if key in transaction.chains and is_even(after[name])
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
        self.facts, self._size = facts, None
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


def _frame(chains: Mapping[str, Chain], declarations: Iterable[str]) -> Iterator[str]:
    """Yield the commands that make a table of sets and chains anew."""
    yield from (f'{verb} table {TABLE}\n' for verb in ('add', 'delete', 'add'))
    yield from (f'{declaration}\n' for declaration in declarations)
    for name, chain in chains.items():
        head = f' {{ {chain.head}; policy accept; }}' if chain.head else ''
        yield f'add chain {TABLE} {name}{head}\n'
    for name, chain in chains.items():
        yield from (f'{rule}\n' for rule in rules(name, chain))


def _text(block: Elements) -> str:
    return ''.join(f'{command}\n' for command in element_commands('add', block))


def _batched(items: Iterable[str], size: int) -> Iterator[tuple[str, ...]]:
    rest = iter(items)
    while part := tuple(islice(rest, size)):
        yield part


def _hairpin(address: str) -> Element:
    return f'hairpin{family(address)}', f'{address} . {address}'
