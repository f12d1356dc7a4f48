"""Handing Services over from kube-proxy to the node role, and back, one step at a time.

To us: the wish becomes a label, by which agents choose, and an epoch; when an agent on every Node has applied that, the
label that kube-proxy obeys. Back: that label goes, kube-proxy gets time to serve, and then ours goes. Nobody is left
without a way in between. A label that kube-proxy obeys and that somebody else has set is never touched.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.cluster.objects import Service
from headrace.cluster.reading import CHOSEN_LABEL, PROXY_NAME_LABEL
from headrace.cluster.store import Store
from headrace.controller.agents import Agent
from headrace.controller.counter import Counter
from headrace.kube.calls import CallError, NotFoundError
from headrace.kube.lease import EPOCH, epoch
from headrace.model import choice, proxied
from headrace.model.view import Role, View
from headrace.names import Ref
from headrace.verdicts import OF_AGENTS, Level, Verdict

log = logging.getLogger(__name__)
_STEP_SECONDS = 0.5
# A hand-over that waits longer than this says why.
_PATIENCE_SECONDS = 60.0
# kube-proxy tells nobody when it serves; it writes its rules at most once a second, and a busy one takes some.
_GRACE_SECONDS = 10.0
# How long a watch may take to show what was written.
_SEEN_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_MOST_NAMED = 3
Patch = Callable[[str, str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a step depends on besides the Service: this class, what stands in the way, and how far agents are.

    `behind` are the Nodes without an agent that has applied the Service's epoch; `waited` is for how many seconds the
    Service has been as it is. `outgrown` tells that it has become one that only kube-proxy serves completely,
    `foreign` that its epoch is none that the controller has written.
    """

    class_name: str
    wished: bool
    blocked: bool
    behind: tuple[str, ...]
    waited: float
    next_epoch: int
    outgrown: bool = False
    foreign: bool = False


def step(service: Service, facts: Facts) -> dict[str, Any] | None:
    """Return the labels and annotations that are to be changed next, None for nothing."""
    chosen, handed = service.chosen == facts.class_name, service.proxy_name == facts.class_name
    if service.proxy_name is not None and not chosen:
        # Whoever has set it knows.
        return None
    if facts.wished and not chosen:
        return None if facts.blocked else _patch({CHOSEN_LABEL: facts.class_name}, str(facts.next_epoch))
    if facts.wished and not handed and not facts.blocked and facts.foreign:
        return _patch({}, str(facts.next_epoch))
    if facts.wished and not handed and not facts.blocked and not facts.behind:
        return _patch({PROXY_NAME_LABEL: facts.class_name})
    if (facts.wished and not facts.outgrown) or not chosen:
        return None
    if handed:
        return _patch({PROXY_NAME_LABEL: None})
    return _patch({CHOSEN_LABEL: None}, None) if facts.waited >= _GRACE_SECONDS else None


_KEEP = object()


def _patch(labels: dict[str, str | None], number: object = _KEEP) -> dict[str, Any]:
    metadata: dict[str, Any] = {'labels': labels}
    if number is not _KEEP:
        metadata['annotations'] = {EPOCH: number}
    return {'metadata': metadata}


def behind(service: Service, nodes: tuple[str, ...], applied: Mapping[str, int]) -> tuple[str, ...]:
    """Return the Nodes whose agent has not applied a Service's epoch, or that have none."""
    wanted = _epoch(service)
    if not wanted:
        return nodes
    return tuple(name for name in nodes if applied.get(name, -1) < wanted)


def _epoch(service: Service) -> int:
    return epoch(dict(service.annotations).get('epoch', ''))


@dataclass(slots=True)
class Handover:
    """Watches all Services that wish for the node role or have it. `told` are the agents' verdicts by object."""

    view: View
    store: Store
    patch: Patch
    agents: Callable[[], tuple[Agent, ...]]
    told: Callable[[Ref], tuple[Verdict, ...]]
    ask: Callable[[Ref], None]
    counter: Counter
    _since: dict[Ref, tuple[tuple[bool, str, str | None], float]] = field(default_factory=dict)
    _due: dict[Ref, tuple[object, float]] = field(default_factory=dict)
    _said: dict[Ref, tuple[Verdict, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """See the Services as a node does."""
        self.view = replace(self.view, role=Role.NODE)

    @property
    def waits(self) -> bool:
        """Tell whether a Service waits for agents, which are worth asking more often then."""
        return any(shape[0] and shape[1] and shape[2] is None for shape, _ in self._since.values())

    def verdicts(self, ref: Ref) -> tuple[Verdict, ...]:
        """Return what stands in the way of a Service's hand-over."""
        return self._said.get(ref, ())

    @property
    def handed_epoch(self) -> int:
        """Return the highest epoch of the Services that kube-proxy has let go of."""
        found = 0
        for ref in self.store.services():
            service = self.store.get(ref, Service)
            if service is not None and service.proxy_name == self.view.class_name and not self._is_foreign(service):
                found = max(found, _epoch(service))
        return found

    def epochs(self) -> list[int]:
        """Return the epochs of all Services, also those that no controller has written."""
        services = (self.store.get(ref, Service) for ref in self.store.services())
        return [_epoch(service) for service in services if service is not None]

    async def run(self) -> None:
        """Take steps, for ever."""
        while True:
            await self.advance()
            await asyncio.sleep(_STEP_SECONDS)

    async def advance(self) -> None:
        """Take the next step of each Service that has one."""
        services = [service for ref in self.store.services() if (service := self.store.get(ref, Service)) is not None]
        applied: dict[str, int] = {}
        for agent in self.agents():
            if agent.role == Role.NODE and agent.node:
                applied[agent.node] = max(agent.epoch, applied.get(agent.node, -1))
        nodes = tuple(node.name for node in self.store.nodes())
        for service in services:
            wished = choice.is_wished(service, self.view)
            if wished or service.chosen == self.view.class_name:
                await self._advance(service, nodes, applied, wished=wished)
            else:
                self._since.pop(service.ref, None)
                self._say(service.ref, ())
        for ref in self._since.keys() - {service.ref for service in services}:
            for held in (self._since, self._due, self._said):
                held.pop(ref, None)

    async def _advance(
        self, service: Service, nodes: tuple[str, ...], applied: Mapping[str, int], *, wished: bool
    ) -> None:
        ref, now = service.ref, time.monotonic()
        shape = (wished, service.chosen, service.proxy_name)
        if ref not in self._since or self._since[ref][0] != shape:
            self._since[ref] = (shape, now)
        problems = self.problems(service) if wished else ()
        missing = behind(service, nodes, applied) if nodes else ('any Node',)
        waited = now - self._since[ref][1]
        outgrown = choice.is_outgrown(service)
        facts = Facts(
            self.view.class_name,
            wished,
            bool(problems),
            missing,
            waited,
            self.counter.upcoming,
            outgrown,
            self._is_foreign(service),
        )
        if wished and not problems and service.chosen and service.proxy_name is None and waited >= _PATIENCE_SECONDS:
            problems = (self._late(ref, missing),) if missing else ()
        self._say(ref, problems)
        wanted = step(service, facts)
        if wanted is not None and self._is_due(ref, shape, now):
            await self._write(service, wanted)

    def _is_foreign(self, service: Service) -> bool:
        return not 0 < _epoch(service) <= self.counter.value

    def problems(self, service: Service) -> tuple[Verdict, ...]:
        """Return why a Service cannot be served completely, or not at all."""
        found = self._eligible(service)
        if not found:
            snapshot = self.store.snapshot(service.ref, proxied.needs(service, self.view))
            built = proxied.build(service, snapshot, self.view)
            found = tuple(
                replace(each, reason='HandoverBlocked') if each.reason == 'NotYet' else each
                for each in built.verdicts
                if (each.level is Level.ERROR and each.reason not in OF_AGENTS) or each.reason == 'NotYet'
            )
        refused = tuple(each for each in self.told(service.ref) if each.reason == 'RefusedByHaproxy')
        return (*found, *refused, *self._cannot(service.ref))

    def _cannot(self, ref: Ref) -> tuple[Verdict, ...]:
        """Return why agents of nodes cannot serve a Service: what only they see, such as what a Secret holds."""
        told = {
            each for agent in self.agents() if agent.role == Role.NODE for each in agent.verdicts if each.ref == ref
        }
        return tuple(sorted(each for each in told if each.level is Level.ERROR and each.reason != 'RefusedByHaproxy'))

    def _eligible(self, service: Service) -> tuple[Verdict, ...]:
        """Return a verdict for a Service that no node role can have."""
        if not self.view.settings.node_role:
            why = 'this installation has no node role (nodeRole)'
        elif not choice.can_be_ours(service, self.view):
            why = 'only a Service with a ClusterIP can be handed over, and never default/kubernetes'
        elif service.proxy_name is not None and service.chosen != self.view.class_name:
            if service.proxy_name == self.view.class_name:
                return ()
            why = f'{PROXY_NAME_LABEL} gives it to another service proxy'
        else:
            return ()
        return (Verdict(service.ref, 'HandoverBlocked', why, 'metadata.annotations[headrace.io/proxy]'),)

    def _late(self, ref: Ref, missing: tuple[str, ...]) -> Verdict:
        named = ', '.join(missing[:_MOST_NAMED]) + (
            f' and {len(missing) - _MOST_NAMED} more' if len(missing) > _MOST_NAMED else ''
        )
        message = f'no agent has taken it over on {named}; kube-proxy keeps it until then'
        return Verdict(ref, 'HandoverBlocked', message, 'metadata.annotations[headrace.io/proxy]')

    def _say(self, ref: Ref, found: tuple[Verdict, ...]) -> None:
        if self._said.get(ref, ()) != found:
            self._said[ref] = found
            self.ask(ref)

    def _is_due(self, ref: Ref, shape: object, now: float) -> bool:
        held = self._due.get(ref)
        return held is None or held[0] != shape or now >= held[1]

    async def _write(self, service: Service, wanted: dict[str, Any]) -> None:
        shape = self._since[service.ref][0]
        pause = _SEEN_SECONDS
        try:
            if wanted['metadata'].get('annotations', {}).get(EPOCH):
                await self.counter.use()
            await self.patch(service.namespace, service.name, wanted)
            log.info('handing over', extra={'object': str(service.ref), 'labels': str(wanted['metadata']['labels'])})
        except NotFoundError:
            return
        except CallError as error:
            pause = _RETRY_SECONDS
            log.warning('a hand-over is held up', extra={'object': str(service.ref), 'said': str(error)[:300]})
        self._due[service.ref] = (shape, time.monotonic() + pause)
