"""Epochs: the numbers by which the controller learns how far an agent has come.

The controller numbers the Services that it hands over in order. An agent that has applied the Service of one number has
applied those of all lower numbers too. The controller keeps the highest number that it has written as an annotation of
its election Lease, and writes it there before it writes the Service: a Service with a higher number has it from
another writer, and does not count. A controller of before keeps no counter. While one leads, all numbers count, however far
another controller had counted.
"""

import asyncio
import contextlib
import logging
import time

from headrace import forms
from headrace.kube import lease as leases
from headrace.kube.calls import CallError
from headrace.kube.lease import EPOCH, EPOCH_HOLDER, Document, Leases, epoch
from headrace.names import Ref

log = logging.getLogger(__name__)
_STEP_SECONDS = 0.5
_AGAIN_SECONDS = 10.0
# How long a controller that has begun to lead may take to say that it keeps the counter.
_GRACE_SECONDS = 30.0


class Epochs:
    """The epochs of the Services that one agent has taken from its store, and the highest that it has applied.

    `counter` is the highest that the controller has written, None where nothing keeps one: then all count.
    """

    def __init__(self) -> None:
        self.applied = 0
        self.counter: int | None = None
        self._numbers: dict[Ref, int] = {}
        self._dirty = False
        self.unknown = False

    def take(self, ref: Ref, number: int) -> None:
        """Note the epoch of a Service that was taken, 0 for none."""
        if self._numbers.get(ref, 0) == number:
            return
        if number:
            self._numbers[ref] = number
        else:
            del self._numbers[ref]
        self._dirty = True
        self.unknown |= self.counter is None or number > self.counter

    def trust(self, counter: int | None) -> None:
        """Let the epochs count that the controller can have written."""
        self._dirty |= counter != self.counter
        self.counter = counter

    @property
    def foreign(self) -> bool:
        """Tell whether a Service has an epoch that does not count, or all count for want of a counter."""
        return self.counter is None or any(number > self.counter for number in self._numbers.values())

    def apply(self) -> None:
        """Note that all that was taken serves."""
        if not self._dirty:
            return
        self._dirty = False
        most = self.counter
        numbers = (number for number in self._numbers.values() if most is None or number <= most)
        previous = self.applied if most is None or self.applied <= most else 0
        self.applied = max(previous, max(numbers, default=0))


def counter_lease(class_name: str) -> str:
    """Return the name of the Lease that elects a controller, and keeps the counter."""
    return f'{class_name}-controller'


def counter(lease: Document) -> int | None:
    """Return the counter on a Lease, None for none that can be read."""
    return epoch(str(leases.annotations(lease).get(EPOCH, ''))) or None if is_readable(lease) else None


def is_readable(lease: Document) -> bool:
    """Tell whether the counter on a Lease has a form that is known here."""
    return forms.read(leases.labels(lease)) <= forms.COUNTER


class _Leader:
    """The controller that leads, and since when it is known to lead without having written the counter."""

    def __init__(self) -> None:
        self._silent = ''
        self._since = 0.0

    def is_current(self, lease: Document, now: float, grace: float) -> bool:
        """Tell whether the counter in a Lease is its holder's, or can become that within `grace` seconds."""
        holder = leases.holder(lease)
        if leases.annotations(lease).get(EPOCH_HOLDER, '') == holder:
            holder = ''
        if holder != self._silent:
            self._silent, self._since = holder, now
        return not holder or now - self._since < grace


async def follow(epochs: Epochs, calls: Leases, namespace: str, class_name: str, grace: float = _GRACE_SECONDS) -> None:
    """Read the counter whenever a Service has an epoch above it; without a Lease or a counter in it all count.

    All count also where a former leader wrote the counter, and the present one has not for `grace` seconds. While the counter
    has a newer form, those count that did before.
    """
    last_read, leader, is_noted = float('-inf'), _Leader(), False
    while True:
        if epochs.unknown or (time.monotonic() - last_read >= _AGAIN_SECONDS and epochs.foreign):
            last_read, epochs.unknown = time.monotonic(), False
            with contextlib.suppress(CallError):
                lease = await calls.get(namespace, counter_lease(class_name))
                if lease is None or is_readable(lease):
                    is_current = lease is not None and leader.is_current(lease, last_read, grace)
                    epochs.trust(counter(lease) if lease is not None and is_current else None)
                elif not is_noted:
                    is_noted = True
                    version = leases.labels(lease).get(leases.VERSION_LABEL, '')
                    log.error('the controller is newer: Services that it chooses wait', extra={'version': version})
        await asyncio.sleep(_STEP_SECONDS)
