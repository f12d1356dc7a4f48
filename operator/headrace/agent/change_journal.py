"""The journal of changes: which objects changed, what of them, and how long it took until HAProxy had answered.

Promises: it keeps so many changes and no more, each with a bounded text, and keeps no fragment alive.
"""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import msgspec

from headrace.haproxy.runtime.stats import PlanRecord, ReloadRecord
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment, Kind
from headrace.resolve.changes import Change, FragmentChange

KEPT = 500
# Of one change no more than so many objects and reasons are told.
_MOST_OBJECTS, _MOST_REASONS, _LONGEST = 5, 5, 200
_PARTS = (
    ('backend settings', ('data', 'headers', 'timeouts', 'userlists', 'leads')),
    ('demands', ('demands',)),
    ('diagnostics', ('diagnostics', 'unchecked', 'endpoint_diagnostics')),
)
_CLAIMS = {Kind.ROUTE: 'routes', Kind.TLS: 'TLS', Kind.PORT: 'TCP ports', Kind.CERTIFICATE: 'certificates'}


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """One object of a change: `action` is added, changed or removed, `parts` say what of it changed."""

    object: str
    action: str
    parts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A change that was applied: when (Unix time), its first objects, and what became of it.

    `seconds` is the time from the event of the source to HAProxy's answer, `haproxy_seconds` the part of it for plan and answer.
    """

    number: int
    at: float
    objects: tuple[ObjectChange, ...]
    more: int
    seconds: float
    haproxy_seconds: float
    commands: int
    refused: int
    reasons: tuple[str, ...]


class ChangeJournal:
    """The last changes that one agent applied."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque(maxlen=KEPT)
        self.number = 0

    def note(self, change: Change, seconds: float, plans: Iterable[PlanRecord]) -> None:
        """Note a change, the seconds from its event to the answer, and what was sent for it."""
        self.number += 1
        commands = refused = 0
        haproxy_seconds = 0.0
        reasons: tuple[str, ...] = ()
        for plan in plans:
            commands += plan.commands
            refused += plan.refused
            haproxy_seconds += plan.seconds
            if plan.reasons:
                reasons = (*reasons, *(text[:_LONGEST] for text in plan.reasons[:_MOST_REASONS]))[:_MOST_REASONS]
        objects = tuple(map(_object, change.fragments[:_MOST_OBJECTS]))
        more = len(change.fragments) - len(objects)
        self.entries.append(
            Entry(self.number, time.time(), objects, more, seconds, haproxy_seconds, commands, refused, reasons)
        )

    def page(self, reloads: Sequence[ReloadRecord], search: str, limit: int) -> bytes:
        """Return the newest changes about objects with a text in their name, and the reloads between them, as JSON."""
        words = search.lower().split()
        items: list[dict[str, object]] = []
        for entry in reversed(self.entries):
            text = ' '.join(item.object for item in entry.objects).lower()
            if all(word in text for word in words):
                items.append({'type': 'change', **asdict(entry)})
                if len(items) == limit:
                    break
        oldest = items[-1]['at'] if items else 0.0
        for record in () if words else reloads:
            if len(items) < limit or record.at >= oldest:  # type: ignore[operator]
                reasons = tuple(text[:_LONGEST] for text in record.reasons[:_MOST_REASONS])
                items.append({'type': 'reload', **asdict(record), 'reasons': reasons})
        items.sort(key=lambda item: item['at'], reverse=True)  # type: ignore[arg-type, return-value]
        return msgspec.json.encode(
            {'items': items[:limit], 'kept': len(self.entries), 'most': KEPT, 'number': self.number}
        )


def _object(change: FragmentChange) -> ObjectChange:
    old, new, name = change.old, change.new, str(change.ref)
    if old is None:
        return ObjectChange(name, 'added', _sizes(new) if new is not None else ())
    if new is None:
        return ObjectChange(name, 'removed', _sizes(old))
    return ObjectChange(name, 'changed', _parts(old, new))


def _sizes(fragment: Fragment) -> tuple[str, ...]:
    routes = sum(claim.kind is Kind.ROUTE for claim in fragment.claims)
    servers = sum(len(group.addresses) for backend in fragment.backends for group in backend.groups)
    return tuple(
        f'{number} {word if number > 1 else word[:-1]}'
        for number, word in ((routes, 'routes'), (len(fragment.backends), 'backends'), (servers, 'endpoints'))
        if number
    )


def _parts(old: Fragment, new: Fragment) -> tuple[str, ...]:
    parts: list[str] = []
    if old.backends is not new.backends:
        parts += _of_backends(old.backends, new.backends)
    # The usual change is one of endpoints, and such a fragment has all else from the one before.
    if old.claims is not new.claims and old.claims != new.claims:
        parts += _of_claims(old, new)
    for word, names in _PARTS:
        for name in names:
            before, after = getattr(old, name), getattr(new, name)
            if before is not after and before != after:
                parts.append(word)
                break
    return tuple(parts)


def _of_backends(old: tuple[Backend, ...], new: tuple[Backend, ...]) -> list[str]:
    before, after = _servers(old), _servers(new)
    parts = []
    if more := len(after - before):
        parts.append(f'+{more} endpoint{"s" * (more > 1)}')
    if less := len(before - after):
        parts.append(f'-{less} endpoint{"s" * (less > 1)}')
    if {backend.name for backend in old} != {backend.name for backend in new}:
        parts.append('backends')
    elif not parts and old != new:
        parts.append('options of servers')
    return parts


def _servers(backends: tuple[Backend, ...]) -> set[tuple[str, int, str]]:
    return {
        (backend.port, group.port, address)
        for backend in backends
        if not backend.pin
        for group in backend.groups
        for address in group.addresses
    }


def _of_claims(old: Fragment, new: Fragment) -> list[str]:
    before, after = set(old.claims), set(new.claims)
    words = dict.fromkeys(_CLAIMS.get(claim.kind, str(claim.kind)) for claim in (*new.claims, *old.claims))
    gone = {_CLAIMS.get(claim.kind, str(claim.kind)) for claim in before - after}
    come = {_CLAIMS.get(claim.kind, str(claim.kind)) for claim in after - before}
    return [word for word in words if word in gone or word in come]
