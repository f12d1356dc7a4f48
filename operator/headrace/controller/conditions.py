"""What the controller would have users' objects say: a condition whether they are served, and Events about mistakes.

Pure. What only an agent can know (a Secret's content, what HAProxy refuses) comes from the agents' Leases; everything
else from the controller's own model, which reads no Secrets.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from headrace import names
from headrace.diagnostics import OF_AGENTS, Diagnostic, Level
from headrace.objects.kinds import Service
from headrace.objects.services import PROGRAMMED

_MOST_SAID = 5
_LONGEST_MESSAGE = 1024
_PENDING = frozenset(('HandoverPending',))

Condition = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One Event: the diagnostic that it tells, and a name that is the same for the same news."""

    name: str
    diagnostic: Diagnostic


def errors(own: Iterable[Diagnostic], told: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of level error that hold for an object: of the controller's model, and of the agents."""
    judged = [diagnostic for diagnostic in own if diagnostic.reason not in OF_AGENTS]
    judged += [diagnostic for diagnostic in told if diagnostic.reason in OF_AGENTS]
    return tuple(sorted({diagnostic for diagnostic in judged if diagnostic.level is Level.ERROR}))


def pending(own: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics about what a Service waits for, without a mistake in it."""
    return tuple(sorted(diagnostic for diagnostic in own if diagnostic.reason in _PENDING))


def digest(service: Service) -> str:
    """Return what stands for the part of a Service that diagnostics speak of; a Service has no generation."""
    return names.digest(repr((service.annotations, service.ports, service.type, service.load_balancer_class)), 8)


def condition(service: Service, found: tuple[Diagnostic, ...]) -> Condition | None:
    """Return status, reason and message of the condition; None when there is nothing to say."""
    if not found:
        return None
    message = '; '.join(diagnostic.message for diagnostic in found[:_MOST_SAID])
    if len(found) > _MOST_SAID:
        message += f'; and {len(found) - _MOST_SAID} more'
    return ('False', found[0].reason, f'{message[:_LONGEST_MESSAGE]} [of {digest(service)}]')


def served(service: Service, places: Iterable[str]) -> Condition | None:
    """Return the condition of a Service that is served in some places; None where there are none."""
    text = ' and '.join(places)
    return ('True', 'Programmed', f'served {text} [of {digest(service)}]') if text else None


def occurrences(found: Iterable[Diagnostic]) -> tuple[Occurrence, ...]:
    """Return the Events for some diagnostics about one object."""
    return tuple(
        Occurrence(f'{diagnostic.ref.name}.{names.digest(repr(diagnostic), 16)}', diagnostic) for diagnostic in found
    )


def document(made: Condition, since: str) -> dict[str, str]:
    """Return the condition as the API takes it."""
    status, reason, message = made
    return {'type': PROGRAMMED, 'status': status, 'reason': reason, 'message': message, 'lastTransitionTime': since}
