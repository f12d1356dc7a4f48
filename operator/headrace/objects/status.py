"""What an object's status shows, and what else of an object is read by the controller alone.

Agents do not read it, so that a write of a status is no change to them.
"""

import sys
from dataclasses import dataclass, field
from functools import lru_cache

from headrace.objects import fields

_OURS = 'headrace.io/'
_MANAGER = 'headrace-'
_MOST_SHARED = 16
# The address and the host name of each entry of `status.loadBalancer`.
Addresses = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, order=True)
class Condition:
    """A Kubernetes condition. `generation` is its `observedGeneration`, 0 for none; `since` its `lastTransitionTime`."""

    type: str
    status: str
    reason: str
    message: str
    generation: int = 0
    since: str = field(default='', compare=False)


@dataclass(frozen=True, slots=True)
class Status:
    """Status and metadata of an object as they are in the API server; `conditions` are those of headrace.

    `managers` are the field managers of headrace's classes that own a part of the status, `owners` those of them that own the
    addresses. Of a Service `labels`, `selector` and `family_policy` are those of its pods and of its address families.
    """

    uid: str = ''
    generation: int = 0
    addresses: Addresses = ()
    conditions: tuple[Condition, ...] = ()
    managers: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    selector: tuple[tuple[str, str], ...] = ()
    family_policy: str = ''


UNREAD = Status()


@dataclass(frozen=True, slots=True)
class RawStatus:
    """Status of an object of the Gateway API, whose lists hold what other controllers write too.

    `version` is the object's resourceVersion, so that a write to what has changed meanwhile is refused.
    """

    version: str = ''
    document: fields.Document = field(default_factory=dict, compare=False, repr=False)


UNREAD_RAW = RawStatus()


def read_raw(document: fields.Document) -> RawStatus:
    """Return the status in a document as it is."""
    version = fields.text(fields.mapping(document, 'metadata'), 'resourceVersion')
    return RawStatus(version, fields.mapping(document, 'status'))


def read_conditions(document: fields.Document) -> tuple[Condition, ...]:
    """Return the conditions of all writers in a status or a part of one."""
    return tuple(_condition(entry) for entry in fields.documents(document, 'conditions'))


def read(document: fields.Document) -> Status:
    """Return the status in a document."""
    metadata, status = fields.mapping(document, 'metadata'), fields.mapping(document, 'status')
    spec, written = fields.mapping(document, 'spec'), _written(metadata)
    return Status(
        fields.text(metadata, 'uid'),
        fields.number(metadata, 'generation'),
        _addresses(fields.mapping(status, 'loadBalancer')),
        tuple(sorted(_conditions(status))),
        tuple(sorted(written)),
        tuple(sorted(name for name, part in written.items() if 'f:loadBalancer' in part)),
        _shared(fields.labels(metadata)),
        _shared(fields.labels(spec, 'selector')),
        sys.intern(fields.text(spec, 'ipFamilyPolicy')),
    )


def field_manager(class_name: str) -> str:
    """Return the field manager of a class: each installation owns what it wrote, and takes away nothing of another one's."""
    return f'{_MANAGER}{class_name}'


def _written(metadata: fields.Document) -> dict[str, fields.Document]:
    """Return the field managers of headrace's classes that own a part of the status, and what each owns."""
    written: dict[str, fields.Document] = {}
    for entry in fields.documents(metadata, 'managedFields'):
        name = fields.text(entry, 'manager')
        if fields.text(entry, 'subresource') == 'status' and name.startswith(_MANAGER):
            part = fields.mapping(fields.mapping(entry, 'fieldsV1'), 'f:status')
            written[sys.intern(name)] = {**written.get(name, {}), **part}
    return written


@lru_cache(maxsize=65536)
def _shared(labels: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return one value for all objects with these labels."""
    return labels


def _addresses(load_balancer: fields.Document) -> Addresses:
    """Return the addresses as they are written, whatever their ipMode."""
    entries = fields.documents(load_balancer, 'ingress')
    addresses = tuple((fields.text(entry, 'ip'), fields.text(entry, 'hostname')) for entry in entries)
    return _intern(addresses) if len(addresses) <= _MOST_SHARED else addresses


@lru_cache(maxsize=1024)
def _intern(addresses: Addresses) -> Addresses:
    """Return one value for all objects with these addresses: a class publishes the same ones for all."""
    return addresses


def _conditions(status: fields.Document) -> list[Condition]:
    return [each for each in read_conditions(status) if each.type.startswith(_OURS)]


def _condition(entry: fields.Document) -> Condition:
    return Condition(
        fields.text(entry, 'type'),
        fields.text(entry, 'status'),
        fields.text(entry, 'reason'),
        fields.text(entry, 'message'),
        fields.number(entry, 'observedGeneration'),
        fields.text(entry, 'lastTransitionTime'),
    )
