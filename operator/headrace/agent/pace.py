"""The pace of work for a page: in pieces of some milliseconds, so that changes do not wait for it."""

import asyncio
import time

_SECONDS = 0.004


class Pace:
    """One piece of work on the event loop."""

    def __init__(self) -> None:
        self._since = time.monotonic()

    async def rest(self) -> None:
        """Let the loop do other work when this one has had it for some milliseconds."""
        if time.monotonic() - self._since >= _SECONDS:
            await asyncio.sleep(0)
            self._since = time.monotonic()
