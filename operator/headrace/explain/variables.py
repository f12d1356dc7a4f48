"""Parts of a request that stand for `${name}` in places and texts, as `lua/requests.lua` has them."""

import re
from collections.abc import Callable, Mapping

from headrace.explain.arrival import Arrival
from headrace.explain.request import PORTS

_VARIABLE = re.compile(r'\$\{([a-z_]+)(\d*)\}')
_NAME = re.compile(r'[\w.-]+|\[[0-9A-Fa-f:.]+\]', re.ASCII)


def place(template: str, arrival: Arrival, number: int) -> str:
    """Return a place with its variables filled in, '' where one of them has no value; `number` is the port that clients know."""
    missing = False

    def fill(match: re.Match[str]) -> str:
        nonlocal missing
        text = _VALUES[match[1]](arrival, match[2] or str(number))
        missing = missing or text is None
        return text or ''

    filled = _VARIABLE.sub(fill, template)
    return '' if missing else filled


def encoded(text: str) -> str:
    """Return a text with percent-encoded bytes in the place of what no URL may have, and of `|`."""
    data = text.encode(errors='surrogateescape')
    return ''.join(chr(byte) if 0x21 <= byte <= 0x7E and byte != 0x7C else f'%{byte:02X}' for byte in data)  # noqa: PLR2004


def _escaped(text: str) -> str:
    data = text.encode(errors='surrogateescape')
    return ''.join(chr(byte) if re.match(rb'[\w.~-]', bytes((byte,)), re.ASCII) else f'%{byte:02X}' for byte in data)


def _absolute(path: str) -> str:
    return path if path.startswith('/') else f'/{path}'


def _scheme(arrival: Arrival, _: str) -> str:
    return 'https' if arrival.https else 'http'


def _host(arrival: Arrival, _: str) -> str | None:
    host = arrival.request.bare_host
    return host if _NAME.fullmatch(host) else None


def _query(arrival: Arrival, _: str) -> str:
    query = encoded(arrival.request.query or '')
    return f'?{query}' if query else ''


def _port(arrival: Arrival, given: str) -> str:
    return '' if int(given) == PORTS[_scheme(arrival, '')] else f':{given}'


_VALUES: Mapping[str, Callable[[Arrival, str], str | None]] = {
    'scheme': _scheme,
    'host': _host,
    'request_uri': lambda arrival, _: encoded(arrival.request.target),
    'escaped_request_uri': lambda arrival, _: _escaped(arrival.request.target),
    'uri': lambda arrival, _: encoded(arrival.request.path),
    'args': lambda arrival, _: encoded(arrival.request.query or ''),
    'query': _query,
    'port': _port,
    'tail': lambda arrival, count: encoded(arrival.request.path[int(count) :]),
    'rest': lambda arrival, count: encoded(_absolute(arrival.request.path[int(count) :])),
}
