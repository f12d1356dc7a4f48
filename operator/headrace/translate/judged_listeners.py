"""Which listeners of a Gateway can be used, and what is wrong with the others: the rules of the Gateway API for listeners.

Pure. A listener that cannot be used is not served, and no route attaches to it, while the others are served. The translation
and the statuses of Gateways have the same judgement. Certificates are judged apart (`gateway_tls`): a listener without a usable
one has routes all the same.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from headrace.diagnostics import Diagnostic, StatusPart
from headrace.names import Ref
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.listeners import Listener, TLSMode
from headrace.objects.references import GATEWAY_GROUP

ANY = '*'
HTTP, HTTPS, TLS, TCP, UDP = 'HTTP', 'HTTPS', 'TLS', 'TCP', 'UDP'
# The kinds of routes that listeners of a protocol can have.
KINDS: Mapping[str, tuple[str, ...]] = {
    HTTP: ('HTTPRoute', 'GRPCRoute'),
    HTTPS: ('HTTPRoute', 'GRPCRoute'),
    TLS: ('TLSRoute',),
    TCP: ('TCPRoute',),
    UDP: ('UDPRoute',),
}
# From a listener to the port of HAProxy that it has: 0 where it has none yet, None where it can have none.
PortOf = Callable[[Listener], int | None]


class Conflict(NamedTuple):
    """Reason, message and field of a conflict with another listener."""

    reason: str
    message: str
    field: str


ConflictOf = Callable[[Listener], Conflict | None]


@dataclass(frozen=True, slots=True)
class JudgedListener:
    """A listener as it is judged: whether it is `accepted`, and which kinds of routes may attach to it.

    `gateway` is the one that it belongs to, `owner` the object that declares it, in its `field`. `port` is the port of HAProxy
    that it has, 0 for none.
    """

    gateway: Ref
    owner: Ref
    field: str
    listener: Listener
    port: int = 0
    accepted: bool = True
    kinds: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def host(self) -> str:
        """Return the host of the listener, `*` for all."""
        return self.listener.hostname or ANY

    @property
    def ends_tls(self) -> bool:
        """Tell whether the listener ends the TLS of its clients."""
        tls = self.listener.tls
        passes = tls is not None and tls.mode is TLSMode.PASSTHROUGH
        return self.listener.protocol in (HTTPS, TLS) and not passes

    @property
    def part(self) -> StatusPart:
        """Return the part of the owner's status that is about the listener."""
        return StatusPart(section=self.listener.name)


class Listeners:
    """All listeners of a Gateway or ListenerSet in their order."""

    def __init__(self, items: tuple[JudgedListener, ...]) -> None:
        self.items = items
        self.accepted = tuple(each for each in items if each.accepted)
        self._hosts = {(each.listener.port, each.host) for each in self.accepted}

    def has(self, port: int, host: str) -> bool:
        """Tell whether a listener of a port has a host and no other ones."""
        return (port, host) in self._hosts


def hosts_above(host: str) -> Iterable[str]:
    """Yield the hosts of listeners that are for a host, the most specific one first: itself, `*.x` of each domain, `*`."""
    yield host
    rest = host.removeprefix('*.') if host.startswith('*.') else host
    while rest := rest.partition('.')[2]:
        yield f'*.{rest}'
    if host != ANY:
        yield ANY


def covers(pattern: str, host: str) -> bool:
    """Tell whether a listener's host is for all requests of another host: the same one, `*`, or `*.x` for what ends in `.x`."""
    return pattern in (host, ANY) or (pattern.startswith('*.') and host.endswith(pattern[1:]))


def meet(one: str, other: str) -> str:
    """Return the host that is common to the host of a listener and that of a route, '' for none."""
    return other if covers(one, other) else one if covers(other, one) else ''


def judge(
    gateway: Gateway, owner: Gateway | ListenerSet, port_of: PortOf, conflict_of: ConflictOf = lambda _: None
) -> Listeners:
    """Return the judged listeners that an object declares for a Gateway; `conflict_of` tells conflicts with those of others."""
    found = [_judged(gateway, owner, number, port_of) for number in range(len(owner.listeners))]
    accepted = [each for each in found if each.accepted]
    # What gives way to listeners of others is no reason for its own neighbours to give way.
    conflicts = {each.field: conflict for each in accepted if (conflict := conflict_of(each.listener)) is not None}
    conflicts |= _conflicts(each for each in accepted if each.field not in conflicts)
    return Listeners(
        tuple(_refused(each, *conflict) if (conflict := conflicts.get(each.field)) else each for each in found)
    )


def _judged(gateway: Gateway, owner: Gateway | ListenerSet, number: int, port_of: PortOf) -> JudgedListener:
    """Return a listener as it is judged by itself."""
    listener, field = owner.listeners[number], f'spec.listeners[{number}]'
    found = JudgedListener(gateway.ref, owner.ref, field, listener)
    if listener.problems:
        problems = tuple(replace(each, part=found.part) for each in listener.problems)
        return replace(found, accepted=False, diagnostics=problems)
    kinds = KINDS.get(listener.protocol, ())
    if not kinds:
        message = f'listeners of protocol {listener.protocol} are not supported'
        return _refused(found, 'UnsupportedListenerProtocol', message, 'protocol')
    port = port_of(listener)
    if port is None:
        message = (
            f'port {listener.port} cannot be had for {listener.protocol}: listeners have the ports of the class here'
        )
        return _refused(found, 'PortUnavailable', message, 'port')
    found = replace(found, port=port, kinds=kinds)
    if not listener.allowed.kinds:
        return found
    allowed = {each.kind for each in listener.allowed.kinds if each.group == GATEWAY_GROUP}
    found = replace(found, kinds=tuple(kind for kind in kinds if kind in allowed))
    if all(each.group == GATEWAY_GROUP and each.kind in kinds for each in listener.allowed.kinds):
        return found
    message = f'listeners of protocol {listener.protocol} can have routes of kinds {", ".join(kinds)} alone'
    return replace(found, diagnostics=(_diagnostic(found, 'InvalidRouteKinds', message, 'allowedRoutes.kinds'),))


def _conflicts(listeners: Iterable[JudgedListener]) -> dict[str, Conflict]:
    """Return reason, message and field of conflicts between listeners of a port, by the listener's field.

    No one of them wins: which one it was would depend on their order.
    """
    ports: dict[tuple[int, bool], list[JudgedListener]] = {}
    for each in listeners:
        ports.setdefault((each.listener.port, each.listener.protocol == UDP), []).append(each)
    found: dict[str, Conflict] = {}
    for (port, _), items in ports.items():
        if len({each.listener.protocol for each in items}) > 1:
            text = f'another listener has port {port} with another protocol'
            found |= {each.field: Conflict('ProtocolConflict', text, 'protocol') for each in items}
            continue
        counts = Counter(each.host for each in items)
        text = f'another listener has port {port} with the same host'
        found |= {each.field: Conflict('HostnameConflict', text, 'hostname') for each in items if counts[each.host] > 1}
    return found


def _refused(found: JudgedListener, reason: str, message: str, field: str) -> JudgedListener:
    """Return a listener that cannot be used."""
    diagnostics = (*found.diagnostics, _diagnostic(found, reason, message, field))
    return replace(found, accepted=False, diagnostics=diagnostics)


def _diagnostic(found: JudgedListener, reason: str, message: str, field: str) -> Diagnostic:
    return Diagnostic(found.owner, reason, message, f'{found.field}.{field}', found.part)
