"""The data of one policy: entries of maps under its name, and what of it is typed."""

import ipaddress
from bisect import bisect_left
from collections.abc import Iterable
from typing import TypeVar

from headrace.ir.fragment import Fragment
from headrace.ir.policy import Entry, HeaderEdits, Map
from headrace.ir.routing import Authentication, Canary, ErrorPages, Fallback, Mirrors

_Lead = TypeVar('_Lead', Authentication, Canary, ErrorPages, Fallback, Mirrors)


class PolicyData:
    """What some fragments, one of which the policy is of, hold under its name."""

    def __init__(self, name: str, fragments: Iterable[Fragment]) -> None:
        self.name, self._fragments = name, tuple(fragments)

    def value(self, where: Map) -> str | None:
        """Return the policy's own entry of a map."""
        return next((entry.value for entry in self._under(where, self.name) if entry.key == self.name), None)

    def entries(self, where: Map, separator: str = ':') -> list[tuple[str, str]]:
        """Return what follows the policy's name and a separator in keys of a map, and the values."""
        start = f'{self.name}{separator}'
        return [(entry.key.removeprefix(start), entry.value) for entry in self._under(where, start)]

    def has_client(self, where: Map, address: str) -> bool:
        """Tell whether one of the policy's networks in a map has an address."""
        digits = _digits(address)
        return any(digits.startswith(network) for network, _ in self.entries(where))

    def edits(self) -> HeaderEdits:
        """Return the changes of headers."""
        every = (edits for fragment in self._fragments for edits in fragment.headers)
        return next((edits for edits in every if edits.policy == self.name), HeaderEdits(self.name))

    def lead(self, kind: type[_Lead]) -> _Lead | None:
        """Return what leads the policy's requests to further backends by a rule of this kind."""
        every = (lead for fragment in self._fragments for lead in fragment.leads)
        return next((lead for lead in every if isinstance(lead, kind) and lead.policy == self.name), None)

    def has_hashes(self) -> bool:
        """Tell whether passwords have hashes that HAProxy alone judges."""
        users = any(users.policy == self.name for fragment in self._fragments for users in fragment.userlists)
        return users or bool(self.entries(Map.AUTH_APR1))

    def _under(self, where: Map, start: str) -> Iterable[Entry]:
        """Yield the entries of a map whose keys begin with a text; a fragment's data is sorted."""
        for fragment in self._fragments:
            data = fragment.data
            for place in range(bisect_left(data, Entry(where, start, '')), len(data)):
                if data[place].map is not where or not data[place].key.startswith(start):
                    break
                yield data[place]


def _digits(text: str) -> str:
    """Return an address as the keys of networks have it: its family, and its bits in hexadecimal digits."""
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address):
        address = address.ipv4_mapped or address
    return f'{address.version}{address.packed.hex().upper()}'
