"""What one namespace writes at once does not keep the event loop from others."""

import asyncio
import itertools

import pytest

from headrace.ir.fragment import pointers
from headrace.names import Ref
from headrace.objects import parse
from headrace.resolve.state import State
from support import inprocess
from support.objects import ingress, ingress_rule, secret, service

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


def leading_to(names, name='all', created='2024-01-01T00:00:00Z'):
    rules = [ingress_rule(f'{of}.example.com', of) for of in names]
    return ingress(name, created=created, rules=rules, ingressClassName='headrace')


def lost(state):
    """Return the backends that routes lead to and that no fragment has."""
    backends = {backend.name for fragment in state.fragments.values() for backend in fragment.backends}
    return {pointer.backend for _, content in state.pointers() for pointer in pointers(content)} - backends - {''}


@pytest.mark.parametrize(
    ('documents', 'others'),
    [
        pytest.param([leading_to(NAMES)], [leading_to(NAMES[200:])], id='one Ingress of many Services'),
        pytest.param(
            [leading_to(NAMES[start : start + 90], f'i{start}') for start in range(0, MANY, 90)],
            [leading_to(NAMES[start : start + 40], f'i{start}') for start in range(0, MANY, 90)],
            id='Ingresses of some Services each',
        ),
    ],
)
def test_services_that_ingresses_lead_to_are_built_in_steps_and_before_their_routes(
    live, town, monkeypatch, documents, others
):
    agent = inprocess.agent(live)
    built = []

    async def settled(*given):
        for item in given:
            agent.store.drop(item) if isinstance(item, Ref) else agent.store.put(parse.read(item).object)
        built.clear()
        await agent.loop.settle()
        state, scratch = agent.loop.state, State(agent.loop.state.context)
        scratch.update(agent.store, agent.store.translated())
        assert state.fragments == scratch.fragments
        return [*built]

    async def work():
        await settled(*(service(name) for name in NAMES))
        state, update = agent.loop.state, agent.loop.state.update

        def noted(*given):
            change = update(*given)
            built.append(len(change.fragments))
            assert lost(state) == set()
            return change

        monkeypatch.setattr(state, 'update', noted)
        refs = [parse.read(item).object.ref for item in documents]
        return [await settled(*documents), await settled(*others), await settled(*documents), await settled(*refs)]

    for sizes in asyncio.run(inprocess.serving(agent, work)):
        assert sum(sizes) > 200
        assert max(sizes) <= 201


def test_an_ingress_that_changes_while_its_services_are_built_leaves_nothing_behind(live, town):
    agent = inprocess.agent(live)

    async def work():
        for document in (*(service(name) for name in NAMES), leading_to(NAMES[:300])):
            agent.store.put(parse.read(document).object)
        task = asyncio.create_task(agent.loop.settle())
        await turn(lambda: any(len(item.backends) for item in agent.loop.state.fragments.values()))
        assert Ref('Ingress', 'shop', 'all') not in agent.loop.state.fragments
        agent.store.put(parse.read(leading_to(NAMES[150:])).object)
        await task
        await agent.loop.settle()
        state, scratch = agent.loop.state, State(agent.loop.state.context)
        scratch.update(agent.store, agent.store.translated())
        assert state.fragments == scratch.fragments
        assert lost(state) == set()

    asyncio.run(inprocess.serving(agent, work))
