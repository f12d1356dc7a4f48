"""Reading Secrets: certificates, authorities and users, parsed whole and written anew.

HAProxy refuses a whole configuration for one bad certificate, so everything is judged here first: the PEM parses, the
key fits the certificate, and both are strong enough for OpenSSL's security level 2. What HAProxy gets is serialised
from the parsed values; no byte of a Secret passes through unread.
"""

import base64
import binascii
import re

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from headrace.cluster import fields
from headrace.cluster.objects import Certificate, Secret, User
from headrace.verdicts import shorten

_MIN_RSA_BITS = 2048
_MIN_EC_BITS = 224
_WEAK_HASHES = (hashes.MD5, hashes.SHA1)
_SHA1 = re.compile(r'\{SHA\}([A-Za-z0-9+/]{27}=)')
_SALTED = r'(?:rounds=(?P<rounds>[1-9][0-9]{3,8})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]'
_BCRYPT = re.compile(r'\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}')
_SHA_CRYPT = re.compile(rf'\$5\${_SALTED}{{43}}|\$6\${_SALTED.replace("rounds>", "more>")}{{86}}')
# HAProxy hashes in the thread that serves everybody else, and its watchdog ends a process that hashes for a second.
_LEAST_COST, _MOST_COST = 4, 10
_MOST_ROUNDS = 100_000
# Each is hashed once when HAProxy judges or loads the configuration.
_MOST_CRYPT = 50
# What crypt(3) has made since 1979; a clear password of just this form cannot be told from it.
_DES = re.compile(r'[./A-Za-z0-9]{13}')
_TLS = 'kubernetes.io/tls'
_LINE_BREAKS = {ord('\r'): None, ord('\n'): None}
_USER = re.compile(r'[^\x00-\x1f\x7f:]{1,255}')
_PASSWORD = re.compile(r'[^\x00-\x1f\x7f]{1,1024}')


class _UnusableError(Exception):
    """Internal: why a piece of material cannot be used; never leaves this module."""


def read(namespace: str, name: str, document: fields.Document) -> Secret:
    """Return the Secret with all material it holds; what cannot be used has its problem in words, without content."""
    data, broken = _decode(document)
    certificate: Certificate | None = None
    authorities = b''
    users: tuple[User, ...] = ()
    problems = {'tls': broken, 'ca': broken, 'users': broken}
    try:
        certificate = _certificate(data, fields.text(document, 'type', 'Opaque'))
        problems['tls'] = ''
    except _UnusableError as error:
        problems['tls'] = broken or str(error)
    try:
        authorities = _authorities(data)
        problems['ca'] = ''
    except _UnusableError as error:
        problems['ca'] = broken or str(error)
    try:
        users = _users(data)
        problems['users'] = ''
    except _UnusableError as error:
        problems['users'] = broken or str(error)
    return Secret(
        namespace=namespace,
        name=name,
        certificate=certificate,
        certificate_problem=problems['tls'],
        authorities=authorities,
        authorities_problem=problems['ca'],
        users=users,
        users_problem=problems['users'],
    )


def _decode(document: fields.Document) -> tuple[dict[str, bytes], str]:
    """Return the decoded data (stringData wins, as in the API), and a problem when some of it is not base64."""
    data: dict[str, bytes] = {}
    problem = ''
    for key, value in fields.mapping(document, 'data').items():
        try:
            # Line breaks are passed over, as the API does: files often hold base64 in several lines.
            data[str(key)] = base64.b64decode(_text(value).translate(_LINE_BREAKS), validate=True)
        except (binascii.Error, ValueError):
            problem = f'data[{shorten(key)}] is not base64'
    for key, value in fields.mapping(document, 'stringData').items():
        if isinstance(key, str) and isinstance(value, str):
            data[key] = value.encode(errors='replace')
    return data, problem


def _text(value: object) -> str:
    """Return a value of `data`; null is empty, and what is no text is no base64 either."""
    if value is None or isinstance(value, str):
        return value or ''
    raise ValueError('not a text')


def _load(pem: bytes, field: str) -> list[x509.Certificate]:
    """Return the certificates of a PEM text."""
    try:
        found = x509.load_pem_x509_certificates(pem)
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise _UnusableError(f'{field} holds no PEM certificate that parses') from error
    for certificate in found:
        _judge_strength(certificate, field)
    return found


def _judge_strength(certificate: x509.Certificate, field: str) -> None:
    """Raise for what OpenSSL refuses at security level 2, which is what HAProxy is built with."""
    try:
        key = certificate.public_key()
        digest = certificate.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _UnusableError(f'{field} has a key or signature of an unknown algorithm') from error
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < _MIN_RSA_BITS:
        raise _UnusableError(f'{field} has an RSA key of {key.key_size} bits; {_MIN_RSA_BITS} is the least')
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size < _MIN_EC_BITS:
        raise _UnusableError(f'{field} has an EC key of {key.curve.key_size} bits; {_MIN_EC_BITS} is the least')
    if not isinstance(
        key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | ed448.Ed448PublicKey
    ):
        raise _UnusableError(f'{field} has a key that is neither RSA nor EC nor Ed25519')
    if isinstance(digest, _WEAK_HASHES) and certificate.issuer != certificate.subject:
        raise _UnusableError(f'{field} is signed with {digest.name}, which clients and OpenSSL refuse')


def _certificate(data: dict[str, bytes], kind: str) -> Certificate:
    """Return `tls.crt` and `tls.key` as one PEM, the leaf first."""
    if kind != _TLS:
        raise _UnusableError(f'its type is {shorten(kind)}, and not {_TLS}')
    if 'tls.crt' not in data or 'tls.key' not in data:
        raise _UnusableError('tls.crt or tls.key is missing')
    chain = _load(data['tls.crt'], 'tls.crt')
    try:
        key = load_pem_private_key(data['tls.key'], password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _UnusableError('tls.key holds no unencrypted PEM key that parses') from error
    if _public(key.public_key()) != _public(chain[0].public_key()):
        raise _UnusableError('tls.key does not belong to the first certificate of tls.crt')
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    blocks = [certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain]
    return Certificate(
        pem=b''.join([*blocks, pem]),
        not_after=chain[0].not_valid_after_utc.isoformat(),
        names=_alternative_names(chain[0]),
        key=_kind(key),
    )


def _kind(key: object) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return 'RSA'
    return 'ECDSA' if isinstance(key, ec.EllipticCurvePrivateKey) else 'EdDSA'


def _public(key: object) -> bytes:
    """Return a public key's canonical bytes, to compare two of them."""
    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_bytes(encoding, form)  # type: ignore[attr-defined, no-any-return]


def _alternative_names(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the DNS names that a certificate is for; a broken extension counts as none."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return ()
    return tuple(sorted(extension.value.get_values_for_type(x509.DNSName)))


def _authorities(data: dict[str, bytes]) -> bytes:
    """Return the certificates of `ca.crt` as PEM."""
    if 'ca.crt' not in data:
        raise _UnusableError('ca.crt is missing')
    chain = _load(data['ca.crt'], 'ca.crt')
    return b''.join(certificate.public_bytes(serialization.Encoding.PEM) for certificate in chain)


def _users(data: dict[str, bytes]) -> tuple[User, ...]:
    """Return the users of a `kubernetes.io/basic-auth` Secret, or of htpasswd lines under `auth`."""
    if 'auth' in data:
        lines = data['auth'].decode(errors='replace').splitlines()
        wanted = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith('#')]
        users = tuple(sorted({_htpasswd(line) for line in wanted}, key=lambda user: (user.name, user.secret)))
        if not users:
            raise _UnusableError('auth holds no htpasswd line')
        _judge_crypt([user.name for user in users if user.scheme == 'crypt'])
        return users
    name, password = (
        data.get('username', b'').decode(errors='replace'),
        data.get('password', b'').decode(errors='replace'),
    )
    if not _USER.fullmatch(name) or not _PASSWORD.fullmatch(password):
        raise _UnusableError('username or password is missing, or holds control characters')
    return (User(name=name, scheme='clear', secret=password),)


def _htpasswd(line: str) -> User:
    """Return the user of one htpasswd line."""
    name, _, secret = line.partition(':')
    if not _USER.fullmatch(name) or not secret:
        raise _UnusableError('auth holds a line that is not `user:hash`')
    if found := _SHA1.fullmatch(secret):
        return User(name=name, scheme='sha1', secret=found[1])
    if secret.startswith(('$2a$', '$2b$', '$2y$', '$5$', '$6$')):
        _judge_work(secret)
        return User(name=name, scheme='crypt', secret=secret)
    if secret.startswith('$apr1$'):
        raise _UnusableError('auth holds an $apr1$ hash, which HAProxy does not know; use {SHA} or $2y$')
    if _DES.fullmatch(secret):
        raise _UnusableError(
            'auth holds a line that reads as a DES hash, which is not supported; use {SHA}, or another password'
        )
    if secret.startswith(('{', '$')) or not _PASSWORD.fullmatch(secret):
        raise _UnusableError('auth holds a hash of an unknown kind')
    return User(name=name, scheme='clear', secret=secret)


def _judge_work(secret: str) -> None:
    """Raise for a crypt hash that is none, or that takes longer than a request may."""
    if found := _BCRYPT.fullmatch(secret):
        if not _LEAST_COST <= int(found['cost']) <= _MOST_COST:
            raise _UnusableError(f'auth holds a bcrypt hash of cost {found["cost"]}; {_MOST_COST} is the most')
    elif found := _SHA_CRYPT.fullmatch(secret):
        if int(found['rounds'] or found['more'] or 0) > _MOST_ROUNDS:
            raise _UnusableError(f'auth holds a hash of more than {_MOST_ROUNDS} rounds')
    else:
        raise _UnusableError('auth holds a crypt hash that is not whole')


def _judge_crypt(names: list[str]) -> None:
    """Raise for more crypt hashes than one Secret may cost, and for two of one user: only one of them would count."""
    if len(names) > _MOST_CRYPT:
        raise _UnusableError(f'auth holds {len(names)} crypt hashes; {_MOST_CRYPT} is the most')
    if len(names) > len(set(names)):
        raise _UnusableError('auth holds two crypt hashes of one user')
