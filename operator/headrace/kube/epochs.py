"""Epochs: the numbers by which the controller learns how far an agent has come.

The controller numbers the Services that it hands over in order. An agent that has applied the Service of one number has
applied those of all lower numbers too. The controller keeps the highest number that it has written as an annotation of
its election Lease, and writes it there before it writes the Service: a Service with a higher number has it from
another writer, and does not count.
"""

import asyncio
import contextlib
import time
from typing import Any

from headrace.kube.calls import CallError, Calls, NotFoundError
from headrace.kube.lease import EPOCH, epoch
from headrace.names import Ref

_STEP_SECONDS = 0.5
_AGAIN_SECONDS = 10.0


class Epochs:
    """The epochs of the Services that one agent has taken from its store, and the highest that it has applied.

    `counter` is the highest that the controller has written, None where nothing keeps one: then all count.
    """

    def __init__(self) -> None:
        self.applied = 0
        self.counter: int | None = None
        self._taken: dict[Ref, int] = {}
        self._changed = False
        self.unknown = False

    def take(self, ref: Ref, number: int) -> None:
        """Note the epoch of a Service that was taken, 0 for none."""
        if self._taken.get(ref, 0) == number:
            return
        if number:
            self._taken[ref] = number
        else:
            del self._taken[ref]
        self._changed = True
        self.unknown |= self.counter is None or number > self.counter

    def trust(self, counter: int | None) -> None:
        """Let the epochs count that the controller can have written."""
        self._changed |= counter != self.counter
        self.counter = counter

    @property
    def foreign(self) -> bool:
        """Tell whether a Service has an epoch that does not count, or all count for want of a counter."""
        return self.counter is None or any(number > self.counter for number in self._taken.values())

    def apply(self) -> None:
        """Note that all that was taken serves."""
        if not self._changed:
            return
        self._changed = False
        most = self.counter
        counted = (number for number in self._taken.values() if most is None or number <= most)
        kept = self.applied if most is None or self.applied <= most else 0
        self.applied = max(kept, max(counted, default=0))


def counter_lease(class_name: str) -> str:
    """Return the name of the Lease that elects a controller, and keeps the counter."""
    return f'{class_name}-controller'


def counter(annotations: dict[str, Any] | None) -> int | None:
    """Return the counter in a Lease's annotations, None for none."""
    return epoch(str((annotations or {}).get(EPOCH, ''))) or None


async def follow(epochs: Epochs, calls: Calls, namespace: str, class_name: str) -> None:
    """Read the counter whenever a Service has an epoch above it; without a Lease or a counter in it all count."""
    path = f'/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{counter_lease(class_name)}'
    read_at = float('-inf')
    while True:
        if epochs.unknown or (time.monotonic() - read_at >= _AGAIN_SECONDS and epochs.foreign):
            read_at, epochs.unknown = time.monotonic(), False
            with contextlib.suppress(CallError):
                epochs.trust(await _read(calls, path))
        await asyncio.sleep(_STEP_SECONDS)


async def _read(calls: Calls, path: str) -> int | None:
    try:
        held = await calls.call('GET', path)
    except NotFoundError:
        return None
    return counter(held['metadata'].get('annotations'))
