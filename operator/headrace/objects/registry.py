"""The kinds of objects: what the API calls each, how it is read, and what a change of one touches.

One row is all that sources and the store know of a kind, so another kind is another row.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from headrace.names import Ref
from headrace.objects import (
    cluster,
    fields,
    gateway_classes,
    gateways,
    http_routes,
    ingress,
    reference_grants,
    secrets,
    services,
    slices,
)
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway
from headrace.objects.http_routes import HTTPRoute
from headrace.objects.ingress import Ingress, IngressClass
from headrace.objects.kinds import (
    CANARIES,
    DEFAULT_INGRESS_CLASS,
    EXPRESSIONS,
    NODES,
    REFERENCE_GRANTS,
    Endpoints,
    Namespace,
    Node,
    Object,
    Secret,
    Service,
    Slice,
)
from headrace.objects.reference_grants import ReferenceGrant

Read = Callable[[str, str, fields.Document], Object]
# Whether reading a document takes more than some milliseconds.
Slow = Callable[[fields.Document], bool]
# From the object before and after, of which one may be None, to what a change of it touches.
Touch = Callable[[Any, Any], Iterable[Ref]]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind. `read` makes the object of a document whose namespace and name are valid.

    `subdomain` tells that its names are DNS subdomains and not labels, `optional` that the API may not serve the kind: it
    can come, go and come back. Documents that are `slow` to read are read beside the event loop.
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

    @property
    def api_version(self) -> str:
        """Return what objects of this kind carry as `apiVersion`."""
        return f'{self.group}/{self.version}' if self.group else self.version


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


def _ingress(before: Ingress | None, after: Ingress | None) -> set[Ref]:
    """Return an Ingress, and the hosts of which it is a canary before or after."""
    hosts = {host for item in (before, after) if item is not None for host in item.canary_hosts}
    namespace = _one(before, after).ref.namespace
    return {*_itself(before, after), *(canaries(namespace, host) for host in hosts)}


def canaries(namespace: str, host: str) -> Ref:
    """Return what stands for all canary Ingresses of a host that a namespace has."""
    return Ref(CANARIES, namespace, host)


def expressions(namespace: str, ingress_class: str, host: str) -> Ref:
    """Return what stands for whether paths of a host are regular expressions, for Ingresses that name a class."""
    return Ref(EXPRESSIONS, namespace, f'{ingress_class}/{host}')


def _reference_grant(before: ReferenceGrant | None, after: ReferenceGrant | None) -> tuple[Ref, ...]:
    ref = _one(before, after).ref
    return ref, grants_of(ref.namespace)


def grants_of(namespace: str) -> Ref:
    """Return what stands for all ReferenceGrants of a namespace."""
    return Ref(REFERENCE_GRANTS, namespace, '*')


def _ingress_class(before: IngressClass | None, after: IngressClass | None) -> tuple[Ref, ...]:
    default = any(item is not None and item.is_default for item in (before, after))
    return (*_itself(before, after), DEFAULT_INGRESS_CLASS) if default else _itself(before, after)


_GATEWAY_API = 'gateway.networking.k8s.io'
KINDS = (
    Kind(Service, 'Service', '', 'v1', 'services', services.read, _itself, subdomain=False),
    Kind(Endpoints, 'Endpoints', '', 'v1', 'endpoints', slices.read_endpoints, _endpoints_of_service),
    Kind(Secret, 'Secret', '', 'v1', 'secrets', secrets.read, _itself, slow=lambda _: True),
    Kind(Node, 'Node', '', 'v1', 'nodes', cluster.read_node, _node, namespaced=False),
    Kind(Namespace, 'Namespace', '', 'v1', 'namespaces', cluster.read_namespace, _itself, namespaced=False, subdomain=False),
    Kind(Slice, 'EndpointSlice', 'discovery.k8s.io', 'v1', 'endpointslices', slices.read, _endpoints_of_services),
    Kind(Ingress, 'Ingress', 'networking.k8s.io', 'v1', 'ingresses', ingress.read, _ingress, slow=ingress.is_large),
    Kind(IngressClass, 'IngressClass', 'networking.k8s.io', 'v1', 'ingressclasses', ingress.read_class, _ingress_class, namespaced=False),
    Kind(GatewayClass, 'GatewayClass', _GATEWAY_API, 'v1', 'gatewayclasses', gateway_classes.read, _itself, namespaced=False, optional=True),
    Kind(Gateway, 'Gateway', _GATEWAY_API, 'v1', 'gateways', gateways.read, _itself, optional=True),
    Kind(HTTPRoute, 'HTTPRoute', _GATEWAY_API, 'v1', 'httproutes', http_routes.read, _itself, optional=True, slow=http_routes.is_large),
    Kind(ReferenceGrant, 'ReferenceGrant', _GATEWAY_API, 'v1', 'referencegrants', reference_grants.read, _reference_grant, optional=True),
)  # fmt: skip
BY_NAME = {kind.name: kind for kind in KINDS}
BY_TYPE = {kind.type: kind for kind in KINDS}
BY_VERSION = {(kind.api_version, kind.name): kind for kind in KINDS}


def touched(before: Object | None, after: Object | None) -> Iterable[Ref]:
    """Return what a change of an object touches; before and after, of which one may be None, are of one kind."""
    return BY_TYPE[type(_one(before, after))].touch(before, after)
