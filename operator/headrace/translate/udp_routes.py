"""From a UDPRoute to its fragment: which Services get what comes to UDP ports of Gateways.

HAProxy serves no UDP. The controller reads these fragments and writes EndpointSlices; agents do nothing with them.
"""

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.l4 import UDPTarget
from headrace.names import Ref
from headrace.objects.kinds import Protocol
from headrace.objects.l4_routes import UDPRoute
from headrace.store import Reader
from headrace.translate import route_attachment, route_backends
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
    target = UDPTarget(_ports(route, parts))
    for attached in (each for parent in parents for each in parent.attached):
        gateway = attached.listener.gateway
        key = f'{gateway.namespace}/{gateway.name}/{attached.listener.listener.port}'
        parts.claims.append(Claim(Kind.UDP_PORT, key, target, 'spec.rules'))
    return parts.fragment()


def _ports(route: UDPRoute, parts: FragmentParts) -> tuple[tuple[Ref, str], ...]:
    """Return the ports of the backends that get packets."""
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
            ports[found.service.ref, found.port.name] = backend.weight
    if len(set(ports.values())) > 1:
        message = 'weights are not kept: kube-proxy shares packets among all endpoints of the backends alike'
        parts.diagnostics.append(Diagnostic(route.ref, 'WeightsNotKept', message, _FIELD))
    return tuple(sorted(ports))
