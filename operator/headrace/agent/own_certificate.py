"""The certificate by which the agent serves pages to those who show a token: made at the start, and signed by itself.

It protects the token from those who only listen. The API server's proxy to pods verifies no certificate, as with kubelets
and pods in general; its way to the pod has to be trusted as for them.
"""

import datetime as dt
import ssl

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from headrace.kube.access import load_certificate

_LASTS = dt.timedelta(days=3650)
_BEFORE = dt.timedelta(hours=1)


def context(name: str) -> ssl.SSLContext:
    """Return what a server of this name shows to its clients; the key is in memory alone."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'headrace')])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - _BEFORE)
        .not_valid_after(now + _LASTS)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    load_certificate(
        tls,
        certificate.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return tls
