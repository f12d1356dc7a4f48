"""Conditions and Events of users' objects, made from diagnostics: the one place for all kinds.

Pure. What only an agent can know (a Secret's content, what HAProxy refuses) comes from the agents' Leases; everything
else from the controller's own model, which reads no Secrets. How a kind shows its diagnostics is a row of `RULES`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace import names
from headrace.diagnostics import OF_AGENTS, WHOLE, Diagnostic, Level, StatusPart
from headrace.names import Ref
from headrace.objects import registry
from headrace.objects.annotations import PREFIX
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service
from headrace.objects.status import Condition

PROGRAMMED = f'{PREFIX}Programmed'
_MOST_MESSAGES = 5
_LONGEST_MESSAGE = 1024
_LONGEST_INSTANCE = 128
_PENDING = frozenset(('HandoverPending',))

Conditions = Mapping[StatusPart, tuple[Condition, ...]]


@dataclass(frozen=True, slots=True)
class StatusRules:
    """How one kind shows its diagnostics.

    `types` are its condition types: the first takes every reason but those that `reasons` gives to another one; without
    types an object has no conditions, and one Event sums up its problems. `whole` tells whether the object as a whole has
    conditions; the routes of the Gateway API have those of their parents alone.
    """

    types: tuple[str, ...] = ()
    reasons: Mapping[str, str] = field(default_factory=dict)
    whole: bool = True


RULES: Mapping[str, StatusRules] = {
    'Service': StatusRules((PROGRAMMED,)),
    'Ingress': StatusRules(),
    'Namespace': StatusRules(),
}


@dataclass(frozen=True, slots=True)
class Subject:
    """The object that conditions and Events are about.

    `generation` is its `metadata.generation`; `digest` stands for what its diagnostics are about where it has none.
    """

    ref: Ref
    uid: str = ''
    generation: int = 0
    digest: str = ''


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One Event of an object. Its name is the same for the same news."""

    name: str
    reason: str
    note: str
    field: str = ''


def errors(of_model: Iterable[Diagnostic], of_agents: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics of level error that hold for an object: of the controller's model, and of the agents."""
    diagnostics = [diagnostic for diagnostic in of_model if diagnostic.reason not in OF_AGENTS]
    diagnostics += [diagnostic for diagnostic in of_agents if diagnostic.reason in OF_AGENTS]
    return tuple(sorted({diagnostic for diagnostic in diagnostics if diagnostic.level is Level.ERROR}))


def pending(diagnostics: Iterable[Diagnostic]) -> tuple[Diagnostic, ...]:
    """Return the diagnostics about what a Service waits for, without a mistake in it."""
    return tuple(sorted(diagnostic for diagnostic in diagnostics if diagnostic.reason in _PENDING))


def of_service(service: Service) -> Subject:
    """Return a Service as a subject; a Service has no generation."""
    content = (service.annotations, service.ports, service.type, service.load_balancer_class)
    return Subject(service.ref, service.status.uid, digest=names.digest(repr(content), 8))


def of_ingress(ingress: Ingress) -> Subject:
    """Return an Ingress as a subject."""
    return Subject(ingress.ref, ingress.status.uid, ingress.status.generation)


def conditions(
    subject: Subject, problems: Iterable[Diagnostic], messages: Mapping[StatusPart, str] | None = None
) -> Conditions:
    """Return the conditions of each part of an object's status.

    A type with problems is False; one without is True where the part is served, with what `messages` says as message.
    """
    rules = RULES[subject.ref.kind]
    by_part: dict[StatusPart, tuple[Diagnostic, ...]] = dict.fromkeys(messages or (), ())
    for problem in problems:
        by_part[problem.part] = (*by_part.get(problem.part, ()), problem)
    common: tuple[Diagnostic, ...] = () if rules.whole else by_part.pop(WHOLE, ())
    return {
        part: part_conditions
        for part in sorted(by_part)
        if (part_conditions := _conditions(rules, subject, (*common, *by_part[part]), (messages or {}).get(part, '')))
    }


def _conditions(
    rules: StatusRules, subject: Subject, problems: tuple[Diagnostic, ...], message: str
) -> tuple[Condition, ...]:
    end = f' [of {subject.digest}]' if subject.digest else ''
    result: list[Condition] = []
    for name in rules.types:
        of_type = [each for each in problems if rules.reasons.get(each.reason, rules.types[0]) == name]
        if of_type:
            message_of_type = summary(of_type) + end
            result.append(Condition(name, 'False', of_type[0].reason, message_of_type, subject.generation))
        elif message:
            reason = name.rpartition('/')[2]
            result.append(Condition(name, 'True', reason, f'{message}{end}', subject.generation))
    return tuple(sorted(result))


def summary(problems: list[Diagnostic]) -> str:
    """Return one message for some problems, of bounded length."""
    message = '; '.join(problem.message for problem in problems[:_MOST_MESSAGES])
    if len(problems) > _MOST_MESSAGES:
        message += f'; and {len(problems) - _MOST_MESSAGES} more'
    return message[:_LONGEST_MESSAGE]


def occurrences(subject: Subject, problems: Iterable[Diagnostic]) -> tuple[Occurrence, ...]:
    """Return the Events for the problems of an object: one for each, or one for all where the kind has no conditions."""
    diagnostics = list(problems)
    if not diagnostics or RULES[subject.ref.kind].types:
        return tuple(_occurrence(subject, repr(each), [each]) for each in diagnostics)
    return (_occurrence(subject, repr((subject.generation, diagnostics)), diagnostics),)


def _occurrence(subject: Subject, content: str, problems: list[Diagnostic]) -> Occurrence:
    first, *rest = problems
    name = f'{subject.ref.name[:200]}.{names.digest(f"{subject.uid} {content}", 16)}'
    return Occurrence(name, first.reason, summary(problems), '' if rest else first.field)


def document(condition: Condition, current: Iterable[Condition], now: str) -> dict[str, Any]:
    """Return a condition as the API takes it; the time of its last transition stays while its status does."""
    before = next((each for each in current if each.type == condition.type), None)
    since = before.since if before is not None and before.status == condition.status else ''
    return {
        'type': condition.type,
        'status': condition.status,
        'reason': condition.reason,
        'message': condition.message,
        'lastTransitionTime': since or now,
        **({'observedGeneration': condition.generation} if condition.generation else {}),
    }


def event(subject: Subject, occurrence: Occurrence, action: str, instance: str, now: str) -> dict[str, Any]:
    """Return an Event about an object as the API takes it (events.k8s.io/v1)."""
    ref = subject.ref
    namespace = ref.namespace or ref.name
    regarding = {
        'apiVersion': registry.BY_NAME[ref.kind].api_version,
        'kind': ref.kind,
        'namespace': namespace,
        'name': ref.name,
        **({'uid': subject.uid} if subject.uid else {}),
        **({'fieldPath': occurrence.field} if occurrence.field else {}),
    }
    return {
        'apiVersion': 'events.k8s.io/v1',
        'kind': 'Event',
        'metadata': {'name': occurrence.name, 'namespace': namespace},
        'eventTime': now,
        'type': 'Warning',
        'reason': occurrence.reason,
        'note': occurrence.note[:_LONGEST_MESSAGE],
        'action': action,
        'regarding': regarding,
        'reportingController': 'headrace.io/controller',
        'reportingInstance': instance[:_LONGEST_INSTANCE],
    }
