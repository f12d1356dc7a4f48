"""An agent's own Lease: that it lives, the epoch that it has applied, and diagnostics that only it can know.

Promises: written at most every five seconds for news, and every ten without; bounded, whatever is wrong with how many
objects, and shared fairly between namespaces. It is the only object that an agent writes. Its labels, and that it is renewed, mean
the same in every form; what its annotations mean is the form REPORT.
"""

import asyncio
import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from headrace import forms
from headrace.diagnostics import Diagnostic, Level
from headrace.kube import lease as leases
from headrace.kube.calls import CallError
from headrace.kube.lease import CLASS_LABEL, EPOCH, ROLE_LABEL, Leases

log = logging.getLogger(__name__)
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
    """What an agent has to say: its epoch, and a number that changes with its diagnostics, which are made on request."""

    epoch: int = 0
    revision: int = 0
    diagnostics: Callable[[], Iterable[Diagnostic]] = field(default=tuple, compare=False)


def annotations(epoch: int, diagnostics: Iterable[Diagnostic]) -> dict[str, str]:
    """Return a report as the Lease's annotations: at most 100 diagnostics and 64 kB of them, and how many are left out.

    The worst come first; of equally bad ones the first of each namespace, then the second of each.
    """
    texts: list[bytes] = []
    omitted: Counter[str] = Counter()
    size = 2
    for diagnostic in _fairly(diagnostics):
        text = b''
        if len(texts) < MOST_DIAGNOSTICS:
            text = msgspec.json.encode({**diagnostic.value, 'message': diagnostic.message[:LONGEST]})
        # One that is too long must not hide those after it.
        if text and size + len(text) + 1 <= MOST_BYTES:
            size += len(text) + 1
            texts.append(text)
        else:
            omitted[diagnostic.ref.namespace] += 1
    entries = {EPOCH: str(epoch), DIAGNOSTICS: '[' + b','.join(texts).decode() + ']'}
    if omitted:
        entries[OMITTED] = msgspec.json.encode(dict(omitted.most_common(MOST_DIAGNOSTICS))).decode()
    return entries


def _fairly(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    turns: Counter[tuple[Level, str]] = Counter()
    order: list[tuple[int, int, Diagnostic]] = []
    for diagnostic in sorted(diagnostics):
        turn = (diagnostic.level, diagnostic.ref.namespace)
        order.append((_ORDER.index(diagnostic.level), turns[turn], diagnostic))
        turns[turn] += 1
    return [diagnostic for _, _, diagnostic in sorted(order)]


def document(identity: Identity, report: dict[str, str], now: dt.datetime) -> leases.Document:
    """Return the Lease as it is written, with some annotations."""
    lease = leases.make(identity.namespace, identity.lease, identity.name, DURATION_SECONDS, now)
    metadata = lease['metadata']
    metadata['labels'] = {
        CLASS_LABEL: identity.class_name,
        ROLE_LABEL: identity.role,
        **leases.version_labels(forms.REPORT),
    }
    metadata['annotations'] = {**report, **({NODE: identity.node} if identity.node else {})}
    if identity.uid:
        metadata['ownerReferences'] = [{'apiVersion': 'v1', 'kind': 'Pod', 'name': identity.name, 'uid': identity.uid}]
    return lease


class AgentLease:
    """Keeps the Lease written. `report` is asked for news."""

    def __init__(self, calls: Leases, identity: Identity, report: Callable[[], Report]) -> None:
        self._leases, self.identity, self._report = calls, identity, report
        self._version = ''
        self._last_report: Report | None = None
        self._last_write = float('-inf')
        self._annotations: dict[str, str] = {}
        self._is_failing = False
        self._turn = asyncio.Lock()

    async def run(self) -> None:
        """Write the Lease until cancelled."""
        while True:
            report, age = self._report(), time.monotonic() - self._last_write
            if age >= _RENEW_SECONDS or (age >= _NEWS_SECONDS and report != self._last_report):
                async with self._turn:
                    await self._write(report)
            await asyncio.sleep(_STEP_SECONDS)

    async def _write(self, report: Report) -> None:
        self._last_write = time.monotonic()
        if report != self._last_report:
            self._annotations = annotations(report.epoch, report.diagnostics())
        lease = document(self.identity, self._annotations, dt.datetime.now(dt.UTC))
        try:
            self._version = await self._leases.put(lease, self._version)
        except CallError as error:
            if not self._is_failing:
                log.warning('the Lease cannot be written', extra={'error': str(error)})
            self._is_failing, self._version, self._last_report = True, '', None
            return
        self._is_failing, self._last_report = False, report

    async def withdraw(self) -> None:
        """Remove the Lease, and write none any more."""
        await self._turn.acquire()
        try:
            await self._leases.delete(self.identity.namespace, self.identity.lease)
        except CallError as error:
            log.info('the Lease stays', extra={'error': str(error)})
