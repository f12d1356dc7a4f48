"""To which listeners of Gateways a route attaches, and for which hosts: the rules of the Gateway API for parents.

A parent that is no Gateway of this class, and no ListenerSet of one, is left out: its status is another controller's. What keeps a route from a parent of
ours is a diagnostic for that parent, whose reason is that of the API.
"""

from dataclasses import dataclass

from headrace.diagnostics import Diagnostic, StatusPart
from headrace.ir.fragment import Attachment
from headrace.names import Ref
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.kinds import Namespace
from headrace.objects.label_selectors import Source
from headrace.objects.references import GATEWAY_GROUP, ParentRef
from headrace.objects.routes import Route
from headrace.store import Reader
from headrace.translate import client_certificates, gateway_listeners, listener_sets
from headrace.translate.build_context import BuildContext
from headrace.translate.judged_listeners import ANY, JudgedListener, meet


@dataclass(frozen=True, slots=True)
class Attached:
    """A listener that a route is attached to, and the hosts whose requests it gets there."""

    listener: JudgedListener
    hosts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parent:
    """A parent of a route that is ours, by the part of the route's status that is about it, and where the route attaches there.

    `certificate` is the Secret with the certificate that its Gateway shows to endpoints, None for none.
    """

    part: StatusPart
    attached: tuple[Attached, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    certificate: Ref | None = None

    @property
    def attachment(self) -> Attachment:
        """Return the listeners that the route is attached to, each once."""
        listeners = ((each.listener.owner, each.listener.listener.name) for each in self.attached)
        return Attachment(self.part, tuple(dict.fromkeys(listeners)))


def parents(route: Route, hostnames: tuple[str, ...], reader: Reader, context: BuildContext) -> tuple[Parent, ...]:
    """Return the parents of a route that are ours, in their order; `hostnames` are its own, none for all."""
    found = []
    for reference in route.parents:
        attachment = _attachment(route, reference, reader, context)
        if attachment is not None:
            found.append(attachment.parent(hostnames))
    return tuple(found)


def _attachment(route: Route, reference: ParentRef, reader: Reader, context: BuildContext) -> '_Attachment | None':
    if reference.group != GATEWAY_GROUP or not context.exists(reference.namespace):
        return None
    if reference.kind == 'ListenerSet':
        listener_set = reader.get(reference.ref, ListenerSet)
        gateway = listener_sets.gateway_of(listener_set, reader, context) if listener_set is not None else None
        if listener_set is None or gateway is None or not context.exists(gateway.namespace):
            return None
        listeners = listener_sets.of_set(listener_set, gateway, reader, context)
        return _Attachment(route, reference, gateway, listeners.accepted, reader, context)
    if reference.kind != 'Gateway' or (gateway := gateway_listeners.gateway_of(reference.ref, reader, context)) is None:
        return None
    listeners = gateway_listeners.of_gateway(gateway, reader, context)
    return _Attachment(route, reference, gateway, listeners.accepted, reader, context)


class _Attachment:
    """One parent of a route while its listeners are judged."""

    def __init__(
        self,
        route: Route,
        reference: ParentRef,
        gateway: Gateway,
        listeners: tuple[JudgedListener, ...],
        reader: Reader,
        context: BuildContext,
    ) -> None:
        self.route, self.reference, self.gateway, self.listeners = route, reference, gateway, listeners
        self.reader, self.context = reader, context
        self.part = StatusPart(reference.ref, reference.section, reference.port)

    def parent(self, hostnames: tuple[str, ...]) -> Parent:
        named = [each for each in self.listeners if self._is_named(each)]
        if not named:
            return self._refused(
                'NoMatchingParent', f'{self.reference.ref} has no listener that can be used and is meant'
            )
        allowed = [each for each in named if self._is_allowed(each)]
        if not allowed:
            return self._refused(
                'NotAllowedByListeners', f'no listener of {self.reference.ref} allows this route to attach'
            )
        attached, forbidden = [], dict[str, None]()
        for each in allowed:
            common = dict.fromkeys(meet(each.host, host) for host in hostnames or (ANY,))
            if hosts := tuple(host for host in common if host):
                served = [host for host in hosts if self._serves(each, host)]
                forbidden.update(dict.fromkeys(host for host in served if not self._may_have(host)))
                attached.append(Attached(each, tuple(host for host in served if host not in forbidden)))
        if not attached:
            return self._refused(
                'NoMatchingListenerHostname', f'no listener of {self.reference.ref} has a host of this route'
            )
        diagnostics = tuple(self._forbidden(host) for host in forbidden)
        certificate = client_certificates.of_gateway(self.gateway, self.reader, self.context)
        usable = certificate if isinstance(certificate, Ref) else None
        return Parent(self.part, tuple(attached), diagnostics, usable)

    def _may_have(self, host: str) -> bool:
        """Tell whether the Gateway's namespace may have a host: at the class's own ports its host policy says so."""
        return bool(self.context.slots) or self.context.may_claim(self.gateway.namespace, host)

    def _forbidden(self, host: str) -> Diagnostic:
        message = f'namespace {self.gateway.namespace} of the Gateway may not claim {host}'
        return Diagnostic(self.route.ref, 'HostForbidden', message, 'spec.hostnames', self.part)

    def _refused(self, reason: str, message: str) -> Parent:
        return Parent(
            self.part, diagnostics=(Diagnostic(self.route.ref, reason, message, 'spec.parentRefs', self.part),)
        )

    def _serves(self, each: JudgedListener, host: str) -> bool:
        return listener_sets.serves(each, host, self.gateway, self.reader, self.context)

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
        return allowed.namespaces.admit(each.owner.namespace, self.route.namespace, labels)
