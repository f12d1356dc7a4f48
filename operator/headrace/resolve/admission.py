"""Which form of an object stands: the one that it asks for, its last good one, or a closed one.

Owns the order of forms of an object for which a budget leaves no room, and who waits for room. What serves is never taken
away for an older object that comes later. Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from headrace.annotations.parse import PREFIX
from headrace.ir.backend import Backend
from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.resolve import totals
from headrace.resolve.hosts import rank
from headrace.resolve.standing import Standings, Wait
from headrace.resolve.totals import Cost, Totals
from headrace.translate import affinity, budgets
from headrace.translate.budgets import Excess
from headrace.translate.build_context import BuildContext, Role

Refresh = Callable[[Fragment], Fragment]
_FIELD_OF_CHECKS = f'metadata.annotations[{PREFIX}check]'


class Admission:
    """What stands for objects that a budget leaves no room for, and what waits. Only at the edge there are budgets."""

    def __init__(self, context: BuildContext, standings: Standings) -> None:
        self.totals = Totals(context.settings)
        self.standings = standings
        self._active = context.role is Role.EDGE

    @property
    def waits(self) -> bool:
        """Tell whether any object waits for room."""
        return bool(self.standings.waiting)

    def charge(self, ref: Ref, fragment: Fragment | None) -> None:
        """Note what stands for an object now."""
        if self._active:
            self.totals.charge(ref, fragment)

    def admit(self, fragment: Fragment, previous: Fragment | None, refresh: Refresh) -> Fragment:
        """Return what stands for an object that was built anew; `previous` stands for it until now."""
        if not self._active or fragment.ref.kind == 'Class':
            standing = self.standings.of(fragment.ref)
            if standing.replaced:
                self.standings.put(fragment.ref, replace(standing, good=None, replaced=False, wait=None))
            return fragment
        ref, demand = fragment.ref, self.totals.cost(fragment)
        excess = self.totals.excess(ref, demand)
        if excess is None and not fragment.closed:
            return self._with_room(fragment)
        standing = self.standings.of(ref)
        good = (
            _with_checks(previous)
            if previous is not None and previous.claims and not standing.replaced
            else standing.good
        )
        good = refresh(good) if good is not None else None
        diagnostics = (
            fragment.diagnostics
            if excess is None or fragment.closed
            else (*fragment.diagnostics, excess.diagnostic(ref))
        )
        # What is too large by itself needs another object to be written, unless there is no room for its closed form.
        waits = () if excess is None else (demand,)
        return self._best_form(replace(fragment, diagnostics=tuple(sorted(diagnostics))), good, waits)

    def replace(self, fragment: Fragment, good: Fragment | None, refresh: Refresh) -> Fragment:
        """Return what stands for an object that HAProxy refuses: the last form that it has accepted, else a closed one."""
        return self._best_form(fragment, refresh(good) if good is not None else None)

    def _best_form(self, fragment: Fragment, good: Fragment | None, waits: tuple[Cost, ...] = ()) -> Fragment:
        """Return the best form for which there is room; an object waits for room for better ones."""
        forms = tuple(_forms(fragment, good))
        costs = tuple(totals.cost(form) for form in forms)
        place, form = next(
            (place, form) for place, form in enumerate(forms) if self.totals.excess(fragment.ref, costs[place]) is None
        )
        waits = (*waits, *costs[:place])
        return self._with_room(form, good=good, replaced=True, wait=Wait(rank(fragment), waits) if waits else None)

    def follow(self, fragment: Fragment) -> Fragment:
        """Return what stands for an object of which only endpoints have changed: they and their checks alone count."""
        standing = self.standings.of(fragment.ref)
        wait = standing.wait
        if wait is not None and (wait.checks or wait.servers):
            fragment, wait = _with_checks(fragment), replace(wait, checks=0, servers=0) if wait.forms else None
        return self._with_room(fragment, good=standing.good, replaced=standing.replaced, wait=wait)

    def follows(self, fragment: Fragment) -> bool:
        """Charge an object of which only endpoints have changed, if that touches no other object; else tell that it may."""
        ref = fragment.ref
        return ref.namespace not in self.standings.waiting and self.totals.follow(ref, fragment)

    def _with_room(
        self, fragment: Fragment, *, good: Fragment | None = None, replaced: bool = False, wait: Wait | None = None
    ) -> Fragment:
        """Return a fragment with as many endpoints as there is room for, and with checks if there is room for all of them."""
        fragment, wait = self._part(fragment, wait)
        rate = totals.checks(fragment)
        excess = self.totals.excess_of_checks(fragment.ref, rate) if rate else None
        if excess is not None:
            wait = replace(wait or Wait(rank(fragment)), checks=rate)
            diagnostic = replace(excess.diagnostic(fragment.ref), field=_FIELD_OF_CHECKS)
            fragment = replace(_checking(fragment, lambda _: False), unchecked=(diagnostic,))
        standing = self.standings.of(fragment.ref)
        if replaced or standing.replaced or wait != standing.wait:
            self.standings.put(fragment.ref, replace(standing, good=good, replaced=replaced, wait=wait))
        return fragment

    def _part(self, fragment: Fragment, wait: Wait | None) -> tuple[Fragment, Wait | None]:
        """Return a fragment with as many of its endpoints as there is room for; where that is not all, it waits."""
        count, room = totals.servers(fragment), self.totals.room_for_servers(fragment.ref)
        if count <= room:
            return fragment, wait
        most = self.totals.settings.max_endpoints_per_namespace
        subject = f'endpoints of namespace {fragment.ref.namespace}'
        excess = Excess(subject, most - room + count, most, 'maxEndpointsPerNamespace')
        diagnostics = (*fragment.endpoint_diagnostics, replace(excess.diagnostic(fragment.ref), field=''))
        part = fragment.with_endpoints(affinity.limit(fragment.backends, room), tuple(sorted(diagnostics)))
        return part, replace(wait or Wait(rank(fragment)), servers=count)

    def ready(self, changed: Iterable[Ref]) -> list[Ref]:
        """Return the waiting objects that have room now that some objects have changed, the oldest first.

        Crypt hashes are counted over all namespaces, so objects that wait with some are looked at after any change.
        """
        namespaces = {ref.namespace for ref in changed}
        waits = [
            (wait, ref)
            for namespace, waiting in self.standings.waiting.items()
            for ref in waiting
            if (wait := self.standings.of(ref).wait) is not None
            and (namespace in namespaces or any(form.hashes for form in wait.forms))
        ]
        trial, ready = self.totals.copy(), list[Ref]()
        for wait, ref in sorted(waits, key=lambda item: item[0].rank):
            form = next((form for form in wait.forms if trial.excess(ref, form) is None), None)
            has_checks = wait.checks and trial.excess_of_checks(ref, wait.checks) is None
            has_servers = wait.servers and trial.room_for_servers(ref) > trial.charge_of(ref).servers
            if form is None and not has_checks and not has_servers:
                continue
            trial.attempt(ref, form, wait.checks if has_checks else 0, wait.servers)
            ready.append(ref)
        return ready


def _forms(fragment: Fragment, good: Fragment | None) -> Iterable[Fragment]:
    """Yield what can stand for a fragment, the best first; the last one takes nothing."""
    if good is not None:
        yield replace(
            good,
            created=fragment.created,
            needs=fragment.needs,
            attachments=fragment.attachments,
            diagnostics=fragment.diagnostics,
        )
    without_routes = budgets.closed_form(fragment)
    yield without_routes
    yield budgets.without_claims(without_routes)


def _with_checks(fragment: Fragment) -> Fragment:
    """Return a fragment with the checks that its object asks for, which it has lost for want of room."""
    if not fragment.unchecked:
        return fragment
    return replace(_checking(fragment, lambda backend: backend.shape.check != 'off'), unchecked=())


def _checking(fragment: Fragment, check: Callable[[Backend], bool]) -> Fragment:
    backends = (replace(each, options=replace(each.options, check=check(each))) for each in fragment.backends)
    return replace(fragment, backends=tuple(backends))
