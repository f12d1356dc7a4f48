"""Large batches are applied in steps; which objects of a namespace find room in its budgets does not depend on the steps."""

import asyncio

from headrace.objects import parse
from support import inprocess
from support.objects import service

MANY = 240


def web(number):
    """Return a Service whose name comes the later the older it is."""
    created = f'2024-01-01T{(MANY - number) // 60:02}:{(MANY - number) % 60:02}:00Z'
    return service(f's{number:03}', created=created, annotations={'host': f's{number}.example.com'})


def test_the_oldest_objects_of_a_batch_of_many_steps_find_room_first(make_live, town):
    live = make_live(maxEntriesPerNamespace=50)
    agent = inprocess.agent(live)

    async def work():
        for number in range(MANY):
            agent.store.put(parse.read(web(number)).object)
        await agent.loop.settle()
        return [name for (_, _, name), item in agent.loop.state.fragments.items() if item.backends]

    served = asyncio.run(inprocess.serving(agent, work))
    assert sorted(served) == [f's{number:03}' for number in range(MANY - 50, MANY)]
