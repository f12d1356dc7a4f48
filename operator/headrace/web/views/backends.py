"""Backends with their servers: addresses, states, shares, and what they have counted."""

from dataclasses import dataclass

from headrace.web.views.answers import Answer, Object, amount, count, items, mapping, text


@dataclass(frozen=True, slots=True)
class Figures:
    """What HAProxy has counted since it has this backend or server. Times are averages of the last 1,024 requests."""

    sessions: int = 0
    current: int = 0
    queue: int = 0
    bytes_in: float = 0.0
    bytes_out: float = 0.0
    responses: int = 0
    client_errors: int = 0
    server_errors: int = 0
    connection_errors: int = 0
    retries: int = 0
    response_seconds: float = 0.0
    longest_response_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Server:
    """A server: an endpoint as HAProxy has it; `share` is its part of the backend's new requests."""

    address: str
    state: str
    check: str
    share: float
    figures: Figures

    @property
    def level(self) -> str:
        """Return how good its state is: ok, warning or error."""
        if self.state.startswith(('UP', 'no check')):
            return 'ok'
        return 'warning' if self.state.startswith(('MAINT', 'DRAIN', 'NOLB')) else 'error'


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend of a Service's port. `present` tells whether the worker that serves has it."""

    name: str
    service: Object
    port: str
    present: bool
    figures: Figures
    servers: tuple[Server, ...]
    more_servers: int


def backends(answer: Answer) -> tuple[Backend, ...]:
    """Return the backends of an agent's answer."""
    return tuple(_backend(name, each) for name, each in answer.items() if isinstance(each, dict))


def _backend(name: str, item: Answer) -> Backend:
    service = mapping(item, 'service')
    return Backend(
        name=name,
        service=Object(text(service, 'namespace'), text(service, 'name'), 'Service'),
        port=text(item, 'port'),
        present=item.get('present') is True,
        figures=_figures(mapping(item, 'figures')),
        servers=tuple(
            Server(
                text(each, 'address') or text(each, 'name'),
                text(each, 'state'),
                text(each, 'check'),
                amount(each, 'share'),
                _figures(mapping(each, 'figures')),
            )
            for each in items(item, 'servers')
        ),
        more_servers=count(item, 'moreServers'),
    )


def _figures(item: Answer) -> Figures:
    responses = {each: count(item, each) for each in ('2xx', '3xx', '4xx', '5xx')}
    return Figures(
        sessions=count(item, 'sessions'),
        current=count(item, 'current'),
        queue=count(item, 'queue'),
        bytes_in=amount(item, 'bytesIn'),
        bytes_out=amount(item, 'bytesOut'),
        responses=sum(responses.values()),
        client_errors=responses['4xx'],
        server_errors=responses['5xx'],
        connection_errors=count(item, 'connectionErrors'),
        retries=count(item, 'retries'),
        response_seconds=amount(item, 'responseSeconds'),
        longest_response_seconds=amount(item, 'longestResponseSeconds'),
    )
