"""Writing statuses and Events, at a bounded rate, and never against another controller.

Promises: at most `statusWritesPerSecond` writes a second, which namespaces share in turns of one status and one Event;
what is there already is not written again; a field that another controller holds stays its, and a diagnostic says so. What could not be written
is tried again.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from headrace.controller import addresses, conditions, events
from headrace.controller.addresses import PROXY
from headrace.controller.client import Client
from headrace.controller.conditions import Occurrence, Subject
from headrace.controller.gateways import GatewayWrite
from headrace.controller.workqueue import WorkQueue
from headrace.diagnostics import Diagnostic
from headrace.kube.calls import CallError, ConflictError, NotFoundError
from headrace.names import Ref
from headrace.objects.status import Addresses, Condition, Status

log = logging.getLogger(__name__)
# Calls that wait for their answers at a time.
_WORKERS = 16
# The rate is kept over so long: a timer is late by some milliseconds, and a busy loop by more.
_CATCH_UP_SECONDS = 0.02
_RETRY_SECONDS = 5.0
# An Event lives for an hour; what still holds is written again before that.
_REPEAT_SECONDS = 2700.0
# How long a watch may take to show what was written.
_WATCH_SECONDS = 30.0
# Who holds a field of ours may have given it up without a change that shows: tried again after so long.
_CONFLICT_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class DesiredStatus:
    """What the status of one object shall be, and its Events. `addresses` is None where they are not ours to write.

    With `force` what another controller has written is taken over. A Service's addresses have the mode `ip_mode`; `is_mode_shown`
    tells whether those of its status have it.
    """

    subject: Subject
    current: Status
    conditions: tuple[Condition, ...] = ()
    addresses: Addresses | None = None
    events: tuple[Occurrence, ...] = ()
    force: bool = False
    ip_mode: str = PROXY
    is_mode_shown: bool = True

    @property
    def ref(self) -> Ref:
        """Return the object's reference."""
        return self.subject.ref

    @property
    def is_current(self) -> bool:
        """Tell whether the object's status is this already."""
        return self.current.conditions == self.conditions and self._has_addresses

    @property
    def _has_addresses(self) -> bool:
        """Tell whether the object has its addresses already."""
        return self.addresses is None or (self.addresses == self.current.addresses and self.is_mode_shown)

    @property
    def routine(self) -> bool:
        """Tell whether all there is to write is that an object is served, which may wait for other writes."""
        return (
            bool(self.conditions)
            and all(each.status == 'True' for each in (*self.conditions, *self.current.conditions))
            and self._has_addresses
        )


class Rate:
    """Turns, so many a second."""

    def __init__(self, per_second: int) -> None:
        self._step = 1 / per_second
        self._next = float('-inf')

    async def turn(self) -> None:
        """Wait for the next turn."""
        now = time.monotonic()
        at = max(self._next, now - _CATCH_UP_SECONDS)
        self._next = at + self._step
        if at > now:
            await asyncio.sleep(at - now)


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
    decide: Callable[[Ref], DesiredStatus | GatewayWrite | None]
    rate: Rate
    workers: int = _WORKERS
    counts: Counts = field(default_factory=Counts)
    conflicts: dict[Ref, Diagnostic] = field(default_factory=dict)
    _queue: WorkQueue = field(default_factory=WorkQueue)
    # What was written last, and until when it is not written again, whatever the Service shows.
    _last_writes: dict[Ref, tuple[DesiredStatus, float]] = field(default_factory=dict)
    _foreign_addresses: dict[Ref, tuple[Addresses, float]] = field(default_factory=dict)
    _event_times: dict[Ref, dict[str, float]] = field(default_factory=dict)

    def ask(self, ref: Ref, *, after: float = 0.0) -> None:
        """Have an object looked at, soon or after some seconds."""
        self._queue.add(ref, after=after)

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as workers:
            for _ in range(self.workers):
                workers.create_task(self._work())

    async def _work(self) -> None:
        while True:
            ref, background = await self._queue.take()
            try:
                await self._look(ref, background=background)
            except NotFoundError:
                self._forget(ref)
            except CallError as error:
                self.counts.failures += 1
                log.warning('an object could not be written', extra={'object': str(ref), 'error': str(error)[:300]})
                self.ask(ref, after=_RETRY_SECONDS)
            except Exception:  # the defect costs the object that it is about, until it changes
                log.exception('internal error', extra={'object': str(ref)})
            finally:
                self._queue.done(ref)

    async def _look(self, ref: Ref, *, background: bool) -> None:
        """Write what an object shall say, if it is not there; what is routine in the background."""
        status = self.decide(ref)
        if status is None:
            self._forget(ref)
        elif isinstance(status, GatewayWrite):
            await self._write_gateway(status)
        elif status.routine and not status.is_current and not background:
            self._queue.add(ref, background=True)
        else:
            await self._write(status)

    async def _write_gateway(self, write: GatewayWrite) -> None:
        """Write the Service and the status of a resource of the Gateway API."""
        if write.removed is not None:
            await self.rate.turn()
            # One that was made anew, and does not show yet, stays.
            with contextlib.suppress(NotFoundError, ConflictError):
                await self.client.delete_service(write.removed, write.removed_uid)
        if write.service is not None:
            await self.rate.turn()
            await self.client.apply_service(write.service)
        if write.status:
            await self.rate.turn()
            try:
                await self.client.patch_status(write.ref, write.version, write.status)
            except ConflictError:
                # The watch shows what the object is by now, and has it looked at again.
                self.ask(write.ref, after=_WATCH_SECONDS)
            else:
                self.counts.statuses += 1

    def _forget(self, ref: Ref) -> None:
        """Forget an object that is gone."""
        self._last_writes.pop(ref, None)
        self._event_times.pop(ref, None)
        self._let_be(ref)

    def _let_be(self, ref: Ref) -> None:
        self.conflicts.pop(ref, None)
        self._foreign_addresses.pop(ref, None)

    def reconsider(self, ref: Ref, current: Status) -> None:
        """Forget that another controller holds an object's addresses, once it took them away, or after a while."""
        foreign, since = self._foreign_addresses.get(ref, ((), float('inf')))
        if (foreign and not current.addresses) or time.monotonic() - since >= _CONFLICT_SECONDS:
            self._let_be(ref)
            self._last_writes.pop(ref, None)

    async def _write(self, status: DesiredStatus) -> None:
        ref = status.ref
        if pause := self._pause_before(status):
            # A condition that says that a Service is served, and that another controller takes away, is no haste.
            if not status.is_current or status.routine:
                self.ask(ref, after=pause)
            else:
                del self._last_writes[ref]
        elif status.is_current:
            self._last_writes.pop(ref, None)
        else:
            await self._write_status(status)
        await self._write_due_event(status)
        self._prune(status)
        if ref in self.conflicts:
            self.ask(ref, after=_CONFLICT_SECONDS)

    def _pause_before(self, status: DesiredStatus) -> float:
        """Return for how many seconds what was written last, which is this, is not written again; 0 for none."""
        last, until = self._last_writes.get(status.ref, (None, 0.0))
        if last is None or (last.conditions, last.addresses) != (status.conditions, status.addresses):
            return 0.0
        return max(0.0, until - time.monotonic())

    async def _write_status(self, status: DesiredStatus) -> None:
        ref, pause = status.ref, _WATCH_SECONDS
        try:
            await self._apply(status)
            if status.addresses is not None:
                self._let_be(ref)
        except ConflictError as error:
            log.warning('another controller holds a status', extra={'object': str(ref), 'error': str(error)[:300]})
            if not await self._write_condition(status, error):
                pause = _CONFLICT_SECONDS
        else:
            self.counts.statuses += 1
        self._last_writes[ref] = (status, time.monotonic() + pause)
        self.ask(ref, after=pause + 1)

    async def _write_condition(self, status: DesiredStatus, error: ConflictError) -> bool:
        """Write the condition alone, since another controller holds the addresses; tell whether that can be."""
        ref = status.ref
        if status.addresses is None:
            return False
        message = f'another controller holds what headrace would write: {error}'[:300]
        self.conflicts[ref] = Diagnostic(ref, 'HeldByAnother', message, 'status.loadBalancer')
        self._foreign_addresses[ref] = status.current.addresses, time.monotonic()
        # So that the diagnostic of the conflict is written; not at once, for the watch may show it first.
        self.ask(ref, after=_RETRY_SECONDS)
        if not conditions.RULES[ref.kind].types:
            return False
        try:
            await self._apply(replace(status, addresses=None))
        except ConflictError:
            return False
        self.counts.statuses += 1
        return True

    async def _apply(self, status: DesiredStatus) -> None:
        await self.rate.turn()
        await self.client.apply_status(status.ref, _status(status), force=status.force)

    async def _write_due_event(self, status: DesiredStatus) -> None:
        """Tell the first Event that is due; the next one in another turn, so that other namespaces have theirs."""
        ref, now = status.ref, time.monotonic()
        times = self._event_times.get(ref, {})
        pauses = {each: times.get(each.name, float('-inf')) + _REPEAT_SECONDS - now for each in status.events}
        due = [each for each, seconds in pauses.items() if seconds <= 0]
        if due:
            await self._write_event(status.subject, due[0])
        if len(due) > 1:
            self.ask(ref)
        elif later := [seconds for seconds in pauses.values() if seconds > 0]:
            self.ask(ref, after=min(later) + 1)

    async def _write_event(self, subject: Subject, occurrence: Occurrence) -> None:
        """Create an Event; while it still holds, say before it is forgotten that it has happened again."""
        times = self._event_times.setdefault(subject.ref, {})
        await self.rate.turn()
        await events.tell(self.client, subject, occurrence, 'Program', self.identity)
        times[occurrence.name] = time.monotonic()
        self.counts.events += 1
        self.ask(subject.ref, after=_REPEAT_SECONDS + 1)

    def _prune(self, status: DesiredStatus) -> None:
        """Forget news that do not hold any more, and are so old that they would be told again."""
        current, times = {occurrence.name for occurrence in status.events}, self._event_times.get(status.ref, {})
        old = time.monotonic() - _REPEAT_SECONDS
        for name in [name for name, at in times.items() if name not in current and at <= old]:
            del times[name]
        if not times:
            self._event_times.pop(status.ref, None)


def _status(desired_status: DesiredStatus) -> dict[str, Any]:
    """Return the part of a status that is ours; what is not in it any more, the API server takes away."""
    status: dict[str, Any] = {}
    if desired_status.conditions:
        now = dt.datetime.now(dt.UTC).strftime('%Y-%m-%dT%H:%M:%SZ')
        status['conditions'] = [
            conditions.document(each, desired_status.current.conditions, now) for each in desired_status.conditions
        ]
    if desired_status.addresses:
        entries = addresses.entries(desired_status.ref, desired_status.addresses, desired_status.ip_mode)
        status['loadBalancer'] = {'ingress': entries}
    return status
