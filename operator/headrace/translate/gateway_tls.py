"""TLS that listeners of Gateways end: their certificates, and for which hosts these are shown.

A slot has certificates of its own, and shows none but its listeners'. At the class's own ports a listener's host is a host like
those of Ingresses. A listener without a usable certificate is not served: no other one takes its place.
"""

from dataclasses import replace

from headrace import names
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Kind
from headrace.ir.pointers import GatewayPort
from headrace.ir.tls import HostTls, Pem
from headrace.names import Ref
from headrace.objects.gateways import Gateway
from headrace.objects.references import Reference
from headrace.translate import authorities, placeholder_certificates, reference_grants, tls_material
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.judged_listeners import ANY, JudgedListener

# A list of certificates begins with one of this kind, which stands for none, and HAProxy would show that one first.
_PLACEHOLDER_KIND = 'EdDSA'
_FRONTEND = 'spec.tls.frontend'
# It is shown for a host whose certificate is missing, in the place of a less specific listener's, and ends the connection.
_NO_CERTIFICATE = (placeholder_certificates.NAME,)


def validates(gateway: Gateway, port: int) -> bool:
    """Tell whether clients of a Gateway's port must show a certificate that is valid."""
    validation = gateway.frontend_tls.validation(port)
    return validation is not None and not validation.insecure_fallback


def serve(gateway: Gateway, each: JudgedListener, parts: FragmentParts) -> None:
    """Claim the TLS of a listener, whose port HAProxy has."""
    refs = _secrets(each, parts)
    usable, duplicates = tls_material.of_each_kind(refs, parts.reader)
    for ref, kind in duplicates:
        _diagnose(each, parts, 'ContradictoryKeys', f'{ref} has a {kind} key, and so has one before it, which counts')
    files = {ref: file for ref in usable if (file := _certificate(ref, each, parts))}
    clients = _clients(gateway, each, parts)
    if clients is None:
        files.clear()
        clients = HostTls()
    (_claim_slot if parts.context.slots else _claim_hosts)(each, files, clients, parts)


def _claim_slot(each: JudgedListener, files: dict[Ref, str], clients: HostTls, parts: FragmentParts) -> None:
    """Let the slot of a listener show its certificates; `clients` is how those of clients are validated."""
    certificates = tuple(sorted(files.values())) or (() if each.host == ANY else _NO_CERTIFICATE)
    value = replace(clients, certificates=certificates)
    parts.claims.append(Claim(Kind.GATEWAY_TLS, f'{each.port}:{each.host}', value, each.field))


def _claim_hosts(each: JudgedListener, files: dict[Ref, str], clients: HostTls, parts: FragmentParts) -> None:
    """Let the class's port show the certificates of a listener for its hosts.

    There no client gets in whose certificate is not valid, so none is asked for where it need not be.
    """
    required = clients.verify == 'required'
    value = GatewayPort(each.listener.port, required) if files else HostTls()
    parts.claims.append(Claim(Kind.GATEWAY_TLS, f'{each.port}:{each.host}', value, each.field))
    for host, refs_of_host in _hosts(each, files, parts).items():
        if not parts.context.may_claim(each.owner.namespace, host):
            message = f'host {host} is not for namespace {each.owner.namespace}'
            _diagnose(each, parts, 'HostForbidden', message)
            continue
        certificates = tuple(sorted(files[ref] for ref in refs_of_host))
        own = replace(clients if required else HostTls(), certificates=certificates)
        parts.claims.append(Claim(Kind.TLS, host, own, each.field))


def _clients(gateway: Gateway, each: JudgedListener, parts: FragmentParts) -> HostTls | None:
    """Return how certificates of a listener's clients are validated; None where they must be and cannot."""
    validation = gateway.frontend_tls.validation(each.listener.port)
    if validation is None:
        return HostTls()
    pem, unusable = authorities.read(gateway.ref, validation.authorities, parts.reader, parts.context)
    for problem in unusable:
        reason = 'InvalidCACertificateKind' if problem.is_kind else 'InvalidCACertificateRef'
        _tell(each, parts, reason if problem.is_permitted else 'RefNotPermitted', problem.message, _FRONTEND)
    if not pem:
        message = 'no reference leads to certificates of authorities that can be used'
        _tell(each, parts, 'NoValidCACertificate', message, _FRONTEND)
        return None
    # A namespace, a name and `_` make the names of Secrets' files, so none of them is equal to this one.
    file = f'{names.file(gateway.ref)}_clients_{each.listener.port}'
    parts.claims.append(Claim(Kind.AUTHORITY, file, Pem(pem), each.field))
    return HostTls(client_ca=file, verify='optional' if validation.insecure_fallback else 'required')


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
        message = f'a certificate of kind {reference.qualified_kind} is not supported, Secrets are'
        _diagnose(each, parts, 'InvalidCertificateRef', message)
        return False
    if refusal := reference_grants.refusal(each.owner, reference, parts.reader):
        _diagnose(each, parts, 'RefNotPermitted', refusal)
    return not refusal


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
    _tell(each, parts, reason, message, f'{each.field}.tls.certificateRefs')


def _tell(each: JudgedListener, parts: FragmentParts, reason: str, message: str, field: str) -> None:
    parts.diagnostics.append(Diagnostic(each.owner, reason, message, field, each.part))
