"""Why a reload is needed, and because of whose objects. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace.haproxy.encode import map_entries, userlists
from headrace.haproxy.encode.commands import Command, OfBackend, OfClaim, OfMap
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.resolve.changes import Change

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


def concerned(command: Command, change: Change) -> tuple[Ref, ...]:
    """Return the objects of a change that a command is about; all of them where it is about nothing of theirs."""
    refs = tuple(
        item.ref
        for item in change.fragments
        if any(_has(fragment, command.subject) for fragment in (item.old, item.new) if fragment is not None)
    )
    return refs or tuple(item.ref for item in change.fragments)


def _has(fragment: Fragment, subject: OfBackend | OfMap | OfClaim | None) -> bool:
    """Tell whether a fragment has the backend, the claim, or an entry of a map that a command is about."""
    match subject:
        case OfBackend(name):
            return any(backend.name == name for backend in fragment.backends)
        case OfMap(name, keys):
            entries = {(entry.map, entry.key) for entry in map_entries.of_fragment(fragment)}
            entries.update(*(map_entries.places(claim.kind, claim.key) for claim in fragment.claims))
            return any(entry_map is name and key in keys for entry_map, key in entries)
        case OfClaim(claimed_key):
            return any((claim.kind, claim.key) == claimed_key for claim in fragment.claims)
        case None:
            return False
