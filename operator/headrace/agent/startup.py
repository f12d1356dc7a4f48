"""How an agent begins: all files are written, and HAProxy is adopted where it runs, else started."""

import asyncio
import logging

from headrace.agent.loop import Loop
from headrace.agent.node_table import NodeTable
from headrace.haproxy.render.templating import TemplateError
from headrace.haproxy.runtime.files import WriteError
from headrace.haproxy.runtime.process import HaproxyStartError
from headrace.haproxy.runtime.reloads import Reloads
from headrace.haproxy.runtime.sockets import RuntimeSocketError
from headrace.haproxy.runtime.versions import OldHaproxyError

log = logging.getLogger(__name__)


async def begin(loop: Loop, reloads: Reloads, table: NodeTable | None) -> None:
    """Find HAProxy or start it, and send it the model.

    Raises HaproxyMissingError, HaproxyStartError, OldHaproxyError, TemplateError and WriteError.
    """
    applier = loop.applier
    await _fill(loop)
    haproxy = applier.instance.haproxy
    running = await haproxy.running()
    if table is not None:
        await table.begin(bypass=not running)
    if not running:
        if haproxy.binary:
            await _start(loop, reloads)
            return
        # HAProxy is started by another process, from this.
        await reloads.promote()
    while True:
        try:
            await applier.join()
        except RuntimeSocketError as error:
            applier.lose(str(error))
            await asyncio.sleep(0.1)
        except OldHaproxyError:
            raise
        except Exception as error:  # noqa: BLE001  reported, or of an object that is left out
            await loop.search('adopt', error)
            await asyncio.sleep(1.0)
        else:
            return


async def _fill(loop: Loop) -> None:
    """Write all files; objects that cannot be rendered are left out. Raises WriteError and TemplateError."""
    staging = loop.applier.staging
    try:
        await asyncio.to_thread(staging.fill)
    except (WriteError, TemplateError):
        raise
    except Exception as error:  # noqa: BLE001  reported, or of an object that is left out
        await loop.search('render', error)
        await asyncio.to_thread(staging.fill)


async def _start(loop: Loop, reloads: Reloads) -> None:
    """Start HAProxy; its own start is the check, and only when it fails the culprits are searched."""
    applier = loop.applier
    await applier.instance.generations.promote(await applier.freezer.freeze())
    try:
        await applier.start()
    except HaproxyStartError as error:
        log.error('HAProxy did not start', extra={'error': str(error)[:500]})  # noqa: TRY400  it said why
        if not await reloads.promote():
            raise
        await applier.start()
    await applier.join()
