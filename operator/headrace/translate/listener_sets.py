"""ListenerSets: listeners that objects of other namespaces add to a Gateway which admits them.

They come after the Gateway's own, those of older sets first, and the first listener of a port and host stands. Who reads one set
reads of the others only those that declare the same host or another protocol for its port, so a set costs what it declares.
"""

from headrace.names import Ref
from headrace.objects import registry
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.kinds import Namespace
from headrace.objects.label_selectors import Source
from headrace.objects.listeners import Listener
from headrace.objects.references import GATEWAY_GROUP
from headrace.store import Reader
from headrace.translate import gateway_listeners, judged_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.judged_listeners import KINDS, UDP, Conflict, JudgedListener, Listeners


def gateway_of(listener_set: ListenerSet, reader: Reader, context: BuildContext) -> Gateway | None:
    """Return the Gateway of this class that a ListenerSet is for, None when there is none."""
    parent = listener_set.parent
    if parent is None or (parent.group, parent.kind) != (GATEWAY_GROUP, 'Gateway'):
        return None
    return gateway_listeners.gateway_of(parent.ref, reader, context)


def is_allowed(listener_set: ListenerSet, gateway: Gateway, reader: Reader) -> bool:
    """Tell whether a Gateway admits a ListenerSet."""
    namespaces = gateway.listener_sets
    namespace = None
    if namespaces.source is Source.SELECTOR:
        namespace = reader.get(Ref('Namespace', '', listener_set.namespace), Namespace)
    labels = namespace.labels if namespace is not None else ()
    return namespaces.admit(gateway.namespace, listener_set.namespace, labels)


def of_set(listener_set: ListenerSet, gateway: Gateway, reader: Reader, context: BuildContext) -> Listeners:
    """Return the listeners of a ListenerSet, judged; none where its Gateway does not admit it."""
    if not is_allowed(listener_set, gateway, reader):
        return Listeners(())
    service = gateway_listeners.read_service(gateway.ref, reader, context)
    return judged_listeners.judge(
        gateway,
        listener_set,
        lambda listener: gateway_listeners.bound_port(listener, service, context),
        lambda listener: _conflict(listener, listener_set, gateway, reader),
    )


def serves(listener: JudgedListener, host: str, gateway: Gateway, reader: Reader, context: BuildContext) -> bool:
    """Tell whether requests of a host, which a listener covers, are its own and not those of one that is more specific.

    Requests go to the listener with the most specific host alone (Gateway API, listener isolation).
    """
    port, own = listener.listener.port, gateway_listeners.of_gateway(gateway, reader, context)
    for each in judged_listeners.hosts_above(host):
        if each == listener.host:
            return True
        if own.has(port, each) or any(
            item.port == port for _, item in _of_sets(registry.listeners_of_host(gateway.ref, each), gateway, reader)
        ):
            return False
    return True


def _conflict(listener: Listener, own: ListenerSet, gateway: Gateway, reader: Reader) -> Conflict | None:
    """Return what keeps a listener of a set from its port: one of the Gateway, or of an older set."""
    of_gateway = [each for each in gateway.listeners if each.protocol in KINDS and not each.problems]
    for each in of_gateway:
        if (conflict := _between(listener, each, gateway.ref)) is not None:
            return conflict
    # Ports of UDP and TCP are different ones.
    is_udp = listener.protocol == UDP
    protocols = (each for each in KINDS if each != listener.protocol and (each == UDP) is is_udp)
    groups = [registry.listeners_of_protocol(gateway.ref, listener.port, protocol) for protocol in protocols]
    groups.append(registry.listeners_of_host(gateway.ref, listener.hostname or judged_listeners.ANY))
    for group in groups:
        for each_set, item in _of_sets(group, gateway, reader):
            # What gives way to the Gateway keeps no other one from the port.
            if _age(each_set) >= _age(own) or any(_between(item, other, gateway.ref) for other in of_gateway):
                continue
            if (conflict := _between(listener, item, each_set.ref)) is not None:
                return conflict
    return None


def _between(listener: Listener, other: Listener, owner: Ref) -> Conflict | None:
    """Return the conflict of a listener with one that comes before it and is its owner's."""
    if other.port != listener.port or (other.protocol == UDP) is not (listener.protocol == UDP):
        return None
    if other.protocol != listener.protocol:
        return Conflict('ProtocolConflict', f'{owner} has port {other.port} with another protocol', 'protocol')
    if other.hostname == listener.hostname:
        return Conflict('HostnameConflict', f'{owner} has port {other.port} with the same host', 'hostname')
    return None


def _of_sets(group: Ref, gateway: Gateway, reader: Reader) -> list[tuple[ListenerSet, Listener]]:
    """Return the listeners of the sets in a group that a Gateway admits, with their sets; nothing is read where it admits none."""
    if gateway.listener_sets.source is Source.NONE:
        return []
    return [
        (each, listener)
        for each in reader.members(group, ListenerSet)
        if is_allowed(each, gateway, reader)
        for listener in each.listeners
        if not listener.problems and group in registry.groups_of_listener(gateway.ref, listener)
    ]


def _age(listener_set: ListenerSet) -> tuple[str, str, str]:
    return listener_set.created, listener_set.namespace, listener_set.name
