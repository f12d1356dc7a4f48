"""Certificates for names, as a client that looks at them needs."""

import datetime as dt
import ssl
import tempfile
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from support.objects import secret


def for_names(*names, kind='ECDSA'):
    """Return a key (of kind ECDSA or RSA) and a self-signed certificate for these names, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1()) if kind == 'ECDSA' else rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(each) for each in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private, made.public_bytes(serialization.Encoding.PEM)


def tls_secret(name, key, certificate):
    """Return a Secret with a certificate and its key."""
    return {**secret(name, tls_crt=certificate.decode(), tls_key=key.decode()), 'type': 'kubernetes.io/tls'}


def server_context(key, certificate):
    """Return a context for servers that show a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile(suffix='.pem') as file:
        Path(file.name).write_bytes(key + certificate)
        context.load_cert_chain(file.name)
    return context
