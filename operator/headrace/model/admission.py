"""Which form of an object stands: the one that it asks for, its last good one, or a closed one.

Owns the order of forms of an object for which a budget leaves no room, and who waits for room. What serves is never taken
away for an older object that comes later. Pure.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from headrace.annotations.reading import PREFIX
from headrace.model import budgets, totals
from headrace.model.hosts import Rank, rank
from headrace.model.ir import Fragment
from headrace.model.totals import Cost, Totals
from headrace.model.view import Role, View
from headrace.names import Ref

Refresh = Callable[[Fragment], Fragment]
_FIELD_OF_CHECKS = f'metadata.annotations[{PREFIX}check]'


@dataclass(frozen=True, slots=True)
class _Wait:
    """What an object waits for: room for one of these forms, or for its checks (thousandths a second)."""

    rank: Rank
    forms: tuple[Cost, ...] = ()
    checks: int = 0


class Admission:
    """What stands for objects that a budget leaves no room for, and who waits. Only at the edge there are budgets."""

    def __init__(self, view: View) -> None:
        self.totals = Totals(view.settings)
        self._active = view.role is Role.EDGE
        # What objects were before they exceeded a budget.
        self._good: dict[Ref, Fragment] = {}
        # Objects for which another form than their own stands.
        self.replaced: set[Ref] = set()
        self._waiting: dict[str, dict[Ref, _Wait]] = {}

    @property
    def waits(self) -> bool:
        """Tell whether any object waits for room."""
        return bool(self._waiting)

    def charge(self, ref: Ref, fragment: Fragment | None) -> None:
        """Note what stands for an object now."""
        if self._active:
            self.totals.charge(ref, fragment)

    def forget(self, ref: Ref) -> None:
        """Forget an object that is gone."""
        self._good.pop(ref, None)
        self.replaced.discard(ref)
        self._stop_waiting(ref)

    def admit(self, built: Fragment, held: Fragment | None, refresh: Refresh) -> Fragment:
        """Return what stands for an object that was built anew; `held` stands for it until now."""
        ref, wanted = built.ref, totals.cost(built)
        self._stop_waiting(ref)
        excess = self.totals.excess(ref, wanted)
        if excess is None and not built.closed:
            self._good.pop(ref, None)
            self.replaced.discard(ref)
            return self._checked(built)
        if held is not None and held.claims and ref not in self.replaced:
            self._good[ref] = _with_checks(held)
        self.replaced.add(ref)
        said = built.verdicts if excess is None or built.closed else (*built.verdicts, excess.verdict(ref))
        forms = tuple(self._forms(replace(built, verdicts=tuple(sorted(said))), refresh))
        costs = tuple(totals.cost(form) for form in forms)
        place, form = next(
            (place, form) for place, form in enumerate(forms) if self.totals.excess(ref, costs[place]) is None
        )
        # What is too large by itself needs another object to be written, unless there is no room for its closed form.
        if waits := (*(() if excess is None else (wanted,)), *costs[:place]):
            self._wait(built, _Wait(rank(built), waits))
        return self._checked(form)

    def _forms(self, built: Fragment, refresh: Refresh) -> Iterable[Fragment]:
        """Yield what can stand for a fragment, the best first; the last one takes nothing."""
        if (good := self._good.get(built.ref)) is not None:
            good = self._good[built.ref] = refresh(good)
            yield replace(good, created=built.created, needs=built.needs, verdicts=built.verdicts)
        closed = budgets.closed_form(built)
        yield closed
        yield budgets.without_claims(closed)

    def follow(self, built: Fragment) -> Fragment:
        """Return what stands for an object of which only endpoints have changed: they count by their checks alone."""
        waits = self._waiting.get(built.ref.namespace, {}).get(built.ref) if self._waiting else None
        if waits is None or not waits.checks:
            return self._checked(built)
        self._stop_waiting(built.ref)
        if waits.forms:
            self._wait(built, replace(waits, checks=0))
        return self._checked(_with_checks(built))

    def _checked(self, fragment: Fragment) -> Fragment:
        """Return a fragment with its checks if there is room for them, else without any."""
        rate = totals.checks(fragment)
        excess = self.totals.excess_of_checks(fragment.ref, rate) if rate else None
        if excess is None:
            return fragment
        held = self._waiting.get(fragment.ref.namespace, {}).get(fragment.ref, _Wait(rank(fragment)))
        self._wait(fragment, replace(held, checks=rate))
        verdict = replace(excess.verdict(fragment.ref), field=_FIELD_OF_CHECKS)
        return replace(
            fragment,
            backends=tuple(
                replace(backend, options=replace(backend.options, check=False)) for backend in fragment.backends
            ),
            verdicts=tuple(sorted((*fragment.verdicts, verdict))),
        )

    def ready(self, changed: Iterable[Ref]) -> list[Ref]:
        """Return who waits and has room now that some objects have changed, the oldest first.

        Crypt hashes are counted over all namespaces, so who waits with some is looked at after any change.
        """
        namespaces = {ref.namespace for ref in changed}
        found = [
            (wait, ref)
            for namespace, waiting in self._waiting.items()
            for ref, wait in waiting.items()
            if namespace in namespaces or any(form.hashes for form in wait.forms)
        ]
        trial, ready = self.totals.copy(), list[Ref]()
        for wait, ref in sorted(found, key=lambda item: item[0].rank):
            form = next((form for form in wait.forms if trial.excess(ref, form) is None), None)
            if form is None and (not wait.checks or trial.excess_of_checks(ref, wait.checks) is not None):
                continue
            trial.attempt(ref, form, wait.checks)
            ready.append(ref)
        return ready

    def _wait(self, fragment: Fragment, wait: _Wait) -> None:
        self._waiting.setdefault(fragment.ref.namespace, {})[fragment.ref] = wait

    def _stop_waiting(self, ref: Ref) -> None:
        if (waiting := self._waiting.get(ref.namespace)) is not None:
            waiting.pop(ref, None)
            if not waiting:
                del self._waiting[ref.namespace]


def _with_checks(fragment: Fragment) -> Fragment:
    """Return a fragment with the checks that its object asks for, which it has lost for want of room."""
    verdicts = tuple(verdict for verdict in fragment.verdicts if not _is_of_checks(verdict.reason, verdict.field))
    if verdicts == fragment.verdicts:
        return fragment
    backends = tuple(
        replace(backend, options=replace(backend.options, check=backend.shape.check != 'off'))
        for backend in fragment.backends
    )
    return replace(fragment, backends=backends, verdicts=verdicts)


def _is_of_checks(reason: str, field: str) -> bool:
    return reason == budgets.REASON and field == _FIELD_OF_CHECKS
