"""What the statuses of Services and Ingresses shall say: conditions, addresses and Events, from what the controller knows."""

from dataclasses import dataclass

from headrace.controller import address_pools, addresses, conditions
from headrace.controller.address_pools import AddressPools
from headrace.controller.agents import Agents
from headrace.controller.conditions import Subject
from headrace.controller.handover import Handover
from headrace.controller.writer import DesiredStatus, Writer
from headrace.diagnostics import WHOLE, Diagnostic
from headrace.names import Ref
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import Service
from headrace.objects.status import Addresses, Condition, Status, field_manager
from headrace.resolve.state import State
from headrace.store import Reader, Store
from headrace.translate import ingress_class
from headrace.translate.build_context import Role
from headrace.translate.ingress_class import Owner


@dataclass(slots=True)
class Statuses:
    """Decides about one object at a time. `edge_addresses` are those that the class publishes for its edge."""

    store: Store
    state: State
    agents: Agents
    handover: Handover
    pools: AddressPools
    writer: Writer
    edge_addresses: Addresses

    def of_service(self, service: Service) -> DesiredStatus | None:
        """Return what the status of a Service shall be, None where it is not ours to write."""
        ref, subject = service.ref, conditions.of_service(service)
        if not addresses.is_ours(service, self.state):
            return self._withdrawn(subject, service.status)
        allocation = self.pools.allocation(ref)
        diagnostics, conflict = self._diagnostics(ref, service.status)
        diagnostics += allocation.diagnostics if allocation is not None else ()
        errors = conditions.errors(diagnostics, self.agents.about(ref))
        desired_addresses = None if conflict else self._addresses_of(service)
        has_mode = allocation is None or {*service.load_balancer_ips} >= {*allocation.addresses}
        if problems := errors or conditions.pending(diagnostics):
            shown_conditions = conditions.conditions(subject, problems).get(WHOLE, ())
        else:
            shown_conditions = self._served_condition(service, subject)
        events = conditions.occurrences(subject, errors)
        return DesiredStatus(
            subject,
            service.status,
            shown_conditions,
            desired_addresses,
            events,
            ip_mode=addresses.PROXY if allocation is None else addresses.VIP,
            is_mode_shown=has_mode,
        )

    def _addresses_of(self, service: Service) -> Addresses | None:
        """Return the addresses that a Service of ours shall have, None where they are not ours to write."""
        allocation = self.pools.allocation(service.ref)
        if allocation is not None:
            return address_pools.pairs(allocation.addresses)
        if addresses.speaks_of(service, self.state):
            return addresses.desired(service.ref, self.state, self.edge_addresses)
        # What was given while the class had pools, or had addresses of the edge, or the Service was another.
        is_written = field_manager(self.state.context.class_name) in service.status.owners
        return () if is_written else None

    def of_ingress(self, ingress: Ingress) -> DesiredStatus | None:
        """Return what the status of an Ingress shall be, None where it is not ours to write."""
        ref, subject, context = ingress.ref, conditions.of_ingress(ingress), self.state.context
        decision = ingress_class.ingress_class_of(ingress, Reader(self.store, ref), context)
        if decision.owner is not Owner.OURS or not context.exists(ref.namespace):
            return self._withdrawn(subject, ingress.status)
        diagnostics, conflict = self._diagnostics(ref, ingress.status)
        errors = conditions.errors(diagnostics, self.agents.about(ref))
        foreign = addresses.is_of_another_controller(decision, context)
        desired_addresses: Addresses | None = None
        if foreign and not context.settings.ingress_status:
            desired_addresses = () if self._wrote(ingress.status) else None
        elif context.settings.status_addresses and not conflict:
            desired_addresses = addresses.desired(ref, self.state, self.edge_addresses)
        events = conditions.occurrences(subject, errors)
        return DesiredStatus(subject, ingress.status, (), desired_addresses, events, force=foreign)

    def _diagnostics(self, ref: Ref, current: Status) -> tuple[list[Diagnostic], bool]:
        """Return the diagnostics of the controller's own model, and whether another controller holds the addresses."""
        self.writer.reconsider(ref, current)
        conflict = self.writer.conflicts.get(ref)
        diagnostics = [*self.state.diagnostics(ref), *self.handover.diagnostics(ref)]
        return (diagnostics, False) if conflict is None else ([*diagnostics, conflict], True)

    def _served_condition(self, service: Service, subject: Subject) -> tuple[Condition, ...]:
        """Return the condition of a Service without a mistake: where it is served, as far as agents have been seen."""
        places = []
        if addresses.at_the_edge(service.ref, self.state):
            if Role.EDGE not in self.agents.roles:
                # Agents that start beside the controller serve what they served before.
                return tuple(each for each in service.status.conditions if each.status == 'True')
            places.append('at the edge')
        if self.handover.has(service):
            places.append('by the nodes')
        allocation = self.pools.allocation(service.ref)
        message = f'served {" and ".join(places)}' if places else ''
        if allocation is not None and allocation.addresses:
            shown = self.pools.message(allocation.addresses)
            message = f'{message}, with the address {shown}' if message else f'it has the address {shown}'
        return conditions.conditions(subject, (), {WHOLE: message}).get(WHOLE, ())

    def _withdrawn(self, subject: Subject, current: Status) -> DesiredStatus | None:
        """Have an object of another class show nothing of ours."""
        return DesiredStatus(subject, current, (), ()) if self._wrote(current) else None

    def _wrote(self, current: Status) -> bool:
        return field_manager(self.state.context.class_name) in current.managers
