"""References from resources of the Gateway API to other objects.

A reference that names no namespace means that of the object which refers. Group, kind and name are of the form that
Kubernetes allows; whether the kind is supported, and whether a ReferenceGrant allows the reference, is decided where the
object is translated.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from headrace.diagnostics import shorten
from headrace.names import Ref
from headrace.objects import fields
from headrace.objects.problems import Problems

GATEWAY_GROUP = 'gateway.networking.k8s.io'
_NO_TEXT = '\0'
_KIND = re.compile(r'[a-zA-Z](?:[-a-zA-Z0-9]{0,61}[a-zA-Z0-9])?')


@dataclass(frozen=True, slots=True, order=True)
class Reference:
    """A reference to an object of any group and kind; the group is '' for Kubernetes' core."""

    group: str
    kind: str
    namespace: str
    name: str

    @property
    def ref(self) -> Ref:
        """Return the reference without its group."""
        return Ref(self.kind, self.namespace, self.name)

    @property
    def qualified_kind(self) -> str:
        """Return `GROUP/KIND`, the kind alone for one of the core."""
        return f'{self.group}/{self.kind}' if self.group else self.kind


@dataclass(frozen=True, slots=True, order=True)
class ParentRef(Reference):
    """What a route attaches to: a Gateway or ListenerSet, or its listeners of a name (`section`) or port; '' and 0 for all."""

    section: str = ''
    port: int = 0


@dataclass(frozen=True, slots=True, order=True)
class BackendObjectReference(Reference):
    """A reference to what serves requests: a Service with the number of its port; 0 where another kind has none."""

    port: int = 0


class Form(NamedTuple):
    """Group and kind of a reference that names none; a `local` one names no other namespace."""

    group: str = ''
    kind: str = ''
    local: bool = False


ANY, LOCAL = Form(), Form(local=True)
SECRET, SERVICE = Form(kind='Secret'), Form(kind='Service')
GATEWAY, ROUTE = Form(GATEWAY_GROUP, 'Gateway'), Form(GATEWAY_GROUP, local=True)


def read(entry: object, namespace: str, field: str, problems: Problems, form: Form = ANY) -> Reference | None:
    """Return the reference of a document in an object of a namespace; None, and a problem, when it is invalid."""
    if not isinstance(entry, dict):
        problems.add(field, f'{shorten(entry)} is no reference')
        return None
    reference = _judged(
        _text(entry, 'group', form.group),
        _text(entry, 'kind', form.kind),
        namespace if form.local else _text(entry, 'namespace', namespace),
        _text(entry, 'name', ''),
    )
    if isinstance(reference, str):
        problems.add(f'{field}.{reference}', f'{shorten(entry.get(reference))} is no {reference} of an object')
        return None
    return reference


def read_all(
    document: fields.Document, key: str, namespace: str, field: str, problems: Problems, form: Form = ANY
) -> tuple[Reference, ...]:
    """Return the references in the list under `key`, in their order; those that are none are left out, each with a problem."""
    items = (
        read(entry, namespace, f'{field}.{key}[{index}]', problems, form)
        for index, entry in enumerate(problems.entries(document, key, field))
    )
    return tuple(reference for reference in items if reference is not None)


def read_parents(spec: fields.Document, namespace: str, problems: Problems) -> tuple[ParentRef, ...]:
    """Return what a route attaches to, in the order of the document and each once."""
    parents: dict[ParentRef, None] = {}
    for index, entry in enumerate(problems.entries(spec, 'parentRefs', 'spec')):
        field = f'spec.parentRefs[{index}]'
        reference = read(entry, namespace, field, problems, GATEWAY)
        if reference is None or not isinstance(entry, dict):
            continue
        section, port = entry.get('sectionName'), entry.get('port')
        if section is not None and not (isinstance(section, str) and fields.is_name(section, subdomain=True)):
            problems.add(f'{field}.sectionName', f'{shorten(section)} is no name of a listener')
        elif port is not None and not fields.port(entry, 'port'):
            problems.add(f'{field}.port', f'{shorten(port)} is no port')
        else:
            parents[_parent(reference, section or '', fields.port(entry, 'port'))] = None
    return tuple(parents)


def read_backend(entry: object, namespace: str, field: str, problems: Problems) -> BackendObjectReference | None:
    """Return a reference to a backend; None, and a problem, when it is invalid or names a Service without a port."""
    reference = read(entry, namespace, field, problems, SERVICE)
    if reference is None or not isinstance(entry, dict):
        return None
    port = fields.port(entry, 'port')
    if not port and (entry.get('port') is not None or (reference.group, reference.kind) == ('', 'Service')):
        problems.add(f'{field}.port', f'{shorten(entry.get("port"))} is no port')
        return None
    return _backend(reference, port)


def _text(entry: fields.Document, key: str, default: str) -> str:
    """Return a text, the default for null, and for another type what no part of a reference is."""
    value = entry.get(key)
    return value if isinstance(value, str) else default if value is None else _NO_TEXT


@lru_cache(maxsize=8192)
def _judged(group: str, kind: str, namespace: str, name: str) -> Reference | str:
    """Return one value for all references to an object, or which part of it is invalid."""
    if group and not fields.is_name(group, subdomain=True):
        return 'group'
    if not _KIND.fullmatch(kind):
        return 'kind'
    if namespace and not fields.is_name(namespace):
        return 'namespace'
    return Reference(group, kind, namespace, name) if fields.is_name(name, subdomain=True) else 'name'


@lru_cache(maxsize=8192)
def _backend(reference: Reference, port: int) -> BackendObjectReference:
    return BackendObjectReference(reference.group, reference.kind, reference.namespace, reference.name, port)


@lru_cache(maxsize=8192)
def _parent(reference: Reference, section: str, port: int) -> ParentRef:
    """Return one value for all routes that attach there."""
    return ParentRef(reference.group, reference.kind, reference.namespace, reference.name, section, port)
