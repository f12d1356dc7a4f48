"""Real clients before a rendered edge: curl, gRPC, an HTTP/2 client with many streams, and openssl."""

import contextlib
import json
import queue
import shutil
import subprocess
from dataclasses import dataclass

import grpc
import pytest

from conftest import binary
from support import certificates, wire
from support.edge import Edge, Endpoints, web
from support.grpc_echo import EchoServer, call, channel

NAMES = ('plain.com', 'tls.com', 'grpc.com', 'inner.com')
SECONDS = 10


@dataclass(frozen=True)
class Topology:
    """An edge, and the certificate that its hosts show."""

    edge: Edge
    certificate: bytes
    file: str


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """An edge before an HTTP endpoint, a gRPC server in the clear, and one by TLS."""
    key, certificate = certificates.for_names(*NAMES)
    file = tmp_path_factory.mktemp('trusted') / 'ca.pem'
    file.write_bytes(certificate)
    with Endpoints() as endpoints, EchoServer() as plain, EchoServer((key, certificate)) as secured:
        ours = {'address': '127.0.0.1', 'tls_secret': 'tls', 'tls_redirect': 'false'}
        services = (
            web('plain', endpoints),
            web('tls', endpoints, tls_secret='tls'),
            web('grpc', plain, **ours, backend_protocol='h2c'),
            web('inner', secured, **ours, backend_protocol='h2', backend_sni='inner.com'),
        )
        documents = [*(item for group in services for item in group), certificates.tls_secret('tls', key, certificate)]
        seen = {'all_secrets': True}
        with Edge(binary('haproxy-3.4'), *documents, seen=seen) as found:
            yield Topology(found, certificate, str(file))


def program(name):
    """Return the path of a program that every system for development has."""
    path = shutil.which(name)
    return path or pytest.fail(f'{name} is missing')


# --- curl -------------------------------------------------------------------------------------------------------------


def curl(place, *arguments, sent=None):
    """Run curl; return version of HTTP, status, and what came."""
    to = [
        word
        for port, real in ((80, place.edge.http), (443, place.edge.https))
        for word in ('--connect-to', f'::127.0.0.1:{real}' if port == 80 else f':443:127.0.0.1:{real}')
    ]
    command = [
        program('curl'),
        '--silent',
        '--show-error',
        '--max-time',
        '10',
        '--noproxy',
        '*',
        '--cacert',
        place.file,
    ]
    # The more special port comes first: curl takes the first that fits.
    command += [*to[2:], *to[:2], '--write-out', '\n%{http_version} %{http_code}', *arguments]
    done = subprocess.run(command, input=sent, capture_output=True, timeout=30, check=True)
    body, _, last = done.stdout.rpartition(b'\n')
    return (*last.decode().split(), body)


@pytest.mark.parametrize(
    ('option', 'url', 'version'),
    [
        ('--http1.0', 'http://plain.com/', '1.1'),
        ('--http1.1', 'http://plain.com/', '1.1'),
        ('--http2', 'http://plain.com/', '1.1'),  # asks for h2c by Upgrade, which is not taken up
        ('--http2-prior-knowledge', 'http://plain.com/', '2'),
        ('--http1.1', 'https://tls.com/', '1.1'),
        ('--http2', 'https://tls.com/', '2'),
    ],
)
def test_curl_gets_an_answer(place, option, url, version):
    found, status, body = curl(place, option, url)
    assert (found, status, json.loads(body)['path']) == (version, '200', '/')


def test_curl_follows_the_redirect_to_https(place):
    version, status, body = curl(place, '--location', 'http://tls.com/a?b=c')
    assert (version, status, json.loads(body)['path']) == ('2', '200', '/a?b=c')


@pytest.mark.parametrize('option', ['--http1.1', '--http2'])
def test_curl_sends_a_large_body(place, option):
    # Of such a size that curl asks with `Expect: 100-continue` first.
    sent = b'x' * 3_000_000
    _, status, body = curl(place, option, '--data-binary', '@-', 'https://tls.com/', sent=sent)
    assert (status, json.loads(body)['length']) == ('200', len(sent))


@pytest.mark.parametrize('option', ['--http1.1', '--http2'])
def test_curl_sends_a_body_without_a_length(place, option):
    sent = b'x' * 100_000
    _, status, body = curl(place, option, '--request', 'POST', '--upload-file', '-', 'https://tls.com/', sent=sent)
    assert (status, json.loads(body)['length']) == ('200', len(sent))


# --- HTTP/2 with many streams -----------------------------------------------------------------------------------------


@pytest.mark.parametrize('secure', [False, True], ids=['in the clear', 'by TLS'])
def test_many_streams_of_one_connection_are_answered(place, secure):
    how = {'sni': 'tls.com', 'alpn': ('h2',)} if secure else {}
    host, scheme = ('tls.com', 'https') if secure else ('plain.com', 'http')
    with contextlib.closing(wire.connect(place.edge.https if secure else place.edge.http, **how)) as connection:
        client = wire.Http2(connection)
        asked = {client.begin(wire.h2_headers(host, f'/{number}', scheme=scheme)): number for number in range(60)}
        found = client.gather(asked)
    assert {stream: wire.said(body)['path'] for stream, body in found.items()} == {
        stream: f'/{number}' for stream, number in asked.items()
    }


# --- gRPC -------------------------------------------------------------------------------------------------------------

WAYS = {'h2c to h2c': ('grpc.com', False), 'TLS to h2c': ('grpc.com', True), 'TLS to TLS': ('inner.com', True)}


@pytest.fixture(params=WAYS.values(), ids=WAYS)
def calls(request, place):
    """A channel to a gRPC server through the edge."""
    host, secure = request.param
    port = place.edge.https if secure else place.edge.http
    with channel(port, host, place.certificate if secure else None) as found:
        yield lambda kind, name: call(found, kind, name)


def test_a_grpc_call_is_answered_with_what_goes_around_it(calls):
    answer, told = calls('unary_unary', 'Unary').with_call(b'abc', timeout=SECONDS)
    assert answer == b'cba'
    assert dict(told.initial_metadata())['x-forwarded-host'] in ('grpc.com', 'inner.com')
    big = b'x' * 2_000_000
    assert calls('unary_unary', 'Unary')(big, timeout=SECONDS) == big


def test_a_grpc_error_comes_with_its_status_message_and_trailers(calls):
    with pytest.raises(grpc.RpcError) as failed:
        calls('unary_unary', 'Unary')(b'missing', timeout=SECONDS)
    assert (failed.value.code(), failed.value.details()) == (grpc.StatusCode.NOT_FOUND, 'nothing is there')
    assert dict(failed.value.trailing_metadata())['x-why'] == 'not here'


def test_grpc_streams_either_way(calls):
    counted = [*calls('unary_stream', 'Counted')(b'200', timeout=SECONDS)]
    assert counted == [str(number).encode() for number in range(200)]
    assert calls('stream_unary', 'Joined')(iter([b'a', b'b', b'c']), timeout=SECONDS) == b'a,b,c'


def test_grpc_streams_both_ways_at_once(calls):
    said = queue.SimpleQueue()
    answers = calls('stream_stream', 'Talk')(iter(said.get, None), timeout=SECONDS)
    # Each answer comes while the request goes on: nothing is held back until its end.
    for word in (b'one', b'two', b'three'):
        said.put(word)
        assert next(answers) == word.upper()
    said.put(None)
    assert [*answers] == []


def test_a_grpc_deadline_ends_a_call(calls):
    said = queue.SimpleQueue()
    with pytest.raises(grpc.RpcError) as failed:
        next(calls('stream_stream', 'Talk')(iter(said.get, None), timeout=0.3))
    said.put(None)
    assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED


# --- openssl ----------------------------------------------------------------------------------------------------------


def s_client(place, *arguments):
    """Run `openssl s_client`; return what it said, or None where there was no handshake."""
    command = [program('openssl'), 's_client', '-connect', f'127.0.0.1:{place.edge.https}', '-servername', 'tls.com']
    done = subprocess.run(
        [*command, '-CAfile', place.file, *arguments], input=b'', capture_output=True, timeout=30, check=False
    )
    said = done.stdout.decode(errors='replace')
    return said if 'Cipher is (NONE)' not in said and 'Cipher is' in said else None


@pytest.mark.parametrize(
    'offered',
    [
        ('-tls1', '-cipher', 'ALL:@SECLEVEL=0'),
        ('-tls1_1', '-cipher', 'ALL:@SECLEVEL=0'),
        ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-SHA256:@SECLEVEL=0'),
        ('-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA:@SECLEVEL=0'),
        ('-tls1_2', '-cipher', 'AES128-GCM-SHA256:@SECLEVEL=0'),
        ('-tls1_2', '-cipher', 'aNULL:@SECLEVEL=0'),
    ],
    ids=' '.join,
)
def test_old_protocols_and_ciphers_get_no_handshake(place, offered):
    assert s_client(place, *offered) is None


@pytest.mark.parametrize(
    ('offered', 'protocol', 'cipher'),
    [
        (('-tls1_2',), 'TLSv1.2', 'ECDHE-ECDSA-'),
        (('-tls1_2', '-cipher', 'ECDHE-ECDSA-CHACHA20-POLY1305'), 'TLSv1.2', 'ECDHE-ECDSA-CHACHA20-POLY1305'),
        (('-tls1_3',), 'TLSv1.3', 'TLS_'),
        ((), 'TLSv1.3', 'TLS_'),
    ],
)
def test_protocols_and_ciphers_of_today_get_one(place, offered, protocol, cipher):
    said = s_client(place, *offered)
    assert f'{protocol}, Cipher is {cipher}' in said
    assert 'Verify return code: 0 (ok)' in said
    # A ticket of TLS 1.2 is the session itself, for any holder of the key; those of 1.3 are numbers of sessions here.
    assert protocol == 'TLSv1.3' or 'TLS session ticket:' not in said


@pytest.mark.parametrize(
    ('offered', 'taken'),
    [('h2,http/1.1', 'h2'), ('http/1.1', 'http/1.1'), ('http/1.1,h2', 'h2'), ('h3', ''), ('spdy/3', '')],
)
def test_the_protocol_is_agreed_upon_in_the_handshake(place, offered, taken):
    said = s_client(place, '-alpn', offered)
    assert (f'ALPN protocol: {taken}\n' if taken else 'No ALPN negotiated') in said
