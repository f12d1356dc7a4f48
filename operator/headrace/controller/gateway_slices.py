"""The EndpointSlices of Gateways for UDP, which HAProxy does not serve.

A UDP port of a Gateway's Service has a target that no container has, so Kubernetes makes no endpoints for it. The controller writes
slices with those of the backends, and kube-proxy leads there. It reads slices of these backends alone, every few seconds: a watch
of all slices would cost what the whole cluster has.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from headrace.controller.client import Client
from headrace.controller.gateway_services import CLASS_LABEL, udp_name
from headrace.ir.backend import Group
from headrace.ir.l4 import UDPTarget
from headrace.kube.calls import CallError, NotFoundError
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Slice
from headrace.objects.slices import SERVICE_LABEL
from headrace.translate import refused_addresses
from headrace.translate.build_context import BuildContext

log = logging.getLogger(__name__)
Document = dict[str, Any]
_SECONDS = 2.0
_MANAGER = 'headrace.io'
_MANAGER_LABEL = 'endpointslice.kubernetes.io/managed-by'
# The most that the API takes in one slice.
_MOST_ENDPOINTS = 1000
# So many backends of a namespace are read at a time; the others wait for their turn.
_MOST_READ = 20
_TYPES = {4: 'IPv4', 6: 'IPv6'}


def documents(
    service: Ref, port: int, endpoints: Iterable[tuple[Slice, str]], context: BuildContext
) -> dict[str, Document]:
    """Return the slices of one UDP port, by name; `endpoints` are slices of backends, each with the name of the backend's port."""
    groups: dict[tuple[int, int], set[str]] = {}
    for item, name in endpoints:
        for each in item.ports:
            if each.name == name and each.protocol is Protocol.UDP:
                groups.setdefault((item.family, each.number), set()).update(item.ready)
    written = {}
    for (family, number), addresses in sorted(groups.items()):
        allowed, _ = refused_addresses.split((Group(number, tuple(sorted(addresses))),), context)
        if family in _TYPES and addresses and allowed:
            name = f'{service.name}-{udp_name(port)}-{number}-{family}'
            written[name] = {
                'apiVersion': 'discovery.k8s.io/v1',
                'kind': 'EndpointSlice',
                'metadata': {
                    'name': name,
                    'namespace': service.namespace,
                    'labels': {
                        SERVICE_LABEL: service.name,
                        _MANAGER_LABEL: _MANAGER,
                        CLASS_LABEL: context.class_name,
                    },
                },
                'addressType': _TYPES[family],
                'ports': [{'name': udp_name(port), 'port': number, 'protocol': 'UDP'}],
                'endpoints': [
                    {'addresses': [address], 'conditions': {'ready': True}}
                    for address in allowed[0].addresses[:_MOST_ENDPOINTS]
                ],
            }
    return written


class GatewaySlices:
    """Writes the slices as long as this controller leads; `targets` tells where UDP ports lead now."""

    def __init__(
        self, client: Client, context: BuildContext, targets: Callable[[], Mapping[Ref, Mapping[int, UDPTarget]]]
    ) -> None:
        self._client, self._context, self._targets = client, context, targets
        # What was written last, by name; None until it is known what is there.
        self._written: dict[str, Document] | None = None
        # Slices of backends as they were read last, those that were read longest ago first.
        self._read: dict[Ref, list[Slice]] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            if self._context.slots:
                try:
                    await self.step()
                except CallError as error:
                    _warn(error)
            await asyncio.sleep(_SECONDS)

    async def step(self) -> None:
        """Read backends and write what differs; raises CallError where it cannot be known what is there.

        A backend that cannot be read, and a slice that the API refuses, wait without the others.
        """
        namespace = self._context.own_namespace
        if self._written is None:
            label = f'{_MANAGER_LABEL}={_MANAGER},{CLASS_LABEL}={self._context.class_name}'
            self._written = {name: {} for name in await self._client.slices_with_label(label, namespace)}
        targets = self._targets()
        await self._follow({ref for ports in targets.values() for each in ports.values() for ref, _ in each.ports})
        wanted = self._wanted(targets)
        for name, document in wanted.items():
            if self._written.get(name) != document:
                with _alone():
                    await self._client.apply_slice(document)
                    self._written[name] = document
        for name in self._written.keys() - wanted.keys():
            with _alone():
                with contextlib.suppress(NotFoundError):
                    await self._client.delete_slice(namespace, name)
                del self._written[name]

    async def _follow(self, backends: AbstractSet[Ref]) -> None:
        """Read backends anew, of each namespace so many of those that were read longest ago."""
        for ref in self._read.keys() - backends:
            del self._read[ref]
        turns: Counter[str] = Counter()
        for ref in (*sorted(backends - self._read.keys()), *self._read):
            turns[ref.namespace] += 1
            if turns[ref.namespace] <= _MOST_READ:
                with _alone():
                    found = await self._client.slices_of(ref)
                    self._read.pop(ref, None)
                    self._read[ref] = found

    def _wanted(self, targets: Mapping[Ref, Mapping[int, UDPTarget]]) -> dict[str, Document]:
        wanted: dict[str, Document] = {}
        for service, ports in targets.items():
            for port, target in ports.items():
                endpoints = (
                    (item, name)
                    for backend, name in target.ports
                    for item in self._read.get(backend, ())
                    if not item.headless
                )
                wanted |= documents(service, port, endpoints, self._context)
        return wanted


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let a call fail for itself."""
    try:
        yield
    except CallError as error:
        _warn(error)


def _warn(error: CallError) -> None:
    log.warning('endpoints of Gateways are behind', extra={'error': str(error)[:300]})
