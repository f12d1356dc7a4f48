"""The controller from beginning to end: follow the cluster, stand for election, and write while leading.

Its model is the edge's, without Secrets and endpoints: what it cannot judge, agents tell it.
"""

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from headrace import garbage, heap
from headrace.controller import addresses, gateway_services, gateways, uninstall, versions
from headrace.controller.address_pools import AddressPools
from headrace.controller.agents import Agents
from headrace.controller.client import Client
from headrace.controller.counter import Counter
from headrace.controller.election import Election
from headrace.controller.gateway_slices import GatewaySlices
from headrace.controller.gateways import Gateways, GatewayWrite
from headrace.controller.handover import Handover
from headrace.controller.ownership import ClassLease
from headrace.controller.startup import Startup
from headrace.controller.statuses import Statuses
from headrace.controller.versions import AgentVersions
from headrace.controller.writer import DesiredStatus, Rate, Writer
from headrace.kube import lease
from headrace.kube.access import Access
from headrace.kube.calls import CallError
from headrace.kube.epochs import counter_lease
from headrace.kube.lease import CLASS_LABEL
from headrace.kube.resources import NODES, SERVICES, STATUSES, Scope, gateway_resources, ingress_resources
from headrace.kube.source import KubeSource
from headrace.names import Ref
from headrace.objects.ingress import Ingress
from headrace.objects.kinds import DEFAULT_INGRESS_CLASS, Service
from headrace.resolve.state import State
from headrace.store import Store
from headrace.translate.build_context import BuildContext

log = logging.getLogger(__name__)
_AGENTS_SECONDS = 5.0
_HANDOVER_AGENTS_SECONDS = 1.0
# A Service takes a fraction of a millisecond.
_SETTLE_STEP = 50
_BEGIN_STEP = 1000
_STATUS_KINDS = (*(resource.kind for resource in STATUSES), *gateways.KINDS)


@dataclass(frozen=True, slots=True)
class Options:
    """How a controller runs: its view of the class, and the namespace and name of its pod.

    `on_start` is called when handlers of signals may be set; `edge_selector` are the labels of the edge's pods, which the Services
    of Gateways select.
    """

    access: Access
    context: BuildContext
    namespace: str
    identity: str
    on_start: Callable[[], None] = lambda: None
    edge_selector: dict[str, str] = field(default_factory=dict)


def scopes(context: BuildContext) -> tuple[Scope, ...]:
    """Return what the controller watches: Services and Ingresses, and Nodes where their addresses are published or all must agree."""
    has_nodes = 'nodes' in context.settings.status_addresses or context.settings.node_role
    resources = (SERVICES, *ingress_resources(context), *gateway_resources(context), *((NODES,) if has_nodes else ()))
    return (Scope(resources, context.settings.namespaces),)


class Controller:
    """One controller; `agents` are those that lived when they were last asked for."""

    def __init__(self, options: Options, client: Client) -> None:
        self.options, self.client = options, client
        self.store = Store(options.context.settings.max_annotation_bytes_per_namespace)
        self.state = State(options.context)
        self._wakeup = asyncio.Event()
        context = options.context
        self.source = KubeSource(
            options.access, scopes(context), self.store, self._wake, context.settings, options.on_start
        )
        self.source.statuses = True
        name = counter_lease(options.context.class_name)
        self.election = Election(client.leases, options.namespace, name, options.identity)
        self.counter = Counter(client.leases, options.namespace, name)
        everywhere = not options.context.settings.namespaces
        self.class_lease = ClassLease(client, options.context.class_name, options.namespace) if everywhere else None
        rate = Rate(context.settings.status_writes_per_second)
        self.writer = Writer(client, options.identity, self.decide, rate)
        self.agents = Agents()
        self.versions = AgentVersions(client, context.class_name, options.namespace, options.identity)
        self.handover = Handover(context, self.store, client.patch_service, self.agents, self.writer.ask, self.counter)
        self.pools = AddressPools(context, self.store)
        self.gateways = Gateways(
            self.state, self.store, options.edge_selector, self.writer.ask, self.agents.about, self.pools.shortage
        )
        self.statuses = Statuses(
            self.store,
            self.state,
            self.agents,
            self.handover,
            self.pools,
            self.writer,
            addresses.edge_addresses_of(context.settings, self.store),
        )
        taint = context.settings.startup_taint
        self.startup = (
            Startup(taint, client, lambda: self.agents.living, lambda: self.handover.highest_epoch_handed_over)
            if taint
            else None
        )
        # What has changed in the store and is not in the model yet.
        self._dirty: set[Ref] = set()

    def _wake(self, _: float) -> None:
        self._wakeup.set()

    async def run(self) -> None:
        """Work until cancelled; raises WatchEndedError when only a new process helps."""
        garbage.collect_seldom()
        heap.share()
        following = asyncio.create_task(self.source.follow())
        tasks = [following]
        try:
            reading = asyncio.create_task(self.source.read())
            await asyncio.wait([following, reading], return_when=asyncio.FIRST_COMPLETED)
            if following.done():
                following.result()
            await self.settle()
            garbage.keep()
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
        """Stand for election until cancelled, but not while a release takes back what was written."""
        while True:
            await self._until_release(announced=False)
            if self.class_lease is not None:
                await self.class_lease.until_free()
            election = asyncio.create_task(self.election.run(self.lead))
            release = asyncio.create_task(self._until_release(announced=True))
            try:
                await asyncio.wait([election, release], return_when=asyncio.FIRST_COMPLETED)
                if election.done():
                    election.result()
            finally:
                # Who leads is in a task of its own, which the election's end alone would leave.
                tasks = [task for task in (election, release, self._leading) if task is not None]
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
            log.warning('a release takes back what was written; this controller stands aside')
            await self.election.release()

    async def _until_release(self, *, announced: bool) -> None:
        """Wait until a release is announced, or until none is any more."""
        labels = uninstall.labels(self.options.context.class_name)
        while True:
            with contextlib.suppress(CallError):
                leases = await self.client.leases.list(self.options.namespace, labels)
                if any(lease.lives(each, dt.datetime.now(dt.UTC)) for each in leases) == announced:
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
        while self._agents_unknown:
            # Without what the agents say, what they said before would be taken back.
            await asyncio.sleep(_AGENTS_SECONDS)
            await self._ask_agents()
        self.pools.end()
        # Nothing was judged while another led.
        await self.settle()
        await self.pools.begin()
        await self._begin()
        tasks = [
            asyncio.create_task(work)
            for work in (
                self.writer.run(),
                self._follow_changes(),
                self._follow_agents(),
                self.handover.run(),
                GatewaySlices(self.client, self.options.context, self.gateways.udp_targets).run(),
            )
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

    async def _begin(self) -> None:
        """Have all objects looked at."""
        self.handover.begin()
        await self._remove_services()
        refs = self._objects_with_status()
        for start in range(0, len(refs), _BEGIN_STEP):
            part = refs[start : start + _BEGIN_STEP]
            self.handover.changed(part)
            for ref in part:
                self.writer.ask(ref)
            await asyncio.sleep(0)

    async def _remove_services(self) -> None:
        """Remove the Services of Gateways that have gone while no controller led."""
        own = self.options.context.own_namespace
        if not self.options.context.slots:
            return
        kept = self.gateways.services()
        label = gateway_services.own_label(self.options.context.class_name)
        for namespace, name in await self.client.services_with_label(label, own):
            if (ref := Ref('Service', namespace, name)) not in kept:
                await self.client.delete_service(ref)

    async def _begin_count(self) -> None:
        """Find where the epochs have come to; an older controller has left them on Services and in agents' Leases."""
        labels = {CLASS_LABEL: self.options.context.class_name}
        while True:
            try:
                leases = await self.client.leases.list(self.options.namespace, labels)
                await self.agents.take(leases, dt.datetime.now(dt.UTC))
                await self.counter.begin([*self.handover.epochs(), *(agent.epoch for agent in self.agents.living)])
            except CallError as error:
                log.warning('the counter of epochs cannot be read', extra={'error': str(error)[:300]})
                await asyncio.sleep(_AGENTS_SECONDS)
            else:
                return

    async def _follow_changes(self) -> None:
        while True:
            await self.settle()
            await self._wakeup.wait()
            self._wakeup.clear()

    async def settle(self) -> None:
        """Take what has changed in the cluster, in steps, and have the objects concerned looked at."""
        statuses = self.store.take_statuses()
        self._dirty |= self.store.take()
        self._follow_addresses(statuses | self._dirty)
        self.gateways.changed(statuses)
        for ref in statuses:
            self.writer.ask(ref)
        self._ask_with_gateways(self.pools.changed(statuses))
        if any(ref.kind == DEFAULT_INGRESS_CLASS.kind for ref in self._dirty):
            self._ask_all('Ingress')
        # As in one update, the oldest come first: budgets leave room for them.
        order = sorted(self._dirty, key=partial(self.state.age, self.store))
        for start in range(0, len(order), _SETTLE_STEP):
            part = order[start : start + _SETTLE_STEP]
            change = self.state.update(self.store, part)
            self._dirty.difference_update(part)
            for failure in change.failures:
                log.error('internal error', extra={'object': str(failure.ref)}, exc_info=failure.error)
            self.gateways.follow(change)
            self.gateways.changed(part)
            self._ask_with_gateways(self.pools.changed(part))
            for ref in {ref for ref in (*part, *change.judged) if ref.kind in _STATUS_KINDS}:
                self.writer.ask(ref)
            self.handover.changed(part)
            await asyncio.sleep(0)

    def _ask_with_gateways(self, services: set[Ref]) -> None:
        """Have Services looked at, and the Gateways whose they are."""
        for ref in services:
            self.writer.ask(ref)
        self.gateways.changed(services)

    def _follow_addresses(self, changes: frozenset[Ref] | set[Ref]) -> None:
        """Have the Services looked at that publish the addresses of the edge, when those change."""
        settings = self.options.context.settings
        if not settings.status_addresses or changes.isdisjoint(addresses.sources(settings)):
            return
        edge_addresses = addresses.edge_addresses_of(settings, self.store)
        if edge_addresses == self.statuses.edge_addresses:
            return
        self.statuses.edge_addresses = edge_addresses
        self._ask_all()

    def _ask_all(self, *kinds: str) -> None:
        for ref in self._objects_with_status(*kinds):
            self.writer.ask(ref)

    def _objects_with_status(self, *kinds: str) -> list[Ref]:
        """Return the objects whose status is written, of some kinds or all."""
        return [item.ref for item in self.store.objects() if item.ref.kind in (kinds or _STATUS_KINDS)]

    _agents_unknown = False

    def decide(self, ref: Ref) -> DesiredStatus | GatewayWrite | None:
        """Return what the status of an object shall be now; None when it is gone, or its status is not ours to write."""
        write = self._decide(ref)
        return versions.until_read(write) if self.agents.has_unread else write

    def _decide(self, ref: Ref) -> DesiredStatus | GatewayWrite | None:
        if ref.kind in gateways.KINDS:
            return self.gateways.decide(ref)
        if (service := self.store.get(ref, Service)) is not None:
            return self.statuses.of_service(service)
        ingress = self.store.get(ref, Ingress)
        return self.statuses.of_ingress(ingress) if ingress is not None else None

    async def _follow_agents(self) -> None:
        while True:
            await asyncio.sleep(_HANDOVER_AGENTS_SECONDS if self.handover.waits else _AGENTS_SECONDS)
            with contextlib.suppress(CallError):
                await self._ask_agents()

    async def _ask_agents(self) -> None:
        """Read the agents' Leases, and have the objects looked at of which they tell something else than before."""
        labels = {CLASS_LABEL: self.options.context.class_name}
        try:
            leases = await self.client.leases.list(self.options.namespace, labels)
        except CallError as error:
            if not self._agents_unknown:
                log.warning('the agents cannot be asked', extra={'error': str(error)[:300]})
            self._agents_unknown = True
            return
        self._agents_unknown = False
        before, known = self.agents.applied_epochs, (set(self.agents.roles), self.agents.has_unread)
        changes = await self.agents.take(leases, dt.datetime.now(dt.UTC), self.counter.value)
        if self.agents.applied_epochs != before:
            self.handover.progressed()
        self.handover.changed(changes)
        is_known = known == (self.agents.roles, self.agents.has_unread)
        for ref in changes if is_known else self._objects_with_status():
            self.writer.ask(ref)
        await self.versions.note(self.agents.living)
