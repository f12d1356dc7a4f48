"""The controller from beginning to end: follow the cluster, stand for election, and write while leading.

Its model is the edge's, without Secrets and endpoints: what it cannot judge, agents tell it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass

from headrace.cluster.objects import Service
from headrace.cluster.store import Store
from headrace.controller import addresses, agents, release, wanted
from headrace.controller.agents import Agent
from headrace.controller.client import Client
from headrace.controller.counter import Counter
from headrace.controller.election import Election
from headrace.controller.handover import Handover
from headrace.controller.ownership import ClassLease
from headrace.controller.startup import Startup
from headrace.controller.writer import Wanted, Writer
from headrace.kube.access import Access
from headrace.kube.calls import CallError
from headrace.kube.epochs import counter_lease
from headrace.kube.lease import CLASS_LABEL
from headrace.kube.resources import NODES, SERVICES, Scope
from headrace.kube.source import KubeSource
from headrace.model.state import State
from headrace.model.view import View
from headrace.names import Ref
from headrace.verdicts import Verdict

log = logging.getLogger(__name__)
_AGENTS_SECONDS = 5.0
_HANDOVER_AGENTS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Options:
    """How a controller runs: its view of the class, and the namespace and name of its pod.

    `started` is called when handlers of signals may be set.
    """

    access: Access
    view: View
    namespace: str
    identity: str
    started: Callable[[], None] = lambda: None


def scopes(view: View) -> tuple[Scope, ...]:
    """Return what the controller watches: Services, and Nodes where their addresses are published or all must agree."""
    needed = 'nodes' in view.settings.status_addresses or view.settings.node_role
    resources = (SERVICES, NODES) if needed else (SERVICES,)
    return (Scope(resources, view.settings.namespaces),)


class Controller:
    """One controller; `agents` are those that lived when they were last asked for."""

    def __init__(self, options: Options, client: Client) -> None:
        self.options, self.client = options, client
        self.store = Store()
        self.state = State(options.view)
        self._woken = asyncio.Event()
        view = options.view
        self.source = KubeSource(options.access, scopes(view), self.store, self._wake, view.settings, options.started)
        lease = counter_lease(options.view.class_name)
        self.election = Election(client.api, options.namespace, lease, options.identity)
        self.counter = Counter(client, options.namespace, lease)
        everywhere = not options.view.settings.namespaces
        self.class_lease = ClassLease(client, options.view.class_name, options.namespace) if everywhere else None
        self.writer = Writer(client, options.identity, self.decide)
        self.agents: tuple[Agent, ...] = ()
        self.handover = Handover(
            options.view,
            self.store,
            client.patch_service,
            lambda: self.agents,
            lambda ref: self._told.get(ref, ()),
            self.writer.ask,
            self.counter,
        )
        taint = options.view.settings.startup_taint
        self.startup = (
            Startup(taint, client, lambda: self.agents, lambda: self.handover.handed_epoch) if taint else None
        )
        self._told: dict[Ref, tuple[Verdict, ...]] = {}
        self._let_go: dict[Ref, tuple[object, object]] = {}

    def _wake(self, _: float) -> None:
        self._woken.set()

    async def run(self) -> None:
        """Work until cancelled; raises WatchEndedError when only a new process helps."""
        following = asyncio.create_task(self.source.follow())
        tasks = [following]
        try:
            reading = asyncio.create_task(self.source.read())
            await asyncio.wait([following, reading], return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            self.state.update(self.store, self.store.take())
            log.info('the controller follows the cluster', extra={'services': len(self.store.services())})
            tasks.append(asyncio.create_task(self._stand()))
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks[1:]:
                task.cancel()
            await asyncio.gather(*tasks[1:], return_exceptions=True)
            await self.election.release()
            self.source.stop()
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _stand(self) -> None:
        """Stand for election, for ever, but not while a release takes back what was written."""
        while True:
            await self._until_released(wanted=False)
            if self.class_lease is not None:
                await self.class_lease.until_free()
            election = asyncio.create_task(self.election.run(self.lead))
            released = asyncio.create_task(self._until_released(wanted=True))
            try:
                await asyncio.wait([election, released], return_when=asyncio.FIRST_COMPLETED)
                if election.done():
                    election.result()
            finally:
                # Who leads is in a task of its own, which the election's end alone would leave.
                tasks = [task for task in (election, released, self._leading) if task is not None]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            log.warning('a release takes back what was written; this controller stands aside')
            await self.election.release()

    async def _until_released(self, *, wanted: bool) -> None:
        """Wait until a release is announced, or until none is any more."""
        selector = release.selector(self.options.view.class_name)
        while True:
            with contextlib.suppress(CallError):
                found = agents.living(
                    await self.client.leases(self.options.namespace, selector), dt.datetime.now(dt.UTC)
                )
                if bool(found) == wanted:
                    return
            await asyncio.sleep(_AGENTS_SECONDS)

    _leading: asyncio.Task[None] | None = None

    async def lead(self) -> None:
        """Write what is wanted, as long as this task lives."""
        self._leading = asyncio.current_task()
        if self.class_lease is not None:
            await self.class_lease.take()
        await self._begin_count()
        await self._ask_agents()
        while self._unasked:
            # Without what the agents say, what they said before would be taken back.
            await asyncio.sleep(_AGENTS_SECONDS)
            await self._ask_agents()
        # Nothing was judged while another led.
        self.settle()
        for ref in self.store.services():
            self.writer.ask(ref)
        tasks = [
            asyncio.create_task(work)
            for work in (self.writer.run(), self._follow_changes(), self._follow_agents(), self.handover.run())
        ]
        if self.startup is not None:
            tasks.append(asyncio.create_task(self.startup.run()))
        if self.class_lease is not None:
            tasks.append(asyncio.create_task(self.class_lease.keep()))
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin_count(self) -> None:
        """Find where the epochs have come to; an older controller has left them on Services and in agents' Leases."""
        selector = f'{CLASS_LABEL}={self.options.view.class_name}'
        while True:
            try:
                told = agents.living(
                    await self.client.leases(self.options.namespace, selector), dt.datetime.now(dt.UTC)
                )
                await self.counter.begin([*self.handover.epochs(), *(agent.epoch for agent in told)])
            except CallError as error:
                log.warning('the counter of epochs cannot be read', extra={'said': str(error)[:300]})
                await asyncio.sleep(_AGENTS_SECONDS)
            else:
                return

    async def _follow_changes(self) -> None:
        while True:
            self.settle()
            await self._woken.wait()
            self._woken.clear()

    def settle(self) -> None:
        """Take what has changed in the cluster, and have the objects concerned looked at."""
        dirty = self.store.take()
        published = addresses.published(self.options.view.settings, self.store)
        change = self.state.update(self.store, dirty)
        for failure in change.failures:
            log.error('internal error', extra={'object': str(failure.ref)}, exc_info=failure.error)
        refs = {ref for ref in (*dirty, *change.judged) if ref.kind == 'Service'}
        if published != self._published or any(ref.kind == 'Node' for ref in dirty):
            refs |= {ref for ref in self.store.services() if self._speaks_of(ref)}
        self._published = published
        for ref in refs:
            self.writer.ask(ref)

    _published: addresses.Ingress = ()
    _unasked = False

    def _speaks_of(self, ref: Ref) -> bool:
        service = self.store.get(ref, Service)
        return service is not None and addresses.speaks_of(service, self.state)

    def decide(self, ref: Ref) -> Wanted | None:
        """Return what a Service shall say now; None when it is gone."""
        service = self.store.get(ref, Service)
        if service is None:
            self._let_go.pop(ref, None)
            return None
        if not addresses.is_ours(service, self.state):
            return self._withdrawn(service)
        self._let_go.pop(ref, None)
        self.writer.reconsider(service)
        own = [
            *self.state.verdicts(ref),
            *self.handover.verdicts(ref),
            *([held] if (held := self.writer.conflicts.get(ref)) else []),
        ]
        found = wanted.errors(own, self._told.get(ref, ()))
        ingress: addresses.Ingress | None = None
        if addresses.speaks_of(service, self.state):
            ingress = addresses.wanted(service, self.state, self.store)
            if ref in self.writer.conflicts:
                ingress = None
        return Wanted(service, wanted.condition(service, found), ingress, wanted.occurrences(found))

    def _withdrawn(self, service: Service) -> Wanted | None:
        """Have a Service of another class say nothing of ours, once: what is there after that is somebody else's."""
        shown = (service.programmed, service.ingress)
        if self._let_go.get(service.ref) == shown:
            return None
        self._let_go[service.ref] = shown
        return Wanted(service, None, ())

    async def _follow_agents(self) -> None:
        while True:
            await asyncio.sleep(_HANDOVER_AGENTS_SECONDS if self.handover.waits else _AGENTS_SECONDS)
            with contextlib.suppress(CallError):
                await self._ask_agents()

    async def _ask_agents(self) -> None:
        """Read the agents' Leases, and have the objects looked at of which they tell something else than before."""
        selector = f'{CLASS_LABEL}={self.options.view.class_name}'
        try:
            leases = await self.client.leases(self.options.namespace, selector)
        except CallError as error:
            if not self._unasked:
                log.warning('the agents cannot be asked', extra={'said': str(error)[:300]})
            self._unasked = True
            return
        self._unasked = False
        self.agents = agents.living(leases, dt.datetime.now(dt.UTC), self.counter.value)
        told: dict[Ref, set[Verdict]] = {}
        for agent in self.agents:
            for verdict in agent.verdicts:
                told.setdefault(verdict.ref, set()).add(verdict)
        before, self._told = self._told, {ref: tuple(sorted(found)) for ref, found in told.items()}
        for ref in before.keys() | self._told.keys():
            if before.get(ref) != self._told.get(ref):
                self.writer.ask(ref)
