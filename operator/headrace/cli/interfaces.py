"""The addresses of this machine or pod, as Linux tells them."""

import ipaddress
import re
from pathlib import Path

_IPV4, _IPV6 = Path('/proc/net/fib_trie'), Path('/proc/net/if_inet6')


def addresses() -> frozenset[str]:
    """Return the addresses of all interfaces; none where the system does not tell them."""
    return _ipv4(_text(_IPV4)) | _ipv6(_text(_IPV6))


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ''


def _ipv4(text: str) -> frozenset[str]:
    """Return the addresses of a routing trie: each local one is a leaf, followed by `/32 host LOCAL`."""
    return frozenset(re.findall(r'\|-- (\S+)\n\s+/32 host LOCAL', text))


def _ipv6(text: str) -> frozenset[str]:
    first_fields = (line.partition(' ')[0] for line in text.splitlines())
    return frozenset(str(ipaddress.IPv6Address(bytes.fromhex(digits))) for digits in first_fields)
