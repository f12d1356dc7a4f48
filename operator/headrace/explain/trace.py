"""What an explained request was found to become: the steps that led there, and where it ends."""

from dataclasses import dataclass
from enum import StrEnum

from headrace.explain.request import Headers, Request
from headrace.names import Ref


class Stage(StrEnum):
    """What a step is about, in the order in which a request comes by."""

    LISTENER = 'listener'
    PATH = 'path'
    ROUTE = 'route'
    POLICY = 'policy'
    BACKEND = 'backend'


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was looked at: whether it let the request on (a route: whether it matched), and why."""

    stage: Stage
    subject: str
    passed: bool
    because: str = ''
    owner: Ref | None = None


@dataclass(frozen=True, slots=True)
class Proviso:
    """What the client can see instead, and when: what is decided by a rate, or by the answer of another Service.

    `status` is 0 where the status is not known, as where another Service makes the answer.
    """

    status: int
    because: str


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that could get the request, as `ADDRESS:PORT`."""

    address: str
    port: int


@dataclass(frozen=True, slots=True)
class Destination:
    """A backend that could get the request, its share of such requests (0 to 1), and its endpoints.

    `name` is the host that an ExternalName leads to, '' for other Services.
    """

    backend: str
    service: Ref
    port: str
    share: float = 1.0
    endpoints: tuple[Endpoint, ...] = ()
    name: str = ''
    path: str = ''
    sent: tuple['Edit', ...] = ()


@dataclass(frozen=True, slots=True)
class Edit:
    """A header of the request that the policy changes: `set`, `add` or `remove`."""

    action: str
    name: str
    value: str = ''


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the client sees: a `status` of headrace's own with its headers, or what an endpoint answers (0, with destinations).

    `closed` tells that the connection ends without an answer of HTTP.
    """

    because: str
    status: int = 0
    headers: Headers = ()
    destinations: tuple[Destination, ...] = ()
    closed: bool = False

    @property
    def location(self) -> str:
        """Return where a redirect leads, '' for none."""
        return dict(self.headers).get('location', '')

    @property
    def served(self) -> bool:
        """Tell whether an endpoint gets the request, or the policy answers it as its owner wishes: a redirect, a preflight."""
        return bool(self.destinations) or 200 <= self.status < 400  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Trace:
    """All about one request. `listener` names the listener that the request comes to."""

    request: Request
    listener: str
    steps: tuple[Step, ...]
    outcome: Outcome
    provisos: tuple[Proviso, ...] = ()


def value(trace: Trace) -> dict[str, object]:
    """Return a trace as one value for JSON."""
    outcome = trace.outcome
    return {
        'request': str(trace.request),
        'listener': trace.listener,
        'steps': [
            {
                'stage': str(step.stage),
                'subject': step.subject,
                'passed': step.passed,
                'because': step.because,
                'object': str(step.owner) if step.owner else '',
            }
            for step in trace.steps
        ],
        'outcome': {
            'served': outcome.served,
            'status': outcome.status,
            'because': outcome.because,
            'closed': outcome.closed,
            'headers': dict(outcome.headers),
            'destinations': [_destination(each) for each in outcome.destinations],
        },
        'provisos': [{'status': each.status, 'because': each.because} for each in trace.provisos],
    }


def _destination(each: Destination) -> dict[str, object]:
    return {
        'service': f'{each.service.namespace}/{each.service.name}',
        'port': each.port,
        'backend': each.backend,
        'share': round(each.share, 4),
        'path': each.path,
        'headers': [{'action': edit.action, 'name': edit.name, 'value': edit.value} for edit in each.sent],
        'endpoints': [f'{endpoint.address}:{endpoint.port}' for endpoint in each.endpoints],
        'externalName': each.name,
    }
