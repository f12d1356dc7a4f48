"""A request as a client sends it, parsed from one line of text and its headers."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast
from urllib.parse import SplitResult, urlsplit

Scheme = Literal['http', 'https']
Headers = tuple[tuple[str, str], ...]

PORTS = {'http': 80, 'https': 443}
# The client of a request that names none, an address of documentation (RFC 5737).
CLIENT = '192.0.2.1'
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_TARGET = re.compile(r'[!-~]*')
_HOST = re.compile(r'[A-Za-z0-9._*-]+|\[[0-9A-Fa-f:.]+\]')
_HOST_HEADER = re.compile(r'[^\x00-\x20\x7f-\U0010ffff#,/?@\\]*')
_VALUE = re.compile(r'[^\x00-\x08\x0a-\x1f\x7f]*')
# A text with halves of pairs of UTF-16 is no text of a request.
_SURROGATES = re.compile('[\ud800-\udfff]')


class RequestError(ValueError):
    """A text that is no request."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `name` and `port` are those of its URL, to which the client connects; `host` is its Host header.

    Names of `headers` are in lower case, in the order of the request, without Host. `client` is the address that the
    connection comes from. `listener` names one of a Gateway, '' for any. `certificate` tells that the client shows one that
    the listener accepts.
    """

    method: str
    scheme: Scheme
    name: str
    port: int
    path: str
    query: str | None = None
    headers: Headers = ()
    host: str = ''
    client: str = CLIENT
    listener: str = ''
    certificate: bool = False

    def values(self, name: str) -> list[str]:
        """Return the values of a header, one for each line that has it."""
        return [value for each, value in self.headers if each == name]

    def value(self, name: str) -> str | None:
        """Return the value of a header, None where there is none; several lines are joined by commas."""
        values = self.values(name)
        return ','.join(values) if values else None

    @property
    def secure(self) -> bool:
        """Tell whether the connection has TLS."""
        return self.scheme == 'https'

    @property
    def bare_host(self) -> str:
        """Return the host as routes have it: without a port, in lower case, without dots at its end."""
        host = self.host.partition(']')[0] + ']' if self.host.startswith('[') else self.host.partition(':')[0]
        return host.lower().rstrip('.')

    @property
    def sni(self) -> str:
        """Return the server name of the connection's TLS; none where the URL has an address (RFC 6066, section 3)."""
        name = self.name.lower().rstrip('.')
        return '' if not self.secure or _is_address(name) else name

    @property
    def target(self) -> str:
        """Return path and query."""
        return self.path if self.query is None else f'{self.path}?{self.query}'

    def __str__(self) -> str:
        """Return the request's line as it was given."""
        port = '' if self.port == PORTS[self.scheme] else f':{self.port}'
        return f'{self.method} {self.scheme}://{self.name}{port}{self.target}'


def parse(
    line: str,
    headers: Iterable[tuple[str, str]] = (),
    client: str = CLIENT,
    listener: str = '',
    *,
    certificate: bool = False,
) -> Request:
    """Return the request of a line `METHOD URL` or `URL`; raises RequestError.

    The URL is absolute, with scheme `http` or `https`; its host is the Host header where `headers` has none.
    """
    method, _, text = line.strip().rpartition(' ')
    method, url = method.strip() or 'GET', _url(text)
    if not _TOKEN.fullmatch(method):
        raise RequestError(f'{method!r} is no method')
    name, path, query = url.netloc.rpartition('@')[2], url.path or '/', url.query
    has_query = '?' in text
    if not _TARGET.fullmatch(path + query) or not path.startswith('/'):
        raise RequestError(f'{path!r} has characters that no request may have: percent-encode them')
    others = [_header(header, value) for header, value in headers]
    hosts = [value for header, value in others if header == 'host']
    if len(hosts) > 1:
        raise RequestError('a request has one Host header')
    if hosts and not _HOST_HEADER.fullmatch(hosts[0]):
        raise RequestError(f'HAProxy accepts no Host header {hosts[0]!r}')
    if not _is_client(client):
        raise RequestError(f'{client!r} is no address of a client')
    return Request(
        method,
        cast('Scheme', url.scheme),
        _host(url),
        _port(url),
        path,
        query if has_query else None,
        tuple((header, value) for header, value in others if header != 'host'),
        hosts[0] if hosts else name,
        client,
        listener,
        certificate,
    )


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of `NAME: VALUE`; raises RequestError."""
    name, colon, value = text.partition(':')
    if not colon:
        raise RequestError(f'{text!r} is no header: NAME: VALUE')
    return _header(name, value)


def _header(name: str, value: str) -> tuple[str, str]:
    name, value = name.strip().lower(), value.strip()
    if not _TOKEN.fullmatch(name):
        raise RequestError(f'{name!r} is no name of a header')
    if not _VALUE.fullmatch(value) or _SURROGATES.search(value):
        raise RequestError(f'the value of {name} has control characters')
    return name, value


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise RequestError(f'{text!r} is no URL: {error}') from error
    if url.scheme not in PORTS or not url.netloc:
        raise RequestError(f'{text!r} is no URL of scheme http or https')
    if '#' in text:
        raise RequestError(f'{text!r} has a fragment, which no client sends')
    if '@' in url.netloc:
        raise RequestError('a name and password are sent as the header Authorization')
    return url


def _host(url: SplitResult) -> str:
    netloc = url.netloc
    host = netloc.partition(']')[0] + ']' if netloc.startswith('[') else netloc.partition(':')[0]
    if not _HOST.fullmatch(host):
        raise RequestError(f'{host!r} is no host')
    return host


def _port(url: SplitResult) -> int:
    try:
        port = url.port
    except ValueError as error:
        raise RequestError(f'{url.netloc!r} has no port: {error}') from error
    return PORTS[url.scheme] if port is None else port


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.strip('[]'))
    except ValueError:
        return False
    return True


def _is_client(text: str) -> bool:
    return '[' not in text and '%' not in text and _is_address(text)
