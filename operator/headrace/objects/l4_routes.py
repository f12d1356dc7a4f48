"""TLSRoute, TCPRoute and UDPRoute of `gateway.networking.k8s.io`: their values, and how documents become them."""

from dataclasses import dataclass, replace
from typing import ClassVar

from headrace.diagnostics import shorten
from headrace.names import Ref
from headrace.objects import fields, route_backends, routes
from headrace.objects.problems import Problems
from headrace.objects.routes import Route, RouteRule


@dataclass(frozen=True, slots=True)
class TLSRoute(Route):
    """A TLSRoute, for connections that ask for one of its hosts."""

    KIND: ClassVar[str] = 'TLSRoute'

    hostnames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TCPRoute(Route):
    """A TCPRoute. The API allows one rule."""

    KIND: ClassVar[str] = 'TCPRoute'


@dataclass(frozen=True, slots=True)
class UDPRoute(Route):
    """A UDPRoute. The API allows one rule."""

    KIND: ClassVar[str] = 'UDPRoute'


def read_tls(namespace: str, name: str, document: fields.Document) -> TLSRoute:
    """Return the TLSRoute of a document whose name is valid."""
    problems = Problems(Ref(TLSRoute.KIND, namespace, name))
    metadata = routes.read_metadata(namespace, name, document, problems)
    hostnames = routes.read_hostnames(fields.mapping(document, 'spec'), problems)
    rules = _rules(namespace, document, problems)
    return TLSRoute(
        **metadata,
        problems=problems.diagnostics,
        hostnames=hostnames or (),
        rules=() if hostnames is None else rules,
    )


def read_tcp(namespace: str, name: str, document: fields.Document) -> TCPRoute:
    """Return the TCPRoute of a document whose name is valid."""
    problems = Problems(Ref(TCPRoute.KIND, namespace, name))
    metadata = routes.read_metadata(namespace, name, document, problems)
    return TCPRoute(**metadata, rules=_rules(namespace, document, problems), problems=problems.diagnostics)


def read_udp(namespace: str, name: str, document: fields.Document) -> UDPRoute:
    """Return the UDPRoute of a document whose name is valid."""
    problems = Problems(Ref(UDPRoute.KIND, namespace, name))
    metadata = routes.read_metadata(namespace, name, document, problems)
    return UDPRoute(**metadata, rules=_rules(namespace, document, problems), problems=problems.diagnostics)


def _rules(namespace: str, document: fields.Document, problems: Problems) -> tuple[RouteRule, ...]:
    entries = problems.entries(fields.mapping(document, 'spec'), 'rules', 'spec')
    if len(entries) != 1:
        problems.add('spec.rules', 'the route does not have one rule')
    return tuple(
        _rule(entry, namespace, f'spec.rules[{index}]', Problems(problems.ref)) for index, entry in enumerate(entries)
    )


def _rule(entry: object, namespace: str, field: str, problems: Problems) -> RouteRule:
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no rule')
        return RouteRule(problems=problems.diagnostics)
    name = routes.read_rule_name(entry, field, problems)
    rule = RouteRule(name, route_backends.read(entry, namespace, field, problems))
    return replace(rule, problems=wrong) if (wrong := problems.diagnostics) else rule
