"""Requests with the outcome that a user expects of each: the form of a table of cases, and how one is judged.

Pure. An expectation speaks of what it names and of nothing else.
"""

import msgspec

from headrace.explain import request as requests
from headrace.explain.request import CLIENT, Request, RequestError
from headrace.explain.trace import Destination, Trace

# Shares are compared in percent, as far as HAProxy keeps them: it draws among 4096.
_TOLERANCE = 1.0


class CaseError(Exception):
    """A table of cases that cannot be used."""


class Expectation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename='camel'):
    """What is expected: an answer of headrace's own (`status`, `location`, `closed`), or the Service that gets the request.

    `service` is `NAMESPACE/NAME` or `NAMESPACE/NAME:PORT`; `shares` are percents by Service, where several share. `path` and
    `request_headers` are what the endpoint gets; an empty value is a header that is removed. `unless` are the statuses that
    the client can see instead, as beyond a rate.
    """

    status: int | None = None
    location: str | None = None
    closed: bool | None = None
    service: str | None = None
    shares: dict[str, float] | None = None
    path: str | None = None
    request_headers: dict[str, str] | None = None
    unless: tuple[int, ...] | None = None


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename='camel'):
    """One request, as `headrace explain` takes it, and what is expected."""

    request: str
    expect: Expectation
    name: str = ''
    headers: dict[str, str] = {}
    client: str = msgspec.field(default=CLIENT, name='from')
    listener: str = ''
    client_certificate: bool = False

    @property
    def title(self) -> str:
        """Return the case's name, else its request."""
        return self.name or self.request

    def parsed(self) -> Request:
        """Return the request; raises RequestError."""
        headers = [requests.parse_header(f'{name}: {value}') for name, value in self.headers.items()]
        return requests.parse(self.request, headers, self.client, self.listener, certificate=self.client_certificate)


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of cases."""

    cases: tuple[Case, ...]


def read(document: object) -> tuple[Case, ...]:
    """Return the cases of a document; raises CaseError."""
    try:
        table = msgspec.convert(document, Table)
    except msgspec.ValidationError as error:
        raise CaseError(str(error)) from error
    for case in table.cases:
        if case.expect == Expectation():
            raise CaseError(f'{case.title}: nothing is expected')
        try:
            case.parsed()
        except RequestError as error:
            raise CaseError(f'{case.title}: {error}') from error
    return table.cases


def judge(expectation: Expectation, trace: Trace) -> tuple[str, ...]:
    """Return in which ways a trace differs from what is expected, nothing where it is as expected."""
    outcome = trace.outcome
    differences = []
    if expectation.closed is not None and outcome.closed is not expectation.closed:
        differences.append(f'the connection is {"closed" if outcome.closed else "not closed"}')
    if expectation.status is not None and outcome.status != expectation.status:
        answer = f'status {outcome.status}' if outcome.status else 'no answer of headrace'
        differences.append(f'{answer}, not {expectation.status}: {outcome.because}')
    if expectation.location is not None and outcome.location != expectation.location:
        differences.append(f'location {outcome.location or "(none)"}, not {expectation.location}')
    if expectation.unless is not None:
        statuses = sorted({each.status for each in trace.provisos})
        if statuses != sorted(set(expectation.unless)):
            differences.append(f'other statuses {statuses}, not {sorted(set(expectation.unless))}')
    return (*differences, *_of_endpoints(expectation, trace))


def _of_endpoints(expectation: Expectation, trace: Trace) -> list[str]:
    """Return in which ways what endpoints get differs from what is expected."""
    destinations, differences = trace.outcome.destinations, []
    if expectation.service is not None and (
        not destinations or any(not _is_of(each, expectation.service) for each in destinations)
    ):
        found = ', '.join(dict.fromkeys(_named(each) for each in destinations))
        differences.append(f'served by {found or "no Service"}, not by {expectation.service}: {trace.outcome.because}')
    for service, percent in (expectation.shares or {}).items():
        share = 100 * sum(each.share for each in destinations if _is_of(each, service))
        # A percentage that is no number is none of any share.
        if not abs(share - percent) <= _TOLERANCE:
            differences.append(f'{service} gets {share:.1f} % of such requests, not {percent:g} %')
    for each in destinations:
        if expectation.path is not None and each.path != expectation.path:
            differences.append(f'{_named(each)} gets the path {each.path}, not {expectation.path}')
        edits = {edit.name: edit.value if edit.action != 'remove' else '' for edit in each.sent}
        for name, value in (expectation.request_headers or {}).items():
            if (found_value := edits.get(name.lower())) != value:
                differences.append(
                    f'{_named(each)} gets {name}: {found_value if found_value is not None else "as sent"}'
                )
    if not destinations and (expectation.path is not None or expectation.request_headers):
        differences.append('no endpoint gets the request')
    return differences


def _named(destination: Destination) -> str:
    return f'{destination.service.namespace}/{destination.service.name}:{destination.port}'


def _is_of(destination: Destination, service: str) -> bool:
    return service in (_named(destination), _named(destination).rpartition(':')[0])
