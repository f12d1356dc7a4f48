"""One tenant with much for the controller to do does not delay what it does for another one."""

import asyncio
import itertools

from support.leading import VIP, balanced, lead, put


def test_an_address_is_published_though_another_tenant_has_a_thousand_mistakes():
    async def script(made, calls):
        put(made, *(balanced(f'bad-{number:04}', 'aaa', host='no host!') for number in range(1000)))
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        put(made, balanced('good', 'zzz', host='good.example.com'))
        while not any(name == 'zzz/good' for name, _ in calls.statuses):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    calls = lead(script)
    # Calls are made 16 at a time: those under way, and a turn of each namespace.
    assert len(calls.statuses) < 3 * 16
    (status,) = [status for name, status in calls.statuses if name == 'zzz/good']
    assert status['loadBalancer']['ingress'] == [{'ip': VIP, 'ipMode': 'Proxy'}]


def test_many_services_that_come_at_once_are_settled_in_steps():
    seen = []

    async def script(made, calls):
        async def other():
            while True:
                seen.append(len(made.state.fragments))
                await asyncio.sleep(0)

        watching = asyncio.create_task(other())
        put(made, *(balanced(f's-{number:04}', 'aaa', host=f's{number}.example.com') for number in range(1000)))
        while not seen or seen[-1] < 1000:  # noqa: ASYNC110
            await asyncio.sleep(0)
        watching.cancel()

    lead(script)
    assert max(after - before for before, after in itertools.pairwise(seen)) <= 51
