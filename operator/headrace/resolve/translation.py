"""From an object to its fragment, in the role of this agent, and from changed endpoints to a fragment with others.

Owns which Services of a node still drain: they have gone back to kube-proxy, or have ports that have moved from HAProxy to
the kernel, and HAProxy serves on those who are connected.
"""

from collections.abc import Mapping
from dataclasses import replace

from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import VirtualAddress
from headrace.names import Ref
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.grpc_routes import GRPCRoute
from headrace.objects.http_routes import HTTPRoute
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service
from headrace.objects.l4_routes import TCPRoute, TLSRoute, UDPRoute
from headrace.resolve.dependencies import Dependencies
from headrace.store import OfEdge, Reader, Store, Translated
from headrace.translate import (
    backend_tls,
    budgets,
    class_fragment,
    gateways,
    http_routes,
    ingresses,
    l4_routes,
    node_services,
    ownership,
    services,
    udp_routes,
)
from headrace.translate.build_context import BuildContext, Role


class Translation:
    """Builds fragments. `fragments` are those that stand, which tell what HAProxy may have connections to."""

    def __init__(self, context: BuildContext, dependencies: Dependencies, fragments: Mapping[Ref, Fragment]) -> None:
        self.context, self.dependencies, self.fragments = context, dependencies, fragments
        self.draining: set[Ref] = set()
        self.own = class_fragment.ref(context)
        # Whether a change of endpoints changes nothing but the servers of a fragment.
        self.refreshable = context.role is Role.EDGE and context.settings.address_source == 'endpoints'

    def refresh(self, store: Store, fragment: Fragment) -> Fragment:
        """Return a fragment with the endpoints that its Service has now."""
        if fragment.ref.kind != 'Service':
            return fragment
        service = store.get(fragment.ref, Service)
        assert service is not None
        return services.refresh(fragment, service, Reader(store, fragment.ref), self.context)

    def build(self, store: Store, reader: Reader) -> Fragment | None:
        """Return the fragment that an object asks for, None for none; `reader` records what it is made from.

        One whose annotations the store has no room for is closed at the edge.
        """
        fragment, source = self._build(store, reader), store.source(reader.ref)
        if fragment is None or not isinstance(source, Service | Ingress) or not source.omitted:
            return fragment
        if not fragment.claims and not fragment.diagnostics:
            # It is of another class.
            return fragment
        diagnostics = (budgets.omitted_annotations(source, self.context),)
        form = budgets.closed_form(fragment) if self.context.role is Role.EDGE else fragment
        return replace(form, diagnostics=diagnostics)

    def _build(self, store: Store, reader: Reader) -> Fragment | None:
        if reader.ref == self.own:
            return class_fragment.translate(self.context, reader)
        source = store.source(reader.ref)
        if source is not None and not isinstance(source, Service):
            return self._at_the_edge(source, reader) if self.context.role is Role.EDGE else None
        service = source
        if service is None:
            self.draining.discard(reader.ref)
            return None
        if self.context.role is Role.NODE:
            return self._of_node(service, reader)
        return services.translate(service, reader, self.context, self.dependencies.demands(reader.ref))

    def _at_the_edge(self, source: OfEdge, reader: Reader) -> Fragment | None:
        """Return the fragment of an object that the edge alone serves."""
        match source:
            case Ingress():
                return ingresses.translate(source, reader, self.context)
            case Gateway():
                return gateways.translate(source, reader, self.context)
            case ListenerSet():
                return gateways.translate_set(source, reader, self.context)
            case BackendTLSPolicy():
                return backend_tls.translate(source, reader, self.context)
            case HTTPRoute() | GRPCRoute():
                return http_routes.translate(source, reader, self.context)
            case TCPRoute() | TLSRoute():
                return l4_routes.translate(source, reader, self.context)
            case UDPRoute():
                return udp_routes.translate(source, reader, self.context)

    def _of_node(self, service: Service, reader: Reader) -> Fragment | None:
        ref, demands = service.ref, self.dependencies.demands(service.ref)
        is_ours, drains = ownership.is_ours(service, self.context), self._drains(service)
        if not is_ours and not drains and not demands:
            return None
        fragment = node_services.translate(service, reader, self.context, demands, ours=is_ours, drains=drains)
        if is_ours and self._moves(fragment) != drains:
            drains = not drains
            (self.draining.add if drains else self.draining.discard)(ref)
            fragment = node_services.translate(service, reader, self.context, demands, ours=is_ours, drains=drains)
        return fragment

    def _drains(self, service: Service) -> bool:
        """Note and tell whether a Service has gone back to kube-proxy while HAProxy may have connections to it."""
        previous = self.fragments.get(service.ref)
        if not ownership.can_be_ours(service, self.context):
            self.draining.discard(service.ref)
        elif ownership.is_ours(service, self.context):
            # Whether its ports drain is known when it is built: see `_moves`.
            pass
        elif previous is not None and {Kind.VIRTUAL_ADDRESS, Kind.ADDRESS} <= {claim.kind for claim in previous.claims}:
            self.draining.add(service.ref)
        return service.ref in self.draining

    def _moves(self, fragment: Fragment) -> bool:
        """Tell whether the kernel serves a port to which HAProxy may have connections."""
        ports = {key for key, datapath in _datapaths(fragment).items() if datapath == 'kernel' and key.endswith('/TCP')}
        if fragment.ref in self.draining:
            return bool(ports)
        previous = self.fragments.get(fragment.ref)
        return previous is not None and any(_datapaths(previous).get(key, 'kernel') != 'kernel' for key in ports)


def _datapaths(fragment: Fragment) -> dict[str, str]:
    """Return who serves each virtual address of a fragment."""
    return {claim.key: claim.value.datapath for claim in fragment.claims if isinstance(claim.value, VirtualAddress)}


def count_services(source: Translated | None) -> int:
    """Return to how many Services an Ingress or a route leads at most."""
    match source:
        case Ingress():
            return len({path.service for rule in source.rules for path in rule.paths})
        case HTTPRoute() | GRPCRoute() | TCPRoute() | TLSRoute():
            return sum(len(rule.backends) for rule in source.rules)
    return 0
