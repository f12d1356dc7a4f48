"""Who may see the dashboard: this host, those whose token the API server authorises, or those whom a proxy names."""

import ipaddress
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from aiohttp import web

from headrace import buckets
from headrace.agent import guard
from headrace.kube.reviews import Answer, Reviews, ReviewsBusyError, ReviewUnavailableError

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
COOKIE = 'headrace-session'
_SCHEME = 'Bearer '
# A session ends after so many seconds, and of so many the oldest gives way.
SESSION_SECONDS, MOST_SESSIONS = 8 * 3600.0, 256
LONGEST_TOKEN = 16_384


class AccessError(Exception):
    """A request is refused: with this status, for this reason. `sign_in` tells that a token helps."""

    def __init__(self, status: int, message: str, *, sign_in: bool = False) -> None:
        super().__init__(message)
        self.status, self.sign_in = status, sign_in


class Access(Protocol):
    """Decides about requests."""

    @property
    def signs_in(self) -> bool:
        """Tell whether users sign in by a token."""

    async def judge(self, request: web.Request) -> None:
        """Let a request pass, or raise AccessError."""


def peer(request: web.Request) -> str:
    """Return the address that a request comes from, '' where nothing tells it."""
    found = request.transport.get_extra_info('peername') if request.transport is not None else None
    return str(found[0]) if found is not None else ''


class OfThisHost:
    """Requests on loopback, and meant for it: no page of another host in a browser gets anything."""

    signs_in = False

    async def judge(self, request: web.Request) -> None:
        """Let a request of this host pass."""
        if not guard.is_local(request):
            raise AccessError(403, 'the dashboard is for 127.0.0.1 and localhost alone, unless it has --auth')


@dataclass(frozen=True, slots=True)
class OfProxy:
    """Requests that a reverse proxy in one of these networks has authenticated, as a header with the user's name tells."""

    header: str
    networks: tuple[Network, ...]
    signs_in: bool = False

    async def judge(self, request: web.Request) -> None:
        """Let a request pass that comes from such a proxy with a user."""
        try:
            address = ipaddress.ip_address(peer(request))
        except ValueError:
            raise AccessError(403, 'nothing tells where this request comes from') from None
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        if not any((mapped or address) in network for network in self.networks):
            raise AccessError(403, 'this address is no proxy that is trusted (--trusted-proxy)')
        values = request.headers.getall(self.header, [])
        if len(values) != 1 or not values[0].strip():
            raise AccessError(403, 'the proxy names no user')


@dataclass(slots=True)
class Sessions:
    """Who has signed in: tokens by session, in memory alone."""

    clock: Callable[[], float] = time.monotonic
    _tokens: dict[str, tuple[str, float]] = field(default_factory=dict)

    def begin(self, token: str) -> str:
        """Return a new session for a token."""
        if len(self._tokens) >= MOST_SESSIONS:
            del self._tokens[next(iter(self._tokens))]
        name = secrets.token_urlsafe(32)
        self._tokens[name] = token, self.clock() + SESSION_SECONDS
        return name

    def token(self, name: str) -> str:
        """Return the token of a session, '' where there is none any more."""
        token, until = self._tokens.get(name, ('', 0.0))
        if until <= self.clock():
            self.end(name)
            return ''
        return token

    def end(self, name: str) -> None:
        """Forget a session."""
        self._tokens.pop(name, None)


class OfToken:
    """Requests with a token, in `Authorization` or by a session, that has the right to see what agents serve."""

    signs_in = True

    def __init__(self, reviews: Reviews) -> None:
        self._reviews, self.sessions = reviews, Sessions()

    async def judge(self, request: web.Request) -> None:
        """Let a request pass whose token has the right."""
        authorization = request.headers.get('Authorization', '')
        token = authorization[len(_SCHEME) :].strip() if authorization.startswith(_SCHEME) else ''
        token = token or self.sessions.token(request.cookies.get(COOKIE, ''))
        if not token:
            raise AccessError(401, 'sign in', sign_in=True)
        await self.review(token, request)

    async def review(self, token: str, request: web.Request) -> None:
        """Ask the API server about a token; raises AccessError where it has not the right."""
        if len(token) > LONGEST_TOKEN:
            raise AccessError(401, 'that is no token', sign_in=True)
        try:
            answer = await self._reviews.judge(token, buckets.peer(peer(request)))
        except ReviewsBusyError:
            raise AccessError(429, 'too many tokens are being judged; try again') from None
        except ReviewUnavailableError:
            raise AccessError(503, 'the API server does not judge tokens now') from None
        if answer is Answer.UNKNOWN:
            raise AccessError(401, 'the API server does not know this token', sign_in=True)
        if answer is Answer.FORBIDDEN:
            raise AccessError(403, f'this token has no right to {self._reviews.right}', sign_in=True)


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Return networks of CIDRs; raises ValueError."""
    return tuple(ipaddress.ip_network(text.strip()) for text in texts)
