"""Background maintenance: writes files, deletes removed servers, drains old workers, detects drift.

Nothing here makes a change wait for longer than a few commands.
"""

import asyncio
import logging
import time

from headrace.haproxy.encode.commands import OfBackend
from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.render.templating import TemplateError
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.files import WriteError
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.haproxy.runtime.worker import Worker
from headrace.ir.policy import Map
from headrace.names import Ref
from headrace.settings.settings import milliseconds

log = logging.getLogger(__name__)
# Changes wait for so many comparisons at most, some 0.3 ms each.
_COMPARED_AT_ONCE = 5
_BEHIND_SECONDS = 0.3


class Maintenance:
    """The tasks beside one applier; each runs until cancelled."""

    def __init__(self, applier: Applier) -> None:
        self.applier = applier

    async def relay(self) -> None:
        """Pass commands on to old workers. They may lack what is spoken of, so their answers do not matter."""
        applier = self.applier
        while True:
            command = await applier.relayed.get()
            for pid in applier.old_workers:
                try:
                    await applier.instance.haproxy.master.tell(pid, command.line)
                except RuntimeSocketError:
                    continue
                except Exception as error:  # noqa: BLE001  reported
                    applier.report('relay', error)

    async def write_files(self) -> None:
        """Keep the candidate at most a second behind."""
        applier = self.applier
        while True:
            await applier.behind.wait()
            await asyncio.sleep(_BEHIND_SECONDS)
            applier.behind.clear()
            try:
                await applier.staging.flush()
                if applier.stats.problem('files', ''):
                    log.info('files can be written again')
            except (WriteError, TemplateError) as error:
                if applier.stats.problem('files', str(error)):
                    log.error('files cannot be written', extra={'error': str(error)})  # noqa: TRY400  no trace needed
                applier.behind.set()
                await asyncio.sleep(1.0)
            except Exception as error:  # noqa: BLE001  reported
                await applier.search('render', error)
                applier.behind.set()
                await asyncio.sleep(1.0)

    async def remove(self) -> None:
        """Forget servers and backends that are gone, as their connections end."""
        applier = self.applier
        while True:
            worker = applier.worker
            due = worker.removals.next_due() if worker is not None else None
            if worker is None or due is None:
                applier.removing.clear()
                await applier.removing.wait()
                continue
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                attempts, given_up = await worker.remove_some()
            except RuntimeSocketError as error:
                if applier.worker is worker:
                    applier.lose(str(error))
                continue
            except Exception as error:  # noqa: BLE001  reported
                applier.report('remove', error)
                await asyncio.sleep(1.0)
                continue
            applier.stats.commands += attempts
            for item in given_up:
                log.warning('cannot be removed', extra={'command': item.command.named, 'answer': item.answer})
                subject = item.command.subject
                services = (subject.service,) if isinstance(subject, OfBackend) else ()
                applier.on_reasons([Reason('removal', f'{item.command.removes}: {item.answer}', services)])

    async def compare(self) -> None:
        """Read back what was changed, soon, and everything at long intervals; what differs is set right and counted."""
        applier = self.applier
        last = time.monotonic()
        while True:
            await asyncio.sleep(1.0)
            refs, applier.touched = applier.touched, set()
            every = time.monotonic() - last >= milliseconds(applier.settings.compare_interval) / 1000
            if every:
                last = time.monotonic()
                refs = set(applier.desired.fragments)
            worker = applier.worker
            try:
                await self._compare(sorted(refs), every=every)
            except RuntimeSocketError as error:
                if applier.worker is worker:
                    applier.lose(str(error))
            except Exception as error:  # noqa: BLE001  reported
                applier.report('compare', error)

    async def _compare(self, refs: list[Ref], *, every: bool) -> None:
        applier, repairs = self.applier, 0
        for start in range(0, len(refs), _COMPARED_AT_ONCE):
            if applier.worker is None:
                return
            repairs += await self._compare_some(applier.worker, refs[start : start + _COMPARED_AT_ONCE])
            await asyncio.sleep(0)
        for name in Map if every else ():
            if applier.worker is not None:
                repairs += await applier.worker.compare_maps([name])
                await asyncio.sleep(0)
        if every and applier.worker is not None:
            repairs += await applier.worker.compare_strangers()
        if repairs:
            applier.stats.drift += 1
            applier.stats.repairs += repairs
            applier.removing.set()
            log.error('HAProxy was not what it should be; it is set right', extra={'commands': repairs})

    async def _compare_some(self, worker: Worker, refs: list[Ref]) -> int:
        """Compare some objects; where one fails unexpectedly the others are compared all the same."""
        try:
            return await worker.compare(refs)
        except RuntimeSocketError:
            raise
        except Exception as error:  # noqa: BLE001  reported
            if len(refs) == 1:
                self.applier.report('compare', error)
                return 0
        return sum([await self._compare_some(worker, [ref]) for ref in refs])
