"""Send a request to two controllers, and say in what the answers differ. Redirects are not followed, bodies not compared."""

import http.client
import socket
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headrace.migration.request_lines import Request

_HTTP, _HTTPS = 80, 443
_WITH_LENGTH = frozenset(('POST', 'PUT', 'PATCH'))


@dataclass(frozen=True, slots=True)
class Address:
    """Where a controller answers: a name or address, and its ports for HTTP and HTTPS."""

    host: str
    http: int = _HTTP
    https: int = _HTTPS


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer: its status, the first value of each header by lower-case name; or why there is none."""

    status: int = 0
    headers: Mapping[str, str] | None = None
    error: str = ''


@dataclass(frozen=True, slots=True)
class Difference:
    """What differs between two answers: `status`, `location`, another header, or `error`; '' stands for none."""

    what: str
    old: str
    new: str


def ask(address: Address, request: Request, timeout: float, *, verify: bool) -> Answer:
    """Send a request to a controller, and return its answer."""
    port = address.https if request.tls else address.http
    connection = http.client.HTTPConnection(address.host, port, timeout=timeout)
    try:
        if request.tls:
            raw = socket.create_connection((address.host, port), timeout)
            connection.sock = _context(verify=verify).wrap_socket(raw, server_hostname=request.host)
        connection.putrequest(request.method, request.target, skip_host=True, skip_accept_encoding=True)
        connection.putheader('Host', request.host)
        connection.putheader('User-Agent', 'headrace-migrate')
        connection.putheader('Connection', 'close')
        if request.method in _WITH_LENGTH:
            connection.putheader('Content-Length', '0')
        connection.endheaders()
        response = connection.getresponse()
        headers = {name.lower(): value for name, value in reversed(response.getheaders())}
        return Answer(response.status, headers)
    except (OSError, http.client.HTTPException, UnicodeError) as error:
        return Answer(error=f'{type(error).__name__}: {error}')
    finally:
        connection.close()


def _context(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def differences(old: Answer, new: Answer, headers: Iterable[str]) -> tuple[Difference, ...]:
    """Return in what two answers differ: status, location, and the headers named."""
    if old.error or new.error:
        return (Difference('error', old.error, new.error),)
    pairs = [('status', str(old.status), str(new.status))]
    before, after = old.headers or {}, new.headers or {}
    pairs += [(name, before.get(name, ''), after.get(name, '')) for name in ('location', *map(str.lower, headers))]
    return tuple(Difference(*pair) for pair in pairs if pair[1] != pair[2])
