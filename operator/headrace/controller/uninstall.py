"""Giving everything back before an uninstall: what headrace wrote to users' objects is taken off again.

Promises: it writes while no controller does. It announces itself by a Lease, on which the controllers stand aside, and
then leads in their stead. Both Leases belong to the ServiceAccount afterwards, and go with it; they last long enough for
an uninstall, and when none follows, the controllers go on after that.
"""

import asyncio
import datetime as dt
import logging
from dataclasses import dataclass
from typing import Any

from headrace.controller import gateway_withdrawal
from headrace.controller.client import Client
from headrace.controller.election import Election
from headrace.controller.ownership import ClassLease
from headrace.controller.writer import Rate
from headrace.kube import lease as leases
from headrace.kube.calls import NotFoundError
from headrace.kube.lease import CLASS_LABEL, ROLE_LABEL, Document
from headrace.kube.resources import STATUSES, Resource

log = logging.getLogger(__name__)
ROLE = 'release'
# Controllers keep aside for so long, which is the time that an uninstall has.
LASTS_SECONDS = 600
# No controller writes meanwhile, and an uninstall waits for it.
_WRITES_PER_SECOND = 100
_LOOK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Installation:
    """Which installation is released: its class, the namespace of its Leases, those that it watches; none for all.

    `kinds` are those whose status it writes by server-side apply; `gateway_api` tells whether it serves the Gateway API.
    """

    class_name: str
    namespace: str
    namespaces: tuple[str, ...]
    identity: str
    kinds: tuple[Resource, ...] = STATUSES
    gateway_api: bool = True


def labels(class_name: str) -> dict[str, str]:
    """Return the labels of the Lease that announces a release."""
    return {CLASS_LABEL: class_name, ROLE_LABEL: ROLE}


async def release(client: Client, installation: Installation, *, wait: bool) -> int:
    """Take back what was written, and return of how many objects; with `wait` it ends when nothing is left.

    Raises CallError.
    """
    account = await client.account_uid()
    await client.leases.put(_lease(installation, f'{installation.class_name}-release', account))
    log.info('waiting for the controllers to stand aside')
    result: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def lead() -> None:
        result.set_result(await _statuses(client, installation, wait=wait))
        await asyncio.Event().wait()

    election = Election(
        client.leases, installation.namespace, f'{installation.class_name}-controller', installation.identity
    )
    standing = asyncio.create_task(election.run(lead))
    try:
        either: list[asyncio.Future[Any]] = [standing, result]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if standing.done():
            standing.result()
        count = result.result()
    finally:
        standing.cancel()
        await asyncio.gather(standing, return_exceptions=True)
    await client.leases.put(_lease(installation, f'{installation.class_name}-controller', account))
    if not installation.namespaces:
        await ClassLease(client, installation.class_name, installation.namespace).give_up()
    return count


async def _statuses(client: Client, installation: Installation, *, wait: bool) -> int:
    """Remove our conditions and our addresses from all objects, and what Gateways had."""
    count, place, rate = 0, (installation.namespace, installation.namespaces), Rate(_WRITES_PER_SECOND)
    while True:
        progress = gateway_withdrawal.Progress()
        if installation.gateway_api:
            progress = await gateway_withdrawal.withdraw(client, installation.class_name, *place, rate)
        refs = [
            each
            for namespace in installation.namespaces or ('',)
            for each in await client.objects_with_status(installation.kinds, namespace)
        ]
        for ref in refs:
            await rate.turn()
            try:
                # An empty status of ours: the API server takes away what we had written, and nothing else.
                await client.apply_status(ref, {})
            except NotFoundError:
                continue
            count += 1
        count += progress.taken
        if not progress.refused and (not wait or not (refs or progress.taken or progress.removed)):
            return count
        await asyncio.sleep(_LOOK_SECONDS)


def _lease(installation: Installation, name: str, account: str) -> Document:
    """Return a Lease that is held by the release; `account` is name and uid of the ServiceAccount that it goes with."""
    lease = leases.make(installation.namespace, name, installation.identity, LASTS_SECONDS, dt.datetime.now(dt.UTC))
    if name.endswith('-release'):
        lease['metadata']['labels'] = labels(installation.class_name)
    return leases.with_owner(lease, account)
