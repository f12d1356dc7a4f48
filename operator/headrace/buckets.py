"""Token buckets: how often something may happen for each peer, and for all of them together.

Pure: callers give the time. A bucket holds the tokens of two seconds. What is kept is bounded by the total rate: a peer is
remembered while its bucket is not full, and what is refused leaves no trace.
"""

import ipaddress

_SECONDS = 2.0
# Of sums of fractions of a second.
_TOLERANCE = 1e-6


def peer(address: str) -> str:
    """Return whose bucket an address takes from: of IPv6, a network of 64 bits may be one client's."""
    try:
        ip = ipaddress.ip_address(address.partition('%')[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(ip) >> 64 << 64, 64)))


class Buckets:
    """A bucket for each peer, and one for all; rates are a second's."""

    def __init__(self, by_peer: float, total: float) -> None:
        self._by_peer, self._total = by_peer, total
        # When each is full again; one that is not here is full.
        self._full: dict[str, float] = {}
        self._full_total = float('-inf')

    def take(self, peer: str, now: float) -> bool:
        """Take a token for a peer; return whether its bucket and that of all have one."""
        peer_full = max(self._full.get(peer, now), now) + 1 / self._by_peer
        all_full = max(self._full_total, now) + 1 / self._total
        if max(peer_full, all_full) - now > _SECONDS + _TOLERANCE:
            return False
        if len(self._full) >= self._total * _SECONDS:
            self._full = {name: full for name, full in self._full.items() if full > now}
        self._full[peer], self._full_total = peer_full, all_full
        return True
