"""Listeners of Gateways as they are bound: which Gateways are this class's, and which ports of HAProxy their listeners have.

A listener's port is what clients know. HAProxy has bound others from its start, so that a new listener needs no reload. In a
cluster these are slots: the controller keeps a Service for each Gateway, and the target of each of its ports is the slot that
the port has. Without slots the class's own ports serve the listeners of ports 80 and 443.
"""

from dataclasses import dataclass

from headrace import names
from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects.annotations import PREFIX
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway
from headrace.objects.listeners import Listener
from headrace.store import Reader
from headrace.translate.build_context import BuildContext

ANY = '*'
HTTP, HTTPS = 'HTTP', 'HTTPS'


@dataclass(frozen=True, slots=True)
class BoundListener:
    """A listener, the Gateway whose it is, the object that declares it, and the port of HAProxy that it has."""

    gateway: Ref
    owner: Ref
    listener: Listener
    port: int

    @property
    def host(self) -> str:
        """Return the host of the listener, `*` for all."""
        return self.listener.hostname or ANY


def controller_name(class_name: str) -> str:
    """Return what a GatewayClass has as its controller when it is that of a class of headrace."""
    name = f'{PREFIX}gateway-controller'
    return name if class_name == DEFAULT_CLASS else f'{name}-{class_name}'


def is_ours(gateway: Gateway, reader: Reader, context: BuildContext) -> bool:
    """Tell whether a Gateway is one of this class. A folder needs no GatewayClass of the class's own name."""
    gateway_class = reader.get(Ref('GatewayClass', '', gateway.class_name), GatewayClass)
    if gateway_class is None:
        return not context.api_server and gateway.class_name == context.class_name
    return gateway_class.controller == controller_name(context.class_name)


def gateway_of(ref: Ref, reader: Reader, context: BuildContext) -> Gateway | None:
    """Return a Gateway of this class, None when there is none."""
    gateway = reader.get(ref, Gateway)
    return gateway if gateway is not None and is_ours(gateway, reader, context) else None


def service_of(gateway: Ref, context: BuildContext) -> Ref:
    """Return the Service that the controller keeps for a Gateway, in the namespace of this installation."""
    marks = names.digest(f'{context.class_name}/{gateway.namespace}/{gateway.name}', 16)
    return Ref('Service', context.own_namespace, f'gateway-{marks}')


def bound_port(gateway: Ref, listener: Listener, reader: Reader, context: BuildContext) -> int:
    """Return the port of HAProxy that a listener has, 0 where it has none (yet)."""
    if slots := context.slots:
        service = reader.other_service(service_of(gateway, context))
        targets = (port.target for port in (service.ports if service else ()) if port.number == listener.port)
        return next((target for target in targets if target in slots.get(listener.protocol, ())), 0)
    settings = context.settings
    ports = {HTTP: (80, settings.http_port), HTTPS: (443, settings.https_port)}
    public, bound = ports.get(listener.protocol, (0, 0))
    return bound if listener.port in (public, bound) else 0


def of_gateway(gateway: Gateway, reader: Reader, context: BuildContext) -> tuple[BoundListener, ...]:
    """Return the listeners of a Gateway that are served, in their order."""
    return tuple(
        BoundListener(gateway.ref, gateway.ref, listener, port)
        for listener in gateway.listeners
        if not listener.problems and (port := bound_port(gateway.ref, listener, reader, context))
    )


def covers(pattern: str, host: str) -> bool:
    """Tell whether a listener's host is for all requests of another host: the same one, `*`, or `*.x` for what ends in `.x`."""
    return pattern in (host, ANY) or (pattern.startswith('*.') and host.endswith(pattern[1:]))


def meet(one: str, other: str) -> str:
    """Return the host that is common to the host of a listener and that of a route, '' for none."""
    return other if covers(one, other) else one if covers(other, one) else ''


def serves(listener: BoundListener, host: str, others: tuple[BoundListener, ...]) -> bool:
    """Tell whether requests of a host are a listener's, and not those of one that is more specific.

    Requests go to the listener with the most specific host alone (Gateway API, listener isolation).
    """
    return not any(
        each.port == listener.port
        and each.host != listener.host
        and covers(each.host, host)
        and covers(listener.host, each.host)
        for each in others
    )
