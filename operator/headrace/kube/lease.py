"""An agent's own Lease: that it lives, the epoch that it has applied, and diagnostics that only it can know.

Promises: written at most every five seconds for news, and every ten without; bounded, whatever is wrong with how many
objects, and shared fairly between namespaces. It is the only object that an agent writes.
"""

import asyncio
import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from headrace.diagnostics import Diagnostic, Level
from headrace.kube.calls import CallError, Calls, ConflictError, NotFoundError

log = logging.getLogger(__name__)
CLASS_LABEL = 'headrace.io/class'
ROLE_LABEL = 'headrace.io/role'
EPOCH = 'headrace.io/epoch'
EPOCH_HOLDER = 'headrace.io/epoch-holder'
NODE = 'headrace.io/node-name'
DIAGNOSTICS = 'headrace.io/diagnostics'
OMITTED = 'headrace.io/diagnostics-omitted'
MOST_DIAGNOSTICS = 100
MOST_BYTES = 64 * 1024
# Of a text; a longer one would take the place of others.
LONGEST = 1000
DURATION_SECONDS = 40
_RENEW_SECONDS = 10.0
_NEWS_SECONDS = 5.0
_STEP_SECONDS = 0.5
_ORDER = tuple(Level)
_DIGITS = 18


@dataclass(frozen=True, slots=True)
class Identity:
    """Whose Lease it is. `uid` is the pod's, so that the Lease goes with it; '' outside of a cluster.

    `node` is the Node that it serves, which an agent of the node role tells.
    """

    namespace: str
    name: str
    class_name: str
    role: str
    uid: str = ''
    node: str = ''

    @property
    def lease(self) -> str:
        """Return the Lease's name."""
        return f'{self.class_name}-{self.role}-{self.name}'[:253].rstrip('-.')


@dataclass(frozen=True, slots=True)
class Report:
    """What an agent has to say."""

    epoch: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()


def annotations(report: Report) -> dict[str, str]:
    """Return a report as the Lease's annotations: at most 100 diagnostics and 64 kB of them, and how many are left out.

    The worst come first; of equally bad ones the first of each namespace, then the second of each.
    """
    kept: list[bytes] = []
    omitted: Counter[str] = Counter()
    size = 2
    for diagnostic in _fairly(report.diagnostics):
        text = msgspec.json.encode(_value(diagnostic)) if len(kept) < MOST_DIAGNOSTICS else b''
        # One that is too long must not hide those after it.
        if text and size + len(text) + 1 <= MOST_BYTES:
            size += len(text) + 1
            kept.append(text)
        else:
            omitted[diagnostic.ref.namespace] += 1
    made = {EPOCH: str(report.epoch), DIAGNOSTICS: '[' + b','.join(kept).decode() + ']'}
    if omitted:
        made[OMITTED] = msgspec.json.encode(dict(omitted.most_common(MOST_DIAGNOSTICS))).decode()
    return made


def _fairly(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    turns: Counter[tuple[Level, str]] = Counter()
    order: list[tuple[int, int, Diagnostic]] = []
    for diagnostic in sorted(diagnostics):
        turn = (diagnostic.level, diagnostic.ref.namespace)
        order.append((_ORDER.index(diagnostic.level), turns[turn], diagnostic))
        turns[turn] += 1
    return [diagnostic for _, _, diagnostic in sorted(order)]


def _value(diagnostic: Diagnostic) -> dict[str, str]:
    ref = diagnostic.ref
    return {
        'kind': ref.kind,
        'namespace': ref.namespace,
        'name': ref.name,
        'reason': diagnostic.reason,
        'message': diagnostic.message[:LONGEST],
        'field': diagnostic.field,
    }


def document(identity: Identity, report: Report, now: dt.datetime) -> dict[str, Any]:
    """Return the Lease as it is written (coordination.k8s.io/v1)."""
    stamp = now.astimezone(dt.UTC).strftime('%Y-%m-%dT%H:%M:%S.%fZ')
    metadata: dict[str, Any] = {
        'name': identity.lease,
        'namespace': identity.namespace,
        'labels': {CLASS_LABEL: identity.class_name, ROLE_LABEL: identity.role},
        'annotations': annotations(report),
    }
    if identity.node:
        metadata['annotations'][NODE] = identity.node
    if identity.uid:
        metadata['ownerReferences'] = [{'apiVersion': 'v1', 'kind': 'Pod', 'name': identity.name, 'uid': identity.uid}]
    spec = {'holderIdentity': identity.name, 'leaseDurationSeconds': DURATION_SECONDS, 'renewTime': stamp}
    return {'apiVersion': 'coordination.k8s.io/v1', 'kind': 'Lease', 'metadata': metadata, 'spec': spec}


class AgentLease:
    """Keeps the Lease written. `report` is asked for news."""

    def __init__(self, calls: Calls, identity: Identity, report: Callable[[], Report]) -> None:
        self._calls, self.identity, self._report = calls, identity, report
        self._version = ''
        self._written = Report()
        self._written_at = float('-inf')
        self.problem = ''
        self._turn = asyncio.Lock()

    @property
    def _path(self) -> str:
        return f'/apis/coordination.k8s.io/v1/namespaces/{self.identity.namespace}/leases'

    async def run(self) -> None:
        """Write the Lease until cancelled."""
        while True:
            report, age = self._report(), time.monotonic() - self._written_at
            if age >= _RENEW_SECONDS or (age >= _NEWS_SECONDS and report != self._written):
                async with self._turn:
                    await self._write_once(report)
            await asyncio.sleep(_STEP_SECONDS)

    async def _write_once(self, report: Report) -> None:
        self._written_at = time.monotonic()
        try:
            await self._write(report)
        except CallError as error:
            if not self.problem:
                log.warning('the Lease cannot be written', extra={'said': str(error)})
            self.problem = str(error)
            return
        self.problem, self._written = '', report

    async def _write(self, report: Report) -> None:
        wanted = document(self.identity, report, dt.datetime.now(dt.UTC))
        for _ in range(2):
            try:
                if not self._version:
                    self._version = await self._held_version()
                if self._version:
                    wanted['metadata']['resourceVersion'] = self._version
                    made = await self._calls.call('PUT', f'{self._path}/{self.identity.lease}', wanted)
                else:
                    wanted['metadata'].pop('resourceVersion', None)
                    made = await self._calls.call('POST', self._path, wanted)
            except (ConflictError, NotFoundError):
                # It was changed or removed meanwhile: read it again, once.
                self._version = ''
                continue
            self._version = made['metadata']['resourceVersion']
            return
        raise CallError(f'{self.identity.lease}: another process writes it')

    async def _held_version(self) -> str:
        try:
            held = await self._calls.call('GET', f'{self._path}/{self.identity.lease}')
        except NotFoundError:
            return ''
        return str(held['metadata']['resourceVersion'])

    async def withdraw(self) -> None:
        """Remove the Lease, and write none any more."""
        await self._turn.acquire()
        try:
            await self._calls.call('DELETE', f'{self._path}/{self.identity.lease}')
        except CallError as error:
            log.info('the Lease stays', extra={'said': str(error)})


def epoch(text: str) -> int:
    """Return the number of an epoch that a Service carries, 0 for none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _DIGITS else 0
