"""The ports that the agent itself listens on."""

import ssl

from aiohttp import web


class ServingError(Exception):
    """A port cannot be listened on; the message names the option and says why."""


class Serving:
    """What is listened on, and ends with `close`."""

    def __init__(self) -> None:
        self._runners: list[web.AppRunner] = []

    async def listen(
        self, option: str, where: tuple[str, int], application: web.Application, tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Serve an application where an option says, and return the address and port; raises ServingError."""
        runner = web.AppRunner(application, access_log=None)
        self._runners.append(runner)
        await runner.setup()
        try:
            await web.TCPSite(runner, *where, ssl_context=tls).start()
        except OSError as error:
            raise ServingError(f'{option}: {error.strerror or error}') from error
        address, port = runner.addresses[0][:2]
        return str(address), int(port)

    async def close(self) -> None:
        """End all of it."""
        for runner in self._runners:
            await runner.cleanup()
