"""Reading fields of documents of unknown origin.

Every function takes what it finds and returns the wanted type, or its empty value when the document holds something
else. Nothing raises, so a mistake in one field costs that field.
"""

import ipaddress
import re
from collections.abc import Mapping
from functools import lru_cache

from headrace import names
from headrace.diagnostics import is_scalar

Document = Mapping[str, object]
_EMPTY: Document = {}
_OCTET = r'(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)'
_IPV4 = rf'{_OCTET}(?:\.{_OCTET}){{3}}'
_IPV4_HOST = re.compile(_IPV4, re.ASCII)
_IPV4_LIST = re.compile(rf'{_IPV4}(?:,{_IPV4})*', re.ASCII)
_MAX_PORT = 65535


def mapping(document: Document, key: str) -> Document:
    """Return the mapping under `key`, or an empty one."""
    value = document.get(key)
    return value if isinstance(value, dict) else _EMPTY


def sequence(document: Document, key: str) -> list[object]:
    """Return the list under `key`, or an empty one."""
    value = document.get(key)
    return value if isinstance(value, list) else []


def documents(document: Document, key: str) -> list[Document]:
    """Return the mappings in the list under `key`; anything else in it is passed over."""
    return [item for item in sequence(document, key) if isinstance(item, dict)]


def text(document: Document, key: str, default: str = '') -> str:
    """Return the text under `key`, or `default`."""
    value = document.get(key)
    return value if isinstance(value, str) else default


def texts(document: Document, key: str) -> tuple[str, ...]:
    """Return the texts in the list under `key`."""
    return tuple(item for item in sequence(document, key) if isinstance(item, str))


def as_text(value: object) -> str:
    """Return a YAML scalar as an API server would have demanded it: `true`, not `True`; '' for null and what is no scalar."""
    if isinstance(value, bool):
        return 'true' if value else 'false'
    return str(value) if value is not None and is_scalar(value) else ''


def flag(document: Document, key: str, *, default: bool = False) -> bool:
    """Return the boolean under `key`; null and anything else is the default."""
    value = document.get(key)
    return value if isinstance(value, bool) else default


def number(document: Document, key: str) -> int:
    """Return the integer under `key`, or 0; a boolean is no integer."""
    value = document.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def value(document: Document, key: str, default: object) -> object:
    """Return what is under `key`, whatever it is, and the default for null and nothing."""
    found = document.get(key)
    return default if found is None else found


def number_within(document: Document, key: str, least: int, most: int, default: int) -> int | None:
    """Return the integer under `key`, the default where it is unset; None when it is not an integer within its bounds."""
    value = document.get(key)
    if value is None:
        return default
    return value if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most else None


def port(document: Document, key: str) -> int:
    """Return the port number (1 to 65535) under `key`, or 0."""
    value = number(document, key)
    return value if 0 < value <= _MAX_PORT else 0


def misfits(document: Document, kinds: Mapping[str, type]) -> list[str]:
    """Return the keys whose value is of another type than `kinds` says; null is as good as absent."""
    return [key for key, kind in kinds.items() if not isinstance(document.get(key), kind | None)]


def labels(metadata: Document, key: str = 'labels') -> tuple[tuple[str, str], ...]:
    """Return the labels (or another mapping of texts) as sorted pairs."""
    return tuple(sorted((k, v) for k, v in mapping(metadata, key).items() if isinstance(k, str) and isinstance(v, str)))


def is_name(value: str, *, subdomain: bool = False) -> bool:
    """Tell whether `value` is a name that Kubernetes accepts: a DNS label, or a DNS subdomain."""
    return (names.SUBDOMAIN if subdomain else names.LABEL).fullmatch(value) is not None


def is_host(value: str, *, wildcard: bool = True) -> bool:
    """Tell whether `value` is a DNS name in lower case, or such a name after `*.`; an IPv4 address is not."""
    stem = value.removeprefix('*.') if wildcard else value
    return is_name(stem, subdomain=True) and _IPV4_HOST.fullmatch(value) is None


@lru_cache(maxsize=4096)
def address(value: str) -> str:
    """Return an IP address in its canonical form, or '' when `value` is not the address of a host; zones are refused.

    As a server's address HAProxy takes the unspecified one for "where the client wanted to go".
    """
    try:
        parsed = ipaddress.ip_address(value)
    except ValueError:
        return ''
    return '' if getattr(parsed, 'scope_id', None) or parsed.is_unspecified else str(parsed)


def network(value: str) -> str:
    """Return a CIDR in canonical form, or '' when `value` is not a CIDR."""
    try:
        return str(ipaddress.ip_network(value)) if '/' in value else ''
    except ValueError:
        return ''


def family(value: str) -> int:
    """Return 6 for an address with a colon, else 4."""
    return 6 if ':' in value else 4


def addresses(values: list[str], *, version: int) -> list[str]:
    """Return `values` in canonical form, '' in the place of each that is no address of the family `wanted` (4 or 6).

    All of a slice's IPv4 addresses are judged by one match of a regular expression: 100,000 calls into `ipaddress`
    would take longer than building the model.
    """
    text = ','.join(values)
    # As many commas as joining adds: so no value holds one, and each is one address.
    whole = text.count(',') == len(values) - 1 and '0.0.0.0' not in values  # noqa: S104
    if version == 4 and whole and _IPV4_LIST.fullmatch(text):  # noqa: PLR2004
        return values
    return [found if found and family(found) == version else '' for found in map(address, values)]
