"""From a Service that is taken over from kube-proxy to its fragment on a node.

Each address of the Service (ClusterIP, node port, externalIP, load-balancer address) is a claim for `ADDRESS:PORT`,
which HAProxy finds by the original destination of a connection. Families never mix, and a policy Local has a backend
of its own. Servers, shapes and options are those of the edge.
"""

from dataclasses import replace

from headrace import names
from headrace.annotations import reading
from headrace.annotations.reading import PREFIX, Annotations
from headrace.cluster.objects import Protocol, Service, ServicePort, ServiceType
from headrace.cluster.store import NODES, Snapshot
from headrace.model import affinity, backends, endpoints, exposure, materials, policies
from headrace.model.ir import Backend, Claim, Entry, Fragment, HeaderEdits, Kind, Mode, Timeouts
from headrace.model.policies import Policy
from headrace.model.view import View
from headrace.names import Ref
from headrace.verdicts import Verdict

NEEDS = (NODES,)
_API = Ref('Service', 'default', 'kubernetes')
_DEFAULT_CLASS = 'headrace'
# What would leave a port open that somebody wanted closed, if it were passed over.
_OF_THE_EDGE = ('tls-secret', 'canary-service', 'rewrite-path')
_PROTECTING = ('basic-auth-secret', 'client-ca-secret')


def is_ours(service: Service, view: View) -> bool:
    """Tell whether a Service is to be served in kube-proxy's stead: it asks for it, or carries our proxy name."""
    if service.ref == _API or not service.cluster_ips or service.headless or service.type is ServiceType.EXTERNAL_NAME:
        return False
    if not view.exists(service.namespace):
        return False
    if service.proxy_name is not None:
        return service.proxy_name == view.class_name
    said = dict(service.annotations)
    return said.get('proxy') == 'node' and said.get('class', _DEFAULT_CLASS).strip() == view.class_name


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
    draft.judge()
    return Fragment(
        ref=service.ref,
        created=service.created,
        claims=tuple(sorted(set(draft.claims), key=lambda claim: (claim.kind, claim.key))),
        data=tuple(sorted(draft.data)),
        backends=affinity.with_pins(draft.backends[name] for name in sorted(draft.backends)),
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
        if wanted.shape.affinity:
            policy.add(policies.AFFINITY)
            self.data += affinity.data(policy.name, self.service.affinity_seconds)
        self.data += policy.entries
        self.verdicts += backends.judge(self.service, self.said, wanted, mode, self.view)
        served = False
        for family in (4, 6):
            for address, number, local, outer in self._addresses(port, family):
                made = [self._backend(port, wanted, family, local=local, usable=usable)]
                if local and outer:
                    # What comes from this node or its pods counts as coming from outside: to all endpoints (rule 20).
                    made.append(self._backend(port, wanted, family, local=False, usable=usable))
                for backend in made:
                    if (found := backends.timeouts(wanted, policy.name, backend.name)) and found not in self.timeouts:
                        self.timeouts.append(found)
                        policy.add(policies.TIMEOUTS)
                served = served or any(backend.groups for backend in made)
                value = policy.pointer(*(backend.name for backend in made))
                self.claims.append(Claim(Kind.ADDRESS, f'{address}:{number}', value, 'spec'))
        if usable and not served:
            self._judge_endpoints(port)

    def judge(self) -> None:
        """Tell what of the Service itself this role does not apply yet."""
        service = self.service
        for port in service.ports:
            if port.protocol is not Protocol.TCP:
                self._not_yet(f'port {port.label} is {port.protocol}; the node role serves TCP only', 'spec.ports')
        if self._ruled():
            message = 'load-balancer addresses are not served, because these ranges are not applied'
            self._not_yet(message, 'spec.loadBalancerSourceRanges')

    def _not_yet(self, message: str, field: str) -> None:
        self.verdicts.append(Verdict(self.service.ref, 'NotYet', message, field))

    def _ruled(self) -> bool:
        """Tell whether ranges that are not applied yet rule the load-balancer addresses, and those alone (rule 31)."""
        ranges = self.service.type is ServiceType.LOAD_BALANCER and self.service.source_ranges
        return bool(ranges) and not self.said.anywhere('allow')

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

    def _addresses(self, port: ServicePort, family: int) -> list[tuple[str, int, bool, bool]]:
        """Return a port's addresses in one family: address, number, if only local endpoints count, if it is external."""
        service = self.service
        inner = [(address, port.number, service.internal_local) for address in service.cluster_ips]
        balanced = () if self._ruled() else service.load_balancer_ips
        outer = [(address, port.number, service.external_local) for address in (*service.external_ips, *balanced)]
        if port.node_port:
            here = [node for node in self.snapshot.nodes if node.name == self.view.place.node]
            outer += [(address, port.node_port, service.external_local) for node in here for address in node.addresses]
        found = {
            (address, number): (local, outside)
            for each, outside in ((outer, True), (inner, False))
            for address, number, local in each
            if (6 if ':' in address else 4) == family
        }
        return [(*where, *how) for where, how in sorted(found.items())]

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

    def _backend(
        self, port: ServicePort, wanted: backends.Wanted, family: int, *, local: bool, usable: bool
    ) -> Backend:
        variant = '-'.join((['local'] if local else []) + (['v6'] if family == 6 else []))  # noqa: PLR2004
        name = wanted.name(self.service.ref, variant)
        if name not in self.backends:
            found = endpoints.select(
                backends.slices(self.service, self.snapshot),
                port=port.name,
                protocol=port.protocol,
                family=family,
                place=self.view.place,
                local=local,
            )
            self.backends[name] = backends.make(self.service, wanted, found.groups if usable else (), variant)
            self.data += backends.data(wanted, name)
        return self.backends[name]
