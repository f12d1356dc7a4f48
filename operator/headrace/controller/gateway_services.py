"""The Services that the controller keeps for Gateways: which slot of the edge each port of a Gateway has.

Promises: a slot that a port has stays its own, because the Service's targetPort is the record; no two ports have the same one.
Only labels and annotations that the Gateway's `infrastructure` names, and the class allows, are copied.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

from headrace import forms
from headrace.names import Ref
from headrace.objects.annotations import PREFIX
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.kinds import Protocol, Service
from headrace.store import Store
from headrace.translate import gateway_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.judged_listeners import UDP
from headrace.translate.pool_addresses import ADDRESS, POOL, SHARING_KEY

Document = dict[str, Any]
# How the API asks for what is made for a Gateway to be labelled (GatewayInfrastructure).
NAME_LABEL = 'gateway.networking.k8s.io/gateway-name'
NAMESPACE_LABEL = f'{PREFIX}gateway-namespace'
CLASS_LABEL = f'{PREFIX}gateway-class'
_LONGEST_LABEL = 63
_IP_ADDRESS = 'IPAddress'
# No port of a container has this name, so Kubernetes finds no endpoints: the controller writes them.
UDP_TARGET = 'headrace-udp'
# The annotation, as a Service has it here, by which the node role takes it over.
_ON_NODES = ('proxy', 'node')
# The annotations by which a Gateway, and its Service, asks pools for an address.
_OF_POOLS = (ADDRESS, POOL, SHARING_KEY)


@dataclass(frozen=True, slots=True)
class GatewayPorts:
    """The ports of a Gateway's Service: those of the edge with their slots, and those of UDP.

    `on_nodes` tells that the node role is to serve it, because kube-proxy knows no weights.
    """

    targets: Mapping[int, int]
    udp: frozenset[int] = frozenset()
    on_nodes: bool = False


class Slots:
    """Which slot each port of each Gateway has, as the Services say, and those that were given and do not show yet."""

    def __init__(self, store: Store, context: BuildContext) -> None:
        self._store, self._context = store, context
        self._given: dict[Ref, dict[int, int]] = {}

    def of(self, service: Ref, ports: Mapping[int, str], neighbours: Iterable[Ref] = ()) -> dict[int, int]:
        """Return the slot of each port of a Service, by the protocol of its listeners; ports for which none is left have none.

        `neighbours` are the Services of other Gateways of the namespace: together they have no more than a namespace may.
        """
        most = self._context.settings.max_gateway_ports_per_namespace
        used = set[int]().union(*map(self._all, neighbours))
        slots = self._context.slots
        held = {**self._targets(service), **self._given.get(service, {})}
        kept = {port: held[port] for port, kind in ports.items() if held.get(port) in slots.get(kind, ())}
        taken = set(kept.values()).union(*(self._all(each) for each in self._services() if each != service))
        for port, kind in sorted(ports.items()):
            own = sum(slot in slots.get(kind, ()) for slot in (*used, *kept.values()))
            free = next((slot for slot in slots.get(kind, ()) if slot not in taken), 0)
            if port not in kept and free and own < most:
                kept[port] = free
                taken.add(free)
        self._given[service] = kept
        return kept

    def forget(self, service: Ref) -> None:
        """Forget a Service that is gone."""
        self._given.pop(service, None)

    def _services(self) -> Iterable[Ref]:
        own = self._context.own_namespace
        shown = (ref for ref in self._store.services() if ref.namespace == own and ref.name.startswith('gateway-'))
        return {*shown, *self._given}

    def _all(self, service: Ref) -> set[int]:
        return {*self._targets(service).values(), *self._given.get(service, {}).values()}

    def _targets(self, service: Ref) -> dict[int, int]:
        shown = gateway_listeners.readable(self._store.get(service, Service))
        return {port.number: port.target for port in shown.ports if port.target} if shown is not None else {}


def own_label(class_name: str) -> str:
    """Return the label of the Services that a class keeps for Gateways (`KEY=VALUE`)."""
    return f'{CLASS_LABEL}={class_name}'


def ports_of(gateway: Gateway, sets: Iterable[ListenerSet] = ()) -> dict[int, str]:
    """Return the protocol of each port that a Gateway needs at the edge; of several the first listener's counts.

    `sets` are the ListenerSets that it admits, the oldest first.
    """
    ports: dict[int, str] = {}
    for listener in chain(gateway.listeners, *(each.listeners for each in sets)):
        if not listener.problems and listener.protocol in ('HTTP', 'HTTPS', 'TLS', 'TCP'):
            ports.setdefault(listener.port, listener.protocol)
    return ports


def requested_addresses(gateway: Gateway) -> tuple[str, ...]:
    """Return the IP addresses that a Gateway asks for."""
    return tuple(each.value for each in gateway.addresses if each.type == _IP_ADDRESS and each.value)


def refusal(gateway: Gateway) -> tuple[str, str] | None:
    """Return the API's reason, and a message, why a Gateway is not accepted; it gets no Service then."""
    unsupported = [each.type for each in gateway.addresses if each.type != _IP_ADDRESS]
    if unsupported:
        return 'UnsupportedAddress', f'addresses of type {unsupported[0]} are not supported, IPAddress is'
    if (parameters := gateway.infrastructure.parameters) is not None:
        return 'InvalidParameters', f'parameters of kind {parameters.kind} are not supported, nor are any others'
    return None


def is_current(service: Service | None, gateway: Gateway, ports: GatewayPorts, context: BuildContext) -> bool:
    """Tell whether the Service of a Gateway has these ports and no others, and asks for the Gateway's address.

    One of another form is written anew, so that after an upgrade and after a rollback all have the same form.
    """
    if (
        service is None
        or service.form != forms.SLOTS
        or service.load_balancer_ip != _load_balancer_ip(gateway, context)
    ):
        return False
    if {port.number for port in service.ports if port.protocol is Protocol.UDP} != ports.udp:
        return False
    wanted = {key.removeprefix(PREFIX): value for key, value in _annotations(gateway, ports, context).items()}
    if {key: value for key, value in service.annotations if key in (*_OF_POOLS, _ON_NODES[0])} != {
        key: value for key, value in wanted.items() if key in (*_OF_POOLS, _ON_NODES[0])
    }:
        return False
    return {port.number: port.target for port in service.ports if port.protocol is Protocol.TCP} == ports.targets


def has_other_class(service: Service | None, context: BuildContext) -> bool:
    """Tell whether the Service of a Gateway has to be made anew, because its loadBalancerClass cannot be changed."""
    return service is not None and service.load_balancer_class != load_balancer_class(context)


def load_balancer_class(context: BuildContext) -> str:
    """Return the loadBalancerClass of Services of Gateways: the class's where it has pools, else that of the cluster."""
    return f'{PREFIX}{context.class_name}' if context.settings.address_pools else ''


def _load_balancer_ip(gateway: Gateway, context: BuildContext) -> str:
    """Return the address that the Service of a Gateway asks for by its spec, where it can ask for one."""
    return '' if context.settings.address_pools else next(iter(requested_addresses(gateway)), '')


def udp_ports_of(gateway: Gateway, sets: Iterable[ListenerSet] = ()) -> frozenset[int]:
    """Return the ports of a Gateway, and of the ListenerSets that it admits, that lead past the edge."""
    listeners = chain(gateway.listeners, *(each.listeners for each in sets))
    return frozenset(each.port for each in listeners if not each.problems and each.protocol == UDP)


def udp_name(port: int) -> str:
    """Return the name of a UDP port, in the Service and in its slices."""
    return f'u{port}'


def document(gateway: Gateway, ports: GatewayPorts, selector: Mapping[str, str], context: BuildContext) -> Document:
    """Return the Service of a Gateway as the API takes it. Ports of no Gateway's edge pods get no traffic."""
    ref = gateway_listeners.service_of(gateway.ref, context)
    infrastructure = gateway.infrastructure
    copied = context.settings.gateway_service_annotations
    annotations = {key: value for key, value in infrastructure.annotations if key in copied}
    class_name, address = load_balancer_class(context), _load_balancer_ip(gateway, context)
    labels = {
        **{key: value for key, value in infrastructure.labels if not key.startswith(('app.kubernetes.io/', PREFIX))},
        NAME_LABEL: gateway.name[:_LONGEST_LABEL],
        NAMESPACE_LABEL: gateway.namespace,
        CLASS_LABEL: context.class_name,
        forms.LABEL: str(forms.SLOTS),
    }
    return {
        'apiVersion': 'v1',
        'kind': 'Service',
        'metadata': {
            'name': ref.name,
            'namespace': ref.namespace,
            'labels': labels,
            'annotations': {**annotations, **_annotations(gateway, ports, context)},
        },
        'spec': {
            'type': 'LoadBalancer',
            **({'loadBalancerClass': class_name, 'ipFamilyPolicy': 'PreferDualStack'} if class_name else {}),
            **({'loadBalancerIP': address} if address else {}),
            'selector': dict(selector),
            'ports': [
                {'name': f'p{port}', 'port': port, 'targetPort': slot, 'protocol': 'TCP'}
                for port, slot in sorted(ports.targets.items())
            ]
            + [
                {'name': udp_name(port), 'port': port, 'targetPort': UDP_TARGET, 'protocol': 'UDP'}
                for port in sorted(ports.udp)
            ],
        },
    }


def _annotations(gateway: Gateway, ports: GatewayPorts, context: BuildContext) -> dict[str, str]:
    """Return the annotations of headrace on the Service of a Gateway; what it asks pools for are those of the Gateway."""
    # A class that serves all Services of type LoadBalancer would serve its own way in.
    annotations = {f'{PREFIX}enabled': 'false', **_on_nodes(ports, context)}
    if context.settings.address_pools:
        annotations |= {f'{PREFIX}{key}': value for key, value in gateway.annotations if key in _OF_POOLS}
        if requested := requested_addresses(gateway):
            annotations[f'{PREFIX}{ADDRESS}'] = ' '.join(requested)
    return annotations


def _on_nodes(ports: GatewayPorts, context: BuildContext) -> dict[str, str]:
    """Return the annotations by which the node role of the class takes a Service over, if it is to."""
    if not ports.on_nodes:
        return {}
    key, value = _ON_NODES
    return {f'{PREFIX}{key}': value, f'{PREFIX}class': context.class_name}
