"""HTTPRoute of `gateway.networking.k8s.io`: its values, and how a document becomes them."""

from dataclasses import dataclass, replace
from typing import ClassVar

from headrace.diagnostics import shorten
from headrace.names import Ref
from headrace.objects import fields, route_backends, route_filters, route_matches, routes
from headrace.objects.problems import Problems
from headrace.objects.route_filters import Filter, RequestRedirect, URLRewrite
from headrace.objects.route_matches import ANY_REQUEST, HTTPMatch, PathKind
from headrace.objects.routes import Route, RouteRule, SessionPersistence

_LARGE = 100
_MAX_ATTEMPTS = 2**31 - 1
_ERRORS = range(400, 600)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts in milliseconds; None where the field is unset, 0 for one that is off."""

    request: int | None = None
    backend_request: int | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """When a request is tried again: after answers with these statuses, sorted, and after failures of connections.

    `attempts` is 0 where the document names none; `backoff` is the least pause before a try in milliseconds, None for any.
    """

    codes: tuple[int, ...] = ()
    attempts: int = 0
    backoff: int | None = None


@dataclass(frozen=True, slots=True)
class HTTPRule(RouteRule):
    """A rule of an HTTPRoute. `matches` are in their order; none only where none could be read."""

    matches: tuple[HTTPMatch, ...] = (ANY_REQUEST,)
    filters: tuple[Filter, ...] = ()
    timeouts: Timeouts | None = None
    retry: Retry | None = None
    session: SessionPersistence | None = None


@dataclass(frozen=True, slots=True)
class HTTPRoute(Route):
    """An HTTPRoute. Without hosts it is for all of its listeners'; `rules` are in their order."""

    KIND: ClassVar[str] = 'HTTPRoute'

    hostnames: tuple[str, ...] = ()
    rules: tuple[HTTPRule, ...] = ()


def is_large(document: fields.Document) -> bool:
    """Tell whether a route has so many rules or matches that it takes milliseconds to read."""
    rules = fields.documents(fields.mapping(document, 'spec'), 'rules')
    return len(rules) > _LARGE or sum(len(fields.sequence(rule, 'matches')) for rule in rules) > _LARGE


def read(namespace: str, name: str, document: fields.Document) -> HTTPRoute:
    """Return the HTTPRoute of a document whose name is valid."""
    spec, problems = fields.mapping(document, 'spec'), Problems(Ref(HTTPRoute.KIND, namespace, name))
    metadata = routes.read_metadata(namespace, name, document, problems)
    hostnames = routes.read_hostnames(spec, problems)
    entries = [{}] if spec.get('rules') is None else problems.entries(spec, 'rules', 'spec')
    rules = [
        _rule(entry, namespace, f'spec.rules[{index}]', Problems(problems.ref)) for index, entry in enumerate(entries)
    ]
    routes.judge_names(rules, problems)
    # A route for hosts that cannot be read is for no other ones.
    return HTTPRoute(
        **metadata,
        problems=problems.diagnostics,
        hostnames=hostnames or (),
        rules=() if hostnames is None else tuple(rules),
    )


def _rule(entry: object, namespace: str, field: str, problems: Problems) -> HTTPRule:
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no rule')
        return HTTPRule(problems=problems.diagnostics, matches=())
    rule = HTTPRule(
        name=routes.read_rule_name(entry, field, problems),
        backends=route_backends.read(entry, namespace, field, problems, route_filters.HTTP),
        matches=route_matches.read(entry, field, problems, route_matches.read_http, ANY_REQUEST),
        filters=route_filters.read(entry, namespace, field, problems, route_filters.HTTP),
        timeouts=_timeouts(entry.get('timeouts'), f'{field}.timeouts', problems),
        retry=_retry(entry.get('retry'), f'{field}.retry', problems),
        session=routes.read_session(entry, field, problems),
    )
    if rule.filters or any(backend.filters for backend in rule.backends):
        _judge_filters(rule, field, problems)
    return replace(rule, problems=wrong) if (wrong := problems.diagnostics) else rule


def _judge_filters(rule: HTTPRule, field: str, problems: Problems) -> None:
    """Add what the API does not allow of filters together with backends and matches."""
    if rule.backends and any(isinstance(item, RequestRedirect) for item in rule.filters):
        problems.add(f'{field}.filters', 'a rule with a RequestRedirect has no backendRefs')
    filters = (*rule.filters, *(item for backend in rule.backends for item in backend.filters))
    paths = [item.path for item in filters if isinstance(item, RequestRedirect | URLRewrite)]
    prefix = any(path is not None and path.prefix for path in paths)
    if prefix and [match.path.kind for match in rule.matches] != [PathKind.PREFIX]:
        problems.add(f'{field}.filters', 'ReplacePrefixMatch needs exactly one match, of type PathPrefix')


def _timeouts(document: object, field: str, problems: Problems) -> Timeouts | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        problems.add(field, f'{shorten(document)} is no mapping of timeouts')
        return None
    request = routes.read_duration(document, 'request', field, problems)
    backend = routes.read_duration(document, 'backendRequest', field, problems)
    if request and backend and backend > request:
        problems.add(f'{field}.backendRequest', 'the timeout of the backend is longer than that of the request')
    return None if request is None and backend is None else Timeouts(request, backend)


def _retry(document: object, field: str, problems: Problems) -> Retry | None:
    if document is None:
        return None
    if not isinstance(document, dict):
        problems.add(field, f'{shorten(document)} does not describe retries')
        return None
    codes = problems.entries(document, 'codes', field)
    statuses = sorted({code for code in codes if isinstance(code, int) and code in _ERRORS})
    attempts = fields.number_within(document, 'attempts', 1, _MAX_ATTEMPTS, 0)
    if attempts is None:
        problems.add(f'{field}.attempts', f'{shorten(document["attempts"])} is no number of attempts')
    if len(statuses) < len(codes):
        problems.add(f'{field}.codes', 'the codes are not different ones from 400 to 599')
    return Retry(tuple(statuses), attempts or 0, routes.read_duration(document, 'backoff', field, problems))
