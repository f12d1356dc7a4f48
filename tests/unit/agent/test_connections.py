"""Connections to the agent's own ports: their limits, by real sockets."""

import asyncio
import contextlib
import socket
import ssl
import time
from collections import Counter

import pytest
from aiohttp import web

from headrace.agent import connections, own_certificate
from headrace.agent.serving import Serving, ServingError

ASK = b'GET /livez HTTP/1.1\r\nHost: a\r\n\r\n'


async def until(true):
    while True:
        if true():
            return
        await asyncio.sleep(0.01)


class Port:
    """A port that answers, and what it noted."""

    def __init__(self):
        self.noted, self.where, self.held = Counter(), None, asyncio.Event()
        self.writers = []
        self.serving = Serving(lambda option, why: self.noted.update([why]))

    async def start(self, tls=None):
        application = web.Application()
        application.add_routes(
            [web.get('/livez', self.livez), web.get('/wait', self.wait), web.get('/big/{size}', self.big)]
        )
        self.where = await self.serving.listen('--admin', ('127.0.0.1', 0), application, tls)

    async def livez(self, _):
        return web.Response(text='alive')

    async def wait(self, _):
        await self.held.wait()
        return web.Response(text='late')

    async def big(self, request):
        return web.Response(body=b'x' * int(request.match_info['size']))

    async def connect(self, source='127.0.0.1', **how):
        reader, writer = await asyncio.open_connection(*self.where, local_addr=(source, 0), **how)
        self.writers.append(writer)
        return reader, writer

    async def ask(self, source='127.0.0.1', text=ASK):
        """Return the first line of the answer, '' for a connection that ends."""
        try:
            reader, writer = await self.connect(source)
            writer.write(text)
            line = await asyncio.wait_for(reader.readline(), 10)
        except OSError:
            return ''
        return line.decode().strip()

    async def count(self, why, least=1):
        await until(lambda: self.noted[why] >= least)


def run(work, tls=None):
    """Let a coroutine function work with a port."""

    async def whole():
        port = Port()
        await port.start(tls)
        try:
            async with asyncio.timeout(30):
                return await work(port)
        finally:
            port.held.set()
            for writer in port.writers:
                writer.transport.abort()
            await asyncio.gather(*(writer.wait_closed() for writer in port.writers), return_exceptions=True)
            await port.serving.close()

    return asyncio.run(whole())


def unverified():
    """Return what a client verifies nothing by."""
    found = ssl.create_default_context()
    found.check_hostname, found.verify_mode = False, ssl.CERT_NONE
    return found


async def ended(reader):
    with contextlib.suppress(OSError):
        while await reader.read(65536):
            pass
    return True


@pytest.fixture
def short(monkeypatch):
    for name in ('_HANDSHAKE_SECONDS', '_REQUEST_SECONDS', '_READ_SECONDS'):
        monkeypatch.setattr(connections, name, 0.2)


def test_a_client_that_sends_nothing_or_half_a_request_is_ended(short):
    async def work(port):
        for text in (b'', b'GET /livez HT', ASK[:-2], b'GET /wait HTTP/1.1\r\nX: '):
            reader, writer = await port.connect()
            writer.write(text)
            assert await ended(reader)
        assert port.noted == {'slow': 4}
        assert await port.ask() == 'HTTP/1.1 200 OK'

    run(work)


def test_a_client_that_drips_its_header_is_ended(short):
    async def work(port):
        reader, writer = await port.connect()
        ending = asyncio.create_task(ended(reader))
        for byte in b'GET /livez HTTP/1.1\r\n' + b'X-A: b\r\n' * 1000:
            writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
            if ending.done():
                break
        assert await ending
        assert port.noted == {'slow': 1}

    run(work)


def test_a_client_that_does_not_read_its_answer_is_ended(short):
    async def work(port):
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        held.connect(port.where)
        held.sendall(b'GET /big/20000000 HTTP/1.1\r\nHost: a\r\n\r\n')
        await port.count('slow')
        await until(lambda: not port.serving._ports[0]._open)
        held.close()

    run(work)


def test_answers_that_are_not_read_are_bounded_and_the_peer_with_the_most_ends_first():
    async def work(port):
        async def deaf(source, size):
            reader, writer = await port.connect(source, limit=1024)
            writer.write(b'GET /big/%d HTTP/1.1\r\nHost: a\r\n\r\n' % size)
            return reader

        (made,) = port.serving._ports
        await deaf('127.0.0.7', 12_000_000)
        await until(lambda: any(each.unread for each in made._open))
        for number in range(5):
            last = await deaf('127.0.0.8', 18_000_000)
            await port.count('unread', number)
            await until(lambda: len(made._open) == 2 and all(each.unread for each in made._open))
        assert sum(each.unread for each in made._open) <= connections.MOST_UNREAD
        assert port.noted == {'unread': 4}
        assert [each.peer for each in made._open] == ['127.0.0.7', '127.0.0.8']
        # The newest one is whole.
        assert await last.readline() == b'HTTP/1.1 200 OK\r\n'

    run(work)


def test_a_connection_serves_several_requests():
    async def work(port):
        reader, writer = await port.connect()
        for _ in range(3):
            writer.write(ASK)
            assert (await reader.readuntil(b'alive')).startswith(b'HTTP/1.1 200 OK')
        writer.close()
        assert await ended(reader)
        assert not port.noted

    run(work)


@pytest.mark.parametrize(
    'text',
    [
        pytest.param(b'GET /livez HTTP/1.1\r\nHost: a\r\nX: ' + b'x' * 20_000, id='a long header'),
        pytest.param(b'GET /' + b'x' * 20_000, id='a long line'),
        pytest.param(b'GET /livez HTTP/1.1\r\n' + b'A: b\r\n' * 10_000, id='many headers'),
        pytest.param(b'POST /wait HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999\r\n\r\n' + b'x' * 9_999_999, id='a body'),
    ],
)  # fmt: skip
def test_a_request_that_is_too_large_is_refused(text):
    async def work(port):
        reader, writer = await port.connect()
        writer.write(text)
        with contextlib.suppress(ConnectionError):
            assert (await reader.readline()).partition(b' ')[2][:3] in (b'', b'400', b'405')
        assert await ended(reader)

    run(work)


def test_requests_that_are_sent_ahead_are_bounded():
    async def work(port):
        reader, writer = await port.connect()
        writer.write(b'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
        writer.write(ASK * 10_000)
        await port.count('large')
        assert await ended(reader)

    run(work)


def test_of_one_peer_the_oldest_connection_gives_way_to_a_new_one():
    async def work(port):
        held = [await port.connect() for _ in range(connections.MOST_BY_PEER)]
        assert await port.ask() == 'HTTP/1.1 200 OK'
        assert await ended(held[0][0])
        assert port.noted == {'older': 1}
        held[1][1].write(ASK)
        assert (await held[1][0].readline()) == b'HTTP/1.1 200 OK\r\n'

    run(work)


def test_at_the_total_the_peer_with_the_most_connections_gives_way():
    async def work(port):
        held = []
        for number in range(8):
            held += [await port.connect(f'127.0.0.{number + 2}') for _ in range(connections.MOST_BY_PEER)]
        held[-1][1].close()
        assert await ended(held[-1][0])
        await until(lambda: len(port.serving._ports[0]._open) < connections.MOST)
        few = await port.connect('127.0.0.20')
        assert await port.ask('127.0.0.21') == 'HTTP/1.1 200 OK'
        assert await ended(held[0][0])
        few[1].write(ASK)
        assert (await few[0].readline()) == b'HTTP/1.1 200 OK\r\n'

    run(work)


def test_a_connection_whose_request_is_answered_does_not_give_way():
    async def work(port):
        held = [await port.connect() for _ in range(connections.MOST_BY_PEER)]
        for _, writer in held:
            writer.write(b'GET /wait HTTP/1.1\r\nHost: a\r\n\r\n')
        await until(lambda: sum(each.busy for each in port.serving._ports[0]._open) == len(held))
        assert await port.ask() == ''
        assert port.noted == {'full': 1}
        assert await port.ask('127.0.0.9') == 'HTTP/1.1 200 OK'
        port.held.set()
        for reader, _ in held:
            assert await reader.readline() == b'HTTP/1.1 200 OK\r\n'

    run(work)


def test_handshakes_that_do_not_come_are_ended_and_do_not_keep_others_out(short):
    async def work(port):
        tls = unverified()
        silent = [await port.connect() for _ in range(5)]
        reader, writer = await port.connect(ssl=tls)
        writer.write(ASK)
        assert await reader.readline() == b'HTTP/1.1 200 OK\r\n'
        for each, _ in silent:
            assert await ended(each)
        writer.close()
        await until(lambda: not port.serving._ports[0]._open)

    run(work, own_certificate.context('agent'))


def test_handshakes_are_begun_at_a_bounded_rate():
    async def work(port):
        began = time.monotonic()
        for _ in range(300):
            await port.connect()
        seconds = time.monotonic() - began
        await port.count('handshakes', 300 - int((2 + seconds) * connections.HANDSHAKES_BY_PEER) - 1)
        # Another peer has handshakes of its own.
        reader, writer = await port.connect('127.0.0.9', ssl=unverified())
        writer.write(ASK)
        assert await reader.readline() == b'HTTP/1.1 200 OK\r\n'

    run(work, own_certificate.context('agent'))


def test_without_file_descriptors_it_accepts_again_later(monkeypatch):
    async def work(port):
        real, failing = socket.socket.accept, [True]

        def accept(listener):
            if failing:
                raise OSError(24, 'Too many open files')
            return real(listener)

        monkeypatch.setattr(connections.socket.socket, 'accept', accept)
        asked = asyncio.create_task(port.ask())
        await port.count('descriptors', 2)
        failing.clear()
        assert await asked == 'HTTP/1.1 200 OK'

    run(work)


def test_a_port_that_is_taken_is_named():
    async def work(port):
        with pytest.raises(ServingError, match=r'--api: .*[Aa]ddress already in use'):
            await port.serving.listen('--api', port.where, web.Application())
        with pytest.raises(ServingError, match='--api: '):
            await port.serving.listen('--api', ('nowhere.invalid', 0), web.Application())

    run(work)


def test_without_an_address_it_listens_at_all():
    async def work(port):
        _, number = await port.serving.listen('--api', ('', 0), web.Application())
        port.where = ('127.0.0.5', number)
        assert await port.ask() == 'HTTP/1.1 404 Not Found'

    run(work)
