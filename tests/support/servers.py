"""Small real endpoints: they say at which address they were reached and what they saw.

A connection is for one request, and is closed after the answer. What precedes the request (a PROXY header) is told too.
One listener serves all addresses of 127.0.0.0/8, so any number of endpoints can be there.
"""

import asyncio
import contextlib
import json
import socket
import ssl
import tempfile
import threading
from pathlib import Path

from headrace.names import Ref
from headrace.translate import placeholder_certificates

SLOW = '/slow'
_SLOW_SECONDS = 0.6
_PROXY_V2 = b'\r\n\r\n\0\r\nQUIT\n'
_PREFACE = b'PRI * HTTP/2.0\r\n'
_HEADERS, _SETTINGS = 1, 4


class Endpoints:
    """Endpoints at `port` of every address of 127.0.0.0/8 and of ::1; those at `tls_port` speak TLS.

    The TLS ones show the stand-in certificate of the Secret `one`.
    """

    def __enter__(self):
        self._loop = asyncio.new_event_loop()
        self._servers = []
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port, self.tls_port = self._call(self._listen(None)), self._call(self._listen(_context()))
        return self

    def __exit__(self, *_):
        self._call(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, wanted):
        return asyncio.run_coroutine_threadsafe(wanted, self._loop).result(10)

    async def _listen(self, context):
        for _ in range(50):
            first = socket.create_server(('', 0), backlog=512)
            port = first.getsockname()[1]
            with contextlib.suppress(OSError):
                second = socket.create_server(('::1', port), family=socket.AF_INET6)
                for sock in (first, second):
                    self._servers.append(await asyncio.start_server(self._serve, sock=sock, ssl=context))
                return port
            first.close()
        raise AssertionError('no port is free for the endpoints')

    async def _end(self):
        for server in self._servers:
            server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader, writer):
        # A client that goes away, or speaks TLS badly, is its own affair.
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            await self._answer(reader, writer)
        writer.close()
        with contextlib.suppress(OSError, ssl.SSLError):
            await writer.wait_closed()

    async def _answer(self, reader, writer):
        address = writer.get_extra_info('sockname')[0]
        proxy, line = await _first_line(reader)
        if line == _PREFACE:
            await _answer_h2(reader, writer, address)
            return
        seen = {}
        while (header := (await reader.readline()).decode().strip()) != '':
            name, _, value = header.partition(':')
            seen[name.lower()] = value.strip()
        path = line.decode().split(' ')[1] if b' ' in line else ''
        if path.startswith(SLOW):
            await asyncio.sleep(_SLOW_SECONDS)
        body = json.dumps({'at': address, 'path': path, 'proxy': proxy, 'seen': seen}).encode()
        head = f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nServer: endpoint\r\nConnection: close\r\n\r\n'
        writer.write(head.encode() + body)
        await writer.drain()


def _context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(['h2', 'http/1.1'])
    with tempfile.NamedTemporaryFile(suffix='.pem') as file:
        Path(file.name).write_bytes(placeholder_certificates.certificate(Ref('Secret', '', 'one'))[0])
        context.load_cert_chain(file.name)
    return context


async def _first_line(reader):
    """Return which PROXY header came, and the first line after it."""
    line = await reader.readline()
    if line.startswith(b'PROXY '):
        return 'v1', await reader.readline()
    if line == _PROXY_V2[:2]:
        head = line + await reader.readexactly(len(_PROXY_V2) + 4 - len(line))
        assert head.startswith(_PROXY_V2)
        await reader.readexactly(int.from_bytes(head[-2:]))
        return 'v2', await reader.readline()
    return '', line


async def _answer_h2(reader, writer, address):
    """Answer one request of HTTP/2: its settings, and then 200 with the address (RFC 9113, section 4)."""
    await reader.readexactly(len(b'\r\nSM\r\n\r\n'))
    writer.write(_frame(_SETTINGS, 0, 0, b'') + _frame(_SETTINGS, 1, 0, b''))
    while True:
        head = await reader.readexactly(9)
        await reader.readexactly(int.from_bytes(head[:3]))
        if head[3] == _HEADERS:
            stream, body = int.from_bytes(head[5:]), json.dumps({'at': address, 'path': 'h2'}).encode()
            # 0x88 is `:status: 200` of HPACK's static table.
            writer.write(_frame(_HEADERS, 4, stream, b'\x88') + _frame(0, 1, stream, body))
            await writer.drain()
            return


def _frame(kind, flags, stream, payload):
    return len(payload).to_bytes(3) + bytes([kind, flags]) + stream.to_bytes(4) + payload
