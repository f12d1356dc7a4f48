"""Our own calls to the API server over the session that is there already: lists for the sweep, and one's own Lease.

Every call has a deadline. What the server refuses is a typed error with its reason; 429 and 5xx are tried again, with
the pause that the server asks for, until the deadline.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp
import msgspec

from headrace.kube.resources import Resource

_DEADLINE_SECONDS = 15.0
_LONGEST_PAUSE = 5.0
_CONFLICT, _NOT_FOUND, _FORBIDDEN, _TOO_MANY, _SERVER = 409, 404, 403, 429, 500


class CallError(Exception):
    """A call did not succeed within its time; `reason` is the server's (`Status.reason`), '' when it said none."""

    def __init__(self, message: str, reason: str = '') -> None:
        super().__init__(message)
        self.reason = reason


class NotFoundError(CallError):
    """There is no such object."""


class ConflictError(CallError):
    """The object was changed meanwhile, or it exists already."""


class ForbiddenError(CallError):
    """A right is missing; the message names it."""


_ERRORS: Mapping[int, type[CallError]] = {
    _NOT_FOUND: NotFoundError,
    _CONFLICT: ConflictError,
    _FORBIDDEN: ForbiddenError,
}


class Calls:
    """Calls by path; the caller owns the session, which is asked for each time.

    With `persistent`, calls whose connection is lost are tried again until the deadline too.
    """

    def __init__(self, server: str, session: Callable[[], aiohttp.ClientSession], *, persistent: bool = False) -> None:
        self._server, self._session, self._persistent = server, session, persistent

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content: str = 'application/json',
    ) -> Any:
        """Return what the server answers; raises CallError and its kinds."""
        data = None if body is None else msgspec.json.encode(body)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                return await self._retry(method, path, data, query or {}, content)
        except (TimeoutError, aiohttp.ClientError, msgspec.DecodeError) as error:
            raise CallError(f'{method} {path}: {str(error) or type(error).__name__}') from error

    async def _retry(self, method: str, path: str, data: bytes | None, query: Mapping[str, str], content: str) -> Any:
        pause = 0.1
        while True:
            delay = pause
            try:
                headers = {'Content-Type': content} if data else {}
                async with self._session().request(
                    method, f'{self._server}{path}', params=query, data=data, headers=headers
                ) as response:
                    raw = await response.read()
                status = response.status
                if status < 300:  # noqa: PLR2004
                    return msgspec.json.decode(raw) if raw else None
                if status != _TOO_MANY and status < _SERVER:
                    raise refusal(f'{method} {path}', status, raw)
                retry_after = response.headers.get('Retry-After', '')
                delay = max(float(retry_after), pause) if retry_after.isascii() and retry_after.isdigit() else pause
            except aiohttp.ClientConnectionError:
                if not self._persistent:
                    raise
            await asyncio.sleep(min(delay, _LONGEST_PAUSE) * random.uniform(1.0, 1.5))  # noqa: S311  spreads load
            pause = min(pause * 2, _LONGEST_PAUSE)

    async def pages(self, path: str, resource: Resource, size: int) -> AsyncIterator[dict[str, Any]]:
        """Yield the pages of a list, as of one moment; raises CallError."""
        query = {'limit': str(size)}
        if resource.label_selector:
            query['labelSelector'] = resource.label_selector
        if resource.field_selector:
            query['fieldSelector'] = resource.field_selector
        while True:
            body = await self.call('GET', path, query=query)
            yield body
            if not (token := body['metadata'].get('continue')):
                return
            query['continue'] = token


def refusal(request: str, status: int, raw: bytes) -> CallError:
    """Return the typed error for an answer of the API server (a Status, or whatever stood in its way)."""
    try:
        status_document = msgspec.json.decode(raw)
        message, reason = str(status_document.get('message', '')), str(status_document.get('reason', ''))
    except (msgspec.DecodeError, AttributeError):
        message, reason = raw[:200].decode(errors='replace'), ''
    return _ERRORS.get(status, CallError)(f'{request}: {status} {message}', reason)
