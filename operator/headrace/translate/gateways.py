"""From a Gateway to its fragment: the ports and hosts of its listeners, which routes fill.

A host of a listener without a route answers 404, and is not left to listeners of less specific hosts.
"""

from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import GatewayPort, NoRoute
from headrace.ir.routing import Candidate, Candidates
from headrace.objects.gateways import Gateway
from headrace.store import Reader
from headrace.translate import gateway_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.gateway_listeners import ANY

_NOTHING = Candidates((Candidate(NoRoute()),))


def translate(gateway: Gateway, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a Gateway; one of another class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(gateway.namespace):
        return None
    if not gateway_listeners.is_ours(gateway, reader, context):
        return Fragment(gateway.ref, gateway.created, needs=reader.needs)
    parts = FragmentParts(gateway.ref, gateway.created, reader, context)
    parts.diagnostics += gateway.diagnostics
    for number, bound in enumerate(gateway_listeners.of_gateway(gateway, reader, context)):
        field = f'spec.listeners[{number}]'
        parts.claims.append(Claim(Kind.GATEWAY_PORT, str(bound.port), GatewayPort(bound.listener.port), field))
        if bound.host != ANY:
            key = route_key(f'{bound.port}:{bound.host}', '/', exact=False)
            parts.claims.append(Claim(Kind.ROUTE, key, _NOTHING, field))
    return parts.fragment()
