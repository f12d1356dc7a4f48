"""The token of an agent outside of the cluster: a file with a token of its ServiceAccount, which nothing else renews.

Promises: when half of its life is over, the API server is asked for another one of the same length, which replaces the file
whole; what stands in the way of that is said once an hour, and shows as trouble when a tenth is left. The token is never logged.
"""

import asyncio
import base64
import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from headrace.kube.calls import CallError, Calls

log = logging.getLogger(__name__)
_STEP_SECONDS = 60.0
_LOG_SECONDS = 3600.0
# Of a token's life: when it is renewed, and when it is trouble that it was not.
_RENEW, _TROUBLE = 0.5, 0.9
_PREFIX = 'system:serviceaccount:'


class TokenError(Exception):
    """What should be the token of a ServiceAccount is none; the message never shows it."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Whose token it is, and from when until when it holds, in seconds since 1970."""

    namespace: str
    account: str
    issued: int
    expires: int

    def is_past(self, share: float, now: float) -> bool:
        """Tell whether this share of its life is over."""
        return now >= self.issued + share * (self.expires - self.issued)


class _Payload(msgspec.Struct):
    sub: str
    iat: int
    exp: int


def claims(token: str) -> Claims:
    """Return what a token says (RFC 7519), which the API server alone verifies; raises TokenError."""
    try:
        _, payload, _ = token.split('.')
        said = msgspec.json.decode(base64.urlsafe_b64decode(payload + '=' * (-len(payload) % 4)), type=_Payload)
    except (ValueError, msgspec.MsgspecError):
        raise TokenError('it is no token of a ServiceAccount that ends at some time') from None
    namespace, _, account = said.sub.removeprefix(_PREFIX).partition(':')
    if not said.sub.startswith(_PREFIX) or not namespace or not account:
        raise TokenError('it is no token of a ServiceAccount')
    return Claims(namespace, account, said.iat, said.exp)


async def request(calls: Calls, namespace: str, account: str, seconds: int) -> str:
    """Return a new token of a ServiceAccount (TokenRequest, authentication.k8s.io/v1); raises CallError.

    The API server may give one that ends earlier.
    """
    body = {'apiVersion': 'authentication.k8s.io/v1', 'kind': 'TokenRequest', 'spec': {'expirationSeconds': seconds}}
    path = f'/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token'
    return str((await calls.call('POST', path, body))['status']['token'])


def write(path: Path, token: str) -> None:
    """Replace a file by one with this token, which only its owner can read; raises OSError."""
    descriptor, temporary = tempfile.mkstemp(prefix=f'.{path.name}-', dir=path.parent)
    try:
        with os.fdopen(descriptor, 'w') as file:
            file.write(token)
        Path(temporary).replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


class TokenRenewal:
    """Keeps the token in a file valid. `problem` says what stands in the way, '' for nothing."""

    def __init__(self, calls: Calls, path: Path, clock: Callable[[], float] = time.time) -> None:
        self._calls, self._path, self._clock = calls, path, clock
        self._logged = float('-inf')
        self.problem = ''

    async def run(self) -> None:
        """Renew it whenever it is time, until cancelled."""
        while True:
            await self.step()
            await asyncio.sleep(_STEP_SECONDS)

    async def step(self) -> None:
        """Renew it if it is time."""
        try:
            said = claims(self._path.read_text().strip())
        except (OSError, UnicodeDecodeError, TokenError) as error:
            # A token without an end needs no renewal, and one that cannot be read shows where requests show it.
            log.debug('the token is not renewed', extra={'error': str(error)})
            self.problem = ''
            return
        now = self._clock()
        if not said.is_past(_RENEW, now):
            self.problem = ''
            return
        try:
            token = await request(self._calls, said.namespace, said.account, said.expires - said.issued)
            write(self._path, token)
        except (CallError, OSError) as error:
            self._note(said, now, str(error))
            return
        log.info('the token is renewed')
        self.problem = ''

    def _note(self, said: Claims, now: float, error: str) -> None:
        left = f'{max(0, said.expires - now):.0f} s left'
        if now - self._logged >= _LOG_SECONDS:
            self._logged = now
            log.warning('the token cannot be renewed', extra={'left': left, 'error': error})
        self.problem = f'cannot be renewed, {left}: {error}' if said.is_past(_TROUBLE, now) else ''
