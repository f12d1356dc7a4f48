"""What the controller writes for the Gateway API: the Services of Gateways, and the status of all of its resources.

What a status says follows from the controller's own model: a route's parents and problems are those of its fragment, the routes
of a listener those that are attached to it.
"""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from headrace.controller import conditions, gateway_features, gateway_services, gateway_status
from headrace.controller.gateway_services import GatewayPorts, Slots
from headrace.controller.gateway_status import Assigned, ListenerView
from headrace.diagnostics import WHOLE, Diagnostic
from headrace.ir.fragment import Fragment, Kind
from headrace.ir.l4 import UDPTarget
from headrace.names import Ref
from headrace.objects import registry
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateway_classes import GatewayClass
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.kinds import Service
from headrace.objects.routes import Route
from headrace.objects.status import Addresses
from headrace.resolve.changes import Change, FragmentChange
from headrace.resolve.state import State
from headrace.store import Reader, Store
from headrace.translate import gateway_listeners, listener_sets, udp_routes
from headrace.translate.judged_listeners import Listeners

Document = dict[str, Any]
ROUTES = ('HTTPRoute', 'GRPCRoute', 'TLSRoute', 'TCPRoute', 'UDPRoute')
KINDS = ('GatewayClass', 'Gateway', 'ListenerSet', 'BackendTLSPolicy', *ROUTES)

_POLICIES = registry.attached('BackendTLSPolicy', Ref('Service', '', '')).kind


@dataclass(frozen=True, slots=True)
class GatewayWrite:
    """What is to be written for an object: its Service removed, made or changed, and its status if that differs.

    The write of a status is refused where the object is another by now than `version`.
    """

    ref: Ref
    version: str = ''
    status: Document = field(default_factory=dict)
    service: Document | None = None
    removed: Ref | None = None
    removed_uid: str = ''


class Gateways:
    """The Gateway API's resources of one class. `ask` has an object looked at; `selector` are the labels of edge pods.

    `of_agents` tells what agents alone can know of an object: the controller reads no certificates. `shortage` tells why the Service
    of a Gateway does not get what it asks address pools for, '' where it does.
    """

    def __init__(
        self,
        state: State,
        store: Store,
        selector: dict[str, str],
        ask: Callable[[Ref], None],
        of_agents: Callable[[Ref], Iterable[Diagnostic]] = lambda _: (),
        shortage: Callable[[Ref], str] = lambda _: '',
    ) -> None:
        self.of_agents, self.shortage = of_agents, shortage
        self.state, self.store, self.selector, self.ask = state, store, selector, ask
        self.context = state.context
        self.controller = gateway_listeners.controller_name(self.context.class_name)
        self.slots = Slots(store, self.context)
        # By owner and name of a listener: how many routes are attached to it.
        self._attached: Counter[tuple[Ref, str]] = Counter()
        # Whose each Service is.
        self._owners: dict[Ref, Ref] = {}

    def services(self) -> set[Ref]:
        """Return the Services that Gateways of ours have."""
        found = (self.store.get(ref, Gateway) for ref in self.store.translated() if ref.kind == 'Gateway')
        return {
            gateway_listeners.service_of(gateway.ref, self.context)
            for gateway in found
            if gateway is not None and gateway_listeners.is_ours(gateway, Reader(self.store, gateway.ref), self.context)
        }

    def follow(self, change: Change) -> None:
        """Count the routes that a change attaches and detaches, and have their Gateways looked at."""
        touched: set[Ref] = set()
        for item in change.fragments:
            before, after = _listeners(item.old), _listeners(item.new)
            if before != after:
                self._attached.subtract(before)
                self._attached.update(after)
                touched.update(owner for owner, _ in before ^ after)
            touched |= self._concerned(item)
        for ref in touched:
            self.ask(ref)

    def _concerned(self, item: FragmentChange) -> set[Ref]:
        """Return what else is to be looked at when the fragment of an object changes.

        These are the Gateways whose listeners a ListenerSet adds to, or whose UDP ports a route leads somewhere, and the
        policies of Services that a route leads to.
        """
        fragments = [fragment for fragment in (item.old, item.new) if fragment is not None]
        if item.ref.kind == 'ListenerSet':
            return {ref for fragment in fragments for ref in fragment.needs if ref.kind == 'Gateway'}
        if item.ref.kind not in ROUTES:
            return set()
        if item.ref.kind == 'UDPRoute':
            contents = (claim.value for fragment in fragments for claim in fragment.claims)
            return {content.gateway for content in contents if isinstance(content, UDPTarget)}
        groups = {ref for fragment in fragments for ref in fragment.needs if ref.kind == _POLICIES}
        return {policy.ref for group in groups for policy in self.store.members(group, BackendTLSPolicy)}

    def changed(self, refs: Iterable[Ref]) -> None:
        """Have the Gateways looked at whose Services have changed."""
        for ref in refs:
            if (owner := self._owners.get(ref)) is not None:
                self.ask(owner)

    def decide(self, ref: Ref) -> GatewayWrite | None:
        """Return what is to be written for an object now, None for nothing."""
        now = dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
        if ref.kind == 'GatewayClass':
            return self._of_class(ref, now)
        if ref.kind == 'Gateway':
            return self._of_gateway(ref, now)
        if ref.kind == 'ListenerSet':
            return self._of_set(ref, now)
        if ref.kind == 'BackendTLSPolicy':
            return self._of_policy(ref, now)
        return self._of_route(ref, now)

    def _of_class(self, ref: Ref, now: str) -> GatewayWrite | None:
        found = self.store.get(ref, GatewayClass)
        if found is None or found.controller != self.controller:
            return None
        features = gateway_features.supported(node_role=self.context.settings.node_role)
        wanted = gateway_status.of_class(found.status.document, found.generation, features, now)
        return self._write(ref, found.status.version, found.status.document, wanted)

    def _of_route(self, ref: Ref, now: str) -> GatewayWrite | None:
        route, fragment = self.store.get(ref, Route), self.state.fragments.get(ref)
        if route is None or fragment is None:
            return None
        wanted = gateway_status.of_route(route, fragment, self.state.diagnostics(ref), self.controller, now)
        return self._write(ref, route.status.version, route.status.document, wanted)

    def _of_gateway(self, ref: Ref, now: str) -> GatewayWrite | None:
        gateway, reader = self.store.get(ref, Gateway), Reader(self.store, ref)
        service = gateway_listeners.service_of(ref, self.context)
        if gateway is None or not gateway_listeners.is_ours(gateway, reader, self.context):
            self.slots.forget(service)
            shown = self._owners.pop(service, None) is not None or self.store.get(service, Service) is not None
            return GatewayWrite(ref, removed=service) if shown and self.context.slots else None
        self._owners[service] = ref
        sets = self._sets(gateway, reader)
        made = self._service(gateway, sets, service)
        problems = self._problems(ref)
        views = self._views(gateway_listeners.of_gateway(gateway, reader, self.context), problems)
        assigned = Assigned(self._addresses(service), self.shortage(service))
        # A set of which no listener is accepted does not count as attached.
        attached = sum(bool(listener_sets.of_set(each, gateway, reader, self.context).accepted) for each in sets)
        wanted = gateway_status.of_gateway(gateway, views, _of_whole(problems), assigned, attached, now)
        write = self._write(ref, gateway.status.version, gateway.status.document, wanted)
        if made is None:
            return write
        status, current = write.status if write else {}, self.store.get(service, Service)
        if current is not None and gateway_services.has_other_class(current, self.context):
            return GatewayWrite(ref, gateway.status.version, status, made, service, current.status.uid)
        return GatewayWrite(ref, gateway.status.version, status, made)

    def _service(self, gateway: Gateway, sets: list[ListenerSet], service: Ref) -> Document | None:
        """Return the Service of a Gateway where it must be made or changed."""
        if not self.context.slots or not self.selector or gateway_services.refusal(gateway):
            return None
        namespace = gateway.namespace
        neighbours = [each for each, owner in self._owners.items() if owner.namespace == namespace and each != service]
        targets = self.slots.of(service, gateway_services.ports_of(gateway, sets), neighbours)
        udp_ports = gateway_services.udp_ports_of(gateway, sets)
        ports = GatewayPorts(targets, udp_ports, on_nodes=not targets and self._is_weighted(gateway.ref, udp_ports))
        shown = self.store.get(service, Service)
        if not (targets or udp_ports) or (
            gateway_services.is_current(shown, gateway, ports, self.context)
            and not gateway_services.has_other_class(shown, self.context)
        ):
            return None
        return gateway_services.document(gateway, ports, self.selector, self.context)

    def _is_weighted(self, gateway: Ref, udp_ports: Iterable[int]) -> bool:
        """Tell whether a UDP port of a Gateway leads to backends of different weights, which the node role can keep."""
        keys = ((Kind.UDP_PORT, udp_routes.key(gateway, port)) for port in udp_ports)
        contents = (self.state.claims.content(key, self.state.fragments) for key in keys)
        weighted = any(isinstance(content, UDPTarget) and content.is_weighted for content in contents)
        return weighted and self.context.settings.node_role

    def udp_targets(self) -> dict[Ref, dict[int, UDPTarget]]:
        """Return where each UDP port of the Services of Gateways leads."""
        targets: dict[Ref, dict[int, UDPTarget]] = {}
        for key in self.state.claims.keys_of(Kind.UDP_PORT):
            content = self.state.claims.content((Kind.UDP_PORT, key), self.state.fragments)
            if isinstance(content, UDPTarget):
                service = gateway_listeners.service_of(content.gateway, self.context)
                targets.setdefault(service, {})[content.port] = content
        return targets

    def _addresses(self, service: Ref) -> Addresses:
        shown = self.store.get(service, Service)
        return shown.status.addresses if shown is not None else ()

    def _problems(self, ref: Ref) -> tuple[Diagnostic, ...]:
        return conditions.errors(self.state.diagnostics(ref), self.of_agents(ref))

    def _sets(self, gateway: Gateway, reader: Reader) -> list[ListenerSet]:
        """Return the ListenerSets that a Gateway admits, the oldest first."""
        sets = self.store.members(registry.attached('ListenerSet', gateway.ref), ListenerSet)
        return [each for each in sets if listener_sets.is_allowed(each, gateway, reader)]

    def _of_set(self, ref: Ref, now: str) -> GatewayWrite | None:
        listener_set, reader = self.store.get(ref, ListenerSet), Reader(self.store, ref)
        gateway = listener_sets.gateway_of(listener_set, reader, self.context) if listener_set is not None else None
        if listener_set is None or gateway is None:
            return None
        problems = self._problems(ref)
        views = self._views(listener_sets.of_set(listener_set, gateway, reader, self.context), problems)
        wanted = gateway_status.of_set(listener_set, views, _of_whole(problems), now)
        return self._write(ref, listener_set.status.version, listener_set.status.document, wanted)

    def _of_policy(self, ref: Ref, now: str) -> GatewayWrite | None:
        policy = self.store.get(ref, BackendTLSPolicy)
        if policy is None:
            return None
        groups = (registry.attached('BackendTLSPolicy', each.ref) for each in policy.targets)
        readers = {each for group in groups for each in self.state.dependencies.readers(group)}
        fragments = (self.state.fragments.get(each) for each in readers if each.kind in ROUTES)
        attachments = (each for fragment in fragments if fragment is not None for each in fragment.attachments)
        gateways = {gateway for each in attachments if (gateway := self._gateway(each.part.parent)) is not None}
        wanted = gateway_status.of_policy(policy, gateways, self._problems(ref), self.controller, now)
        return self._write(ref, policy.status.version, policy.status.document, wanted)

    def _gateway(self, parent: Ref) -> Ref | None:
        """Return the Gateway that a route's parent is, or belongs to."""
        if parent.kind != 'ListenerSet':
            return parent
        listener_set = self.store.get(parent, ListenerSet)
        return listener_set.parent.ref if listener_set is not None and listener_set.parent is not None else None

    def _views(self, listeners: Listeners, problems: Iterable[Diagnostic]) -> list[ListenerView]:
        return [
            ListenerView(
                each,
                tuple(problem for problem in problems if problem.part == each.part),
                self._attached[each.owner, each.listener.name],
            )
            for each in listeners.items
            if each.listener.name
        ]

    def _write(self, ref: Ref, version: str, current: Mapping[str, Any], wanted: Document) -> GatewayWrite | None:
        return GatewayWrite(ref, version, wanted) if gateway_status.differs(current, wanted) else None


def _of_whole(problems: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Return the problems that are those of no listener alone."""
    return [each for each in problems if each.part == WHOLE and not each.field.startswith('spec.listeners')]


def _listeners(fragment: Fragment | None) -> set[tuple[Ref, str]]:
    return {listener for each in fragment.attachments for listener in each.listeners} if fragment else set()
