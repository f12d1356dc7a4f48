"""Gateway and ListenerSet of `gateway.networking.k8s.io`: their values, and how documents become them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import annotations, fields, label_selectors, listeners, references
from headrace.objects.label_selectors import Namespaces, Source
from headrace.objects.listeners import Listener
from headrace.objects.problems import Problems
from headrace.objects.references import Reference
from headrace.objects.status import UNREAD_RAW, RawStatus

_ADDRESS_TYPE = re.compile(r"[A-Za-z]{1,63}|[a-z0-9.-]{1,253}/[A-Za-z0-9/._~%!$&'()*+,;=:-]{1,253}")
_MAX_ADDRESS = 253


@dataclass(frozen=True, slots=True)
class GatewayAddress:
    """An address that a Gateway asks for: `IPAddress`, `Hostname` or another type; '' as value leaves it open.

    An IP address is in canonical form, and none of them when it is '-'.
    """

    type: str
    value: str


@dataclass(frozen=True, slots=True)
class FrontendValidation:
    """How certificates of clients are validated: against those of `authorities`, with none of which no client is valid.

    `insecure_fallback` lets clients in whose certificate is missing or not valid.
    """

    authorities: tuple[Reference, ...] = ()
    insecure_fallback: bool = False


@dataclass(frozen=True, slots=True)
class FrontendTLS:
    """Validation of clients' certificates for all ports, and for some: None for none, which counts on its port as well."""

    default: FrontendValidation | None = None
    ports: tuple[tuple[int, FrontendValidation | None], ...] = ()

    def validation(self, port: int) -> FrontendValidation | None:
        """Return what counts on a port."""
        return dict(self.ports).get(port, self.default)


@dataclass(frozen=True, slots=True)
class Infrastructure:
    """What objects that are made for a Gateway get."""

    labels: tuple[tuple[str, str], ...] = ()
    annotations: tuple[tuple[str, str], ...] = ()
    parameters: Reference | None = None


NO_FRONTEND_TLS = FrontendTLS()
NO_INFRASTRUCTURE = Infrastructure()


@dataclass(frozen=True, slots=True)
class Gateway:
    """A Gateway. `annotations` are those under our prefix, without it, sorted; listeners and addresses are in their order.

    `class_name` is in quotes when it is no name. `client_certificate` is what HAProxy shows to backends. `listener_sets` are
    the namespaces of ListenerSets that may attach. `problems` are those outside of its listeners.
    """

    namespace: str
    name: str
    created: str = ''
    generation: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    class_name: str = ''
    listeners: tuple[Listener, ...] = ()
    addresses: tuple[GatewayAddress, ...] = ()
    infrastructure: Infrastructure = NO_INFRASTRUCTURE
    listener_sets: Namespaces = label_selectors.NO_NAMESPACES
    frontend_tls: FrontendTLS = NO_FRONTEND_TLS
    client_certificate: Reference | None = None
    problems: tuple[Diagnostic, ...] = ()
    status: RawStatus = field(default=UNREAD_RAW, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the Gateway's reference."""
        return Ref('Gateway', self.namespace, self.name)

    @property
    def diagnostics(self) -> Iterator[Diagnostic]:
        """Yield the problems of the Gateway and its listeners."""
        yield from self.problems
        for listener in self.listeners:
            yield from listener.problems


@dataclass(frozen=True, slots=True)
class ListenerSet:
    """A ListenerSet. `parent` is the Gateway that its listeners attach to, None when that cannot be read."""

    namespace: str
    name: str
    created: str = ''
    generation: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    parent: Reference | None = None
    listeners: tuple[Listener, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    status: RawStatus = field(default=UNREAD_RAW, compare=False)

    @property
    def ref(self) -> Ref:
        """Return the ListenerSet's reference."""
        return Ref('ListenerSet', self.namespace, self.name)

    @property
    def diagnostics(self) -> Iterator[Diagnostic]:
        """Yield the problems of the ListenerSet and its listeners."""
        yield from self.problems
        for listener in self.listeners:
            yield from listener.problems


def read(namespace: str, name: str, document: fields.Document) -> Gateway:
    """Return the Gateway of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('Gateway', namespace, name))
    problems.add_misfits(document, {'spec': dict})
    problems.add_misfits(spec, {'tls': dict, 'allowedListeners': dict, 'infrastructure': dict}, 'spec.')
    tls = fields.mapping(spec, 'tls')
    return Gateway(
        namespace=namespace,
        name=name,
        created=fields.text(metadata, 'creationTimestamp'),
        generation=fields.number(metadata, 'generation'),
        annotations=annotations.read(metadata),
        class_name=_class_name(spec, problems),
        listeners=listeners.read(spec, namespace, problems),
        addresses=_addresses(spec, problems),
        infrastructure=_infrastructure(fields.mapping(spec, 'infrastructure'), namespace, problems),
        listener_sets=label_selectors.read_namespaces(
            fields.mapping(spec, 'allowedListeners'), 'spec.allowedListeners', problems, default=Source.NONE
        ),
        frontend_tls=_frontend_tls(tls.get('frontend'), namespace, problems),
        client_certificate=_client_certificate(tls.get('backend'), namespace, problems),
        problems=problems.diagnostics,
    )


def read_listener_set(namespace: str, name: str, document: fields.Document) -> ListenerSet:
    """Return the ListenerSet of a document whose name is valid."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    problems = Problems(Ref('ListenerSet', namespace, name))
    parent = references.read(spec.get('parentRef'), namespace, 'spec.parentRef', problems, references.GATEWAY)
    return ListenerSet(
        namespace=namespace,
        name=name,
        created=fields.text(metadata, 'creationTimestamp'),
        generation=fields.number(metadata, 'generation'),
        annotations=annotations.read(metadata),
        parent=parent,
        listeners=listeners.read(spec, namespace, problems),
        problems=problems.diagnostics,
    )


def _class_name(spec: fields.Document, problems: Problems) -> str:
    value = spec.get('gatewayClassName')
    if isinstance(value, str) and fields.is_name(value, subdomain=True):
        return value
    problems.add('spec.gatewayClassName', f'{shorten(value)} is no name of a GatewayClass')
    return shorten(value)


def _addresses(spec: fields.Document, problems: Problems) -> tuple[GatewayAddress, ...]:
    """Return the addresses; one that cannot be read stays with a value that no address has."""
    return tuple(
        _address(entry, f'spec.addresses[{index}]', problems)
        for index, entry in enumerate(problems.entries(spec, 'addresses', 'spec'))
    )


def _address(entry: object, field: str, problems: Problems) -> GatewayAddress:
    kind, value = (
        (fields.value(entry, 'type', 'IPAddress'), fields.value(entry, 'value', ''))
        if isinstance(entry, dict)
        else ('', entry)
    )
    if not isinstance(kind, str) or not _ADDRESS_TYPE.fullmatch(kind):
        problems.add(f'{field}.type', f'{shorten(kind)} is no type of an address')
        return GatewayAddress('', _NO_ADDRESS)
    text = value if isinstance(value, str) and value.isprintable() and len(value) <= _MAX_ADDRESS else _NO_ADDRESS
    if kind == 'IPAddress' and text:
        text = fields.address(text) or _NO_ADDRESS
    elif kind == 'Hostname' and text and not fields.is_host(text):
        text = _NO_ADDRESS
    if text == _NO_ADDRESS:
        problems.add(f'{field}.value', f'{shorten(value)} is no address of type {kind}')
    return GatewayAddress(kind, text)


def _infrastructure(document: fields.Document, namespace: str, problems: Problems) -> Infrastructure:
    if not document:
        return NO_INFRASTRUCTURE
    field, parameters = 'spec.infrastructure', document.get('parametersRef')
    problems.add_misfits(document, {'labels': dict, 'annotations': dict}, f'{field}.')
    reference = None
    if parameters is not None:
        reference = references.read(parameters, namespace, f'{field}.parametersRef', problems, references.LOCAL)
    return Infrastructure(fields.labels(document), fields.labels(document, 'annotations'), reference)


def _frontend_tls(document: object, namespace: str, problems: Problems) -> FrontendTLS:
    """Return the validation of clients' certificates; what cannot be read validates none."""
    if document is None:
        return NO_FRONTEND_TLS
    field = 'spec.tls.frontend'
    if not isinstance(document, dict) or fields.misfits(document, {'default': dict, 'perPort': list}):
        problems.add(field, f'{shorten(document)} is no validation of certificates')
        return FrontendTLS(_CLOSED)
    default = _validation(fields.mapping(document, 'default'), namespace, f'{field}.default', problems)
    ports: dict[int, FrontendValidation | None] = {}
    for index, entry in enumerate(fields.sequence(document, 'perPort')):
        where = f'{field}.perPort[{index}]'
        port = fields.port(entry, 'port') if isinstance(entry, dict) else 0
        if not isinstance(entry, dict) or not port or port in ports or not isinstance(entry.get('tls'), dict):
            problems.add(where, 'the entry is no port, of which there is no other entry, with its TLS')
            # For which port it was is not known.
            default = _CLOSED
        else:
            ports[port] = _validation(fields.mapping(entry, 'tls'), namespace, f'{where}.tls', problems)
    return FrontendTLS(default, tuple(sorted(ports.items(), key=lambda item: item[0])))


def _validation(document: fields.Document, namespace: str, field: str, problems: Problems) -> FrontendValidation | None:
    value = document.get('validation')
    if value is None:
        return None
    field = f'{field}.validation'
    mode = fields.value(value, 'mode', 'AllowValidOnly') if isinstance(value, dict) else None
    if not isinstance(value, dict) or mode not in ('AllowValidOnly', 'AllowInsecureFallback'):
        problems.add(f'{field}.mode', f'{shorten(mode)} is neither AllowValidOnly nor AllowInsecureFallback')
        return _CLOSED
    authorities = references.read_all(value, 'caCertificateRefs', namespace, field, problems)
    return FrontendValidation(authorities, mode == 'AllowInsecureFallback')


def _client_certificate(document: object, namespace: str, problems: Problems) -> Reference | None:
    reference = document.get('clientCertificateRef') if isinstance(document, dict) else document
    if reference is None:
        return None
    return references.read(reference, namespace, 'spec.tls.backend.clientCertificateRef', problems, references.SECRET)


# What no address is.
_NO_ADDRESS = '-'
_CLOSED = FrontendValidation()
