"""Listeners of Gateways and ListenerSets: their values, and how documents become them.

A listener with problems is not what its document says, and must not be served: its host or its certificates may be what
could not be read.
"""

import re
import sys
from dataclasses import dataclass, replace
from enum import StrEnum

from headrace.diagnostics import Diagnostic, shorten
from headrace.objects import fields, label_selectors, references
from headrace.objects.label_selectors import Namespaces, Source
from headrace.objects.problems import Problems
from headrace.objects.references import Reference

_PROTOCOL = re.compile(r'[a-zA-Z0-9](?:[-a-zA-Z0-9]*[a-zA-Z0-9])?|[a-z0-9][-a-z0-9.]*/[A-Za-z0-9]+')
_MAX_PROTOCOL = 255
_WITHOUT_TLS = ('HTTP', 'TCP', 'UDP')
_WITHOUT_HOST = ('TCP', 'UDP')
_ANY = 'any'


class TLSMode(StrEnum):
    """Who ends the TLS of clients: the listener, or the backend."""

    TERMINATE = 'Terminate'
    PASSTHROUGH = 'Passthrough'


@dataclass(frozen=True, slots=True, order=True)
class RouteKind:
    """A group and kind of routes."""

    group: str
    kind: str


@dataclass(frozen=True, slots=True)
class AllowedRoutes:
    """Routes that may attach. `kinds` are those that the document names; where it names none, the protocol decides."""

    namespaces: Namespaces = label_selectors.SAME_NAMESPACE
    kinds: tuple[RouteKind, ...] = ()


@dataclass(frozen=True, slots=True)
class ListenerTLS:
    """TLS of a listener. `certificates` are in their order, `options` are sorted."""

    mode: TLSMode = TLSMode.TERMINATE
    certificates: tuple[Reference, ...] = ()
    options: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """A listener; `hostname` is '' for all hosts. `protocol` is any that the API allows, `name` '' when it is invalid."""

    name: str
    port: int
    protocol: str
    hostname: str = ''
    tls: ListenerTLS | None = None
    allowed: AllowedRoutes = AllowedRoutes()
    problems: tuple[Diagnostic, ...] = ()


DEFAULT_ROUTES = AllowedRoutes()


def read(spec: fields.Document, namespace: str, problems: Problems) -> tuple[Listener, ...]:
    """Return the listeners under `listeners`, in their order; the second of a name has a problem."""
    items: list[Listener] = []
    names: set[str] = set()
    for index, entry in enumerate(problems.entries(spec, 'listeners', 'spec')):
        field, wrong = f'spec.listeners[{index}]', Problems(problems.ref)
        listener = _listener(entry, namespace, field, wrong)
        if listener.name in names:
            wrong.add(f'{field}.name', f'{shorten(listener.name)} is the name of another listener')
        names.add(listener.name)
        items.append(replace(listener, problems=wrong.diagnostics) if wrong.diagnostics else listener)
    return tuple(items)


def _listener(entry: object, namespace: str, field: str, problems: Problems) -> Listener:
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no listener')
        return Listener('', 0, '')
    name, protocol = _text(entry, 'name'), _text(entry, 'protocol')
    port, hostname = fields.port(entry, 'port'), fields.value(entry, 'hostname', '')
    if not fields.is_name(name, subdomain=True):
        problems.add(f'{field}.name', f'{shorten(entry.get("name"))} is no name of a listener')
        name = ''
    if not port:
        problems.add(f'{field}.port', f'{shorten(entry.get("port"))} is no port')
    if len(protocol) > _MAX_PROTOCOL or not _PROTOCOL.fullmatch(protocol):
        problems.add(f'{field}.protocol', f'{shorten(entry.get("protocol"))} is no protocol')
        protocol = ''
    if not isinstance(hostname, str) or (hostname and not fields.is_host(hostname)):
        problems.add(f'{field}.hostname', f'{shorten(hostname)} is no DNS name in lower case, nor one after "*."')
        hostname = ''
    if hostname and protocol in _WITHOUT_HOST:
        problems.add(f'{field}.hostname', f'a listener of protocol {protocol} has no host')
    tls = _tls(entry.get('tls'), namespace, f'{field}.tls', problems)
    if tls is not None and protocol in _WITHOUT_TLS:
        problems.add(f'{field}.tls', f'a listener of protocol {protocol} has no TLS')
    if tls is not None and protocol == 'HTTPS' and tls.mode is TLSMode.PASSTHROUGH:
        problems.add(f'{field}.tls.mode', 'a listener of protocol HTTPS ends TLS itself')
    return Listener(
        name, port, protocol, hostname, tls, _allowed(entry.get('allowedRoutes'), f'{field}.allowedRoutes', problems)
    )


def _text(entry: fields.Document, key: str) -> str:
    """Return one value for names that many listeners have."""
    return sys.intern(fields.text(entry, key))


def _tls(document: object, namespace: str, field: str, problems: Problems) -> ListenerTLS | None:
    if document is None:
        return None
    mode = fields.value(document, 'mode', TLSMode.TERMINATE) if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(mode, str) or mode not in TLSMode.__members__.values():
        problems.add(f'{field}.mode', f'{shorten(mode)} is neither Terminate nor Passthrough')
        return None
    problems.add_misfits(document, {'options': dict}, f'{field}.')
    certificates = references.read_all(document, 'certificateRefs', namespace, field, problems, references.SECRET)
    return ListenerTLS(TLSMode(mode), certificates, fields.labels(document, 'options'))


def _allowed(document: object, field: str, problems: Problems) -> AllowedRoutes:
    if document is None:
        return DEFAULT_ROUTES
    if not isinstance(document, dict):
        problems.add(field, f'{shorten(document)} does not describe routes')
        return AllowedRoutes(label_selectors.NO_NAMESPACES)
    namespaces = label_selectors.read_namespaces(document, field, problems, default=Source.SAME)
    kinds = []
    for index, entry in enumerate(problems.entries(document, 'kinds', field)):
        reference = {**entry, 'name': _ANY} if isinstance(entry, dict) else entry
        kind = references.read(reference, '', f'{field}.kinds[{index}]', problems, references.ROUTE)
        if kind is not None:
            kinds.append(RouteKind(kind.group, kind.kind))
    allowed = AllowedRoutes(namespaces, tuple(dict.fromkeys(kinds)))
    return DEFAULT_ROUTES if allowed == DEFAULT_ROUTES else allowed
