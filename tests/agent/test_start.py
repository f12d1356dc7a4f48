"""What an agent owes to what was there, or came, before its loop ran."""

import asyncio
import json

from headrace.haproxy.runtime import probe
from headrace.objects import parse
from support import inprocess
from support.objects import endpoint_slice, service

OURS = {'headrace.io/node': 'headrace'}


def test_an_endpoint_that_changes_while_the_model_is_built_is_served(live, town, monkeypatch):
    one, other = town.pods(2)
    live.web([one], town.port)
    agent = inprocess.agent(live)
    real = probe.has_quic

    def slow(binary):
        # The store has been taken, and there is no loop to wake yet.
        assert agent.admin.loop is None
        agent.store.put(parse.read(endpoint_slice('web', addresses=[other], port=town.port)).object)
        agent._wake(0.0)
        # No later event wakes the loop.
        agent.source._on_change = lambda _: None
        return real(binary)

    monkeypatch.setattr(probe, 'has_quic', slow)

    async def work():
        await asyncio.to_thread(live.serves, {other})

    asyncio.run(inprocess.serving(agent, work))


def test_an_agent_that_starts_on_a_handed_over_service_reports_its_epoch(live, town):
    live.put('web', service('web', labels=OURS, annotations={'host': 'a.com', 'epoch': '7'}))
    agent = inprocess.agent(live)

    async def work():
        first = agent.loop.report().epoch
        await agent.settings_file.read(json.dumps({**live.settings, 'drainTimeout': '7s'}))
        return first, agent.loop.report().epoch

    assert asyncio.run(inprocess.serving(agent, work)) == (7, 7)


def test_an_epoch_that_comes_with_a_change_of_settings_is_reported(live, town):
    agent = inprocess.agent(live)

    async def work():
        document = service('web', labels=OURS, annotations={'host': 'a.com', 'epoch': '9'})
        agent.store.put(parse.read(document).object)
        await agent.settings_file.read(json.dumps({**live.settings, 'drainTimeout': '7s'}))
        return agent.loop.report().epoch

    assert asyncio.run(inprocess.serving(agent, work)) == 9


def test_a_service_that_another_class_has_chosen_counts_for_no_epoch(live, town):
    live.put('web', service('web', labels={'headrace.io/node': 'other'}, annotations={'host': 'a.com', 'epoch': '7'}))
    agent = inprocess.agent(live)

    async def work():
        return agent.loop.report().epoch

    assert asyncio.run(inprocess.serving(agent, work)) == 0
