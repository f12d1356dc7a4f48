"""Certificates while headrace runs, as `openssl s_client` sees them: two kinds for a host, renewed, removed, the default one."""

import base64
import datetime as dt
import re
import shutil
import subprocess

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from support.live import until

HOST = 'shop.example.com'
ENDS = dt.datetime(2040, 1, 2, 3, 4, 5, tzinfo=dt.UTC)
RSA_ONLY, EC_ONLY = ('-sigalgs', 'RSA-PSS+SHA256'), ('-sigalgs', 'ECDSA+SHA256')
KEYS = {
    'rsa': rsa.generate_private_key(public_exponent=65537, key_size=2048),
    'ec': ec.generate_private_key(ec.SECP256R1()),
}


def tls_secret(name, kind, subject, ends=ENDS):
    """Return a Secret with a certificate of this kind, told from others by its subject."""
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)])
    key = KEYS[kind]
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    pem = {
        'tls.crt': made.public_bytes(serialization.Encoding.PEM),
        'tls.key': key.private_bytes(serialization.Encoding.PEM, *form),
    }
    return {
        'apiVersion': 'v1',
        'kind': 'Secret',
        'type': 'kubernetes.io/tls',
        'metadata': {'name': name, 'namespace': 'shop'},
        'data': {key: base64.b64encode(text).decode() for key, text in pem.items()},
    }


def handshake(live, host, *options):
    """Return what openssl's client says of a handshake."""
    openssl = shutil.which('openssl')
    assert openssl, 'openssl is missing'
    where = f'127.0.0.1:{live.ports["https"]}'
    done = subprocess.run(
        [openssl, 's_client', '-connect', where, '-servername', host, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    return done.stdout


def shown(live, host=HOST, *options):
    """Return the subject of the certificate that a client gets, '' when the handshake is refused."""
    found = re.search(r'^subject=CN ?= ?(.*)$', handshake(live, host, *options), re.MULTILINE)
    return found[1] if found else ''


def renewed(live, name, kind, subject):
    """Write a Secret, and wait until its certificate is shown."""
    live.put(name, tls_secret(name, kind, subject))
    options = RSA_ONLY if kind == 'rsa' else EC_ONLY
    until(lambda: shown(live, HOST, *options) == subject, f'{subject} is shown')


@pytest.fixture
def live(make_live):
    """An agent with a default certificate."""
    return make_live(defaultCertificate='shop/default', reloadInterval='100ms')


def test_certificates_come_are_renewed_and_go_without_a_reload(live, town):
    live.put('default', tls_secret('default', 'ec', 'default'))
    live.put('one', tls_secret('one', 'rsa', 'rsa 1'))
    live.put('two', tls_secret('two', 'ec', 'ec 1'))
    live.web([town.pod()], town.port, annotations={'tls-secret': 'one'})
    live.start()
    worker = live.worker()
    assert shown(live) == 'rsa 1'
    assert shown(live, 'unknown.example.com') == 'default'

    live.web([town.pod()], town.port, annotations={'tls-secret': 'two, one'})
    until(lambda: shown(live, HOST, *EC_ONLY) == 'ec 1', 'the second certificate is there')
    for version in ('-tls1_2', '-tls1_3'):
        assert shown(live, HOST, *RSA_ONLY, version) == 'rsa 1'
        assert shown(live, HOST, *EC_ONLY, version) == 'ec 1'

    renewed(live, 'one', 'rsa', 'rsa 2')
    renewed(live, 'two', 'ec', 'ec 2')
    broken = tls_secret('two', 'ec', 'ec 3')
    broken['data']['tls.key'] = tls_secret('one', 'rsa', 'x')['data']['tls.key']
    live.put('two', broken)
    until(lambda: live.metric('headrace_diagnostics', reason='CertificateUnusable') == 1, 'the mistake is reported')
    until(lambda: shown(live, HOST, *EC_ONLY) != 'ec 2', 'the certificate of before is not shown, as after a start')
    renewed(live, 'two', 'ec', 'ec 4')
    assert live.metric('headrace_diagnostics', reason='CertificateUnusable') in (None, 0)
    assert shown(live, HOST, *RSA_ONLY) == 'rsa 2'

    live.web([town.pod()], town.port, annotations={'tls-secret': 'two'})
    until(lambda: shown(live, HOST, *RSA_ONLY) == '', 'no RSA certificate is left')
    assert shown(live) == 'ec 4'
    live.drop('web')
    until(lambda: shown(live) == 'default', 'the host has the default certificate')
    assert (live.worker(), live.reloads()) == (worker, [])


def test_the_default_certificate_is_renewed_without_a_reload_and_comes_and_goes_by_one(live, town):
    live.put('default', tls_secret('default', 'ec', 'default'))
    live.web([town.pod()], town.port)
    live.start()
    worker = live.worker()
    live.put('default', tls_secret('default', 'ec', 'another'))
    until(lambda: shown(live) == 'another', 'the other default certificate is shown')
    assert live.worker() == worker
    live.drop('default')
    until(lambda: shown(live) == '', 'the handshake is refused')
    live.put('default', tls_secret('default', 'ec', 'third'))
    until(lambda: shown(live, 'any.example.com') == 'third', 'there is a default certificate again')
    reasons = {reason for item in live.reloads() for reason in item['reasons']}
    assert reasons == {'certificate: the default certificate comes or goes'}


def test_when_a_certificate_ends_is_a_metric_as_long_as_it_is_used(live, town):
    live.put('one', tls_secret('one', 'ec', 'one'), tls_secret('idle', 'ec', 'idle'))
    live.web([town.pod()], town.port, annotations={'tls-secret': 'one'})
    live.start()
    name = 'headrace_certificate_not_after_timestamp_seconds'
    assert live.metric(name, namespace='shop', secret='one') == ENDS.timestamp()
    assert live.metric(name, secret='idle') is None
    later = ENDS + dt.timedelta(days=1)
    live.put('one', tls_secret('one', 'ec', 'one', ends=later))
    until(lambda: live.metric(name, secret='one') == later.timestamp(), 'the metric follows')
    live.drop('web')
    until(lambda: live.metric(name) is None, 'nothing uses it any more')


def test_versions_and_ciphers_of_tls_are_those_of_the_class(live, town):
    live.put('one', tls_secret('one', 'rsa', 'one'))
    live.web([town.pod()], town.port, annotations={'tls-secret': 'one'})
    live.set(reloadInterval='100ms')
    live.start()
    said = handshake(live, HOST, '-alpn', 'h2,http/1.1')
    assert 'ALPN protocol: h2' in said
    assert 'TLSv1.3' in said
    assert shown(live, HOST, '-tls1_2') == 'one'
    for weak in (('-tls1_1', '-cipher', 'ALL@SECLEVEL=0'), ('-tls1_2', '-cipher', 'AES128-SHA256:AES128-GCM-SHA256')):
        assert 'Cipher is (NONE)' in handshake(live, HOST, *weak)

    live.set(tlsCiphers='ECDHE-RSA-AES256-GCM-SHA384')
    until(lambda: 'Cipher is (NONE)' in handshake(live, HOST, '-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'))
    assert 'Cipher is ECDHE-RSA-AES256-GCM-SHA384' in handshake(live, HOST, '-tls1_2')
    live.set(tlsMinVersion='TLSv1.3')
    until(lambda: 'Cipher is (NONE)' in handshake(live, HOST, '-tls1_2'), 'TLS 1.2 is refused')
    assert shown(live, HOST, '-tls1_3') == 'one'
