"""The certificate that endpoints are shown for requests that come by a Gateway (`spec.tls.backend.clientCertificateRef`)."""

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects.gateways import Gateway
from headrace.store import Reader
from headrace.translate import reference_grants, tls_material
from headrace.translate.build_context import BuildContext

_FIELD = 'spec.tls.backend.clientCertificateRef'


def of_gateway(gateway: Gateway, reader: Reader, context: BuildContext) -> Ref | Diagnostic | None:
    """Return the Secret that a Gateway names, a diagnostic where it cannot be used, None where none is named."""
    reference = gateway.client_certificate
    if reference is None:
        return None
    if (reference.group, reference.kind) != ('', 'Secret'):
        message = f'a certificate of kind {reference.qualified_kind} is not supported, Secrets are'
        return Diagnostic(gateway.ref, 'InvalidClientCertificateRef', message, _FIELD)
    if refusal := reference_grants.refusal(gateway.ref, reference, reader):
        return Diagnostic(gateway.ref, 'RefNotPermitted', refusal, _FIELD)
    if context.offline and reader.secret(reference.ref) is None:
        return reference.ref
    if (problem := tls_material.problem(reference.ref, 'certificate', reader, context)) is not None:
        return Diagnostic(gateway.ref, 'InvalidClientCertificateRef', problem[1], _FIELD)
    return reference.ref
