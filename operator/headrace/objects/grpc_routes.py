"""GRPCRoute of `gateway.networking.k8s.io`: its values, and how a document becomes them."""

from dataclasses import dataclass, replace
from typing import ClassVar

from headrace.diagnostics import shorten
from headrace.names import Ref
from headrace.objects import fields, route_backends, route_filters, route_matches, routes
from headrace.objects.problems import Problems
from headrace.objects.route_filters import Filter
from headrace.objects.route_matches import ANY_CALL, GRPCMatch
from headrace.objects.routes import Route, RouteRule, SessionPersistence


@dataclass(frozen=True, slots=True)
class GRPCRule(RouteRule):
    """A rule of a GRPCRoute. `matches` are in their order; none only where none could be read."""

    matches: tuple[GRPCMatch, ...] = (ANY_CALL,)
    filters: tuple[Filter, ...] = ()
    session: SessionPersistence | None = None


@dataclass(frozen=True, slots=True)
class GRPCRoute(Route):
    """A GRPCRoute. Without hosts it is for all of its listeners'; `rules` are in their order."""

    KIND: ClassVar[str] = 'GRPCRoute'

    hostnames: tuple[str, ...] = ()
    rules: tuple[GRPCRule, ...] = ()


def read(namespace: str, name: str, document: fields.Document) -> GRPCRoute:
    """Return the GRPCRoute of a document whose name is valid."""
    spec, problems = fields.mapping(document, 'spec'), Problems(Ref(GRPCRoute.KIND, namespace, name))
    metadata = routes.read_metadata(namespace, name, document, problems)
    hostnames = routes.read_hostnames(spec, problems)
    rules = tuple(
        _rule(entry, namespace, f'spec.rules[{index}]', Problems(problems.ref))
        for index, entry in enumerate(problems.entries(spec, 'rules', 'spec'))
    )
    routes.judge_names(rules, problems)
    return GRPCRoute(
        **metadata,
        problems=problems.diagnostics,
        hostnames=hostnames or (),
        rules=() if hostnames is None else rules,
    )


def _rule(entry: object, namespace: str, field: str, problems: Problems) -> GRPCRule:
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no rule')
        return GRPCRule(problems=problems.diagnostics, matches=())
    rule = GRPCRule(
        name=routes.read_rule_name(entry, field, problems),
        backends=route_backends.read(entry, namespace, field, problems, route_filters.GRPC),
        matches=route_matches.read(entry, field, problems, route_matches.read_grpc, ANY_CALL),
        filters=route_filters.read(entry, namespace, field, problems, route_filters.GRPC),
        session=routes.read_session(entry, field, problems),
    )
    return replace(rule, problems=wrong) if (wrong := problems.diagnostics) else rule
