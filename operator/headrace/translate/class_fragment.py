"""From the class's settings to the fragment of the class itself: its default certificate."""

from headrace.diagnostics import Verdict
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.store import Snapshot
from headrace.translate import placeholder_certificates
from headrace.translate.build_context import View

DEFAULT_CERTIFICATE = 'default'
_FIELD = 'defaultCertificate'


def ref(view: View) -> Ref:
    """Return the reference under which verdicts speak of the class."""
    return Ref('Class', '', view.class_name)


def needs(view: View) -> tuple[Ref, ...]:
    """Return the Secrets that the class's settings name."""
    namespace, _, name = view.settings.default_certificate.partition('/')
    return (Ref('Secret', namespace, name),) if name else ()


def has_certificate(view: View, snapshot: Snapshot) -> bool:
    """Tell whether the class's default certificate is there, and not only named."""
    found = [snapshot.secret(need) for need in needs(view)]
    return any(secret.certificate is not None if secret is not None else view.offline for secret in found)


def build(view: View, snapshot: Snapshot) -> Fragment:
    """Return the fragment of the class."""
    claims: list[Claim] = []
    verdicts: list[Verdict] = []
    for need in needs(view):
        secret = snapshot.secret(need)
        if secret is not None and secret.certificate is not None:
            claims.append(Claim(Kind.CERTIFICATE, DEFAULT_CERTIFICATE, Pem(secret.certificate.pem), _FIELD))
            if secret.certificate_problem:
                said = f'{need}: {secret.certificate_problem}'
                verdicts.append(Verdict(ref(view), 'CertificateKept', said, _FIELD))
        elif secret is not None:
            verdicts.append(Verdict(ref(view), 'CertificateUnusable', f'{need}: {secret.certificate_problem}', _FIELD))
        elif view.offline:
            claims.append(
                Claim(Kind.CERTIFICATE, DEFAULT_CERTIFICATE, Pem(placeholder_certificates.certificate(need)[0]), _FIELD)
            )
            message = f'{need} is not in the input; a stand-in takes its place'
            verdicts.append(Verdict(ref(view), 'StandInCertificate', message, _FIELD))
        else:
            verdicts.append(Verdict(ref(view), 'SecretMissing', f'{need} does not exist', _FIELD))
    return Fragment(ref(view), claims=tuple(claims), needs=needs(view), verdicts=tuple(verdicts))
