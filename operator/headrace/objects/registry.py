"""The kinds of objects: what the API calls each, how it is read, and what a change of one touches.

One row is all that sources and the store know of a kind, so another kind is another row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headrace.names import Ref
from headrace.objects import (
    backend_tls_policies,
    cluster,
    config_maps,
    fields,
    gateway_classes,
    gateways,
    grpc_routes,
    http_routes,
    ingress,
    l4_routes,
    reference_grants,
    secrets,
    services,
    slices,
)
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.grpc_routes import GRPCRoute
from headrace.objects.http_routes import HTTPRoute
from headrace.objects.ingress import Ingress, IngressClass
from headrace.objects.kinds import (
    CANARIES,
    DEFAULT_INGRESS_CLASS,
    EXPRESSIONS,
    NODES,
    REFERENCE_GRANTS,
    ConfigMap,
    Endpoints,
    Namespace,
    Node,
    Object,
    Secret,
    Service,
    Slice,
)
from headrace.objects.l4_routes import TCPRoute, TLSRoute, UDPRoute
from headrace.objects.listeners import Listener
from headrace.objects.reference_grants import ReferenceGrant
from headrace.objects.references import GATEWAY_GROUP

GatewayRoute = HTTPRoute | GRPCRoute | TLSRoute | TCPRoute | UDPRoute
Read = Callable[[str, str, fields.Document], Object]
# Whether reading a document takes more than some milliseconds.
Slow = Callable[[fields.Document], bool]
# From the object before and after, of which one may be None, to what a change of it touches.
Touch = Callable[[Any, Any], Iterable[Ref]]
# From an object to the groups that it is a member of.
Groups = Callable[[Any], Iterable[Ref]]

# The group of all Gateways.
ALL_GATEWAYS = Ref('Gateways', '', '*')


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind. `read` makes the object of a document whose namespace and name are valid.

    `subdomain` tells that its names are DNS subdomains and not labels, `optional` that the API may not serve the kind: it
    can come, go and come back. Documents that are `slow` to read are read beside the event loop. `others` are versions
    of the same form, which documents of a folder can have. The store keeps the members of each of the `groups`.
    """

    type: type[Object]
    name: str
    group: str
    version: str
    plural: str
    read: Read
    touch: Touch
    namespaced: bool = True
    subdomain: bool = True
    optional: bool = False
    slow: Slow = lambda _: False
    others: tuple[str, ...] = ()
    groups: Groups = lambda _: ()

    @property
    def api_version(self) -> str:
        """Return what objects of this kind carry as `apiVersion`."""
        return self.api_versions[0]

    @property
    def api_versions(self) -> tuple[str, ...]:
        """Return what documents of this kind can carry as `apiVersion`."""
        stem = f'{self.group}/' if self.group else ''
        return tuple(f'{stem}{version}' for version in (self.version, *self.others))


def _one(before: Object | None, after: Object | None) -> Object:
    item = after if after is not None else before
    assert item is not None
    return item


def _itself(before: Object | None, after: Object | None) -> tuple[Ref, ...]:
    return (_one(before, after).ref,)


def _endpoints_of_services(before: Slice | None, after: Slice | None) -> set[Ref]:
    """Return the Services that a slice belonged to and belongs to, as their endpoints."""
    return {Ref('EndpointSlice', item.namespace, item.service) for item in (before, after) if item and item.service}


def _endpoints_of_service(before: Endpoints | None, after: Endpoints | None) -> tuple[Ref, ...]:
    return tuple(Ref('EndpointSlice', ref.namespace, ref.name) for ref in _itself(before, after))


def _node(before: Node | None, after: Node | None) -> tuple[Ref, ...]:
    return (*_itself(before, after), NODES)


def canaries(namespace: str, host: str) -> Ref:
    """Return the group of the canary Ingresses of a host that a namespace has."""
    return Ref(CANARIES, namespace, host)


def _canary_groups(ingress: Ingress) -> set[Ref]:
    return {canaries(ingress.namespace, host) for host in ingress.canary_hosts}


def expressions(namespace: str, ingress_class: str, host: str) -> Ref:
    """Return what stands for whether paths of a host are regular expressions, for Ingresses that name a class."""
    return Ref(EXPRESSIONS, namespace, f'{ingress_class}/{host}')


def grants_of(namespace: str) -> Ref:
    """Return the group of the ReferenceGrants of a namespace."""
    return Ref(REFERENCE_GRANTS, namespace, '*')


def _ingress_class(before: IngressClass | None, after: IngressClass | None) -> tuple[Ref, ...]:
    default = any(item is not None and item.is_default for item in (before, after))
    return (*_itself(before, after), DEFAULT_INGRESS_CLASS) if default else _itself(before, after)


def _all_gateways(_: Gateway) -> tuple[Ref, ...]:
    return (ALL_GATEWAYS,)


def attached(kind: str, ref: Ref) -> Ref:
    """Return the group of the objects of a kind that attach to an object: routes and ListenerSets to a Gateway, policies to a Service."""
    return Ref(f'{kind} of {ref.kind}', ref.namespace, ref.name)


def _parents(route: GatewayRoute) -> set[Ref]:
    return {attached(route.KIND, parent.ref) for parent in route.parents if parent.group == GATEWAY_GROUP}


def listeners_of_host(gateway: Ref, host: str) -> Ref:
    """Return the group of the ListenerSets of a Gateway that have a listener of a host, `*` for one without a host."""
    return Ref('listeners of host', gateway.namespace, f'{gateway.name}/{host}')


def listeners_of_protocol(gateway: Ref, port: int, protocol: str) -> Ref:
    """Return the group of the ListenerSets of a Gateway that have a listener of a protocol at a port."""
    return Ref('listeners of protocol', gateway.namespace, f'{gateway.name}/{port}/{protocol}')


def groups_of_listener(gateway: Ref, listener: Listener) -> tuple[Ref, Ref]:
    """Return the groups that a ListenerSet is in by one of its listeners."""
    return (
        listeners_of_host(gateway, listener.hostname or '*'),
        listeners_of_protocol(gateway, listener.port, listener.protocol),
    )


def _listener_groups(item: ListenerSet) -> set[Ref]:
    if item.parent is None:
        return set()
    groups = {attached('ListenerSet', item.parent.ref)}
    return groups.union(*(groups_of_listener(item.parent.ref, listener) for listener in item.listeners))


def _targets(policy: BackendTLSPolicy) -> set[Ref]:
    return {attached('BackendTLSPolicy', target.ref) for target in policy.targets}


KINDS = (
    Kind(Service, 'Service', '', 'v1', 'services', services.read, _itself, subdomain=False),
    Kind(Endpoints, 'Endpoints', '', 'v1', 'endpoints', slices.read_endpoints, _endpoints_of_service),
    Kind(Secret, 'Secret', '', 'v1', 'secrets', secrets.read, _itself, slow=lambda _: True),
    Kind(Node, 'Node', '', 'v1', 'nodes', cluster.read_node, _node, namespaced=False),
    Kind(Namespace, 'Namespace', '', 'v1', 'namespaces', cluster.read_namespace, _itself, namespaced=False, subdomain=False),
    Kind(Slice, 'EndpointSlice', 'discovery.k8s.io', 'v1', 'endpointslices', slices.read, _endpoints_of_services),
    Kind(Ingress, 'Ingress', 'networking.k8s.io', 'v1', 'ingresses', ingress.read, _itself, slow=ingress.is_large, groups=_canary_groups),
    Kind(IngressClass, 'IngressClass', 'networking.k8s.io', 'v1', 'ingressclasses', ingress.read_class, _ingress_class, namespaced=False),
    Kind(ConfigMap, 'ConfigMap', '', 'v1', 'configmaps', config_maps.read, _itself, optional=True, slow=config_maps.is_slow),
    Kind(GatewayClass, 'GatewayClass', GATEWAY_GROUP, 'v1', 'gatewayclasses', gateway_classes.read, _itself, namespaced=False, optional=True, others=('v1beta1',)),
    Kind(Gateway, 'Gateway', GATEWAY_GROUP, 'v1', 'gateways', gateways.read, _itself, optional=True, others=('v1beta1',), groups=_all_gateways),
    Kind(ListenerSet, 'ListenerSet', GATEWAY_GROUP, 'v1', 'listenersets', gateways.read_listener_set, _itself, optional=True, groups=_listener_groups),
    Kind(HTTPRoute, 'HTTPRoute', GATEWAY_GROUP, 'v1', 'httproutes', http_routes.read, _itself, optional=True, slow=http_routes.is_large, others=('v1beta1',), groups=_parents),
    Kind(GRPCRoute, 'GRPCRoute', GATEWAY_GROUP, 'v1', 'grpcroutes', grpc_routes.read, _itself, optional=True, groups=_parents),
    Kind(TLSRoute, 'TLSRoute', GATEWAY_GROUP, 'v1', 'tlsroutes', l4_routes.read_tls, _itself, optional=True, others=('v1alpha2', 'v1alpha3'), groups=_parents),
    Kind(TCPRoute, 'TCPRoute', GATEWAY_GROUP, 'v1', 'tcproutes', l4_routes.read_tcp, _itself, optional=True, others=('v1alpha2',), groups=_parents),
    Kind(UDPRoute, 'UDPRoute', GATEWAY_GROUP, 'v1', 'udproutes', l4_routes.read_udp, _itself, optional=True, others=('v1alpha2',), groups=_parents),
    # Every release of the CRDs serves v1beta1, those before 1.5 nothing else.
    Kind(ReferenceGrant, 'ReferenceGrant', GATEWAY_GROUP, 'v1beta1', 'referencegrants', reference_grants.read, _itself, optional=True, others=('v1',), groups=lambda grant: (grants_of(grant.namespace),)),
    Kind(BackendTLSPolicy, 'BackendTLSPolicy', GATEWAY_GROUP, 'v1', 'backendtlspolicies', backend_tls_policies.read, _itself, optional=True, others=('v1alpha3',), groups=_targets),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
BY_TYPE = {kind.type: kind for kind in KINDS}
BY_VERSION = {(version, kind.name): kind for kind in KINDS for version in kind.api_versions}


def touched(before: Object | None, after: Object | None) -> Iterable[Ref]:
    """Return what a change of an object touches; before and after, of which one may be None, are of one kind."""
    return BY_TYPE[type(_one(before, after))].touch(before, after)


def groups(item: Object | None) -> Iterable[Ref]:
    """Return the groups that an object is a member of; None of none."""
    return BY_TYPE[type(item)].groups(item) if item is not None else ()
