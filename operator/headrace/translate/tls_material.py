"""Secrets' material as claims for the files that HAProxy reads it from.

Promises: a file is named only where it is claimed, so that a Secret that is missing or broken costs what depends on it
and never the configuration.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from headrace import names
from headrace.ir.backend import Backend, Options
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
    held = reader.secret(secret)
    if held is None:
        return 'SecretMissing', f'{secret} does not exist'
    found = {
        'certificate': held.certificate_problem,
        'authorities': held.authorities_problem,
        'users': held.users_problem,
    }[kind]
    reason = 'CredentialsUnusable' if kind == 'users' else 'CertificateUnusable'
    return (reason, f'{secret}: {found}') if found else None


def claim(secret: Ref, key: str, kind: str, reader: Reader, context: BuildContext, say: Say) -> Claim | None:
    """Return the claim for the file with a Secret's certificate or authorities; None, and why is said, if there is none."""
    where, name = Kind.CERTIFICATE if kind == 'certificate' else Kind.AUTHORITY, names.file(secret)
    held = reader.secret(secret)
    if held is None and context.offline:
        both, alone = placeholder_certificates.certificate(secret)
        say('PlaceholderCertificate', key, f'{secret} is not in the input; a placeholder takes its place')
        return Claim(where, name, Pem(both if kind == 'certificate' else alone))
    if (found := problem(secret, kind, reader, context)) is not None:
        say(found[0], key, found[1])
        return None
    assert held is not None
    return Claim(
        where, name, Pem(held.certificate.pem if kind == 'certificate' and held.certificate else held.authorities)
    )


def of_each_kind(secrets: Iterable[Ref], reader: Reader) -> tuple[list[Ref], list[tuple[Ref, str]]]:
    """Return the Secrets whose certificates are used, and those that are left, with the kind of their keys.

    Of two with keys of one kind HAProxy would show the one that it has got first, so only the first is used.
    """
    used: dict[str, Ref] = {}
    left: list[tuple[Ref, str]] = []
    for ref in secrets:
        held = reader.secret(ref)
        kind = held.certificate.key if held is not None and held.certificate is not None else str(ref)
        if kind in used:
            left.append((ref, kind))
        else:
            used[kind] = ref
    return list(used.values()), left


def marked(options: Options, claims: Iterable[Claim]) -> Options:
    """Return the options of servers with the mark of the authorities that they name, as far as those are claimed."""
    if options.tls is None:
        return options
    for item in claims:
        if item.kind is Kind.AUTHORITY and item.key == options.tls.ca_file and isinstance(item.value, Pem):
            return replace(options, tls=replace(options.tls, ca_mark=item.value.mark))
    return options


def can_verify(backend: Backend, claims: Iterable[Claim]) -> bool:
    """Tell whether a backend that verifies its endpoints has the authorities to do so."""
    wanted = backend.options.tls.ca_file if backend.options.tls else ''
    return not wanted or any(item.kind is Kind.AUTHORITY and item.key == wanted for item in claims)
