"""The EndpointSlices of Gateways for UDP, which HAProxy does not serve.

A UDP port of a Gateway's Service has a target that no container has, so Kubernetes makes no endpoints for it. The controller
writes slices with those of the backends, and kube-proxy leads there, or the node role, which keeps the weights that the slices
name. It reads slices of these backends alone, every few seconds: a watch of all slices would cost what the whole cluster has.
"""

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, NamedTuple

from headrace import forms, names
from headrace.controller import gateway_services
from headrace.controller.client import Client
from headrace.controller.gateway_services import CLASS_LABEL, udp_name
from headrace.ir.backend import Group
from headrace.ir.l4 import UDPBackend, UDPTarget
from headrace.kube.calls import CallError, NotFoundError
from headrace.names import Ref
from headrace.objects.kinds import Protocol, Slice
from headrace.objects.slices import SERVICE_LABEL, WEIGHT_ANNOTATION
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
# Weights of endpoints are so many times those of their backends.
_WEIGHT_SCALE = 10_000


@dataclass(frozen=True, slots=True)
class BackendSlices:
    """A backend of a UDP port, and the slices that it has."""

    backend: UDPBackend
    slices: tuple[Slice, ...]

    def endpoints(self, context: BuildContext) -> Iterator[tuple[int, Group]]:
        """Yield family and group of the endpoints that may be used."""
        groups: dict[tuple[int, int], set[str]] = {}
        for item in self.slices:
            for each in item.ports:
                if each.name == self.backend.port and each.protocol is Protocol.UDP and item.family in _TYPES:
                    groups.setdefault((item.family, each.number), set()).update(item.ready)
        for (family, number), addresses in sorted(groups.items()):
            allowed, _ = refused_addresses.split((Group(number, tuple(sorted(addresses))),), context)
            yield from ((family, group) for group in allowed if group.addresses)


def own_labels(class_name: str) -> str:
    """Return the labels of the slices that a class writes, as a selector."""
    return f'{_MANAGER_LABEL}={_MANAGER},{gateway_services.own_label(class_name)}'


def documents(service: Ref, port: int, backends: Iterable[BackendSlices], context: BuildContext) -> dict[str, Document]:
    """Return the slices of one UDP port, by name.

    Where weights differ, each backend has slices of its own, which name the weight of each of their endpoints: those of one
    backend have equal shares of its weight.
    """
    found = [(each.backend, list(each.endpoints(context))) for each in backends]
    weighted = len({backend.weight for backend, _ in found}) > 1
    merged: dict[_Part, set[str]] = {}
    for backend, endpoints in found:
        for family, group in endpoints:
            part = _Part(f'{service.name}-{udp_name(port)}-{group.port}-{family}', family, group.port)
            if weighted:
                size = sum(min(len(each.addresses), _MOST_ENDPOINTS) for of, each in endpoints if of == family)
                weight = max(1, backend.weight * _WEIGHT_SCALE // size)
                part = part._replace(name=f'{part.name}-{names.digest(repr(backend[:2]), 8)}', weight=weight)
            merged.setdefault(part, set()).update(group.addresses)
    return {part.name: _document(service, port, part, merged[part], context) for part in sorted(merged)}


class _Part(NamedTuple):
    """What the endpoints of one slice have in common; `weight` is 0 where all slices are alike."""

    name: str
    family: int
    number: int
    weight: int = 0


def _document(service: Ref, port: int, part: _Part, addresses: Iterable[str], context: BuildContext) -> Document:
    labels = {
        SERVICE_LABEL: service.name,
        _MANAGER_LABEL: _MANAGER,
        CLASS_LABEL: context.class_name,
        forms.LABEL: str(forms.WEIGHTS),
    }
    annotations = {'annotations': {WEIGHT_ANNOTATION: str(part.weight)}} if part.weight else {}
    return {
        'apiVersion': 'discovery.k8s.io/v1',
        'kind': 'EndpointSlice',
        'metadata': {'name': part.name, 'namespace': service.namespace, 'labels': labels, **annotations},
        'addressType': _TYPES[part.family],
        'ports': [{'name': udp_name(port), 'port': part.number, 'protocol': 'UDP'}],
        'endpoints': [
            {'addresses': [address], 'conditions': {'ready': True}} for address in sorted(addresses)[:_MOST_ENDPOINTS]
        ],
    }


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
            names_of_own = await self._client.slices_with_label(own_labels(self._context.class_name), namespace)
            self._written = {name: {} for name in names_of_own}
        targets = self._targets()
        await self._follow({ref for ports in targets.values() for each in ports.values() for ref, *_ in each.backends})
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
                backends = (BackendSlices(each, self._slices(each.service)) for each in target.backends)
                wanted |= documents(service, port, backends, self._context)
        return wanted

    def _slices(self, backend: Ref) -> tuple[Slice, ...]:
        return tuple(item for item in self._read.get(backend, ()) if not item.headless)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Let a call fail for itself."""
    try:
        yield
    except CallError as error:
        _warn(error)


def _warn(error: CallError) -> None:
    log.warning('endpoints of Gateways are behind', extra={'error': str(error)[:300]})
