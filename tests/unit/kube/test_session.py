"""The session to the API server: its token, and who is told of lists and watches."""

import asyncio
import dataclasses
import datetime as dt
import json
import ssl
from itertools import islice

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import headrace
from headrace.kube import session
from headrace.kube.access import AccessError, load_certificate

PATH = '/api/v1/services'
PAGE = {'metadata': {'resourceVersion': '7', 'continue': ''}, 'items': [{'metadata': {'name': 'a'}}]}


class Listener:
    def __init__(self):
        self.pages, self.events, self.times, self.statuses = [], [], 0, []

    async def page(self, body, *, first):
        self.pages.append((first, list(body['items'])))

    async def event(self, kind, document):
        self.events.append((kind, document['metadata']['name']))

    def heard(self):
        self.times += 1

    def note_refusal(self, status):
        self.statuses.append(status)


def talk(server, answers, access, listeners=None, *, path=PATH, use=None, method='GET', data=None):
    """Ask once, and return status and body, or what `use` makes of the response."""

    async def ask():
        async with (
            server.up(*answers),
            session.make(access(server.url), listeners or {}) as made,
            made.request(method, server.url + path, data=data) as response,
        ):
            return response.status, await (use(response) if use else response.json())

    return asyncio.run(ask())


# --- pauses -----------------------------------------------------------------------------------------------------------


def test_pauses_are_short_at_first_then_random_and_without_end():
    first, later = list(islice(session.Pauses(), 3)), list(islice(session.Pauses(), 3, 200))
    assert first == [0.2, 0.5, 1.0]
    assert len(set(later)) > 100
    assert all(1.0 <= pause <= 3.0 for pause in later)


# --- the token --------------------------------------------------------------------------------------------------------


def test_each_request_carries_the_token_and_who_asks(server, access_of):
    assert talk(server, [(200, {})], lambda url: access_of(url, 'mine')) == (200, {})
    assert server.tokens == ['Bearer mine']
    assert server.asked[0][0].headers['User-Agent'] == f'headrace/{headrace.__version__}'


def test_without_a_token_no_header_is_sent(server, access_of):
    talk(server, [(200, {})], access_of)
    assert server.tokens == [None]


def test_a_refused_token_is_asked_for_anew_and_the_caller_sees_no_401(server, access_of):
    made = []

    def access(url):
        made.append(access_of(url, 'old', 'new'))
        return made[0]

    found = talk(server, [(401, {'reason': 'Unauthorized'}), (200, {'a': 1})], access, method='PUT', data=b'body')
    assert found == (200, {'a': 1})
    assert server.tokens == ['Bearer old', 'Bearer new']
    assert [body for _, body in server.asked] == [b'body', b'body']
    assert made[0].token.refusals == [False, True]


def test_a_token_that_is_refused_is_noted_until_one_is_taken(server, access_of):
    noted = []

    async def ask():
        async with (
            server.up((401, {}), (401, {}), (403, {})),
            session.make(access_of(server.url, 'old', 'old', 'new'), {}, noted.append) as made,
            made.get(server.url + PATH) as response,
        ):
            return response.status

    assert asyncio.run(ask()) == 403
    assert noted == [False, False, True]


def test_a_token_that_is_no_longer_given_is_no_longer_sent(server, access_of):
    talk(server, [(401, {}), (200, {})], lambda url: access_of(url, 'old', ''))
    assert server.tokens == ['Bearer old', None]


def test_a_token_that_cannot_be_had_is_as_a_lost_connection(server, access_of):
    with pytest.raises(aiohttp.ClientConnectionError, match='no token today'):
        talk(server, [(200, {})], lambda url: access_of(url, AccessError('no token today')))
    assert server.asked == []


def test_a_password_is_shown_by_its_scheme(server, access_of):
    talk(server, [(200, {})], lambda url: dataclasses.replace(access_of(url, 'dTpw'), scheme='Basic'))
    assert server.tokens == ['Basic dTpw']


def test_a_proxy_is_asked_for_the_server(server, access_of):
    def access(url):
        return dataclasses.replace(access_of('http://api.invalid'), proxy=url)

    async def ask():
        async with (
            server.up((200, {'a': 1})),
            session.make(access(server.url), {}) as made,
            made.get(f'http://api.invalid{PATH}') as response,
        ):
            return await response.json()

    assert asyncio.run(ask()) == {'a': 1}
    assert server.asked[0][0].headers['Host'] == 'api.invalid'


@pytest.mark.parametrize('name', ['api.internal', ''])
def test_the_certificate_is_held_to_the_name_that_is_configured(access_of, name):
    key = ec.generate_private_key(ec.SECP256R1())
    subject, now = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, 'api')]), dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(
        subject, subject, key.public_key(), x509.random_serial_number(), now, now + dt.timedelta(days=1)
    )
    names = x509.SubjectAlternativeName([x509.DNSName('api.internal')])
    pem = (
        builder.add_extension(names, critical=False).sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    )
    form = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_certificate(tls, pem, key.private_bytes(serialization.Encoding.PEM, *form))

    async def ask():
        async def serve(reader, writer):
            await reader.readuntil(b'\r\n\r\n')
            writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}')
            await writer.drain()
            writer.close()

        async with await asyncio.start_server(serve, '127.0.0.1', 0, ssl=tls) as listening:
            url = f'https://127.0.0.1:{listening.sockets[0].getsockname()[1]}'
            trusted = ssl.create_default_context(cadata=pem.decode())
            way = dataclasses.replace(access_of(url), tls=trusted, server_name=name)
            async with session.make(way, {}) as made, made.get(url + PATH) as response:
                return await response.json()

    if name:
        assert asyncio.run(ask()) == {}
    else:
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            asyncio.run(ask())


# --- lists ------------------------------------------------------------------------------------------------------------


def test_the_listener_gets_the_items_of_a_list_and_the_reader_none(server, access_of):
    listener = Listener()
    assert talk(server, [(200, PAGE)], access_of, {PATH: listener}) == (200, {**PAGE, 'items': []})
    assert listener.pages == [(True, PAGE['items'])]


def test_a_page_that_continues_a_list_is_told_as_such(server, access_of):
    listener = Listener()
    talk(server, [(200, PAGE)], access_of, {PATH: listener}, path=f'{PATH}?limit=1&continue=abc')
    assert listener.pages == [(False, PAGE['items'])]


@pytest.mark.parametrize(
    ('body', 'path'),
    [
        pytest.param(PAGE, '/api/v1/pods', id='a list of something else'),
        pytest.param({'kind': 'APIResourceList'}, PATH, id='no list'),
        pytest.param([], PATH, id='no mapping'),
    ],
)
def test_what_is_no_list_of_a_watched_path_is_left_alone(server, access_of, body, path):
    listener = Listener()
    assert talk(server, [(200, body)], access_of, {PATH: listener}, path=path) == (200, body)
    assert (listener.pages, listener.times, listener.statuses) == ([], 0, [])


def test_a_list_that_is_refused_is_told_with_its_status(server, access_of):
    listener = Listener()
    assert talk(server, [(403, {'kind': 'Status'})], access_of, {PATH: listener})[0] == 403
    assert (listener.statuses, listener.pages) == ([403], [])


def test_a_list_that_is_cut_short_is_as_a_lost_connection(server, access_of):
    with pytest.raises(aiohttp.ClientPayloadError, match=PATH):
        talk(server, [(200, b'{"items": [')], access_of, {PATH: Listener()})


def test_a_refusal_that_is_no_json_is_told_as_such(server, access_of):
    # kopf expects this error for an answer of something that stands before the API server.
    with pytest.raises(json.JSONDecodeError):
        talk(server, [(502, b'<html>')], access_of, {PATH: Listener()})


# --- watches ----------------------------------------------------------------------------------------------------------


def test_a_watch_is_heard_when_it_opens_and_with_all_that_it_brings(server, access_of):
    listener, go_on = Listener(), asyncio.Event()

    async def watch(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b'{"type": "ADDED"}\n')
        await go_on.wait()
        await response.write(b'{"type": "BOOKMARK"}\n')
        return response

    async def listen(response):
        assert listener.times == 1
        chunks, times = [], []
        async for chunk in response.content.iter_chunked(1024):
            chunks.append(chunk)
            times.append(listener.times)
            go_on.set()
        assert response.content.at_eof()
        return chunks, times

    status, (chunks, times) = talk(server, [watch], access_of, {PATH: listener}, path=f'{PATH}?watch=true', use=listen)
    assert (status, chunks, times) == (200, [b'{"type": "ADDED"}\n', b'{"type": "BOOKMARK"}\n'], [2, 3])


def test_a_watch_that_is_refused_is_told_and_not_heard(server, access_of):
    listener = Listener()
    talk(server, [(410, {'kind': 'Status'})], access_of, {PATH: listener}, path=f'{PATH}?watch=true')
    assert (listener.statuses, listener.times) == ([410], 0)


def test_a_watch_is_read_in_whole_lines_and_what_follows_the_last_is_no_event(server, access_of):
    async def watch(request):
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in (b'{"a', b'":1}', b'\n{"b":2}\n{"c', b'":3}\n{"d":'):
            await response.write(piece)
            await asyncio.sleep(0.01)
        return response

    async def listen(response):
        return b''.join([chunk async for chunk in response.content.iter_chunked(1024)])

    found = talk(server, [watch], access_of, {PATH: Listener()}, path=f'{PATH}?watch=true', use=listen)
    assert found == (200, b'{"a":1}\n{"b":2}\n{"c":3}\n')


def watched(server, access_of, listener, *lines):
    """Return what is read of a watch that brings these lines in one piece."""

    async def watch(request):
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b''.join(lines))
        return response

    async def listen(response):
        return b''.join([chunk async for chunk in response.content.iter_chunked(1024)])

    return talk(server, [watch], access_of, {PATH: listener}, path=f'{PATH}?watch=true', use=listen)[1]


def line(kind, name, version):
    return (
        json.dumps({'type': kind, 'object': {'metadata': {'name': name, 'resourceVersion': version}}}).encode() + b'\n'
    )


def test_the_listener_takes_events_and_kopf_reads_their_versions(server, access_of):
    listener = Listener()
    other = line('BOOKMARK', 'b', '9') + line('ERROR', 'c', '') + b'no JSON\n'
    text = watched(
        server,
        access_of,
        listener,
        line('ADDED', 'a', '7'),
        line('MODIFIED', 'a', '8'),
        other,
        line('DELETED', 'a', '10'),
    )
    assert listener.events == [('ADDED', 'a'), ('MODIFIED', 'a'), ('DELETED', 'a')]
    bookmark = b'{"type":"BOOKMARK","object":{"metadata":{"resourceVersion":"%d"}}}\n'
    assert text == bookmark % 7 + bookmark % 8 + other + bookmark % 10


@pytest.mark.parametrize('document', [{}, {'metadata': None}, {'metadata': {'resourceVersion': 'x'}}])
def test_an_event_of_no_object_is_a_lost_connection(server, access_of, document):
    listener = Listener()
    with pytest.raises(aiohttp.ClientPayloadError):
        watched(server, access_of, listener, json.dumps({'type': 'ADDED', 'object': document}).encode() + b'\n')
    assert listener.events == []
