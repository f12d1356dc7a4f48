"""Why a reload is needed, and because of whose objects. Pure."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from headrace.haproxy.encode import certificate_lists, map_entries, syntax, userlists
from headrace.haproxy.encode.commands import Command
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment, Kind
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange

# What separates the name of a backend, a file or a policy from the rest of a command.
_PARTS = re.compile(r'[\s/|:>]')
NUMBER_OF_LISTENERS = 'ports that end TLS need another number of them'


@dataclass(frozen=True, slots=True, order=True)
class Reason:
    """Why a reload is needed: a fixed word for metrics, and about what.

    `refs` are the objects that need it, where that is known. `administrator` says that the reload is for a change of the
    administrator's own.
    """

    word: str
    detail: str
    refs: tuple[Ref, ...] = ()
    administrator: bool = False

    @property
    def namespaces(self) -> frozenset[str]:
        """Return the namespaces whose objects need the reload."""
        return frozenset(ref.namespace for ref in self.refs if ref.namespace)

    def __str__(self) -> str:
        """Return the reason as people read it."""
        return f'{self.word}: {self.detail}'


def why_reload(backend: Backend, profiles: frozenset[str]) -> Reason | None:
    """Return why only a reload can bring a backend to a worker with these profiles; None when commands can."""
    if backend.shape.compression:
        return Reason(
            'compression', f'{backend.name}: a backend made at run time does not compress', (backend.service,)
        )
    if backend.shape.limited:
        return Reason(
            'bandwidth', f'{backend.name}: a backend made at run time does not limit bandwidth', (backend.service,)
        )
    if backend.shape.profile not in profiles:
        return Reason('profile', f'{backend.shape.profile} is used for the first time', (backend.service,))
    return None


def why_users(fragments: Iterable[Fragment | None], loaded: frozenset[str]) -> list[Reason]:
    """Return why only a reload can let a worker know the users of some fragments; none when it knows all."""
    return [
        Reason('users', f'{item.ref}: crypt hashes are used for the first time', (item.ref,))
        for item in fragments
        if item is not None and item.userlists and not userlists.needed((item,)).keys() <= loaded
    ]


def subjects(command: Command, change: Change) -> tuple[Ref, ...]:
    """Return the objects of a change that a command speaks of; all of them where it names nothing of theirs."""
    words = _command_words(command)
    refs = tuple(item.ref for item in change.fragments if not words.isdisjoint(_names(item)))
    return refs or tuple(item.ref for item in change.fragments)


def _command_words(command: Command) -> set[str]:
    """Return the words of a command and their parts; for each entry of a map also the map's file with the entry's key."""
    arguments = command.line.split(' ')
    is_map = arguments[1:2] == ['map']
    text = command.text if is_map or not command.payload_shown else command.line
    words = {*text.split(), *_PARTS.split(text)}
    if is_map:
        keys = [line.partition(' ')[0] for line in command.payload.splitlines()] or arguments[3:4]
        words.update(f'{arguments[2]} {key}' for key in keys)
    return words


def _names(change: FragmentChange) -> set[str]:
    """Return what commands call a fragment's backends, policies, files of TLS, hosts with TLS, and entries of maps."""
    names = set[str]()
    for item in (change.old, change.new):
        if item is None:
            continue
        names |= {backend.name for backend in item.backends} | item.policies
        for claim in item.claims:
            if claim.kind in (Kind.CERTIFICATE, Kind.AUTHORITY):
                names.add(f'{claim.key}.pem')
            if (place := certificate_lists.place(claim.kind, claim.key)) is not None:
                names.add(place.host)
            if claim.kind in map_entries.CLAIMED:
                file = syntax.map_file(map_entries.CLAIMED[claim.kind])
                names |= {f'{file} {claim.key}', f'{file} {syntax.escaped(claim.key)}'}
    return names
