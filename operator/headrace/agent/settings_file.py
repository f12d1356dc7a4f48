"""The class's settings as a file that is read again when it changes.

Promises: settings that cannot be used change nothing; those that need a restart stay as they are, and are named.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from headrace.agent.loop import Loop
from headrace.haproxy.plan.reload_reasons import Reason
from headrace.haproxy.runtime import probe
from headrace.haproxy.runtime.apply import Applier
from headrace.haproxy.runtime.reloads import Reloads
from headrace.resolve.state import State
from headrace.settings import settings as class_settings
from headrace.settings.settings import Settings, SettingsError
from headrace.translate import build_context

log = logging.getLogger(__name__)
_SECONDS = 1.0


class SettingsFile:
    """The file, if there is one; `adjust` gives the settings what options of the command line say."""

    def __init__(self, path: Path | None, adjust: Callable[[Settings], Settings], loop: Loop, reloads: Reloads) -> None:
        self._path, self._adjust, self._loop, self._reloads = path, adjust, loop, reloads

    async def follow(self) -> None:
        """Read the settings again when the file changes: a look once a second costs nothing, and misses nothing."""
        if self._path is None:
            await asyncio.Event().wait()
            return
        previous = ''
        while True:
            try:
                text = await asyncio.to_thread(self._path.read_text)
                if text != previous:
                    previous = text
                    await self.read(text)
            except (OSError, UnicodeDecodeError, SettingsError) as error:
                if self._loop.applier.stats.problem('settings', str(error)):
                    log.error('the settings cannot be used; the old ones stay', extra={'error': str(error)})  # noqa: TRY400
            await asyncio.sleep(_SECONDS)

    async def read(self, text: str) -> None:
        """Go on with the settings of this text; raises SettingsError."""
        context, applier = self._loop.state.context, self._loop.applier
        settings = self._adjust(class_settings.parse(text))
        fixed = class_settings.changed(context.settings, settings, 'restart')
        effective = class_settings.with_old(context.settings, settings, fixed)
        applier.stats.problem('settings', f'{", ".join(sorted(fixed))}: changed, and need a restart' if fixed else '')
        if effective == context.settings:
            return
        changed = sorted(class_settings.changed(context.settings, effective, 'reload'))
        reload = await self._loop.exchange(State(build_context.with_settings(context, effective)))
        note_lack(applier)
        log.info('read the settings again', extra={'restart': ', '.join(sorted(fixed))})
        if reload:
            detail = ', '.join(changed) or 'the settings of the class changed'
            self._reloads.ask([Reason('settings', detail, administrator=True)])


def note_lack(applier: Applier) -> None:
    """Note what of the settings this HAProxy cannot do."""
    lack = probe.lacking(applier.settings, quic=applier.instance.quic)
    if applier.stats.problem('build', lack) and lack:
        log.error('HAProxy cannot do what the settings ask for', extra={'error': lack})
