"""Whether another release holds the class, as the controllers of this one say by a Lease in its own namespace.

Agents have no right to the Lease of the class, so a controller that waits for it copies its holder to a Lease that they
can read. A copy that is not renewed does not count: the controllers have ended.
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import Callable

from headrace.kube import lease as leases
from headrace.kube.calls import CallError
from headrace.kube.lease import Document, Leases, Observation

# Controllers renew the copy once a minute.
DURATION_SECONDS = 180
_READ_SECONDS = 30.0


def name(class_name: str) -> str:
    """Return the name of the Lease."""
    return f'{class_name}-class-held'


def document(namespace: str, class_name: str, holder: str, account: str, now: dt.datetime) -> Document:
    """Return the Lease; `holder` is the other release, '' for none, and `account` name and uid of the own ServiceAccount."""
    return leases.with_owner(leases.make(namespace, name(class_name), holder, DURATION_SECONDS, now), account)


async def follow(calls: Leases, namespace: str, class_name: str, note: Callable[[str], None]) -> None:
    """Note the other release that holds the class, '' for none, twice a minute until cancelled."""
    observation = Observation()
    while True:
        with contextlib.suppress(CallError):
            lease = await calls.get(namespace, name(class_name))
            note(leases.holder(lease) if lease is not None and observation.lives(lease, DURATION_SECONDS) else '')
        await asyncio.sleep(_READ_SECONDS)
