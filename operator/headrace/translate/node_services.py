"""From a Service that is taken over from kube-proxy to its fragment on a node.

Each address of the Service (ClusterIP, node port, externalIP, load-balancer address) is a claim for its virtual address, which the
kernel keeps, and where HAProxy serves it one for `ADDRESS:PORT`, which HAProxy finds by the original destination of a
connection. Families never mix, and a policy Local has a backend of its own. Servers, shapes and options are those of
the edge. UDP and SCTP are balanced by the kernel, and so is TCP where `node_datapath` says so.
"""

from dataclasses import replace

import msgspec

from headrace import names
from headrace.annotations import keys, parse
from headrace.annotations.parse import PREFIX, Annotations
from headrace.diagnostics import Diagnostic
from headrace.ir.backend import Backend, Demand, Mode
from headrace.ir.fragment import Claim, Fragment, Kind
from headrace.ir.l4 import Balanced, Datapath, HealthCheck, TrafficPath
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Service, ServicePort, ServiceType
from headrace.store import Reader
from headrace.translate import (
    affinity,
    backends,
    endpoints,
    exposure,
    node_datapath,
    node_tls,
    ownership,
    policies,
    shapes,
    tls_material,
    virtual_addresses,
)
from headrace.translate.build_context import BuildContext
from headrace.translate.fragment_parts import FragmentParts
from headrace.translate.policies import Policy
from headrace.translate.route_policies import RoutePolicy
from headrace.translate.virtual_addresses import Address, VirtualAddresses

# With these HAProxy has an answer although the Service has no endpoint.
_ANSWERING = frozenset((policies.CANARY, policies.ERROR_PAGES, policies.FALLBACK, policies.REDIRECT))
# What shuts clients out: connections from before that pass HAProxy by end at once.
_RESTRICTING = frozenset((
    policies.ALLOW, policies.AUTH, policies.CLIENT_CERTIFICATE, policies.CLOSED, policies.CONNECTIONS, policies.DENY,
    policies.EXTERNAL_AUTH, policies.MAINTENANCE, policies.RATE,
))  # fmt: skip
# What a policy says of addresses to which HAProxy gets no new connection.
_DRAINING = frozenset((policies.LEAVING, policies.GONE))
# What is not applied here, and why.
_IN_THE_CLEAR = "at the Service's own address clients speak no TLS, and so show no certificate"
_PASSED = 'TLS that is passed through cannot be ended here'
_ONE_PORT = "a Service's own port speaks TLS or it does not, so no client is sent from one to the other"
_NO_PATHS = f"it replaces what {PREFIX}path matches, and a Service's own address has no paths"
_NO_HOSTS = "it is a route of its own, and a Service's own address has no hosts and paths"


def translate(
    service: Service,
    reader: Reader,
    context: BuildContext,
    demands: frozenset[Demand] = frozenset(),
    *,
    ours: bool = True,
    drains: bool = False,
) -> Fragment:
    """Return the fragment of a Service on this node.

    `demands` are the backends of it that others need, which is all of a Service that is not `ours`. HAProxy serves
    the connections that it has to one that `lingers`: to all of it, without virtual addresses, if it has gone back to kube-proxy,
    else to the ports that the kernel serves now.
    """
    annotations = parse.read(service.ref, service.annotations, service.ports)
    back = drains and not ours
    builder = _FragmentBuilder(
        service, annotations, reader, context, _first_flags(service, context, drains=back), drains=drains
    )
    for port in service.ports if ours or drains else ():
        if port.protocol is Protocol.TCP:
            builder.add(port)
        else:
            builder.forward(port)
    for port in service.ports:
        for mode in sorted({demand.mode for demand in demands if demand.port == port.label}):
            builder.lend(port, mode)
    if ours:
        builder.judge()
        builder.check_health()
    fragment = builder.fragment()
    if back:
        fragment = replace(
            fragment,
            claims=tuple(claim for claim in fragment.claims if claim.kind is not Kind.VIRTUAL_ADDRESS),
            endpoint_diagnostics=(),
        )
    else:
        fragment = replace(fragment, balanced=tuple(builder.balanced[name] for name in sorted(builder.balanced)))
    return fragment if ours else replace(fragment, diagnostics=())


class _FragmentBuilder(FragmentParts):
    """A node's fragment while it is put together."""

    def __init__(
        self,
        service: Service,
        annotations: Annotations,
        reader: Reader,
        context: BuildContext,
        flags: frozenset[str],
        *,
        drains: bool,
    ) -> None:
        super().__init__(service.ref, service.created, reader, context)
        self.service, self.annotations, self.flags, self.drains = service, annotations, flags, drains
        # Of all ports, so they are found once.
        self._own_ends = virtual_addresses.own_ends(service, reader, context)
        self.balanced: dict[str, Balanced] = {}
        self.diagnostics += [*service.problems, *annotations.diagnostics]
        self.endpoint_diagnostics.update(diagnostic for item in reader.slices for diagnostic in item.problems)
        # Its TLS is that of its hosts then, and clients of its own address find what kube-proxy gave them.
        self.at_the_edge = exposure.wants_edge(service, annotations, context)

    def variant(self, service: Service) -> str:
        """Return which of another Service's backends is used: that of the family of its ClusterIPs."""
        return _variant(_lent_family(service), local=False)

    def add(self, port: ServicePort) -> None:
        """Add one port: its policy, its backends by family and policy, and its addresses."""
        values = self.annotations.values(port.label)
        mode_key = parse.exposure(values).mode
        spoken = exposure.spoken(port, mode_key, has_host=False, routed=False)
        ends = not self.at_the_edge and 'tls-secret' in values
        # Clients of a ClusterIP speak to the endpoint, so what is TLS there is TLS here, unless it is ended on the way.
        mode: Mode = 'http' if spoken.mode == 'http' and (mode_key or ends or spoken.endpoint != 'https') else 'tcp'
        spec = backends.build_spec(
            self.service, self.annotations, port, mode, spoken.endpoint if mode == 'http' else 'tcp', self.context
        )
        policy = Policy(names.policy(self.service.ref, port.label), {*self.flags})
        paths = parse.exposure(values).path
        settings = parse.route(values)
        whole_host = settings if paths in (None, (), ('/',)) else msgspec.structs.replace(settings, rewrite_path=None)
        policies.apply(policy, whole_host, mode)
        self._report_ignored(port, values)

        def key(name: str) -> str:
            return self._key(name, port)

        route = RoutePolicy(self, policy, settings, mode, key, f'port {port.label}')
        route.judge()
        route.further_services(self.service.ref, port)
        route.canary(port, spec.shape)
        if mode == 'http' and spec.settings.client_ip in ('none', 'proxy-v1', 'proxy-v2'):
            policy.add(policies.NOT_FORWARDED)
        if spec.shape.cookie:
            policies.apply_session_cookie(policy, spec.shape.cookie, spec.settings)
        if spec.shape.balance == 'hash' and spec.settings.balance is not None:
            policies.apply_hash(policy, spec.settings.balance.removeprefix(shapes.HASH))
        usable = self._usable(port, policy, spec, mode)
        spec = replace(spec, options=tls_material.mark(spec.options, self.claims))
        if (
            {*self.annotations.closing_keys(port.label)}
            - (node_datapath.CHOOSING if mode == 'http' else node_datapath.CHOOSING | keys.HTTP_ONLY)
            or not usable
            or (self.at_the_edge and 'client-ca-secret' in values)
        ):
            policy.add(policies.CLOSED)
        self.data += policy.entries
        self.diagnostics += backends.judge(self.service, self.annotations, spec, mode, self.context)
        addresses = self._virtual_addresses(port, datapath='tls' if ends else mode)
        spec = self._stay(addresses, values, policy, spec)
        addresses.answered = not policy.flags.isdisjoint(_ANSWERING)
        addresses.forwarded = addresses.datapath == 'kernel' or _is_plain(policy, spec)
        addresses.restricted = not policy.flags.isdisjoint(_RESTRICTING)
        served = False
        for where in virtual_addresses.addresses(self.service, port, self.reader, self.context):
            self._open(addresses, where, usable=usable)
            if addresses.datapath == 'kernel':
                served = served or bool(addresses.select(where.family, local=where.local).groups)
            if addresses.datapath != 'kernel' or self.drains:
                served = self._lead(addresses, policy, spec, where, usable=usable) or served
        self.balanced |= addresses.groups
        self.endpoint_diagnostics.update(addresses.judge())
        if usable and not served:
            self._judge_endpoints(port)

    def _lead(
        self, addresses: VirtualAddresses, policy: Policy, spec: backends.BackendSpec, where: Address, *, usable: bool
    ) -> bool:
        """Claim an address for HAProxy; return whether there are endpoints behind it."""
        targets = [self._backend(addresses, spec, where.family, local=where.local, usable=usable)]
        if where.local and where.outer:
            # What comes from this node or its pods counts as coming from outside: to all endpoints (rule 20).
            targets.append(self._backend(addresses, spec, where.family, local=False, usable=usable))
        if timeouts := backends.timeouts(spec, policy.name):
            policy.add(policies.TIMEOUTS)
            self.timeouts += [timeouts] if timeouts not in self.timeouts else []
        value = policy.pointer(*(backend.name for backend in targets))
        key, synthetic_address = f'{where.address}:{where.number}', addresses.synthetic_address(where)
        self.claims.append(
            Claim(Kind.ADDRESS, synthetic_address or key, value, where.source, key if synthetic_address else '')
        )
        return any(backend.groups for backend in targets)

    def forward(self, port: ServicePort) -> None:
        """Add one port that the kernel balances by itself: UDP or SCTP."""
        addresses = self._virtual_addresses(port, datapath='kernel')
        for where in virtual_addresses.addresses(self.service, port, self.reader, self.context):
            self._open(addresses, where, usable=True)
        self.balanced |= addresses.groups
        self.endpoint_diagnostics.update(addresses.judge())
        if not any(addresses.select(family, local=False).groups for family in (4, 6)):
            self._judge_endpoints(port)
        port_keys = [key for key in self.annotations.by_port.get(port.label, {}) if key != 'mode']
        for key in port_keys:
            self.say('NotApplicable', f'{key}.{port.label}', f'a port of {port.protocol} is balanced by the kernel')

    def _virtual_addresses(self, port: ServicePort, datapath: Datapath) -> VirtualAddresses:
        slices = backends.slices(self.service, self.reader)
        return VirtualAddresses(self.service, port, slices, self.reader, self.context, self._own_ends, datapath)

    def _open(self, addresses: VirtualAddresses, where: Address, *, usable: bool) -> None:
        """Claim the virtual address of an address; one that cannot be served as asked is closed at once."""
        virtual_address = addresses.virtual_address(where)
        if not usable:
            virtual_address = replace(virtual_address, external_path=TrafficPath(), local_path=TrafficPath())
        key = virtual_addresses.key(where.address, where.number, addresses.port.protocol)
        self.claims.append(Claim(Kind.VIRTUAL_ADDRESS, key, virtual_address, where.source))

    def _usable(self, port: ServicePort, policy: Policy, spec: backends.BackendSpec, mode: Mode) -> bool:
        """Tell whether a port has what verifies its endpoints, and what its TLS needs; without, its addresses are closed."""
        verified = spec.ca is None or self._authority(spec.ca, port)
        verified = verified and 'backend-ca-secret' not in self.annotations.closing_keys(port.label)
        return (self.at_the_edge or self._own_tls(port, policy, mode)) and verified

    def _own_tls(self, port: ServicePort, policy: Policy, mode: Mode) -> bool:
        """End TLS for clients of the Service itself, if the port asks for it; return whether it can be served."""
        values, closing = self.annotations.values(port.label), self.annotations.closing_keys(port.label)
        if 'tls-secret' in closing or 'client-ca-secret' in closing:
            return False
        exposed = parse.exposure(values)
        if exposed.tls_secret is None:
            return exposed.client_ca_secret is None

        def key(name: str) -> str:
            return self._key(name, port)

        own_tls = node_tls.OwnTls(self.service.namespace, exposed, key, self.reader, self.context, self.say)
        usable = exposed.mode != 'tls-passthrough' and own_tls.end(policy, mode)
        self.claims += own_tls.claims
        if not usable:
            self.say('RouteClosed', key('tls-secret'), f'port {port.label} is closed: its TLS cannot be ended')
        return usable

    def _stay(
        self, addresses: VirtualAddresses, values: dict[str, object], policy: Policy, spec: backends.BackendSpec
    ) -> backends.BackendSpec:
        """Decide whether the kernel or HAProxy keeps clients with their endpoints, and return what HAProxy is to serve."""
        wish = self.annotations.service.get('datapath')
        if node_datapath.by_kernel(self.service, wish, values, policy, spec, self.flags):
            addresses.datapath = 'kernel'
            if self.drains:
                policy.flags |= _DRAINING
                # The kernel keeps new clients; HAProxy has only the connections from before.
                return replace(spec, shape=replace(spec.shape, affinity=False))
            return spec
        if spec.shape.affinity:
            policy.add(policies.AFFINITY)
            self.data += affinity.data(policy.name, self.service.affinity_seconds)
        port = addresses.port
        for key, (reason, message) in node_datapath.lacking(wish, port.label, values, spec).items():
            self.say(reason, self._key(key, port) if key in values else key, message)
        return spec

    def judge(self) -> None:
        """Tell which addresses of the Service itself are left out."""
        self.diagnostics += virtual_addresses.judge(self.service, self.reader, self.context)

    def check_health(self) -> None:
        """Answer load balancers that ask which nodes have endpoints, once kube-proxy does not any more."""
        service = self.service
        if self.context.labelled and service.proxy_name is None:
            return
        if service.health_port and service.external_local and service.type is ServiceType.LOAD_BALANCER:
            family = virtual_addresses.family(service.cluster_ips[0])
            count = endpoints.count_local(backends.slices(service, self.reader), family, self.context.topology)
            value = HealthCheck(service.ref, count)
            self.claims.append(Claim(Kind.HEALTH_CHECK, str(service.health_port), value, 'spec.healthCheckNodePort'))

    def _report_ignored(self, port: ServicePort, values: dict[str, object]) -> None:
        """Tell the keys that this role does not apply, and why, but for those that the edge applies."""
        reasons, ends = dict[str, str](), not self.at_the_edge and 'tls-secret' in values
        if not self.at_the_edge and 'rewrite-path' in values and parse.exposure(values).path not in (None, (), ('/',)):
            reasons['rewrite-path'] = _NO_PATHS
        if not self.at_the_edge:
            reasons |= {key: _NO_HOSTS for key in ('redirect-root', 'www-redirect') if key in values}
        if 'client-ca-secret' in values and not ends:
            reasons['client-ca-secret'] = _IN_THE_CLEAR
            self.say('RouteClosed', self._key('client-ca-secret', port), f'port {port.label} is closed')
        if ends and parse.exposure(values).mode == 'tls-passthrough':
            reasons['tls-secret'] = _PASSED
        for key, why in sorted(reasons.items()):
            self.say('NotYet', self._key(key, port), f'the node role does not apply it: {why}')
        if not self.at_the_edge and values.get('tls-redirect'):
            self.say('NotApplicable', self._key('tls-redirect', port), _ONE_PORT)

    def _key(self, key: str, port: ServicePort) -> str:
        """Return a key as the user wrote it for a port."""
        return f'{key}.{port.label}' if self.annotations.has(key, port.label) else key

    def lend(self, port: ServicePort, mode: Mode) -> None:
        """Add the backend that another Service needs of a port, with all its endpoints of one family."""
        spec = _lent_spec(self.service, self.annotations, port, mode, self.context)
        usable = spec.ca is None or self._authority(spec.ca, port)
        spec = replace(spec, options=tls_material.mark(spec.options, self.claims))
        addresses = self._virtual_addresses(port, datapath='http' if mode == 'http' else 'tcp')
        backend = self._backend(addresses, spec, _lent_family(self.service), local=False, usable=usable)
        self.endpoint_diagnostics.update(addresses.judge())
        policy = Policy(names.policy(self.service.ref, port.label))
        self.timeouts += [item for item in backends.of_policy(policy, spec) if item not in self.timeouts]
        entries = (*policy.entries, *affinity.data(policy.name, backend.affinity))
        self.data += [entry for entry in entries if entry not in self.data]
        if usable and not backend.groups:
            self._judge_endpoints(port)

    def _judge_endpoints(self, port: ServicePort) -> None:
        """Tell that a port has no usable endpoint on any node; to have none on this one is no mistake."""
        slices = backends.slices(self.service, self.reader)
        for family in (4, 6):
            if endpoints.select(
                slices, port=port.name, protocol=port.protocol, family=family, topology=self.context.topology
            ).groups:
                return
        self.endpoint_diagnostics.add(
            Diagnostic(self.service.ref, 'NoEndpoints', f'port {port.label}: no endpoint is ready')
        )

    def _authority(self, secret: Ref, port: ServicePort) -> bool:
        """Claim the file with the authorities of a port's endpoints; return whether there is one."""
        key = self._key('backend-ca-secret', port)
        return bool(self.material(secret, key, 'authorities'))

    def _backend(
        self, addresses: VirtualAddresses, spec: backends.BackendSpec, family: int, *, local: bool, usable: bool
    ) -> Backend:
        variant = _variant(family, local=local)
        name = spec.name(self.service.ref, variant)
        if name not in self.backends:
            selection = addresses.select(family, local=local)
            self.backends[name] = backends.make(self.service, spec, selection.groups if usable else (), variant)
            self.data += backends.data(self.service, spec, name, self.context)
        return self.backends[name]


def _variant(family: int, *, local: bool) -> str:
    return '-'.join((['local'] if local else []) + (['v6'] if family == 6 else []))  # noqa: PLR2004


def _lent_spec(
    service: Service, annotations: Annotations, port: ServicePort, mode: Mode, context: BuildContext
) -> backends.BackendSpec:
    """Return the backend that another Service needs of a port."""
    endpoint = exposure.spoken(port, None, has_host=False, routed=mode == 'http').endpoint
    return backends.build_spec(service, annotations, port, mode, backends.endpoint_protocol(endpoint, mode), context)


def _lent_family(service: Service) -> int:
    return 6 if service.cluster_ips and all(':' in address for address in service.cluster_ips) else 4


def _first_flags(service: Service, context: BuildContext, *, drains: bool) -> frozenset[str]:
    """Return what each port's policy begins with: how its clients find their way back to kube-proxy."""
    if drains:
        return _DRAINING
    return frozenset((policies.LEAVING,)) if ownership.is_leaving(service, context) else frozenset()


def _is_plain(policy: Policy, spec: backends.BackendSpec) -> bool:
    """Tell whether a port asks for nothing that only HAProxy gives, so that the kernel can stand in for it."""
    options = spec.options
    return (
        spec.shape.mode == 'tcp' and not policy.flags - {policies.LEAVING} and options.tls is None and not options.proxy
    )
