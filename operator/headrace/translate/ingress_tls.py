"""The TLS of an Ingress: certificates of its hosts, clients' certificates, and redirects to HTTPS.

A host of `spec.tls` has TLS whether or not a rule names it. Without a Secret the class's default certificate serves it. Of
several Secrets for a host each client gets the certificate that it can use.
"""

from collections.abc import Iterable
from dataclasses import replace

from headrace.annotations import parse
from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Kind
from headrace.ir.policy import Map
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.objects.ingress import Ingress
from headrace.translate import class_fragment, policies, tls_material
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.ingress_settings import IngressSettings
from headrace.translate.policies import Policy
from headrace.translate.route_policies import RoutePolicy


class IngressTls:
    """The TLS of an Ingress while its fragment is put together."""

    def __init__(self, parts: FragmentParts, ingress: Ingress, settings: IngressSettings) -> None:
        self.parts, self.ingress = parts, ingress
        self.exposure = parse.exposure(settings.values)
        self.redirect = parse.route(settings.values).tls_redirect
        self._forces_https = settings.structure.https
        self._authority = ''
        # Hosts that are served by TLS, and those that cannot be, though the Ingress wants it.
        self._tls_hosts: set[str] = set()
        self.closed_hosts: set[str] = set()

    def claim(self, rule_hosts: Iterable[str], aliases: Iterable[str] = ()) -> None:
        """Claim the TLS of the hosts; entries without hosts are for `rule_hosts`, the hosts of the rules.

        `aliases` are further names of the first rule's host, and have its certificates.
        """
        secrets: dict[str, dict[Ref, str]] = {}
        first_host = self.ingress.rules[0].host if self.ingress.rules else ''
        for number, entry in enumerate(self.ingress.tls):
            hosts = entry.hosts or sorted(rule_hosts)
            for host in (*hosts, *(aliases if first_host in hosts else ())):
                if not entry.secret:
                    self._without_certificate(host)
                elif self.parts.context.may_claim(self.ingress.namespace, host):
                    secret = Ref('Secret', self.ingress.namespace, entry.secret)
                    secrets.setdefault(host, {}).setdefault(secret, f'spec.tls[{number}].secretName')
        if self.exposure.client_ca_secret is not None and secrets:
            ref = Ref('Secret', self.ingress.namespace, self.exposure.client_ca_secret)
            self._authority = self.parts.material(ref, 'client-ca-secret', 'authorities')
        for host in sorted(secrets):
            self._claim_host(host, secrets[host])

    def _claim_host(self, host: str, secrets: dict[Ref, str]) -> None:
        usable, duplicates = tls_material.of_each_kind(list(secrets), self.parts.reader)
        for ref, kind in duplicates:
            self._diagnose(
                'ContradictoryKeys', f'{ref} has a {kind} key, and so has one before it, which counts', secrets[ref]
            )
        files = [self._certificate(ref, secrets[ref]) for ref in usable]
        if not all(files):
            self._without_certificate(host)
            return
        self._tls_hosts.add(host)
        value = HostTls(certificates=tuple(sorted(files)))
        if self.exposure.client_ca_secret is not None:
            verify = self.exposure.client_verify if self._authority else 'none'
            value = replace(value, client_ca=self._authority, verify=verify)
        self.parts.claims.append(Claim(Kind.TLS, host, value, next(iter(secrets.values()))))

    def _without_certificate(self, host: str) -> None:
        """Let the class's default certificate serve a host; without one, or where clients show theirs, close it."""
        default = class_fragment.has_certificate(self.parts.context, self.parts.reader)
        (self._tls_hosts if default and self.exposure.client_ca_secret is None else self.closed_hosts).add(host)

    def _certificate(self, secret: Ref, field: str) -> str:
        def diagnose(reason: str, _: str, message: str) -> None:
            self._diagnose(reason, message, field)

        claim = tls_material.claim(secret, '', 'certificate', self.parts.reader, self.parts.context, diagnose)
        if claim is None:
            return ''
        self.parts.claims.append(claim)
        return claim.key

    def _diagnose(self, reason: str, message: str, field: str) -> None:
        self.parts.diagnostics.append(Diagnostic(self.ingress.ref, reason, message, field))

    def policy(self, policy: Policy, route: RoutePolicy) -> None:
        """Add to a policy what it demands of clients' certificates."""
        if self.exposure.client_ca_secret is None:
            return
        if not any(entry.secret for entry in self.ingress.tls):
            route.close('client-ca-secret', 'it needs spec.tls with a secretName')
        elif not self._authority:
            route.close('client-ca-secret', f'Secret {self.exposure.client_ca_secret} cannot be used')
        optional = self.exposure.client_verify == 'optional'
        flag = policies.CLIENT_CERTIFICATE_OPTIONAL if optional else policies.CLIENT_CERTIFICATE
        policy.add(flag, (Map.ROUTE_CA, policy.name, self._authority or 'none'))

    def redirects(self, host: str) -> bool:
        """Tell whether requests without TLS for a host are sent to HTTPS: where it has TLS, unless the Ingress says no."""
        if self.redirect is False:
            return self.exposure.client_ca_secret is not None and self.exposure.client_verify == 'required'
        if host in self._tls_hosts:
            return True
        if self.redirect is not True:
            return False
        return self._forces_https or class_fragment.has_certificate(self.parts.context, self.parts.reader)
