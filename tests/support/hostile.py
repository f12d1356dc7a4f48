"""Certificates and keys that no honest tool makes: their DER is changed after they were signed."""

import base64
import datetime as dt
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa
from cryptography.x509.oid import NameOID

DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM
SHA256_RSA, SHA1_RSA, MD5_RSA = (bytes.fromhex(f'2a864886f70d0101{end}') for end in ('0b', '05', '04'))


@lru_cache(maxsize=16)
def key_of(kind):
    """Return a private key, the same one each time."""
    return {
        'ec': lambda: ec.generate_private_key(ec.SECP256R1()),
        'ec521': lambda: ec.generate_private_key(ec.SECP521R1()),
        'weak ec': lambda: ec.generate_private_key(ec.SECP192R1()),
        'rsa': lambda: rsa.generate_private_key(65537, 2048),
        'weak rsa': lambda: rsa.generate_private_key(65537, 1024),
        'ed25519': ed25519.Ed25519PrivateKey.generate,
        'ed448': ed448.Ed448PrivateKey.generate,
        'dsa': lambda: dsa.generate_private_key(2048),
    }[kind]()


@lru_cache(maxsize=64)
def certificate(kind='rsa', *, by='rsa', subject='leaf', issuer='root', pss=False, names=('a.example.com',)):
    """Return a certificate in DER; its last day is of the kind that has a year of four digits."""
    made = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key_of(kind).public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2136, 1, 1, tzinfo=dt.UTC))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    digest = None if by.startswith('ed') else hashes.SHA256()
    more = {'rsa_padding': padding.PSS(padding.MGF1(digest), padding.PSS.DIGEST_LENGTH)} if pss else {}
    return made.sign(key_of(by), digest, **more).public_bytes(DER)


def private(kind, form=serialization.PrivateFormat.PKCS8):
    """Return a private key in PEM."""
    return key_of(kind).private_bytes(PEM, form, serialization.NoEncryption())


def pem(label, der):
    """Return a block of PEM."""
    return b'-----BEGIN %b-----\n%b-----END %b-----\n' % (label, base64.encodebytes(der), label)


def block(der):
    """Return a certificate's block of PEM."""
    return pem(b'CERTIFICATE', der)


def exchanged(der, *pairs):
    """Return DER with texts exchanged for others of their length, which must be there."""
    for old, new in pairs:
        assert old in der
        assert len(old) == len(new)
        der = der.replace(old, new)
    return der


def value(tag, content):
    """Return a value in DER."""
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, 'big')
    return bytes((tag, 0x80 | len(length))) + length + content


def number(given):
    """Return an INTEGER in DER."""
    return value(2, given.to_bytes(given.bit_length() // 8 + 1, 'big'))


def sequence(*parts):
    """Return a SEQUENCE in DER."""
    return value(0x30, b''.join(parts))


def rsa_key(bits):
    """Return a private RSA key in PEM whose numbers are right, all but that p and q are prime."""
    p = (1 << (bits // 2 - 1)) | (1 << (bits // 2 - 2)) | 1
    q = p + 2
    n, e, d = p * q, 65537, pow(65537, -1, (p - 1) * (q - 1))
    numbers = (0, n, e, d, p, q, d % (p - 1), d % (q - 1), pow(q, -1, p))
    return pem(b'RSA PRIVATE KEY', sequence(*map(number, numbers)))


def dsa_key(bits):
    """Return a private DSA key in PEM, of which OpenSSL computes the public one when it is loaded."""
    p = (1 << bits) - 1
    algorithm = sequence(bytes.fromhex('06072a8648ce380401'), sequence(number(p), number(p), number(p - 2)))
    return pem(b'PRIVATE KEY', sequence(number(0), algorithm, value(4, number(p - 4))))


def with_public_key(der, spki):
    """Return a certificate with another public key, as DER."""
    there = x509.load_der_x509_certificate(der)
    old = there.public_key().public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    body = there.tbs_certificate_bytes
    head = 4 if body[1] == 0x82 else 3
    signature = der[der.index(body) + len(body) :]
    return value(0x30, value(0x30, body[head:].replace(old, spki)) + signature)


ODD = {
    'SHA-1 and a name of invalid UTF-8': lambda: exchanged(certificate(), (SHA256_RSA, SHA1_RSA), (b'leaf', b'\xff\xfe\xfd\xfc')),
    'MD5 and a name of invalid UTF-8': lambda: exchanged(certificate(), (SHA256_RSA, MD5_RSA), (b'leaf', b'\xff\xfe\xfd\xfc')),
    'SHA-1 and a name that is a BitString': lambda: exchanged(certificate(), (SHA256_RSA, SHA1_RSA), (b'\x0c\x04leaf', b'\x03\x04\x00eaf')),
    'the year 0': lambda: exchanged(certificate(), (b'21360101000000Z', b'00000101000000Z')),
}  # fmt: skip


def pss_public_key():
    """Return the public RSA key in DER, said to be one for RSA-PSS alone."""
    numbers = key_of('rsa').public_key().public_numbers()
    key = value(3, b'\0' + sequence(number(numbers.n), number(numbers.e)))
    return sequence(sequence(bytes.fromhex('06092a864886f70d01010a')), key)
