"""What an adopted worker keeps as it is until a reload has brought the backends that it lacks.

Pure. `plan` defers what needs such a backend by what was sent to the worker; of a worker that another process configured,
that is read from what it has. The snapshot made here says so, and the next plan goes on from there.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from headrace import names
from headrace.haproxy.encode import map_entries, routes
from headrace.haproxy.plan import live_state, plan
from headrace.haproxy.plan.live_state import LiveState, Servers
from headrace.haproxy.plan.reload_reasons import Reason, why_reload
from headrace.ir.backend import Backend, Group
from headrace.ir.fragment import Content, Fragment, pointers
from headrace.ir.policy import Entry, Map
from headrace.names import Ref
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot

_POINTING = frozenset((*map_entries.CLAIMED.values(), Map.GATEWAY_ROUTES, Map.PASSTHROUGH))


@dataclass(frozen=True, slots=True)
class Deferral:
    """What a worker shall have until the reload, and the objects and keys of which that is not what is desired."""

    snapshot: ModelSnapshot
    refs: frozenset[Ref] = frozenset()
    keys: frozenset[ClaimKey] = frozenset()


def missing(desired: ModelSnapshot, live: LiveState, profiles: frozenset[str]) -> dict[str, Reason]:
    """Return the backends that a worker lacks and that only a reload can bring, and why."""
    return {
        name: reason
        for name, backend in live_state.desired_backends(desired.fragments.values()).items()
        if name not in live.backends and (reason := why_reload(backend, profiles))
    }


def defer(desired: ModelSnapshot, missing_names: Iterable[str], live: LiveState) -> Deferral:
    """Return what a worker shall have that has `live`, until a reload brings the backends that it lacks."""
    search = _Search(desired, frozenset(missing_names), live)
    if not search.missing:
        return Deferral(desired)
    while refs := search.step():
        search.refs |= refs
    snapshot = desired.copy()
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
    return Deferral(snapshot, frozenset(search.refs), frozenset(search.keys))


class _Search:
    """Finds, step by step, what is deferred: each object that is may defer others."""

    def __init__(self, desired: ModelSnapshot, missing: frozenset[str], live: LiveState) -> None:
        self.desired, self.missing, self.live = desired, missing, live
        self.refs: set[Ref] = set()
        self.keys: set[ClaimKey] = set()
        # Backends that no object wants any more, and that something deferred leads to.
        self.retained: set[str] = set()
        self._desired_names = {name for fragment in desired.fragments.values() for name in plan.backends(fragment)}
        # By the policy or the backend that their key begins with.
        self._entries_by_name: dict[str, list[Entry]] = {}
        for map_name in live.maps.keys() - _POINTING:
            for key, values in live.maps[map_name].items():
                for name in {key, key[: names.DIGITS]}:
                    self._entries_by_name.setdefault(name, []).append(Entry(map_name, key, values[0]))

    def step(self) -> set[Ref]:
        """Find keys and backends that stay because of the objects found so far, and return more of those."""
        fragments = self.desired.fragments
        deferred_names = {name for ref in self.refs for name in plan.backends(fragments.get(ref))}
        absent = self.missing | (deferred_names - self.live.backends.keys())
        policies = {policy for ref in self.refs for policy in self._policies_of(ref)}
        self.keys = {
            key
            for key, content in self.desired.pointers.items()
            if any(item.backend in absent or item.policy in policies for item in pointers(content))
        }
        targets = {pointer.backend for key in self.keys for pointer in pointers(self.value(key))}
        leads = (routes.read_lead(entry) for ref in self.refs for entry in self._entries(ref, set()))
        targets |= {pointer.backend for lead in leads if lead for pointer in lead.pointers}
        self.retained = (targets & self.live.backends.keys()) - self._desired_names
        refs = {ref for ref, fragment in fragments.items() if not absent.isdisjoint(plan.needed(fragment))}
        return (refs | {names.owner(name)[0] for name in self.retained}) - self.refs

    def value(self, key: ClaimKey) -> Content | None:
        """Return what stands at a key in the worker, None for nothing."""
        standing = map_entries.claimed(*key) if key[0] in map_entries.CLAIMED else Map.PASSTHROUGH
        values = self.live.maps.get(standing, {}).get(key[1])
        return map_entries.read_pointer(key[0], values[0]) if values else None

    def stand_in(self, ref: Ref) -> Fragment | None:
        """Return an object as the worker has it, with the endpoints that are wanted; None when it has nothing of it."""
        fragment = self.desired.fragments.get(ref)
        backends = [item for name, item in plan.backends(fragment).items() if name in self.live.backends]
        backends += [
            self._live_backend(name, fragment) for name in sorted(self.retained) if names.owner(name)[0] == ref
        ]
        entries = self._entries(ref, {item.name for item in backends})
        if not backends and not entries:
            return None
        leads = {entry: lead for entry in sorted(entries) if (lead := routes.read_lead(entry))}
        return replace(
            fragment or Fragment(ref),
            backends=tuple(backends),
            data=tuple(sorted(entries - leads.keys())),
            headers=(),
            timeouts=(),
            userlists=(),
            leads=tuple(leads.values()),
        )

    def _live_backend(self, name: str, fragment: Fragment | None) -> Backend:
        """Return a backend of a shape that is not wanted any more; its servers are those of the one that replaces it."""
        for backend in fragment.backends if fragment else ():
            if names.without_shape(backend.name) == names.without_shape(name):
                return replace(backend, name=name)
        return live_state.of_name(name).with_groups(_groups(self.live.backends[name]))

    def _entries(self, ref: Ref, backends: set[str]) -> set[Entry]:
        """Return the entries that the worker has under an object's policies, and under the names of its backends."""
        return {entry for name in self._policies_of(ref) | backends for entry in self._entries_by_name.get(name, ())}

    def _policies_of(self, ref: Ref) -> set[str]:
        fragment = self.desired.fragments.get(ref)
        policies = {names.policy(ref, port) for owner, port in map(names.owner, self.retained) if owner == ref}
        return policies | (fragment.policies if fragment else set())


def _groups(servers: Servers) -> tuple[Group, ...]:
    ports: dict[int, list[str]] = {}
    for server in servers.values():
        if not server.disabled:
            ports.setdefault(server.port, []).append(server.address)
    return tuple(Group(port, tuple(sorted(addresses))) for port, addresses in sorted(ports.items()))
