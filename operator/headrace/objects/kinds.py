"""Frozen views of the Kubernetes objects that headrace reads, with only the fields it needs.

The values are small on purpose: a cluster of 10,000 Services with 10 endpoints each is kept in some 20 MB. A slice's
plain endpoints are one sorted tuple of addresses; only odd endpoints (not ready, terminating) are values of their own.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol as Interface

from headrace import forms
from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects.status import UNREAD, Status

# All Nodes, for those that read them all.
NODES = Ref('Node', '', '*')
# The IngressClass of Ingresses without a class.
DEFAULT_INGRESS_CLASS = Ref('IngressClass', '', '*')
# The kind of what stands for all canary Ingresses of a host in a namespace.
CANARIES = 'Canaries'
# The kind of what stands for all ReferenceGrants of a namespace.
REFERENCE_GRANTS = 'ReferenceGrants'
# The kind of what stands for whether paths of a host are regular expressions, by class and host.
EXPRESSIONS = 'PathExpressions'


class Protocol(StrEnum):
    """Transport protocols of ports."""

    TCP = 'TCP'
    UDP = 'UDP'
    SCTP = 'SCTP'


@dataclass(frozen=True, slots=True)
class ServicePort:
    """A port of a Service; `name` may be empty, `node_port` is 0 where there is none, `target` where it is a name."""

    name: str
    protocol: Protocol
    number: int
    node_port: int = 0
    app_protocol: str = ''
    target: int = 0

    @property
    def label(self) -> str:
        """Return what names this port in names and `.PORT` forms: its name, else its number."""
        return self.name or str(self.number)


class ServiceType(StrEnum):
    """Types of Services."""

    CLUSTER_IP = 'ClusterIP'
    NODE_PORT = 'NodePort'
    LOAD_BALANCER = 'LoadBalancer'
    EXTERNAL_NAME = 'ExternalName'


@dataclass(frozen=True, slots=True)
class Service:
    """A Service. `annotations` are those under our prefix, without it, sorted.

    `chosen` is the class whose controller has chosen it for the node role, by our label; `health_port` its
    healthCheckNodePort, 0 for none; `form` that of what the controller says by it. `omitted` is the size of its annotations where the store has no
    room for them. `status` is read for the controller alone, and no part of what the Service says.
    """

    namespace: str
    name: str
    created: str = ''
    annotations: tuple[tuple[str, str], ...] = ()
    ports: tuple[ServicePort, ...] = ()
    type: ServiceType = ServiceType.CLUSTER_IP
    cluster_ips: tuple[str, ...] = ()
    ip_families: tuple[int, ...] = ()
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    load_balancer_class: str = ''
    load_balancer_ip: str = ''
    source_ranges: tuple[str, ...] = ()
    external_name: str = ''
    affinity_seconds: int = 0
    internal_local: bool = False
    external_local: bool = False
    proxy_name: str | None = None
    chosen: str = ''
    health_port: int = 0
    form: int = forms.FIRST
    problems: tuple[Diagnostic, ...] = ()
    omitted: int = 0
    status: Status = field(default=UNREAD, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the Service's reference."""
        return Ref('Service', self.namespace, self.name)

    @property
    def headless(self) -> bool:
        """Tell whether the Service is headless; one without any clusterIP field, as folders have them, is not."""
        return self.cluster_ips == ('None',)


@dataclass(frozen=True, slots=True)
class SlicePort:
    """A port of a slice, resolved: endpoints of one Service port may listen on different numbers."""

    name: str
    protocol: Protocol
    number: int


@dataclass(frozen=True, slots=True)
class Hints:
    """Topology hints of one endpoint: zones and nodes that should use it."""

    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint that is not simply ready: what its conditions say, nil already replaced by its meaning."""

    address: str
    ready: bool
    serving: bool
    terminating: bool
    node: str = ''
    hints: Hints = field(default_factory=Hints)


@dataclass(frozen=True, slots=True)
class Slice:
    """An EndpointSlice. `nodes` and `hints` run parallel to `ready`, or are empty when no endpoint has any.

    `ready` holds the endpoints that are ready and not terminating, sorted; all others are in `others`. `headless` tells
    that it is marked as one that kube-proxy leaves alone. `weight` is that of each endpoint, 0 where the slice names none.
    """

    namespace: str
    name: str
    service: str
    family: int
    ports: tuple[SlicePort, ...] = ()
    ready: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    hints: tuple[Hints, ...] = ()
    others: tuple[Endpoint, ...] = ()
    mirrored: bool = False
    headless: bool = False
    weight: int = 0
    problems: tuple[Diagnostic, ...] = ()

    @property
    def ref(self) -> Ref:
        """Return the slice's reference; a mirrored one refers to the Endpoints object it was made from."""
        return Ref('Endpoints' if self.mirrored else 'EndpointSlice', self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """A v1 Endpoints object, read as the slices that the mirroring controller would make of it."""

    namespace: str
    name: str
    slices: tuple[Slice, ...]

    @property
    def ref(self) -> Ref:
        """Return the reference of the Endpoints object."""
        return Ref('Endpoints', self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain with its key, as PEM that was written anew from what was parsed; never shown.

    `key` is the kind of its key: RSA, ECDSA or EdDSA.
    """

    pem: bytes
    not_after: str
    names: tuple[str, ...]
    key: str = ''

    def __repr__(self) -> str:
        """Return a text without key material."""
        return f'Certificate(names={self.names}, not_after={self.not_after})'


@dataclass(frozen=True, slots=True)
class User:
    """One user for basic authentication: `scheme` is `clear`, `sha1` (base64 digest), `apr1` or `crypt`; never shown."""

    name: str
    scheme: str
    secret: str

    def __repr__(self) -> str:
        """Return a text without credentials."""
        return f'User(scheme={self.scheme})'


@dataclass(frozen=True, slots=True)
class Secret:
    """A Secret: the parsed material, and for each kind of material why it cannot be used ('' when it can).

    With a certificate and a problem, the certificate is the one that the Secret had before. `named_users` are those of a Secret
    that has the hash of a password under the name of each.
    """

    namespace: str
    name: str
    certificate: Certificate | None = None
    certificate_problem: str = ''
    authorities: bytes = b''
    authorities_problem: str = ''
    users: tuple[User, ...] = ()
    users_problem: str = ''
    named_users: tuple[User, ...] = ()
    named_users_problem: str = ''

    @property
    def ref(self) -> Ref:
        """Return the Secret's reference."""
        return Ref('Secret', self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class ConfigMap:
    """A ConfigMap: the certificates of its authorities as PEM, and headers, or why either cannot be used."""

    namespace: str
    name: str
    authorities: bytes = b''
    authorities_problem: str = ''
    headers: tuple[tuple[str, str], ...] = ()
    headers_problem: str = ''

    @property
    def ref(self) -> Ref:
        """Return the ConfigMap's reference."""
        return Ref('ConfigMap', self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Node:
    """A Node: its zone, its addresses (at most one of a family), and whether a load balancer may send to it.

    `pods` are the networks of its pods, in canonical form, where the cluster gives each Node its own. `eligible` tells that
    it is not being removed, by its deletion or by the cluster autoscaler.
    """

    name: str
    zone: str = ''
    addresses: tuple[str, ...] = ()
    usable: bool = True
    pods: tuple[str, ...] = ()
    eligible: bool = True

    @property
    def ref(self) -> Ref:
        """Return the Node's reference."""
        return Ref('Node', '', self.name)


@dataclass(frozen=True, slots=True)
class Namespace:
    """A Namespace and its labels."""

    name: str
    labels: tuple[tuple[str, str], ...] = ()

    @property
    def ref(self) -> Ref:
        """Return the Namespace's reference."""
        return Ref('Namespace', '', self.name)


class Object(Interface):
    """An object of a kind of the registry."""

    @property
    def ref(self) -> Ref:
        """Return the object's reference."""
        ...
