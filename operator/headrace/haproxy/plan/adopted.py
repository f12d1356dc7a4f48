"""What an adopted worker keeps as it is until a reload has brought the backends that it lacks.

Pure. `plan` holds what needs such a backend by what was sent to the worker; of a worker that another process configured, that
is read from what it has. The snapshot made here says so, and the next plan goes on from there.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace import names
from headrace.haproxy.encode import map_entries, routes
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.plan.live_state import LiveState, Servers
from headrace.haproxy.plan.reload_reasons import Reason, why_reload
from headrace.ir.backend import Backend, Group, Options, Shape
from headrace.ir.fragment import Content, Fragment, Kind, pointers
from headrace.ir.pointers import Pointer, Reserved, Unread
from headrace.ir.policy import Entry, Map
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot

_SHAPE = re.compile(rf'_[0-9a-f]{{{names.DIGITS}}}$')
_POINTING = frozenset((*map_entries.CLAIMED.values(), Map.PASSTHROUGH))


@dataclass(frozen=True, slots=True)
class Held:
    """What the worker shall have for now, and of which objects and keys it is less than what is wanted."""

    snapshot: ModelSnapshot
    refs: frozenset[Ref] = frozenset()
    keys: frozenset[ClaimKey] = frozenset()


def missing(wanted: ModelSnapshot, had: LiveState, profiles: frozenset[str]) -> dict[str, Reason]:
    """Return the backends that a worker lacks and that only a reload can bring, and why."""
    return {
        name: reason
        for name, backend in live_state.wanted_backends(wanted.fragments.values()).items()
        if name not in had.backends and (reason := why_reload(backend, profiles))
    }


def hold(wanted: ModelSnapshot, lacked: Iterable[str], had: LiveState) -> Held:
    """Return what a worker shall have that has `had`, until a reload brings the backends that it lacks."""
    search = _Search(wanted, frozenset(lacked), had)
    if not search.missing:
        return Held(wanted)
    while more := search.more():
        search.refs |= more
    snapshot = wanted.copy()
    for key in search.keys:
        if value := search.value(key):
            snapshot.pointers[key] = value
        else:
            del snapshot.pointers[key]
    for ref in search.refs:
        if stand_in := search.stand_in(ref):
            snapshot.fragments[ref] = stand_in
        else:
            snapshot.fragments.pop(ref, None)
    return Held(snapshot, frozenset(search.refs), frozenset(search.keys))


class _Search:
    """Finds, step by step, what must stay: each object that is held may hold others."""

    def __init__(self, wanted: ModelSnapshot, missing: frozenset[str], had: LiveState) -> None:
        self.wanted, self.missing, self.had = wanted, missing, had
        self.refs: set[Ref] = set()
        self.keys: set[ClaimKey] = set()
        # Backends that no object wants any more, and that something which is held leads to.
        self.kept: set[str] = set()
        self._wanted_names = {name for fragment in wanted.fragments.values() for name in plan.backends(fragment)}

    def more(self) -> set[Ref]:
        """Find keys and backends that stay because of the objects found so far, and return more of those."""
        fragments = self.wanted.fragments
        names_held = {name for ref in self.refs for name in plan.backends(fragments.get(ref))}
        absent = self.missing | (names_held - self.had.backends.keys())
        policies = self._policies()
        self.keys = {
            key
            for key, content in self.wanted.pointers.items()
            if any(each.backend in absent or each.policy in policies for each in pointers(content))
        }
        led_to = {pointer.backend for key in self.keys for pointer in pointers(self.value(key))}
        for where in (Map.CANARY, Map.EXTERNAL_AUTH, Map.ERROR_PAGES, Map.MIRRORS):
            led_to |= {value.split('|')[1] for value in self._values(where, policies) if '|' in value}
        led_to |= set(self._values(Map.FALLBACK, policies))
        self.kept = (led_to & self.had.backends.keys()) - self._wanted_names
        found = {ref for ref, fragment in fragments.items() if not absent.isdisjoint(plan.needed(fragment))}
        return (found | {names.owner(name)[0] for name in self.kept}) - self.refs

    def value(self, key: ClaimKey) -> Content | None:
        """Return what stands at a key in the worker, None for nothing."""
        found = self.had.maps.get(map_entries.CLAIMED.get(key[0], Map.PASSTHROUGH), {}).get(key[1])
        if not found:
            return None
        backend, *rest = found[0].split('|')
        if not rest:
            return Reserved(backend.removesuffix('_'))
        if backend.startswith('?') or routes.SPLIT in rest[1]:
            return Unread(found[0])
        pointer = Pointer(backend, *rest[:3])
        return HostTls(passthrough=pointer) if key[0] is Kind.TLS else pointer

    def stand_in(self, ref: Ref) -> Fragment | None:
        """Return an object as the worker has it, with the endpoints that are wanted; None when it has nothing of it."""
        wanted = self.wanted.fragments.get(ref)
        backends = [item for name, item in plan.backends(wanted).items() if name in self.had.backends]
        backends += [self._as_it_is(name, wanted) for name in sorted(self.kept) if names.owner(name)[0] == ref]
        data = self._data(ref, {item.name for item in backends})
        if not backends and not data:
            return None
        return replace(
            wanted or Fragment(ref),
            backends=tuple(backends),
            data=tuple(sorted(data)),
            headers=(),
            timeouts=(),
            userlists=(),
            leads=(),
        )

    def _as_it_is(self, name: str, wanted: Fragment | None) -> Backend:
        """Return a backend of a shape that is not wanted any more; its servers are those of the one that replaces it."""
        for backend in wanted.backends if wanted else ():
            if _SHAPE.sub('', backend.name) == _SHAPE.sub('', name):
                return replace(backend, name=name)
        owner, port = names.owner(name)
        return Backend(name, owner, port, Shape(), Options(), _groups(self.had.backends[name]))

    def _data(self, ref: Ref, backends: set[str]) -> list[Entry]:
        """Return the entries that the worker has under an object's policies, and under the names of its backends."""
        policies = self._policies_of(ref)
        return [
            Entry(name, key, values[0])
            for name, held in self.had.maps.items()
            if name not in _POINTING
            for key, values in held.items()
            if key in backends or key[: names.DIGITS] in policies
        ]

    def _policies(self) -> set[str]:
        return {policy for ref in self.refs for policy in self._policies_of(ref)}

    def _policies_of(self, ref: Ref) -> set[str]:
        wanted = self.wanted.fragments.get(ref)
        kept = {names.policy(ref, port) for owner, port in map(names.owner, self.kept) if owner == ref}
        return kept | (wanted.policies if wanted else set())

    def _values(self, name: Map, policies: set[str]) -> list[str]:
        return [values[0] for key, values in self.had.maps.get(name, {}).items() if key in policies]


def _groups(servers: Servers) -> tuple[Group, ...]:
    ports: dict[int, list[str]] = {}
    for server in servers.values():
        if not server.disabled:
            ports.setdefault(server.port, []).append(server.address)
    return tuple(Group(port, tuple(sorted(addresses))) for port, addresses in sorted(ports.items()))
