"""Clients that stay with their endpoint: `sessionAffinity: ClientIP`.

HAProxy remembers, in one table for all, which endpoint answered a client of a policy, as the CRC of the endpoint's
ADDRESS:PORT. Beside a backend stands one for each of its endpoints, a pin, whose name is the backend's and that CRC: a
client that is known is led there as long as it has a server that can be used. So an endpoint that comes moves no client, one
that goes moves its own clients alone, and nothing of it costs a reload.
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import replace

from headrace import names
from headrace.ir.backend import Backend, Group
from headrace.ir.policy import Entry, Map


def with_pins(backends: Iterable[Backend]) -> tuple[Backend, ...]:
    """Return backends sorted by name, with the pins of those whose clients stay."""
    plain = list(backends)
    if not any(backend.affinity for backend in plain):
        return tuple(plain)
    pins = [pin for backend in plain if backend.affinity for pin in _pins(backend)]
    return tuple(sorted([*plain, *pins], key=lambda backend: backend.name))


def limit(backends: Iterable[Backend], most: int) -> tuple[Backend, ...]:
    """Return backends with so many servers together, pins counted: the first of each, in equal shares where that is too few."""
    sources, kept_backends, remaining = [backend for backend in backends if not backend.pin], list[Backend](), most
    for place, backend in enumerate(sources):
        times = 2 if backend.affinity else 1
        share = -(-remaining // (len(sources) - place)) // times
        groups = _limit_groups(backend.groups, share)
        remaining -= times * sum(len(group.addresses) for group in groups)
        kept_backends.append(backend if groups == backend.groups else backend.with_groups(groups))
    return with_pins(kept_backends)


def _limit_groups(groups: Iterable[Group], most: int) -> tuple[Group, ...]:
    limited: list[Group] = []
    for group in groups:
        if most > 0:
            limited.append(Group(group.port, group.addresses[:most]))
            most -= len(group.addresses)
    return tuple(limited)


def _pins(backend: Backend) -> Iterator[Backend]:
    """Yield a backend's pins; two endpoints of one CRC, which are very rare, share theirs."""
    by_name: dict[str, list[tuple[int, str]]] = {}
    for group in backend.groups:
        for address in group.addresses:
            name = f'{backend.name}:{zlib.crc32(names.server(address, group.port).encode())}'
            by_name.setdefault(name, []).append((group.port, address))
    for name, endpoints in by_name.items():
        groups = tuple(Group(port, (address,)) for port, address in endpoints)
        yield replace(backend, name=name, groups=groups, pin=names.server(endpoints[0][1], endpoints[0][0]))


def data(policy: str, seconds: int) -> list[Entry]:
    """Return the entry that says for how many seconds after its last connection a client of a policy is remembered."""
    return [Entry(Map.AFFINITY, policy, str(seconds))] if seconds else []
