"""What the agents tell in their Leases: who lives, which epoch each has applied, and diagnostics that only they can know.

Such a Lease is trusted no more than needed: what does not parse is left out, and texts are shortened. Of a report of a newer form
only that its agent lives is taken.
"""

import asyncio
import datetime as dt
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from headrace import diagnostics as parsing
from headrace import forms
from headrace.diagnostics import Diagnostic
from headrace.kube import lease as leases
from headrace.kube.agent_lease import DIAGNOSTICS, LONGEST, MOST_BYTES, MOST_DIAGNOSTICS, NODE
from headrace.kube.lease import EPOCH, ROLE_LABEL, VERSION_LABEL, Document
from headrace.names import Ref
from headrace.translate.build_context import Role


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as its Lease shows it; `text` is that of its diagnostics there.

    `version` is that of headrace, '' where the Lease does not say it. One whose report is not readable has applied nothing known.
    """

    name: str
    role: str
    epoch: int
    diagnostics: tuple[Diagnostic, ...]
    node: str = ''
    version: str = ''
    is_readable: bool = True
    text: str = field(default='', compare=False, repr=False)


def _agent(lease: Document, counter: int, diagnostics: tuple[Diagnostic, ...]) -> Agent:
    labels, annotations = leases.labels(lease), leases.annotations(lease)
    name, role, version = lease['metadata']['name'], labels.get(ROLE_LABEL, ''), labels.get(VERSION_LABEL, '')
    if not _is_readable(lease):
        return Agent(name, role, 0, (), version=version, is_readable=False)
    epoch = leases.epoch(annotations.get(EPOCH, ''))
    applied_epoch, text = epoch if epoch <= counter else 0, annotations.get(DIAGNOSTICS, '')
    return Agent(name, role, applied_epoch, diagnostics, annotations.get(NODE, ''), version, text=text)


def _is_readable(lease: Document) -> bool:
    return forms.read(leases.labels(lease)) <= forms.REPORT


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """Return the diagnostics in a Lease's annotation."""
    try:
        value = msgspec.json.decode(text) if len(text) <= MOST_BYTES else None
    except (msgspec.DecodeError, RecursionError):
        value = None
    items = value[:MOST_DIAGNOSTICS] if isinstance(value, list) else []
    return tuple(sorted(each for item in items if (each := parsing.parse(item, LONGEST)) is not None))


class Agents:
    """The agents that live, and what they tell about each object; takes the Leases as often as they are read.

    Promises: a text that a Lease has held before, or another Lease holds, is not parsed again.
    """

    def __init__(self) -> None:
        self.living: tuple[Agent, ...] = ()
        # Whether the report of one cannot be read, so that what it says of objects is not known.
        self.has_unread = False
        # The roles of all agents that have been seen.
        self.roles: set[str] = set()
        # The epoch that each Node's agent has applied.
        self.applied_epochs: dict[str, int] = {}
        self._agents: dict[str, Agent] = {}
        self._diagnostics: dict[Ref, dict[str, tuple[Diagnostic, ...]]] = {}

    async def take(self, agent_leases: Iterable[Document], now: dt.datetime, counter: int = sys.maxsize) -> set[Ref]:
        """Take the Leases as they are now, and return the objects with other diagnostics than before.

        An agent that tells an epoch above the controller's counter has it from another source, and has applied nothing known.
        """
        diagnostics_by_text = {agent.text: agent.diagnostics for agent in self._agents.values()}
        agents: dict[str, Agent] = {}
        for lease in agent_leases:
            if leases.lives(lease, now):
                text = leases.annotations(lease).get(DIAGNOSTICS, '') if _is_readable(lease) else ''
                if text not in diagnostics_by_text:
                    # To parse the most that a Lease may hold takes milliseconds.
                    await asyncio.sleep(0)
                    diagnostics_by_text[text] = diagnostics(text)
                agent = _agent(lease, counter, diagnostics_by_text[text])
                agents[agent.name] = agent
        changes: set[Ref] = set()
        for name in agents.keys() | self._agents.keys():
            before, after = self._agents.get(name), agents.get(name)
            refs = self._replace(name, before, after)
            changes |= refs
            if refs:
                await asyncio.sleep(0)
        self.living = tuple(agents[name] for name in sorted(agents))
        self.has_unread = not all(agent.is_readable for agent in self.living)
        self.roles.update(agent.role for agent in self.living)
        self.applied_epochs = {}
        for agent in self.living:
            if agent.role == Role.NODE and agent.node:
                self.applied_epochs[agent.node] = max(agent.epoch, self.applied_epochs.get(agent.node, -1))
        return changes

    def _replace(self, name: str, before: Agent | None, after: Agent | None) -> set[Ref]:
        """Let an agent stand as it is now, and return the objects about which it tells something else."""
        if after is None:
            del self._agents[name]
        else:
            self._agents[name] = after
            if before is not None and (before.role, before.diagnostics) == (after.role, after.diagnostics):
                return set()
        for diagnostic in before.diagnostics if before else ():
            self._diagnostics.get(diagnostic.ref, {}).pop(name, None)
        for diagnostic in after.diagnostics if after else ():
            by_agent = self._diagnostics.setdefault(diagnostic.ref, {})
            by_agent[name] = (*by_agent.get(name, ()), diagnostic)
        refs = {diagnostic.ref for agent in (before, after) if agent for diagnostic in agent.diagnostics}
        for ref in refs:
            if not self._diagnostics.get(ref):
                self._diagnostics.pop(ref, None)
        return refs

    def about(self, ref: Ref, role: str = '') -> tuple[Diagnostic, ...]:
        """Return what agents, those of a role or all, tell about an object."""
        by_agent = self._diagnostics.get(ref, {})
        messages = {each for name in by_agent if role in ('', self._agents[name].role) for each in by_agent[name]}
        return tuple(sorted(messages))
