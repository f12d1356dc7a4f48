"""From a change of the model to a plan: runtime commands in order, or a reload with its reasons.

Pure. Endpoints' changes come first, because `add backend` grows with what is there; then data, backends and pointers;
then pointers, data, servers and backends that are gone. Pointers are planned by key from the claims, so a host that
moves from one Service to another is one `set`, without a gap.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from headrace import names
from headrace.haproxy.encode import certificate_lists, commands, map_entries, syntax, tls_listeners, userlists
from headrace.haproxy.encode.certificate_lists import Place
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.encode.tls_listeners import Layout
from headrace.haproxy.plan.reload_reasons import NUMBER_OF_LISTENERS, Reason, why_reload, why_users
from headrace.haproxy.render import render
from headrace.ir.backend import Backend
from headrace.ir.fragment import Claim, Content, Fragment, Kind, pointers
from headrace.ir.policy import LEADING, Entry
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.resolve.changes import Change, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.model_snapshot import ModelSnapshot, files_of, passing, with_endpoints


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do: commands for the running worker, and the reasons for a reload if one is needed.

    With reasons, the commands are what the running worker can do at once; the rest comes with the reload. `refs` are
    the objects that changed; `deferred` those of which only the endpoints are in the commands, `deferred_keys` the claimed keys
    that stay as they are, `missing` the backends that only the reload brings, `passing` the hosts whose TLS is passed
    through when the plan is done, `listeners` who has which listener then, and `resized` the objects for which there
    must be another number of listeners.
    """

    commands: tuple[Command, ...] = ()
    reasons: tuple[Reason, ...] = ()
    refs: tuple[Ref, ...] = ()
    deferred: frozenset[Ref] = frozenset()
    deferred_keys: frozenset[ClaimKey] = frozenset()
    missing: frozenset[str] = frozenset()
    passing: frozenset[str] = frozenset()
    listeners: Layout = field(default_factory=Layout)
    resized: frozenset[Ref] = frozenset()

    def __bool__(self) -> bool:
        """Tell whether anything is to be done."""
        return bool(self.commands or self.reasons)


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a worker has besides its snapshot.

    No command can bring the profiles that it has loaded, the hashes of `users`, the backends that it waits for already, and
    `direct`: a frontend that ends TLS without a hop; nor can one make a listener. `passing` are the hosts whose TLS it
    passes through, `listeners` who has which listener, `resized` the objects that wait for another number of them.
    """

    profiles: frozenset[str] = frozenset()
    missing: frozenset[str] = frozenset()
    direct: bool = True
    passing: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    listeners: Layout = field(default_factory=lambda: tls_listeners.of({}))
    resized: frozenset[Ref] = frozenset()


def started(snapshot: ModelSnapshot, profiles: Iterable[str]) -> Loaded:
    """Return what a worker has that has just started from the files of a snapshot, with these profiles."""
    hosts = passing(snapshot)
    hashes = frozenset(userlists.needed(snapshot.fragments.values()))
    layout = tls_listeners.of_pointers(snapshot.pointers)
    return Loaded(frozenset(profiles), direct=not hosts, passing=hosts, users=hashes, listeners=layout)


def plan(change: Change, loaded: Loaded) -> Plan:
    """Return the plan for a change of the model."""
    draft = _PlanBuilder(loaded, missing=set(loaded.missing), passing=loaded.passing, listeners=loaded.listeners)
    for fragment in change.fragments:
        draft.wait_for(fragment)
    draft.defer(change)
    draft.defer_listeners(change)
    for fragment in change.fragments:
        draft.fragment(fragment)
    draft.pointers(change.pointers)
    ordered = sorted(draft.commands, key=lambda command: command.phase)
    return Plan(
        tuple(ordered),
        tuple(sorted(draft.reasons)),
        tuple(item.ref for item in change.fragments),
        frozenset(draft.deferred),
        frozenset(draft.deferred_keys),
        frozenset(draft.missing),
        draft.passing,
        draft.listeners,
        draft.resized,
    )


def record(snapshot: ModelSnapshot, change: Change, steps: Plan) -> None:
    """Note in a worker's snapshot the part of a change that the commands of a plan have sent; what is deferred waits."""
    snapshot.tell(
        replace(
            change,
            fragments=tuple(item for item in change.fragments if item.ref not in steps.deferred),
            pointers=tuple(item for item in change.pointers if item.key not in steps.deferred_keys),
        )
    )
    for item in change.fragments:
        if item.ref in steps.deferred:
            snapshot.tell_endpoints(item)


@dataclass(slots=True)
class _PlanBuilder:
    """A plan while it is put together. Entries are collected first, so that each map is one payload."""

    loaded: Loaded
    commands: list[Command] = field(default_factory=list)
    reasons: set[Reason] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    deferred: set[Ref] = field(default_factory=set)
    deferred_keys: set[ClaimKey] = field(default_factory=set)
    passing: frozenset[str] = frozenset()
    listeners: Layout = field(default_factory=Layout)
    resized: frozenset[Ref] = frozenset()

    def wait_for(self, change: FragmentChange) -> None:
        """Note the new backends that only a reload can bring."""
        old = backends(change.old)
        for name, backend in backends(change.new).items():
            if name not in old and (reason := why_reload(backend, self.loaded.profiles)):
                self.reasons.add(reason)
                self.missing.add(name)

    def fragment(self, change: FragmentChange) -> None:
        """Plan a fragment's backends and the data that is its own.

        Where something new waits for the reload, what it replaces keeps serving until then: only endpoints change.
        """
        old, new = backends(change.old), backends(change.new)
        if change.ref in self.deferred:
            self._endpoints_only(change)
            return
        for name, backend in new.items():
            if name not in old:
                self.commands += commands.add_backend(backend)
            elif old[name] is not backend:
                self._change_backend(old[name], backend)
        for name, backend in old.items():
            if name not in new:
                self.commands += commands.del_backend(backend, syntax.servers(backend))
        if change.old is None or change.new is None or not change.old.has_same_data(change.new):
            before = map_entries.of_fragment(change.old)
            after = map_entries.of_fragment(change.new)
            self._entries(_data(before), _data(after), Phase.DATA, Phase.DATA_GONE)
            self._entries(before - _data(before), after - _data(after), Phase.POINTERS, Phase.POINTERS_GONE)
            self.reasons.update(why_users((change.new,), self.loaded.users))

    def defer(self, change: Change) -> None:
        """Find what stays as it is until the reload: what needs a backend that waits, and what would replace or lose it.

        A pointer and its policy's data stay together, and so do the backend that such a pointer leads to, be it another
        object's, and the files that it names.
        """
        if not self.missing:
            return
        while refs := self._next_deferred(change):
            self.deferred |= refs

    def _next_deferred(self, change: Change) -> set[Ref]:
        """Defer the pointers that wait, and return the objects that must be deferred as well."""
        changes = [item for item in change.fragments if item.ref in self.deferred]
        absent = self.missing.union(*(backends(item.new).keys() - backends(item.old).keys() for item in changes))
        policies = {policy for item in changes if item.new for policy in item.new.policies}
        current_targets = {name for item in changes for name in lead_targets(item.old)}
        for item in change.pointers:
            if any(pointer.backend in absent or pointer.policy in policies for pointer in pointers(item.new)):
                self.deferred_keys.add(item.key)
                current_targets.update(pointer.backend for pointer in pointers(item.old))
        self._defer_files(change.pointers)
        return {
            item.ref
            for item in change.fragments
            if item.ref not in self.deferred
            and not (
                absent.isdisjoint(needed(item.new))
                and current_targets.isdisjoint(backends(item.old).keys() - backends(item.new).keys())
            )
        }

    def _defer_files(self, changes: Iterable[PointerChange]) -> None:
        """Defer the removal of files that a deferred pointer names."""
        files = {key for item in changes if item.key in self.deferred_keys for key in files_of(item.old)}
        self.deferred_keys |= {item.key for item in changes if item.key in files and item.new is None}

    def defer_listeners(self, change: Change) -> None:
        """Find who has which listener; where there must be another number of them, all stays until the reload."""
        changes = change.pointers
        after = self.loaded.listeners.after(changes)
        if after.sizes == self.loaded.listeners.sizes:
            self.listeners = after
            return
        # What is deferred is planned again with each change, and a later change does not name the objects that have these ports.
        self.resized = self.loaded.resized | {item.ref for item in change.fragments if _listens(item)}
        self.reasons.add(Reason('listeners', NUMBER_OF_LISTENERS, tuple(sorted(self.resized))))
        self.deferred_keys |= {item.key for item in changes if item.key[0] is Kind.LISTENER}
        self._defer_files(changes)

    def _endpoints_only(self, change: FragmentChange) -> None:
        """Plan the endpoints of what serves until the reload comes."""
        if change.old is None or change.new is None:
            return
        old = backends(change.old)
        for backend in with_endpoints(change.old, change.new).backends:
            if backend.name in old and backend.name not in self.missing:
                self._change_backend(old[backend.name], backend)

    def _change_backend(self, old: Backend, new: Backend) -> None:
        """Plan servers that come, go, or get another maxconn; the name says that the shape is the same."""
        if old.groups == new.groups and old.options == new.options:
            return
        before, after = _endpoints(old), _endpoints(new)
        suffix = new.options.suffix
        old_suffix = suffix if old.options is new.options else old.options.suffix
        common = before & after if suffix == old_suffix else set[tuple[int, str]]()
        for port, address in sorted(after - common):
            options = syntax.server(new, address, port)
            self.commands += commands.add_server(Phase.ENDPOINTS, new, names.server(address, port, suffix), options)
        if old.options.max_connections != new.options.max_connections:
            for port, address in sorted(common):
                self.commands.append(commands.set_limit(new, names.server(address, port, suffix)))
        for port, address in sorted(before - common):
            server = names.server(address, port, old_suffix)
            self.commands.append(commands.disable_server(Phase.ENDPOINTS, new, server))
            self.commands += commands.del_server(new, server)

    def pointers(self, changes: tuple[PointerChange, ...]) -> None:
        """Plan what claimed keys point to."""
        before: set[Entry] = set()
        after: set[Entry] = set()
        for change in changes:
            kind, key = change.key
            if change.key == render.DEFAULT and (change.old is None or change.new is None):
                # The first line of the crt-list cannot be taken away, and no command changes `strict-sni`.
                self.reasons.add(Reason('certificate', 'the default certificate comes or goes', administrator=True))
                self.deferred_keys.add(change.key)
            if change.key in self.deferred_keys:
                continue
            before.update(map_entries.of_pointer(kind, key, change.old))
            after.update(map_entries.of_pointer(kind, key, change.new))
            if (place := certificate_lists.place(kind, key)) is not None:
                self._host_tls(change, place)
            elif kind in (Kind.CERTIFICATE, Kind.AUTHORITY):
                self._file(kind, key, change.old, change.new)
        self.commands += certificate_lists.moves(self.loaded.listeners, self.listeners)
        self._entries(before, after, Phase.POINTERS, Phase.POINTERS_GONE)
        tls_changes = [
            change for change in changes if change.key[0] is Kind.TLS and change.key not in self.deferred_keys
        ]
        self._pass_through(
            {change.key[1] for change in tls_changes if _passes(change.old)},
            {change.key[1] for change in tls_changes if _passes(change.new)},
        )

    def _pass_through(self, before: set[str], after: set[str]) -> None:
        """Note which hosts are passed through, and let the frontends in front and behind take turns where it is their turn."""
        if before == after:
            return
        hosts = self.passing - before | after
        if self.loaded.direct and bool(hosts) is not bool(self.passing):
            self.commands += commands.take_turns(passing=bool(hosts))
        self.passing = hosts

    def _host_tls(self, change: PointerChange, place: Place) -> None:
        """Exchange a crt-list's lines of a host: the new ones are added before the old ones go."""
        before = map_entries.certificate_lines(place.host, change.old)
        after = map_entries.certificate_lines(place.host, change.new)
        self.commands += [
            commands.add_certificate_line(place.file, line, change.key) for line in after if line not in before
        ]
        self.commands += [
            commands.del_certificate_line(place.file, line, change.key) for line in before if line not in after
        ]

    def _file(self, kind: Kind, name: str, old: Content | None, new: Content | None) -> None:
        certificate = kind is Kind.CERTIFICATE
        match old, new:
            case None, Pem():
                self.commands += (commands.new_certificate if certificate else commands.new_authority)(name, new.data)
            case Pem(), Pem():
                self.commands += (commands.set_certificate if certificate else commands.set_authority)(name, new.data)
            case _:
                self.commands.append((commands.del_certificate if certificate else commands.del_authority)(name))

    def _entries(
        self,
        before: frozenset[Entry] | set[Entry],
        after: frozenset[Entry] | set[Entry],
        add_phase: Phase,
        del_phase: Phase,
    ) -> None:
        """Plan the difference of two sets of entries by key: add, set, or delete, never twice the same key."""
        if not before and not after:
            return
        old = {(entry.map, entry.key): entry for entry in before - after}
        new = {(entry.map, entry.key): entry for entry in after - before}
        self.commands += commands.add_entries(add_phase, [entry for key, entry in new.items() if key not in old])
        self.commands += [commands.set_entry(add_phase, new[key]) for key in sorted(new.keys() & old.keys())]
        staying = {(entry.map, entry.key[: names.DIGITS]) for entry in after}
        for key in sorted(old.keys() - new.keys()):
            entry = old[key]
            # Where a policy leads nowhere any more, requests that saw it before may still look up where.
            later = entry.map in LEADING and (entry.map, entry.key[: names.DIGITS]) not in staying
            self.commands.append(commands.del_entry(del_phase, entry, later=later))


def backends(fragment: Fragment | None) -> Mapping[str, Backend]:
    """Return a fragment's backends by name."""
    return {backend.name: backend for backend in fragment.backends} if fragment else {}


def _data(entries: frozenset[Entry]) -> frozenset[Entry]:
    """Return the entries that lead to no backend."""
    return frozenset(entry for entry in entries if entry.map not in LEADING)


def lead_targets(fragment: Fragment | None) -> set[str]:
    """Return the backends that a fragment's own data leads to."""
    return {pointer.backend for lead in fragment.leads for pointer in lead.pointers} if fragment else set()


def needed(fragment: Fragment | None) -> set[str]:
    """Return the backends without which a fragment cannot be served."""
    return lead_targets(fragment) | backends(fragment).keys()


def _passes(content: Content | None) -> bool:
    return isinstance(content, HostTls) and bool(content.passthrough)


def _endpoints(backend: Backend) -> set[tuple[int, str]]:
    """Return a backend's endpoints as port and address."""
    return {(group.port, address) for group in backend.groups for address in group.addresses}


def _listens(change: FragmentChange) -> bool:
    """Tell whether a fragment's ports that end TLS have changed."""
    claims = [
        {item for item in fragment.claims if item.kind is Kind.LISTENER}
        for fragment in (change.old, change.new)
        if fragment
    ]
    return bool(set[Claim]().union(*claims)) and not (len(claims) > 1 and claims[0] == claims[1])
