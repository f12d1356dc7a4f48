"""The model's state: all fragments, their claims, and their dependencies; changed by key.

Promises: after any sequence of updates the state equals one that was built from scratch (but for Services of a node that
drain, until `draining` no longer holds them), and an update costs as much as what it touches. Each update returns
the change as a value, which is all that planning needs. An unexpected exception costs the object that it is about.
"""

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import replace
from functools import partial, reduce

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Content, Fragment
from headrace.names import Ref
from headrace.objects.kinds import Secret, Service
from headrace.resolve.admission import Admission, Refresh
from headrace.resolve.changes import Change, Failure, FragmentChange
from headrace.resolve.claims import ClaimKey
from headrace.resolve.dependencies import Dependencies
from headrace.resolve.hosts import Rank
from headrace.resolve.installation import Installation
from headrace.resolve.order import Order
from headrace.resolve.standing import UNKNOWN, Refusal, Standing, Standings
from headrace.resolve.translation import Translation
from headrace.store import TRANSLATED, Reader, Store, Translated
from headrace.translate.build_context import BuildContext


class State:
    """The fragments of one agent. Not thread-safe; one task owns it."""

    def __init__(self, context: BuildContext) -> None:
        self.context = context
        self._installation = Installation(context)
        self.fragments, self.claims = self._installation.fragments, self._installation.claims
        self.dependencies = Dependencies()
        self._translation = Translation(context, self.dependencies, self.fragments)
        self._standings = Standings()
        self.admission = Admission(context, self._standings)
        # Objects that wait for a reload, and why.
        self.delayed: Mapping[Ref, str] = {}
        # Services of which less is demanded, left out of a bounded update.
        self._later: set[Ref] = set()

    @property
    def failed(self) -> set[Ref]:
        """Return the objects that failed when they were last looked at."""
        return self._standings.failed

    @property
    def draining(self) -> set[Ref]:
        """Return the Services that are no longer this node's, or HAProxy's, and that HAProxy serves on to those who are connected."""
        return self._translation.draining

    @draining.setter
    def draining(self, refs: set[Ref]) -> None:
        self._translation.draining = refs

    def update(self, store: Store, dirty: Iterable[Ref], most: int | None = None) -> Change:
        """Build again what `dirty` (as `Store.take` returns it) touches, and return what that changed.

        An object that fails unexpectedly keeps its previous fragment until it, or what it reads, changes again.
        Beyond `most` objects, Services of which less is demanded than before are left for `take_later`.
        """
        self._standings.begin()
        queue, stale = self._stale(dirty)
        change = Change() if queue else self._follow(store, stale)
        return change.then(self._rebuild(store, queue | stale, stale, most)) if queue or stale else change

    def expect(self, store: Store, ref: Ref) -> AbstractSet[Ref]:
        """Return the Services that are to be updated before an object, because it demands something new of them.

        An object that demands something of many is updated after they have been, in as many steps as they take.
        """
        try:
            fragment = self._translation.build(store, Reader(store, ref))
        except Exception:  # noqa: BLE001  it is raised again when the object is updated
            return frozenset()
        return self.dependencies.expect(ref, self.fragments.get(ref), fragment.demands if fragment else ())

    def take_later(self) -> set[Ref]:
        """Return the Services that bounded updates have left out, once."""
        refs, self._later = self._later, set()
        return refs

    def age(self, store: Store, ref: Ref) -> Rank:
        """Return what orders changed objects: the age of the oldest object that is built from one."""
        if ref.kind == 'EndpointSlice':
            ref = Ref('Service', ref.namespace, ref.name)
        objects = {ref} if ref.kind in TRANSLATED else self.dependencies.readers(ref)
        return min((self._rank(store, each) for each in objects), default=('', ref.namespace, ref.name, ref.kind))

    def succeed(self, before: 'State', store: Store) -> Change:
        """Build all objects in the place of a state with other settings; those in error keep their last good form.

        That form is built anew, so it is what these settings and budgets make of it.
        """
        earlier = before.last_good()
        with store.showing(earlier):
            change = self.update(store, store.translated())
        return change.then(self.update(store, [item.ref for item in earlier])) if earlier else change

    def last_good(self) -> list[Translated | Secret]:
        """Return what the objects in error were last made from without one."""
        refs = self._standings.failed | self._standings.replaced
        return [item for ref in refs for item in self._standings.of(ref).made_from]

    def rebuild(self, store: Store, refs: Iterable[Ref]) -> Change:
        """Build some fragments again, and return what that changed."""
        self._standings.begin()
        return self._rebuild(store, set(refs))

    def undo(self, change: Change) -> Change:
        """Return to the fragments before a change, which could not be applied, and return what that changed."""
        back = change.inverse.fragments
        for item in back:
            self.dependencies.follow(item.ref, item.old, item.new)
            self.admission.charge(item.ref, item.new)
        undone = self._installation.exchange(back)
        self._standings.undo(item.ref for item in back)
        return undone

    def fail(self, store: Store, failure: Failure, previous: Fragment | None) -> Change:
        """Let an object return to a previous fragment, which could be applied, and return what that changed."""
        self._standings.begin()
        ref, before = failure.ref, self.fragments.get(failure.ref)
        fragment = self._last_form(store, failure, previous, before.needs if before else ())
        change = Change(failures=(failure,))
        if fragment == before:
            return change
        services = self.dependencies.follow(ref, before, fragment)
        self.admission.charge(ref, fragment)
        step, demands = self._settle(store, (FragmentChange(ref, before, fragment),))
        return change.then(step).then(self._rebuild(store, services | demands))

    def refuse(self, fragment: Fragment, message: str, accepted: Fragment | None = None) -> None:
        """Let another form stand for a fragment from the next update on, until its object becomes another one.

        `message` is HAProxy's reason, `accepted` the last form that HAProxy has accepted, if there is one.
        """
        ref, form = fragment.ref, _form(fragment)
        if ref not in self.fragments:
            return
        if accepted is not None and (accepted.closed or _form(accepted) == form):
            accepted = None
        refusal = Refusal(form, message, accepted)
        self._standings.put(ref, replace(self._standings.of(ref), refusal=refusal))

    def pointers(self) -> Iterator[tuple[ClaimKey, Content]]:
        """Yield all claimed keys, sorted, and what stands there."""
        return self._installation.pointers()

    def diagnostics(self, ref: Ref) -> tuple[Diagnostic, ...]:
        """Return all diagnostics about one object, those of conflicts among them."""
        fragment = self.fragments.get(ref)
        if fragment is None:
            return ()
        reason = self.delayed.get(ref)
        waits = () if reason is None else (Diagnostic(ref, 'ReloadDelayed', f'a change waits for a reload: {reason}'),)
        conflicts = self.claims.diagnostics(fragment, self.fragments)
        own = (*fragment.diagnostics, *fragment.unchecked, *fragment.endpoint_diagnostics)
        return tuple(sorted({*own, *conflicts, *waits}))

    def all_diagnostics(self) -> tuple[Diagnostic, ...]:
        """Return all diagnostics about all objects, sorted."""
        return tuple(diagnostic for ref in sorted(self.fragments) for diagnostic in self.diagnostics(ref))

    def _stale(self, dirty: Iterable[Ref]) -> tuple[set[Ref], set[Ref]]:
        """Return the fragments that are to be built anew, and those of which only endpoints changed."""
        own = self._translation.own
        queue: set[Ref] = set() if own in self.fragments else {own}
        stale: set[Ref] = set()
        for ref in dirty:
            queue |= self.dependencies.readers(ref)
            if ref.kind in TRANSLATED or ref == own:
                queue.add(ref)
            elif ref.kind == 'EndpointSlice':
                stale.add(Ref('Service', ref.namespace, ref.name))
        if not self._translation.refreshable:
            return queue | stale, set()
        return queue, stale - queue if queue else stale

    def _follow(self, store: Store, refs: set[Ref]) -> Change:
        """Follow the endpoints of objects, the oldest first, as long as no more of the model depends on that.

        This is the usual change. What is left in `refs` is to be judged with all that it touches.
        """
        changes: list[FragmentChange] = []
        for _, ref in self._by_age(store, refs):
            before = self.fragments.get(ref)
            if before is not None:
                if not self._standings.of(ref).is_plain:
                    break
                try:
                    fragment = self._translation.refresh(store, before)
                except Exception:  # noqa: BLE001  it is raised again, and returned as a failure
                    break
                if not self.admission.follows(fragment):
                    break
                if fragment.backends != before.backends or fragment.endpoint_diagnostics != before.endpoint_diagnostics:
                    changes.append(FragmentChange(ref, before, fragment))
            refs.discard(ref)
        if len(changes) > 1:
            changes.sort(key=lambda change: change.ref)
        return self._installation.follow(tuple(changes)) if changes else Change()

    def _rebuild(self, store: Store, queue: set[Ref], stale: Iterable[Ref] = (), most: int | None = None) -> Change:
        """Build objects, and those that they touch; those that have failed keep what they were."""
        change, endpoints = Change(), set(stale)
        # Each object is let in once, fails to be installed once, and is judged again once, so that this comes to an end.
        let_in, failed, again = set[Ref](), set[Ref](), set[Ref]()
        while queue:
            changes, failures, complete = self._build(store, queue, endpoints, let_in, most)
            step, queue = self._settle(store, changes)
            change = change.then(replace(step, failures=(*failures, *step.failures)) if failures else step)
            endpoints.clear()
            for ref in complete:
                self._note(store, ref)
            failed.update(failure.ref for failure in step.failures)
            if step.failures and (overdrawn := self._overdrawn(step) - again - failed):
                # They have got room that others were to leave, and have not.
                again |= overdrawn
                change = change.then(
                    self.undo(Change(tuple(each for each in change.fragments if each.ref in overdrawn)))
                )
                queue |= overdrawn
            queue -= failed
        return change

    def _overdrawn(self, step: Change) -> set[Ref]:
        """Return the changed objects of namespaces that a change leaves beyond a budget."""
        refs = {item.ref for item in step.fragments}
        beyond = {name for name in {ref.namespace for ref in refs} if self.admission.totals.exceeds(name)}
        return {ref for ref in refs if ref.namespace in beyond}

    def _build(
        self, store: Store, queue: set[Ref], stale: set[Ref], let_in: set[Ref], most: int | None
    ) -> tuple[tuple[FragmentChange, ...], Iterable[Failure], set[Ref]]:
        """Return the fragments of objects and of those that they touch, what failed, and what was built anew without."""
        new: dict[Ref, Fragment | None] = {}
        failures: dict[Ref, Failure] = {}
        complete: set[Ref] = set()
        # The oldest come first, since budgets leave room for them first.
        order = Order(self._by_age(store, queue))
        while order or (self.admission.waits and self._let_in(store, order, new, let_in)):
            ref = order.pop()
            queue.discard(ref)
            before = new[ref] if ref in new else self.fragments.get(ref)
            refresh = ref in stale and ref not in new and ref not in let_in
            reader = Reader(store, ref)
            try:
                fragment = self._translate(store, reader, before, refresh=refresh)
                failures.pop(ref, None)
                if not refresh:
                    complete.add(ref)
            except Exception as error:  # noqa: BLE001  returned as a failure
                failures[ref] = Failure(ref, 'translate', error)
                fragment = self._last_form(store, failures[ref], before, reader.needs)
            self.admission.charge(ref, fragment)
            if not refresh:
                self.dependencies.note_build(ref)
            if fragment == before and not self.dependencies.expects(ref):
                continue
            new[ref] = fragment
            services = self.dependencies.follow(ref, before, fragment)
            if most is not None and len(new) + len(order) + len(services) > most:
                less = services.difference(demand.service for demand in (fragment.demands if fragment else ()))
                self._later |= less - queue
                services -= less - queue
            for each in services - queue:
                order.push(self._rank(store, each), each)
            queue |= services
            stale -= services
        old = self.fragments
        changes = (FragmentChange(ref, old.get(ref), new[ref]) for ref in sorted(new) if old.get(ref) != new[ref])
        return tuple(changes), failures.values(), complete

    def _by_age(self, store: Store, refs: set[Ref]) -> list[tuple[Rank, Ref]]:
        if len(refs) == 1:
            # Needs no order: the usual change is that of one object.
            return [(('', '', '', ''), ref) for ref in refs]
        return sorted((self._rank(store, ref), ref) for ref in refs)

    def _rank(self, store: Store, ref: Ref) -> Rank:
        source = store.source(ref)
        return (source.created if source is not None else '', ref.namespace, ref.name, ref.kind)

    def _let_in(self, store: Store, order: Order, new: Iterable[Ref], let_in: set[Ref]) -> bool:
        """Queue the objects for which there is room now, each once in an update; tell whether there are any."""
        ready = [ref for ref in self.admission.ready(new) if ref not in let_in]
        let_in.update(ready)
        for ref in ready:
            order.push(self._rank(store, ref), ref)
        return bool(ready)

    def _translate(self, store: Store, reader: Reader, before: Fragment | None, *, refresh: bool) -> Fragment | None:
        ref = reader.ref
        if refresh and before is not None and not self._has_substitute(ref) and store.get(ref, Service) is not None:
            return self.admission.follow(self._translation.refresh(store, before))
        fragment = self._translation.build(store, reader)
        if fragment is None:
            if self._standings.of(ref) is not UNKNOWN:
                self._standings.put(ref, UNKNOWN)
            return None
        refresh_form = partial(self._translation.refresh, store)
        fragment = self.admission.admit(fragment, before, refresh_form)
        standing = self._standings.of(ref)
        if standing.failed:
            self._standings.put(ref, replace(standing, failed=False))
        return fragment if standing.refusal is None else self._accepted_form(fragment, standing.refusal, refresh_form)

    def _has_substitute(self, ref: Ref) -> bool:
        """Tell whether a fragment that does not follow from its object stands for it."""
        standing = self._standings.of(ref)
        return standing.failed or standing.refusal is not None

    def _accepted_form(self, fragment: Fragment, refusal: Refusal, refresh: Refresh) -> Fragment:
        """Return what stands for a refused fragment; the fragment itself once it is another."""
        ref = fragment.ref
        if _form(fragment) != refusal.form:
            self._standings.put(ref, replace(self._standings.of(ref), refusal=None))
            return fragment
        diagnostic = Diagnostic(ref, 'RefusedByHaproxy', refusal.message)
        form = replace(fragment, diagnostics=tuple(sorted((*fragment.diagnostics, diagnostic))))
        return self.admission.replace(form, refusal.accepted, refresh)

    def _note(self, store: Store, ref: Ref) -> None:
        """Note what an object was made from, if its own form stands."""
        standing, source, fragment = self._standings.of(ref), store.source(ref), self.fragments.get(ref)
        if self._has_substitute(ref) or standing.replaced or source is None or fragment is None:
            return
        secrets = [secret for need in fragment.needs if (secret := store.get(need, Secret)) is not None]
        self._standings.put(ref, Standing((source, *secrets), wait=standing.wait))

    def _last_form(self, store: Store, failure: Failure, previous: Fragment | None, reads: Iterable[Ref]) -> Fragment:
        """Return what stands for an object that failed: its previous fragment, if there is one, and the diagnostic.

        `reads` is what the attempt that failed has read.
        """
        ref = failure.ref
        self._standings.put(ref, replace(self._standings.of(ref), failed=True))
        needs = {*(previous.needs if previous else ()), *reads}
        if previous is None:
            source = store.source(ref)
            previous = Fragment(ref, created=source.created if source is not None else '')
        elif self._translation.refreshable and ref.kind == 'Service':
            # What it has served is served on, by the endpoints that there are.
            with contextlib.suppress(Exception):
                previous = self._translation.refresh(store, previous)
        diagnostics = tuple(diagnostic for diagnostic in previous.diagnostics if diagnostic.reason != 'InternalError')
        return replace(previous, needs=tuple(sorted(needs)), diagnostics=(*diagnostics, failure.diagnostic))

    def _settle(self, store: Store, changes: tuple[FragmentChange, ...]) -> tuple[Change, set[Ref]]:
        """Install fragments, and return what that changed, and of which objects others are demanded then.

        Those that fail there keep their previous form, and are found by halving.
        """
        if not changes:
            return Change(), set()
        try:
            return self._installation.exchange(changes), set()
        except Exception as error:  # noqa: BLE001  returned as a failure
            if len(changes) == 1:
                return self._revert(store, changes[0], Failure(changes[0].ref, 'resolve', error))
        parts = [self._settle(store, part) for part in self._parts(changes)]
        return reduce(Change.then, (change for change, _ in parts)), set().union(*(demands for _, demands in parts))

    def _parts(self, changes: tuple[FragmentChange, ...]) -> tuple[tuple[FragmentChange, ...], ...]:
        """Return two parts of some changes: the objects that have failed before are suspected first."""
        suspects = tuple(change for change in changes if change.ref in self.failed)
        if suspects and len(suspects) < len(changes):
            return tuple(change for change in changes if change.ref not in self.failed), suspects
        middle = len(changes) // 2
        return changes[:middle], changes[middle:]

    def _revert(self, store: Store, change: FragmentChange, failure: Failure) -> tuple[Change, set[Ref]]:
        """Let an object keep its previous fragment, whose claims stay as they are."""
        ref = change.ref
        self._standings.undo([ref])
        fragment = self._last_form(store, failure, change.old, change.new.needs if change.new else ())
        demands = self.dependencies.follow(ref, change.new, fragment)
        self.admission.charge(ref, fragment)
        self.fragments[ref] = fragment
        return Change((FragmentChange(ref, change.old, fragment),), (), (ref,), (failure,)), demands


def _form(fragment: Fragment) -> Fragment:
    """Return a fragment without its endpoints: an endpoint that comes makes no configuration good."""
    bare = tuple(replace(backend, groups=()) for backend in fragment.backends if not backend.pin)
    return replace(fragment, backends=bare, endpoint_diagnostics=())
