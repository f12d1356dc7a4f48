"""One tenant with much for the controller to do does not delay what it does for another one."""

import asyncio
import contextlib
import itertools
import types

from headrace.cluster import reading
from headrace.controller.controller import Controller, Options
from headrace.kube.access import Access
from headrace.model import view
from headrace.settings import Settings
from support.objects import service

VIP = '192.0.2.10'


class Calls:
    """The calls of a controller that is alone and has no agents; keeps the order of what it writes."""

    api = None

    def __init__(self):
        self.statuses = []

    async def leases(self, namespace, selector):
        return []

    async def lease(self, namespace, name):
        annotations = {'headrace.io/epoch': '5'}
        return types.SimpleNamespace(metadata=types.SimpleNamespace(annotations=annotations))

    async def apply_service_status(self, namespace, name, status):
        self.statuses.append((f'{namespace}/{name}', status))

    async def service_uid(self, namespace, name):
        return 'uid'

    async def patch_service(self, namespace, name, body):
        raise AssertionError(name)

    async def create_event(self, namespace, body):
        await asyncio.sleep(0)


def balanced(name, namespace, **annotations):
    spec = {
        'type': 'LoadBalancer',
        'loadBalancerClass': 'headrace.io/headrace',
        'ports': [{'name': 'http', 'port': 80}],
    }
    return reading.read(service(name, namespace, annotations=annotations, **spec)).object


def lead(script):
    """Run a controller that leads beside a script, and return its calls."""

    async def run():
        calls = Calls()
        access = Access('http://127.0.0.1:1', tls=False, token=types.SimpleNamespace(), namespace='headrace')
        settings = Settings(status_addresses=(VIP,), namespaces=('aaa', 'zzz'))
        made = Controller(Options(access, view.make(settings), 'headrace', 'one'), calls)
        leading = asyncio.create_task(made.lead())
        try:
            async with asyncio.timeout(30):
                await script(made, calls)
            assert not leading.done(), leading
        finally:
            leading.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leading
        return calls

    return asyncio.run(run())


def put(made, *objects):
    for item in objects:
        made.store.put(item)
    made._wake(0.0)


def test_an_address_is_published_though_another_tenant_has_a_thousand_mistakes():
    async def script(made, calls):
        put(made, *(balanced(f'bad-{number:04}', 'aaa', host='no host!') for number in range(1000)))
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        put(made, balanced('good', 'zzz', host='good.example.com'))
        while not any(name == 'zzz/good' for name, _ in calls.statuses):  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    calls = lead(script)
    assert len(calls.statuses) < 20
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
