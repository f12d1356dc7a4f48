"""Objects that wait for a reload cost their own changes alone: a change of another object is planned without them."""

import asyncio

from headrace.haproxy.plan import plan
from headrace.objects import parse
from support import inprocess
from support.live import until
from support.objects import endpoint_slice, service

MANY = 60


def waiting(number, **more):
    """Return a Service of tenant-b whose shape only a reload can bring."""
    said = {'host': f's{number}.b.example.com', 'cookie': f'c{number}', **more}
    return service(f's{number}', 'tenant-b', annotations=said)


def test_a_change_is_planned_without_the_objects_of_others_that_wait(make_live, town, monkeypatch):
    live = make_live(reloadsPerMinute=1, totalReloadsPerMinute=1, reloadInterval='100ms')
    pod = town.pod()
    live.web([pod], town.port)
    agent = inprocess.agent(live)
    planned, real = [], plan.plan

    def counted(change, loaded):
        planned.append({item.ref.name for item in change.fragments})
        return real(change, loaded)

    async def settle(*documents):
        for document in documents:
            agent.store.put(parse.read(document).object)
        planned.clear()
        await agent.loop.settle()
        return planned

    async def work():
        # The only reload that there is tokens for.
        await settle(waiting('first'))
        await asyncio.to_thread(until, lambda: agent.applier.stats.last_reloads, 'the reload is over')
        await settle(*map(waiting, range(MANY)))
        worker = agent.applier.worker
        assert len(worker.deferred.refs) == MANY
        monkeypatch.setattr(plan, 'plan', counted)
        assert await settle(endpoint_slice('web', 'shop', addresses=[pod, '10.0.0.9'], port=town.port)) == [{'web'}]
        # The object itself is planned at each change of its own, and what waits no more is forgotten.
        assert await settle(waiting(7, retries='5')) == [{'s7'}]
        plain = service('s7', 'tenant-b', annotations={'host': 's7.b.example.com'})
        assert await settle(plain) == [{'s7'}]
        assert len(worker.deferred.refs) == MANY - 1
        assert 's7.b.example.com/' in live.routes()
        assert agent.applier.worker is worker

    asyncio.run(inprocess.serving(agent, work))
