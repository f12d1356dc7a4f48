"""Small real pods and clients on loopback. All of them live in one event loop, in a thread of its own."""

import asyncio
import contextlib
import itertools
import json
import os
import threading
import time

_SECONDS = 30.0
_CLOSING_SECONDS = 0.5
_NUMBERS = itertools.count(1)
# The example of RFC 6455, section 1.3.
_UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
_KEY, _ACCEPTED = 'dGhlIHNhbXBsZSBub25jZQ==', 's3pPLMBiTxaQ9kYGzzhZRbK+xOo='


def address():
    """Return a loopback address that nothing else in this process, and hardly anything in another one, uses."""
    number = next(_NUMBERS)
    return f'127.{64 + (os.getpid() >> 7) % 128}.{(os.getpid() % 128) * 2 + number // 250 % 2}.{1 + number % 250}'


class Town:
    """The event loop in which pods and clients live; `run` waits for one of its coroutines from outside."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._pods = {}
        self.port = self._free_port()

    def _free_port(self):
        return self.run(self._probe())

    async def _probe(self):
        server = await asyncio.start_server(lambda *_: None, address(), 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        return port

    def run(self, coroutine, seconds=60.0):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def start(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop)

    def pod(self, where=None, name=None):
        """Start a pod, which answers HTTP, and greets TCP clients that say nothing; return its address."""
        where = where or address()
        self._pods[where] = self.run(_Pod(name or where).listen(where, self.port))
        return where

    def pods(self, count):
        return [self.pod() for _ in range(count)]

    def seen(self, where):
        """Return how many requests and TCP connections a pod has had."""
        return self._pods[where].seen

    def stop(self, where):
        """End a pod: its listener and its connections."""
        pod = self._pods.pop(where)
        self.run(pod.close())

    def close(self):
        for where in [*self._pods]:
            self.stop(where)
        self.run(_cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(_SECONDS)
        self.loop.close()


async def _cancel_all():
    loop = asyncio.get_running_loop()
    end = loop.time() + _CLOSING_SECONDS
    while True:
        # A connection that has just been accepted belongs to a task that has to begin before it can close it.
        await asyncio.sleep(0.005)
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Nothing but the loop's own socket is left.
        if len(loop._selector.get_map()) <= 1 or loop.time() > end:
            return


class _Pod:
    """A pod. /wait/SECONDS answers late; /status/CODE with that code; everything else with its name and what it saw."""

    def __init__(self, name):
        self.name, self.seen = name, 0
        self._writers = set()

    async def listen(self, where, port):
        self._server = await asyncio.start_server(self._serve, where, port, backlog=1000)
        return self

    async def close(self):
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader, writer):
        self._writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1')
                await self._answer(head, reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, head, reader, writer):
        if head.startswith('ECHO'):
            self.seen += 1
            writer.write(f'{self.name}\n'.encode())
            while line := await reader.readline():
                writer.write(line)
            return
        lines = head.split('\r\n')
        method, path, _ = lines[0].split(' ')
        headers = {name.lower(): value for name, _, value in (line.partition(': ') for line in lines[1:] if line)}
        body = await reader.readexactly(int(headers.get('content-length', 0)))
        self.seen += 1
        if headers.get('upgrade') == 'websocket':
            writer.write(
                f'HTTP/1.1 101 Switching Protocols\r\n{_UPGRADE}Sec-WebSocket-Accept: {_ACCEPTED}\r\n\r\n'.encode()
            )
            writer.write(f'{self.name}\n'.encode())
            while line := await reader.readline():
                writer.write(line)
            return
        status = '200'
        if path.startswith('/wait/'):
            await asyncio.sleep(float(path.removeprefix('/wait/')))
        if path.startswith('/status/'):
            status = path.removeprefix('/status/')
        said = {'pod': self.name, 'method': method, 'path': path, 'headers': headers, 'length': len(body)}
        text = json.dumps(said).encode()
        writer.write(f'HTTP/1.1 {status} -\r\nContent-Length: {len(text)}\r\n\r\n'.encode() + text)
        await writer.drain()


class Client:
    """A client with one connection, which is kept as long as the other side lets it."""

    def __init__(self, port, host='127.0.0.1'):
        self.host, self.port = host, port
        self._streams = None
        self.connections = 0

    @property
    def closed(self):
        return self._streams is None

    async def ask(self, path='/', host='shop.example.com', method='GET', body=b'', headers=None):
        """Return status, headers and body as an object; a client that finds its connection closed has lost a request."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self.host, self.port)
            self.connections += 1
        reader, writer = self._streams
        lines = [f'{method} {path} HTTP/1.1', f'Host: {host}', *(f'{k}: {v}' for k, v in (headers or {}).items())]
        if method == 'POST':
            lines.append(f'Content-Length: {len(body)}')
        try:
            writer.write('\r\n'.join([*lines, '', '']).encode() + body)
            head = (await reader.readuntil(b'\r\n\r\n')).decode('latin-1').split('\r\n')
            found = {name.lower(): value for name, _, value in (line.partition(': ') for line in head[1:] if line)}
            text = await reader.readexactly(int(found.get('content-length', 0)))
        except BaseException:
            self.close()
            raise
        if found.get('connection') == 'close':
            self.close()
        return int(head[0].split(' ')[1]), found, json.loads(text) if text.startswith(b'{') else text.decode()

    def close(self):
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None


class Load:
    """Clients that ask again and again, and count what was lost: no answer, or one that is no 200."""

    def __init__(self, town, port, *, kept=10, new_each_second=40.0, host='shop.example.com', pause=0.01, where=None):
        self.town, self.port, self.host, self.pause = town, port, host, pause
        # Who balances load between several edges says which one a new connection goes to.
        self.where = where or (lambda: '127.0.0.1')
        self.answered, self.pods, self.lost = 0, {}, []
        self.slowest = 0.0
        self.times = []
        self._stop = False
        self._tasks = [town.start(self._keep(number)) for number in range(kept)]
        if new_each_second:
            self._tasks.append(town.start(self._arrive(1 / new_each_second)))

    async def _one(self, client, number):
        method = 'POST' if number % 3 == 2 else 'GET'
        began = time.monotonic()
        try:
            if client.closed:
                client.host = self.where()
            async with asyncio.timeout(_SECONDS):
                status, _, said = await client.ask('/', self.host, method, b'x' * 100 if method == 'POST' else b'')
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.lost.append(f'{method} {type(error).__name__} {error}')
            return
        self.times.append(time.monotonic() - began)
        if status == 200:
            self.answered += 1
            self.pods[said['pod']] = self.pods.get(said['pod'], 0) + 1
        else:
            self.lost.append(f'{method} {status} {said}')

    async def _keep(self, number):
        client = Client(self.port)
        for turn in itertools.count(number):
            if self._stop:
                break
            await self._one(client, turn)
            await asyncio.sleep(self.pause)
        client.close()

    async def _arrive(self, interval):
        waiting = set()
        due = time.monotonic()
        for turn in itertools.count():
            if self._stop:
                break
            task = asyncio.create_task(self._once(turn))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
            due = max(due + interval, time.monotonic() - 1)
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*waiting)

    async def _once(self, turn):
        client = Client(self.port)
        await self._one(client, turn)
        client.close()

    def stop(self):
        """Let all clients finish what they have asked."""
        self._stop = True
        for task in self._tasks:
            task.result(30)
        return self


@contextlib.contextmanager
def under_load(town, live, **how):
    """Let clients ask meanwhile; what they lost fails the test."""
    load = Load(town, live.ports['http'], **{'kept': 6, 'new_each_second': 30.0, **how})
    yield load
    load.stop()
    assert load.answered > 0
    assert not load.lost, load.lost[:5]


class Talk:
    """A long-lived connection to a pod, which echoes lines: plain TCP, or HTTP that was upgraded for a `host`."""

    def __init__(self, town, port, host=''):
        self.town, self.host = town, host
        self._streams = town.run(asyncio.open_connection('127.0.0.1', port))
        self.pod = town.run(self._begin())

    async def _begin(self):
        if self.host:
            asked = f'GET /chat HTTP/1.1\r\nHost: {self.host}\r\n{_UPGRADE}Sec-WebSocket-Key: {_KEY}\r\n\r\n'
            self._streams[1].write(asked.encode())
            head = await self._streams[0].readuntil(b'\r\n\r\n')
            assert head.startswith(b'HTTP/1.1 101 '), head
        else:
            self._streams[1].write(b'ECHO\r\n\r\n')
        return (await self._streams[0].readline()).decode().strip()

    async def _say(self, text):
        self._streams[1].write(f'{text}\n'.encode())
        with contextlib.suppress(OSError):
            return (await self._streams[0].readline()).decode().strip()
        return ''

    def say(self, text):
        """Say something, and return what came back; '' when the connection has ended."""
        return self.town.run(self._say(text))

    def close(self):
        self.town.run(self._end())

    async def _end(self):
        self._streams[1].transport.abort()
