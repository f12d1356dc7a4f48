"""What the agents tell in their Leases: who lives, which epoch each has applied, and diagnostics that only they can know.

Such a Lease is trusted no more than needed: what does not parse is left out, and texts are shortened.
"""

import asyncio
import datetime as dt
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import client

from headrace import names
from headrace.controller.client import decoded
from headrace.diagnostics import REASONS, Diagnostic
from headrace.kube import lease as leases
from headrace.kube.lease import DIAGNOSTICS, EPOCH, LONGEST, MOST_BYTES, MOST_DIAGNOSTICS, NODE, ROLE_LABEL
from headrace.names import Ref
from headrace.translate.build_context import Role


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as its Lease shows it."""

    name: str
    role: str
    epoch: int
    diagnostics: tuple[Diagnostic, ...]
    node: str = ''


def lives(lease: client.V1Lease, now: dt.datetime) -> bool:
    """Tell whether a Lease has not run out."""
    spec = lease.spec
    if spec is None or spec.renew_time is None or not spec.lease_duration_seconds:
        return False
    return bool(now - spec.renew_time < dt.timedelta(seconds=spec.lease_duration_seconds))


def _text(lease: client.V1Lease) -> str:
    """Return the diagnostics of a Lease as they are written."""
    annotations = (lease.metadata and lease.metadata.annotations) or {}
    return str(annotations.get(DIAGNOSTICS, ''))


def _agent(lease: client.V1Lease, counter: int, found: tuple[Diagnostic, ...]) -> Agent:
    metadata = lease.metadata
    assert metadata is not None
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    told = leases.epoch(annotations.get(EPOCH, ''))
    return Agent(
        str(metadata.name),
        labels.get(ROLE_LABEL, ''),
        told if told <= counter else 0,
        found,
        annotations.get(NODE, ''),
    )


def diagnostics(text: str) -> tuple[Diagnostic, ...]:
    """Return the diagnostics in a Lease's annotation."""
    try:
        held = decoded(text) if len(text) <= MOST_BYTES else None
    except RecursionError:
        held = None
    items = held[:MOST_DIAGNOSTICS] if isinstance(held, list) else []
    return tuple(sorted(diagnostic for item in items if (diagnostic := _diagnostic(item)) is not None))


def _diagnostic(item: Any) -> Diagnostic | None:
    reason = item.get('reason') if isinstance(item, dict) else None
    if not isinstance(reason, str) or reason not in REASONS:
        return None
    texts = [str(item.get(key, ''))[:LONGEST] for key in ('kind', 'namespace', 'name', 'message', 'field')]
    kind, namespace, name, message, field = texts
    return Diagnostic(Ref(kind, namespace, name), reason, message, field)


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
        self._parsed: dict[str, tuple[Diagnostic, ...]] = {}
        self._told: dict[Ref, dict[str, tuple[Diagnostic, ...]]] = {}

    async def take(self, found: Iterable[client.V1Lease], now: dt.datetime, counter: int = sys.maxsize) -> set[Ref]:
        """Take the Leases as they are now, and return the objects with other diagnostics than before.

        An agent that tells an epoch above the controller's counter has it from another source, and has applied nothing known.
        """
        parsed: dict[str, tuple[Diagnostic, ...]] = {}
        known: dict[str, Agent] = {}
        for lease in found:
            if lives(lease, now):
                agent = await self._read(lease, counter, parsed)
                known[agent.name] = agent
        self._parsed = parsed
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

    async def _read(self, lease: client.V1Lease, counter: int, parsed: dict[str, tuple[Diagnostic, ...]]) -> Agent:
        text = _text(lease)
        key = names.digest(text[: MOST_BYTES + 1])
        if key not in parsed:
            if key not in self._parsed:
                # To parse the most that a Lease may hold takes milliseconds.
                await asyncio.sleep(0)
            parsed[key] = self._parsed.get(key) or diagnostics(text)
        return _agent(lease, counter, parsed[key])

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
