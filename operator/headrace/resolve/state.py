"""The model's state: all fragments, who claims what, and who reads whom; changed by key.

Promises: after any sequence of updates the state equals one that was built from scratch (but for Services of a node that
linger, until `draining` no longer holds them), and an update costs as much as what it touches. Each update returns
the change as a value, which is all that planning needs. An unexpected exception costs the object that it is about.
"""

import contextlib
import heapq
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import reduce

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Content, Fragment, Kind
from headrace.ir.l4 import VirtualAddress
from headrace.names import Ref
from headrace.objects.kinds import Service
from headrace.resolve import claims
from headrace.resolve.admission import Admission
from headrace.resolve.changes import Change, Failure, FragmentChange, PointerChange
from headrace.resolve.claims import ClaimKey, Claims
from headrace.resolve.dependencies import Dependencies
from headrace.resolve.hosts import Hosts, Named, Rank
from headrace.resolve.last_good import LastGood
from headrace.store import Reader, Store
from headrace.translate import class_fragment, node_services, ownership, services
from headrace.translate.build_context import BuildContext, Role

# A change, and the keys whose claims it takes away and makes.
_Moved = tuple[FragmentChange, list[ClaimKey], list[ClaimKey]]


class State:
    """The fragments of one agent. Not thread-safe; one task owns it."""

    def __init__(self, context: BuildContext) -> None:
        self.context = context
        self.fragments: dict[Ref, Fragment] = {}
        self.claims = Claims(Hosts(context))
        self.dependencies = Dependencies()
        self._refused: dict[Ref, tuple[Fragment, str]] = {}
        self.admission = Admission(context)
        self.last_good = LastGood()
        # Objects that wait for a reload, and why.
        self.delayed: Mapping[Ref, str] = {}
        # Objects that failed when they were last looked at.
        self.failed: set[Ref] = set()
        # Services of a node that have gone back to kube-proxy, or have ports that have moved from HAProxy to the kernel:
        # HAProxy serves on those who are connected.
        self.draining: set[Ref] = set()
        self._refreshable = context.role is Role.EDGE and context.settings.address_source == 'endpoints'
        self._fitting = False

    def update(self, store: Store, dirty: Iterable[Ref]) -> Change:
        """Build again what `dirty` (as `Store.take` returns it) touches, and return what that changed.

        An object that fails unexpectedly keeps its previous fragment until it, or what it reads, changes again.
        """
        self.admission.begin()
        return self._rebuild(store, *self._touched(dirty))

    def age(self, store: Store, ref: Ref) -> Rank:
        """Return what orders changed objects: the age of the oldest object that is built from one."""
        of_service = ref.kind in ('Service', 'EndpointSlice')
        built = {Ref('Service', ref.namespace, ref.name)} if of_service else self.dependencies.readers(ref)
        return min((self._rank(store, each) for each in built), default=('', ref.namespace, ref.name, ref.kind))

    def succeed(self, before: 'State', store: Store) -> Change:
        """Build all objects in the place of a state with other settings; those in error keep their last good form.

        That form is built anew, so it is what these settings and budgets make of it.
        """
        earlier = before.last_good.of(before.failed | before.admission.replaced)
        with store.showing(earlier):
            change = self.update(store, store.services())
        return change.then(self.update(store, [item.ref for item in earlier])) if earlier else change

    def rebuild(self, store: Store, refs: Iterable[Ref]) -> Change:
        """Build some fragments again, and return what that changed."""
        self.admission.begin()
        return self._rebuild(store, set(refs), set())

    def _rebuild(self, store: Store, queue: set[Ref], refreshed: set[Ref]) -> Change:
        old: dict[Ref, Fragment | None] = {}
        new: dict[Ref, Fragment | None] = {}
        failures: dict[Ref, Failure] = {}
        again: set[Ref] = set()
        whole: set[Ref] = set()
        # The oldest come first, since budgets leave room for them first.
        order = self._by_age(store, queue)
        while order or (self.admission.waits and self._let_in(store, order, new, again)):
            _, ref = heapq.heappop(order)
            queue.discard(ref)
            held = new[ref] if ref in new else self.fragments.get(ref)
            refresh = ref in refreshed and ref not in new and ref not in again
            if not refresh:
                whole.add(ref)
            reader = Reader(store, ref)
            try:
                built = self._translate(store, reader, held, refresh=refresh)
                failures.pop(ref, None)
                self.failed.discard(ref)
            except Exception as error:  # noqa: BLE001  returned as a failure
                failures[ref] = Failure(ref, 'translate', error)
                built = self._kept(store, failures[ref], held, reader.needs)
            self.admission.charge(ref, built)
            if built == held:
                continue
            old.setdefault(ref, self.fragments.get(ref))
            new[ref] = built
            touched = self.dependencies.follow(ref, held, built)
            for each in touched - queue:
                heapq.heappush(order, (self._rank(store, each), each))
            queue |= touched
            refreshed -= touched
        changes = tuple(FragmentChange(ref, old[ref], new[ref]) for ref in sorted(old) if old[ref] != new[ref])
        change = self._fitted(store, self._settle(store, changes))
        for ref in whole - self.failed - self.admission.replaced:
            self.last_good.note(store, ref, self.fragments.get(ref))
        return replace(change, failures=(*failures.values(), *change.failures)) if failures else change

    def _by_age(self, store: Store, refs: set[Ref]) -> list[tuple[Rank, Ref]]:
        if len(refs) == 1:
            # Needs no order: the usual change is that of one object.
            return [(('', '', '', ''), ref) for ref in refs]
        order = [(self._rank(store, ref), ref) for ref in refs]
        heapq.heapify(order)
        return order

    def _rank(self, store: Store, ref: Ref) -> Rank:
        service = store.get(ref, Service)
        return (service.created if service is not None else '', ref.namespace, ref.name, ref.kind)

    def _let_in(self, store: Store, order: list[tuple[Rank, Ref]], new: Iterable[Ref], again: set[Ref]) -> bool:
        """Queue the objects for which there is room now, each once in an update; tell whether there are any."""
        found = [ref for ref in self.admission.ready(new) if ref not in again]
        again.update(found)
        order += [(self._rank(store, ref), ref) for ref in found]
        heapq.heapify(order)
        return bool(found)

    def _translate(self, store: Store, reader: Reader, held: Fragment | None, *, refresh: bool) -> Fragment | None:
        if refresh and held:
            built: Fragment | None = self.admission.follow(self._refresh(store, held))
        else:
            built = self._build(store, reader, held)
        return self._left_out(reader.ref, built) if reader.ref in self._refused else built

    def _kept(self, store: Store, failure: Failure, held: Fragment | None, read: Iterable[Ref] = ()) -> Fragment:
        """Return what stands for an object that failed: its previous fragment, if there is one, and the diagnostic.

        `read` is what the attempt that failed has read.
        """
        ref = failure.ref
        self.failed.add(ref)
        needs = {*(held.needs if held else ()), *read}
        if held is None:
            service = store.get(ref, Service)
            held = Fragment(ref, created=service.created if service is not None else '')
        elif self._refreshable and ref.kind == 'Service':
            # What it has served is served on, by the endpoints that there are.
            with contextlib.suppress(Exception):
                held = self._refresh(store, held) or held
        diagnostics = tuple(diagnostic for diagnostic in held.diagnostics if diagnostic.reason != 'InternalError')
        return replace(held, needs=tuple(sorted(needs)), diagnostics=(*diagnostics, failure.diagnostic))

    def _settle(self, store: Store, changes: tuple[FragmentChange, ...]) -> Change:
        """Install fragments; those that fail there keep their previous form, and are found by halving."""
        if not changes:
            return Change()
        try:
            return self._install(changes)
        except Exception as error:  # noqa: BLE001  returned as a failure
            if len(changes) == 1:
                return self._left_behind(store, changes[0], Failure(changes[0].ref, 'resolve', error))
        return reduce(Change.then, (self._settle(store, part) for part in self._parts(changes)), Change())

    def _fitted(self, store: Store, change: Change) -> Change:
        """Judge anew what has got room that other objects were to leave, and have not: they failed to be installed."""
        failed = {failure.ref for failure in change.failures}
        others = tuple(item for item in change.fragments if item.ref not in failed)
        namespaces = {item.ref.namespace for item in others}
        if self._fitting or not failed or not any(map(self.admission.totals.exceeds, namespaces)):
            return change
        back = self.undo(Change(others))
        # Once: an object that fails again may leave a namespace beyond its budget.
        self._fitting = True
        try:
            return change.then(back).then(self._rebuild(store, {item.ref for item in others}, set()))
        finally:
            self._fitting = False

    def _parts(self, changes: tuple[FragmentChange, ...]) -> tuple[tuple[FragmentChange, ...], ...]:
        """Return two parts of some changes: the objects that have failed before are suspected first."""
        suspects = tuple(change for change in changes if change.ref in self.failed)
        if suspects and len(suspects) < len(changes):
            return tuple(change for change in changes if change.ref not in self.failed), suspects
        middle = len(changes) // 2
        return changes[:middle], changes[middle:]

    def _put(self, ref: Ref, fragment: Fragment | None) -> None:
        self.admission.charge(ref, fragment)
        before, after = _shut(self.fragments.get(ref)), _shut(fragment)
        if fragment is None:
            self.fragments.pop(ref, None)
        else:
            self.fragments[ref] = fragment
        if before != after:
            self.claims.shut(ref, before, after)

    def _left_behind(self, store: Store, change: FragmentChange, failure: Failure) -> Change:
        """Let an object keep its previous fragment, whose claims stay as they are."""
        ref = change.ref
        self.admission.undo([ref])
        kept = self._kept(store, failure, change.old, change.new.needs if change.new else ())
        touched = self.dependencies.follow(ref, change.new, kept)
        self._put(ref, kept)
        made = Change((FragmentChange(ref, change.old, kept),), (), (ref,), (failure,))
        return made.then(self._rebuild(store, touched, set())) if touched else made

    def undo(self, change: Change) -> Change:
        """Return to the fragments before a change, which could not be applied, and return what that changed."""
        back = change.inverse.fragments
        for item in back:
            self.dependencies.follow(item.ref, item.old, item.new)
        made = self._install(back)
        self.admission.undo(item.ref for item in back)
        return made

    def fail(self, store: Store, failure: Failure, previous: Fragment | None) -> Change:
        """Let an object return to a previous fragment, which could be applied, and return what that changed."""
        self.admission.begin()
        ref, held = failure.ref, self.fragments.get(failure.ref)
        kept = self._kept(store, failure, previous, held.needs if held else ())
        made = Change(failures=(failure,))
        if kept != held:
            touched = self.dependencies.follow(ref, held, kept)
            made = made.then(self._settle(store, (FragmentChange(ref, held, kept),)))
            made = made.then(self._rebuild(store, touched, set()))
        return made

    def _touched(self, dirty: Iterable[Ref]) -> tuple[set[Ref], set[Ref]]:
        """Return the fragments that are touched, and those of them of which only endpoints changed."""
        own = class_fragment.ref(self.context)
        queue: set[Ref] = set() if own in self.fragments else {own}
        refreshed: set[Ref] = set()
        for ref in dirty:
            queue |= self.dependencies.readers(ref)
            if ref.kind == 'Service':
                queue.add(ref)
            elif ref.kind == 'EndpointSlice':
                refreshed.add(Ref('Service', ref.namespace, ref.name))
        if not self._refreshable:
            return queue | refreshed, set()
        return queue | refreshed, refreshed - queue - self._refused.keys() - self.failed

    def _refresh(self, store: Store, held: Fragment) -> Fragment:
        service = store.get(held.ref, Service)
        assert service is not None
        return services.refresh(held, service, Reader(store, held.ref), self.context)

    def _build(self, store: Store, reader: Reader, held: Fragment | None) -> Fragment | None:
        ref = reader.ref
        if ref == class_fragment.ref(self.context):
            return class_fragment.translate(self.context, reader)
        service = store.get(ref, Service)
        if service is None:
            self.draining.discard(ref)
            self.admission.forget(ref)
            return None
        demands = self.dependencies.demands(ref)
        if self.context.role is Role.NODE:
            ours, drains = ownership.is_ours(service, self.context), self._drains(service)
            if not ours and not drains and not demands:
                return None
            built = node_services.translate(service, reader, self.context, demands, ours=ours, drains=drains)
            if ours and self._moves(built) != drains:
                drains = not drains
                (self.draining.add if drains else self.draining.discard)(ref)
                built = node_services.translate(service, reader, self.context, demands, ours=ours, drains=drains)
            return built
        found = services.translate(service, reader, self.context, demands)
        if found is None:
            self.admission.forget(ref)
            return None
        return self.admission.admit(found, held, lambda good: self._refresh(store, good))

    def _drains(self, service: Service) -> bool:
        """Note and tell whether a Service has gone back to kube-proxy while HAProxy may have connections to it."""
        held = self.fragments.get(service.ref)
        if not ownership.can_be_ours(service, self.context):
            self.draining.discard(service.ref)
        elif ownership.is_ours(service, self.context):
            # Whether its ports linger is known when it is built: see `_moves`.
            pass
        elif held is not None and {Kind.VIRTUAL_ADDRESS, Kind.ADDRESS} <= {claim.kind for claim in held.claims}:
            self.draining.add(service.ref)
        return service.ref in self.draining

    def _moves(self, built: Fragment) -> bool:
        """Tell whether the kernel serves a port to which HAProxy may have connections."""
        ports = {key for key, datapath in _datapaths(built).items() if datapath == 'kernel' and key.endswith('/TCP')}
        if built.ref in self.draining:
            return bool(ports)
        held = self.fragments.get(built.ref)
        return held is not None and any(_datapaths(held).get(key, 'kernel') != 'kernel' for key in ports)

    def refuse(self, fragment: Fragment, said: str) -> None:
        """Leave a fragment out from the next update on, until its object becomes another one; `said` is HAProxy's reason."""
        if fragment.ref in self.fragments:
            self._refused[fragment.ref] = (_form(fragment), said)

    def _left_out(self, ref: Ref, built: Fragment | None) -> Fragment | None:
        """Return what stands for a refused fragment: nothing but the diagnostic; the fragment itself once it is another."""
        form, said = self._refused[ref]
        if built is None or _form(built) != form:
            del self._refused[ref]
            return built
        diagnostic = Diagnostic(ref, 'RefusedByHaproxy', said)
        return Fragment(ref, created=built.created, needs=built.needs, diagnostics=(*built.diagnostics, diagnostic))

    def _install(self, changes: tuple[FragmentChange, ...]) -> Change:
        named, rehosted = self.claims.hosts.after((change.old, change.new) for change in changes)
        moved = [(change, *change.moved()) for change in changes]
        keys = self._keys(moved, rehosted, named)
        before = {key: self.claims.content(key, self.fragments) for key in keys}
        judged = {change.ref for change in changes} | {ref for key in keys for ref in self.claims.parties(key)}
        saved, hosts = self.claims.saved(keys), self.claims.hosts.noted(named)
        try:
            for change in changes:
                self._put(change.ref, change.new)
            self.claims.hosts.note(named)
            # All go before any comes: who comes is ranked among the claimants, none of whom may be gone from the fragments.
            for change, gone, _ in moved:
                self.claims.replace(change.ref, gone, (), self.fragments)
            for change, _, come in moved:
                self.claims.replace(change.ref, (), come, self.fragments)
            if rehosted:
                # Claims that have just come are judged by the hosts of now already.
                fresh = {key for _, _, come in moved for key in come}
                others = [key for key in keys if key not in fresh or len(self.claims.parties(key)) > 1]
                self.claims.settle(others, self.fragments)
            pointers = tuple(
                PointerChange(key, before[key], after)
                for key in sorted(keys)
                if (after := self.claims.content(key, self.fragments)) != before[key]
            )
        except Exception:
            for change in changes:
                self._put(change.ref, change.old)
            self.claims.hosts.note(hosts)
            self.claims.restore(saved)
            raise
        judged |= {ref for key in keys for ref in self.claims.parties(key)}
        return Change(changes, pointers, tuple(sorted(judged)))

    def _keys(self, moved: Iterable[_Moved], rehosted: Iterable[str], named: Named) -> set[ClaimKey]:
        """Return the keys at which something else can stand after some changes."""
        keys = {key for host in rehosted for key in self.claims.of_host(host, named, self.fragments)}
        shut: set[str] = set()
        for change, gone, come in moved:
            for key in {*gone, *come}:
                keys |= {key, *_own_routes(change, key)}
            shut.update(set(_shut(change.old)) ^ set(_shut(change.new)))
        if shut:
            keys |= self.claims.on(shut)
        for key in tuple(keys):
            keys |= self.claims.dependents(key, self.fragments)
        return keys

    def pointers(self) -> Iterator[tuple[ClaimKey, Content]]:
        """Yield all claimed keys, sorted, and what stands there."""
        for key in sorted(self.claims.keys()):
            if (content := self.claims.content(key, self.fragments)) is not None:
                yield key, content

    def diagnostics(self, ref: Ref) -> tuple[Diagnostic, ...]:
        """Return all diagnostics about one object, those of conflicts among them."""
        fragment = self.fragments.get(ref)
        if fragment is None:
            return ()
        said = self.delayed.get(ref)
        waits = () if said is None else (Diagnostic(ref, 'ReloadDelayed', f'a change waits for a reload: {said}'),)
        claimed = self.claims.diagnostics(fragment, self.fragments)
        own = (*fragment.diagnostics, *fragment.unchecked, *fragment.endpoint_diagnostics)
        return tuple(sorted({*own, *claimed, *waits}))

    def all_diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all diagnostics about all objects, sorted."""
        return tuple(diagnostic for ref in sorted(self.fragments) for diagnostic in self.diagnostics(ref))


def _datapaths(fragment: Fragment) -> dict[str, str]:
    """Return who serves each virtual address of a fragment."""
    return {claim.key: claim.value.datapath for claim in fragment.claims if isinstance(claim.value, VirtualAddress)}


def _shut(fragment: Fragment | None) -> tuple[str, ...]:
    return fragment.shut if fragment else ()


def _form(fragment: Fragment) -> Fragment:
    """Return a fragment without its endpoints: an endpoint that comes makes no configuration good."""
    bare = tuple(replace(backend, groups=()) for backend in fragment.backends if not backend.pin)
    return replace(fragment, backends=bare, endpoint_diagnostics=())


def _own_routes(change: FragmentChange, key: ClaimKey) -> set[ClaimKey]:
    """Return the routes of a changed fragment whose content depends on who holds this key."""
    if key[0] is not Kind.TLS:
        return set()
    return {*claims.routes_of(change.old, key[1]), *claims.routes_of(change.new, key[1])}
