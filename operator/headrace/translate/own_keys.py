"""Headrace's own annotations on an object that has routes by its spec: an Ingress, or a route of the Gateway API."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from headrace.annotations import parse
from headrace.annotations.keys import BY_NAME, Scope
from headrace.annotations.parse import PREFIX
from headrace.annotations.settings import RouteSettings
from headrace.diagnostics import Diagnostic
from headrace.names import Ref

_NOWHERE: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """Values by key, what closes all routes of the object as whole names of annotations, and why as a clause."""

    values: dict[str, object]
    closed_by: tuple[tuple[str, str], ...]
    diagnostics: tuple[Diagnostic, ...]

    @property
    def route(self) -> RouteSettings:
        """Return the settings of routes."""
        return parse.route(self.values)


def read(
    ref: Ref,
    pairs: tuple[tuple[str, str], ...],
    subject: str,
    exposure: frozenset[str] = frozenset(),
    elsewhere: Mapping[str, str] = _NOWHERE,
) -> OwnKeys:
    """Return what annotations say; `pairs` are keys without the prefix and their texts.

    Keys of routes and backends count, and those of `exposure`. Others, and all of `elsewhere`, have no effect on `subject`:
    `elsewhere` says by key where they belong, which is the Service for the rest.
    """
    annotations = parse.read(ref, pairs, ())
    values, diagnostics = {}, list(annotations.diagnostics)
    for key, value in annotations.common.items():
        counts = BY_NAME[key].scope in (Scope.ROUTE, Scope.BACKEND) or key in exposure
        if counts and key not in elsewhere:
            values[key] = value
        else:
            place = elsewhere.get(key, 'the Service')
            message = f'{PREFIX}{key} has no effect on {subject}: it is for {place}'
            diagnostics.append(Diagnostic(ref, 'NotApplicable', message, f'metadata.annotations[{PREFIX}{key}]'))
    closed_by = tuple((f'{PREFIX}{key}', 'the value does not parse') for key in annotations.closing_keys(''))
    return OwnKeys(values, closed_by, tuple(diagnostics))
