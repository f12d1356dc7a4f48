"""Stand-ins for certificates that are not in the input, so that a configuration can be checked offline.

A stand-in is made from its name alone (Ed25519, whose signatures are deterministic), so the same input gives the same
bytes. No client trusts it, and in a cluster it stands only where a listener has no certificate.
"""

import datetime as dt
import hashlib
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from headrace.names import Ref

# The name of its file.
NAME = 'nobody'
_FROM = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_UNTIL = dt.datetime(2126, 1, 1, tzinfo=dt.UTC)


def placeholder() -> bytes:
    """Return the PEM of the certificate of a listener that is not in use: HAProxy opens none without one."""
    return certificate(Ref('Secret', '', NAME))[0]


def placeholder_serial() -> str:
    """Return the serial number of that certificate, as HAProxy writes it in hex digits."""
    serial = x509.load_pem_x509_certificate(placeholder()).serial_number
    return serial.to_bytes((serial.bit_length() + 7) // 8).hex().upper()


@lru_cache(maxsize=1024)
def certificate(secret: Ref) -> tuple[bytes, bytes]:
    """Return the PEM of a stand-in certificate with its key, and of the certificate alone."""
    seed = hashlib.sha256(f'headrace stand-in {secret}'.encode()).digest()
    key = Ed25519PrivateKey.from_private_bytes(seed)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, 'headrace stand-in')])
    placeholder_certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(seed[:8]) | 1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, None)
    )
    pem = placeholder_certificate.public_bytes(serialization.Encoding.PEM)
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return pem + key.private_bytes(serialization.Encoding.PEM, form, encryption), pem
