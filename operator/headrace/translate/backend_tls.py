"""BackendTLSPolicies: TLS to the endpoints of Services that routes of the Gateway API lead to.

Of several policies for a Service the one that names the port counts, then the oldest. A policy that cannot be kept as it stands
is never left out: what leads to its targets is closed, and requests get the status 500.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from headrace import names
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import SYSTEM_AUTHORITIES, ServerTls
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.tls import Pem
from headrace.names import Ref
from headrace.objects import registry
from headrace.objects.backend_tls_policies import BackendTLSPolicy, PolicyTarget
from headrace.objects.kinds import Service
from headrace.store import Reader
from headrace.translate import authorities
from headrace.translate.build_context import BuildContext

_SYSTEM = 'System'


@dataclass(frozen=True, slots=True)
class BackendTls:
    """TLS to endpoints as a policy asks for it; `server` is None where the policy cannot be kept.

    `authority` is the file that it needs, None where it needs none.
    """

    server: ServerTls | None
    authority: Claim | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


def of_port(service: Service, port: str, reader: Reader, context: BuildContext) -> BackendTls | None:
    """Return the TLS to the endpoints of a Service's port, by its name; None where no policy asks for any."""
    for section in dict.fromkeys((port, '')):
        if (policy := _first(service.ref, section, reader)) is not None:
            return judge(policy, reader, context)
    return None


def _first(service: Ref, section: str, reader: Reader) -> BackendTLSPolicy | None:
    """Return the oldest policy for a port of a Service, or for all of its ports."""
    target = PolicyTarget('', service.kind, service.namespace, service.name, section)
    policies = reader.members(registry.attached('BackendTLSPolicy', service), BackendTLSPolicy)
    return next((policy for policy in policies if target in policy.targets), None)


def judge(policy: BackendTLSPolicy, reader: Reader, context: BuildContext) -> BackendTls:
    """Return the TLS that a policy asks for, and what is wrong with the policy by itself."""
    problems = [*policy.problems, *_unsupported(policy)]
    if policy.well_known:
        server = ServerTls(verify=True, ca_file=SYSTEM_AUTHORITIES, sni=policy.hostname)
        return BackendTls(None if problems else server, diagnostics=tuple(problems))
    pem, unusable = authorities.read(policy.ref, policy.authorities, reader, context)
    remarks = tuple(
        Diagnostic(
            policy.ref,
            'InvalidKind' if each.is_kind else 'InvalidCACertificateRef',
            each.message,
            f'spec.validation.caCertificateRefs[{each.number}]',
        )
        for each in unusable
    )
    if not pem and not policy.problems:
        message = 'no reference leads to certificates of authorities that can be used'
        problems.append(Diagnostic(policy.ref, 'NoValidCACertificate', message, 'spec.validation.caCertificateRefs'))
    if problems:
        return BackendTls(None, diagnostics=(*problems, *remarks))
    # A namespace, a name and `_` make the names of Secrets' files, so none of them is equal to this one.
    material, file = Pem(pem), f'{names.file(policy.ref)}_policy'
    server = ServerTls(verify=True, ca_file=file, sni=policy.hostname, ca_mark=material.mark)
    return BackendTls(server, Claim(Kind.AUTHORITY, file, material), remarks)


def _unsupported(policy: BackendTLSPolicy) -> Iterator[Diagnostic]:
    """Yield what a policy asks for that HAProxy cannot do: it looks for the name that it sends in a certificate, and no other."""
    if policy.well_known not in ('', _SYSTEM):
        message = f'of well-known certificates only {_SYSTEM} are supported'
        yield Diagnostic(policy.ref, 'UnsupportedValue', message, 'spec.validation.wellKnownCACertificates')
    if policy.names and {(each.value, each.uri) for each in policy.names} != {(policy.hostname, False)}:
        message = 'other names than hostname are not supported'
        yield Diagnostic(policy.ref, 'UnsupportedValue', message, 'spec.validation.subjectAltNames')


def translate(policy: BackendTLSPolicy, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a policy, which only tells what is wrong with it: its targets' backends have the rest."""
    if not context.settings.gateway_api or not context.exists(policy.namespace):
        return None
    diagnostics = {*judge(policy, reader, context).diagnostics, *_of_targets(policy, reader)}
    return Fragment(policy.ref, policy.created, needs=reader.needs, diagnostics=tuple(sorted(diagnostics)))


def _of_targets(policy: BackendTLSPolicy, reader: Reader) -> Iterator[Diagnostic]:
    for number, target in enumerate(policy.targets):
        field = f'spec.targetRefs[{number}]'
        if (target.group, target.kind) != ('', 'Service'):
            yield Diagnostic(policy.ref, 'TargetNotFound', 'only Services can be targets', field)
            continue
        service = reader.other_service(target.ref)
        if service is None or (target.section and target.section not in (port.name for port in service.ports)):
            what = f'{target.ref} has no port {target.section}' if service else f'{target.ref} does not exist'
            yield Diagnostic(policy.ref, 'TargetNotFound', what, field)
        first = _first(target.ref, target.section, reader)
        if first is not None and first.ref != policy.ref:
            yield Diagnostic(policy.ref, 'Conflicted', f'{first.ref} has the same target, and is older', field)
