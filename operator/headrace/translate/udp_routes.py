"""From a UDPRoute to its fragment: which Services get what comes to UDP ports of Gateways.

HAProxy serves no UDP. The controller reads these fragments and writes EndpointSlices; agents do nothing with them. Weights are kept
where the node role serves the Service of the Gateway: kube-proxy knows none.
"""

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.l4 import UDPBackend, UDPTarget
from headrace.names import Ref
from headrace.objects.kinds import Protocol
from headrace.objects.l4_routes import UDPRoute
from headrace.store import Reader
from headrace.translate import gateway_listeners, route_attachment, route_backends
from headrace.translate.build_context import BuildContext
from headrace.translate.fragment_parts import FragmentParts

_FIELD = 'spec.rules[0].backendRefs'


def translate(route: UDPRoute, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a route; one without a parent of this class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(route.namespace):
        return None
    parents = route_attachment.parents(route, (), reader, context)
    if not parents:
        return Fragment(route.ref, route.created, needs=reader.needs)
    parts = FragmentParts(route.ref, route.created, reader, context)
    parts.diagnostics += [*route.diagnostics, *(each for parent in parents for each in parent.diagnostics)]
    parts.attachments = tuple(parent.attachment for parent in parents)
    backends = _backends(route, parts)
    listeners = [attached.listener for parent in parents for attached in parent.attached]
    targets = [UDPTarget(each.gateway, each.listener.port, backends) for each in listeners]
    if any(each.is_weighted and not _is_on_nodes(each.gateway, parts) for each in targets):
        message = 'weights are not kept: kube-proxy shares packets among all endpoints of the backends alike'
        parts.diagnostics.append(Diagnostic(route.ref, 'WeightsNotKept', message, _FIELD))
    parts.claims += [Claim(Kind.UDP_PORT, key(each.gateway, each.port), each, 'spec.rules') for each in targets]
    return parts.fragment()


def key(gateway: Ref, port: int) -> str:
    """Return what a UDP port of a Gateway is claimed by."""
    return f'{gateway.namespace}/{gateway.name}/{port}'


def _is_on_nodes(gateway: Ref, parts: FragmentParts) -> bool:
    """Tell whether kube-proxy has left the Service of a Gateway to the node role of this class."""
    service = gateway_listeners.read_service(gateway, parts.reader, parts.context)
    return service is not None and service.proxy_name == parts.context.class_name


def _backends(route: UDPRoute, parts: FragmentParts) -> tuple[UDPBackend, ...]:
    """Return the backends that get packets."""
    ports: dict[tuple[Ref, str], int] = {}
    backends = route.rules[0].backends if len(route.rules) == 1 and not route.problems else ()
    for number, backend in enumerate(backends):
        if backend.problems:
            continue
        field = f'{_FIELD}[{number}]'
        found = route_backends.resolve(route.ref, backend, field, parts.reader, parts.context, Protocol.UDP)
        if isinstance(found, Diagnostic):
            parts.diagnostics.append(found)
        elif backend.weight:
            port = found.service.ref, found.port.name
            ports[port] = ports.get(port, 0) + backend.weight
    return tuple(sorted(UDPBackend(*port, weight) for port, weight in ports.items()))
