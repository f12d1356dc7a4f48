"""TLS that listeners of Gateways end: their certificates, and for which hosts these are shown.

A slot has certificates of its own, and shows none but its listeners'. At the class's own ports a listener's host is a host like
those of Ingresses. A listener without a usable certificate is not served: no other one takes its place.
"""

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Kind
from headrace.ir.pointers import GatewayPort
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.reference_grants import GrantFrom
from headrace.objects.references import GATEWAY_GROUP, Reference
from headrace.translate import placeholder_certificates, reference_grants, tls_material
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.judged_listeners import ANY, JudgedListener

# A list of certificates begins with one of this kind, which stands for none, and HAProxy would show that one first.
_PLACEHOLDER_KIND = 'EdDSA'
# It is shown for a host whose certificate is missing, in the place of a less specific listener's, and ends the connection.
_NO_CERTIFICATE = (placeholder_certificates.NAME,)


def serve(each: JudgedListener, parts: FragmentParts) -> None:
    """Claim the TLS of a listener, whose port HAProxy has."""
    refs = _secrets(each, parts)
    usable, duplicates = tls_material.of_each_kind(refs, parts.reader)
    for ref, kind in duplicates:
        _diagnose(each, parts, 'ContradictoryKeys', f'{ref} has a {kind} key, and so has one before it, which counts')
    files = {ref: file for ref in usable if (file := _certificate(ref, each, parts))}
    key = f'{each.port}:{each.host}'
    if parts.context.slots:
        certificates = tuple(sorted(files.values())) or (() if each.host == ANY else _NO_CERTIFICATE)
        parts.claims.append(Claim(Kind.GATEWAY_TLS, key, HostTls(certificates=certificates), each.field))
        return
    value = GatewayPort(each.listener.port) if files else HostTls()
    parts.claims.append(Claim(Kind.GATEWAY_TLS, key, value, each.field))
    for host, refs_of_host in _hosts(each, files, parts).items():
        if not parts.context.may_claim(each.owner.namespace, host):
            message = f'host {host} is not for namespace {each.owner.namespace}'
            _diagnose(each, parts, 'HostForbidden', message)
            continue
        own = HostTls(certificates=tuple(sorted(files[ref] for ref in refs_of_host)))
        parts.claims.append(Claim(Kind.TLS, host, own, each.field))


def _hosts(each: JudgedListener, files: dict[Ref, str], parts: FragmentParts) -> dict[str, list[Ref]]:
    """Return the hosts that a listener's certificates are for; those in the certificates where the listener names none."""
    if each.host != ANY:
        return {each.host: list(files)}
    hosts: dict[str, list[Ref]] = {}
    for ref in files:
        secret = parts.reader.secret(ref)
        for host in secret.certificate.names if secret is not None and secret.certificate is not None else ():
            hosts.setdefault(host, []).append(ref)
    return hosts


def _secrets(each: JudgedListener, parts: FragmentParts) -> list[Ref]:
    """Return the Secrets that a listener names and may use."""
    certificates = each.listener.tls.certificates if each.listener.tls is not None else ()
    if not certificates:
        _diagnose(each, parts, 'InvalidCertificateRef', 'the listener names no certificate')
    return [reference.ref for reference in dict.fromkeys(certificates) if _is_usable(reference, each, parts)]


def _is_usable(reference: Reference, each: JudgedListener, parts: FragmentParts) -> bool:
    if (reference.group, reference.kind) != ('', 'Secret'):
        kind = f'{reference.group}/{reference.kind}' if reference.group else reference.kind
        message = f'a certificate of kind {kind} is not supported, Secrets are'
        _diagnose(each, parts, 'InvalidCertificateRef', message)
        return False
    owner = each.owner
    if not reference_grants.is_granted(GrantFrom(GATEWAY_GROUP, owner.kind, owner.namespace), reference, parts.reader):
        message = (
            f'no ReferenceGrant of namespace {reference.namespace} allows a {owner.kind} of {owner.namespace} '
            f'to refer to {reference.ref}'
        )
        _diagnose(each, parts, 'RefNotPermitted', message)
        return False
    return True


def _certificate(ref: Ref, each: JudgedListener, parts: FragmentParts) -> str:
    """Claim the file of a certificate; return its name, '' if it cannot be used."""

    def diagnose(reason: str, _: str, message: str) -> None:
        _diagnose(each, parts, reason if reason == 'PlaceholderCertificate' else 'InvalidCertificateRef', message)

    secret = parts.reader.secret(ref)
    certificate = secret.certificate if secret is not None else None
    if each.host == ANY and certificate is not None and certificate.key == _PLACEHOLDER_KIND:
        message = f'{ref}: a listener without a host has keys of RSA or ECDSA, and this one is Ed25519 or Ed448'
        diagnose('CertificateUnusable', '', message)
        return ''
    claim = tls_material.claim(ref, '', 'certificate', parts.reader, parts.context, diagnose)
    if claim is None:
        return ''
    parts.claims.append(claim)
    return claim.key


def _diagnose(each: JudgedListener, parts: FragmentParts, reason: str, message: str) -> None:
    field = f'{each.field}.tls.certificateRefs'
    parts.diagnostics.append(Diagnostic(each.owner, reason, message, field, each.part))
