"""What the apply side has done: counters and the last plans and reloads, for metrics, status and health.

Values only; no clock is read here. Times are seconds of the clock that the writer names.
"""

from collections import Counter, deque
from dataclasses import dataclass, field

_KEPT = 20


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """A plan that was applied: when (Unix time), what it was about, and what became of it."""

    at: float
    refs: tuple[str, ...]
    commands: int
    refused: int
    reasons: tuple[str, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class ReloadRecord:
    """A reload: when (Unix time), why, how long it took, whether it was good, and the namespaces that it was charged to."""

    at: float
    reasons: tuple[str, ...]
    seconds: float
    good: bool
    error: str = ''
    namespaces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for a reload: the reason, its objects, and a word for why it waits."""

    reason: str
    objects: tuple[str, ...]
    why: str


@dataclass(slots=True)
class Stats:
    """All that has been done since the start."""

    plans: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    reloads: Counter[tuple[str, str]] = field(default_factory=Counter)
    ended_workers: int = 0
    repairs: int = 0
    drift: int = 0
    checks: int = 0
    adoptions: int = 0
    starts: int = 0
    # Unexpected exceptions, by stage.
    internal_errors: Counter[str] = field(default_factory=Counter)
    last_plans: deque[PlanRecord] = field(default_factory=lambda: deque(maxlen=_KEPT))
    last_reloads: deque[ReloadRecord] = field(default_factory=lambda: deque(maxlen=_KEPT))
    waiting: tuple[Waiting, ...] = ()
    # Another release that holds the class, '' for none.
    class_held_by: str = ''
    # What stands in the way now, by subject (`files`, `reload`, `worker`, …); empty when all is well.
    problems: dict[str, str] = field(default_factory=dict)

    def plans_since(self, total: int) -> list[PlanRecord]:
        """Return the last plans, those that were applied since there were so many in all."""
        count = min(self.plans.total() - total, len(self.last_plans))
        return [self.last_plans[place] for place in range(-count, 0)]

    def problem(self, subject: str, text: str) -> bool:
        """Note what stands in the way, '' for nothing; return whether that is news."""
        if not text:
            return self.problems.pop(subject, None) is not None
        news = self.problems.get(subject) != text
        self.problems[subject] = text
        return news

    def note_class(self, holder: str) -> None:
        """Note another release that holds the class, '' for none: this agent serves, and its controllers write nothing."""
        self.class_held_by = holder
        text = (
            f'another release, {holder}, holds the class: the controllers of this one write nothing' if holder else ''
        )
        self.problem('class', text)
