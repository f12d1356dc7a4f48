"""Which of several releases of one class writes: the one that holds the Lease of the class, of which a cluster has one.

The election is among the controllers of one namespace; releases in two namespaces would not notice each other, and write
over each other's statuses. So the controller that leads takes the Lease of the class first, in the name of its release,
and renews it. A release that comes later waits, says so in its log, by an Event and to its agents, and takes the class when
the other one gives it up or has not renewed it for its time. Time is that of the own clock, from when a renewal was seen.

An installation with `namespaces` has no cluster-wide right, and may share a class with one of other namespaces: it takes
no part.
"""

import asyncio
import contextlib
import datetime as dt
import logging
import time

from headrace.controller import events
from headrace.controller.client import Client
from headrace.controller.conditions import Occurrence, Subject
from headrace.kube import class_holder
from headrace.kube import lease as leases
from headrace.kube.calls import CallError, ConflictError, ForbiddenError, NotFoundError
from headrace.kube.lease import Document, Observation
from headrace.kube.rights import CLASS_NAMESPACE, class_lease
from headrace.names import Ref

log = logging.getLogger(__name__)
# Longer than the controllers of one release take to elect another one.
DURATION_SECONDS = 45
_RENEW_SECONDS = 5.0
_SAY_SECONDS = 60.0


class ClassLease:
    """The Lease of one class, as one release sees it; `other_release` is another release that holds it, '' for none."""

    def __init__(self, client: Client, class_name: str, namespace: str) -> None:
        self._client, self._class_name, self._namespace = client, class_name, namespace
        self.name = class_lease(class_name)
        self.release = ''
        self.other_release = ''
        self._account = ''
        self._observation = Observation()
        self._last_notice = float('-inf')
        self._unable = False

    async def until_free(self) -> None:
        """Wait until no other release holds the class."""
        while True:
            with contextlib.suppress(CallError):
                if not await self.find_other():
                    return
            await self._say()
            await asyncio.sleep(_RENEW_SECONDS)

    async def take(self) -> None:
        """Wait until this release holds the class."""
        while not await self._try_to_hold():
            await self._say()
            await asyncio.sleep(_RENEW_SECONDS)
        with contextlib.suppress(CallError):
            copy = await self._client.leases.get(self._namespace, class_holder.name(self._class_name))
            if leases.holder(copy):
                await self._tell_agents('')

    async def keep(self) -> None:
        """Renew it until another release holds it."""
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            if not await self._try_to_hold() and self.other_release:
                log.error('another release holds the class now', extra={'release': self.other_release})
                return

    async def find_other(self) -> str:
        """Return the other release that holds the class, '' for none; raises CallError."""
        return self._note_holder(await self._look())

    async def give_up(self) -> None:
        """Remove the Lease if this release holds it, so that another one takes the class at once; raises CallError."""
        lease = await self._look()
        if lease is not None and self._is_mine(leases.holder(lease)):
            with contextlib.suppress(NotFoundError, ConflictError):
                await self._client.leases.delete(CLASS_NAMESPACE, self.name, leases.version(lease))

    async def _try_to_hold(self) -> bool:
        """Take or renew the Lease if that can be; tell whether it is held."""
        try:
            lease = await self._look()
            if self._unable:
                return True
            if self._note_holder(lease):
                return False
            await self._client.leases.write(self._document(lease))
        except CallError as error:
            log.info('the Lease of the class cannot be written', extra={'error': str(error)[:300]})
            return False
        return True

    async def _look(self) -> Document | None:
        if not self.release:
            self._account = await self._client.account_uid()
            self.release = f'{self._namespace}/{self._account.partition("/")[0]}'
        try:
            return await self._client.leases.get(CLASS_NAMESPACE, self.name)
        except ForbiddenError as error:
            if not self._unable:
                log.warning('another release of the class would not be noticed', extra={'error': str(error)[:300]})
            self._unable = True
            return None

    def _note_holder(self, lease: Document | None) -> str:
        """Return the other release that holds the class, '' for none."""
        holder = leases.holder(lease)
        lives = lease is not None and self._observation.lives(lease, DURATION_SECONDS)
        self.other_release = holder if lives and not self._is_mine(holder) else ''
        return self.other_release

    def _is_mine(self, holder: str) -> bool:
        # A person who works for the release is no ServiceAccount.
        return holder == self.release or (self.release.endswith('/') and holder.startswith(self.release))

    def _document(self, lease: Document | None) -> Document:
        now = dt.datetime.now(dt.UTC)
        if lease is None:
            return leases.make(CLASS_NAMESPACE, self.name, self.release, DURATION_SECONDS, now)
        return leases.renew(lease, self.release, DURATION_SECONDS, now)

    async def _say(self) -> None:
        """Say that another release holds the class: in the log now and then, by an Event in the own namespace, and to agents."""
        if not self.other_release or time.monotonic() - self._last_notice < _SAY_SECONDS:
            return
        self._last_notice = time.monotonic()
        log.error(
            'another release holds the class; this one writes nothing until that one is uninstalled, or has another class',
            extra={'class': self._class_name, 'release': self.other_release},
        )
        with contextlib.suppress(CallError):
            await self._tell_agents(self.other_release)
        with contextlib.suppress(CallError):
            await self._event(f'{self.name}.held')

    async def _tell_agents(self, holder: str) -> None:
        now = dt.datetime.now(dt.UTC)
        copy = class_holder.document(self._namespace, self._class_name, holder, self._account, now)
        await self._client.leases.put(copy)

    async def _event(self, name: str) -> None:
        note = f'class {self._class_name} is held by another release, {self.other_release}: this one writes no status'
        subject = Subject(Ref('Namespace', '', self._namespace))
        await events.tell(self._client, subject, Occurrence(name, 'ClassHeldByAnother', note), 'Wait', self.release)
