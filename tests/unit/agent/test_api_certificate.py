"""The certificate of the port for tokens: of files that come, change and break."""

import asyncio
import contextlib
import ssl

import pytest

from headrace.agent import api_certificate
from headrace.agent.api_certificate import ApiCertificate
from support.certificates import for_names


def shown(certificate):
    """Return the certificate that a client gets, as PEM."""
    server_in, server_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_in, client_out = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    server = certificate.tls.wrap_bio(server_in, server_out, server_side=True)
    client = context.wrap_bio(client_in, client_out)
    for _ in range(5):
        for side in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                side.do_handshake()
            server_in.write(client_out.read())
            client_in.write(server_out.read())
    return ssl.DER_cert_to_PEM_cert(client.getpeercert(binary_form=True))


def write(folder, key, certificate):
    (folder / 'tls.crt').write_bytes(certificate)
    (folder / 'tls.key').write_bytes(key)


@pytest.fixture
def pair():
    return for_names('pages.example.com')


def test_without_files_it_is_signed_by_itself():
    certificate = ApiCertificate('agent', None)
    before = shown(certificate)
    assert certificate.read() == ''
    assert shown(certificate) == before


def test_files_are_shown_and_followed(tmp_path, pair):
    write(tmp_path, *pair)
    certificate = ApiCertificate('agent', tmp_path)
    assert certificate.read() == ''
    assert shown(certificate).encode() == pair[1]
    other = for_names('other.example.com')
    write(tmp_path, *other)
    assert certificate.read() == ''
    assert shown(certificate).encode() == other[1]


def test_files_that_come_later_are_shown_then(tmp_path, pair):
    certificate = ApiCertificate('agent', tmp_path)
    own = shown(certificate)
    assert certificate.read() == f'{tmp_path}/tls.crt: No such file or directory'
    assert shown(certificate) == own
    write(tmp_path, *pair)
    assert certificate.read() == ''
    assert shown(certificate).encode() == pair[1]


@pytest.mark.parametrize(
    'broken',
    [
        pytest.param(lambda key, certificate: (for_names('a')[0], certificate), id='the key of another certificate'),
        pytest.param(lambda key, certificate: (key, b''), id='no certificate'),
        pytest.param(lambda key, certificate: (b'', certificate), id='no key'),
        pytest.param(lambda key, certificate: (key, b'\xff\x00' * 100_000), id='no PEM, and much of it'),
    ],
)
def test_files_that_cannot_be_used_change_nothing_and_are_told(tmp_path, pair, broken):
    write(tmp_path, *pair)
    certificate = ApiCertificate('agent', tmp_path)
    certificate.read()
    write(tmp_path, *broken(*pair))
    for _ in range(2):
        assert certificate.read().startswith(f'{tmp_path}: tls.crt and tls.key cannot be used: ')
        assert shown(certificate).encode() == pair[1]
    write(tmp_path, *pair)
    assert certificate.read() == ''


def test_what_is_wrong_is_noted_again_and_again(tmp_path, pair, monkeypatch):
    noted = []

    async def pause(_):
        if len(noted) == 2:
            raise asyncio.CancelledError
        write(tmp_path, *pair)

    monkeypatch.setattr(api_certificate.asyncio, 'sleep', pause)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(ApiCertificate('agent', tmp_path).follow(noted.append))
    assert noted == [f'{tmp_path}/tls.crt: No such file or directory', '']
