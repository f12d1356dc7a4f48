"""A client of HTTP/3, which verifies no certificate."""

import asyncio
import ssl

from aioquic.asyncio import connect
from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import DataReceived, HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ConnectionTerminated

from support.edge import Answer


class _Client(QuicConnectionProtocol):
    """One connection; `ask` sends a request and waits for its answer."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self._http = H3Connection(self._quic)
        self._answers = {}

    async def ask(self, host, method, path, headers, body):
        stream = self._quic.get_next_available_stream_id()
        ended, found = asyncio.get_running_loop().create_future(), Answer(0)
        self._answers[stream] = ended, found
        names = [(':method', method), (':scheme', 'https'), (':authority', host), (':path', path), *headers]
        block = [(name.lower().encode(), value.encode()) for name, value in names]
        self._http.send_headers(stream, block, end_stream=body is None)
        if body is not None:
            self._http.send_data(stream, body, end_stream=True)
        self.transmit()
        return await ended

    def quic_event_received(self, event):
        if isinstance(event, ConnectionTerminated):
            for ended, _ in self._answers.values():
                if not ended.done():
                    ended.set_exception(ConnectionError(event.reason_phrase))
        for item in self._http.handle_event(event):
            ended, found = self._answers[item.stream_id]
            if isinstance(item, HeadersReceived):
                found.headers |= {name.decode(): value.decode() for name, value in item.headers}
                found.status = int(found.headers[':status'])
            elif isinstance(item, DataReceived):
                found.body += item.data
            if item.stream_ended and not ended.done():
                ended.set_result(found)


async def _get(port, hosts, configuration, request, seconds):
    async with asyncio.timeout(seconds):
        async with connect('127.0.0.1', port, configuration=configuration, create_protocol=_Client) as client:
            return [await client.ask(host, *request) for host in hosts]


def get(port, *hosts, path='/', certificate=None, method='GET', headers=(), body=None, seconds=10.0):
    """Send a request for each host on a connection for the first, and return the answers.

    Raises ConnectionError and TimeoutError.
    """
    wanted = QuicConfiguration(is_client=True, alpn_protocols=H3_ALPN, server_name=hosts[0], verify_mode=ssl.CERT_NONE)
    if certificate is not None:
        wanted.load_cert_chain(certificate)
    return asyncio.run(_get(port, hosts, wanted, (method, path, headers, body), seconds))
