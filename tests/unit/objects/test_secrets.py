"""Secrets: what is read of them, and why the rest cannot be used, in words without content."""

import base64
import datetime as dt
from functools import lru_cache

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from headrace.objects import parse, secrets
from headrace.objects.kinds import User

PEM = serialization.Encoding.PEM
FORM = serialization.PrivateFormat.PKCS8


@lru_cache(maxsize=8)
def key_of(kind):
    return {
        'ec': lambda: ec.generate_private_key(ec.SECP256R1()),
        'ec again': lambda: ec.generate_private_key(ec.SECP256R1()),
        'weak ec': lambda: ec.generate_private_key(ec.SECP192R1()),
        'rsa': lambda: rsa.generate_private_key(65537, 2048),
        'weak rsa': lambda: rsa.generate_private_key(65537, 1024),
        'ed25519': ed25519.Ed25519PrivateKey.generate,
        'dsa': lambda: dsa.generate_private_key(2048),
    }[kind]()


def key_pem(kind, password=b''):
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key_of(kind).private_bytes(PEM, FORM, encryption).decode()


def named(text):
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@lru_cache(maxsize=32)
def certificate(kind='ec', *, by='ec', issuer='root', subject='leaf', names=(), broken=False):
    """Return the PEM of a certificate."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(subject))
        .issuer_name(named(issuer))
        .public_key(key_of(kind).public_key())
        .serial_number(7)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2036, 1, 1, tzinfo=dt.UTC))
    )
    if names:
        alternative = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
        builder = builder.add_extension(alternative, critical=False)
    if broken:
        extension = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b'nonsense')
        builder = builder.add_extension(extension, critical=False)
    made = builder.sign(key_of(by), None if by == 'ed25519' else hashes.SHA256())
    return made.public_bytes(PEM).decode()


def exchanged(pem, old, new):
    """Return a certificate with other object identifiers; its signature is wrong then, but not verified."""
    der = x509.load_pem_x509_certificate(pem.encode()).public_bytes(serialization.Encoding.DER)
    assert bytes.fromhex(old) in der
    text = base64.encodebytes(der.replace(bytes.fromhex(old), bytes.fromhex(new))).decode()
    return f'-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n'


def with_sha1(pem):
    """Return a certificate that says it is signed by RSA with SHA-1 instead of SHA-256."""
    return exchanged(pem, '2a864886f70d01010b', '2a864886f70d010105')


def with_unknown_curve(pem):
    return exchanged(pem, '2a8648ce3d030107', '2a8648ce3d03017f')


def read(data=None, strings=None, kind='kubernetes.io/tls'):
    metadata = {'name': 's', 'namespace': 'shop'}
    document = {'apiVersion': 'v1', 'kind': 'Secret', 'type': kind, 'metadata': metadata}
    if data is not None:
        document['data'] = data
    if strings is not None:
        document['stringData'] = strings
    return parse.read(document).object


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def tls(crt, key):
    return read(strings={'tls.crt': crt, 'tls.key': key})


# --- certificates -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('kind', ['ec', 'rsa', 'ed25519'])
def test_a_certificate_and_its_key_are_written_anew_the_leaf_first(kind):
    leaf, root = certificate(kind, names=('b.example.com', 'a.example.com')), certificate(subject='root')
    held = tls(f'subject=/CN=leaf\n{leaf}\ntext between\n{root}', f'Bag Attributes\n{key_pem(kind)}')
    assert held.certificate_problem == ''
    assert held.certificate.pem.decode() == leaf + root + key_pem(kind)
    assert held.certificate.names == ('a.example.com', 'b.example.com')
    assert held.certificate.not_after == '2036-01-01T00:00:00+00:00'


def test_a_certificate_may_be_for_no_names_or_have_an_extension_that_is_broken():
    assert tls(certificate(), key_pem('ec')).certificate.names == ()
    assert tls(certificate(broken=True), key_pem('ec')).certificate.names == ()


def test_data_is_base64_in_one_line_or_several():
    text = encoded(certificate())
    folded = '\r\n'.join(text[start : start + 64] for start in range(0, len(text), 64)) + '\n'
    held = read({'tls.crt': folded, 'tls.key': encoded(key_pem('ec'))})
    assert held.certificate_problem == ''


def test_string_data_counts_before_data_as_in_the_api():
    held = read(
        {'tls.crt': encoded('nonsense'), 'tls.key': '%%%'}, {'tls.crt': certificate(), 'tls.key': key_pem('ec')}
    )
    assert held.certificate_problem == ''


# Material that cannot be used as a certificate, and words that the problem holds.
UNUSABLE = [
    pytest.param({}, 'tls.crt or tls.key is missing', id='empty'),
    pytest.param({'tls.crt': 'CERTIFICATE'}, 'tls.crt or tls.key is missing', id='no key'),
    pytest.param({'tls.crt': '', 'tls.key': 'KEY'}, 'tls.crt holds no PEM', id='an empty certificate'),
    pytest.param({'tls.crt': 'nonsense', 'tls.key': 'KEY'}, 'tls.crt holds no PEM', id='nonsense'),
    pytest.param({'tls.crt': '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'tls.key': 'KEY'}, 'tls.crt holds no PEM', id='PEM of nonsense'),
    pytest.param({'tls.crt': 'KEY', 'tls.key': 'KEY'}, 'tls.crt holds no PEM', id='a key for a certificate'),
    pytest.param({'tls.crt': 'CERTIFICATE', 'tls.key': 'nonsense'}, 'tls.key holds no unencrypted PEM key', id='nonsense for a key'),
    pytest.param({'tls.crt': 'CERTIFICATE', 'tls.key': 'ENCRYPTED'}, 'tls.key holds no unencrypted PEM key', id='an encrypted key'),
    pytest.param({'tls.crt': 'CERTIFICATE', 'tls.key': 'OTHER'}, 'does not belong', id='the key of another'),
    pytest.param({'tls.crt': 'WEAK RSA', 'tls.key': 'KEY'}, 'RSA key of 1024 bits', id='RSA of 1024 bits'),
    pytest.param({'tls.crt': 'WEAK EC', 'tls.key': 'KEY'}, 'EC key of 192 bits', id='EC of 192 bits'),
    pytest.param({'tls.crt': 'DSA', 'tls.key': 'KEY'}, 'neither RSA nor EC nor Ed25519', id='DSA'),
    pytest.param({'tls.crt': 'CERTIFICATE WEAK RSA', 'tls.key': 'KEY'}, 'RSA key of 1024 bits', id='a weak one in the chain'),
    pytest.param({'tls.crt': 'SHA1', 'tls.key': 'KEY'}, 'signed with sha1', id='signed with SHA-1'),
    pytest.param({'tls.crt': 'UNKNOWN', 'tls.key': 'KEY'}, 'unknown algorithm', id='an unknown curve'),
]  # fmt: skip


def material(word):
    return {
        'CERTIFICATE': certificate, 'KEY': lambda: key_pem('ec'), 'OTHER': lambda: key_pem('ec again'),
        'ENCRYPTED': lambda: key_pem('ec', b'password'), 'WEAK RSA': lambda: certificate('weak rsa'),
        'WEAK EC': lambda: certificate('weak ec'), 'DSA': lambda: certificate('dsa'),
        'SHA1': lambda: with_sha1(certificate(by='rsa')), 'UNKNOWN': lambda: with_unknown_curve(certificate()),
        'CERTIFICATE WEAK RSA': lambda: certificate() + certificate('weak rsa'),
    }.get(word, lambda: word)()  # fmt: skip


@pytest.mark.parametrize(('given', 'words'), UNUSABLE)
def test_a_certificate_that_haproxy_would_refuse_is_a_problem_in_words(given, words):
    held = read(strings={key: material(value) for key, value in given.items()})
    assert held.certificate is None
    assert words in held.certificate_problem
    assert 'BEGIN' not in held.certificate_problem


@pytest.mark.parametrize(
    'text',
    [
        pytest.param('-----BEGIN PRIVATE KEY-----\nA\n-----END PRIVATE KEY-----\n', id='no base64'),
        pytest.param('-----BEGIN RSA PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n', id='an empty sequence'),
        pytest.param('-----BEGIN EC PRIVATE KEY-----\nMAA=\n-----END RSA PRIVATE KEY-----\n', id='another end'),
    ],
)
def test_a_block_that_holds_no_key_is_none(text):
    assert tls(certificate(), text).certificate_problem == 'tls.key holds no unencrypted PEM key that parses'


@pytest.mark.parametrize('name', ['d', 'dmp1', 'dmq1', 'iqmp'])
def test_the_numbers_of_an_rsa_key_have_to_belong_together(name):
    numbers = key_of('rsa').private_numbers()
    given = {each: getattr(numbers, each) for each in ('p', 'q', 'd', 'dmp1', 'dmq1', 'iqmp')}
    given[name] += 2
    wrong = rsa.RSAPrivateNumbers(**given, public_numbers=numbers.public_numbers)
    key = wrong.private_key(unsafe_skip_rsa_key_validation=True)
    text = key.private_bytes(PEM, FORM, serialization.NoEncryption()).decode()
    held = tls(certificate('rsa'), text)
    assert held.certificate_problem == 'tls.key holds no unencrypted PEM key that parses'


@pytest.mark.parametrize('kind', ['Opaque', '', None, 5, 'kubernetes.io/basic-auth'])
def test_a_secret_of_another_type_holds_no_certificate(kind):
    held = read(strings={'tls.crt': certificate(), 'tls.key': key_pem('ec')}, kind=kind)
    assert held.certificate is None
    assert 'and not kubernetes.io/tls' in held.certificate_problem


def test_a_root_may_be_signed_with_sha1_because_its_signature_is_not_verified():
    root = with_sha1(certificate('rsa', by='rsa', subject='root'))
    assert tls(certificate() + root, key_pem('ec')).certificate_problem == ''


@pytest.mark.parametrize('value', ['%%%', 'YQ', 5, ['YQ=='], {'a': 1}, True, 'ä', 'YQ==\0'], ids=repr)
def test_what_is_not_base64_is_told_by_its_key_alone(value):
    held = read({'tls.crt': value, 'tls.key': encoded('k')})
    for problem in (held.certificate_problem, held.authorities_problem, held.users_problem):
        assert problem == "data['tls.crt'] is not base64"


def test_a_broken_entry_does_not_harm_what_is_whole():
    held = read({'other': '%%%', 'tls.crt': encoded(certificate()), 'tls.key': encoded(key_pem('ec'))})
    assert (held.certificate_problem, held.authorities_problem) == ('', "data['other'] is not base64")


@pytest.mark.parametrize('value', [None, [], 'text', 5], ids=repr)
def test_data_of_another_type_is_empty(value):
    held = read(value, value)
    assert (held.certificate_problem, held.users_problem) != ('', '')
    assert held.certificate is None


def test_null_and_values_that_are_no_texts_are_empty_or_left_out():
    held = read({'ca.crt': None}, {'username': 5, 7: 'x'})
    assert held.authorities_problem == 'ca.crt holds no PEM certificate that parses'
    assert held.users_problem == 'username or password is missing, or holds control characters'


# --- authorities ------------------------------------------------------------------------------------------------------


def test_authorities_are_certificates_alone_whatever_else_the_text_holds():
    chain = certificate(subject='root') + key_pem('ec') + certificate()
    held = read(strings={'ca.crt': chain})
    assert held.authorities.decode() == certificate(subject='root') + certificate()
    assert held.authorities_problem == ''


@pytest.mark.parametrize(
    ('text', 'words'),
    [
        pytest.param(None, 'ca.crt is missing', id='missing'),
        pytest.param('', 'ca.crt holds no PEM', id='empty'),
        pytest.param('KEY', 'ca.crt holds no PEM', id='a key'),
        pytest.param('WEAK RSA', 'RSA key of 1024 bits', id='weak'),
    ],
)
def test_authorities_that_cannot_be_used_are_a_problem_in_words(text, words):
    held = read(strings={} if text is None else {'ca.crt': material(text)})
    assert held.authorities == b''
    assert words in held.authorities_problem


# --- users ------------------------------------------------------------------------------------------------------------

SHA = 'W6ph5Mm5Pz8GgiULbPgzG37mj9g='  # of `password`
BCRYPT = '$2y$05$c4WoMPo3SXsafkva.HHa6uXQZWr7oboPiC2bT/r7q1BB8I2s0BRqC'
ROUNDS = '6$rounds=100000$salt'


def crypt(begin, digits):
    """Return a crypt hash of the right form, which belongs to no password."""
    return f'${begin}${"h" * digits}'


def test_a_basic_auth_secret_is_one_user():
    assert read(strings={'username': 'ann', 'password': 'pass word'}).users == (User('ann', 'clear', 'pass word'),)


@pytest.mark.parametrize(
    ('line', 'user'),
    [
        pytest.param(f'ann:{{SHA}}{SHA}', ('ann', 'sha1', SHA), id='SHA'),
        pytest.param(f'ann:{BCRYPT}', ('ann', 'crypt', BCRYPT), id='bcrypt'),
        pytest.param(f'ann:{crypt("2a$10", 53)}', ('ann', 'crypt', crypt('2a$10', 53)), id='bcrypt 2a, the most work'),
        pytest.param(f'ann:{crypt("5$salt", 43)}', ('ann', 'crypt', crypt('5$salt', 43)), id='SHA-256'),
        pytest.param(f'ann:{crypt(ROUNDS, 86)}', ('ann', 'crypt', crypt(ROUNDS, 86)), id='SHA-512, the most work'),
        pytest.param('ann:clear', ('ann', 'clear', 'clear'), id='clear'),
        pytest.param('ann:with:colon', ('ann', 'clear', 'with:colon'), id='colon in the password'),
        pytest.param('änn:pässword', ('änn', 'clear', 'pässword'), id='umlauts'),
    ],
)
def test_a_line_of_htpasswd_is_a_user(line, user):
    held = read(strings={'auth': f'# a comment\n\n  {line}  \r\n'})
    assert (held.users, held.users_problem) == ((User(*user),), '')


def test_users_are_sorted_and_occur_once():
    held = read(strings={'auth': 'bob:b\nann:a\nbob:b\n'})
    assert [user.name for user in held.users] == ['ann', 'bob']


APR1 = '$apr1$saltsalt$7cqxt8VIjABxqw00CdZLl.'


def test_a_hash_of_apache_is_kept_as_it_stands():
    (user,) = read(strings={'auth': f'ann:{APR1}'}).users
    assert (user.name, user.scheme, user.secret) == ('ann', 'apr1', APR1)


@pytest.mark.parametrize(
    ('auth', 'words'),
    [
        pytest.param('', 'no htpasswd line', id='empty'),
        pytest.param('# only a comment\n', 'no htpasswd line', id='comments only'),
        pytest.param('ann', 'not `user:hash`', id='no colon'),
        pytest.param('ann:', 'not `user:hash`', id='no password'),
        pytest.param(':secret', 'not `user:hash`', id='no user'),
        pytest.param('a' * 256 + ':secret', 'not `user:hash`', id='a user of 256 characters'),
        pytest.param('an\0n:secret', 'not `user:hash`', id='NUL in the user'),
        pytest.param('ann:$apr1$salt$hash', '$apr1$ hash that is not whole', id='apr1'),
        pytest.param(f'ann:{APR1}\nann:{APR1[:-1]}/', 'two $apr1$ hashes', id='two of one user'),
        pytest.param('ann:rqXexS6ZhobKA', 'DES hash', id='DES crypt'),
        pytest.param('ann:$1$salt$hash', 'unknown kind', id='MD5 crypt'),
        pytest.param(f'ann:{crypt("2y$11", 53)}', 'cost 11; 10 is the most', id='bcrypt that takes too long'),
        pytest.param(f'ann:{crypt("2y$00", 53)}', 'cost 00', id='bcrypt without work'),
        pytest.param(f'ann:{crypt("6$rounds=100001$salt", 86)}', '100000 rounds', id='SHA-512 that takes too long'),
        pytest.param(f'ann:{crypt("5$rounds=999999999$salt", 43)}', '100000 rounds', id='SHA-256 that takes too long'),
        pytest.param(f'ann:{crypt("2y$10", 52)}', 'not whole', id='bcrypt that is cut'),
        pytest.param(f'ann:{crypt("6$salt", 43)}', 'not whole', id='SHA-512 that is cut'),
        pytest.param("ann:$6$sa'lt$" + 'h' * 86, 'not whole', id='a quote in the salt'),
        pytest.param('ann:$5$salt', 'not whole', id='a salt alone'),
        pytest.param(f'ann:{crypt("5$a", 43)}\nann:{crypt("5$b", 43)}', 'two crypt hashes of one', id='one user twice'),
        pytest.param('\n'.join(f'u{n}:{crypt("5$a", 43)}' for n in range(51)), '51 crypt hashes; 50', id='51 hashes'),
        pytest.param('ann:{SSHA}abc', 'unknown kind', id='salted SHA'),
        pytest.param('ann:{SHA}short', 'unknown kind', id='broken SHA'),
        pytest.param('ann:sec\0ret', 'unknown kind', id='NUL in the password'),
        pytest.param('good:secret\nann', 'not `user:hash`', id='one bad line among good ones'),
    ],
)
def test_users_that_cannot_be_judged_are_a_problem_that_does_not_show_them(auth, words):
    held = read(strings={'auth': auth})
    assert held.users == ()
    assert words in held.users_problem
    assert not any(word in held.users_problem for word in ('ann', 'secret', 'salt', 'good'))


@pytest.mark.parametrize(
    'strings',
    [
        {'username': 'ann'},
        {'password': 'secret'},
        {'username': 'ann', 'password': ''},
        {'username': '', 'password': 'secret'},
        {'username': 'an:n', 'password': 'secret'},
        {'username': 'an\nn', 'password': 'secret'},
        {'username': 'ann', 'password': 'secret\n'},
        {'username': 'ann', 'password': 's' * 1025},
    ],
    ids=str,
)
def test_a_user_without_name_or_password_or_with_control_characters_is_none(strings):
    held = read(strings=strings)
    assert (held.users, held.users_problem) == (
        (),
        'username or password is missing, or holds control characters',
    )


SHA = '{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ='


def by_name(**data):
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    return secrets.read('shop', 's', {'data': encoded})


def test_a_secret_has_the_hash_of_a_password_under_the_name_of_each_user():
    held = by_name(**{'ann': f'{SHA}\n', 'b.ob': '$apr1$abcdefgh$hnz8AY7O7E7QvKAVjuw920'})
    assert [(user.name, user.scheme) for user in held.named_users] == [('ann', 'sha1'), ('b.ob', 'apr1')]
    assert held.named_users_problem == ''


@pytest.mark.parametrize(
    ('data', 'problem'),
    [
        pytest.param({}, 'no user', id='nothing'),
        pytest.param({'ann': SHA, 'password': 'secret'}, 'no hash of a password', id='a password'),
        pytest.param({'auth': f'ann:{SHA}'}, 'no hash of a password', id='lines'),
        pytest.param({'ann': '{SHA}short'}, 'unknown kind', id='half a hash'),
        pytest.param({'ann': '$1$abcdefgh$x'}, 'unknown kind', id='another hash'),
        pytest.param({'ann': f'{SHA}\nbob:{SHA}'}, 'unknown kind', id='a second line'),
        pytest.param({f'u{number}': SHA for number in range(10_001)}, '10001 users', id='many'),
        pytest.param({'ann': '$' + 'x' * 262_144}, '262145 bytes', id='long'),
    ],
)
def test_a_secret_without_hashes_has_no_named_users(data, problem):
    held = by_name(**data)
    assert held.named_users == ()
    assert problem in held.named_users_problem
    assert 'secret' not in held.named_users_problem
