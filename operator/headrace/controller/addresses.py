"""Which addresses a Service or Ingress of our class gets into its `status.loadBalancer`.

Pure. An address of the edge is published only while the object has something there, and for a Service with `ipMode: Proxy`, so
that no service proxy takes a way around headrace (KEP-1860). Addresses of pools are those of `address_pools`.
"""

from headrace.annotations import parse
from headrace.ir.fragment import Kind
from headrace.names import Ref
from headrace.objects.annotations import PREFIX
from headrace.objects.kinds import NODES, Service, ServiceType
from headrace.objects.status import Addresses
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import exposure
from headrace.translate.build_context import BuildContext
from headrace.translate.ingress_class import ClassDecision, controller_name

# What a service proxy makes of an address: nothing, or it leads it to the endpoints.
PROXY, VIP = 'Proxy', 'VIP'
_AT_THE_EDGE = (Kind.ROUTE, Kind.PORT, Kind.TLS)
_SERVICE = 'service:'
_NODES = 'nodes'


def edge_addresses_of(settings: Settings, store: Store) -> Addresses:
    """Return the addresses of the edge, as pairs of an IP address and a host name, one of which is empty; sorted."""
    addresses: set[tuple[str, str]] = set()
    for text in settings.status_addresses:
        if text == _NODES:
            addresses |= {(address, '') for node in store.nodes() if node.usable for address in node.addresses}
        elif text.startswith(_SERVICE):
            namespace, _, name = text.removeprefix(_SERVICE).partition('/')
            service = store.get(Ref('Service', namespace, name), Service)
            # As the API gives it, an entry may hold both, or neither of them.
            for address, host in service.status.addresses if service else ():
                addresses |= {(address, '' if address else host)} if address or host else set()
        else:
            addresses.add((text, '') if ':' in text or text.replace('.', '').isdigit() else ('', text))
    return tuple(sorted(addresses))


def is_ours(service: Service, state: State) -> bool:
    """Tell whether a Service belongs to the class of a state."""
    annotations = parse.read(service.ref, service.annotations, service.ports)
    return exposure.is_ours(service, annotations, state.context)


def speaks_of(service: Service, state: State) -> bool:
    """Tell whether the addresses of a Service are this class's to write: by its loadBalancerClass, or the default."""
    if service.type is not ServiceType.LOAD_BALANCER or not state.context.settings.status_addresses:
        return False
    annotations = parse.read(service.ref, service.annotations, service.ports)
    if not exposure.is_ours(service, annotations, state.context):
        return False
    # A Service that is served here because of its annotations may have its addresses from another load balancer.
    if service.load_balancer_class:
        return service.load_balancer_class == PREFIX + state.context.class_name
    return state.context.settings.default_class


def sources(settings: Settings) -> frozenset[Ref]:
    """Return the objects whose addresses are published."""
    return frozenset(
        NODES if text == _NODES else Ref('Service', *text.removeprefix(_SERVICE).split('/', 1))
        for text in settings.status_addresses
        if text == _NODES or text.startswith(_SERVICE)
    )


def at_the_edge(ref: Ref, state: State) -> bool:
    """Tell whether anything leads to an object at the edge; an Ingress may share its routes with others."""
    fragment = state.fragments.get(ref)
    claims = (claim for claim in fragment.claims if claim.kind in _AT_THE_EDGE) if fragment is not None else ()
    claimants = (state.claims.claimants((claim.kind, claim.key)) for claim in claims)
    return any(ref in (refs if ref.kind == 'Ingress' else refs[:1]) for refs in claimants)


def desired(ref: Ref, state: State, edge_addresses: Addresses) -> Addresses:
    """Return the addresses that an object of ours shall have: those of the edge while anything leads to it there."""
    return edge_addresses if state.context.exists(ref.namespace) and at_the_edge(ref, state) else ()


def is_of_another_controller(decision: ClassDecision, context: BuildContext) -> bool:
    """Tell whether an Ingress that is served here has a class of another controller, which may write its status."""
    is_foreign = decision.name in context.settings.ingress_classes
    return is_foreign and decision.controller != controller_name(context.class_name)


def entries(ref: Ref, addresses: Addresses, ip_mode: str = PROXY) -> list[dict[str, str]]:
    """Return the addresses of an object as the API takes them; those of an Ingress have no mode."""
    mode = {'ipMode': ip_mode} if ref.kind == 'Service' else {}
    return [{'ip': ip, **mode} if ip else {'hostname': host} for ip, host in addresses]
