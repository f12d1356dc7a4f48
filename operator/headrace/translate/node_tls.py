"""TLS of a Service's own addresses, ended on the node: whose certificates are shown, and whether clients show one.

Promises: a port that asks for TLS and cannot have it gets no claim for its listener, and is closed: no client is served in the
clear, or sees the certificate of another port.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from headrace.annotations.parse import PREFIX
from headrace.annotations.settings import Exposure
from headrace.ir.backend import Mode
from headrace.ir.fragment import Claim, Kind
from headrace.ir.tls import HostTls
from headrace.names import Ref
from headrace.store import Reader
from headrace.translate import policies, tls_material
from headrace.translate.build_context import BuildContext
from headrace.translate.policies import Policy

# A listener has such a certificate as a placeholder, and HAProxy would show that one first.
_PLACEHOLDER_KIND = 'EdDSA'


@dataclass(slots=True)
class OwnTls:
    """The TLS of one port while it is put together. `key` gives an annotation's key as it was written for the port."""

    namespace: str
    exposed: Exposure
    key: Callable[[str], str]
    reader: Reader
    context: BuildContext
    say: tls_material.Say
    claims: list[Claim] = field(default_factory=list)

    def end(self, policy: Policy, mode: Mode) -> bool:
        """Let TLS be ended for a policy's port; return whether it can be."""
        certificates = self._certificates()
        authority, verify = '', 'none'
        if self.exposed.client_ca_secret is not None:
            authority = self._material(self.exposed.client_ca_secret, 'client-ca-secret', 'authorities')
            optional, verify = self.exposed.client_verify == 'optional', self.exposed.client_verify
            policy.add(policies.CLIENT_CERTIFICATE_OPTIONAL if optional else policies.CLIENT_CERTIFICATE)
        policy.add(policies.TLS)
        if not certificates or (self.exposed.client_ca_secret is not None and not authority):
            return False
        value = HostTls(certificates=certificates, client_ca=authority, verify=verify)
        where = f'metadata.annotations[{PREFIX}{self.key("tls-secret")}]'
        self.claims.append(Claim(Kind.LISTENER, f'{mode}/{policy.name}', value, where))
        return True

    def _certificates(self) -> tuple[str, ...]:
        """Return the files of the certificates, none where one of them cannot be used."""
        refs = [Ref('Secret', self.namespace, name) for name in self.exposed.tls_secret or ()]
        usable, duplicates = tls_material.of_each_kind(refs, self.reader)
        for ref, kind in duplicates:
            message = f'{ref} has a {kind} key, and so has one before it, which counts'
            self.say('ContradictoryKeys', self.key('tls-secret'), message)
        files = [self._certificate(ref) for ref in usable]
        return tuple(sorted(files)) if all(files) else ()

    def _certificate(self, ref: Ref) -> str:
        secret = self.reader.secret(ref)
        if secret is not None and secret.certificate is not None and secret.certificate.key == _PLACEHOLDER_KIND:
            message = f"{ref}: at a Service's own address keys are RSA or ECDSA, and this one is Ed25519 or Ed448"
            self.say('CertificateUnusable', self.key('tls-secret'), message)
            return ''
        return self._material(ref.name, 'tls-secret', 'certificate')

    def _material(self, name: str, key: str, kind: str) -> str:
        """Claim the file with a Secret's material; return its name, '' if there is none."""
        ref = Ref('Secret', self.namespace, name)
        claim = tls_material.claim(ref, self.key(key), kind, self.reader, self.context, self.say)
        self.claims += [claim] if claim else []
        return claim.key if claim else ''
