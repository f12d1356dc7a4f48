"""What the agents tell in their Leases: who lives, which epoch each has applied, and diagnostics that only they can know.

Such a Lease is trusted no more than needed: what does not parse is left out, and texts are shortened.
"""

import asyncio
import datetime as dt
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from headrace import diagnostics as parsing
from headrace.diagnostics import Diagnostic
from headrace.kube import lease as leases
from headrace.kube.agent_lease import DIAGNOSTICS, LONGEST, MOST_BYTES, MOST_DIAGNOSTICS, NODE
from headrace.kube.lease import EPOCH, ROLE_LABEL, Document
from headrace.names import Ref
from headrace.translate.build_context import Role


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as its Lease shows it; `text` is that of its diagnostics there."""

    name: str
    role: str
    epoch: int
    diagnostics: tuple[Diagnostic, ...]
    node: str = ''
    text: str = field(default='', compare=False, repr=False)


def _agent(lease: Document, counter: int, text: str, diagnostics: tuple[Diagnostic, ...]) -> Agent:
    metadata, annotations = lease['metadata'], leases.annotations(lease)
    epoch = leases.epoch(annotations.get(EPOCH, ''))
    role = (metadata.get('labels') or {}).get(ROLE_LABEL, '')
    known = epoch if epoch <= counter else 0
    return Agent(str(metadata['name']), role, known, diagnostics, annotations.get(NODE, ''), text)


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """Return the diagnostics in a Lease's annotation."""
    try:
        found = msgspec.json.decode(text) if len(text) <= MOST_BYTES else None
    except (msgspec.DecodeError, RecursionError):
        found = None
    items = found[:MOST_DIAGNOSTICS] if isinstance(found, list) else []
    return tuple(sorted(each for item in items if (each := parsing.parse(item, LONGEST)) is not None))


class Agents:
    """The agents that live, and what they tell about each object; takes the Leases as often as they are read.

    Promises: a text that a Lease has held before, or another Lease holds, is not parsed again.
    """

    def __init__(self) -> None:
        self.living: tuple[Agent, ...] = ()
        # The roles of all agents that have been seen.
        self.roles: set[str] = set()
        # The epoch that each Node's agent has applied.
        self.applied: dict[str, int] = {}
        self._known: dict[str, Agent] = {}
        self._told: dict[Ref, dict[str, tuple[Diagnostic, ...]]] = {}

    async def take(self, found: Iterable[Document], now: dt.datetime, counter: int = sys.maxsize) -> set[Ref]:
        """Take the Leases as they are now, and return the objects with other diagnostics than before.

        An agent that tells an epoch above the controller's counter has it from another source, and has applied nothing known.
        """
        parsed = {agent.text: agent.diagnostics for agent in self._known.values()}
        known: dict[str, Agent] = {}
        for lease in found:
            if leases.lives(lease, now):
                text = leases.annotations(lease).get(DIAGNOSTICS, '')
                if text not in parsed:
                    # To parse the most that a Lease may hold takes milliseconds.
                    await asyncio.sleep(0)
                    parsed[text] = diagnostics(text)
                agent = _agent(lease, counter, text, parsed[text])
                known[agent.name] = agent
        changed: set[Ref] = set()
        for name in known.keys() | self._known.keys():
            before, after = self._known.get(name), known.get(name)
            touched = self._replace(name, before, after)
            changed |= touched
            if touched:
                await asyncio.sleep(0)
        self.living = tuple(known[name] for name in sorted(known))
        self.roles.update(agent.role for agent in self.living)
        self.applied = {}
        for agent in self.living:
            if agent.role == Role.NODE and agent.node:
                self.applied[agent.node] = max(agent.epoch, self.applied.get(agent.node, -1))
        return changed

    def _replace(self, name: str, before: Agent | None, after: Agent | None) -> set[Ref]:
        """Let an agent stand as it is now, and return the objects about which it tells something else."""
        if after is None:
            del self._known[name]
        else:
            self._known[name] = after
            if before is not None and (before.role, before.diagnostics) == (after.role, after.diagnostics):
                return set()
        for diagnostic in before.diagnostics if before else ():
            self._told.get(diagnostic.ref, {}).pop(name, None)
        for diagnostic in after.diagnostics if after else ():
            told = self._told.setdefault(diagnostic.ref, {})
            told[name] = (*told.get(name, ()), diagnostic)
        touched = {diagnostic.ref for agent in (before, after) if agent for diagnostic in agent.diagnostics}
        for ref in touched:
            if not self._told.get(ref):
                self._told.pop(ref, None)
        return touched

    def about(self, ref: Ref, role: str = '') -> tuple[Diagnostic, ...]:
        """Return what agents, those of a role or all, tell about an object."""
        told = self._told.get(ref, {})
        found = {each for name in told if role in ('', self._known[name].role) for each in told[name]}
        return tuple(sorted(found))
