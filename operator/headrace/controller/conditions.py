"""What the controller would have users' objects say: a condition whether they are served, and Events about mistakes.

Pure. What only an agent can know (a Secret's content, what HAProxy refuses) comes from the agents' Leases; everything
else from the controller's own model, which reads no Secrets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace import names
from headrace.diagnostics import OF_AGENTS, Level, Verdict
from headrace.objects.kinds import Service
from headrace.objects.parse import PROGRAMMED

_MOST_SAID = 5
_LONGEST_MESSAGE = 1024
_PENDING = frozenset(('HandoverPending',))

Condition = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One Event: the verdict that it tells, and a name that is the same for the same news."""

    name: str
    verdict: Verdict


def errors(own: Iterable[Verdict], told: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts of level error that hold for an object: of the controller's model, and of the agents."""
    judged = [verdict for verdict in own if verdict.reason not in OF_AGENTS]
    judged += [verdict for verdict in told if verdict.reason in OF_AGENTS]
    return tuple(sorted({verdict for verdict in judged if verdict.level is Level.ERROR}))


def pending(own: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """Return the verdicts about what a Service waits for, without a mistake in it."""
    return tuple(sorted(verdict for verdict in own if verdict.reason in _PENDING))


def digest(service: Service) -> str:
    """Return what stands for the part of a Service that verdicts speak of; a Service has no generation."""
    return names.digest(repr((service.annotations, service.ports, service.type, service.load_balancer_class)), 8)


def condition(service: Service, found: tuple[Verdict, ...]) -> Condition | None:
    """Return status, reason and message of the condition; None when there is nothing to say."""
    if not found:
        return None
    message = '; '.join(verdict.message for verdict in found[:_MOST_SAID])
    if len(found) > _MOST_SAID:
        message += f'; and {len(found) - _MOST_SAID} more'
    return ('False', found[0].reason, f'{message[:_LONGEST_MESSAGE]} [of {digest(service)}]')


def served(service: Service, places: Iterable[str]) -> Condition | None:
    """Return the condition of a Service that is served in some places; None where there are none."""
    text = ' and '.join(places)
    return ('True', 'Programmed', f'served {text} [of {digest(service)}]') if text else None


def occurrences(found: Iterable[Verdict]) -> tuple[Occurrence, ...]:
    """Return the Events for some verdicts about one object."""
    return tuple(Occurrence(f'{verdict.ref.name}.{names.digest(repr(verdict), 16)}', verdict) for verdict in found)


def document(made: Condition, since: str) -> dict[str, str]:
    """Return the condition as the API takes it."""
    status, reason, message = made
    return {'type': PROGRAMMED, 'status': status, 'reason': reason, 'message': message, 'lastTransitionTime': since}
