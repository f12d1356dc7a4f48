"""The grammar of values: one function for each kind, from text to a typed value, or to what was expected.

Each function takes the annotation's text and returns the value, or `Invalid` with a phrase that completes the sentence
"the value must be …". Only what these functions return can reach a configuration: nothing is passed on as it came.
"""

import ipaddress
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from headrace import names
from headrace.objects import fields

Value = TypeVar('Value')
MAX_LENGTH = 65536
_SHARED_KEY = re.compile(r'[A-Za-z0-9._/-]{1,128}')
# Headers are one entry of a map, in Base64, which must fit a buffer of HAProxy together with its command.
MAX_HEADERS = 8000
_MAX_MS = 2**31 - 1
_MAX_AGE_MS = 100 * 365 * 86_400_000
_UNITS = {'ms': 1, 's': 1000, 'm': 60_000, 'h': 3_600_000, 'd': 86_400_000}
_SIZES = {'': 1, 'k': 1024, 'm': 1024**2, 'g': 1024**3}
_PERIODS = {'s': 1, 'm': 60, 'h': 3600}
_DURATION = re.compile(r'(\d{1,10})(ms|s|m|h|d)', re.ASCII)
_SIZE = re.compile(r'(\d{1,12})([kmg]?)', re.ASCII)
_RATE = re.compile(r'(\d{1,9})/([smh])', re.ASCII)
_NUMBER = re.compile(r'\d{1,9}', re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_COOKIE_NAME = re.compile(r'[A-Za-z0-9_.-]{1,64}')
_SNIPPET = re.compile(r'[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?')
_VISIBLE = re.compile(r'[\x21-\x7e](?:[\x20-\x7e]{0,4094}[\x21-\x7e])?')
_HEADER = re.compile(r'[A-Za-z0-9_.-]{1,128}')
PATH_CHARACTERS = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})"
_PATH = re.compile(rf'/(?:{PATH_CHARACTERS}+(?:/{PATH_CHARACTERS}+)*/?)?')
_ESCAPE = re.compile('%([0-9A-Fa-f]{2})')
_UNESCAPED = frozenset(string.ascii_letters + string.digits + "-._~!$&'()*+,;=:@")
_TWO_READINGS = re.compile(r'/\.\.?(?:/|$)|;|%2F|%5C')
_QUERY = rf'(?:\?(?:{PATH_CHARACTERS}|[/?])*)?(?:\#(?:{PATH_CHARACTERS}|[/?])*)?'
AUTHORITY = r'(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::\d{1,5})?'
LOCATION = re.compile(
    rf'(?:https?://{AUTHORITY}|(?=/(?!/)))(?:/(?:{PATH_CHARACTERS}|/)*)?{_QUERY}', re.IGNORECASE | re.ASCII
)
_ORIGIN = re.compile(rf'https?://{AUTHORITY}', re.ASCII)
_CIDR = re.compile(r'[0-9A-Fa-f:.]+(?:/\d{1,3})?', re.ASCII)
_STATUS = re.compile(r'([1-5]\d\d)(?:-([1-5]\d\d))?', re.ASCII)
MAX_PATH = 2048
# With the longest name it is shorter than what the rules look at of a request's line.
_MAX_MATCH = 256
_MAX_ORIGIN = 300
FRAMING = frozenset(
    (
        'connection',
        'content-length',
        'keep-alive',
        'proxy-connection',
        'te',
        'trailer',
        'transfer-encoding',
        'upgrade',
        # Without it a request could loop.
        names.HOPS.lower(),
    )
)
SAFE_RETRIES = (
    'conn-failure',
    'empty-response',
    'junk-response',
    'response-timeout',
    '0rtt-rejected',
    '403',
    '404',
    '429',
    '500',
    '502',
    '503',
    '504',
)
BALANCES = ('random', 'roundrobin', 'leastconn', 'first', 'source', 'uri')


@dataclass(frozen=True, slots=True)
class Invalid:
    """A value that does not parse, and what is allowed."""

    expected: str


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of events in a period of seconds (1, 60 or 3600)."""

    count: int
    seconds: int


@dataclass(frozen=True, slots=True, order=True)
class Network:
    """A CIDR: family 4 or 6, the address's bits as hexadecimal digits, and the length of the prefix."""

    family: int
    digits: str
    length: int


@dataclass(frozen=True, slots=True)
class HeaderMatch:
    """A request header by name, and the value it must have ('' means any)."""

    name: str
    value: str = ''


Headers = tuple[tuple[str, str], ...]
Parse = Callable[[str], 'object | Invalid']


def split(text: str) -> list[str]:
    """Return the items of a list that is separated by commas or white space."""
    return [item for item in re.split(r'[,\s]+', text) if item]


def list_of(
    item: Callable[[str], Value | Invalid], *, most: int = 1000, longest: int = MAX_LENGTH
) -> Callable[[str], tuple[Value, ...] | Invalid]:
    """Return a parser of lists of items, which keeps their order and leaves out repetitions.

    `longest` is for lists that become one entry of a map: HAProxy cuts a line that is longer than its buffer in two.
    """

    def parse(text: str) -> tuple[Value, ...] | Invalid:
        if len(text) > longest:
            return Invalid(f'a list of at most {longest} characters')
        items: dict[Value, None] = {}
        for part in split(text):
            value = item(part)
            if isinstance(value, Invalid):
                return Invalid(f'a list, each item {value.expected}')
            items[value] = None
        if not 1 <= len(items) <= most:
            return Invalid(f'a list of 1 to {most} items')
        return tuple(items)

    return parse


def boolean(text: str) -> bool | Invalid:
    """Return a boolean: `true` or `false`, nothing else."""
    return {'true': True, 'false': False}.get(text, Invalid('true or false'))


def duration(text: str) -> int | Invalid:
    """Return a duration in milliseconds (HAProxy manual 2.5): more than nothing, at most 24 days."""
    match = _DURATION.fullmatch(text)
    value = int(match[1]) * _UNITS[match[2]] if match else 0
    return value if 0 < value <= _MAX_MS else Invalid('a duration such as 500ms, 5s, 2m or 1h')


def duration_or_off(text: str) -> int | Invalid:
    """Return a duration in milliseconds, 0 for `off`; clients keep it, so no timer of HAProxy limits it (100 years do)."""
    match = _DURATION.fullmatch(text)
    value = int(match[1]) * _UNITS[match[2]] if match else 0
    if text == 'off' or 1000 <= value <= _MAX_AGE_MS:  # noqa: PLR2004
        return value
    return Invalid('off, or a duration of at least 1s such as 5m, 24h or 365d')


def size(text: str) -> int | Invalid:
    """Return a size in bytes: digits, and k, m or g for powers of 1,024."""
    match = _SIZE.fullmatch(text)
    value = int(match[1]) * _SIZES[match[2]] if match else 0
    return value if 0 < value < 2**40 else Invalid('a size such as 64k or 10m')


def rate(text: str) -> Rate | Invalid:
    """Return a rate: a number a second, minute or hour."""
    match = _RATE.fullmatch(text)
    if match is None or not int(match[1]):
        return Invalid('a rate such as 10/s, 100/m or 1000/h')
    return Rate(int(match[1]), _PERIODS[match[2]])


def number(least: int, most: int) -> Callable[[str], int | Invalid]:
    """Return a parser of whole numbers from `least` to `most`."""

    def parse(text: str) -> int | Invalid:
        if _NUMBER.fullmatch(text) and least <= int(text) <= most:
            return int(text)
        return Invalid(f'a whole number from {least} to {most}')

    return parse


def one_of(*choices: str) -> Callable[[str], str | Invalid]:
    """Return a parser of one of these words."""
    invalid = Invalid('one of ' + ', '.join(choices))

    def parse(text: str) -> str | Invalid:
        return text if text in choices else invalid

    return parse


def name(text: str) -> str | Invalid:
    """Return the name of an object: a DNS label, as Services have."""
    return text if names.LABEL.fullmatch(text) else Invalid('a name: lower-case letters, digits and dashes')


def address(text: str) -> str | Invalid:
    """Return an IP address in canonical form."""
    return fields.address(text) or Invalid('an IP address')


def shared_key(text: str) -> str | Invalid:
    """Return a key that is only compared with those of other objects."""
    return (
        text
        if _SHARED_KEY.fullmatch(text)
        else Invalid('a text of 1 to 128 letters, digits, dots, dashes, underscores and slashes')
    )


def object_name(text: str) -> str | Invalid:
    """Return the name of a Secret: a DNS subdomain."""
    return text if names.SUBDOMAIN.fullmatch(text) else Invalid('a name: lower-case letters, digits, dashes and dots')


def host(text: str) -> str | Invalid:
    """Return a host in lower case without a final dot: a DNS name, `*.` and a DNS name, or `*`."""
    # Lower case would make ASCII of letters that only look like it, such as the sign for Kelvin.
    lower = text.lower().removesuffix('.') if text.isascii() else ''
    stem = lower.removeprefix('*.')
    if text == '*' or (names.SUBDOMAIN.fullmatch(stem) and all(len(part) <= 63 for part in stem.split('.'))):  # noqa: PLR2004
        return lower
    return Invalid('a host such as shop.example.com, *.example.com or *')


def plain_host(text: str) -> str | Invalid:
    """Return a host without wildcards."""
    value = host(text)
    return value if isinstance(value, str) and '*' not in value else Invalid('a host such as shop.example.com')


def sni(text: str) -> str | Invalid:
    """Return a host, or the word `host-header`."""
    return text if text == 'host-header' else plain_host(text)


def path(text: str) -> str | Invalid:
    """Return a path as sent by clients (RFC 3986 section 3.3), without empty elements."""
    if len(text) <= MAX_PATH and _PATH.fullmatch(text):
        return text
    return Invalid('a path that begins with /, without spaces, ?, # or empty elements')


def route_path(text: str) -> str | Invalid:
    """Return a path in the form that has one reading: only what needs it is percent-encoded, in capital digits."""
    value = path(_ESCAPE.sub(_unescape, text)) if len(text) <= MAX_PATH else Invalid('')
    if isinstance(value, str) and not _TWO_READINGS.search(value):
        return value
    return Invalid('a path that begins with /, without spaces, ?, #, ;, %2F, empty elements and dot segments')


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNESCAPED else match[0].upper()


def network(text: str) -> Network | Invalid:
    """Return a CIDR or a single address; an IPv4-mapped one counts as IPv4, as the client's address does."""
    invalid = Invalid('a CIDR such as 10.0.0.0/8 or 2001:db8::/32')
    # Python would take masks (10.0.0.0/0.0.0.255) and zones (fe80::1%eth0) too, and would drop the zone.
    if not _CIDR.fullmatch(text):
        return invalid
    try:
        cidr = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return invalid
    base = cidr.network_address
    ipv4 = getattr(base, 'ipv4_mapped', None)
    if ipv4 is not None and cidr.prefixlen >= 96:  # noqa: PLR2004
        return Network(4, ipv4.packed.hex().upper(), cidr.prefixlen - 96)
    return Network(cidr.version, base.packed.hex().upper(), cidr.prefixlen)


def headers(text: str) -> Headers | Invalid:
    """Return headers by name, an empty value meaning removal; those that frame a message or count its passes cannot be touched."""
    if len(text) > MAX_HEADERS:
        return Invalid(f'at most {MAX_HEADERS} characters long')
    by_name: dict[str, tuple[str, str]] = {}
    for line in text.split('\n'):
        if not line.strip():
            continue
        key, colon, value = line.partition(':')
        key, value = key.strip(), value.strip()
        if not colon or not _HEADER.fullmatch(key) or (value and not _VISIBLE.fullmatch(value)):
            return Invalid('one `Name: value` a line, of printable ASCII characters')
        if key.lower() in FRAMING:
            return Invalid(f'without headers that frame a message or count its passes, as {key} does')
        by_name[key.lower()] = (key, value)
    return tuple(by_name[key] for key in sorted(by_name)) or Invalid('one `Name: value` a line')


def token(text: str) -> str | Invalid:
    """Return a token (RFC 9110 section 5.6.2), such as a method or the name of a header."""
    return text if _TOKEN.fullmatch(text) and '|' not in text else Invalid('a token such as GET or X-Header')


def cookie(text: str) -> str | Invalid:
    """Return the name of a cookie."""
    return text if _COOKIE_NAME.fullmatch(text) else Invalid('a name of letters, digits, dots, dashes and underscores')


def header_match(text: str) -> HeaderMatch | Invalid:
    """Return a header's name, or its name and the value it must have."""
    key, colon, value = text.partition(':')
    key, value = key.strip(), value.strip()
    invalid = Invalid(
        f'Name, or Name: value, of printable ASCII characters without |, and at most {_MAX_MATCH} of them'
    )
    if '|' in text or not _TOKEN.fullmatch(key) or (colon and not _VISIBLE.fullmatch(value)) or len(value) > _MAX_MATCH:
        return invalid
    return HeaderMatch(key.lower(), value)


def origin(text: str) -> str | Invalid:
    """Return an origin (RFC 6454): a scheme, a host and perhaps a port; or `*`."""
    lower = text.lower()
    if text == '*' or (text.isascii() and len(text) <= _MAX_ORIGIN and _ORIGIN.fullmatch(lower)):
        return lower
    return Invalid('* or an origin such as https://app.example.com')


def statuses(text: str) -> str | Invalid:
    """Return a list of status codes and ranges of them in the form that HAProxy wants."""
    invalid = Invalid('status codes or ranges such as 200-399')
    ranges: list[tuple[int, int]] = []
    for item in split(text):
        match = _STATUS.fullmatch(item)
        if match is None or int(match[2] or match[1]) < int(match[1]):
            return invalid
        ranges.append((int(match[1]), int(match[2] or match[1])))
    parts = [f'{low}-{high}' if low != high else str(low) for low, high in sorted(set(ranges))]
    return ','.join(parts) if 0 < len(parts) <= 20 else invalid  # noqa: PLR2004


def balance(text: str) -> str | Invalid:
    """Return an algorithm; `hdr:NAME` hashes a header."""
    if text in BALANCES:
        return text
    if text.startswith('hdr:') and re.fullmatch(r'[A-Za-z0-9-]{1,64}', text[4:]):
        return 'hdr:' + text[4:].lower()
    return Invalid('one of ' + ', '.join(BALANCES) + ' or hdr:NAME')


def retry_on(text: str) -> tuple[str, ...] | Invalid:
    """Return conditions to retry on (HAProxy manual, `retry-on`), in the manual's order."""
    conditions = set(split(text))
    if not conditions or not conditions <= set(SAFE_RETRIES):
        return Invalid('a list of ' + ', '.join(SAFE_RETRIES))
    return tuple(condition for condition in SAFE_RETRIES if condition in conditions)


def snippet(text: str) -> str | Invalid:
    """Return the name of a snippet."""
    return text if _SNIPPET.fullmatch(text) else Invalid('a name of lower-case letters, digits and dashes')


def cookie_or_true(text: str) -> str | Invalid:
    """Return the name of a cookie, or `true` for the class's."""
    return cookie(text)
