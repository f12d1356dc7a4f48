"""What one namespace writes at once does not keep the event loop from others."""

import asyncio
import itertools

from headrace.names import Ref
from headrace.objects import parse
from support import inprocess
from support.objects import secret, service

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


def test_services_that_read_one_secret_are_built_in_steps_the_oldest_first(live, town, monkeypatch):
    agent = inprocess.agent(live)
    ages = {f's{number}': f'2024-01-01T00:{number // 60:02}:{number % 60:02}Z' for number in range(MANY // 2)}
    said = {'basic-auth-secret': 'users'}
    built = []

    async def work():
        for name, created in ages.items():
            document = service(name, created=created, annotations={'host': f'{name}.example.com', **said})
            agent.store.put(parse.read(document).object)
        agent.store.put(parse.read(secret('users', username='ann', password='one')).object)
        await agent.loop.settle()
        update = agent.loop.state.update

        def noted(*given):
            change = update(*given)
            built.append([item.ref.name for item in change.fragments])
            return change

        monkeypatch.setattr(agent.loop.state, 'update', noted)
        agent.store.put(parse.read(secret('users', username='ann', password='other')).object)
        await agent.loop.settle()

    asyncio.run(inprocess.serving(agent, work))
    assert [len(names) for names in built if names] == [100, 100, 50]
    assert set(built[0]) == {*[*ages][:100]}
