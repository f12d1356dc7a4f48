"""Listeners of Gateways as they are bound: which Gateways are this class's, and which ports of HAProxy their listeners have.

A listener's port is what clients know. HAProxy has bound others from its start, so that a new listener needs no reload. In a
cluster these are slots: the controller keeps a Service for each Gateway, and the target of each of its ports is the slot that
the port has. Without slots the class's own ports serve the listeners of ports 80 and 443.
"""

from headrace import forms, names
from headrace.names import DEFAULT_CLASS, Ref
from headrace.objects import registry
from headrace.objects.annotations import PREFIX
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway
from headrace.objects.kinds import Protocol, Service
from headrace.objects.listeners import Listener
from headrace.store import Reader
from headrace.translate import judged_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.judged_listeners import ANY, HTTP, HTTPS, UDP, Conflict, Listeners

# Listeners as they were judged last, by Gateway, with what they were judged by: each of its routes asks for them.
_MOST_KNOWN = 1024
_KNOWN: dict[Ref, tuple[Gateway, Service | None, BuildContext, Listeners]] = {}


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


def read_service(gateway: Ref, reader: Reader, context: BuildContext) -> Service | None:
    """Return the Service whose targets are the slots of a Gateway's ports; None where there are no slots, or none yet."""
    return readable(reader.other_service(service_of(gateway, context))) if context.slots else None


def readable(service: Service | None) -> Service | None:
    """Return the Service of a Gateway where its form is known, so that its targets are slots; else None."""
    return service if service is not None and service.form <= forms.SLOTS else None


def of_gateway(gateway: Gateway, reader: Reader, context: BuildContext) -> Listeners:
    """Return the listeners of a Gateway, judged, with the ports of HAProxy that they have."""
    if not context.slots:
        return judged_listeners.judge(
            gateway,
            gateway,
            lambda listener: bound_port(listener, None, context),
            lambda listener: _conflict_at_own_ports(gateway, listener, reader, context),
        )
    service = read_service(gateway.ref, reader, context)
    known = _KNOWN.get(gateway.ref)
    if known is not None and known[0] is gateway and known[1] is service and known[2] is context:
        return known[3]
    listeners = judged_listeners.judge(gateway, gateway, lambda listener: bound_port(listener, service, context))
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    _KNOWN[gateway.ref] = gateway, service, context, listeners
    return listeners


def _conflict_at_own_ports(
    gateway: Gateway, listener: Listener, reader: Reader, context: BuildContext
) -> Conflict | None:
    """Return reason, message and field of what keeps a listener from the class's own ports, which all namespaces share.

    There a host belongs to a namespace: no listener has one that an older Gateway of another namespace has, or a part of it.
    """
    host = listener.hostname or ANY
    # Without a host of its own it has those of its routes, which are judged by themselves.
    if host != ANY and not context.may_claim(gateway.namespace, host):
        return Conflict('HostForbidden', f'namespace {gateway.namespace} may not claim {host}', 'hostname')
    if context.settings.host_sharing == 'all':
        return None
    for other in reader.members(registry.ALL_GATEWAYS, Gateway):
        if other.ref == gateway.ref:
            return None
        if other.namespace == gateway.namespace or not is_ours(other, reader, context):
            continue
        same = (
            each.hostname or ANY for each in other.listeners if each.protocol == listener.protocol and not each.problems
        )
        if any(judged_listeners.meet(host, each) for each in same):
            return Conflict(
                'HostnameConflict', f'{other.ref} of another namespace has host {host}, or a part of it', 'hostname'
            )
    return None


def bound_port(listener: Listener, service: Service | None, context: BuildContext) -> int | None:
    """Return the port of HAProxy that a listener has: 0 where it has none yet, None where it can have none."""
    if slots := context.slots:
        if listener.protocol == UDP:
            # HAProxy serves none of it: the Service leads to endpoints by itself.
            udp = (port.number for port in (service.ports if service else ()) if port.protocol is Protocol.UDP)
            return listener.port if listener.port in udp else 0
        targets = (port.target for port in (service.ports if service else ()) if port.number == listener.port)
        return next((target for target in targets if target in slots.get(listener.protocol, ())), 0)
    settings = context.settings
    ports = {HTTP: (80, settings.http_port), HTTPS: (443, settings.https_port)}
    public, bound = ports.get(listener.protocol, (0, 0))
    return bound if listener.port in (public, bound) else None
