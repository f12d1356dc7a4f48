"""The ports that the agent itself listens on."""

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from typing import Any

from aiohttp import web

from headrace.agent.connections import Port
from headrace.kube.log_rate_limit import quiet

_BACKLOG = 128
_HTTP: dict[str, Any] = {'access_log': None, 'keepalive_timeout': 15.0, 'max_headers': 64, 'lingering_time': 2.0}
# Where a family of addresses is not to be had, the other one is enough.
_NO_FAMILY = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


class ServingError(Exception):
    """A port cannot be listened on; the message names the option and says why."""


class Serving:
    """What is listened on, and ends with `close`; `note` counts refused connections by option and a word for why."""

    def __init__(self, note: Callable[[str, str], None]) -> None:
        self._note = note
        # It has a line with a traceback for each request that does not parse.
        quiet('aiohttp.server')
        self._runners: list[web.AppRunner] = []
        self._ports: list[Port] = []

    async def listen(
        self, option: str, where: tuple[str, int], application: web.Application, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Serve an application where an option says, and return the address and port; raises ServingError."""
        port = Port(tls, lambda why: self._note(option, why))
        application.middlewares.insert(0, port.follow)
        runner = web.AppRunner(application, **_HTTP)
        self._runners.append(runner)
        await runner.setup()
        assert runner.server is not None
        try:
            sockets = await _bound(*where)
        except OSError as error:
            raise ServingError(f'{option}: {error.strerror or error}') from error
        self._ports.append(port)
        port.listen(sockets, runner.server)
        address, number = sockets[0].getsockname()[:2]
        return str(address), int(number)

    async def close(self) -> None:
        """End all of it."""
        for port in self._ports:
            port.close()
        for runner in self._runners:
            await runner.cleanup()


async def _bound(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at all addresses of a host, '' for any; raises OSError."""
    infos = await asyncio.get_running_loop().getaddrinfo(
        host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    with contextlib.ExitStack() as stack:
        sockets: list[socket.socket] = []
        refusal: OSError | None = None
        for family, *_, address in dict.fromkeys(infos):
            try:
                sockets.append(stack.enter_context(socket.create_server(address, family=family, backlog=_BACKLOG)))
            except OSError as error:
                if error.errno not in _NO_FAMILY:
                    raise
                refusal = error
        if not sockets and refusal is not None:
            raise refusal
        stack.pop_all()
    return sockets
