"""What one namespace writes at once does not keep the event loop from others."""

import asyncio
import itertools

from headrace.cluster import reading
from headrace.names import Ref
from support import inprocess
from support.objects import service

MANY = 500
NAMES = [f's{number}' for number in range(MANY)]


async def steps(agent, work):
    """Return by how many objects the model changed from one turn of others to the next while something was done."""
    task, seen = asyncio.create_task(work), [len(agent.loop.state.fragments)]
    while not task.done():
        await asyncio.sleep(0)
        seen.append(len(agent.loop.state.fragments))
    await task
    return [abs(after - before) for before, after in itertools.pairwise(seen)]


def test_probes_are_answered_while_many_services_come_and_go_at_once(live, town):
    agent = inprocess.agent(live)

    async def work():
        for name in NAMES:
            agent.store.put(reading.read(service(name, annotations={'host': f'{name}.example.com'})).object)
        come = await steps(agent, agent.loop.settle())
        for name in NAMES:
            agent.store.drop(Ref('Service', 'shop', name))
        gone = await steps(agent, agent.loop.settle())
        return come, gone

    come, gone = asyncio.run(inprocess.serving(agent, work))
    assert sum(come) == sum(gone) == MANY
    assert max(*come, *gone) <= 100
