"""Diagnostics: what is wrong with an object, or how it was understood, as a value.

Owns the list of reasons with their level and what a user does about each; the reference in the documentation is
generated from it. A user's mistake is always a diagnostic, never an exception.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from headrace.names import Ref

_MAX_BITS = 1024
_NONE = Ref('', '', '')
_OF_ANOTHER_VERSION = 'OfAnotherVersion'


class Level(StrEnum):
    """How bad it is: an error leaves something unserved, a warning changes something, info only tells."""

    ERROR = 'error'
    WARNING = 'warning'
    INFO = 'info'


@dataclass(frozen=True, slots=True)
class Reason:
    """Level of a reason, what it means, and what the user does about it."""

    level: Level
    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True, order=True)
class StatusPart:
    """The part of an object's status that shows a diagnostic: that of a route's parent, of a section such as a listener.

    `parent`, `section` and `port` are those of a `parentRef`. All of the object where they are empty.
    """

    parent: Ref = _NONE
    section: str = ''
    port: int = 0

    @property
    def value(self) -> dict[str, Any]:
        """Return the part as a value for JSON."""
        return {'parent': self.parent._asdict(), 'section': self.section, 'port': self.port}


WHOLE = StatusPart()


@dataclass(frozen=True, slots=True, order=True)
class Diagnostic:
    """One diagnostic: its object, its reason (a key of REASONS), a sentence, the field it is about, and where it is shown."""

    ref: Ref
    reason: str
    message: str
    field: str = ''
    part: StatusPart = WHOLE

    @property
    def level(self) -> Level:
        """Return the level that the reason has."""
        return REASONS[self.reason].level

    @property
    def value(self) -> dict[str, Any]:
        """Return the diagnostic as a value for JSON; its part only where it is not about the whole object."""
        return {
            'level': self.level,
            'reason': self.reason,
            **self.ref._asdict(),
            'field': self.field,
            'message': self.message,
            **({} if self.part == WHOLE else {'part': self.part.value}),
        }


def parse(value: Any, longest: int) -> Diagnostic | None:
    """Return the diagnostic of a value from JSON, with texts of so many characters at most; None for none.

    A mistake whose reason only another version knows stays a mistake.
    """
    reason = value.get('reason') if isinstance(value, dict) else None
    if not isinstance(reason, str) or (reason not in REASONS and value.get('level') != Level.ERROR):
        return None
    message, field = (str(value.get(key, ''))[:longest] for key in ('message', 'field'))
    if reason not in REASONS:
        reason, message = _OF_ANOTHER_VERSION, f'{reason}: {message}'[:longest]
    return Diagnostic(_ref(value, longest), reason, message, field, _part(value.get('part'), longest))


def _ref(value: Any, longest: int) -> Ref:
    fields = value if isinstance(value, dict) else {}
    return Ref(*(str(fields.get(key, ''))[:longest] for key in Ref._fields))


def _part(value: Any, longest: int) -> StatusPart:
    if not isinstance(value, dict):
        return WHOLE
    port = value.get('port')
    section = str(value.get('section', ''))[:longest]
    return StatusPart(_ref(value.get('parent'), longest), section, port if isinstance(port, int) else 0)


def is_scalar(value: object) -> bool:
    """Tell whether a value is one that can be written out: no collection, and no number of thousands of digits."""
    if isinstance(value, int):
        return value.bit_length() <= _MAX_BITS
    return value is None or isinstance(value, str | float)


def shorten(value: object, limit: int = 60) -> str:
    """Return a value from an object as a quoted, printable text of about `limit` characters at most.

    Of what is no scalar only the type is shown: a few lines of YAML can name a list of billions.
    """
    text = value if isinstance(value, str) else repr(value) if is_scalar(value) else f'({type(value).__name__})'
    quoted = ascii(text[:limit])
    return f'{quoted}…' if len(text) > limit else quoted


# What only an agent can know, because it reads Secrets and speaks to HAProxy.
OF_AGENTS = frozenset(
    (
        'CertificateUnusable',
        'CostlyHash',
        'CredentialsUnusable',
        'EndpointRefused',
        'InternalError',
        'InvalidCACertificateKind',
        'InvalidCACertificateRef',
        'InvalidCertificateRef',
        'InvalidClientCertificateRef',
        'RefusedByHaproxy',
        'ReloadDelayed',
        'RouteClosed',
        'SecretForbidden',
        'SecretMissing',
        'NoValidCACertificate',
        _OF_ANOTHER_VERSION,
        'PlaceholderCertificate',
    )
)

_ERROR, _WARNING, _INFO = Level.ERROR, Level.WARNING, Level.INFO

REASONS: dict[str, Reason] = {
    'AddressInUse': Reason(_ERROR, 'An address that the Service asks for, or has, is that of another Service. Until it is free the Service keeps what it has.', 'Ask for another address, or give both the same `headrace.io/address-sharing-key` where their ports differ.'),
    'AddressNotInPool': Reason(_ERROR, 'An address that the Service asks for is no address, of a family that the Service does not have, or in no pool for it.', 'Ask for an address of a pool that is for the Service.'),
    'AddressOutsidePools': Reason(_WARNING, 'An address that the Service has is in no pool for it any more. It keeps it.', 'None, or ask for an address or a pool by name.'),
    'AddressPoolExhausted': Reason(_ERROR, 'All addresses of the pools that are for the Service are in use. It gets the first that is free.', 'Ask the administrator for a larger pool, or remove what is not needed.'),
    'AddressPoolUnusable': Reason(_ERROR, 'The class has no pool of that name, or none that is for the Service or has addresses of its family.', 'Correct `headrace.io/address-pool`, or ask the administrator for a pool.'),
    'AddressRefused': Reason(_ERROR, 'The node role does not take an externalIP of a Node, of pods, of Services, of an address pool, or of this machine alone; all else is served.', 'Remove it from `externalIPs`.'),
    'AddressWithheld': Reason(_ERROR, 'A key that protects the Service would not hold at an address of a pool, because kube-proxy serves it: the Service gets none.', 'Leave the Service to the node role (`headrace.io/proxy: node`) or to the edge (`headrace.io/enabled: "true"`), or remove the key.'),
    'AmbiguousPort': Reason(_ERROR, 'A key without `.PORT` could speak of several ports, so nothing is exposed.', 'Add the port: `headrace.io/host.NAME`.'),
    'BackendNotFound': Reason(_ERROR, 'A backend of a route does not exist, or has no port of this number; its share of the requests gets the status 500, and its share of connections is rejected.', 'Correct the reference, or create the Service.'),
    'BeyondHaproxy': Reason(_WARNING, "The class's settings ask for what this HAProxy cannot do; the rest is served.", 'Take another HAProxy, or leave the setting out.'),
    'BudgetExceeded': Reason(_ERROR, 'The object, or all objects of its namespace together, would become more than the class allows; it keeps what it was before, else its routes answer 503 (http) or a reset (tcp). Beyond the budget of checks it is served without checks, beyond that of endpoints by a part of them.', 'Split the object, remove what the namespace does not need, or ask the administrator for more; the message names the amount and the setting. Objects that wait are served as soon as there is room.'),
    'CertificateUnusable': Reason(_ERROR, 'The Secret holds no certificate and key that HAProxy would accept; the route is closed.', 'Put a PEM chain in `tls.crt` and its unencrypted key in `tls.key`.'),
    'Conflict': Reason(_ERROR, 'An older object holds the same host and path, TLS host, port or address, or the host belongs to another namespace; that one is served, this one waits.', 'Change one of them; when the holder leaves, this one takes over. An administrator can share hosts: `hostSharing`, `hostPolicy`.'),
    'Conflicted': Reason(_ERROR, 'An older BackendTLSPolicy has the same target; that one counts.', 'Remove one of them, or let it name another port.'),
    'ContradictoryKeys': Reason(_WARNING, 'Two keys exclude each other; the message says which one counts.', 'Remove one of them.'),
    'CostlyHash': Reason(_WARNING, 'A crypt hash costs a reload when it is first used, and up to 50 ms of CPU for each password that was not tried in the last minutes.', 'Use a Secret of type `kubernetes.io/basic-auth`, or `{SHA}` lines; a `rate-limit` bounds what guessing costs.'),
    'CredentialsUnusable': Reason(_ERROR, 'The Secret holds no users that can be used; the route is closed.', 'Use type `kubernetes.io/basic-auth`, or an `auth` key with htpasswd lines.'),
    'EndpointRefused': Reason(_ERROR, 'An endpoint is on an address that means the machine which connects to it (loopback, link-local, unspecified), is multicast, is an address and port of headrace itself, or, in the node role, of the Service itself or in `serviceNetworks`; it gets no traffic, the others do.', 'Correct the EndpointSlice that names it.'),
    'ExternalNameForbidden': Reason(_ERROR, 'The class does not serve Services of type ExternalName.', 'Ask the administrator for `allowExternalName`.'),
    'ForeignAnnotationCloses': Reason(_ERROR, "A foreign annotation protects the routes of the Ingress and cannot be applied, so they answer 503.", 'Correct or remove the annotation, or write headrace\'s own key that the reference names for it.'),
    'ForeignAnnotationDiffers': Reason(_INFO, 'A foreign annotation is applied, with a difference to what its own controller does.', 'Read whether the difference matters; headrace\'s own keys say exactly what is done.'),
    'ForeignAnnotationIgnored': Reason(_WARNING, 'A foreign annotation, or its value, has no effect.', 'The message says why; remove the annotation, or write the key that the reference names.'),
    'HandoverBlocked': Reason(_ERROR, 'The Service stays with kube-proxy: it cannot be served completely, or not every Node has an agent that serves it.', 'The message names what is missing; the hand-over goes on by itself when it is there.'),
    'HandoverPending': Reason(_INFO, 'The Service can be handed over to the node role, and waits for the agents of the Nodes that the message names; kube-proxy serves it until then.', 'Look whether the agents of these Nodes run and are ready.'),
    'HeldByAnother': Reason(_ERROR, 'Another controller has written this part of the status; headrace leaves it alone.', 'Give the Service a loadBalancerClass, so that one controller alone feels addressed.'),
    'HostForbidden': Reason(_ERROR, "The class's `hostPolicy` does not give this host to this namespace.", 'Use another host, or ask the administrator.'),
    'HostnameConflict': Reason(_ERROR, 'Two listeners of a Gateway have the same port, protocol and host: neither is served, or of those of ListenerSets the first.', 'Change the port or the host of one.'),
    'InternalError': Reason(_ERROR, 'headrace failed on the object unexpectedly; the last good state of the object stays, and no other object is affected.', 'Report the traceback in the log: this is a defect of headrace. Another change of the object is tried again.'),
    'InvalidCACertificateKind': Reason(_ERROR, 'A listener refers to certificates of authorities of a kind that is not supported.', 'Refer to a ConfigMap or a Secret with `ca.crt`.'),
    'InvalidCACertificateRef': Reason(_ERROR, 'A reference to certificates of authorities cannot be used: the ConfigMap or Secret is not there or cannot be read, or its `ca.crt` holds none.', 'Put a PEM bundle under `ca.crt`; ConfigMaps are read in the namespaces of `secrets.namespaces`.'),
    'InvalidCertificateRef': Reason(_ERROR, 'A listener has no certificate that can be used: a reference names no Secret, one that is not there or cannot be read, or one without a usable certificate; the listener is not served.', 'Refer to a Secret of type `kubernetes.io/tls`.'),
    'InvalidClientCertificateRef': Reason(_ERROR, 'The certificate that a Gateway shows to endpoints cannot be used: the reference names no Secret, one that is not there or cannot be read, or one without a usable certificate; endpoints are shown none.', 'Refer to a Secret of type `kubernetes.io/tls`.'),
    'InvalidKind': Reason(_ERROR, 'A reference names a kind that is not supported there.', 'Refer to a Service as a backend, and to a Secret as a certificate.'),
    'InvalidObject': Reason(_ERROR, 'The object lacks what Kubernetes requires of it and is ignored, whole or in the field named.', 'Correct the field.'),
    'InvalidPath': Reason(_ERROR, 'A path of an Ingress is not one that a request can have, or a regular expression beyond the subset that is supported; the latter closes what is left of its host.', 'Correct the path.'),
    'InvalidRouteKinds': Reason(_ERROR, 'A listener allows a kind of routes that listeners of its protocol cannot have; the other kinds attach.', 'Correct `allowedRoutes.kinds`.'),
    'InvalidValue': Reason(_ERROR, 'The value does not parse; the key is treated as absent.', 'The message says what is allowed.'),
    'MissingHost': Reason(_ERROR, 'An HTTP port needs a host, and the class has no `domain` to make one.', 'Set `headrace.io/host`; `"*"` asks for every host.'),
    'NoEndpoints': Reason(_WARNING, 'No endpoint is usable; clients get 503 (http) or a reset (tcp).', 'Check the readiness of the pods behind the Service.'),
    'NoMatchingListenerHostname': Reason(_ERROR, 'No listener of the parent has a host in common with the route.', 'Change `hostnames` of the route, or `hostname` of a listener.'),
    'NoMatchingParent': Reason(_ERROR, 'The parent has no listener of the name or port that the route names, or none that can be served.', 'Correct `sectionName` and `port`, or the listener.'),
    'NoValidCACertificate': Reason(_ERROR, 'There is no authority to validate certificates with: requests for the targets of a BackendTLSPolicy get the status 500, and a listener that validates its clients is not served.', 'Correct `caCertificateRefs`.'),
    'NotAllowed': Reason(_ERROR, 'The Gateway admits no ListenerSets of this namespace; none of its listeners is served.', 'Change `allowedListeners` of the Gateway.'),
    'NotAllowedByListeners': Reason(_ERROR, 'No listener of the parent allows routes of this kind and namespace.', 'Change `allowedRoutes` of the listener.'),
    'NotApplicable': Reason(_WARNING, 'The key has no meaning for this port or kind and is ignored.', 'Remove it, or change the mode of the port.'),
    'NotYet': Reason(_WARNING, 'This version understands the key but does not apply it yet.', 'Remove it, or wait for a later version.'),
    _OF_ANOTHER_VERSION: Reason(_ERROR, 'An agent of another version reports a mistake that the controller has no name for; the message begins with the name that the agent has for it.', 'Read the message. While an upgrade goes on this comes and goes by itself; else give controller and agents the same version.'),
    'OlderRoute': Reason(_WARNING, 'An older route of the same kind has the same listener and host; that one is served, this one waits.', 'Change one of them; when the older one leaves, this one takes over.'),
    'PlaceholderCertificate': Reason(_WARNING, 'Offline, a Secret that is not in the input is replaced by a self-signed certificate.', 'Add the Secret to the input to check the real one.'),
    'PortNotBound': Reason(_ERROR, "The TCP port is outside the class's `tcpPorts`.", 'Use a port of those ranges, or ask the administrator to widen `tcpPorts`.'),
    'PortReserved': Reason(_ERROR, 'The TCP port is one that headrace itself listens on.', 'Set `headrace.io/port` to another one.'),
    'PortUnavailable': Reason(_ERROR, 'Without ports for Gateways of its own (`gatewaySlots`), or outside a cluster, headrace serves listeners at the HTTP and HTTPS ports of the class alone.', 'Use port 80 for HTTP and port 443 for HTTPS.'),
    'ProtocolConflict': Reason(_ERROR, 'Two listeners of a Gateway have the same port and different protocols: neither is served, or of those of ListenerSets the first.', 'Change the port of one.'),
    'RefNotPermitted': Reason(_ERROR, 'A reference to an object of another namespace is not allowed.', 'Create a ReferenceGrant in that namespace.'),
    'RefusedByHaproxy': Reason(_ERROR, 'HAProxy refuses the configuration that the object becomes. The last one that HAProxy has accepted serves, else its hosts and ports are closed; the rest is served.', 'Change the object; the message holds what HAProxy said. Tell the administrator when a snippet or template is at fault.'),
    'ReloadDelayed': Reason(_WARNING, 'A change of the object takes effect with a reload of HAProxy, and that waits: the namespace, or all together, have caused as many as they may, or too many workers of earlier reloads still hold connections. Until then the object is served as before.', 'None: it comes by itself. Change less often what needs a reload, or ask the administrator for a larger `reloadsPerMinute` or `maxOldWorkers`.'),
    'RouteClosed': Reason(_ERROR, 'A key that protects the route cannot be used, or an object beyond a limit names the host, so the route answers 503 (http) or a reset (tcp).', 'Correct the key or the object that the message names.'),
    'SecretForbidden': Reason(_ERROR, 'headrace may not read Secrets of this namespace.', 'Ask the administrator to add the namespace to `secrets.namespaces`.'),
    'SecretMissing': Reason(_ERROR, 'The Secret does not exist; what depends on it is closed.', 'Create the Secret in the namespace of the object.'),
    'ServiceMissing': Reason(_ERROR, 'The Service, or its port, does not exist; the rule is left out.', 'Correct the name, or create the Service.'),
    'TargetNotFound': Reason(_ERROR, 'A target of a BackendTLSPolicy is no Service, or none with this port.', 'Correct `targetRefs`.'),
    'TerminatingOnly': Reason(_INFO, 'No endpoint is ready; those that are terminating but still serving get the traffic.', 'None, if a roll-out is going on.'),
    'UnknownAppProtocol': Reason(_WARNING, 'The appProtocol is not known and counts as unset.', 'Set `headrace.io/mode` to say what the port speaks.'),
    'UnknownKey': Reason(_WARNING, 'headrace has no such key.', 'The message names the nearest known key.'),
    'UnknownPort': Reason(_ERROR, 'The Service has no port of this name or number.', 'Correct what follows the last dot of the key.'),
    'UnknownSnippet': Reason(_ERROR, 'The administrator has defined no snippet of this name.', 'Correct the name, or ask the administrator.'),
    'UnsupportedBackend': Reason(_ERROR, 'The backend of a path is a resource and no Service; the path answers 503.', 'Name a Service.'),
    'UnsupportedListenerProtocol': Reason(_ERROR, 'Listeners of this protocol are not supported.', 'Use HTTP or HTTPS.'),
    'UnsupportedProtocol': Reason(_WARNING, 'The edge does not serve UDP and SCTP ports.', 'Use the node role for this Service.'),
    'UnsupportedValue': Reason(_ERROR, 'A value is not supported; what depends on it is closed.', 'The message says what is not supported.'),
    'WeightsNotKept': Reason(_WARNING, 'The backends of a UDPRoute have different weights; kube-proxy shares packets among all endpoints alike. The node role keeps them for a Gateway without other ports, once it serves its Service.', 'Install the node role and give UDP a Gateway of its own; or give the backends the same weight, and more endpoints to the one that is to get more.'),
}  # fmt: skip
