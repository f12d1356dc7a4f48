"""Status of resources of the Gateway API, as documents.

Pure. A route's `status.parents` is one list of all controllers: entries of others stay as they are. Times of transitions stay
while a condition's status does, so a status that says the same is the same document.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from headrace.controller import conditions, gateway_services
from headrace.diagnostics import Diagnostic, Level, StatusPart
from headrace.ir.fragment import Fragment
from headrace.names import Ref
from headrace.objects import fields, status
from headrace.objects.backend_tls_policies import BackendTLSPolicy
from headrace.objects.gateways import Gateway, ListenerSet
from headrace.objects.listeners import Listener
from headrace.objects.references import GATEWAY_GROUP
from headrace.objects.routes import Route
from headrace.objects.status import Addresses, Condition
from headrace.translate.judged_listeners import JudgedListener

Document = dict[str, Any]
# Reasons that the API has another name for.
_API_REASONS = {'InvalidObject': 'UnsupportedValue', 'UnsupportedListenerProtocol': 'UnsupportedProtocol'}
_OF_REFERENCES = frozenset(
    (
        'BackendNotFound',
        'InvalidCACertificateKind',
        'InvalidCACertificateRef',
        'InvalidCertificateRef',
        'InvalidClientCertificateRef',
        'InvalidKind',
        'InvalidRouteKinds',
        'RefNotPermitted',
        'SecretForbidden',
        'SecretMissing',
        'CertificateUnusable',
    )
)
# What the condition of a route that is accepted says all the same.
_REMARKS = frozenset(('OlderRoute', 'WeightsNotKept'))
# The condition that a Gateway has at times only.
_INSECURE = 'InsecureFrontendValidationMode'
# The API takes no more.
_MOST_ANCESTORS = 16
_CONFLICTS = frozenset(('HostnameConflict', 'ProtocolConflict'))


@dataclass(frozen=True, slots=True)
class ListenerView:
    """A listener as it is judged, its diagnostics, and how many routes are attached to it."""

    judged: JudgedListener
    diagnostics: tuple[Diagnostic, ...]
    attached: int

    @property
    def listener(self) -> Listener:
        """Return the listener."""
        return self.judged.listener

    @property
    def is_served(self) -> bool:
        """Tell whether the edge serves the listener: it is accepted, has a port there, and the certificates that it needs."""
        closing = (each for each in self.diagnostics if each.reason != 'InvalidRouteKinds')
        return self.judged.accepted and bool(self.judged.port) and not any(closing)


@dataclass(frozen=True, slots=True)
class Assigned:
    """The addresses that a Gateway has, and why it does not get those that it asks for, where that is known."""

    addresses: Addresses = ()
    shortage: str = ''


def of_class(current: fields.Document, generation: int, features: Iterable[str], now: str) -> Document:
    """Return the status of a GatewayClass of ours."""
    accepted = Condition('Accepted', 'True', 'Accepted', 'headrace serves this class', generation)
    return {
        'conditions': _documents(current, [accepted], now),
        'supportedFeatures': [{'name': name} for name in sorted(features)],
    }


def of_route(
    route: Route, fragment: Fragment, diagnostics: Iterable[Diagnostic], controller: str, now: str
) -> Document:
    """Return the status of a route: an entry for each of its parents that is ours, and those of others."""
    current = fields.documents(route.status.document, 'parents')
    foreign = [entry for entry in current if entry.get('controllerName') != controller]
    ours = [entry for entry in current if entry.get('controllerName') == controller]
    problems = [each for each in diagnostics if each.level is Level.ERROR or each.reason in _REMARKS]
    entries = [
        _parent(route, attachment.part, problems, controller, _entry_of(ours, attachment.part, route.namespace), now)
        for attachment in fragment.attachments
    ]
    return {'parents': [*foreign, *entries]}


def _parent(
    route: Route, part: StatusPart, problems: list[Diagnostic], controller: str, current: fields.Document, now: str
) -> Document:
    of_part = [each for each in problems if each.part in (part, StatusPart())]
    references = [each for each in of_part if each.reason in _OF_REFERENCES]
    remarks = [each for each in of_part if each.reason in _REMARKS]
    others = [each for each in of_part if each.reason not in _OF_REFERENCES | _REMARKS]
    message = conditions.summary(remarks) if remarks else 'the route is attached'
    judged = [
        _judged('Accepted', others, route.generation, message),
        _judged('ResolvedRefs', references, route.generation, 'all references are resolved'),
    ]
    reference: Document = {
        'group': GATEWAY_GROUP,
        'kind': part.parent.kind,
        'namespace': part.parent.namespace,
        'name': part.parent.name,
        **({'sectionName': part.section} if part.section else {}),
        **({'port': part.port} if part.port else {}),
    }
    return {
        'parentRef': reference,
        'controllerName': controller,
        'conditions': _documents(current, judged, now),
    }


def _entry_of(entries: list[fields.Document], part: StatusPart, namespace: str) -> fields.Document:
    """Return the present entry of a parent, an empty one where it has none."""
    wanted = (part.parent.kind, part.parent.namespace, part.parent.name, part.section, part.port)
    for entry in entries:
        parent = fields.mapping(entry, 'parentRef')
        found = (
            fields.text(parent, 'kind', 'Gateway'),
            fields.text(parent, 'namespace', namespace),
            fields.text(parent, 'name'),
            fields.text(parent, 'sectionName'),
            fields.number(parent, 'port'),
        )
        if found == wanted:
            return entry
    return {}


def of_gateway(
    gateway: Gateway,
    listeners: Iterable[ListenerView],
    problems: Iterable[Diagnostic],
    assigned: Assigned,
    sets: int,
    now: str,
) -> Document:
    """Return the status of a Gateway of ours; `problems` are those of the Gateway as a whole.

    `sets` is how many ListenerSets are attached to it.
    """
    views = list(listeners)
    references, others = _split(problems)
    judged = [
        _accepted(gateway, views, others),
        _programmed(gateway, views, assigned),
        _resolved(gateway, views, references),
        *_insecure(gateway),
    ]
    return {
        'addresses': [_address(ip, host) for ip, host in assigned.addresses],
        'conditions': _documents(gateway.status.document, judged, now),
        'listeners': _listeners(gateway, views, now),
        **({'attachedListenerSets': sets} if sets or gateway.status.document.get('attachedListenerSets') else {}),
    }


def _accepted(gateway: Gateway, views: list[ListenerView], problems: list[Diagnostic]) -> Condition:
    if refusal := gateway_services.refusal(gateway):
        return Condition('Accepted', 'False', *refusal, gateway.generation)
    if not problems and any(view.diagnostics for view in views):
        message = 'a listener is not valid; its conditions say why'
        usable = 'True' if any(view.is_served for view in views) else 'False'
        return Condition('Accepted', usable, 'ListenersNotValid', message, gateway.generation)
    return _judged('Accepted', problems, gateway.generation, 'headrace serves the Gateway')


def _programmed(gateway: Gateway, views: list[ListenerView], assigned: Assigned) -> Condition:
    present = {ip for ip, _ in assigned.addresses}
    missing = [each for each in gateway_services.requested_addresses(gateway) if each not in present]
    if gateway_services.refusal(gateway):
        reason, message = 'Invalid', 'the Gateway is not accepted'
    elif missing:
        message = assigned.shortage or f'the Service of the Gateway does not get the address {missing[0]}'
        reason = 'AddressNotUsable'
    elif not assigned.addresses:
        reason, message = 'AddressNotAssigned', assigned.shortage or 'the Service of the Gateway has no address yet'
    elif not any(view.is_served for view in views):
        reason, message = 'Invalid', 'no listener is served'
    else:
        return Condition('Programmed', 'True', 'Programmed', 'the edge serves the Gateway', gateway.generation)
    return Condition('Programmed', 'False', reason, message, gateway.generation)


def _resolved(gateway: Gateway, views: list[ListenerView], problems: list[Diagnostic]) -> Condition:
    """Return whether the references of a Gateway are resolved, those of its listeners included."""
    if not problems and any(_split(view.diagnostics)[0] for view in views):
        message = 'references of a listener are not resolved; its conditions say which'
        return Condition('ResolvedRefs', 'False', 'ListenersNotResolved', message, gateway.generation)
    return _judged('ResolvedRefs', problems, gateway.generation, 'all references are resolved')


def of_set(
    listener_set: ListenerSet, listeners: Iterable[ListenerView], problems: Iterable[Diagnostic], now: str
) -> Document:
    """Return the status of a ListenerSet for a Gateway of ours; `problems` are those of the set as a whole."""
    views, generation = list(listeners), listener_set.generation
    accepted = _judged('Accepted', list(problems), generation, 'headrace serves the ListenerSet')
    if accepted.status == 'True' and any(view.diagnostics for view in views):
        usable = 'True' if any(view.is_served for view in views) else 'False'
        message = 'a listener is not valid; its conditions say why'
        accepted = Condition('Accepted', usable, 'ListenersNotValid', message, generation)
    if any(view.is_served for view in views):
        ready = Condition('Programmed', 'True', 'Programmed', 'the edge serves the ListenerSet', generation)
    else:
        reason = 'Pending' if accepted.status == 'True' else accepted.reason
        ready = Condition('Programmed', 'False', reason, 'no listener is served', generation)
    return {
        'conditions': _documents(listener_set.status.document, [accepted, ready], now),
        'listeners': _listeners(listener_set, views, now),
    }


def of_policy(
    policy: BackendTLSPolicy, gateways: Iterable[Ref], diagnostics: Iterable[Diagnostic], controller: str, now: str
) -> Document:
    """Return the status of a BackendTLSPolicy: an entry for each Gateway of ours that leads to its targets, and those of others."""
    current = fields.documents(policy.status.document, 'ancestors')
    foreign = [entry for entry in current if entry.get('controllerName') != controller]
    ours = [entry for entry in current if entry.get('controllerName') == controller]
    references, others = _split(each for each in diagnostics if each.level is Level.ERROR)
    judged = [
        _judged('Accepted', others, policy.generation, 'the policy is kept'),
        _judged('ResolvedRefs', references, policy.generation, 'all references are resolved'),
    ]
    entries: list[Document] = []
    for ref in sorted(gateways):
        ancestor = {'group': GATEWAY_GROUP, 'kind': ref.kind, 'namespace': ref.namespace, 'name': ref.name}
        shown = next((entry for entry in ours if fields.mapping(entry, 'ancestorRef') == ancestor), {})
        entries.append(
            {'ancestorRef': ancestor, 'controllerName': controller, 'conditions': _documents(shown, judged, now)}
        )
    return {'ancestors': [*foreign, *entries][:_MOST_ANCESTORS]}


def _insecure(gateway: Gateway) -> list[Condition]:
    """Return the condition that the API asks for where clients are let in whatever certificate they show."""
    frontend = gateway.frontend_tls
    validations = (frontend.default, *(each for _, each in frontend.ports))
    if not any(each is not None and each.insecure_fallback for each in validations):
        return []
    message = 'clients without a valid certificate are let in (AllowInsecureFallback)'
    return [Condition(_INSECURE, 'True', 'ConfigurationChanged', message, gateway.generation)]


def _address(ip: str, host: str) -> Document:
    return {'type': 'IPAddress', 'value': ip} if ip else {'type': 'Hostname', 'value': host}


def _listeners(owner: Gateway | ListenerSet, views: list[ListenerView], now: str) -> list[Document]:
    current = {fields.text(entry, 'name'): entry for entry in fields.documents(owner.status.document, 'listeners')}
    return [
        {
            'name': view.listener.name,
            'supportedKinds': [{'group': GATEWAY_GROUP, 'kind': kind} for kind in view.judged.kinds],
            'attachedRoutes': view.attached,
            'conditions': _documents(current.get(view.listener.name, {}), _of_listener(view, owner.generation), now),
        }
        for view in views
    ]


def _of_listener(view: ListenerView, generation: int) -> list[Condition]:
    problems = [each for each in view.diagnostics if each.level is Level.ERROR]
    conflicts = [each for each in problems if each.reason in _CONFLICTS]
    references = [each for each in problems if each.reason in _OF_REFERENCES]
    others = [each for each in problems if each.reason not in _OF_REFERENCES | _CONFLICTS]
    conflicted = Condition(
        'Conflicted', 'False', 'NoConflicts', 'no other listener conflicts with this one', generation
    )
    if conflicts:
        conflicted = Condition('Conflicted', 'True', conflicts[0].reason, conflicts[0].message, generation)
    ready = Condition('Programmed', 'True', 'Programmed', 'the edge serves the listener', generation)
    if not view.is_served:
        reason = conflicts[0].reason if conflicts else 'Invalid' if problems else 'Pending'
        ready = Condition('Programmed', 'False', reason, 'the edge does not serve the listener', generation)
    return [
        _judged('Accepted', [*others, *conflicts], generation, 'the listener is valid'),
        conflicted,
        ready,
        _judged('ResolvedRefs', references, generation, 'all references are resolved'),
    ]


def _split(problems: Iterable[Diagnostic]) -> tuple[list[Diagnostic], list[Diagnostic]]:
    """Return the problems of references, and the others."""
    listed = list(problems)
    references = [each for each in listed if each.reason in _OF_REFERENCES]
    return references, [each for each in listed if each.reason not in _OF_REFERENCES]


def _judged(type_: str, problems: list[Diagnostic], generation: int, message: str) -> Condition:
    """Return a condition that is True where there is no problem."""
    if not problems:
        return Condition(type_, 'True', type_, message, generation)
    reason = problems[0].reason
    return Condition(type_, 'False', _API_REASONS.get(reason, reason), conditions.summary(problems), generation)


def _documents(current: fields.Document, judged: Iterable[Condition], now: str) -> list[Document]:
    """Return conditions as the API takes them, and those of other types that are there."""
    shown = status.read_conditions(current)
    ours = [conditions.document(each, shown, now) for each in judged]
    types = {_INSECURE, *(entry['type'] for entry in ours)}
    others = (dict(entry) for entry in fields.documents(current, 'conditions'))
    return [*(entry for entry in others if entry.get('type') not in types), *ours]


def differs(current: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Tell whether a status says something else than what is to be written; a list that is not there is an empty one."""
    return any((current.get(key) or []) != value for key, value in wanted.items())
