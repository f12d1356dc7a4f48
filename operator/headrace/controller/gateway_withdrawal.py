"""Taking back what the controller wrote for the Gateway API: its parts of statuses, and the Services and slices of Gateways.

Promises: what other controllers have written stays, also while they write. Whose a part of a status is says the API server, or
the entry itself, so that what another version of headrace wrote is taken back too.
"""

import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from headrace.controller import gateway_services, gateway_slices
from headrace.controller.client import Client
from headrace.controller.writer import Rate
from headrace.kube.calls import ConflictError, NotFoundError
from headrace.kube.resources import GATEWAY_STATUSES
from headrace.names import Ref
from headrace.objects import fields
from headrace.objects.status import field_manager
from headrace.translate.gateway_listeners import controller_name

# The lists of a status that hold entries of several controllers.
_ENTRIES = ('parents', 'ancestors')
_CONDITIONS = 'conditions'
# Conditions with this status are what the API server fills in; headrace writes none.
_UNKNOWN = 'Unknown'


class Progress(NamedTuple):
    """How many statuses were taken back, and how many could not be because another controller wrote meanwhile.

    `removed` is how many Services and slices were removed.
    """

    taken: int = 0
    refused: int = 0
    removed: int = 0


async def withdraw(
    client: Client, class_name: str, own_namespace: str, namespaces: Iterable[str], rate: Rate
) -> Progress:
    """Take back what a class has written in some namespaces, in all where none is named; raises CallError."""
    controller, manager = controller_name(class_name), field_manager(class_name)
    places, outcomes = tuple(namespaces), []
    for resource in GATEWAY_STATUSES:
        for namespace in places if places and resource.namespaced else ('',):
            for document in await client.documents(resource, namespace):
                rest = of_others(document, controller, manager)
                if rest is not None:
                    await rate.turn()
                    outcomes.append(await _exchange(client, document, rest))
    # Where it does not watch its own namespace, it keeps no Services for Gateways.
    removed = await _remove(client, class_name, own_namespace) if not places or own_namespace in places else 0
    return Progress(outcomes.count(True), outcomes.count(False), removed)


async def _exchange(client: Client, document: fields.Document, rest: dict[str, Any]) -> bool | None:
    """Leave in a status what others have written; tell whether that was done, None where the object is gone."""
    metadata = fields.mapping(document, 'metadata')
    ref = Ref(fields.text(document, 'kind'), fields.text(metadata, 'namespace'), fields.text(metadata, 'name'))
    # Without a rest the API server fills in what it has for a status that is not there.
    patch = {**dict.fromkeys(fields.mapping(document, 'status')), **rest} if rest else None
    try:
        await client.patch_status(ref, fields.text(metadata, 'resourceVersion'), patch)
    except NotFoundError:
        return None
    except ConflictError:
        return False
    return True


async def _remove(client: Client, class_name: str, namespace: str) -> int:
    """Remove the Services of Gateways, and their slices; return how many there were."""
    services = await client.services_with_label(gateway_services.own_label(class_name), namespace)
    slices = await client.slices_with_label(gateway_slices.own_labels(class_name), namespace)
    for _, name in services:
        with contextlib.suppress(NotFoundError):
            await client.delete_service(Ref('Service', namespace, name))
    for name in slices:
        with contextlib.suppress(NotFoundError):
            await client.delete_slice(namespace, name)
    return len(services) + len(slices)


def of_others(document: fields.Document, controller: str, manager: str) -> dict[str, Any] | None:
    """Return what is left of a status without what a controller has written; None where it has written nothing.

    A list of entries names the controller of each. Of all else the API server notes the field manager.
    """
    status = fields.mapping(document, 'status')
    owned = [*_owned(document, manager)]
    rest: dict[str, Any] = {}
    for key, value in status.items():
        if key in _ENTRIES:
            kept: Any = [each for each in fields.documents(status, key) if each.get('controllerName') != controller]
        elif key == _CONDITIONS:
            types = _types(owned)
            kept = [
                each
                for each in fields.documents(status, key)
                if each.get('type') not in types or each.get('status') == _UNKNOWN
            ]
        else:
            kept = None if any(f'f:{key}' in part for part in owned) else value
        if kept == value or kept:
            rest[key] = kept
    if rest == status:
        return None
    # What is left of the API server's own conditions comes back by itself.
    only_unknown = [*rest] == [_CONDITIONS] and all(each.get('status') == _UNKNOWN for each in rest[_CONDITIONS])
    return {} if only_unknown else rest


def _owned(document: fields.Document, manager: str) -> Iterator[fields.Document]:
    """Yield the parts of a status that a field manager owns, as the API server notes them."""
    for entry in fields.documents(fields.mapping(document, 'metadata'), 'managedFields'):
        if fields.text(entry, 'manager') == manager and fields.text(entry, 'subresource') == 'status':
            yield fields.mapping(fields.mapping(entry, 'fieldsV1'), 'f:status')


def _types(owned: Iterable[fields.Document]) -> set[object]:
    """Return the types of the conditions in what is owned: `k:{"type":"Accepted"}`."""
    keys = (key for part in owned for key in fields.mapping(part, f'f:{_CONDITIONS}'))
    return {msgspec.json.decode(key.removeprefix('k:')).get('type') for key in keys if key.startswith('k:')}
