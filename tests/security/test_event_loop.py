"""What one namespace writes at once does not keep the event loop from others."""

import asyncio
import itertools

from headrace.names import Ref
from headrace.objects import parse
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
            agent.store.put(parse.read(service(name, annotations={'host': f'{name}.example.com'})).object)
        come = await steps(agent, agent.loop.settle())
        for name in NAMES:
            agent.store.drop(Ref('Service', 'shop', name))
        gone = await steps(agent, agent.loop.settle())
        return come, gone

    come, gone = asyncio.run(inprocess.serving(agent, work))
    assert sum(come) == sum(gone) == MANY
    assert max(*come, *gone) <= 100


async def turn(wanted):
    """Let others have their turn until something is true."""
    for _ in range(1_000_000):
        if wanted():
            return
        await asyncio.sleep(0)
    raise AssertionError('it has not come true')


def test_a_change_is_applied_before_all_that_another_namespace_wrote_before_it(live, town):
    agent = inprocess.agent(live)
    ours = Ref('Service', 'tenant-a', 'web')

    async def work():
        for name in NAMES:
            agent.store.put(parse.read(service(name, annotations={'host': f'{name}.example.com'})).object)
        before = len(agent.loop.state.fragments)
        task = asyncio.create_task(agent.loop.settle())
        await turn(lambda: len(agent.loop.state.fragments) > before)
        agent.store.put(parse.read(service('web', 'tenant-a', annotations={'host': 'a.example.com'})).object)
        await turn(lambda: ours in agent.loop.state.fragments)
        found = len(agent.loop.state.fragments)
        await task
        return found

    assert asyncio.run(inprocess.serving(agent, work)) <= 250
