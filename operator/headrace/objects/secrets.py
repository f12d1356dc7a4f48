"""Reading Secrets: certificates, authorities and users, parsed whole and written anew.

What HAProxy gets is serialised from the parsed values; no byte of a Secret passes through unread. Certificates and keys
are judged in `certificates`.
"""

import base64
import binascii
import re

from headrace.diagnostics import shorten
from headrace.objects import certificates, fields
from headrace.objects.certificates import UnusableError
from headrace.objects.kinds import Certificate, Secret, User
from headrace.settings.secret_keys import Secrets

_SHA1 = re.compile(r'\{SHA\}([A-Za-z0-9+/]{27}=)')
_SALTED = r'(?:rounds=(?P<rounds>[1-9][0-9]{3,8})\$)?[./A-Za-z0-9]{1,16}\$[./A-Za-z0-9]'
_BCRYPT = re.compile(r'\$2[aby]\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}')
_SHA_CRYPT = re.compile(rf'\$5\${_SALTED}{{43}}|\$6\${_SALTED.replace("rounds>", "more>")}{{86}}')
_APR1 = re.compile(r'\$apr1\$[./A-Za-z0-9]{1,8}\$[./A-Za-z0-9]{22}')
# HAProxy hashes in the thread that serves other clients too, and its watchdog ends a process that hashes for a second.
_LEAST_COST, _MOST_COST = 4, 10
_MOST_ROUNDS = 100_000
# Each is hashed once when HAProxy judges or loads the configuration.
_MOST_CRYPT = 50
# What crypt(3) has made since 1979; a clear password of just this form cannot be told from it.
_DES = re.compile(r'[./A-Za-z0-9]{13}')
DEFAULT_LIMITS = Secrets()
_TLS = 'kubernetes.io/tls'
_LINE_BREAKS = {ord('\r'): None, ord('\n'): None}
_USER = re.compile(r'[^\x00-\x1f\x7f:]{1,255}')
_PASSWORD = re.compile(r'[^\x00-\x1f\x7f]{1,1024}')


def read(namespace: str, name: str, document: fields.Document, limits: Secrets = DEFAULT_LIMITS) -> Secret:
    """Return the Secret with all material it holds; what cannot be used has its problem in words, without content."""
    data, broken = _decode(document)
    certificate: Certificate | None = None
    authorities = b''
    users: tuple[User, ...] = ()
    named_users: tuple[User, ...] = ()
    problems = {'tls': broken, 'ca': broken, 'users': broken, 'named_users': broken}
    try:
        certificate = _certificate(data, fields.text(document, 'type', 'Opaque'), limits)
        problems['tls'] = ''
    except UnusableError as error:
        problems['tls'] = broken or str(error)
    try:
        authorities = _authorities(data, limits)
        problems['ca'] = ''
    except UnusableError as error:
        problems['ca'] = broken or str(error)
    try:
        users = _users(data, limits)
        problems['users'] = ''
    except UnusableError as error:
        problems['users'] = broken or str(error)
    try:
        named_users = _named_users(data, limits)
        problems['named_users'] = ''
    except UnusableError as error:
        problems['named_users'] = broken or str(error)
    return Secret(
        namespace=namespace,
        name=name,
        certificate=certificate,
        certificate_problem=problems['tls'],
        authorities=authorities,
        authorities_problem=problems['ca'],
        users=users,
        users_problem=problems['users'],
        named_users=named_users,
        named_users_problem=problems['named_users'],
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


def _certificate(data: dict[str, bytes], kind: str, limits: Secrets) -> Certificate:
    """Return what `tls.crt` and `tls.key` hold."""
    if kind != _TLS:
        raise UnusableError(f'its type is {shorten(kind)}, and not {_TLS}')
    if 'tls.crt' not in data or 'tls.key' not in data:
        raise UnusableError('tls.crt or tls.key is missing')
    return certificates.pair(data['tls.crt'], data['tls.key'], limits)


def _authorities(data: dict[str, bytes], limits: Secrets) -> bytes:
    """Return the certificates of `ca.crt` as PEM."""
    if 'ca.crt' not in data:
        raise UnusableError('ca.crt is missing')
    return certificates.authorities(data['ca.crt'], limits)


def _users(data: dict[str, bytes], limits: Secrets) -> tuple[User, ...]:
    """Return the users of a `kubernetes.io/basic-auth` Secret, or of htpasswd lines under `auth`."""
    if 'auth' in data:
        if (size := len(data['auth'])) > limits.max_htpasswd_bytes:
            raise UnusableError(f'auth has {size} bytes; {limits.max_htpasswd_bytes} is the most')
        lines = data['auth'].decode(errors='replace').splitlines()
        entries = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith('#')]
        if len(entries) > limits.max_htpasswd_users:
            raise UnusableError(f'auth holds {len(entries)} users; {limits.max_htpasswd_users} is the most')
        users = tuple(sorted({_htpasswd(line) for line in entries}, key=lambda user: (user.name, user.secret)))
        if not users:
            raise UnusableError('auth holds no htpasswd line')
        _judge_crypt([user.name for user in users if user.scheme == 'crypt'])
        apr1_names = [user.name for user in users if user.scheme == 'apr1']
        if len(apr1_names) > len(set(apr1_names)):
            raise UnusableError('auth holds two $apr1$ hashes of one user')
        return users
    name, password = (
        data.get('username', b'').decode(errors='replace'),
        data.get('password', b'').decode(errors='replace'),
    )
    if not _USER.fullmatch(name) or not _PASSWORD.fullmatch(password):
        raise UnusableError('username or password is missing, or holds control characters')
    return (User(name=name, scheme='clear', secret=password),)


def _named_users(data: dict[str, bytes], limits: Secrets) -> tuple[User, ...]:
    """Return the users of a Secret that has the hash of a password under each key; passwords themselves are not kept."""
    if not data:
        raise UnusableError('it holds no user')
    if len(data) > limits.max_htpasswd_users:
        raise UnusableError(f'it holds {len(data)} users; {limits.max_htpasswd_users} is the most')
    if (size := sum(map(len, data.values()))) > limits.max_htpasswd_bytes:
        raise UnusableError(f'its values have {size} bytes; {limits.max_htpasswd_bytes} is the most')
    users = []
    for name, value in sorted(data.items()):
        secret = value.decode(errors='replace').strip()
        if not secret.startswith(('{SHA}', '$')):
            raise UnusableError('it holds a value that is no hash of a password')
        users.append(_htpasswd(f'{name}:{secret}'))
    _judge_crypt([user.name for user in users if user.scheme == 'crypt'])
    return tuple(users)


def _htpasswd(line: str) -> User:
    """Return the user of one htpasswd line."""
    name, _, secret = line.partition(':')
    if not _USER.fullmatch(name) or not secret:
        raise UnusableError('auth holds a line that is not `user:hash`')
    if match := _SHA1.fullmatch(secret):
        return User(name=name, scheme='sha1', secret=match[1])
    if secret.startswith(('$2a$', '$2b$', '$2y$', '$5$', '$6$')):
        _judge_work(secret)
        return User(name=name, scheme='crypt', secret=secret)
    if secret.startswith('$apr1$'):
        if not _APR1.fullmatch(secret):
            raise UnusableError('auth holds an $apr1$ hash that is not whole')
        return User(name=name, scheme='apr1', secret=secret)
    if _DES.fullmatch(secret):
        raise UnusableError(
            'auth holds a line that reads as a DES hash, which is not supported; use {SHA}, or another password'
        )
    if secret.startswith(('{', '$')) or not _PASSWORD.fullmatch(secret):
        raise UnusableError('auth holds a hash of an unknown kind')
    return User(name=name, scheme='clear', secret=secret)


def _judge_work(secret: str) -> None:
    """Raise for a text that is not a crypt hash, and for a hash that takes longer than a request may."""
    if match := _BCRYPT.fullmatch(secret):
        if not _LEAST_COST <= int(match['cost']) <= _MOST_COST:
            raise UnusableError(f'auth holds a bcrypt hash of cost {match["cost"]}; {_MOST_COST} is the most')
    elif match := _SHA_CRYPT.fullmatch(secret):
        if int(match['rounds'] or match['more'] or 0) > _MOST_ROUNDS:
            raise UnusableError(f'auth holds a hash of more than {_MOST_ROUNDS} rounds')
    else:
        raise UnusableError('auth holds a crypt hash that is not whole')


def _judge_crypt(names: list[str]) -> None:
    """Raise for more crypt hashes than one Secret may cost, and for two of one user: only one of them would count."""
    if len(names) > _MOST_CRYPT:
        raise UnusableError(f'auth holds {len(names)} crypt hashes; {_MOST_CRYPT} is the most')
    if len(names) > len(set(names)):
        raise UnusableError('auth holds two crypt hashes of one user')
