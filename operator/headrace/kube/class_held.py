"""Whether another release holds the class, as the controllers of this one say by a Lease in its own namespace.

Agents have no right to the Lease of the class, so a controller that waits for it copies its holder to a Lease that they
can read. A copy that is not renewed does not count: the controllers have ended.
"""

import asyncio
import contextlib
import datetime as dt
import time
from collections.abc import Callable
from typing import Any

from headrace.kube.calls import CallError, Calls, NotFoundError

# Controllers renew the copy once a minute.
DURATION_SECONDS = 180
_READ_SECONDS = 30.0


def name(class_name: str) -> str:
    """Return the name of the Lease."""
    return f'{class_name}-class-held'


def document(namespace: str, class_name: str, holder: str, account: str, now: dt.datetime) -> dict[str, Any]:
    """Return the Lease; `holder` is the other release, '' for none, and `account` name and uid of the own ServiceAccount."""
    metadata: dict[str, Any] = {'name': name(class_name), 'namespace': namespace}
    owner, _, uid = account.partition('/')
    if uid:
        metadata['ownerReferences'] = [{'apiVersion': 'v1', 'kind': 'ServiceAccount', 'name': owner, 'uid': uid}]
    spec = {
        'holderIdentity': holder,
        'leaseDurationSeconds': DURATION_SECONDS,
        'renewTime': now.astimezone(dt.UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ'),
    }
    return {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': metadata, 'spec': spec}


class Copy:
    """The last copy that was read, and since when it has been the same."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._renewed, self._since = '', 0.0

    def holder(self, lease: dict[str, Any] | None) -> str:
        """Return the other release that holds the class, '' for none."""
        spec = (lease or {}).get('spec') or {}
        holder, renewed, now = str(spec.get('holderIdentity') or ''), str(spec.get('renewTime') or ''), self._clock()
        if renewed != self._renewed:
            self._renewed, self._since = renewed, now
        return holder if now - self._since < DURATION_SECONDS else ''


async def follow(calls: Calls, namespace: str, class_name: str, note: Callable[[str], None]) -> None:
    """Note the other release that holds the class, '' for none, twice a minute until cancelled."""
    path = f'/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{name(class_name)}'
    copy = Copy()
    while True:
        with contextlib.suppress(CallError):
            note(copy.holder(await _read(calls, path)))
        await asyncio.sleep(_READ_SECONDS)


async def _read(calls: Calls, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await calls.call('GET', path)
    except NotFoundError:
        return None
    return found
