"""Requests to compare two controllers by, from a file of URLs or an access log. Pure."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

SAFE_METHODS = frozenset(('GET', 'HEAD'))
_METHOD = re.compile(r'[A-Z]{1,20}')
_LOGGED = re.compile(r'"([A-Z]{1,20}) (/[^" ]*) HTTP/[0-9.]+"')
_TARGET = re.compile(r'/[\x21-\x7e]{0,8191}')
_HOST = re.compile(r'[A-Za-z0-9.-]{1,253}')


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """A request: whether it is over TLS, its host, its target (path and query) and its method."""

    tls: bool
    host: str
    target: str
    method: str = 'GET'

    def __str__(self) -> str:
        """Return method and URL."""
        return f'{self.method} {"https" if self.tls else "http"}://{self.host}{self.target}'


@dataclass(frozen=True, slots=True)
class RequestLines:
    """The requests of a file, each once, and how many lines hold none."""

    requests: tuple[Request, ...]
    unread: int


def parse(lines: Iterable[str], host: str = '', *, tls: bool = False) -> RequestLines:
    """Return the requests of lines; `host` and `tls` are for lines of access logs that do not say theirs.

    A line is a URL, a method and a URL, a line of an access log with the request in quotes, or a JSON object with `host`,
    `method` and `path` or `uri`. Empty lines and those that begin with # hold nothing.
    """
    requests: dict[Request, None] = {}
    unread = 0
    for line in lines:
        text = line.strip()
        if not text or text.startswith('#'):
            continue
        request = (
            _of_json(text, host, tls=tls) if text.startswith('{') else _of_log(text, host, tls=tls) or _of_url(text)
        )
        if request is None:
            unread += 1
        else:
            requests[request] = None
    return RequestLines(tuple(requests), unread)


def _request(host: object, target: object, method: object, *, tls: bool) -> Request | None:
    if not all(isinstance(part, str) for part in (host, target, method)):
        return None
    host, target, method = str(host), str(target), str(method)
    if _HOST.fullmatch(host) and _TARGET.fullmatch(target) and _METHOD.fullmatch(method):
        return Request(tls, host.lower(), target, method)
    return None


def _of_url(text: str) -> Request | None:
    *before, url = text.split()
    if len(before) > 1:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname or ''
    except ValueError:
        return None
    if parts.scheme not in ('http', 'https'):
        return None
    target = f'{parts.path or "/"}{"?" + parts.query if parts.query else ""}'
    return _request(host, target, before[0] if before else 'GET', tls=parts.scheme == 'https')


def _of_log(text: str, host: str, *, tls: bool) -> Request | None:
    match = _LOGGED.search(text)
    return _request(host, match[2], match[1], tls=tls) if match else None


def _of_json(text: str, host: str, *, tls: bool) -> Request | None:
    try:
        entry = json.loads(text)
    except (ValueError, RecursionError):
        return None
    scheme = entry.get('scheme', 'https' if tls else 'http')
    return _request(
        entry.get('host', host), entry.get('path', entry.get('uri')), entry.get('method', 'GET'), tls=scheme == 'https'
    )
