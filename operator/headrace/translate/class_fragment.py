"""From the class's settings to the fragment of the class itself: its default certificate."""

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.store import Reader
from headrace.translate import placeholder_certificates
from headrace.translate.build_context import BuildContext

DEFAULT_CERTIFICATE = 'default'
_FIELD = 'defaultCertificate'


def ref(context: BuildContext) -> Ref:
    """Return the reference under which diagnostics speak of the class."""
    return Ref('Class', '', context.class_name)


def _secrets(context: BuildContext) -> tuple[Ref, ...]:
    """Return the Secrets that the class's settings name."""
    namespace, _, name = context.settings.default_certificate.partition('/')
    return (Ref('Secret', namespace, name),) if name else ()


def has_certificate(context: BuildContext, reader: Reader) -> bool:
    """Tell whether the class's default certificate is there, and not only named."""
    secrets = [reader.secret(secret_ref) for secret_ref in _secrets(context)]
    return any(secret.certificate is not None if secret is not None else context.offline for secret in secrets)


def translate(context: BuildContext, reader: Reader) -> Fragment:
    """Return the fragment of the class."""
    claims: list[Claim] = []
    diagnostics: list[Diagnostic] = []
    for secret_ref in _secrets(context):
        secret = reader.secret(secret_ref)
        if secret is not None and secret.certificate is not None:
            claims.append(Claim(Kind.CERTIFICATE, DEFAULT_CERTIFICATE, Pem(secret.certificate.pem), _FIELD))
        elif secret is not None:
            diagnostics.append(
                Diagnostic(ref(context), 'CertificateUnusable', f'{secret_ref}: {secret.certificate_problem}', _FIELD)
            )
        elif context.offline:
            claims.append(
                Claim(
                    Kind.CERTIFICATE,
                    DEFAULT_CERTIFICATE,
                    Pem(placeholder_certificates.certificate(secret_ref)[0]),
                    _FIELD,
                )
            )
            message = f'{secret_ref} is not in the input; a placeholder takes its place'
            diagnostics.append(Diagnostic(ref(context), 'PlaceholderCertificate', message, _FIELD))
        else:
            diagnostics.append(Diagnostic(ref(context), 'SecretMissing', f'{secret_ref} does not exist', _FIELD))
    return Fragment(ref(context), claims=tuple(claims), needs=reader.needs, diagnostics=tuple(diagnostics))
