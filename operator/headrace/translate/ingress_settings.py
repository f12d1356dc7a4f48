"""What the annotations of an Ingress say: headrace's own keys, and those of the dialect that its class speaks.

Own keys count more than foreign ones. Both become values of headrace's keys, so an Ingress is served by the same settings
as an annotated Service.
"""

from dataclasses import dataclass

from headrace.annotations.foreign.read import read as read_foreign
from headrace.annotations.foreign.translation import Structure
from headrace.annotations.parse import PREFIX
from headrace.diagnostics import Diagnostic
from headrace.objects.ingress import Ingress
from headrace.translate import own_keys
from headrace.translate.build_context import BuildContext
from headrace.translate.ingress_class import ClassDecision

# Keys of an exposed port that an Ingress has too; the others say what its rules say.
_EXPOSURE = frozenset(('client-ca-secret', 'client-verify', 'path-type'))
_ELSEWHERE = {
    'host': 'spec.rules', 'path': 'spec.rules', 'port': 'spec.rules', 'mode': 'spec.rules', 'tls-secret': 'spec.tls',
}  # fmt: skip
# Controllers of other projects, by what their IngressClasses have as `spec.controller`.
_CONTROLLERS = {
    'k8s.io/ingress-nginx': 'ingress-nginx',
    'haproxy-ingress.github.io/controller': 'haproxy-ingress',
}

_NOTHING = Structure()


@dataclass(frozen=True, slots=True)
class IngressSettings:
    """Values by headrace's keys, what closes all routes of the Ingress, and what its annotations of a dialect say besides.

    `closed_by` are whole names of annotations whose value cannot be used, and why as a clause.
    """

    values: dict[str, object]
    dialect: str = ''
    closed_by: tuple[tuple[str, str], ...] = ()
    structure: Structure = _NOTHING
    diagnostics: tuple[Diagnostic, ...] = ()


def read(ingress: Ingress, decision: ClassDecision, context: BuildContext) -> IngressSettings:
    """Return what the annotations of an Ingress of this class say."""
    pairs = tuple((key[len(PREFIX) :], text) for key, text in ingress.annotations if key.startswith(PREFIX))
    own = own_keys.read(ingress.ref, pairs, 'an Ingress', _EXPOSURE, _ELSEWHERE)
    values, closed_by, diagnostics = own.values, own.closed_by, list(own.diagnostics)
    if not (dialect := _dialect(decision, context)):
        return IngressSettings(values, '', closed_by, diagnostics=tuple(diagnostics))
    foreign = read_foreign(dialect, ingress.annotations, ingress.namespace)
    diagnostics += [
        diagnostic for remark in foreign.remarks if (diagnostic := remark.diagnostic(ingress.ref)) is not None
    ]
    closed_by += tuple((key, 'it cannot be applied') for key in foreign.closed)
    return IngressSettings({**foreign.values, **values}, dialect, closed_by, foreign.structure, tuple(diagnostics))


def _dialect(decision: ClassDecision, context: BuildContext) -> str:
    """Return the dialect of an Ingress: that of its class's controller, else the first of the class's setting."""
    dialects = context.settings.ingress_annotations
    dialect = _CONTROLLERS.get(decision.controller, '')
    return dialect if dialect in dialects else next(iter(dialects), '')
