"""Reading documents into objects by the registry of kinds; no mistake of a user raises.

A document without a usable name is no object at all, only a diagnostic. A field that is wrong costs that field, and is
told in the object's `problems`. What `read` returns is what Kubernetes' validation would have let through, so that a
folder cannot hold what an API server would have refused. An unexpected error costs the object that is read.
"""

from dataclasses import dataclass, replace
from functools import partial
from sys import intern

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import config_maps, fields, registry, secrets, status
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import ConfigMap, Object, Secret, Service
from headrace.objects.registry import Kind, Read
from headrace.objects.routes import Route
from headrace.settings.secret_keys import Secrets


@dataclass(frozen=True, slots=True)
class Reading:
    """What one document turned out to be: an object, or none and why; neither for kinds that headrace ignores.

    `failed` is the unexpected error that reading the object has ended with, for the caller's log: what was known of the
    object before stays.
    """

    object: Object | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    failed: BaseException | None = None


def read(document: object, limits: Secrets = secrets.DEFAULT_LIMITS, *, statuses: bool = False) -> Reading:
    """Return the object that a document holds, a Secret within limits, its status on request; raises nothing."""
    if not isinstance(document, dict):
        return Reading()
    kind = registry.BY_VERSION.get((fields.text(document, 'apiVersion'), fields.text(document, 'kind')))
    if kind is None:
        return Reading()
    try:
        reading = _read(kind, _reading(kind, limits), document)
        if statuses and isinstance(reading.object, Service | Ingress):
            return Reading(replace(reading.object, status=status.read(document)), reading.diagnostics)
        if statuses and isinstance(reading.object, GatewayClass | Gateway | ListenerSet | Route | BackendTLSPolicy):
            return Reading(replace(reading.object, status=status.read_raw(document)), reading.diagnostics)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # noqa: BLE001  whatever it is, and a panic of Rust code is no Exception
        message = f'{type(error).__name__} while the object was read; what was known of it before stays'
        return Reading(diagnostics=(Diagnostic(reference(document), 'InternalError', message),), failed=error)
    return reading


def _reading(kind: Kind, limits: Secrets) -> Read:
    """Return what reads a kind, within limits where it holds certificates."""
    if kind.type is Secret:
        return partial(secrets.read, limits=limits)
    return partial(config_maps.read, limits=limits) if kind.type is ConfigMap else kind.read


def reference(document: fields.Document) -> Ref:
    """Return the reference of the object in a document whose names are valid."""
    kind, metadata = registry.BY_NAME[fields.text(document, 'kind')], fields.mapping(document, 'metadata')
    return Ref(kind.name, _namespace_of(kind, metadata) or '', fields.text(metadata, 'name'))


def _read(kind: Kind, read: Read, document: fields.Document) -> Reading:
    metadata = fields.mapping(document, 'metadata')
    name, namespace = fields.text(metadata, 'name'), _namespace_of(kind, metadata)
    if namespace is None or not fields.is_name(name, subdomain=kind.subdomain):
        display_name, display_namespace = shorten(metadata.get('name')), shorten(metadata.get('namespace', ''))
        message = f'name {display_name} in namespace {display_namespace} is not one that Kubernetes allows'
        return Reading(
            diagnostics=(
                Diagnostic(Ref(kind.name, display_namespace, display_name), 'InvalidObject', message, 'metadata.name'),
            )
        )
    # Without its annotations or labels an object would be another one: served without what protects it.
    if wrong := fields.misfits(metadata, {'annotations': dict, 'labels': dict}):
        message = f'{wrong[0]} must be a mapping, so the object is ignored'
        return Reading(
            diagnostics=(Diagnostic(Ref(kind.name, namespace, name), 'InvalidObject', message, f'metadata.{wrong[0]}'),)
        )
    # A slice has its Service's name in a label, and many objects have one namespace.
    return Reading(object=read(intern(namespace), intern(name), document))


def _namespace_of(kind: Kind, metadata: fields.Document) -> str | None:
    """Return an object's namespace, '' for a kind without; None when Kubernetes does not allow it."""
    namespace = metadata.get('namespace')
    if not kind.namespaced:
        return ''
    if namespace in (None, ''):
        return 'default'
    return namespace if isinstance(namespace, str) and fields.is_name(namespace) else None
