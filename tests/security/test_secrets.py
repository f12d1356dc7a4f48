"""A Secret that no honest tool makes costs its own material, and no time of others."""

import datetime as dt
import time

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from headrace.objects import parse
from headrace.settings.secret_keys import Secrets
from support import hostile
from support.objects import secret

ISSUED = hostile.block(hostile.certificate('ec'))
KEY = hostile.private('ec')
TRADITIONAL = serialization.PrivateFormat.TraditionalOpenSSL


def tls(crt, key=KEY, **more):
    """Return the Secret that a certificate, a key and a CA become."""
    texts = {name: value.decode('latin-1') for name, value in {'tls_crt': crt, 'tls_key': key, **more}.items()}
    found = parse.read({**secret('tls', **texts), 'type': 'kubernetes.io/tls'})
    assert found.failed is None
    return found.object


@pytest.mark.parametrize('name', sorted(hostile.ODD))
def test_an_odd_certificate_is_refused_in_words(name):
    crt = hostile.block(hostile.ODD[name]())
    held = tls(crt, hostile.private('rsa'), ca_crt=crt)
    assert held.certificate is None
    assert held.certificate_problem.startswith('tls.crt has a ')


@pytest.mark.parametrize('name', sorted(hostile.ODD))
def test_an_odd_certificate_takes_no_other_material_of_its_secret_along(name):
    crt = hostile.block(hostile.ODD[name]())
    held = tls(crt, hostile.private('rsa'), ca_crt=ISSUED, auth=b'ann:secret')
    assert (held.authorities_problem, held.users_problem) == ('', '')


@pytest.mark.parametrize('old', [b'\x0c\x04leaf', b'\x0c\x04root'], ids=['subject', 'issuer'])
def test_a_certificate_that_openssl_would_not_read_is_refused(old):
    # The name is a number, and nothing else asks for it: HAProxy refused the whole configuration.
    crt = hostile.block(hostile.exchanged(hostile.certificate('ec'), (old, b'\x02' + old[1:])))
    held = tls(crt, ca_crt=crt)
    assert held.certificate_problem == 'tls.crt has a name that does not parse'
    assert held.authorities_problem == 'ca.crt has a name that does not parse'


@pytest.mark.parametrize('old', [b'\x0c\x04leaf', b'\x0c\x04root'], ids=['subject', 'issuer'])
@pytest.mark.parametrize('tag', [b'\x04', b'\x17', b'\x18', b'\x1a'])
def test_a_name_of_a_type_that_openssl_does_not_read_is_refused(old, tag):
    crt = hostile.block(hostile.exchanged(hostile.certificate('ec'), (old, tag + old[1:])))
    held = tls(crt, ca_crt=crt)
    assert held.certificate_problem == 'tls.crt has a name whose text is of a type that OpenSSL refuses'
    assert held.authorities_problem == 'ca.crt has a name whose text is of a type that OpenSSL refuses'


@pytest.mark.parametrize('size', [1, 100, 300])
def test_a_name_of_any_length_is_read(size):
    key, begin = hostile.key_of('ec'), dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.DN_QUALIFIER, 'x' * size)])
    made = x509.CertificateBuilder(name, name, key.public_key(), 7, begin, begin + dt.timedelta(days=1))
    crt = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    assert tls(crt, hostile.private('ec')).certificate is not None


@pytest.mark.parametrize(
    ('key', 'words'),
    [
        pytest.param(lambda: hostile.dsa_key(60_000), 'neither RSA nor EC', id='DSA of 60,000 bits'),
        pytest.param(lambda: hostile.rsa_key(16_384), 'RSA key of 16384 bits; 8192 is the most', id='RSA of 16,384 bits'),
        pytest.param(lambda: hostile.rsa_key(80_000), 'RSA key of 80000 bits', id='RSA of 80,000 bits'),
        pytest.param(lambda: hostile.rsa_key(130_000), 'bytes; 65536 is the most', id='a PEM of 100 kB'),
        pytest.param(lambda: b'\n' * 65_537, '65537 bytes; 65536 is the most', id='empty lines'),
        pytest.param(lambda: hostile.private('dsa'), 'neither RSA nor EC', id='DSA'),
        pytest.param(lambda: hostile.private('dsa', TRADITIONAL), 'no unencrypted PEM key', id='DSA as OpenSSL once wrote it'),
    ],
)  # fmt: skip
def test_a_key_that_would_take_long_is_refused_before_it_is_loaded(key, words):
    text = key()
    began = time.process_time()
    held = tls(ISSUED, text)
    # Before: 180 s.
    assert time.process_time() - began < 5
    assert words in held.certificate_problem


def test_a_large_legal_key_is_no_matter_of_seconds():
    numbers = hostile.rsa_key(8192)
    began = time.process_time()
    held = tls(ISSUED, numbers)
    # Before: 4 s for the proof that p and q are prime.
    assert time.process_time() - began < 2
    assert 'does not belong' in held.certificate_problem


def test_a_certificate_of_a_huge_key_is_refused():
    spki = hostile.sequence(
        hostile.sequence(bytes.fromhex('06092a864886f70d010101'), hostile.value(5, b'')),
        hostile.value(3, b'\0' + hostile.sequence(hostile.number((1 << 16_383) | 1), hostile.number(65537))),
    )
    der = hostile.with_public_key(hostile.certificate(), spki)
    held = tls(hostile.block(der), hostile.private('rsa'), ca_crt=hostile.block(der))
    assert held.certificate_problem == 'tls.crt has an RSA key of 16384 bits; 8192 is the most'
    assert held.authorities_problem == 'ca.crt has an RSA key of 16384 bits; 8192 is the most'


@pytest.mark.parametrize(
    ('limits', 'texts', 'problem'),
    [
        pytest.param({'max_pem_bytes': 4096}, {'tls_crt': ISSUED * 20}, 'certificate_problem', id='tls.crt'),
        pytest.param({'max_pem_bytes': 4096}, {'tls_key': KEY * 20}, 'certificate_problem', id='tls.key'),
        pytest.param({'max_ca_bytes': 4096}, {'ca_crt': ISSUED * 20}, 'authorities_problem', id='bytes of a CA'),
        pytest.param({'max_ca_certificates': 2}, {'ca_crt': ISSUED * 3}, 'authorities_problem', id='certificates of a CA'),
        pytest.param({'max_htpasswd_bytes': 256}, {'auth': b'ann:' + b's' * 300}, 'users_problem', id='bytes of users'),
        pytest.param({'max_htpasswd_users': 2}, {'auth': b'a:1\nb:2\nc:3'}, 'users_problem', id='users'),
        pytest.param({'max_rsa_bits': 2048, 'min_rsa_bits': 2048}, {}, '', id='within all'),
    ],
)  # fmt: skip
def test_a_limit_is_a_setting(limits, texts, problem):
    given = {'tls_crt': ISSUED, 'tls_key': KEY, 'ca_crt': ISSUED, 'auth': b'ann:secret', **texts}
    document = secret('tls', **{name: text.decode() for name, text in given.items()})
    found = parse.read({**document, 'type': 'kubernetes.io/tls'}, Secrets(**limits)).object
    problems = {
        name for name in ('certificate_problem', 'authorities_problem', 'users_problem') if getattr(found, name)
    }
    assert problems == ({problem} - {''})
    assert not problem or ' is the most' in getattr(found, problem)
