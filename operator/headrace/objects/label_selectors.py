"""Selectors of labels, and which namespaces they select."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from headrace.diagnostics import shorten
from headrace.objects import fields
from headrace.objects.problems import Problems

Labels = tuple[tuple[str, str], ...]
_OPERATORS = ('In', 'NotIn', 'Exists', 'DoesNotExist')


@dataclass(frozen=True, slots=True)
class Requirement:
    """One requirement of a selector. `operator` is `In`, `NotIn`, `Exists` or `DoesNotExist`; `values` are sorted."""

    key: str
    operator: str
    values: tuple[str, ...] = ()

    def is_met(self, labels: Mapping[str, str]) -> bool:
        """Tell whether labels fulfil the requirement; a label that is not there is not in any list."""
        if self.operator == 'Exists':
            return self.key in labels
        if self.operator == 'DoesNotExist':
            return self.key not in labels
        return (labels.get(self.key) in self.values) is (self.operator == 'In')


@dataclass(frozen=True, slots=True)
class Selector:
    """A selector of labels; an empty one selects all."""

    requirements: tuple[Requirement, ...] = ()

    def selects(self, labels: Labels) -> bool:
        """Tell whether it selects what has these labels."""
        texts = dict(labels)
        return all(requirement.is_met(texts) for requirement in self.requirements)


class Source(StrEnum):
    """Namespaces that objects may come from, as `from` names them."""

    ALL = 'All'
    SAME = 'Same'
    SELECTOR = 'Selector'
    NONE = 'None'


@dataclass(frozen=True, slots=True)
class Namespaces:
    """Which namespaces are admitted; a selector only where `source` says so."""

    source: Source = Source.SAME
    selector: Selector = Selector()

    def admit(self, own: str, namespace: str, labels: Labels) -> bool:
        """Tell whether a namespace with its labels is admitted by an object of the namespace `own`."""
        if self.source is Source.SAME:
            return namespace == own
        if self.source is Source.SELECTOR:
            return self.selector.selects(labels)
        return self.source is Source.ALL


NO_NAMESPACES, SAME_NAMESPACE = Namespaces(Source.NONE), Namespaces()
_SHARED = {Source.ALL: Namespaces(Source.ALL), Source.SAME: SAME_NAMESPACE, Source.NONE: NO_NAMESPACES}


def read_namespaces(document: fields.Document, field: str, problems: Problems, *, default: Source) -> Namespaces:
    """Return the admitted namespaces under `namespaces`: none, and a problem, when they cannot be read."""
    value = document.get('namespaces')
    if value is None:
        return _SHARED[default]
    source = fields.value(value, 'from', default) if isinstance(value, dict) else value
    if not isinstance(value, dict) or not isinstance(source, str) or source not in Source.__members__.values():
        problems.add(f'{field}.namespaces.from', f'{shorten(source)} is not one of All, Same, Selector and None')
        return NO_NAMESPACES
    if source != Source.SELECTOR:
        return _SHARED[Source(source)]
    selector = _selector(value.get('selector'), f'{field}.namespaces.selector', problems)
    return NO_NAMESPACES if selector is None else Namespaces(Source.SELECTOR, selector)


def _selector(value: object, field: str, problems: Problems) -> Selector | None:
    if not isinstance(value, dict) or fields.misfits(value, {'matchLabels': dict, 'matchExpressions': list}):
        problems.add(field, f'{shorten(value)} is no selector of labels')
        return None
    requirements = [_of_label(key, text) for key, text in fields.mapping(value, 'matchLabels').items()]
    requirements += map(_requirement, fields.sequence(value, 'matchExpressions'))
    readable = tuple(requirement for requirement in requirements if requirement is not None)
    if len(readable) < len(requirements):
        problems.add(field, 'the selector holds what is no requirement of labels')
        return None
    return Selector(tuple(sorted(readable, key=lambda item: (item.key, item.operator, item.values))))


def _of_label(key: object, text: object) -> Requirement | None:
    return Requirement(key, 'In', (text,)) if isinstance(key, str) and isinstance(text, str) else None


def _requirement(entry: object) -> Requirement | None:
    if not isinstance(entry, dict) or fields.misfits(entry, {'values': list}):
        return None
    key, operator, values = fields.text(entry, 'key'), fields.text(entry, 'operator'), fields.texts(entry, 'values')
    if not key or operator not in _OPERATORS or len(values) != len(fields.sequence(entry, 'values')):
        return None
    # An API server takes a list with `In` and `NotIn`, and none with the others.
    return Requirement(key, operator, tuple(sorted(set(values)))) if bool(values) is operator.endswith('In') else None
