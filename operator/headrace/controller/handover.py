"""Handing Services over from kube-proxy to the node role, and back, one step at a time.

To us: the wish becomes a label, by which agents choose, and an epoch; when an agent on every Node has applied that, the
label that kube-proxy obeys. Back: that label goes, kube-proxy gets time to serve, and then ours goes. Clients are
served throughout. A label that kube-proxy obeys and that another party has set is never changed.
"""

import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.controller.agents import Agents
from headrace.controller.counter import Counter
from headrace.controller.workqueue import WorkQueue
from headrace.diagnostics import OF_AGENTS, Diagnostic, Level
from headrace.kube.calls import CallError, NotFoundError
from headrace.kube.lease import EPOCH, epoch
from headrace.names import Ref
from headrace.objects.kinds import NODES, Service
from headrace.objects.services import CHOSEN_LABEL, PROXY_NAME_LABEL
from headrace.store import Reader, Store
from headrace.translate import node_services, ownership
from headrace.translate.build_context import BuildContext, Role

log = logging.getLogger(__name__)
# A hand-over that waits longer than this says what for, and as a mistake after longer.
_NOTICE_SECONDS = 10.0
_PATIENCE_SECONDS = 60.0
# kube-proxy does not report when it serves; it writes its rules at most once a second, and a busy one takes some.
_GRACE_SECONDS = 10.0
# How long a watch may take to show what was written.
_WATCH_SECONDS = 10.0
_RETRY_SECONDS = 5.0
_MOST_NODES = 3
Patch = Callable[[str, str, dict[str, Any]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Facts:
    """What a step depends on besides the Service: this class, what stands in the way, and how far agents are.

    `behind` tells that a Node has no agent that has applied the Service's epoch; `waited` is for how many seconds the
    Service has been as it is. `foreign` tells that another writer set its epoch.
    """

    class_name: str
    wished: bool
    blocked: bool
    behind: bool
    waited: float
    next_epoch: int
    foreign: bool = False


def step(service: Service, facts: Facts) -> dict[str, Any] | None:
    """Return the labels and annotations that are to be changed next, None for nothing."""
    is_chosen, has_proxy_label = service.chosen == facts.class_name, service.proxy_name == facts.class_name
    if service.proxy_name is not None and not is_chosen:
        # It was set on purpose.
        return None
    if facts.wished and not is_chosen:
        return None if facts.blocked else _patch({CHOSEN_LABEL: facts.class_name}, str(facts.next_epoch))
    if facts.wished and not has_proxy_label and not facts.blocked and facts.foreign:
        return _patch({}, str(facts.next_epoch))
    if facts.wished and not has_proxy_label and not facts.blocked and not facts.behind:
        return _patch({PROXY_NAME_LABEL: facts.class_name})
    if facts.wished or not is_chosen:
        return None
    if has_proxy_label:
        return _patch({PROXY_NAME_LABEL: None})
    return _patch({CHOSEN_LABEL: None}, None) if facts.waited >= _GRACE_SECONDS else None


_KEEP = object()


def _patch(labels: dict[str, str | None], number: object = _KEEP) -> dict[str, Any]:
    metadata: dict[str, Any] = {'labels': labels}
    if number is not _KEEP:
        metadata['annotations'] = {EPOCH: number}
    return {'metadata': metadata}


def behind(service: Service, nodes: Iterable[str], applied_epochs: Mapping[str, int]) -> tuple[str, ...]:
    """Return the Nodes whose agent has not applied a Service's epoch, or that have none."""
    needed_epoch = _epoch(service)
    return tuple(name for name in nodes if not needed_epoch or applied_epochs.get(name, -1) < needed_epoch)


def _epoch(service: Service) -> int:
    return epoch(dict(service.annotations).get('epoch', ''))


@dataclass(slots=True)
class _ServiceState:
    """A Service that asks for the node role, or has it: since when it is as it is, and what was found and written last."""

    shape: tuple[bool, str, str | None]
    since: float
    epoch: int = 0
    stale: bool = True
    problems: tuple[Diagnostic, ...] = ()
    needs: frozenset[Ref] = frozenset()
    diagnostics: tuple[Diagnostic, ...] = ()
    last_write: tuple[object, float] | None = None
    is_announced: bool = False


@dataclass(slots=True)
class Handover:
    """Takes the steps of all Services that ask for the node role or have it, each when something changes for it."""

    context: BuildContext
    store: Store
    patch: Patch
    agents: Agents
    ask: Callable[[Ref], None]
    counter: Counter
    _queue: WorkQueue = field(default_factory=WorkQueue)
    _states: dict[Ref, _ServiceState] = field(default_factory=dict)
    # Those that agents have yet to apply.
    _waiting: set[Ref] = field(default_factory=set)
    _readers: dict[Ref, set[Ref]] = field(default_factory=dict)
    # The epochs of Services that kube-proxy has let go of.
    _epochs_handed_over: dict[Ref, int] = field(default_factory=dict)
    _common_epoch: int | None = None
    _last_notice: float = float('-inf')

    def __post_init__(self) -> None:
        """See the Services as a node does."""
        self.context = replace(self.context, role=Role.NODE)

    @property
    def waits(self) -> bool:
        """Tell whether a Service waits for agents, which are worth asking more often then."""
        return bool(self._waiting)

    def diagnostics(self, ref: Ref) -> tuple[Diagnostic, ...]:
        """Return what stands in the way of a Service's hand-over, or what it waits for."""
        state = self._states.get(ref)
        return state.diagnostics if state else ()

    @property
    def highest_epoch_handed_over(self) -> int:
        """Return the highest epoch of the Services that kube-proxy has let go of."""
        return max((number for number in self._epochs_handed_over.values() if number <= self.counter.value), default=0)

    def has(self, service: Service) -> bool:
        """Tell whether the nodes serve a Service, and kube-proxy does not."""
        has_proxy_label = self.context.settings.node_role and service.proxy_name == self.context.class_name
        return has_proxy_label and ownership.can_be_ours(service, self.context)

    def epochs(self) -> list[int]:
        """Return the epochs of all Services, also those that no controller has written."""
        services = (self.store.get(ref, Service) for ref in self.store.services())
        return [_epoch(service) for service in services if service is not None]

    def begin(self) -> None:
        """Forget what was known of Services, all of which change next: another controller may have led since."""
        self._states, self._readers, self._epochs_handed_over = {}, {}, {}
        self._waiting, self._common_epoch = set(), None

    def changed(self, refs: Iterable[Ref]) -> None:
        """Look at the Services that are concerned when objects, or what agents tell about them, have changed."""
        for ref in refs:
            if ref.kind == 'Service':
                self._note(ref)
                self._look(ref)
            elif ref == NODES:
                self.progressed()
            for reader in self._readers.get(ref, ()):
                self._look(reader)

    def progressed(self) -> None:
        """Look at the Services that wait for agents, and need to no more now that some have applied more."""
        self._common_epoch = None
        for ref in self._waiting:
            if 0 < self._states[ref].epoch <= self._applied_everywhere():
                self._queue.add(ref)

    def _note(self, ref: Ref) -> None:
        service = self.store.get(ref, Service)
        if service is not None and service.proxy_name == self.context.class_name:
            self._epochs_handed_over[ref] = _epoch(service)
        else:
            self._epochs_handed_over.pop(ref, None)

    def _look(self, ref: Ref) -> None:
        if (state := self._states.get(ref)) is not None:
            state.stale = True
        self._queue.add(ref)

    def _applied_everywhere(self) -> int:
        """Return the highest epoch that the agents of all Nodes have applied; -1 where there is no Node or one has no agent."""
        if self._common_epoch is None:
            epochs = self.agents.applied_epochs
            self._common_epoch = min((epochs.get(node.name, -1) for node in self.store.nodes()), default=-1)
        return self._common_epoch

    async def run(self) -> None:
        """Take steps until cancelled."""
        while True:
            ref, _ = await self._queue.take()
            try:
                await self.advance(ref)
            except Exception:  # the defect costs the object that it is about, until it changes
                log.exception('internal error', extra={'object': str(ref)})
            finally:
                self._queue.done(ref)

    async def advance(self, ref: Ref) -> None:
        """Take the next step of a Service, if it has one."""
        service = self.store.get(ref, Service)
        is_wished = service is not None and ownership.is_wished(service, self.context)
        if service is None or not (is_wished or service.chosen == self.context.class_name):
            self._forget(ref)
            return
        state, now = self._track(service, is_wished=is_wished), time.monotonic()
        late = not 0 < state.epoch <= self._applied_everywhere()
        seconds = now - state.since
        facts = Facts(
            self.context.class_name,
            is_wished,
            bool(state.problems),
            late,
            seconds,
            self.counter.upcoming,
            self._is_foreign(service),
        )
        self._show(state, service, facts)
        patch = step(service, facts)
        if patch is None:
            leaving = service.chosen == self.context.class_name and not is_wished
            if leaving and service.proxy_name is None and seconds < _GRACE_SECONDS:
                self._queue.add(ref, after=_GRACE_SECONDS - seconds)
        elif state.last_write is None or state.last_write[0] != state.shape or now >= state.last_write[1]:
            await self._write(state, service, patch)
        else:
            self._queue.add(ref, after=state.last_write[1] - now)

    def _track(self, service: Service, *, is_wished: bool) -> _ServiceState:
        """Return what is known of a Service as it is now."""
        ref, shape = service.ref, (is_wished, service.chosen, service.proxy_name)
        state = self._states.get(ref)
        if state is None:
            state = self._states[ref] = _ServiceState(shape, time.monotonic())
        elif state.shape != shape:
            state.shape, state.since, state.is_announced = shape, time.monotonic(), False
        state.epoch = _epoch(service)
        if is_wished and service.chosen and service.proxy_name is None:
            self._waiting.add(ref)
        else:
            self._waiting.discard(ref)
        if state.stale:
            reader = Reader(self.store, ref)
            state.problems = self._judge(service, reader) if is_wished else ()
            # Of Nodes only their addresses matter here, which no externalIP may be.
            self._note_readers(ref, state, frozenset(reader.needs) - (set() if service.external_ips else {NODES}))
            state.stale = False
        return state

    def _note_readers(self, ref: Ref, state: _ServiceState, needs: frozenset[Ref]) -> None:
        for need in state.needs - needs:
            self._readers[need].discard(ref)
            if not self._readers[need]:
                del self._readers[need]
        for need in needs - state.needs:
            self._readers.setdefault(need, set()).add(ref)
        state.needs = needs

    def _forget(self, ref: Ref) -> None:
        state = self._states.pop(ref, None)
        self._waiting.discard(ref)
        if state is not None:
            self._note_readers(ref, state, frozenset())
            if state.diagnostics:
                self.ask(ref)

    def _show(self, state: _ServiceState, service: Service, facts: Facts) -> None:
        """Show what stands in the way, or what a Service that can be handed over has waited for some time for."""
        ref, diagnostics = service.ref, state.problems
        if ref in self._waiting and facts.behind and not diagnostics:
            # What it waits for changes with each agent; it is looked at again after a while, not at each change.
            self._queue.add(ref, after=_NOTICE_SECONDS)
            if facts.waited >= _NOTICE_SECONDS:
                diagnostics = (self._late(service, patient=facts.waited < _PATIENCE_SECONDS),)
                self._announce(state, diagnostics[0])
        if state.diagnostics != diagnostics:
            state.diagnostics = diagnostics
            self.ask(ref)

    def _announce(self, state: _ServiceState, late: Diagnostic) -> None:
        """Log once that a Service waits; of many that wait for the same Nodes one every few seconds."""
        now = time.monotonic()
        if not state.is_announced and now - self._last_notice >= _NOTICE_SECONDS:
            self._last_notice = now
            fields = {'object': str(late.ref), 'error': late.message, 'waiting': len(self._waiting)}
            log.info('a hand-over waits', extra=fields)
        state.is_announced = True

    def _is_foreign(self, service: Service) -> bool:
        return not 0 < _epoch(service) <= self.counter.value

    def problems(self, service: Service) -> tuple[Diagnostic, ...]:
        """Return why a Service cannot be served completely, or not at all."""
        return self._judge(service, Reader(self.store, service.ref))

    def _judge(self, service: Service, reader: Reader) -> tuple[Diagnostic, ...]:
        problems = self._eligible(service)
        if not problems:
            fragment = node_services.translate(service, reader, self.context)
            problems = tuple(
                replace(each, reason='HandoverBlocked') if each.reason == 'NotYet' else each
                for each in fragment.diagnostics
                if (each.level is Level.ERROR and each.reason not in OF_AGENTS) or each.reason == 'NotYet'
            )
        refusals = (each for each in self.agents.about(service.ref) if each.reason == 'RefusedByHaproxy')
        # What only agents of nodes see, such as what a Secret holds.
        agent_errors = (
            each
            for each in self.agents.about(service.ref, Role.NODE)
            if each.level is Level.ERROR and each.reason != 'RefusedByHaproxy'
        )
        return (*problems, *refusals, *agent_errors)

    def _eligible(self, service: Service) -> tuple[Diagnostic, ...]:
        """Return a diagnostic for a Service that no node role can have."""
        if not self.context.settings.node_role:
            why = 'this installation has no node role (nodeRole)'
        elif not ownership.can_be_ours(service, self.context):
            why = 'only a Service with a ClusterIP can be handed over, and never default/kubernetes'
        elif service.proxy_name is not None and service.chosen != self.context.class_name:
            if service.proxy_name == self.context.class_name:
                return ()
            why = f'{PROXY_NAME_LABEL} gives it to another service proxy'
        else:
            return ()
        return (Diagnostic(service.ref, 'HandoverBlocked', why, 'metadata.annotations[headrace.io/proxy]'),)

    def _late(self, service: Service, *, patient: bool) -> Diagnostic:
        """Return a diagnostic that names the Nodes that a Service waits for."""
        missing = behind(service, (node.name for node in self.store.nodes()), self.agents.applied_epochs) or (
            'any Node',
        )
        nodes = ', '.join(missing[:_MOST_NODES]) + (
            f' and {len(missing) - _MOST_NODES} more' if len(missing) > _MOST_NODES else ''
        )
        message = f'no agent has taken it over on {nodes}; kube-proxy keeps it until then'
        reason = 'HandoverPending' if patient else 'HandoverBlocked'
        return Diagnostic(service.ref, reason, message, 'metadata.annotations[headrace.io/proxy]')

    async def _write(self, state: _ServiceState, service: Service, patch: dict[str, Any]) -> None:
        shape, pause = state.shape, _WATCH_SECONDS
        try:
            if patch['metadata'].get('annotations', {}).get(EPOCH):
                await self.counter.use()
            await self.patch(service.namespace, service.name, patch)
            log.info('handing over', extra={'object': str(service.ref), 'labels': str(patch['metadata']['labels'])})
        except NotFoundError:
            return
        except CallError as error:
            pause = _RETRY_SECONDS
            log.warning('a hand-over is held up', extra={'object': str(service.ref), 'error': str(error)[:300]})
        state.last_write = (shape, time.monotonic() + pause)
        self._queue.add(service.ref, after=pause)
