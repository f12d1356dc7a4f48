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

    `managers` are the field managers of headrace's classes that own a part of the status.
    """

    uid: str = ''
    generation: int = 0
    addresses: Addresses = ()
    conditions: tuple[Condition, ...] = ()
    managers: tuple[str, ...] = ()


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
    return Status(
        fields.text(metadata, 'uid'),
        fields.number(metadata, 'generation'),
        _addresses(fields.mapping(status, 'loadBalancer')),
        tuple(sorted(_conditions(status))),
        _managers(metadata),
    )


def field_manager(class_name: str) -> str:
    """Return the field manager of a class: each installation owns what it wrote, and takes away nothing of another one's."""
    return f'{_MANAGER}{class_name}'


def _managers(metadata: fields.Document) -> tuple[str, ...]:
    entries = fields.documents(metadata, 'managedFields')
    of_status = (fields.text(entry, 'manager') for entry in entries if fields.text(entry, 'subresource') == 'status')
    return tuple(sorted({sys.intern(name) for name in of_status if name.startswith(_MANAGER)}))


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
