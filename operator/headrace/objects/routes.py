"""What all routes of the Gateway API have, and the parts that HTTPRoute and GRPCRoute share.

A rule, backend or listener whose `problems` are not empty is not what its document says, and must not be served as if it
were: what protects it may be what could not be read. What was read of it is kept, so that its requests can be refused.
"""

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from headrace.diagnostics import Diagnostic, shorten
from headrace.names import Ref
from headrace.objects import annotations, fields, references
from headrace.objects.problems import Problems
from headrace.objects.references import ParentRef
from headrace.objects.route_backends import BackendRef
from headrace.objects.route_filters import HEADER_NAME
from headrace.objects.status import UNREAD_RAW, RawStatus

_DURATION = re.compile(r'(?:[0-9]{1,5}(?:h|ms|m|s)){1,4}')
_PART = re.compile(r'([0-9]+)(h|ms|m|s)')
_MILLISECONDS = {'h': 3_600_000, 'm': 60_000, 's': 1000, 'ms': 1}
_MAX_SESSION_NAME = 128


@dataclass(frozen=True, slots=True)
class RouteRule:
    """What every rule has: its name, '' for none, and its backends in their order."""

    name: str = ''
    backends: tuple[BackendRef, ...] = ()
    problems: tuple[Diagnostic, ...] = ()

    @property
    def diagnostics(self) -> Iterator[Diagnostic]:
        """Yield the problems of the rule and of its backends."""
        yield from self.problems
        for backend in self.backends:
            yield from backend.problems


@dataclass(frozen=True, slots=True)
class Route:
    """What every route has. `annotations` are those under our prefix, without it, sorted; parents and rules are in their order.

    `problems` are those outside of its rules.
    """

    KIND: ClassVar[str] = ''

    namespace: str
    name: str
    created: str = ''
    generation: int = 0
    annotations: tuple[tuple[str, str], ...] = ()
    parents: tuple[ParentRef, ...] = ()
    problems: tuple[Diagnostic, ...] = ()
    status: RawStatus = field(default=UNREAD_RAW, compare=False)
    rules: tuple[RouteRule, ...] = ()

    @property
    def ref(self) -> Ref:
        """Return the route's reference."""
        return Ref(self.KIND, self.namespace, self.name)

    @property
    def diagnostics(self) -> Iterator[Diagnostic]:
        """Yield the problems of the route, its rules and their backends."""
        yield from self.problems
        for rule in self.rules:
            yield from rule.diagnostics


@dataclass(frozen=True, slots=True)
class SessionPersistence:
    """Requests of a session go to one endpoint, by a cookie or a header.

    `name` is that of the cookie or header, '' for any. `permanent` makes the cookie outlive the browser's session;
    `absolute_timeout` is milliseconds, None for none.
    """

    name: str = ''
    header: bool = False
    permanent: bool = False
    absolute_timeout: int | None = None


def read_metadata(namespace: str, name: str, document: fields.Document, problems: Problems) -> dict[str, Any]:
    """Return the fields that every route has, without its problems."""
    metadata, spec = fields.mapping(document, 'metadata'), fields.mapping(document, 'spec')
    if not isinstance(document.get('spec'), dict):
        problems.add('spec', 'the object has no spec')
    return {
        'namespace': namespace,
        'name': name,
        'created': fields.text(metadata, 'creationTimestamp'),
        'generation': fields.number(metadata, 'generation'),
        'annotations': annotations.read(metadata),
        'parents': references.read_parents(spec, namespace, problems),
    }


def read_hostnames(spec: fields.Document, problems: Problems) -> tuple[str, ...] | None:
    """Return the hosts of a route, in their order, none for all; None when it names hosts and none can be read."""
    if spec.get('hostnames') in (None, []):
        return ()
    hostnames: dict[str, None] = {}
    for index, host in enumerate(problems.entries(spec, 'hostnames', 'spec')):
        if isinstance(host, str) and fields.is_host(host):
            hostnames[sys.intern(host)] = None
        else:
            message = f'{shorten(host)} is no DNS name in lower case, nor one after "*."'
            problems.add(f'spec.hostnames[{index}]', message)
    return tuple(hostnames) or None


def read_rule_name(rule: fields.Document, field: str, problems: Problems) -> str:
    """Return the name of a rule, '' for none."""
    name = rule.get('name')
    if name is None or (isinstance(name, str) and fields.is_name(name, subdomain=True)):
        return name or ''
    problems.add(f'{field}.name', f'{shorten(name)} is no name of a rule')
    return ''


def judge_names(rules: Sequence[RouteRule], problems: Problems) -> None:
    """Add a problem when two rules have the same name."""
    names = [rule.name for rule in rules if rule.name]
    if len(names) > len(set(names)):
        problems.add('spec.rules', 'two rules have the same name')


def read_duration(document: fields.Document, key: str, field: str, problems: Problems) -> int | None:
    """Return a duration in milliseconds; None where the field is unset, and when it is invalid, which is a problem."""
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not _DURATION.fullmatch(value):
        problems.add(f'{field}.{key}', f'{shorten(value)} is no duration, such as 10s or 1m30s')
        return None
    return sum(int(number) * _MILLISECONDS[unit] for number, unit in _PART.findall(value))


def read_session(rule: fields.Document, field: str, problems: Problems) -> SessionPersistence | None:
    """Return the session persistence of a rule; None where the field is unset, and when it is invalid, which is a problem."""
    document = rule.get('sessionPersistence')
    if document is None:
        return None
    field = f'{field}.sessionPersistence'
    cookie = fields.value(document, 'cookieConfig', {}) if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(cookie, dict):
        problems.add(field, f'{shorten(document)} is no session persistence')
        return None
    kind, lifetime = fields.value(document, 'type', 'Cookie'), fields.value(cookie, 'lifetimeType', 'Session')
    name = fields.value(document, 'sessionName', '')
    if kind not in ('Cookie', 'Header') or lifetime not in ('Permanent', 'Session'):
        problems.add(field, 'its type is neither Cookie nor Header, or the lifetime neither Permanent nor Session')
        return None
    if not isinstance(name, str) or len(name) > _MAX_SESSION_NAME or (name and not HEADER_NAME.fullmatch(name)):
        problems.add(f'{field}.sessionName', f'{shorten(name)} is no name of a cookie or header')
        return None
    timeout = read_duration(document, 'absoluteTimeout', field, problems)
    if lifetime == 'Permanent' and timeout is None:
        problems.add(field, 'a permanent cookie needs an absoluteTimeout')
        return None
    return SessionPersistence(name, kind == 'Header', lifetime == 'Permanent', timeout)
