"""The diagnostics about all objects, kept as they change, so that no page has to compute all of them."""

from collections import Counter
from collections.abc import Iterable

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.resolve.changes import Failure
from headrace.resolve.state import State


class DiagnosticsIndex:
    """The diagnostics of one state by object, and how many there are of each level and reason."""

    def __init__(self, state: State) -> None:
        self.diagnostics: dict[Ref, tuple[Diagnostic, ...]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.note(state, state.fragments)

    def note(self, state: State, refs: Iterable[Ref]) -> None:
        """Take the diagnostics of some objects anew."""
        for ref in refs:
            for diagnostic in self.diagnostics.pop(ref, ()):
                self.counts[str(diagnostic.level), diagnostic.reason] -= 1
            try:
                found = state.diagnostics(ref)
            except Exception as error:  # noqa: BLE001  shown as a diagnostic
                found = (Failure(ref, 'diagnose', error).diagnostic,)
            if found:
                self.diagnostics[ref] = found
                self.counts.update((str(diagnostic.level), diagnostic.reason) for diagnostic in found)

    def all(self) -> list[Diagnostic]:
        """Return all diagnostics, sorted by object."""
        return [diagnostic for ref in sorted(self.diagnostics) for diagnostic in self.diagnostics[ref]]
