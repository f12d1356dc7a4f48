"""Parsing certificates, private keys and authorities from PEM, with bounds on what each may cost.

HAProxy refuses a whole configuration for one bad certificate, so everything is judged here first: the PEM parses, the
key fits the certificate, and both are strong enough for OpenSSL's security level 2. Parsing holds Python's lock, so no
thread helps against a key that OpenSSL works on for minutes: size and kind of a key are known before it is loaded.
"""

import base64
import re
from collections.abc import Iterator
from contextlib import contextmanager

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import PublicKeyAlgorithmOID

from headrace.objects.kinds import Certificate
from headrace.settings.secret_keys import Secrets

_MIN_EC_BITS = 224
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_CERTIFICATE = b'-----BEGIN CERTIFICATE-----'
_PRIVATE_KEY = re.compile(
    rb'-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----([A-Za-z0-9+/=\s]*)-----END \1-----',
)
# The beginning of PKCS #8: a sequence of the version, and of a sequence that begins with the algorithm's identifier.
_LENGTH = rb'(?:[\x00-\x7f]|\x81.|\x82..|\x83...)'
_PKCS8 = re.compile(rb'\x30%b\x02\x01[\x00\x01]\x30%b\x06([\x01-\x7f])' % (_LENGTH, _LENGTH), re.DOTALL)
_KEYS = {
    bytes.fromhex('2a864886f70d010101'): PublicKeyAlgorithmOID.RSAES_PKCS1_v1_5,
    bytes.fromhex('2a8648ce3d0201'): PublicKeyAlgorithmOID.EC_PUBLIC_KEY,
    bytes.fromhex('2b6570'): PublicKeyAlgorithmOID.ED25519,
    bytes.fromhex('2b6571'): PublicKeyAlgorithmOID.ED448,
}
_KINDS = 'neither RSA nor EC nor Ed25519'
# What the text of a name can be for OpenSSL (B_ASN1_PRINTABLE); the library takes other types too.
_NAME_TAGS = frozenset(b'\x03\x0c\x12\x13\x14\x16\x1c\x1e')
# OpenSSL refuses larger exponents of large keys.
_MAX_EXPONENT_BITS = 64
# How much longer than half of the modulus a prime may be.
_UNEVEN_BITS = 64

_PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
_PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey


class UnusableError(Exception):
    """Material of a Secret cannot be used; the message says why, without its content."""


@contextmanager
def _parsing(problem: str) -> Iterator[None]:
    """Make UnusableError of what the library raises for material that is not as it should be."""
    try:
        yield
    except (
        ValueError, TypeError, OverflowError, UnsupportedAlgorithm, InternalError,
        x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
    ) as error:  # fmt: skip
        raise UnusableError(problem) from error


def pair(certificates: bytes, private: bytes, limits: Secrets) -> Certificate:
    """Return `tls.crt` and `tls.key` as one PEM that is written anew, the leaf first; raises UnusableError."""
    chain = _load(certificates, 'tls.crt', limits, limits.max_pem_bytes)
    key = _private_key(private, limits)
    if _spki(key.public_key()) != _spki(chain[0].public_key()):
        raise UnusableError('tls.key does not belong to the first certificate of tls.crt')
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return Certificate(
        pem=b''.join([*map(_pem, chain), pem]),
        not_after=chain[0].not_valid_after_utc.isoformat(),
        names=_alternative_names(chain[0]),
        key=_kind(key),
    )


def authorities(certificates: bytes, limits: Secrets) -> bytes:
    """Return the certificates of `ca.crt` as PEM that is written anew; raises UnusableError."""
    if (count := certificates.count(_CERTIFICATE)) > limits.max_ca_certificates:
        raise UnusableError(f'ca.crt holds {count} certificates; {limits.max_ca_certificates} is the most')
    return b''.join(map(_pem, _load(certificates, 'ca.crt', limits, limits.max_ca_bytes)))


def _load(pem: bytes, field: str, limits: Secrets, size: int) -> list[x509.Certificate]:
    """Return the certificates of a PEM text of at most so many bytes."""
    if len(pem) > size:
        raise UnusableError(f'{field} has {len(pem)} bytes; {size} is the most')
    with _parsing(f'{field} holds no PEM certificate that parses'):
        found = x509.load_pem_x509_certificates(pem)
    for certificate in found:
        _judge_strength(certificate, field, limits)
    return found


def _judge_strength(certificate: x509.Certificate, field: str, limits: Secrets) -> None:
    """Raise for what OpenSSL refuses at security level 2, which is what HAProxy is built with."""
    with _parsing(f'{field} has a key or signature of an unknown algorithm'):
        kind = certificate.public_key_algorithm_oid
        if kind not in _KEYS.values():
            raise UnusableError(f'{field} has a key that is {_KINDS}')
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    _judge_key(key, field, limits)
    # The library parses these when they are asked for, and OpenSSL refuses a file in which one is wrong.
    with _parsing(f'{field} has a name that does not parse'):
        issued_by_itself = certificate.issuer == certificate.subject
        tags = {_tag(each) for name in (certificate.issuer, certificate.subject) for each in name}
    if not tags <= _NAME_TAGS:
        raise UnusableError(f'{field} has a name whose text is of a type that OpenSSL refuses')
    with _parsing(f'{field} has a date that does not parse'):
        _ = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if isinstance(digest, _WEAK_HASHES) and not issued_by_itself:
        raise UnusableError(f'{field} is signed with {digest.name}, which clients and OpenSSL refuse')


def _tag(attribute: x509.NameAttribute[str | bytes]) -> int:
    """Return the ASN.1 tag of an attribute's text."""
    der = x509.Name([attribute]).public_bytes()
    place = 0
    # The name, its one set and the attribute begin with a tag and a length; then comes the identifier.
    for _ in range(3):
        place += 2 + (der[place + 1] & 0x7F) * (der[place + 1] >> 7)
    return der[place + 2 + der[place + 1]]


def _judge_key(key: object, field: str, limits: Secrets) -> None:
    """Raise for a key of another size than may be used."""
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < limits.min_rsa_bits:
            raise UnusableError(f'{field} has an RSA key of {key.key_size} bits; {limits.min_rsa_bits} is the least')
        if key.key_size > limits.max_rsa_bits:
            raise UnusableError(f'{field} has an RSA key of {key.key_size} bits; {limits.max_rsa_bits} is the most')
    elif isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _MIN_EC_BITS:
        raise UnusableError(f'{field} has an EC key of {key.curve.key_size} bits; {_MIN_EC_BITS} is the least')


def _private_key(pem: bytes, limits: Secrets) -> _PrivateKey:
    """Return the first private key of a PEM text; it is loaded only when its kind is one that costs little to load."""
    if len(pem) > limits.max_pem_bytes:
        raise UnusableError(f'tls.key has {len(pem)} bytes; {limits.max_pem_bytes} is the most')
    problem = 'tls.key holds no unencrypted PEM key that parses'
    found = _PRIVATE_KEY.search(pem)
    if found is None:
        raise UnusableError(problem)
    label, text = found.groups()
    with _parsing(problem):
        der = base64.b64decode(b''.join(text.split()), validate=True)
    if label == b'PRIVATE KEY' and _algorithm(der) not in _KEYS:
        raise UnusableError(f'tls.key is {_KINDS}, or does not parse')
    with _parsing(problem):
        # OpenSSL's proof that an RSA key's primes are prime takes 4 s for 8,192 bits, and minutes for a hostile key.
        key = load_pem_private_key(_block(label, der), password=None, unsafe_skip_rsa_key_validation=True)
        _judge_key(key.public_key(), 'tls.key', limits)
        if isinstance(key, rsa.RSAPrivateKey) and not _fits_together(key.private_numbers()):
            raise UnusableError(problem)
    if not isinstance(key, _PrivateKey):  # pragma: no cover  what _judge_key has refused
        raise UnusableError(f'tls.key is {_KINDS}')
    return key


def _algorithm(der: bytes) -> bytes:
    """Return the identifier of the algorithm of a PKCS #8 key, b'' when there is none where it should be."""
    found = _PKCS8.match(der)
    return der[found.end() : found.end() + found[1][0]] if found else b''


def _block(label: bytes, der: bytes) -> bytes:
    """Return a PEM block, so that the library reads no more of a text than was judged."""
    return b'-----BEGIN %b-----\n%b-----END %b-----\n' % (label, base64.encodebytes(der), label)


def _fits_together(key: rsa.RSAPrivateNumbers) -> bool:
    """Tell whether the numbers of an RSA key belong together, and cost no more to use than those of any other.

    Whether p and q are prime is the business of who made the key: if they are not, only its signatures are wrong.
    """
    n, e = key.public_numbers.n, key.public_numbers.e
    p, q = key.p, key.q
    most = n.bit_length() // 2 + _UNEVEN_BITS
    return (
        e.bit_length() <= _MAX_EXPONENT_BITS
        and key.d < n
        and all(prime % 2 and 1 < prime.bit_length() <= most for prime in (p, q))
        and p * q == n
        and all(key.d * e % (prime - 1) == 1 for prime in (p, q))
        and (key.dmp1, key.dmq1) == (key.d % (p - 1), key.d % (q - 1))
        and key.iqmp < p
        and key.iqmp * q % p == 1
    )


def _kind(key: _PrivateKey) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return 'RSA'
    return 'ECDSA' if isinstance(key, ec.EllipticCurvePrivateKey) else 'EdDSA'


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _spki(key: object) -> bytes:
    """Return a public key's canonical bytes, to compare two of them."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form)  # type: ignore[attr-defined, no-any-return]


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names that a certificate is for; a broken extension counts as none."""
    try:
        with _parsing('extensions that do not parse'):
            extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
            return tuple(sorted(extension.value.get_values_for_type(x509.DNSName)))
    except (x509.ExtensionNotFound, UnusableError):
        return ()
