"""An agent in the process of the test, so that a test can reach into it."""

import asyncio

from headrace.agent.agent import Agent
from headrace.cli import running


def agent(live):
    """Return the agent of a test, to be run in this process."""
    given = running.run.make_context('run', live.command()[2:]).params
    return Agent(running._options(given, None, given['role'][0]))


async def serving(agent, work):
    """Run an agent until it serves, and then some work; return what that returned."""
    run = asyncio.create_task(agent.run())
    try:
        async with asyncio.timeout(30):
            while not agent.admin.synced:
                assert not run.done(), run.result()
                await asyncio.sleep(0.01)
            return await work()
    finally:
        agent.stopping.set()
        agent.hurry.set()
        await run
