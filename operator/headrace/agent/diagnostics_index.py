"""The diagnostics about all objects, kept as they change, so that no page has to compute all of them."""

import itertools
from collections import Counter
from collections.abc import Iterable

from headrace.diagnostics import OF_AGENTS, Diagnostic
from headrace.names import Ref
from headrace.resolve.changes import Failure
from headrace.resolve.state import State

_revisions = itertools.count(1)


class DiagnosticsIndex:
    """The diagnostics of one state by object, and how many there are of each level and reason.

    `revision` changes with those that only an agent can know, also from one index to the next.
    """

    def __init__(self, state: State) -> None:
        self.diagnostics: dict[Ref, tuple[Diagnostic, ...]] = {}
        self.counts: Counter[tuple[str, str]] = Counter()
        self.revision = next(_revisions)
        self._of_agents: dict[Ref, tuple[Diagnostic, ...]] = {}
        self.note(state, state.fragments)

    def note(self, state: State, refs: Iterable[Ref]) -> None:
        """Take the diagnostics of some objects anew."""
        for ref in refs:
            for diagnostic in self.diagnostics.pop(ref, ()):
                self.counts[str(diagnostic.level), diagnostic.reason] -= 1
            try:
                diagnostics = state.diagnostics(ref)
            except Exception as error:  # noqa: BLE001  shown as a diagnostic
                diagnostics = (Failure(ref, 'diagnose', error).diagnostic,)
            if diagnostics:
                self.diagnostics[ref] = diagnostics
                self.counts.update((str(diagnostic.level), diagnostic.reason) for diagnostic in diagnostics)
            self._note_of_agents(ref, tuple(item for item in diagnostics if item.reason in OF_AGENTS))

    def _note_of_agents(self, ref: Ref, diagnostics: tuple[Diagnostic, ...]) -> None:
        if diagnostics == self._of_agents.pop(ref, ()):
            if diagnostics:
                self._of_agents[ref] = diagnostics
            return
        if diagnostics:
            self._of_agents[ref] = diagnostics
        self.revision = next(_revisions)

    def of_agents(self) -> list[Diagnostic]:
        """Return those that only an agent can know, in no order."""
        return [diagnostic for diagnostics in self._of_agents.values() for diagnostic in diagnostics]
