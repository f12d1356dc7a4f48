"""The counter of epochs: the highest that a controller has written, kept on the Lease that elects it.

Promises: a number is in the Lease before a Service carries it, so that agents and the next controller can tell the
numbers of the controller from others; the next number cannot be guessed from those before. The Lease tells which of its
holders keeps the counter, because a controller of before does not. A counter of a newer form counts as none.
"""

import contextlib
import secrets

from headrace import forms
from headrace.kube import lease as api
from headrace.kube.calls import CallError, ConflictError
from headrace.kube.epochs import counter
from headrace.kube.lease import EPOCH, EPOCH_HOLDER, Document, Leases

# An epoch found where no counter was kept may be forged; a number has 18 digits at most.
MOST_ADOPTED = 10**15
_SPREAD = 10**6
_TRIES = 3


class Counter:
    """`value` is the highest epoch written, `upcoming` the one that the next Service gets."""

    def __init__(self, leases: Leases, namespace: str, name: str) -> None:
        self._leases, self._namespace, self._name = leases, namespace, name
        self._holder = ''
        self.value = 0
        self.upcoming = 0
        self._move(0)

    def _move(self, value: int) -> None:
        self.value = value
        self.upcoming = value + 1 + secrets.randbelow(_SPREAD)

    async def begin(self, epochs: list[int]) -> None:
        """Go on from the Lease; where it has no counter, from the highest of those found; raises CallError."""
        lease, annotations = await self._read()
        self._holder = api.holder(lease)
        current = counter(lease)
        self._move(
            max((number for number in epochs if number <= MOST_ADOPTED), default=0) if current is None else current
        )
        if current is None:
            await self.use()
        elif annotations.get(EPOCH_HOLDER) != self._holder:
            await self._write(current)

    async def use(self) -> None:
        """Keep `upcoming`, before a Service carries it; raises CallError."""
        await self._write(self.upcoming)

    async def _write(self, value: int) -> None:
        for _ in range(_TRIES):
            lease, annotations = await self._read()
            if api.holder(lease) != self._holder:
                raise CallError(f'{self._name}: another controller leads')
            current = counter(lease) or 0
            if current > self.value:
                self._move(current)
                raise CallError(f'{self._name}: another controller has counted')
            lease['metadata']['annotations'] = {**annotations, EPOCH: str(value), EPOCH_HOLDER: self._holder}
            lease['metadata']['labels'] = {**api.labels(lease), **api.version_labels(forms.COUNTER)}
            # The election may renew it meanwhile.
            with contextlib.suppress(ConflictError):
                await self._leases.write(lease)
                self._move(value)
                return
        raise CallError(f'{self._name}: it changes all the time')

    async def _read(self) -> tuple[Document, dict[str, str]]:
        lease = await self._leases.get(self._namespace, self._name)
        if lease is None:
            raise CallError(f'{self._name}: there is no such Lease')
        return lease, api.annotations(lease)
