"""Real clients and servers talk through reloads: WebSocket and gRPC, in the clear and by TLS."""

import asyncio
import queue
import ssl
import threading

import aiohttp
import grpc
import pytest
from aiohttp import web

from support import certificates
from support.grpc_echo import EchoServer, call, channel
from support.live import until
from support.objects import endpoint_slice, service
from support.traffic import address

HOST = 'chat.example.com'


async def _chat(request):
    """Echo messages; `bye` ends with a code and a reason of our own."""
    talk = web.WebSocketResponse(protocols=('chat.v2',), max_msg_size=1 << 24)
    await talk.prepare(request)
    async for message in talk:
        if message.type is aiohttp.WSMsgType.BINARY:
            await talk.send_bytes(message.data)
        elif message.data == 'bye':
            await talk.close(code=4001, message=b'as you wish')
        else:
            await talk.send_str(f'{message.data}!')
    return talk


class Chat:
    """The server, and clients of it, in the town's event loop."""

    def __init__(self, town):
        self.town, self.where = town, address()
        self.runner, self.port = town.run(self._serve())

    async def _serve(self):
        app = web.Application()
        app.router.add_get('/chat', _chat)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, self.where, 0)
        await site.start()
        return runner, runner.addresses[0][1]

    def close(self):
        self.town.run(self.runner.cleanup())

    def connect(self, url, certificate):
        return self.town.run(self._connect(url, certificate))

    async def _connect(self, url, certificate):
        context = ssl.create_default_context(cadata=certificate.decode()) if url.startswith('wss') else True
        # The name is the host's, and the address this machine's.
        session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=_Here(), ssl=context))
        return session, await session.ws_connect(url, protocols=('chat.v1', 'chat.v2'), max_msg_size=1 << 24)


class _Here(aiohttp.abc.AbstractResolver):
    async def resolve(self, host, port=0, family=0):
        return [{'hostname': host, 'host': '127.0.0.1', 'port': port, 'family': family, 'proto': 0, 'flags': 0}]

    async def close(self):
        """There is nothing to close."""


async def _say(talk, text):
    async with asyncio.timeout(10):
        await talk.send_str(text)
        return (await talk.receive()).data


async def _send(talk, data):
    async with asyncio.timeout(10):
        await talk.send_bytes(data)
        return (await talk.receive()).data


async def _end(session, talk):
    async with asyncio.timeout(10):
        await talk.send_str('bye')
        last = await talk.receive()
        await session.close()
        return last.type, talk.close_code, last.extra


@pytest.fixture
def chat(town):
    """The server."""
    found = Chat(town)
    yield found
    found.close()


def test_websockets_stay_open_over_a_reload_and_end_as_their_server_says(make_live, town, chat):
    key, certificate = certificates.for_names(HOST)
    live = make_live()
    live.put(
        'chat',
        service('chat', annotations={'host': HOST, 'tls-secret': 'tls', 'tls-redirect': 'false'}),
        endpoint_slice('chat', addresses=[chat.where], port=chat.port),
        {**certificates.tls_secret('tls', key, certificate)},
    )
    live.start()
    urls = [f'ws://{HOST}:{live.ports["http"]}/chat', f'wss://{HOST}:{live.ports["https"]}/chat']
    talks = [chat.connect(url, certificate) for url in urls]
    assert [talk.protocol for _, talk in talks] == ['chat.v2', 'chat.v2']
    worker = live.worker()
    live.web([chat.where], chat.port, 'other', 'other.example.com', {'retries': '7'})
    until(lambda: live.reloads() and live.worker() != worker, 'HAProxy is reloaded')
    big = bytes(range(256)) * 4000
    for session, talk in talks:
        assert town.run(_say(talk, 'still here')) == 'still here!'
        assert town.run(_send(talk, big)) == big
        assert town.run(_end(session, talk)) == (aiohttp.WSMsgType.CLOSE, 4001, 'as you wish')


def calls(unary, stop, failed):
    """Call again and again, and keep what failed."""
    while not stop.is_set():
        try:
            unary(b'abc', timeout=10)
        except grpc.RpcError as error:
            failed.append(str(error))


@pytest.mark.parametrize('secure', [False, True], ids=['in the clear', 'by TLS'])
def test_grpc_loses_no_call_and_no_stream_over_reloads(make_live, secure):
    key, certificate = certificates.for_names(HOST)
    live, said, stop, failed = make_live(reloadInterval='0s'), queue.SimpleQueue(), threading.Event(), []
    with EchoServer() as server:
        live.put(
            'chat',
            service(
                'chat',
                annotations={
                    'host': HOST,
                    'tls-secret': 'tls',
                    'tls-redirect': 'false',
                    'backend-protocol': 'h2c',
                },
            ),
            endpoint_slice('chat', addresses=['127.0.0.1'], port=server.port),
            certificates.tls_secret('tls', key, certificate),
        )
        live.start()
        port = live.ports['https' if secure else 'http']
        with channel(port, HOST, certificate if secure else None) as made:
            talk = call(made, 'stream_stream', 'Talk')(iter(said.get, None), timeout=60)
            said.put(b'first')
            assert next(talk) == b'FIRST'
            caller = threading.Thread(target=calls, args=(call(made, 'unary_unary', 'Unary'), stop, failed))
            caller.start()
            for number in range(3):
                live.web(['127.0.0.1'], server.port, 'other', 'other.example.com', {'retries': str(number + 5)})
                until(lambda: live.times('reloaded') > number, 'HAProxy is reloaded')  # noqa: B023
                said.put(b'again')
                assert next(talk) == b'AGAIN'
            stop.set()
            caller.join()
            said.put(None)
            assert [*talk] == []
    assert failed == []
