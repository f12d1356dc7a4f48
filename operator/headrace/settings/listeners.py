"""The first keys of a class's settings: which installation it is, what it serves, and where it listens.

See `schema` for the others.
"""

from typing import Annotated, Literal

import msgspec

from headrace.names import DEFAULT_CLASS
from headrace.settings import key_forms as forms
from headrace.settings.key_forms import MAX_PORT, Duration, Port, meta

PortRange = tuple[int, int]


class Listeners(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename='camel'):
    """What an installation serves, and the addresses, ports and proxies of its listeners."""

    class_name: Annotated[
        str,
        meta('Name of this installation; `headrace.io/NAME` is its loadBalancerClass.', 'restart', pattern=forms.NAME),
    ] = msgspec.field(default=DEFAULT_CLASS, name='class')
    default_class: Annotated[
        bool, meta('Serve Services of type LoadBalancer that name no loadBalancerClass.', 'runtime')
    ] = False
    ingress: Annotated[bool, meta('Read and serve Ingresses.', 'restart')] = True
    gateway_api: Annotated[bool, meta('Read and serve resources of the Gateway API.', 'restart')] = True
    gateway_slots: Annotated[
        int,
        msgspec.Meta(ge=0, le=1000),
        meta(
            "How many ports of Gateways the edge can serve in a cluster, for each of HTTP, HTTPS, TLS and TCP. It binds as many ports of its pods from its start, so that a new listener needs no reload. 0: listeners have the class's own ports, and only ports 80 and 443 can be had.",
            'reload',
        ),
    ] = 64
    max_gateway_ports_per_namespace: Annotated[
        int,
        meta(
            'How many of `gatewaySlots`, for each protocol, the Gateways of one namespace can have. Ports beyond wait.',
            'runtime',
            ge=1,
            le=1000,
        ),
    ] = 16
    gateway_first_slot: Annotated[
        Port, meta('The first of the ports that are bound for Gateways; the others follow it.', 'reload')
    ] = 28000
    gateway_service_annotations: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=forms.ANNOTATION)], ...],
        meta(
            'Annotations that the Service of a Gateway gets where `spec.infrastructure.annotations` has them, as `metallb.io/address-pool`. The owners of Gateways decide about the values.',
            'restart',
        ),
    ] = ()
    ingress_classes: Annotated[
        tuple[forms.ClassName, ...],
        meta(
            'Names of IngressClasses that are served besides those whose controller is `headrace.io/ingress-controller` (with `-CLASS` at its end for another class than `headrace`), as `nginx`. Such a class need not exist.',
            'runtime',
        ),
    ] = ()
    ingress_status: Annotated[
        bool,
        meta(
            'Write the status of Ingresses whose class is one of `ingressClasses` and belongs to another controller too, over what that one has written. Leave it while that controller runs.',
            'restart',
        ),
    ] = False
    ingress_annotations: Annotated[
        tuple[Literal['ingress-nginx', 'haproxy-ingress'], ...],
        meta(
            'Controllers whose annotations on Ingresses are understood too: `ingress-nginx`, `haproxy-ingress`.',
            'reload',
        ),
    ] = ()
    domain: Annotated[
        str,
        meta(
            'HTTP ports without a host get NAME.NAMESPACE.DOMAIN; empty: they get a diagnostic.',
            'runtime',
            pattern=f'{forms.HOST}|^{forms.END}',
        ),
    ] = ''
    addresses: Annotated[
        tuple[str, ...], meta('Addresses that the listeners bind; IPv6 ones are bound for IPv6 alone.', 'reload')
    ] = ('0.0.0.0', '::')  # noqa: S104
    health_addresses: Annotated[
        tuple[str, ...],
        meta(
            'Addresses that the health port binds, which serves metrics too and need not be public; empty: as `addresses`.',
            'reload',
        ),
    ] = ()
    http_port: Annotated[Port, meta('Port for HTTP.', 'reload')] = 8080
    https_port: Annotated[Port, meta('Port for HTTPS and TLS.', 'reload')] = 8443
    health_port: Annotated[
        Port, meta("Port of HAProxy's own readiness (`/readyz`) and metrics (`/metrics`).", 'reload')
    ] = 8404
    https_public_port: Annotated[
        Port, meta('Port that clients are redirected to for HTTPS; it is left out of URLs when it is 443.', 'reload')
    ] = 443
    node_role: Annotated[
        bool,
        meta('There are agents of the node role on all Nodes: the controller hands Services over to them.', 'restart'),
    ] = False
    startup_taint: Annotated[
        str,
        meta(
            'Key of a taint that kubelets register their Nodes with; the controller takes it away when the Node has an agent that serves. Empty: none.',
            'restart',
            pattern=forms.TAINT,
        ),
    ] = ''
    node_http_port: Annotated[
        Port,
        meta(
            "Port of the node role's HTTP listener, closed to direct access; the next one is for clients of the node itself.",
            'restart',
        ),
    ] = 10280
    node_tcp_port: Annotated[
        Port,
        meta(
            "Port of the node role's TCP listener, closed to direct access; the next one is for clients of the node itself.",
            'restart',
        ),
    ] = 10282
    node_tls_port: Annotated[
        Port,
        meta(
            "Port of the node role's listener for TLS that is ended here, closed to direct access; the next one is for clients of the node itself.",
            'restart',
        ),
    ] = 10286
    node_health_port: Annotated[
        Port,
        meta(
            "Port of the node role's own readiness and metrics, on loopback alone, in the stead of `healthPort`.",
            'restart',
        ),
    ] = 10284
    node_healthz_port: Annotated[
        int,
        meta(
            "Port of the node role's `/healthz` and `/livez` at all addresses of the node, which answer as those of kube-proxy do (10256 there, which kube-proxy has); 0 for none.",
            'restart',
            ge=0,
            le=MAX_PORT,
        ),
    ] = 0
    pod_networks: Annotated[
        tuple[str, ...],
        meta(
            'Networks of pods, for the node role: policy Local does not apply to their clients, and endpoints see their addresses. Empty: `podCIDRs` of the Nodes.',
            'restart',
        ),
    ] = ()
    service_networks: Annotated[
        tuple[str, ...],
        meta(
            'Networks of ClusterIPs; the node role takes no externalIP in them, and gives no endpoint in them traffic.',
            'restart',
        ),
    ] = ()
    tcp_ports: Annotated[
        str,
        meta(
            'Ranges of TCP ports at the edge, as in `5432,20000-20999`; bound at start.', 'reload', pattern=forms.RANGES
        ),
    ] = ''
    tcp_client_timeout: Annotated[Duration, meta('Timeout of clients on TCP ports.', 'reload')] = '60s'
    trusted_proxies: Annotated[
        tuple[str, ...],
        meta('CIDRs of proxies in front whose X-Forwarded-For and PROXY headers are believed.', 'reload'),
    ] = ()
    accept_proxy: Annotated[
        bool, meta('The trusted proxies send a PROXY header on the HTTP and HTTPS listeners.', 'reload')
    ] = False

    def ranges(self) -> tuple[PortRange, ...]:
        """Return the TCP ports as ranges of first and last, sorted."""
        bounds = [tuple(map(int, part.split('-'))) for part in self.tcp_ports.split(',') if part]
        return tuple(sorted((part[0], part[-1]) for part in bounds))

    def slots(self) -> dict[str, range]:
        """Return the ports that are bound for Gateways, by the protocol of their listeners."""
        first, number = self.gateway_first_slot, self.gateway_slots
        return {
            protocol: range(first + place * number, first + (place + 1) * number)
            for place, protocol in enumerate(forms.SLOT_PROTOCOLS)
        }

    def node_ports(self, slot: int = 0) -> tuple[int, ...]:
        """Return the ports of the node role's listeners: HTTP, HTTP for clients of the node, and the same of TCP and TLS."""
        ports = (self.node_http_port, self.node_tcp_port, self.node_tls_port)
        return tuple(port + forms.INSTANCE_SLOT_STEP * slot + near for port in ports for near in (0, 1))

    def reserved_ports(self) -> frozenset[int]:
        """Return the ports that headrace itself listens on."""
        return frozenset((self.http_port, self.https_port, self.health_port))
