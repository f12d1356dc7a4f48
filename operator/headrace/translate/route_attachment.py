"""To which listeners of Gateways a route attaches, and for which hosts: the rules of the Gateway API for parents.

A parent that is no Gateway of this class is left out: its status is another controller's. What keeps a route from a parent of
ours is a diagnostic for that parent, whose reason is that of the API.
"""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic, StatusPart
from headrace.names import Ref
from headrace.objects.gateways import Gateway
from headrace.objects.kinds import Namespace
from headrace.objects.label_selectors import Source
from headrace.objects.references import GATEWAY_GROUP, ParentRef
from headrace.objects.routes import Route
from headrace.store import Reader
from headrace.translate import gateway_listeners
from headrace.translate.build_context import BuildContext
from headrace.translate.judged_listeners import ANY, JudgedListener, meet


@dataclass(frozen=True, slots=True)
class Attached:
    """A listener that a route is attached to, and the hosts whose requests it gets there."""

    listener: JudgedListener
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent of a route that is ours, by the part of the route's status that is about it, and where the route attaches there."""

    part: StatusPart
    attached: tuple[Attached, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()


def parents(route: Route, hostnames: tuple[str, ...], reader: Reader, context: BuildContext) -> tuple[Parent, ...]:
    """Return the parents of a route that are ours, in their order; `hostnames` are its own, none for all."""
    found = []
    for reference in route.parents:
        gateway = _gateway(reference, reader, context)
        if gateway is not None:
            found.append(_Attachment(route, reference, gateway, reader, context).parent(hostnames))
    return tuple(found)


def _gateway(reference: ParentRef, reader: Reader, context: BuildContext) -> Gateway | None:
    if (reference.group, reference.kind) != (GATEWAY_GROUP, 'Gateway') or not context.exists(reference.namespace):
        return None
    return gateway_listeners.gateway_of(reference.ref, reader, context)


class _Attachment:
    """One parent of a route while its listeners are judged."""

    def __init__(
        self, route: Route, reference: ParentRef, gateway: Gateway, reader: Reader, context: BuildContext
    ) -> None:
        self.route, self.reference, self.gateway = route, reference, gateway
        self.reader, self.context = reader, context
        self.part = StatusPart(reference.ref, reference.section, reference.port)

    def parent(self, hostnames: tuple[str, ...]) -> Parent:
        every = gateway_listeners.of_gateway(self.gateway, self.reader, self.context)
        named = [each for each in every.accepted if self._is_named(each)]
        if not named:
            return self._refused(
                'NoMatchingParent', f'{self.gateway.ref} has no listener that can be used and is meant'
            )
        allowed = [each for each in named if self._is_allowed(each)]
        if not allowed:
            return self._refused(
                'NotAllowedByListeners', f'no listener of {self.gateway.ref} allows this route to attach'
            )
        attached = []
        for each in allowed:
            common = dict.fromkeys(meet(each.host, host) for host in hostnames or (ANY,))
            if hosts := tuple(host for host in common if host):
                served = tuple(host for host in hosts if every.serves(each, host))
                attached.append(Attached(each, served))
        if not attached:
            return self._refused(
                'NoMatchingListenerHostname', f'no listener of {self.gateway.ref} has a host of this route'
            )
        return Parent(self.part, tuple(attached))

    def _refused(self, reason: str, message: str) -> Parent:
        return Parent(
            self.part, diagnostics=(Diagnostic(self.route.ref, reason, message, 'spec.parentRefs', self.part),)
        )

    def _is_named(self, each: JudgedListener) -> bool:
        reference = self.reference
        return reference.section in ('', each.listener.name) and reference.port in (0, each.listener.port)

    def _is_allowed(self, each: JudgedListener) -> bool:
        allowed = each.listener.allowed
        if self.route.ref.kind not in each.kinds:
            return False
        namespace = None
        if allowed.namespaces.source is Source.SELECTOR:
            namespace = self.reader.get(Ref('Namespace', '', self.route.namespace), Namespace)
        labels = namespace.labels if namespace is not None else ()
        return allowed.namespaces.admit(self.gateway.namespace, self.route.namespace, labels)
