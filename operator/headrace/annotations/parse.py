"""Reading annotations: from pairs of texts to typed values by port, with a diagnostic for all that is wrong.

Promises: a mistake costs its own key; a key that protects something (`closes` in the table) and does not parse is in
`closed` of every port it speaks of.
"""

import difflib
from dataclasses import dataclass
from functools import lru_cache

from headrace.annotations import request_values
from headrace.annotations.keys import BY_NAME, Key, Scope
from headrace.annotations.settings import BackendSettings, Exposure, RouteSettings
from headrace.annotations.values import MAX_LENGTH, Invalid
from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects.kinds import Protocol, ServicePort

PREFIX = 'headrace.io/'
_MAX_SHOWN = 128
# To find the nearest key takes a millisecond, and an object may have thousands of annotations.
_MAX_UNKNOWN = 50
WRITTEN_BY_US = frozenset({'epoch'})
_CLASSES = {Scope.EXPOSURE: Exposure, Scope.ROUTE: RouteSettings, Scope.BACKEND: BackendSettings}


# What counts in the place of a value that does not parse, where leaving it out would be more than was asked for. Of no class is
# a Service of no class; the default installation reports it. Without a path it would be the whole host, and perhaps another's.
_EXPRESSIONS = 'RegularExpression'
_INSTEAD: dict[str, object] = {'class': '', 'path': ()}


@dataclass(frozen=True, slots=True)
class Annotations:
    """What an object's annotations say.

    `service` holds values of keys that speak of the Service as a whole; `common` those of keys without `.PORT`;
    `by_port` those of keys with it, under the port's label; `closed` the keys that must close a port, under its label
    or under '' for all ports; `misplaced` those of them that name a port that does not exist, and as they are to be shown.
    """

    service: dict[str, object]
    common: dict[str, object]
    by_port: dict[str, dict[str, object]]
    closed: dict[str, tuple[str, ...]]
    diagnostics: tuple[Diagnostic, ...]
    misplaced: tuple[tuple[str, str], ...] = ()

    def has(self, key: str, port: str = '') -> bool:
        """Tell whether a key was given, and parsed, in the `.PORT` form of this port, or ('') without `.PORT`."""
        return key in (self.by_port.get(port, {}) if port else self.common)

    def has_any(self, key: str) -> bool:
        """Tell whether a key was given, and parsed, in any form."""
        return key in self.common or any(key in values for values in self.by_port.values())

    def values(self, port: str) -> dict[str, object]:
        """Return the values by key for a port, `.PORT` forms over those without."""
        return {**self.common, **self.by_port.get(port, {})} if port in self.by_port else self.common

    def closing_keys(self, port: str) -> tuple[str, ...]:
        """Return the keys that close a port because their value does not parse."""
        if not self.closed:
            return ()
        common = tuple(key for key in self.closed.get('', ()) if key not in self.by_port.get(port, {}))
        return tuple(sorted({*common, *self.closed.get(port, ())}))

    def closing_reason(self, key: str) -> tuple[str, str]:
        """Return a key that closes a port, as written where it names no port of the Service, and why it closes."""
        for name, written in self.misplaced:
            if name == key:
                return written, 'the Service has no port of this name or number'
        return key, 'the value does not parse'


NO_ANNOTATIONS = Annotations({}, {}, {}, {}, ())


def read(ref: Ref, pairs: tuple[tuple[str, str], ...], ports: tuple[ServicePort, ...]) -> Annotations:
    """Return what annotations say; `pairs` are keys without the prefix and their texts, `ports` those of the Service."""
    return _read(ref, pairs, ports) if pairs else NO_ANNOTATIONS


def _read(ref: Ref, pairs: tuple[tuple[str, str], ...], ports: tuple[ServicePort, ...]) -> Annotations:
    service: dict[str, object] = {}
    common: dict[str, object] = {}
    by_port: dict[str, dict[str, object]] = {}
    closing: dict[str, list[str]] = {}
    diagnostics: list[Diagnostic] = []
    misplaced: list[tuple[str, str]] = []
    expressions = any(name.partition('.')[0] == 'path-type' and text.strip() == _EXPRESSIONS for name, text in pairs)
    labels = _by_suffix(ports) if any('.' in name for name, _ in pairs) else {}
    for name, text in pairs:
        if len(diagnostics) > _MAX_UNKNOWN and name.partition('.')[0] not in BY_NAME:
            continue
        key, port, diagnostic = _resolve(ref, name, labels)
        if key is None:
            if diagnostic is not None:
                diagnostics.append(diagnostic)
                misplaced += _close_all(name, closing)
            continue
        parser = request_values.path_expressions if expressions and key.name == 'path' else key.parse
        value = parser(text.strip()) if len(text) <= MAX_LENGTH else Invalid(f'at most {MAX_LENGTH} characters long')
        if isinstance(value, Invalid):
            diagnostics.append(_invalid(ref, name, key, text, value))
            if key.closes:
                closing.setdefault(port, []).append(key.name)
            if key.name not in _INSTEAD:
                continue
            value = _INSTEAD[key.name]
        if key.scope is Scope.SERVICE:
            service[key.name] = value
        elif port:
            port_values = by_port.setdefault(port, {})
            diagnostics += _contradiction(ref, name, port_values.get(key.name, value) != value)
            port_values[key.name] = value
        else:
            common[key.name] = value
    by_port |= _fallbacks('path', common, by_port, pairs, ports)
    closing_keys = {port: tuple(keys) for port, keys in closing.items()}
    return Annotations(service, common, by_port, closing_keys, tuple(diagnostics), tuple(misplaced))


def _fallbacks(
    key: str,
    common: dict[str, object],
    by_port: dict[str, dict[str, object]],
    pairs: tuple[tuple[str, str], ...],
    ports: tuple[ServicePort, ...],
) -> dict[str, dict[str, object]]:
    """Return the values of ports without their own where a key is given for a port that does not exist."""
    names = {f'{key}.{text}' for port in ports for text in (port.name, port.number)}
    if key in common or not any(name.startswith(f'{key}.') and name not in names for name, _ in pairs):
        return {}
    # It is unknown which port was meant.
    return {port.label: {key: _INSTEAD[key], **by_port.get(port.label, {})} for port in ports}


def _contradiction(ref: Ref, name: str, contradicts: bool) -> list[Diagnostic]:  # noqa: FBT001
    """Return a diagnostic where a port has another value under its number; in the order of the pairs its name comes later."""
    message = f'{PREFIX}{name} counts; another value is given for the same port by its number'
    return (
        [Diagnostic(ref, 'ContradictoryKeys', message, f'metadata.annotations[{PREFIX}{name}]')] if contradicts else []
    )


def _by_suffix(ports: tuple[ServicePort, ...]) -> dict[str, str]:
    """Return the labels of ports by what keys can name them by.

    A name counts before a number, and of TCP and UDP ports of one number the one that can be served.
    """
    by_number: dict[str, str] = {}
    for port in sorted(ports, key=lambda port: port.protocol is not Protocol.TCP):
        by_number.setdefault(str(port.number), port.label)
    by_name: dict[str, str] = {}
    for port in ports:
        by_name.setdefault(port.name, port.label)
    return by_number | by_name


def _resolve(ref: Ref, name: str, labels: dict[str, str]) -> tuple[Key | None, str, Diagnostic | None]:
    """Return the key of a name, the label of the port it speaks of ('' for all), and what is wrong with it."""
    field = f'metadata.annotations[{PREFIX}{name}]' if _is_printable(name) else 'metadata.annotations'
    if key := BY_NAME.get(name):
        return key, '', None
    stem, _, suffix = name.partition('.')
    key = BY_NAME.get(stem)
    if key is None:
        if name in WRITTEN_BY_US:
            return None, '', None
        message = f'{shorten(PREFIX + name)} is no key; the nearest is {PREFIX}{_nearest(stem[:64])}'
        return None, '', Diagnostic(ref, 'UnknownKey', message, field)
    if key.scope is Scope.SERVICE:
        message = f'{PREFIX}{stem} speaks of the Service as a whole and takes no port'
        return None, '', Diagnostic(ref, 'NotApplicable', message, field)
    if suffix in labels:
        return key, labels[suffix], None
    message = f'the Service has no port {shorten(suffix)}'
    return None, '', Diagnostic(ref, 'UnknownPort', message, field)


@lru_cache(maxsize=4096)
def _nearest(name: str) -> str:
    return max(BY_NAME, key=lambda key: _likeness(name, key))


def _likeness(name: str, key: str) -> tuple[float, bool]:
    """Return how alike two keys are; of equal ones, that with the same letters (two exchanged) is nearer."""
    return difflib.SequenceMatcher(None, name, key).ratio(), sorted(name) == sorted(key)


def _is_printable(name: str) -> bool:
    return len(name) <= _MAX_SHOWN and name.isprintable()


def _close_all(name: str, closing: dict[str, list[str]]) -> list[tuple[str, str]]:
    """Close every port when a protecting key names a port that does not exist: it is unknown which was meant.

    Return the key and its name as written (without the port where that cannot be shown), if it is such a key.
    """
    key = BY_NAME.get(name.partition('.')[0])
    if key is not None and key.closes:
        closing.setdefault('', []).append(key.name)
        return [(key.name, name if _is_printable(name) else key.name)]
    return []


def _invalid(ref: Ref, name: str, key: Key, text: str, value: Invalid) -> Diagnostic:
    consequence = '; the route is closed until it does' if key.closes else ''
    if key.name == 'path':
        consequence = '; nothing is served until it does'
    message = f'{PREFIX}{name} must be {value.expected}, not {shorten(text)}{consequence}'
    return Diagnostic(ref, 'InvalidValue', message, f'metadata.annotations[{PREFIX}{name}]')


@lru_cache(maxsize=1)
def _fields_by_scope() -> dict[Scope, dict[str, str]]:
    """Return, for each class of settings, the fields that hold its keys' values."""
    return {scope: {key.name: key.field for key in BY_NAME.values() if key.scope is scope} for scope in _CLASSES}


def _by_field(values: dict[str, object], scope: Scope) -> dict[str, object]:
    """Return by field the values of a class's keys: users give few, so the walk is over those."""
    fields = _fields_by_scope()[scope]
    return {fields[key]: value for key, value in values.items() if key in fields}


_EXPOSURE, _ROUTE, _BACKEND = Exposure(), RouteSettings(), BackendSettings()


def exposure(values: dict[str, object]) -> Exposure:
    """Return the exposure that values by key make."""
    fields = _by_field(values, Scope.EXPOSURE)
    return Exposure(**fields) if fields else _EXPOSURE  # type: ignore[arg-type]


def route(values: dict[str, object]) -> RouteSettings:
    """Return the settings of a route that values by key make."""
    fields = _by_field(values, Scope.ROUTE)
    return RouteSettings(**fields) if fields else _ROUTE  # type: ignore[arg-type]


def backend(values: dict[str, object]) -> BackendSettings:
    """Return the settings of a backend that values by key make."""
    fields = _by_field(values, Scope.BACKEND)
    return BackendSettings(**fields) if fields else _BACKEND  # type: ignore[arg-type]
