"""To which controller an Ingress belongs: this class of headrace, another controller, or none.

`spec.ingressClassName` counts, else the annotation `kubernetes.io/ingress.class`, else the key `headrace.io/class`, else the
default IngressClass. That key with another class of headrace gives an Ingress away, whatever else it names.

IngressClasses are cluster-wide, so an installation that is limited to namespaces does not read them. There, as in a folder,
the name of the class and those of `ingressClasses` are enough.
"""

from dataclasses import dataclass
from enum import StrEnum

from headrace.diagnostics import shorten
from headrace.names import DEFAULT_CLASS
from headrace.objects.annotations import PREFIX
from headrace.objects.ingress import CLASS_ANNOTATION, Ingress, IngressClass
from headrace.store import Reader
from headrace.translate.build_context import BuildContext

_CLASS_KEY = f'{PREFIX}class'


class Owner(StrEnum):
    """Who serves an Ingress."""

    OURS = 'ours'
    OTHER = 'other'
    NONE = 'none'


@dataclass(frozen=True, slots=True)
class ClassDecision:
    """Who serves an Ingress, and why, as a clause. `name` is the IngressClass that it names or gets, '' for none.

    `controller` is that of the IngressClass, '' where there is no such object.
    """

    owner: Owner
    reason: str
    name: str = ''
    controller: str = ''


def controller_name(class_name: str) -> str:
    """Return what an IngressClass has as its controller when it is that of a class of headrace."""
    name = f'{PREFIX}ingress-controller'
    return name if class_name == DEFAULT_CLASS else f'{name}-{class_name}'


def reads_classes(context: BuildContext) -> bool:
    """Tell whether all IngressClasses of a cluster are read."""
    return context.api_server and not context.settings.namespaces


def ingress_class_of(ingress: Ingress, reader: Reader, context: BuildContext) -> ClassDecision:
    """Return who serves an Ingress. The reader records the IngressClasses that decide it."""
    annotations = dict(ingress.annotations)
    own_class = annotations.get(_CLASS_KEY, '')
    if own_class and own_class != context.class_name:
        return ClassDecision(Owner.OTHER, f'{_CLASS_KEY} names the class {shorten(own_class)}')
    if ingress.class_name:
        return _by_name(ingress.class_name, 'spec.ingressClassName', reader, context)
    if legacy := annotations.get(CLASS_ANNOTATION, ''):
        return _by_name(legacy, CLASS_ANNOTATION, reader, context)
    if own_class:
        return ClassDecision(Owner.OURS, f'{_CLASS_KEY} names this class')
    default = reader.default_ingress_class
    if default is None:
        return ClassDecision(Owner.NONE, 'it names no class, and no IngressClass is the default one')
    return _by_class(default.name, default, 'it names no class, and the default one is', context)


def _by_name(name: str, field: str, reader: Reader, context: BuildContext) -> ClassDecision:
    ingress_class = reader.ingress_class(name)
    if ingress_class is not None or name in context.settings.ingress_classes:
        return _by_class(name, ingress_class, f'{field} is', context)
    # The annotation is older than IngressClasses, and needs none.
    if name == context.class_name and (field == CLASS_ANNOTATION or not reads_classes(context)):
        return ClassDecision(Owner.OURS, f'{field} is {shorten(name)}', name)
    return ClassDecision(Owner.NONE, f'{field} is {shorten(name)}, and there is no such IngressClass', name)


def _by_class(name: str, ingress_class: IngressClass | None, how: str, context: BuildContext) -> ClassDecision:
    controller = ingress_class.controller if ingress_class is not None else ''
    if name in context.settings.ingress_classes:
        return ClassDecision(Owner.OURS, f'{how} {shorten(name)}, which is one of ingressClasses', name, controller)
    if controller == controller_name(context.class_name):
        return ClassDecision(Owner.OURS, f'{how} {shorten(name)}', name, controller)
    reason = f'{how} {shorten(name)}, whose controller is {shorten(controller)}'
    return ClassDecision(Owner.OTHER, reason, name, controller)
