"""Agents of other versions than the controller's, and how that is made visible.

Promises: which versions run is logged when it changes. While an upgrade goes on other versions are usual, so an Event in the
controller's namespace tells only of one that stays, and at once of a report that cannot be read. What agents may have a say in
is not written then: it would take back what they said.
"""

import contextlib
import logging
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from headrace.controller import events
from headrace.controller.agents import Agent
from headrace.controller.client import Client
from headrace.controller.conditions import Occurrence, Subject
from headrace.controller.gateways import GatewayWrite
from headrace.controller.writer import DesiredStatus
from headrace.kube.calls import CallError
from headrace.kube.lease import VERSION
from headrace.names import Ref

log = logging.getLogger(__name__)
# An upgrade takes less.
_PATIENCE_SECONDS = 900.0
# An Event lives for an hour.
_REPEAT_SECONDS = 2700.0
_MOST_NAMES = 3
# Of an agent whose Lease does not say its version.
_UNKNOWN = 'unknown'


class AgentVersions:
    """Notes what versions the agents of a class run; `instance` is the controller that says so."""

    def __init__(self, client: Client, class_name: str, namespace: str, instance: str) -> None:
        self._client, self._class_name, self._namespace, self._instance = client, class_name, namespace, instance
        self._versions: Counter[str] = Counter()
        self._since, self._last_event = 0.0, float('-inf')

    async def note(self, agents: Iterable[Agent]) -> None:
        """Take the agents that live now."""
        others = [agent for agent in agents if agent.version != VERSION or not agent.is_readable]
        versions, now = Counter(agent.version or _UNKNOWN for agent in others), time.monotonic()
        if versions and not self._versions:
            self._since = now
        if versions.keys() != self._versions.keys():
            log.info('agents of other versions', extra={'version': VERSION, 'others': _list(versions) or 'none'})
        self._versions = versions
        unreadable = sorted(agent.name for agent in others if not agent.is_readable)
        is_due = unreadable or (versions and now - self._since >= _PATIENCE_SECONDS)
        if is_due and now - self._last_event >= _REPEAT_SECONDS:
            self._last_event = now
            with contextlib.suppress(CallError):
                await self._tell(unreadable)

    async def _tell(self, unreadable: list[str]) -> None:
        reason, note = 'AgentsOfAnotherVersion', f'agents run {_list(self._versions)}, the controller {VERSION}'
        if unreadable:
            names = ', '.join(unreadable[:_MOST_NAMES]) + (', …' if len(unreadable) > _MOST_NAMES else '')
            reason = 'AgentsOfNewerVersion'
            note += (
                f'; it cannot read what {names} report: no Service is handed over to them, and statuses wait, until the '
                'controllers are upgraded'
            )
            log.error('reports of newer agents cannot be read', extra={'agents': names})
        subject = Subject(Ref('Namespace', '', self._namespace))
        occurrence = Occurrence(f'headrace-{self._class_name}.{reason.lower()}', reason, note)
        await events.tell(self._client, subject, occurrence, 'Upgrade', self._instance)


def _list(versions: Counter[str]) -> str:
    return ', '.join(f'{version} ({count})' for version, count in sorted(versions.items()))


def until_read(write: DesiredStatus | GatewayWrite | None) -> DesiredStatus | GatewayWrite | None:
    """Return the part of a write that does not depend on agents, for while the report of one cannot be read."""
    if isinstance(write, GatewayWrite):
        return replace(write, status={})
    if write is None or any(each.status == 'False' for each in write.conditions):
        return write
    return replace(write, conditions=write.current.conditions)
