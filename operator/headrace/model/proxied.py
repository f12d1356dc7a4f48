"""From a Service that is taken over from kube-proxy to its fragment on a node.

Each address of the Service (ClusterIP, node port, externalIP, load-balancer address) is a claim for its door, which the
kernel keeps, and where HAProxy serves it one for `ADDRESS:PORT`, which HAProxy finds by the original destination of a
connection. Families never mix, and a policy Local has a backend of its own. Servers, shapes and options are those of
the edge. UDP and SCTP are balanced by the kernel, and so is TCP with affinity.
"""

from dataclasses import replace

from headrace import names
from headrace.annotations import reading
from headrace.annotations.reading import PREFIX, Annotations
from headrace.cluster.objects import Protocol, Service, ServicePort, ServiceType
from headrace.cluster.store import NODES, Snapshot
from headrace.model import affinity, backends, doors, endpoints, exposure, materials, policies
from headrace.model.doors import Address, Doors
from headrace.model.ir import (
    Backend,
    Balanced,
    Claim,
    Entry,
    Fragment,
    HeaderEdits,
    Kind,
    Mode,
    Side,
    Timeouts,
    Way,
)
from headrace.model.policies import Policy
from headrace.model.view import View
from headrace.names import Ref
from headrace.verdicts import Verdict

NEEDS = (NODES,)
_API = Ref('Service', 'default', 'kubernetes')
_DEFAULT_CLASS = 'headrace'
# What would leave a port open that somebody wanted closed, if it were passed over.
_OF_THE_EDGE = ('tls-secret', 'canary-service', 'rewrite-path')
# Keys that only say who serves a port, or how it is called.
_CHOOSING = frozenset(('host', 'path', 'path-type', 'port'))
_PROTECTING = ('basic-auth-secret', 'client-ca-secret')


def is_ours(service: Service, view: View) -> bool:
    """Tell whether a Service is to be served in kube-proxy's stead: it asks for it, or carries our proxy name."""
    if not can_be_ours(service, view):
        return False
    if service.proxy_name is not None:
        return service.proxy_name == view.class_name
    if view.labelled:
        return service.chosen == view.class_name
    return is_wished(service, view)


def can_be_ours(service: Service, view: View) -> bool:
    """Tell whether a Service is one that kube-proxy serves, and that may be taken over."""
    if service.ref == _API or not service.cluster_ips or service.headless or service.type is ServiceType.EXTERNAL_NAME:
        return False
    return view.exists(service.namespace)


def is_wished(service: Service, view: View) -> bool:
    """Tell whether a Service asks for the node role of this class, be it able to have it or not."""
    said = dict(service.annotations)
    return said.get('proxy', '').strip() == 'node' and said.get('class', _DEFAULT_CLASS).strip() == view.class_name


def needs(service: Service, view: View) -> tuple[Ref, ...]:
    """Return the other objects that the fragment of a Service needs: all Nodes, and its endpoints' authorities."""
    said = reading.read(service.ref, service.annotations, service.ports)
    found = {ref for port in service.ports for ref in backends.authorities(service, said, port.label, view)}
    return (*NEEDS, *sorted(found))


def build(service: Service, snapshot: Snapshot, view: View) -> Fragment:
    """Return the fragment of a Service on this node."""
    said = reading.read(service.ref, service.annotations, service.ports)
    draft = _Draft(service, said, snapshot, view)
    for port in service.ports:
        if port.protocol is Protocol.TCP:
            draft.add(port)
        else:
            draft.forward(port)
    draft.judge()
    return Fragment(
        ref=service.ref,
        created=service.created,
        claims=tuple(sorted(set(draft.claims), key=lambda claim: (claim.kind, claim.key))),
        data=tuple(sorted(draft.data)),
        backends=affinity.with_pins(draft.backends[name] for name in sorted(draft.backends)),
        balanced=tuple(draft.balanced[name] for name in sorted(draft.balanced)),
        headers=tuple(sorted(draft.headers, key=lambda edits: edits.policy)),
        timeouts=tuple(sorted(draft.timeouts, key=lambda found: (found.policy, found.backend))),
        needs=needs(service, view),
        endpoint_verdicts=tuple(sorted(draft.endpoint_verdicts)),
        verdicts=tuple(sorted({*service.problems, *said.verdicts, *draft.verdicts})),
    )


class _Draft:
    """A node's fragment while it is put together."""

    def __init__(self, service: Service, said: Annotations, snapshot: Snapshot, view: View) -> None:
        self.service, self.said, self.snapshot, self.view = service, said, snapshot, view
        self.claims: list[Claim] = []
        self.data: list[Entry] = []
        self.backends: dict[str, Backend] = {}
        self.balanced: dict[str, Balanced] = {}
        self.headers: list[HeaderEdits] = []
        self.timeouts: list[Timeouts] = []
        self.verdicts: list[Verdict] = []
        self.endpoint_verdicts: set[Verdict] = {verdict for piece in snapshot.slices for verdict in piece.problems}

    def add(self, port: ServicePort) -> None:
        """Add one port: its policy, its backends by family and policy, and its addresses."""
        values = self.said.values(port.label)
        named = reading.exposure(values).mode
        spoken = exposure.spoken(port, named, has_host=False, asked=False)
        # Clients of a ClusterIP speak to the endpoint, so what is TLS there is TLS here, and nobody ends it on the way.
        mode: Mode = 'http' if spoken.mode == 'http' and (named or spoken.endpoint != 'https') else 'tcp'
        wanted = backends.want(
            self.service, self.said, port, mode, spoken.endpoint if mode == 'http' else 'tcp', self.view
        )
        policy = Policy(names.policy(self.service.ref, port.label))
        policies.apply(policy, replace(reading.route(values), rewrite_path=None), mode)
        self._ignored(port, values)
        usable = wanted.ca is None or self._authority(wanted.ca, port)
        usable = usable and 'backend-ca-secret' not in self.said.closing(port.label)
        wanted = replace(wanted, options=materials.marked(wanted.options, self.claims))
        if self.said.closing(port.label) or not usable or self._unprotected(port, values):
            policy.add(policies.CLOSED)
        if policy.headers is not None:
            self.headers.append(policy.headers)
        self.data += policy.entries
        self.verdicts += backends.judge(self.service, self.said, wanted, mode, self.view)
        made = self._doors(port, way='http' if mode == 'http' else 'tcp')
        self._stay(made, values, policy, wanted)
        made.forwarded = made.way == 'kernel' or _is_plain(policy, wanted)
        served = False
        for where in doors.addresses(self.service, port, self.snapshot, self.view):
            self._open(made, where, usable=usable)
            if made.way == 'kernel':
                served = served or bool(made.select(where.family, local=where.local).groups)
                continue
            backends_of = [self._backend(made, wanted, where.family, local=where.local, usable=usable)]
            if where.local and where.outer:
                # What comes from this node or its pods counts as coming from outside: to all endpoints (rule 20).
                backends_of.append(self._backend(made, wanted, where.family, local=False, usable=usable))
            for backend in backends_of:
                if (found := backends.timeouts(wanted, policy.name, backend.name)) and found not in self.timeouts:
                    self.timeouts.append(found)
                    policy.add(policies.TIMEOUTS)
            served = served or any(backend.groups for backend in backends_of)
            value = policy.pointer(*(backend.name for backend in backends_of))
            self.claims.append(Claim(Kind.ADDRESS, f'{where.address}:{where.number}', value, where.source))
        self.balanced |= made.groups
        if usable and not served:
            self._judge_endpoints(port)

    def forward(self, port: ServicePort) -> None:
        """Add one port that the kernel balances by itself: UDP or SCTP."""
        made = self._doors(port, way='kernel')
        for where in doors.addresses(self.service, port, self.snapshot, self.view):
            self._open(made, where, usable=True)
        self.balanced |= made.groups
        if not any(made.select(family, local=False).groups for family in (4, 6)):
            self._judge_endpoints(port)
        given = [key for key in self.said.by_port.get(port.label, {}) if key != 'mode']
        for key in given:
            self._say('NotApplicable', f'{key}.{port.label}', f'a port of {port.protocol} is balanced by the kernel')

    def _doors(self, port: ServicePort, way: Way) -> Doors:
        slices = backends.slices(self.service, self.snapshot)
        return Doors(self.service, port, slices, self.snapshot, self.view, way)

    def _open(self, made: Doors, where: Address, *, usable: bool) -> None:
        """Claim the door of an address; without what verifies its endpoints it is closed at once."""
        door = made.door(where)
        if not usable:
            door = replace(door, far=Side(), near=Side())
        key = doors.key(where.address, where.number, made.port.protocol)
        self.claims.append(Claim(Kind.DOOR, key, door, where.source))

    def _stay(self, made: Doors, values: dict[str, object], policy: Policy, wanted: backends.Wanted) -> None:
        """Decide who keeps clients with their endpoints, if anybody is to: the kernel where it can, else HAProxy."""
        if self._by_kernel(values, policy, wanted):
            made.way = 'kernel'
        elif wanted.shape.affinity:
            policy.add(policies.AFFINITY)
            self.data += affinity.data(policy.name, self.service.affinity_seconds)

    def _by_kernel(self, values: dict[str, object], policy: Policy, wanted: backends.Wanted) -> bool:
        """Tell whether the kernel alone serves a TCP port: a client stays with its endpoint, and nothing else is asked."""
        if not self.service.affinity_seconds or any(key not in _CHOOSING for key in values):
            return False
        return not policy.flags and wanted.options.tls is None and not wanted.options.proxy

    def judge(self) -> None:
        """Tell which addresses of the Service itself are left out."""
        self.verdicts += doors.judge(self.service, self.snapshot, self.view)
        if self.service.health_port:
            self._not_yet('nobody would answer the health checks of the load balancer', 'spec.healthCheckNodePort')

    def _not_yet(self, message: str, field: str) -> None:
        self.verdicts.append(Verdict(self.service.ref, 'NotYet', message, field))

    def _ignored(self, port: ServicePort, values: dict[str, object]) -> None:
        """Tell the keys that this role does not apply yet, but for those that the edge applies."""
        at_the_edge = exposure.is_asked(self.service, self.said, self.view)
        found = [] if at_the_edge else [key for key in _OF_THE_EDGE if key in values]
        found += ['client-ip'] if values.get('client-ip') == 'preserve' else []
        for key in found:
            written = f'{key}.{port.label}' if self.said.says(key, port.label) else key
            self._say('NotYet', written, 'the node role does not apply it yet')

    def _judge_endpoints(self, port: ServicePort) -> None:
        """Tell that a port has no usable endpoint on any node; to have none on this one is no mistake."""
        pieces = backends.slices(self.service, self.snapshot)
        for family in (4, 6):
            if endpoints.select(
                pieces, port=port.name, protocol=port.protocol, family=family, place=self.view.place
            ).groups:
                return
        self.endpoint_verdicts.add(Verdict(self.service.ref, 'NoEndpoints', f'port {port.label}: no endpoint is ready'))

    def _unprotected(self, port: ServicePort, values: dict[str, object]) -> bool:
        """Tell whether a key asks for a protection that this role does not give yet, and say so."""
        asked = [key for key in _PROTECTING if key in values]
        for key in asked:
            written = f'{key}.{port.label}' if self.said.says(key, port.label) else key
            self._say('RouteClosed', written, f'port {port.label} is closed: the node role does not apply it yet')
        return bool(asked)

    def _authority(self, secret: Ref, port: ServicePort) -> bool:
        """Claim the file with the authorities of a port's endpoints; return whether there is one."""
        key = (
            f'backend-ca-secret.{port.label}'
            if self.said.says('backend-ca-secret', port.label)
            else 'backend-ca-secret'
        )
        claim = materials.claim(secret, key, 'authorities', self.snapshot, self.view, self._say)
        self.claims += [claim] if claim else []
        return claim is not None

    def _say(self, reason: str, key: str, message: str) -> None:
        field = f'metadata.annotations[{PREFIX}{key}]'
        self.verdicts.append(Verdict(self.service.ref, reason, f'{PREFIX}{key}: {message}', field))

    def _backend(self, made: Doors, wanted: backends.Wanted, family: int, *, local: bool, usable: bool) -> Backend:
        variant = '-'.join((['local'] if local else []) + (['v6'] if family == 6 else []))  # noqa: PLR2004
        name = wanted.name(self.service.ref, variant)
        if name not in self.backends:
            found = made.select(family, local=local)
            self.backends[name] = backends.make(self.service, wanted, found.groups if usable else (), variant)
            self.data += backends.data(self.service, wanted, name)
        return self.backends[name]


def _is_plain(policy: Policy, wanted: backends.Wanted) -> bool:
    """Tell whether a port asks for nothing that only HAProxy gives, so that the kernel can stand in for it."""
    options = wanted.options
    return wanted.shape.mode == 'tcp' and not policy.flags and options.tls is None and not options.proxy
