"""Access to the pages for administrators: requests on loopback, or with a token that the API server authorises.

A token is in a header of its own, because the API server's proxy to pods removes `Authorization`; that counts too.
"""

import ipaddress

from aiohttp import web

from headrace import buckets
from headrace.agent.pages import Handler
from headrace.kube.reviews import Answer, Reviews, ReviewsBusyError, ReviewUnavailableError

TOKEN = 'X-Headrace-Token'  # noqa: S105  the name of a header
_SCHEME = 'Bearer '


def is_local(request: web.Request) -> bool:
    """Tell whether a request comes from this host's loopback, and was meant for it.

    A proxy on this host, HAProxy among them, may connect from loopback too; it passes on the Host that its client sent.
    """
    peer = _peer(request)
    host = request.host.rpartition(':')[0] if not request.host.endswith(']') else request.host
    host = (host or request.host).strip('[]')
    return _is_loopback(peer) and (host == 'localhost' or _is_loopback(host))


def _peer(request: web.Request) -> str:
    """Return the address of the client, '' where nothing tells it."""
    peername = request.transport.get_extra_info('peername') if request.transport is not None else None
    return str(peername[0]) if peername is not None else ''


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback


def local(handler: Handler) -> Handler:
    """Return a handler that answers requests on loopback alone."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        if not is_local(request):
            return _refusal(403, 'this page is for 127.0.0.1; elsewhere it is served by --api, for a token')
        return await handler(request)

    return guarded


def by_token(handler: Handler, reviews: Reviews) -> Handler:
    """Return a handler that answers those whose token has the right."""

    async def guarded(request: web.Request) -> web.StreamResponse:
        authorization = request.headers.get('Authorization', '')
        token = request.headers.get(TOKEN, '') or authorization[len(_SCHEME) :] * authorization.startswith(_SCHEME)
        if not token:
            return _refusal(401, f'a token is missing: send it as {TOKEN}')
        try:
            answer = await reviews.judge(token.strip(), buckets.peer(_peer(request)))
        except ReviewsBusyError:
            return _refusal(429, 'too many tokens are being judged', {'Retry-After': '1'})
        except ReviewUnavailableError:
            return _refusal(503, 'the API server does not judge tokens now')
        if answer is Answer.UNKNOWN:
            return _refusal(401, 'the API server does not know this token')
        if answer is Answer.FORBIDDEN:
            return _refusal(403, f'this token has no right to {reviews.right}')
        return await handler(request)

    return guarded


def _refusal(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({'error': message}, status=status, headers=headers)
