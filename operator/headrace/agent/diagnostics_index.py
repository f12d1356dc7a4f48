"""The verdicts about all objects, kept as they change, so that no page has to compute all of them."""

from collections import Counter
from collections.abc import Iterable

from headrace.diagnostics import Verdict
from headrace.names import Ref
from headrace.resolve.changes import Failure
from headrace.resolve.state import State


class Judged:
    """The verdicts of one state by object, and how many there are of each level and reason."""

    def __init__(self, state: State) -> None:
        self.verdicts: dict[Ref, tuple[Verdict, ...]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.note(state, state.fragments)

    def note(self, state: State, refs: Iterable[Ref]) -> None:
        """Take the verdicts of some objects anew."""
        for ref in refs:
            for verdict in self.verdicts.pop(ref, ()):
                self.counts[str(verdict.level), verdict.reason] -= 1
            try:
                found = state.verdicts(ref)
            except Exception as error:  # noqa: BLE001  shown as a diagnostic
                found = (Failure(ref, 'diagnose', error).verdict,)
            if found:
                self.verdicts[ref] = found
                self.counts.update((str(verdict.level), verdict.reason) for verdict in found)

    def all(self) -> list[Verdict]:
        """Return all verdicts, sorted by object."""
        return [verdict for ref in sorted(self.verdicts) for verdict in self.verdicts[ref]]
