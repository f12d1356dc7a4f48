"""From a Gateway or ListenerSet to its fragment: the ports and hosts of its listeners, which routes fill.

A host of a listener without a route answers 404, and is not left to listeners of less specific hosts.
"""

from headrace.diagnostics import Diagnostic
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.pointers import GatewayPort, NoRoute
from headrace.ir.routing import Candidate, Candidates
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.store import Reader
from headrace.translate import client_certificates, gateway_listeners, gateway_tls, listener_sets
from headrace.translate.build_context import BuildContext
from headrace.translate.edge_ports import route_key
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.judged_listeners import ANY, TCP, TLS, UDP, JudgedListener, Listeners

_NOTHING = Candidates((Candidate(NoRoute()),))


def translate(gateway: Gateway, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a Gateway; one of another class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(gateway.namespace):
        return None
    if not gateway_listeners.is_ours(gateway, reader, context):
        return Fragment(gateway.ref, gateway.created, needs=reader.needs)
    parts = FragmentParts(gateway.ref, gateway.created, reader, context)
    parts.diagnostics += gateway.problems
    certificate = client_certificates.of_gateway(gateway, reader, context)
    parts.diagnostics += [certificate] if isinstance(certificate, Diagnostic) else []
    _serve_all(gateway, gateway_listeners.of_gateway(gateway, reader, context), parts)
    return parts.fragment()


def translate_set(listener_set: ListenerSet, reader: Reader, context: BuildContext) -> Fragment | None:
    """Return the fragment of a ListenerSet; one for no Gateway of this class has nothing but what that was decided by."""
    if not context.settings.gateway_api or not context.exists(listener_set.namespace):
        return None
    gateway = listener_sets.gateway_of(listener_set, reader, context)
    if gateway is None or not context.exists(gateway.namespace):
        return Fragment(listener_set.ref, listener_set.created, needs=reader.needs)
    parts = FragmentParts(listener_set.ref, listener_set.created, reader, context)
    parts.diagnostics += listener_set.problems
    if not listener_sets.is_allowed(listener_set, gateway, reader):
        message = f'{gateway.ref} admits no ListenerSets of namespace {listener_set.namespace}'
        parts.diagnostics.append(Diagnostic(listener_set.ref, 'NotAllowed', message, 'spec.parentRef'))
    _serve_all(gateway, listener_sets.of_set(listener_set, gateway, reader, context), parts)
    return parts.fragment()


def _serve_all(gateway: Gateway, listeners: Listeners, parts: FragmentParts) -> None:
    """Claim what the listeners of an object need, and say what is wrong with them."""
    parts.diagnostics += [diagnostic for each in listeners.items for diagnostic in each.diagnostics]
    for each in listeners.accepted:
        if each.port and each.listener.protocol != UDP:
            _serve(gateway, each, parts)


def _serve(gateway: Gateway, each: JudgedListener, parts: FragmentParts) -> None:
    """Claim the port and the host of a listener."""
    number = each.listener.port
    validates = each.ends_tls and bool(parts.context.slots) and gateway_tls.validates(gateway, number)
    parts.claims.append(Claim(Kind.GATEWAY_PORT, str(each.port), GatewayPort(number, validates), each.field))
    if each.ends_tls:
        gateway_tls.serve(gateway, each, parts)
    host = f'{each.port}:{each.host}'
    if each.listener.protocol in (TLS, TCP):
        parts.claims.append(Claim(Kind.L4_ROUTE, host, NoRoute(), each.field))
    elif each.host != ANY:
        parts.claims.append(Claim(Kind.ROUTE, route_key(host, '/', exact=False), _NOTHING, each.field))
