"""How `headrace run` ends."""

import asyncio
import time

import pytest

from headrace.cli import running
from headrace.kube.watch import WatchEndedError


async def never_ends():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


def test_a_task_that_survives_its_cancellation_does_not_keep_the_process(monkeypatch):
    monkeypatch.setattr(running, '_CANCEL_SECONDS', 0.1)
    left = []

    async def work():
        left.append(asyncio.create_task(never_ends()))
        await asyncio.sleep(0)
        raise WatchEndedError('gone')

    began = time.monotonic()
    with pytest.raises(WatchEndedError):
        running._complete(work())
    assert time.monotonic() - began < 10
    # asyncio would tell of it when it is collected.
    left[0]._log_destroy_pending = False


def test_tasks_that_are_left_may_clean_up():
    seen = []

    async def tidy():
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)
            seen.append('tidy')

    async def work():
        task = asyncio.create_task(tidy())
        await asyncio.sleep(0)
        assert not task.done()

    running._complete(work())
    assert seen == ['tidy']
