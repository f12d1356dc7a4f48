"""ReferenceGrant of `gateway.networking.k8s.io`: which objects of other namespaces may refer to those of its own."""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import fields, references
from headrace.objects.problems import Problems
from headrace.objects.references import Reference

# Stands for a name in an entry of `to` that names none.
_ANY = 'any'


@dataclass(frozen=True, slots=True, order=True)
class GrantFrom:
    """Objects that may refer: those of a group and kind in a namespace."""

    group: str
    kind: str
    namespace: str


@dataclass(frozen=True, slots=True, order=True)
class GrantTo:
    """Objects that may be referred to: those of a group and kind, all of them where `name` is ''."""

    group: str
    kind: str
    name: str = ''


@dataclass(frozen=True, slots=True)
class ReferenceGrant:
    """A ReferenceGrant. An entry that cannot be read grants nothing."""

    namespace: str
    name: str
    created: str = ''
    generation: int = 0
    sources: tuple[GrantFrom, ...] = ()
    targets: tuple[GrantTo, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    @property
    def ref(self) -> Ref:
        """Return the ReferenceGrant's reference."""
        return Ref('ReferenceGrant', self.namespace, self.name)

    def grants(self, source: GrantFrom, target: Reference) -> bool:
        """Tell whether objects of `source` may refer to `target`."""
        return (
            target.namespace == self.namespace
            and source in self.sources
            and any(
                (each.group, each.kind) == (target.group, target.kind) and each.name in ('', target.name)
                for each in self.targets
            )
        )


def read(namespace: str, name: str, document: fields.Document) -> ReferenceGrant:
    """Return the ReferenceGrant of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('ReferenceGrant', namespace, name))
    sources = [_from(entry, index, problems) for index, entry in enumerate(problems.entries(spec, 'from', 'spec'))]
    targets = [
        _to(entry, index, namespace, problems) for index, entry in enumerate(problems.entries(spec, 'to', 'spec'))
    ]
    return ReferenceGrant(
        namespace=namespace,
        name=name,
        created=fields.text(metadata, 'creationTimestamp'),
        generation=fields.number(metadata, 'generation'),
        sources=tuple(sorted({source for source in sources if source is not None})),
        targets=tuple(sorted({target for target in targets if target is not None})),
        problems=problems.diagnostics,
    )


def _from(entry: object, index: int, problems: Problems) -> GrantFrom | None:
    field = f'spec.from[{index}]'
    if not isinstance(entry, dict) or not fields.text(entry, 'namespace'):
        problems.add(field, f'{shorten(entry)} names no group, kind and namespace')
        return None
    reference = references.read({**entry, 'name': _ANY}, '', field, problems)
    return None if reference is None else GrantFrom(reference.group, reference.kind, reference.namespace)


def _to(entry: object, index: int, namespace: str, problems: Problems) -> GrantTo | None:
    field = f'spec.to[{index}]'
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} names no group and kind')
        return None
    value = entry.get('name')
    name = _ANY if value in (None, '') else value
    reference = references.read({**entry, 'name': name}, namespace, field, problems, references.LOCAL)
    return None if reference is None else GrantTo(reference.group, reference.kind, reference.name if value else '')
