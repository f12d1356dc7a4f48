"""GatewayClass of `gateway.networking.k8s.io`: its values, and how a document becomes them."""

import re
from dataclasses import dataclass, field

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import annotations, fields, references
from headrace.objects.problems import Problems
from headrace.objects.references import Reference
from headrace.objects.status import UNREAD_RAW, RawStatus

_CONTROLLER = re.compile(r"[a-z0-9.-]{1,253}/[A-Za-z0-9/._~%!$&'()*+,;=:-]{1,253}")
_MAX_CONTROLLER = 253


@dataclass(frozen=True, slots=True)
class GatewayClass:
    """A GatewayClass. `parameters` refers to the object that `spec.parametersRef` names, without a namespace where it names none.

    `annotations` are those under our prefix, without it, sorted. With a problem in `spec.parametersRef`, it is that the
    class has parameters which cannot be read.
    """

    name: str
    created: str = ''
    generation: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    controller: str = ''
    parameters: Reference | None = None
    problems: tuple[Diagnostic, ...] = ()
    status: RawStatus = field(default=UNREAD_RAW, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the GatewayClass's reference."""
        return Ref('GatewayClass', '', self.name)


def read(_: str, name: str, document: fields.Document) -> GatewayClass:
    """Return the GatewayClass of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('GatewayClass', '', name))
    controller = fields.text(spec, 'controllerName')
    if len(controller) > _MAX_CONTROLLER or not _CONTROLLER.fullmatch(controller):
        problems.add('spec.controllerName', f'{shorten(spec.get("controllerName"))} is no name of a controller')
        controller = ''
    parameters = spec.get('parametersRef')
    return GatewayClass(
        name=name,
        created=fields.text(metadata, 'creationTimestamp'),
        generation=fields.number(metadata, 'generation'),
        annotations=annotations.read(metadata),
        controller=controller,
        parameters=None if parameters is None else references.read(parameters, '', 'spec.parametersRef', problems),
        problems=problems.diagnostics,
    )
