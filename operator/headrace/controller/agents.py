"""What the agents tell in their Leases: who lives, which epoch each has applied, and verdicts that only they can know.

Whoever writes such a Lease is believed no more than needed: what does not parse is left out, and texts are shortened.
"""

import datetime as dt
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kubernetes.aio import client

from headrace.controller.client import decoded
from headrace.kube import lease as leases
from headrace.kube.lease import EPOCH, MOST_BYTES, MOST_VERDICTS, NODE, ROLE_LABEL, VERDICTS
from headrace.names import Ref
from headrace.verdicts import REASONS, Verdict

_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent as its Lease shows it."""

    name: str
    role: str
    epoch: int
    verdicts: tuple[Verdict, ...]
    node: str = ''


def living(found: Iterable[client.V1Lease], now: dt.datetime, counter: int = sys.maxsize) -> tuple[Agent, ...]:
    """Return the agents whose Leases have not run out, by name.

    One that tells an epoch above the controller's counter has it from somebody else, and has applied nothing known.
    """
    lived = [_agent(lease, counter) for lease in found if _lives(lease, now)]
    return tuple(sorted(lived, key=lambda agent: agent.name))


def _lives(lease: client.V1Lease, now: dt.datetime) -> bool:
    spec = lease.spec
    if spec is None or spec.renew_time is None or not spec.lease_duration_seconds:
        return False
    return bool(now - spec.renew_time < dt.timedelta(seconds=spec.lease_duration_seconds))


def _agent(lease: client.V1Lease, counter: int) -> Agent:
    metadata = lease.metadata
    assert metadata is not None
    labels, annotations = metadata.labels or {}, metadata.annotations or {}
    told = leases.epoch(annotations.get(EPOCH, ''))
    return Agent(
        str(metadata.name),
        labels.get(ROLE_LABEL, ''),
        told if told <= counter else 0,
        verdicts(annotations.get(VERDICTS, '')),
        annotations.get(NODE, ''),
    )


def verdicts(text: str) -> tuple[Verdict, ...]:
    """Return the verdicts in a Lease's annotation."""
    try:
        held = decoded(text) if len(text) <= MOST_BYTES else None
    except RecursionError:
        held = None
    items = held[:MOST_VERDICTS] if isinstance(held, list) else []
    return tuple(sorted(verdict for item in items if (verdict := _verdict(item)) is not None))


def _verdict(item: Any) -> Verdict | None:
    reason = item.get('reason') if isinstance(item, dict) else None
    if not isinstance(reason, str) or reason not in REASONS:
        return None
    texts = [str(item.get(key, ''))[:_LONGEST] for key in ('kind', 'namespace', 'name', 'message', 'field')]
    kind, namespace, name, message, field = texts
    return Verdict(Ref(kind, namespace, name), reason, message, field)
