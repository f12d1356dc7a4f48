"""Secrets' material as claims for the files that HAProxy reads it from.

Promises: a file is named only where it is claimed, so that a Secret that is missing or broken costs what depends on it
and never the configuration.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from headrace import names
from headrace.ir.backend import SYSTEM_AUTHORITIES, Backend, Options
from headrace.ir.fragment import Claim, Kind
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.store import Reader
from headrace.translate import placeholder_certificates
from headrace.translate.build_context import BuildContext

Say = Callable[[str, str, str], None]


def problem(secret: Ref, kind: str, reader: Reader, context: BuildContext) -> tuple[str, str] | None:
    """Return why the material of a Secret cannot be used (a reason and a message), None when it can."""
    if not context.may_read_secrets(secret.namespace):
        return 'SecretForbidden', f'add {secret.namespace} to secrets.namespaces to let headrace read {secret}'
    material = reader.secret(secret)
    if material is None:
        return 'SecretMissing', f'{secret} does not exist'
    reason_by_kind = {
        'certificate': material.certificate_problem,
        'authorities': material.authorities_problem,
        'users': material.users_problem,
        'named users': material.named_users_problem,
    }[kind]
    reason = 'CredentialsUnusable' if kind.endswith('users') else 'CertificateUnusable'
    return (reason, f'{secret}: {reason_by_kind}') if reason_by_kind else None


def claim(secret: Ref, key: str, kind: str, reader: Reader, context: BuildContext, say: Say) -> Claim | None:
    """Return the claim for the file with a Secret's certificate or authorities; None, and why is said, if there is none."""
    claim_kind, name = Kind.CERTIFICATE if kind == 'certificate' else Kind.AUTHORITY, names.file(secret)
    material = reader.secret(secret)
    if material is None and context.offline:
        with_key, certificate_only = placeholder_certificates.certificate(secret)
        say('PlaceholderCertificate', key, f'{secret} is not in the input; a placeholder takes its place')
        return Claim(claim_kind, name, Pem(with_key if kind == 'certificate' else certificate_only))
    if (unusable := problem(secret, kind, reader, context)) is not None:
        say(unusable[0], key, unusable[1])
        return None
    assert material is not None
    return Claim(
        claim_kind,
        name,
        Pem(material.certificate.pem if kind == 'certificate' and material.certificate else material.authorities),
    )


def of_each_kind(secrets: Iterable[Ref], reader: Reader) -> tuple[list[Ref], list[tuple[Ref, str]]]:
    """Return the Secrets whose certificates are used, and those that are left, with the kind of their keys.

    Of two with keys of one kind HAProxy would show the one that it has got first, so only the first is used.
    """
    usable: dict[str, Ref] = {}
    duplicates: list[tuple[Ref, str]] = []
    for ref in secrets:
        material = reader.secret(ref)
        kind = material.certificate.key if material is not None and material.certificate is not None else str(ref)
        if kind in usable:
            duplicates.append((ref, kind))
        else:
            usable[kind] = ref
    return list(usable.values()), duplicates


def mark(options: Options, claims: Iterable[Claim]) -> Options:
    """Return the options of servers with the mark of the authorities that they name, as far as those are claimed."""
    if options.tls is None:
        return options
    for item in claims:
        if item.kind is Kind.AUTHORITY and item.key == options.tls.ca_file and isinstance(item.value, Pem):
            return replace(options, tls=replace(options.tls, ca_mark=item.value.mark))
    return options


def has_files(backend: Backend, claims: Iterable[Claim]) -> bool:
    """Tell whether the files are claimed that a backend's TLS names: authorities, and the certificate that is shown."""
    tls = backend.options.tls
    if tls is None:
        return True
    named = {(Kind.AUTHORITY, tls.ca_file), (Kind.CERTIFICATE, tls.certificate)}
    needed = {each for each in named if each[1] not in ('', SYSTEM_AUTHORITIES)}
    return needed <= {(item.kind, item.key) for item in claims} if needed else True
