"""What becomes of a request, rule by rule; without values of headers that let somebody in."""

from dataclasses import dataclass

from headrace.web.views import masking
from headrace.web.views.answers import Answer, Object, amount, count, items, mapping, named, text, texts


@dataclass(frozen=True, slots=True)
class Form:
    """What a user has asked."""

    method: str = 'GET'
    url: str = ''
    headers: str = ''
    client: str = ''
    listener: str = ''
    certificate: bool = False

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """Return it as parameters for an agent."""
        given = [('request', f'{self.method} {self.url}')]
        given += [('header', line.strip()) for line in self.headers.splitlines() if line.strip()]
        given += [('from', self.client)] if self.client else []
        given += [('listener', self.listener)] if self.listener else []
        return given + ([('certificate', 'true')] if self.certificate else [])


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at."""

    stage: str
    subject: str
    passed: bool
    because: str
    object: Object


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that could get the request, with its state."""

    address: str
    state: str


@dataclass(frozen=True, slots=True)
class Destination:
    """A backend that could get the request."""

    service: Object
    port: str
    backend: str
    share: float
    path: str
    edits: tuple[tuple[str, str, str], ...]
    endpoints: tuple[Endpoint, ...]
    external_name: str


@dataclass(frozen=True, slots=True)
class Trace:
    """All about one request. `status` is 0 where an endpoint answers; `provisos` are what the client can see instead, and when."""

    listener: str
    steps: tuple[Step, ...]
    served: bool
    closed: bool
    status: int
    because: str
    headers: tuple[tuple[str, str], ...]
    destinations: tuple[Destination, ...]
    provisos: tuple[tuple[int, str], ...]

    def of_stage(self, stage: str) -> tuple[Step, ...]:
        """Return the steps of one stage."""
        return tuple(step for step in self.steps if step.stage == stage)


def trace(answer: Answer) -> Trace:
    """Return the trace of an agent's answer."""
    outcome, states = mapping(answer, 'outcome'), mapping(answer, 'servers')
    return Trace(
        listener=text(answer, 'listener'),
        steps=tuple(
            Step(
                text(each, 'stage'),
                text(each, 'subject'),
                each.get('passed') is True,
                masking.told(text(each, 'because')),
                named(text(each, 'object')),
            )
            for each in items(answer, 'steps')
        ),
        served=outcome.get('served') is True,
        closed=outcome.get('closed') is True,
        status=count(outcome, 'status'),
        because=masking.told(text(outcome, 'because')),
        headers=tuple((name, masking.value(name, str(value))) for name, value in mapping(outcome, 'headers').items()),
        destinations=tuple(_destination(each, states) for each in items(outcome, 'destinations')),
        provisos=tuple(
            (count(each, 'status'), masking.told(text(each, 'because'))) for each in items(answer, 'provisos')
        ),
    )


def _destination(item: Answer, states: Answer) -> Destination:
    namespace, _, name = text(item, 'service').partition('/')
    known = mapping(states, text(item, 'backend'))
    return Destination(
        service=Object(namespace, name, 'Service'),
        port=text(item, 'port'),
        backend=text(item, 'backend'),
        share=amount(item, 'share'),
        path=text(item, 'path'),
        edits=tuple(
            (text(each, 'action'), text(each, 'name'), masking.value(text(each, 'name'), text(each, 'value')))
            for each in items(item, 'headers')
        ),
        endpoints=tuple(Endpoint(each, text(known, each)) for each in texts(item, 'endpoints')),
        external_name=text(item, 'externalName'),
    )
