"""The crt-lists: which of them has the lines of a claim, and the commands that lead from one layout of listeners to another.

Pure. The first line of a list is a placeholder: HAProxy needs a default certificate from the start, and does not remove
it. HAProxy prefers certificates with keys of other kinds, so clients see it only while the listener is not in use.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from headrace.haproxy.encode import commands, map_entries, syntax, tls_listeners
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.encode.tls_listeners import Layout
from headrace.ir.backend import Mode
from headrace.ir.fragment import Content, Kind
from headrace.resolve.claims import ClaimKey
from headrace.translate import placeholder_certificates

PLACEHOLDER = syntax.certificate_file(placeholder_certificates.NAME)
FIRST = f'{PLACEHOLDER} *'
# By which rules tell that a client was shown the placeholder.
PLACEHOLDER_SERIAL = placeholder_certificates.placeholder_serial()
MODES: tuple[Mode, ...] = ('http', 'tcp')
# That of the class's hosts.
HOSTS = f'{syntax.CERTIFICATES}/list.txt'
_SLOT = f'{syntax.CERTIFICATES}/slot-'


class Place(NamedTuple):
    """The crt-list that holds a claim's lines, and the host that they are for."""

    file: str
    host: str


def place(kind: Kind, key: str) -> Place | None:
    """Return where the lines of a claim belong; None for one that has none."""
    if kind is Kind.TLS:
        return Place(HOSTS, key)
    if kind is Kind.GATEWAY_TLS:
        slot, _, host = key.partition(':')
        return Place(of_slot(slot), host)
    return None


def of_slot(slot: object) -> str:
    """Return the list of a slot, a port that is bound for TLS of Gateways."""
    return f'{_SLOT}{slot}.txt'


def has_claims(file: str) -> bool:
    """Tell whether a file is a list that holds lines of claims."""
    return file == HOSTS or is_of_slot(file)


def is_of_slot(file: str) -> bool:
    """Tell whether a file is the list of a slot."""
    return file.startswith(_SLOT)


def placed(pointers: Mapping[ClaimKey, Content], kind: Kind) -> dict[str, list[str]]:
    """Return the lines of claims of a kind by the list that they belong to, in the order of the claims' keys."""
    lines: dict[str, list[str]] = {}
    for key in sorted(key for each, key in pointers if each is kind):
        where = place(kind, key)
        if where is not None:
            lines.setdefault(where.file, []).extend(map_entries.certificate_lines(where.host, pointers[kind, key]))
    return lines


def names(layout: Layout) -> list[str]:
    """Return the names of all listeners."""
    return [name for mode in MODES for name in layout.every(mode)]


def is_one(file: str) -> bool:
    """Tell whether a file is such a list."""
    return file.startswith(tls_listeners.crt_list('tls-').removesuffix('.txt')) and file.endswith('.txt')


def name_of(file: str) -> str:
    """Return the listener that has a list."""
    return file.rpartition('/')[2].removesuffix('.txt')


def lines(layout: Layout) -> dict[str, tuple[str, ...]]:
    """Return the lines of all lists but the first, by the listener's name; none where it is not in use."""
    owners = layout.owners()
    return {
        name: map_entries.certificate_lines('*', layout.tls[owners[name]]) if name in owners else ()
        for name in names(layout)
    }


def text(crt_lines: Iterable[str]) -> bytes:
    """Return the text of a list with these lines besides the first."""
    return ''.join(f'{line}\n' for line in (FIRST, *crt_lines)).encode()


def files(layout: Layout) -> dict[str, bytes]:
    """Return all lists, and the certificate that they begin with."""
    lists = {tls_listeners.crt_list(name): text(crt_lines) for name, crt_lines in lines(layout).items()}
    return {PLACEHOLDER: placeholder_certificates.placeholder(), **lists}


def differing(before: Layout, after: Layout) -> set[str]:
    """Return the files of the lists that differ between two layouts."""
    old, new = files(before), files(after)
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def moves(before: Layout, after: Layout) -> list[Command]:
    """Return the commands that lead from one layout to another of the same sizes, in their order.

    A port comes to a listener only when that is free, so no client ever sees the certificate of another port. Where ports
    wait for one another, one of them is closed for that moment.
    """
    batch: list[Command] = []
    places = {key: (name, map_entries.certificate_lines('*', before.tls[key])) for key, name in before.names.items()}
    for key in sorted(places.keys() - after.names.keys()):
        batch.append(commands.del_entry(Phase.POINTERS, tls_listeners.entry(tls_listeners.policy(key), '')))
        batch += _removals(key, *places.pop(key))
    mapped_keys = set(places)
    queue = [
        key for key, name in sorted(after.names.items())
        if places.get(key) != (name, map_entries.certificate_lines('*', after.tls[key]))
    ]  # fmt: skip
    while queue:
        occupants = {name: key for key, (name, _) in places.items()}
        free = [key for key in queue if occupants.get(after.names[key], key) == key]
        if not free:
            # They wait in a circle, so the first one steps aside.
            first = next(key for key in queue if key in places)
            batch.append(
                commands.set_entry(Phase.POINTERS, tls_listeners.entry(tls_listeners.policy(first), tls_listeners.NONE))
            )
            batch += _removals(first, *places.pop(first))
            continue
        for key in free:
            crt_lines = map_entries.certificate_lines('*', after.tls[key])
            batch += _move(key, places.get(key, ('', ())), (after.names[key], crt_lines), in_map=key in mapped_keys)
            places[key] = after.names[key], crt_lines
            queue.remove(key)
    return batch


_Place = tuple[str, tuple[str, ...]]


def _move(key: str, old: _Place, new: _Place, *, in_map: bool) -> list[Command]:
    """Return the commands that let a port have a listener with these lines, and leave the one that it had."""
    same = old[0] == new[0]
    common = set(old[1]) & set(new[1]) if same else set()
    file = tls_listeners.crt_list(new[0])
    batch = [commands.add_certificate_line(file, line, (Kind.LISTENER, key)) for line in new[1] if line not in common]
    if not same:
        entry = tls_listeners.entry(tls_listeners.policy(key), new[0])
        batch += (
            [commands.set_entry(Phase.POINTERS, entry)] if in_map else commands.add_entries(Phase.POINTERS, [entry])
        )
    return [*batch, *_removals(key, old[0], [line for line in old[1] if line not in common])]


def _removals(key: str, name: str, crt_lines: Iterable[str]) -> list[Command]:
    file, claim = tls_listeners.crt_list(name), (Kind.LISTENER, key)
    return [commands.del_certificate_line(file, line, claim, Phase.POINTERS) for line in crt_lines]
