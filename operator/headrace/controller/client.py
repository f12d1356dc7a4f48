"""What the controller needs of the API, by the calls of `kube`: statuses, labels, Nodes, Events, and who it is."""

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from headrace.kube import session as sessions
from headrace.kube.access import Access
from headrace.kube.calls import Calls, NotFoundError
from headrace.kube.lease import Leases
from headrace.kube.resources import GATEWAY_CLASSES, GATEWAY_RESOURCES, NODES, SLICES, STATUSES, Resource
from headrace.names import Ref
from headrace.objects import slices
from headrace.objects import status as statuses
from headrace.objects.kinds import Slice
from headrace.objects.slices import SERVICE_LABEL
from headrace.objects.status import field_manager

_APPLY = 'application/apply-patch+yaml'
_MERGE = 'application/merge-patch+json'
_PAGE = 500
_NO_QUERY: Mapping[str, str] = MappingProxyType({})
_EVENTS = Resource('Event', 'events.k8s.io', 'v1', 'events')
_REVIEWS = Resource('SelfSubjectReview', 'authentication.k8s.io', 'v1', 'selfsubjectreviews', namespaced=False)
_BY_KIND = {resource.kind: resource for resource in (*STATUSES, GATEWAY_CLASSES, *GATEWAY_RESOURCES)}


class Client:
    """Calls on the objects that the controller writes; all raise CallError and its kinds."""

    def __init__(self, calls: Calls, class_name: str, close: Callable[[], Awaitable[None]]) -> None:
        self._calls, self.close = calls, close
        self.leases = Leases(calls)
        self._field_manager = field_manager(class_name)

    async def apply_status(self, ref: Ref, status: dict[str, Any], *, force: bool = False) -> None:
        """Have an object's status say this and nothing else of ours (server-side apply).

        With `force` it takes over what another controller has written, else that raises ConflictError.
        """
        resource = _BY_KIND[ref.kind]
        body = {
            'apiVersion': resource.api_version,
            'kind': ref.kind,
            'metadata': {'name': ref.name, 'namespace': ref.namespace},
            # An empty one would stay ours.
            **({'status': status} if status else {}),
        }
        path = f'{resource.path(ref.namespace)}/{ref.name}/status'
        await self._patch(path, body, _APPLY, {'force': 'true'} if force else {})

    async def patch_status(self, ref: Ref, version: str, status: dict[str, Any] | None) -> None:
        """Exchange parts of an object's status, or remove it (merge patch).

        Raises ConflictError where the object is another version by now.
        """
        body = {'metadata': {'resourceVersion': version}, 'status': status}
        await self._patch(f'{_BY_KIND[ref.kind].path(ref.namespace)}/{ref.name}/status', body, _MERGE)

    async def apply_service(self, body: dict[str, Any]) -> None:
        """Have a Service of our own be this (server-side apply), made where it is not there."""
        metadata = body['metadata']
        path = f'{_BY_KIND["Service"].path(metadata["namespace"])}/{metadata["name"]}'
        await self._patch(path, body, _APPLY, {'force': 'true'})

    async def delete_service(self, ref: Ref, uid: str = '') -> None:
        """Delete a Service of our own; raises NotFoundError when it is gone, and ConflictError when it is not that of the uid."""
        body = {'preconditions': {'uid': uid}} if uid else None
        await self._calls.call('DELETE', f'{_BY_KIND["Service"].path(ref.namespace)}/{ref.name}', body)

    async def slices_of(self, service: Ref) -> list[Slice]:
        """Return the EndpointSlices of a Service."""
        query = {'labelSelector': f'{SERVICE_LABEL}={service.name}', 'resourceVersion': '0'}
        body = await self._calls.call('GET', SLICES.path(service.namespace), query=query)
        return [slices.read(service.namespace, each['metadata']['name'], each) for each in body['items'] or ()]

    async def slices_with_label(self, label: str, namespace: str) -> list[str]:
        """Return the names of the EndpointSlices with a label of this value (`KEY=VALUE`)."""
        body = await self._calls.call('GET', SLICES.path(namespace), query={'labelSelector': label})
        return [each['metadata']['name'] for each in body['items'] or ()]

    async def apply_slice(self, body: dict[str, Any]) -> None:
        """Have an EndpointSlice of our own be this (server-side apply), made where it is not there."""
        metadata = body['metadata']
        await self._patch(f'{SLICES.path(metadata["namespace"])}/{metadata["name"]}', body, _APPLY, {'force': 'true'})

    async def delete_slice(self, namespace: str, name: str) -> None:
        """Delete an EndpointSlice of our own; raises NotFoundError when it is gone."""
        await self._calls.call('DELETE', f'{SLICES.path(namespace)}/{name}')

    async def patch_service(self, namespace: str, name: str, body: dict[str, Any]) -> None:
        """Change labels and annotations of a Service (merge patch; None takes one away)."""
        await self._patch(f'{_BY_KIND["Service"].path(namespace)}/{name}', body, _MERGE)

    async def node(self, name: str) -> dict[str, Any]:
        """Return a Node."""
        node: dict[str, Any] = await self._calls.call('GET', f'{NODES.path()}/{name}')
        return node

    async def patch_node(self, name: str, body: dict[str, Any]) -> None:
        """Change a Node (merge patch); raises ConflictError when it is another by now."""
        await self._patch(f'{NODES.path()}/{name}', body, _MERGE)

    async def _patch(self, path: str, body: dict[str, Any], content: str, query: Mapping[str, str] = _NO_QUERY) -> None:
        query = {'fieldManager': self._field_manager, **query}
        await self._calls.call('PATCH', path, body, query=query, content=content)

    async def services_with_label(self, label: str, namespace: str = '') -> list[tuple[str, str]]:
        """Return namespace and name of the Services with a label of this value (`KEY=VALUE`); '' for all namespaces."""
        body = await self._calls.call('GET', _BY_KIND['Service'].path(namespace), query={'labelSelector': label})
        return [(item['metadata']['namespace'], item['metadata']['name']) for item in body['items'] or ()]

    async def create_event(self, body: dict[str, Any]) -> None:
        """Create an Event (events.k8s.io/v1); raises ConflictError when it is there already."""
        await self._calls.call('POST', _EVENTS.path(body['metadata']['namespace']), body)

    async def event_count(self, namespace: str, name: str) -> int:
        """Return how often an Event has happened, as it says."""
        event = await self._calls.call('GET', f'{_EVENTS.path(namespace)}/{name}')
        return max(1, int((event.get('series') or {}).get('count') or 0))

    async def repeat_event(self, namespace: str, name: str, count: int, at: str) -> None:
        """Say that an Event has happened again."""
        body = {'series': {'count': count, 'lastObservedTime': at}}
        await self._patch(f'{_EVENTS.path(namespace)}/{name}', body, _MERGE)

    async def objects_with_status(self, resources: Iterable[Resource], namespace: str) -> list[Ref]:
        """Return the objects of some kinds whose status holds something of ours; '' for all namespaces."""
        refs: list[Ref] = []
        for resource in resources:
            async for page in self._calls.pages(resource.path(namespace), resource, _PAGE):
                refs += [
                    Ref(resource.kind, item['metadata']['namespace'], item['metadata']['name'])
                    for item in page['items'] or ()
                    if self._field_manager in statuses.read(item).managers
                ]
        return refs

    async def documents(self, resource: Resource, namespace: str) -> list[dict[str, Any]]:
        """Return the objects of a kind, none where the API does not serve it; '' for all namespaces."""
        documents: list[dict[str, Any]] = []
        with contextlib.suppress(NotFoundError):
            async for page in self._calls.pages(resource.path(namespace), resource, _PAGE):
                documents += ({**item, 'kind': resource.kind} for item in page['items'] or ())
        return documents

    async def account_uid(self) -> str:
        """Return name and uid of the ServiceAccount that this process is, '' where it is not one."""
        body = {'apiVersion': _REVIEWS.api_version, 'kind': _REVIEWS.kind}
        review = await self._calls.call('POST', _REVIEWS.path(), body)
        user = (review.get('status') or {}).get('userInfo') or {}
        name = str(user.get('username') or '')
        if not name.startswith('system:serviceaccount:'):
            return ''
        return f'{name.rpartition(":")[2]}/{user.get("uid", "")}'


def connect(access: Access, class_name: str) -> Client:
    """Return a client with the credentials that everything else of this process has, read again as they are there."""
    session = sessions.make(access, {})
    return Client(Calls(access.server, lambda: session, persistent=True), class_name, session.close)
