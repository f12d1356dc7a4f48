"""The controller's calls to the API server, by the `kubernetes` client, with deadlines and typed errors.

Promises: a call ends within its deadline; 429, 5xx and lost connections are tried again until then, with the pause that
the server asks for; every other refusal is the same typed error as of an agent's own calls.
"""

import asyncio
import os
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import msgspec
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from headrace.kube.calls import CallError, refusal

_APPLY = 'application/apply-patch+yaml'
_MERGE = 'application/merge-patch+json'
_DEADLINE_SECONDS = 15.0
_LONGEST_PAUSE = 5.0
_TOO_MANY, _SERVER = 429, 500
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

    async def apply_service_status(self, namespace: str, name: str, status: dict[str, Any]) -> None:
        """Have a Service's status say this and nothing else of ours (server-side apply); raises CallError."""
        body = {
            'apiVersion': 'v1',
            'kind': 'Service',
            'metadata': {'name': name, 'namespace': namespace},
            'status': status,
        }
        await self._call(
            f'apply status of Service {namespace}/{name}',
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

    async def services(self, label: str) -> list[client.V1Service]:
        """Return the Services that carry a label with this value (`KEY=VALUE`); raises CallError."""
        found = await self._call(
            'list Services', lambda: self._core.list_service_for_all_namespaces(label_selector=label)
        )
        return list(found.items)

    async def service(self, namespace: str, name: str) -> client.V1Service:
        """Return a Service; raises CallError."""
        return await self._call(
            f'get Service {namespace}/{name}', lambda: self._core.read_namespaced_service(name, namespace)
        )

    async def service_uid(self, namespace: str, name: str) -> str:
        """Return a Service's uid; raises CallError."""
        found = await self.service(namespace, name)
        assert found.metadata is not None
        return str(found.metadata.uid)

    async def create_event(self, namespace: str, body: dict[str, Any]) -> None:
        """Create an Event (events.k8s.io/v1); raises ConflictError when it is there already, else CallError."""
        create: Any = self._events.create_namespaced_event
        await self._call(f'create Event in {namespace}', lambda: create(namespace, body))

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


async def connect(kubeconfig: Path | None, context: str, class_name: str) -> Client:
    """Return a client for the pod's ServiceAccount, or for a kubeconfig; raises CallError."""
    made = client.Configuration()
    load_kubeconfig: Any = config.load_kube_config
    load_in_cluster: Any = config.load_incluster_config
    named = {'context': context or None, 'client_configuration': made}
    try:
        if kubeconfig is not None:
            await load_kubeconfig(str(kubeconfig), **named)
        elif os.environ.get('KUBERNETES_SERVICE_HOST'):
            load_in_cluster(made)
        else:
            await load_kubeconfig(**named)
    except (config.ConfigException, OSError, ValueError) as error:
        raise CallError(f'no access to a cluster: {error}') from error
    return Client(client.ApiClient(made), class_name)


def decoded(text: str) -> Any:
    """Return what a JSON text in an annotation holds; None for what is no JSON."""
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return None
