"""Backend references of routes of the Gateway API, with their weights and filters."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from headrace.diagnostics import Diagnostic, shorten
from headrace.objects import fields, references, route_filters
from headrace.objects.problems import Problems
from headrace.objects.references import BackendObjectReference
from headrace.objects.route_filters import Filter, Read

_MAX_WEIGHT = 1_000_000
_NO_FILTERS: Mapping[str, tuple[str, Read]] = {}


@dataclass(frozen=True, slots=True)
class BackendRef(BackendObjectReference):
    """A backend with its share of a rule's requests.

    One with problems gets its share, as far as that can be read, and must answer it with an error: without a name it
    could not be read, else a filter of it could not.
    """

    weight: int = 1
    filters: tuple[Filter, ...] = ()
    problems: tuple[Diagnostic, ...] = ()


def read(
    rule: fields.Document,
    namespace: str,
    field: str,
    problems: Problems,
    kinds: Mapping[str, tuple[str, Read]] = _NO_FILTERS,
) -> tuple[BackendRef, ...]:
    """Return the backends of a rule, in their order. `kinds` are the types of filters that a backend may have."""
    return tuple(
        _backend(entry, namespace, f'{field}.backendRefs[{index}]', Problems(problems.ref), kinds)
        for index, entry in enumerate(problems.entries(rule, 'backendRefs', field))
    )


def _backend(
    entry: object, namespace: str, field: str, problems: Problems, kinds: Mapping[str, tuple[str, Read]]
) -> BackendRef:
    reference = references.read_backend(entry, namespace, field, problems)
    document = entry if isinstance(entry, dict) else {}
    weight = fields.number_within(document, 'weight', 0, _MAX_WEIGHT, 1)
    if weight is None:
        problems.add(f'{field}.weight', f'{shorten(document["weight"])} is no weight from 0 to {_MAX_WEIGHT}')
        weight = 1
    filters = route_filters.read(document, namespace, field, problems, kinds) if kinds else ()
    wrong = problems.diagnostics
    if reference is None:
        return BackendRef('', '', namespace, '', 0, weight, filters, wrong)
    return BackendRef(*_parts(reference), weight, filters, wrong) if filters or wrong else _plain(reference, weight)


def _parts(reference: BackendObjectReference) -> tuple[str, str, str, str, int]:
    return reference.group, reference.kind, reference.namespace, reference.name, reference.port


@lru_cache(maxsize=8192)
def _plain(reference: BackendObjectReference, weight: int) -> BackendRef:
    """Return one value for all references to a backend with this weight."""
    return BackendRef(*_parts(reference), weight)
