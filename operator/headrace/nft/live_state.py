"""What the kernel says that the table is, read from `nft -j list table`, and how that differs from what it should be.

Pure. Rules are compared by their comments, elements one by one; clients that are remembered by affinity are left out.
"""

from dataclasses import dataclass, field
from typing import Any

from headrace.nft import layout
from headrace.nft.rules import Table
from headrace.nft.transaction import Elements, Transaction


@dataclass(slots=True)
class LiveState:
    """The table as the kernel has it: its elements, and the comments of each chain's rules."""

    elements: Elements = field(default_factory=dict)
    chains: dict[str, tuple[str, ...]] = field(default_factory=dict)


def read(document: dict[str, Any]) -> LiveState:
    """Return what a listing holds; of chains that lie fallow nothing depends, so they are not read."""
    live = LiveState()
    for item in document.get('nftables', ()):
        for kind, value in item.items():
            if kind in ('set', 'map') and not value['name'].startswith('a-'):
                for element in value.get('elem', ()):
                    key, value_text = _element(element, is_map=kind == 'map')
                    live.elements[value['name'], key] = value_text
            elif kind == 'chain':
                live.chains.setdefault(value['name'], ())
            elif kind == 'rule':
                live.chains[value['chain']] = (*live.chains.get(value['chain'], ()), value.get('comment', ''))
    return live


def of_table(table: Table) -> LiveState:
    """Return what the kernel has after a table was applied, and no other program has changed it."""
    return LiveState(dict(table.elements), {name: chain.comments for name, chain in table.chains().items()})


def differences(table: Table, live: LiveState) -> list[str]:
    """Return how the kernel's table differs from what it should be, in words; the first ten of a kind."""
    chains = {name: chain.comments for name, chain in table.chains().items()}
    words = [f'chain {name}' for name, comments in chains.items() if live.chains.get(name) != comments][:10]
    if table.elements == live.elements:
        return words
    missing = sorted(table.elements.items() - live.elements.items())
    surplus = sorted(live.elements.items() - table.elements.items())
    words += [f'missing in {name}: {key}' for (name, key), _ in missing[:10]]
    return words + [f'surplus in {name}: {key}' for (name, key), _ in surplus[:10]]


def mending(table: Table, live: LiveState) -> str | None:
    """Return the transaction that makes the kernel's table true, '' for none; None where more than elements differ.

    Whether HAProxy is away is the one thing of the chains that comes and goes.
    """
    chains = {name for name, chain in table.chains().items() if live.chains.get(name) != chain.comments}
    if not chains <= set(layout.PAST) or not chains <= live.chains.keys():
        return None
    removed = {key: value for key, value in live.elements.items() if table.elements.get(key) != value}
    added = {key: value for key, value in table.elements.items() if live.elements.get(key) != value}
    return Transaction(removals=removed, additions=added).text + (
        table.switch(bypass=table.facts.bypass) if chains else ''
    )


def _element(element: Any, *, is_map: bool) -> tuple[str, str]:
    if is_map:
        key, value = element
        return _text(key), _text(value)
    return _text(element), ''


def _text(value: Any) -> str:
    """Return an expression of the listing as the ruleset writes it."""
    if not isinstance(value, dict):
        return str(value)
    if 'elem' in value:
        return _text(value['elem']['val'])
    if 'concat' in value:
        return ' . '.join(map(_text, value['concat']))
    if 'prefix' in value:
        return layout.host(f'{value["prefix"]["addr"]}/{value["prefix"]["len"]}')
    if 'goto' in value:
        return f'goto {value["goto"]["target"]}'
    return str(next(iter(value), ''))
