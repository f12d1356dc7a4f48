"""Writing what is wanted to the objects, one after the other, at a bounded rate, and never against another controller.

Promises: at most 20 writes a second, which namespaces share in turns of one status and one Event; what is there already
is not written again; a field that another controller holds stays its, and a diagnostic says so. What could not be written
is tried again.
"""

import asyncio
import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from headrace.controller import addresses, conditions
from headrace.controller.addresses import Ingress
from headrace.controller.client import Client
from headrace.controller.conditions import Condition, Occurrence
from headrace.controller.workqueue import WorkQueue
from headrace.diagnostics import Diagnostic
from headrace.kube.calls import CallError, ConflictError, NotFoundError
from headrace.names import Ref
from headrace.objects.kinds import Service

log = logging.getLogger(__name__)
_PAUSE_SECONDS = 1 / 20
_RETRY_SECONDS = 5.0
# An Event lives for an hour; what still holds is written again before that.
_REPEAT_SECONDS = 2700.0
# How long a watch may take to show what was written.
_SEEN_SECONDS = 30.0
# Who holds a field of ours may have given it up without a change that shows: tried again after so long.
_HELD_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What one Service shall say. `ingress` is None where its addresses are not ours to speak of."""

    service: Service
    condition: Condition | None
    ingress: Ingress | None
    events: tuple[Occurrence, ...] = ()

    @property
    def held(self) -> bool:
        """Tell whether the Service says so already."""
        return self.service.programmed == self.condition and self.ingress in (None, self.service.ingress)

    @property
    def routine(self) -> bool:
        """Tell whether all there is to write is that a Service is served, which may wait for other writes."""
        shown = self.service.programmed
        return (
            self.condition is not None
            and self.condition[0] == 'True'
            and (shown is None or shown[0] == 'True')
            and self.ingress in (None, self.service.ingress)
        )


@dataclass(slots=True)
class Counts:
    """What was written, and what was refused, for metrics."""

    statuses: int = 0
    events: int = 0
    failures: int = 0


@dataclass(slots=True)
class Writer:
    """Writes for the references that it is given; `decide` says what each shall say now."""

    client: Client
    identity: str
    decide: Callable[[Ref], Wanted | None]
    counts: Counts = field(default_factory=Counts)
    conflicts: dict[Ref, Diagnostic] = field(default_factory=dict)
    _queue: WorkQueue = field(default_factory=WorkQueue)
    # What was written last, and until when it is not written again, whatever the Service shows.
    _written: dict[Ref, tuple[Wanted, float]] = field(default_factory=dict)
    _held: dict[Ref, tuple[Ingress, float]] = field(default_factory=dict)
    _told: dict[Ref, dict[str, float]] = field(default_factory=dict)

    def ask(self, ref: Ref, *, after: float = 0.0) -> None:
        """Have an object looked at, soon or after some seconds."""
        self._queue.add(ref, after=after)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            ref, background = await self._queue.take()
            try:
                await self._look(ref, background=background)
            except NotFoundError:
                self._forget(ref)
            except CallError as error:
                self.counts.failures += 1
                log.warning('an object could not be written', extra={'object': str(ref), 'said': str(error)[:300]})
                self.ask(ref, after=_RETRY_SECONDS)
            except Exception:  # the defect costs the object that it is about, until it changes
                log.exception('internal error', extra={'object': str(ref)})

    async def _look(self, ref: Ref, *, background: bool) -> None:
        """Write what an object shall say, if it is not there; what is routine in the background."""
        wish = self.decide(ref)
        if wish is None:
            self._forget(ref)
        elif wish.routine and not wish.held and not background:
            self._queue.add(ref, background=True)
        else:
            await self._write(wish)

    def _forget(self, ref: Ref) -> None:
        """Forget an object that is gone."""
        self._written.pop(ref, None)
        self._told.pop(ref, None)
        self._let_be(ref)

    def _let_be(self, ref: Ref) -> None:
        self.conflicts.pop(ref, None)
        self._held.pop(ref, None)

    def reconsider(self, service: Service) -> None:
        """Forget that another controller holds a Service's addresses, once it took them away, or after a while."""
        found = self._held.get(service.ref)
        if found is None:
            return
        shown, since = found
        if (shown and not service.ingress) or time.monotonic() - since >= _HELD_SECONDS:
            self._let_be(service.ref)

    async def _write(self, wish: Wanted) -> None:
        ref = wish.service.ref
        if left := self._left(wish):
            # A condition that says that a Service is served, and that another controller takes away, is no haste.
            if not wish.held or wish.routine:
                self.ask(ref, after=left)
            else:
                del self._written[ref]
        elif wish.held:
            self._written.pop(ref, None)
        else:
            await self._write_status(wish)
        await self._tell_one(wish)
        self._prune(wish)
        if ref in self.conflicts:
            self.ask(ref, after=_HELD_SECONDS)

    def _left(self, wish: Wanted) -> float:
        """Return for how many seconds what was written last, which is this, is not written again; 0 for none."""
        written, until = self._written.get(wish.service.ref, (None, 0.0))
        if written is None or (written.condition, written.ingress) != (wish.condition, wish.ingress):
            return 0.0
        return max(0.0, until - time.monotonic())

    async def _write_status(self, wish: Wanted) -> None:
        ref, pause = wish.service.ref, _SEEN_SECONDS
        try:
            await self._apply(wish)
            if wish.ingress is not None:
                self._let_be(ref)
        except ConflictError as error:
            log.warning('another controller holds a status', extra={'object': str(ref), 'said': str(error)[:300]})
            if not await self._write_condition(wish, error):
                pause = _HELD_SECONDS
        else:
            self.counts.statuses += 1
        self._written[ref] = (wish, time.monotonic() + pause)
        self.ask(ref, after=pause + 1)

    async def _write_condition(self, wish: Wanted, error: ConflictError) -> bool:
        """Write the condition alone, since another controller holds the addresses; tell whether that can be."""
        service, ref = wish.service, wish.service.ref
        if wish.ingress is None:
            return False
        message = f'another controller holds what headrace would write: {error}'[:300]
        self.conflicts[ref] = Diagnostic(ref, 'HeldByAnother', message, 'status.loadBalancer')
        self._held[ref] = service.ingress, time.monotonic()
        # So that the diagnostic of the conflict is written; not at once, for the watch may show it first.
        self.ask(ref, after=_RETRY_SECONDS)
        try:
            await self._apply(Wanted(service, wish.condition, None))
        except ConflictError:
            return False
        self.counts.statuses += 1
        return True

    async def _apply(self, wish: Wanted) -> None:
        await asyncio.sleep(_PAUSE_SECONDS)
        await self.client.apply_service_status(wish.service.namespace, wish.service.name, _status(wish))

    async def _tell_one(self, wish: Wanted) -> None:
        """Tell the first Event that is due; the next one in another turn, so that other namespaces have theirs."""
        ref, now = wish.service.ref, time.monotonic()
        told = self._told.get(ref, {})
        left = {each: told.get(each.name, float('-inf')) + _REPEAT_SECONDS - now for each in wish.events}
        due = [each for each, seconds in left.items() if seconds <= 0]
        if due:
            await self._tell(wish.service, due[0])
        if len(due) > 1:
            self.ask(ref)
        elif later := [seconds for seconds in left.values() if seconds > 0]:
            self.ask(ref, after=min(later) + 1)

    async def _tell(self, service: Service, occurrence: Occurrence) -> None:
        """Create an Event; while it still holds, say before it is forgotten that it has happened again."""
        told = self._told.setdefault(service.ref, {})
        await asyncio.sleep(_PAUSE_SECONDS)
        now = dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')
        try:
            uid = await self.client.service_uid(service.namespace, service.name)
            await self.client.create_event(service.namespace, _event(service, uid, occurrence, self.identity, now))
        except ConflictError:
            # Whichever replica wrote it before, the number goes on from there.
            count = await self.client.event_count(service.namespace, occurrence.name)
            await self.client.repeat_event(service.namespace, occurrence.name, count + 1, now)
        told[occurrence.name] = time.monotonic()
        self.counts.events += 1
        self.ask(service.ref, after=_REPEAT_SECONDS + 1)

    def _prune(self, wish: Wanted) -> None:
        """Forget news that do not hold any more, and are so old that they would be told again."""
        held, told = {occurrence.name for occurrence in wish.events}, self._told.get(wish.service.ref, {})
        old = time.monotonic() - _REPEAT_SECONDS
        for name in [name for name, at in told.items() if name not in held and at <= old]:
            del told[name]
        if not told:
            self._told.pop(wish.service.ref, None)


def _status(wish: Wanted) -> dict[str, Any]:
    """Return the part of a status that is ours; what is not in it any more, the API server takes away."""
    status: dict[str, Any] = {}
    if wish.condition is not None:
        since = dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
        status['conditions'] = [conditions.document(wish.condition, since)]
    if wish.ingress:
        status['loadBalancer'] = {'ingress': addresses.entries(wish.ingress)}
    return status


def _event(service: Service, uid: str, occurrence: Occurrence, identity: str, now: str) -> dict[str, Any]:
    """Return an Event as the API takes it (events.k8s.io/v1)."""
    diagnostic = occurrence.diagnostic
    regarding = {
        'apiVersion': 'v1',
        'kind': 'Service',
        'namespace': service.namespace,
        'name': service.name,
        'uid': uid,
        'fieldPath': diagnostic.field,
    }
    return {
        'apiVersion': 'events.k8s.io/v1',
        'kind': 'Event',
        'metadata': {'name': occurrence.name, 'namespace': service.namespace},
        'eventTime': now,
        'type': 'Warning',
        'reason': diagnostic.reason,
        'note': diagnostic.message[:1024],
        'action': 'Program',
        'regarding': regarding,
        'reportingController': 'headrace.io/controller',
        'reportingInstance': identity[:128],
    }
