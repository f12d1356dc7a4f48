"""The controller's calls to the API server, by the `kubernetes` client, with deadlines and typed errors.

Promises: a call ends within its deadline; 429, 5xx and lost connections are tried again until then, with the pause that
the server asks for; every other refusal is the same typed error as of an agent's own calls.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import aiohttp
import msgspec
from kubernetes.aio import client
from kubernetes.aio.client.exceptions import ApiException

from headrace.kube import session as sessions
from headrace.kube.access import Access
from headrace.kube.calls import CallError, NotFoundError, refusal
from headrace.names import Ref

_APPLY = 'application/apply-patch+yaml'
_MERGE = 'application/merge-patch+json'
_DEADLINE_SECONDS = 15.0
_LONGEST_PAUSE = 5.0
_TOO_MANY, _SERVER = 429, 500
_PAGE = 500
Answer = TypeVar('Answer')


class Client:
    """Calls on the objects that the controller writes."""

    def __init__(self, api: client.ApiClient, class_name: str) -> None:
        self.api = api
        # Each installation owns what it wrote, and takes away nothing of another one's.
        self._field_manager = f'headrace-{class_name}'
        self._core = client.CoreV1Api(api)
        self._events = client.EventsV1Api(api)
        self._leases = client.CoordinationV1Api(api)
        self._accounts = client.AuthenticationV1Api(api)

    async def apply_status(self, ref: Ref, status: dict[str, Any]) -> None:
        """Have an object's status say this and nothing else of ours (server-side apply); raises CallError."""
        kind, namespace, name = ref
        body = {
            'apiVersion': 'v1',
            'kind': kind,
            'metadata': {'name': name, 'namespace': namespace},
            # An empty one would stay ours.
            **({'status': status} if status else {}),
        }
        await self._call(
            f'apply status of {ref}',
            lambda: self._core.patch_namespaced_service_status(
                name, namespace, body, field_manager=self._field_manager, force=False, _content_type=_APPLY
            ),
        )

    async def patch_service(self, namespace: str, name: str, body: dict[str, Any]) -> None:
        """Change labels and annotations of a Service (merge patch; None takes one away); raises CallError."""
        await self._call(
            f'patch Service {namespace}/{name}',
            lambda: self._core.patch_namespaced_service(
                name, namespace, body, field_manager=self._field_manager, _content_type=_MERGE
            ),
        )

    async def node(self, name: str) -> dict[str, Any]:
        """Return a Node's version and taints, as a document; raises CallError."""
        found = await self._call(f'get Node {name}', lambda: self._core.read_node(name))
        made: dict[str, Any] = self.api.sanitize_for_serialization(found)  # type: ignore[no-untyped-call]
        return made

    async def patch_node(self, name: str, body: dict[str, Any]) -> None:
        """Change a Node (merge patch); raises ConflictError when it is another by now, else CallError."""
        await self._call(
            f'patch Node {name}',
            lambda: self._core.patch_node(name, body, field_manager=self._field_manager, _content_type=_MERGE),
        )

    async def labelled(self, label: str, namespace: str = '') -> list[tuple[str, str]]:
        """Return namespace and name of the Services with a label of this value (`KEY=VALUE`); '' for all namespaces.

        Raises CallError.
        """
        if namespace:
            found = await self._call(
                f'list Services in {namespace}',
                lambda: self._core.list_namespaced_service(namespace, label_selector=label),
            )
        else:
            found = await self._call(
                'list Services', lambda: self._core.list_service_for_all_namespaces(label_selector=label)
            )
        return [(str(item.metadata.namespace), str(item.metadata.name)) for item in found.items if item.metadata]

    async def create_event(self, body: dict[str, Any]) -> None:
        """Create an Event (events.k8s.io/v1); raises ConflictError when it is there already, else CallError."""
        namespace = body['metadata']['namespace']
        create: Any = self._events.create_namespaced_event
        await self._call(f'create Event in {namespace}', lambda: create(namespace, body))

    async def event_count(self, namespace: str, name: str) -> int:
        """Return how often an Event has happened, as it says; raises CallError."""
        found = await self._call(
            f'get Event {namespace}/{name}', lambda: self._events.read_namespaced_event(name, namespace)
        )
        return max(1, int((found.series.count if found.series else 0) or 0))

    async def repeat_event(self, namespace: str, name: str, count: int, at: str) -> None:
        """Say that an Event has happened again; raises CallError."""
        body = {'series': {'count': count, 'lastObservedTime': at}}
        await self._call(
            f'patch Event {namespace}/{name}',
            lambda: self._events.patch_namespaced_event(name, namespace, body, _content_type=_MERGE),
        )

    async def leases(self, namespace: str, selector: str) -> list[client.V1Lease]:
        """Return the Leases that carry some labels; raises CallError."""
        found = await self._call(
            f'list Leases in {namespace}',
            lambda: self._leases.list_namespaced_lease(namespace, label_selector=selector),
        )
        return list(found.items)

    async def written(self, namespace: str) -> list[tuple[str, str]]:
        """Return namespace and name of the Services whose status holds something of ours; '' for all namespaces.

        Raises CallError.
        """
        found: list[tuple[str, str]] = []
        token: str | None = None
        while token != '':
            page = await self._services(namespace, token)
            found += [
                (str(service.metadata.namespace), str(service.metadata.name))
                for service in page.items
                if service.metadata is not None and self._wrote(service.metadata)
            ]
            token = (page.metadata.var_continue if page.metadata else None) or ''
        return found

    async def _services(self, namespace: str, token: str | None) -> client.V1ServiceList:
        how: dict[str, Any] = {'limit': _PAGE, '_continue': token}
        if namespace:
            return await self._call(
                f'list Services in {namespace}', lambda: self._core.list_namespaced_service(namespace, **how)
            )
        return await self._call('list Services', lambda: self._core.list_service_for_all_namespaces(**how))

    def _wrote(self, metadata: client.V1ObjectMeta) -> bool:
        return any(
            entry.manager == self._field_manager and entry.subresource == 'status'
            for entry in metadata.managed_fields or ()
        )

    async def account_uid(self) -> str:
        """Return the uid of the ServiceAccount that this process is, '' where it is none; raises CallError."""
        body = client.V1SelfSubjectReview()
        found = await self._call('ask who I am', lambda: self._accounts.create_self_subject_review(body))
        user = found.status.user_info if found.status else None
        if user is None or not str(user.username or '').startswith('system:serviceaccount:'):
            return ''
        return f'{str(user.username).rpartition(":")[2]}/{user.uid}'

    async def lease(self, namespace: str, name: str) -> client.V1Lease | None:
        """Return a Lease, None for none; raises CallError."""
        try:
            return await self._call(
                f'get Lease {namespace}/{name}', lambda: self._leases.read_namespaced_lease(name, namespace)
            )
        except NotFoundError:
            return None

    async def write_lease(self, body: dict[str, Any], held: client.V1Lease | None) -> None:
        """Make a Lease, or replace the one that was read; raises ConflictError when it is another by now, else CallError."""
        name, namespace = body['metadata']['name'], body['metadata']['namespace']
        create: Any = self._leases.create_namespaced_lease
        replace: Any = self._leases.replace_namespaced_lease
        if held is None:
            await self._call(f'create Lease {namespace}/{name}', lambda: create(namespace, body))
            return
        assert held.metadata is not None
        body['metadata']['resourceVersion'] = held.metadata.resource_version
        await self._call(f'update Lease {namespace}/{name}', lambda: replace(name, namespace, body))

    async def replace_lease(self, namespace: str, held: client.V1Lease) -> None:
        """Replace the Lease that was read; raises ConflictError when it is another by now, else CallError."""
        assert held.metadata is not None
        name = str(held.metadata.name)
        replace: Any = self._leases.replace_namespaced_lease
        await self._call(f'update Lease {namespace}/{name}', lambda: replace(name, namespace, held))

    async def delete_lease(self, namespace: str, held: client.V1Lease) -> None:
        """Delete the Lease that was read; raises ConflictError when it is another by now, else CallError."""
        assert held.metadata is not None
        name = str(held.metadata.name)
        body = client.V1DeleteOptions(
            preconditions=client.V1Preconditions(resource_version=held.metadata.resource_version)
        )
        await self._call(
            f'delete Lease {namespace}/{name}',
            lambda: self._leases.delete_namespaced_lease(name, namespace, body=body),
        )

    async def put_lease(self, namespace: str, body: dict[str, Any]) -> None:
        """Make a Lease say this, whatever it said; raises CallError."""
        await self.write_lease(body, await self.lease(namespace, body['metadata']['name']))

    async def _call(self, what: str, make: Callable[[], Awaitable[Answer]]) -> Answer:
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                return await _until_answered(what, make)
        except TimeoutError as error:
            raise CallError(f'{what}: no answer in time') from error

    async def close(self) -> None:
        """Close the connections."""
        await self.api.close()  # type: ignore[no-untyped-call]


async def _until_answered(what: str, make: Callable[[], Awaitable[Answer]]) -> Answer:
    pause = 0.2
    while True:
        try:
            return await make()
        except ApiException as error:
            status = int(error.status or 0)
            if status and status != _TOO_MANY and status < _SERVER:
                body = error.body or b''
                raise refusal(what, status, body.encode() if isinstance(body, str) else body) from error
            asked = str((error.headers or {}).get('Retry-After', ''))
            wanted = float(asked) if asked.isdigit() else pause
        except aiohttp.ClientError:
            wanted = pause
        await asyncio.sleep(min(wanted, _LONGEST_PAUSE) * random.uniform(1.0, 1.5))  # noqa: S311  spreads load
        pause = min(pause * 2, _LONGEST_PAUSE)


async def connect(access: Access, class_name: str) -> Client:
    """Return a client with the credentials that everything else of this process has, read again as they are there."""
    made = client.ApiClient(client.Configuration(host=access.server))
    # The client's own way to credentials knows other parts of a kubeconfig, and reads them once.
    made.rest_client.pool_manager = sessions.make(access, {})
    return Client(made, class_name)


def decoded(text: str) -> Any:
    """Return what a JSON text in an annotation holds; None for what is no JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
