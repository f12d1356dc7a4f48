"""What one namespace writes at once does not keep the event loop from others."""

import asyncio

from headrace.cluster import reading
from headrace.names import Ref
from support import inprocess
from support.objects import service

MANY = 500
NAMES = [f's{number}' for number in range(MANY)]


async def turns(work):
    """Return how often others got their turn while something was done."""
    task, count = asyncio.create_task(work), 0
    await asyncio.sleep(0)
    while not task.done():
        count += 1
        await asyncio.sleep(0)
    await task
    return count


def test_probes_are_answered_while_many_services_come_and_go_at_once(live, town):
    agent = inprocess.agent(live)

    async def work():
        for name in NAMES:
            agent.store.put(reading.read(service(name, annotations={'host': f'{name}.example.com'})).object)
        come = await turns(agent.loop.settle())
        for name in NAMES:
            agent.store.drop(Ref('Service', 'shop', name))
        # Removals are sent later, so nothing is waited for here.
        gone = await turns(agent.loop.settle())
        assert not set(NAMES) & {ref.name for ref in agent.loop.state.fragments}
        return come, gone

    come, gone = asyncio.run(inprocess.serving(agent, work))
    assert min(come, gone) >= MANY // 100 - 1
