"""Backends of routes of the Gateway API: which Service and port a reference means, and what keeps it from being used.

A reference that cannot be used keeps its share of the requests, and these get the status 500 (HTTPRoute, `backendRefs`).
"""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType
from headrace.objects.references import BackendObjectReference
from headrace.store import Reader
from headrace.translate import reference_grants
from headrace.translate.build_context import BuildContext


@dataclass(frozen=True, slots=True)
class BackendPort:
    """A Service and its port that a reference means."""

    service: Service
    port: ServicePort


def resolve(
    ref: Ref,
    backend: BackendObjectReference,
    field: str,
    reader: Reader,
    context: BuildContext,
    protocol: Protocol = Protocol.TCP,
) -> BackendPort | Diagnostic:
    """Return what a route's reference means, or the diagnostic with the API's reason why it cannot be used."""
    if (backend.group, backend.kind) != ('', 'Service'):
        message = f'a backend of kind {backend.qualified_kind} is not supported, Services are'
        return Diagnostic(ref, 'InvalidKind', message, field)
    if refusal := reference_grants.refusal(ref, backend, reader):
        return Diagnostic(ref, 'RefNotPermitted', refusal, field)
    service = reader.other_service(backend.ref)
    if service is None:
        return Diagnostic(ref, 'BackendNotFound', f'{backend.ref} does not exist', field)
    port = next((each for each in service.ports if each.number == backend.port and each.protocol is protocol), None)
    if port is None:
        return Diagnostic(ref, 'BackendNotFound', f'{backend.ref} has no {protocol} port {backend.port}', field)
    if service.type is ServiceType.EXTERNAL_NAME and not context.settings.allow_external_name:
        return Diagnostic(
            ref, 'UnsupportedValue', f'{backend.ref} is an ExternalName, which the class does not allow', field
        )
    return BackendPort(service, port)
