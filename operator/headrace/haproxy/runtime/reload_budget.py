"""How many reloads namespaces may cause: a token bucket for each of them, and one for all of them together.

Pure: callers give the time. A bucket holds the tokens of one minute; a reload takes one from that of each namespace which
has asked for it, and one from that of all. A namespace whose bucket is empty waits, but a reload that goes ahead for
another reason brings its changes too, and costs it nothing. A reload that has failed is paid once for each of its
reasons. Reloads for the administrator's own changes wait for no bucket, and cost no token.

Every old worker holds connections of all namespaces. So a reload also waits while there are too many of them, and while
one namespace's reloads have left half as many as that. Only the administrator's own changes may end an old worker.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum

from headrace.haproxy.plan.reload_reasons import Reason
from headrace.settings.settings import Settings

_MINUTE = 60.0
# So many old workers are kept for reloads of the administrator's.
_RESERVED = 2


class Why(StrEnum):
    """Why a reload waits."""

    NAMESPACE = 'namespace'
    TOTAL = 'total'
    OLD_WORKERS = 'old-workers'

    def words(self, settings: Settings) -> str:
        """Return the reason as a user reads it."""
        match self:
            case Why.NAMESPACE:
                return f'the namespace has caused the {settings.reloads_per_minute} reloads a minute that it may'
            case Why.TOTAL:
                return (
                    f'all namespaces have caused the {settings.total_reloads_per_minute} reloads a minute that they may'
                )
            case Why.OLD_WORKERS:
                return 'workers of earlier reloads still hold connections'


@dataclass(frozen=True, slots=True)
class Limits:
    """Reloads a minute that one namespace, and all together, may cause; and old workers beside which they may."""

    by_namespace: int
    total: int
    old_workers: int

    @property
    def share(self) -> int:
        """Return how many old workers the reloads of one namespace may have left."""
        return max(1, self.old_workers // 2)


def limits(settings: Settings) -> Limits:
    """Return the limits that the class's settings ask for."""
    old_workers = max(1, settings.max_old_workers - _RESERVED)
    return Limits(settings.reloads_per_minute, settings.total_reloads_per_minute, old_workers)


@dataclass(frozen=True, slots=True)
class Delayed:
    """A reason that waits, and why."""

    reason: Reason
    why: Why


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a reload may begin now; otherwise in how many seconds tokens allow one, and what waits why."""

    now: bool
    seconds: float = 0.0
    delayed: tuple[Delayed, ...] = ()


@dataclass(frozen=True, slots=True)
class Budget:
    """When each bucket is full again, in seconds of the callers' clock; one that is not here is full."""

    namespaces: Mapping[str, float] = field(default_factory=dict)
    total: float = float('-inf')

    def decide(
        self,
        reasons: Iterable[Reason],
        old_workers: Iterable[frozenset[str]],
        now: float,
        allowed: Limits,
        paid: AbstractSet[Reason] = frozenset(),
    ) -> Decision:
        """Tell whether a reload for these reasons may begin; `old_workers` are, for each, the namespaces that left it.

        Those that are `paid` need no token: a reload for them has failed.
        """
        workers = [*old_workers]
        delayed: list[Delayed] = []
        seconds: list[float] = []
        for reason in sorted(reasons):
            if reason.administrator:
                return Decision(now=True)
            why, wait = self._judge(reason, workers, now, allowed, paid=reason in paid)
            if why is None:
                return Decision(now=True)
            delayed.append(Delayed(reason, why))
            seconds.append(wait)
        return Decision(now=False, seconds=min(seconds, default=0.0), delayed=tuple(delayed))

    def _judge(
        self, reason: Reason, workers: list[frozenset[str]], now: float, allowed: Limits, *, paid: bool
    ) -> tuple[Why | None, float]:
        """Return why a reason waits, None when it does not, and for how long it waits for tokens."""
        own = min((self._wait(name, now, allowed) for name in reason.namespaces), default=0.0)
        if own > 0 and not paid:
            return Why.NAMESPACE, own
        if not paid and (wait := _wait(self.total, now, allowed.total)) > 0:
            return Why.TOTAL, wait
        if len(workers) >= allowed.old_workers or not any(
            (paid or self._wait(name, now, allowed) <= 0) and sum(name in names for names in workers) < allowed.share
            for name in reason.namespaces or ('',)
        ):
            return Why.OLD_WORKERS, 0.0
        return None, 0.0

    def _wait(self, namespace: str, now: float, allowed: Limits) -> float:
        return _wait(self.namespaces.get(namespace, now), now, allowed.by_namespace)

    def payers(self, reasons: Iterable[Reason], now: float, allowed: Limits) -> frozenset[str]:
        """Return the namespaces that a reload which begins now is charged to: those that have asked for it and have a token."""
        all_reasons = [*reasons]
        if any(reason.administrator for reason in all_reasons):
            return frozenset()
        namespaces = {name for reason in all_reasons for name in reason.namespaces}
        return frozenset(name for name in namespaces if self._wait(name, now, allowed) <= 0)

    def charge(self, payers: Iterable[str], now: float, allowed: Limits) -> 'Budget':
        """Return the budget after a reload that namespaces have caused; buckets that are full are forgotten."""
        current = {name: full for name, full in self.namespaces.items() if full > now}
        paid = {name: max(current.get(name, now), now) + _MINUTE / allowed.by_namespace for name in payers}
        return Budget(current | paid, max(self.total, now) + _MINUTE / allowed.total)


def _wait(full: float, now: float, rate: int) -> float:
    """Return for how many seconds a bucket has no token, 0 when it has one."""
    return max(0.0, full - now - _MINUTE / rate * (rate - 1))
