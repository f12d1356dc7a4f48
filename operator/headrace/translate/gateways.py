"""From a Gateway to its fragment: the ports and hosts of its listeners, which routes fill.

A host of a listener without a route answers 404, and is not left to listeners of less specific hosts.
"""

from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import GatewayPort, NoRoute
from headrace.ir.routing import Candidate, Candidates
from headrace.objects.gateways import Gateway
from headrace.store import Reader
from headrace.translate import gateway_listeners, gateway_tls, judged_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.judged_listeners import ANY, HTTPS, JudgedListener

_NOTHING = Candidates((Candidate(NoRoute()),))


def translate(gateway: Gateway, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a Gateway; one of another class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(gateway.namespace):
        return None
    if not gateway_listeners.is_ours(gateway, reader, context):
        return Fragment(gateway.ref, gateway.created, needs=reader.needs)
    parts = FragmentParts(gateway.ref, gateway.created, reader, context)
    listeners = gateway_listeners.of_gateway(gateway, reader, context)
    parts.diagnostics += [*gateway.problems, *judged_listeners.diagnostics(listeners.items, gateway.ref)]
    for each in listeners.accepted:
        if each.port:
            _serve(each, parts)
    return parts.fragment()


def _serve(each: JudgedListener, parts: FragmentParts) -> None:
    """Claim the port and the host of a listener."""
    parts.claims.append(Claim(Kind.GATEWAY_PORT, str(each.port), GatewayPort(each.listener.port), each.field))
    if each.listener.protocol == HTTPS:
        gateway_tls.serve(each, parts)
    if each.host != ANY:
        key = route_key(f'{each.port}:{each.host}', '/', exact=False)
        parts.claims.append(Claim(Kind.ROUTE, key, _NOTHING, each.field))
