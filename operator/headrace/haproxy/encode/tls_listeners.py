"""Listeners with certificates of their own, for ports that end TLS on a node, and which port has which.

HAProxy finds a certificate by the name that a client sends, and clients of two Services may send the same one, or none. So
each such port has a listener to itself, whose list holds its certificates alone. All listeners are there from the start, and
a port that comes fills the list of one that is free, which costs no reload.

Pure. Which port has which listener follows from the ports alone, in whatever order they came: each has a number by its
policy, and where several want one number, the first by name has it and the others the next ones.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from headrace.haproxy.encode import syntax
from headrace.ir.backend import Mode
from headrace.ir.fragment import Content, Fragment, Kind
from headrace.ir.policy import Entry, Map
from headrace.ir.tls import HostTls
from headrace.resolve.changes import PointerChange
from headrace.resolve.claims import ClaimKey

# At least so many of each mode; at most half of them have a port.
_LEAST: dict[Mode, int] = {'http': 64, 'tcp': 16}
# Stands in the map for a port whose listener is being exchanged: no backend has this name.
NONE = '-'


@dataclass(frozen=True, slots=True)
class Layout:
    """Who has which listener. `tls` is the TLS of each port by its claimed key, `names` its listener.

    `sizes` are how many listeners of each mode there are; none where a worker has others than planned.
    """

    tls: Mapping[str, HostTls] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    sizes: Mapping[Mode, int] = field(default_factory=dict)

    def after(self, changes: Iterable[PointerChange]) -> 'Layout':
        """Return the layout after some changes of pointers; the same one where none is about a listener."""
        listener_changes = [change for change in changes if change.key[0] is Kind.LISTENER]
        if not listener_changes:
            return self
        tls = dict(self.tls)
        for change in listener_changes:
            tls.pop(change.key[1], None)
            if isinstance(change.new, HostTls):
                tls[change.key[1]] = change.new
        return of(tls)

    def every(self, mode: Mode) -> list[str]:
        """Return the names of all listeners of a mode."""
        return [_name(mode, number) for number in range(self.sizes.get(mode, 0))]

    def owners(self) -> dict[str, str]:
        """Return the keys of ports by the name of their listener."""
        return {name: key for key, name in self.names.items()}

    def entries(self) -> list[Entry]:
        """Return the entries by which HAProxy finds the listener of a port's policy."""
        return [entry(policy(key), name) for key, name in self.names.items()]


def entry(policy_name: str, name: str) -> Entry:
    """Return the entry that leads from a policy to a listener."""
    return Entry(Map.LISTENERS, policy_name, name)


def policy(key: str) -> str:
    """Return the policy of a port's claimed key, `MODE/POLICY`."""
    return key.partition('/')[2]


def of(tls: Mapping[str, HostTls]) -> Layout:
    """Return who has which listener of some ports that end TLS."""
    names: dict[str, str] = {}
    sizes: dict[Mode, int] = {}
    for mode, least in _LEAST.items():
        keys = sorted(key for key in tls if key.startswith(f'{mode}/'))
        size = least
        while size < 2 * len(keys):
            size *= 2
        sizes[mode] = size
        numbers: set[int] = set()
        for key in keys:
            number = int(policy(key)[:8], 16) % size
            while number in numbers:
                number = (number + 1) % size
            numbers.add(number)
            names[key] = _name(mode, number)
    return Layout(dict(tls), names, sizes)


def of_pointers(pointers: Mapping[ClaimKey, Content]) -> Layout:
    """Return the layout of a snapshot's pointers."""
    return of(
        {
            key: content
            for (kind, key), content in pointers.items()
            if kind is Kind.LISTENER and isinstance(content, HostTls)
        }
    )


def of_fragments(fragments: Iterable[Fragment]) -> Layout:
    """Return the layout of some fragments; no two claim the same port."""
    return of(
        {
            claim.key: claim.value
            for fragment in fragments
            for claim in fragment.claims
            if claim.kind is Kind.LISTENER and isinstance(claim.value, HostTls)
        }
    )


def crt_list(name: str) -> str:
    """Return the reference of a listener's crt-list."""
    return f'{syntax.CERTIFICATES}/{name}.txt'


def _name(mode: Mode, number: int) -> str:
    return f'tls-{mode}-{number}'
