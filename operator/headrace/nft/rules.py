"""From the model to the node's table, and from a change of the model to a transaction of element changes.

Pure. A virtual address is a handful of elements, and one for each endpoint, so one change costs as much as itself.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import islice

from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import Balanced, VirtualAddress
from headrace.nft import groups, layout, messages
from headrace.nft.elements import draws, elements
from headrace.nft.groups import Draw, Group, group, is_even
from headrace.nft.layout import TABLE, Chain, NodeFacts, family
from headrace.nft.messages import Sum
from headrace.nft.transaction import Element, Elements, Transaction, declared, element_commands, rules
from headrace.resolve.changes import Change
from headrace.resolve.model_snapshot import ModelSnapshot
from headrace.translate.virtual_addresses import SLOTS

# The elements of so many virtual addresses are made at once.
_BLOCK = 500
# And so many groups with chains of their own.
_GROUPS = 200


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
        # How much leads to each endpoint that may meet itself, and how many virtual addresses draw by each chain.
        self._users: Counter[str] = Counter()
        self._draws: Counter[Draw] = Counter()
        self._size: int | None = None
        for (kind, key), content in snapshot.pointers.items():
            if kind is Kind.VIRTUAL_ADDRESS and isinstance(content, VirtualAddress):
                self.virtual_addresses[key] = content
                self._users.update(_spares(content))
        for fragment in snapshot.fragments.values():
            for balanced in fragment.balanced:
                self.groups[balanced.name] = balanced
                self._users.update(balanced.local)
        for virtual_address in self.virtual_addresses.values():
            self._draws.update(draws(virtual_address, self.groups))

    def copy(self, facts: NodeFacts) -> 'Table':
        """Return the table as it is now and stays, with facts that differ in `bypass` alone; only for its text."""
        table = Table(ModelSnapshot(), facts)
        table.virtual_addresses, table.groups = dict(self.virtual_addresses), dict(self.groups)
        table._users, table._draws = self._users.copy(), self._draws.copy()
        return table

    def blocks(self) -> Iterator[Elements]:
        """Yield all elements, those of a virtual address together, in parts that are small enough to be handled at once."""
        yield layout.fixed_elements(self.facts)
        for keys in _batched(self.virtual_addresses, _BLOCK):
            block: Elements = {}
            for key in keys:
                block |= elements(key, self.virtual_addresses[key], self.facts, self.groups)
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
        for draw in sorted(self._draws):
            yield draw.name, draw.chain
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

    def missing(self, chains: Mapping[str, tuple[str, ...]]) -> Transaction:
        """Return the transaction that makes chains of groups which differ from those of a kernel, by their comments.

        What it has besides, and nothing leads to, is stale.
        """
        transaction, wanted = Transaction(), set[str]()
        for draw in self._draws:
            wanted.add(draw.name)
            if chains.get(draw.name) != draw.chain.comments:
                transaction.draws.add(draw)
        for balanced in self.groups.values():
            own = group(balanced)
            wanted |= own.chains.keys()
            differing = {name: chain for name, chain in own.chains.items() if chains.get(name) != chain.comments}
            if differing:
                transaction.chains |= differing
                transaction.sets |= own.sets
        self.stale |= {name for name in chains if groups.order(name) >= 0 and name not in wanted}
        return transaction

    def frame(self) -> str:
        """Return the transaction that makes the table anew without what `parts` adds, in which it serves nothing."""
        lines = [f'add {declared(declaration)}' for declaration in layout.sets().values()]
        chains = layout.chains(self.facts) | {draw.name: draw.chain for draw in sorted(self._draws)}
        return ''.join((*_frame(chains, lines), _text(layout.fixed_elements(self.facts))))

    def parts(self) -> Iterator[Transaction]:
        """Yield what `frame` is without, in transactions of which none takes the kernel long."""
        for names in _batched(sorted(name for name, balanced in self.groups.items() if not is_even(balanced)), _GROUPS):
            transaction = Transaction()
            for name in names:
                own = group(self.groups[name])
                transaction.sets |= own.sets
                transaction.chains |= own.chains
            yield transaction
        for block in islice(self.blocks(), 1, None):
            for wanted in (True, False):
                additions = {key: value for key, value in block.items() if messages.has_intervals(key[0]) is not wanted}
                if additions:
                    yield Transaction(additions=additions)

    def change(self, change: Change) -> Transaction:
        """Note a change of the model, and return what leads to it."""
        transaction = Transaction()
        keys = self._touched(change)
        met, drawn = dict[str, bool](), Counter[Draw]()
        before = self._note(keys, drawn, -1)
        for pointer in change.pointers:
            if pointer.key[0] is Kind.VIRTUAL_ADDRESS:
                self._reopen(pointer.key[1], pointer.new if isinstance(pointer.new, VirtualAddress) else None, met)
        for item in change.fragments:
            self._regroup(item.old, item.new, transaction, met)
        after = self._note(keys, drawn, 1)
        self._redraw(drawn, transaction)
        for address, was_met in met.items():
            if was_met:
                before[_hairpin(address)] = ''
            if address in self._users:
                after[_hairpin(address)] = ''
        gone = sorted(key for key, value in before.items() if after.get(key) != value)
        come = sorted(key for key, value in after.items() if before.get(key) != value)
        transaction.removals |= {key: before[key] for key in gone}
        transaction.additions |= {key: after[key] for key in come}
        if self._size is not None:
            self._size += len(transaction.additions) - len(transaction.removals)
        return transaction

    def _touched(self, change: Change) -> list[str]:
        """Return the keys of the virtual addresses that a change changes, or the endpoints of."""
        keys = {pointer.key[1] for pointer in change.pointers if pointer.key[0] is Kind.VIRTUAL_ADDRESS}
        for item in change.fragments:
            if _balanced(item.old) != _balanced(item.new):
                keys.update(
                    claim.key
                    for fragment in (item.old, item.new)
                    for claim in (fragment.claims if fragment else ())
                    if claim.kind is Kind.VIRTUAL_ADDRESS
                )
        return sorted(keys)

    def _note(self, keys: Iterable[str], drawn: Counter[Draw], step: int) -> Elements:
        """Return the elements of some virtual addresses as they are now, and count what they draw by."""
        found: Elements = {}
        for key in keys:
            if (virtual_address := self.virtual_addresses.get(key)) is not None:
                found |= elements(key, virtual_address, self.facts, self.groups)
                for draw in draws(virtual_address, self.groups):
                    drawn[draw] += step
        return found

    def _reopen(self, key: str, new: VirtualAddress | None, met: dict[str, bool]) -> None:
        if (old := self.virtual_addresses.pop(key, None)) is not None:
            self._meet(_spares(old), -1, met)
        if new is not None:
            self.virtual_addresses[key] = new
            self._meet(_spares(new), 1, met)

    def _redraw(self, drawn: Counter[Draw], transaction: Transaction) -> None:
        """Note what more and fewer virtual addresses draw by."""
        for draw, step in drawn.items():
            was_drawn = draw in self._draws
            self._draws[draw] += step
            if not self._draws[draw]:
                del self._draws[draw]
                self.stale.add(draw.name)
            elif not was_drawn:
                transaction.draws.add(draw)
                self.stale.discard(draw.name)

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
        before, after = _balanced(old), _balanced(new)
        for name in sorted(before.keys() | after.keys()):
            if before.get(name) == after.get(name):
                continue
            for balanced, step in ((before.get(name), -1), (after.get(name), 1)):
                if balanced is not None:
                    self._meet(balanced.local, step, met)
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
        self.facts, self._size = facts, None
        return transaction

    def inherit(self, before: 'Table') -> None:
        """Note what a table before this one has left in the kernel that is not reachable any more."""
        names = before.stale | before.chains().keys() | before.sets().keys()
        self.stale = names - self.chains().keys() - self.sets().keys()

    def switch(self, *, bypass: bool) -> str:
        """Note that HAProxy is away, or back, and return the transaction that leads plain TCP past it, or to it again."""
        self.facts = replace(self.facts, bypass=bypass)
        return self.refill(layout.PAST)

    def refill(self, names: Iterable[str]) -> str:
        """Return the transaction that gives some of the fixed chains their rules anew."""
        chains = layout.chains(self.facts)
        lines = [f'flush chain {TABLE} {name}' for name in names]
        lines += [line for name in names for line in rules(name, chains[name])]
        return ''.join(f'{line}\n' for line in lines)

    def sweep(self) -> str:
        """Return the transaction that removes what is not reachable any more, '' for nothing; chains before sets.

        They are not removed in the transaction that made them idle: kernels count the verdicts of maps until it is done.
        """
        ordered = sorted(self.stale, key=lambda name: (-groups.order(name), name))
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


def _spares(virtual_address: VirtualAddress) -> set[str]:
    """Return the addresses on this node that a virtual address can lead to past HAProxy."""
    return {*virtual_address.external_path.local, *virtual_address.local_path.local}


def _balanced(fragment: Fragment | None) -> dict[str, Balanced]:
    return {balanced.name: balanced for balanced in fragment.balanced} if fragment else {}
