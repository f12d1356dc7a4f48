"""A controller that leads, on calls that a test answers instead of an API server."""

import asyncio
import contextlib
import datetime as dt
import types

from headrace.controller.controller import Controller, Options
from headrace.kube import agent_lease, lease
from headrace.kube.access import Access
from headrace.objects import parse
from headrace.settings.settings import Settings
from headrace.translate import build_context
from support.leases import of_agent
from support.objects import service

VIP = '192.0.2.10'


def agent(name, role, epoch, node, *said):
    """Return an agent's Lease."""
    annotations = {**agent_lease.annotations(epoch, said), agent_lease.NODE: node}
    # As long as any test of the process may take to come to it.
    return of_agent(name, annotations, role, lease.stamp(dt.datetime.now(dt.UTC)), 86400)


class Calls:
    """The calls of a controller without an API server, with the Leases of some agents; keeps the order of what it writes."""

    def __init__(self, *leases):
        self.statuses, self.patches, self.held, self.asked = [], [], leases, 0
        self.leases = self

    async def list(self, namespace, labels):
        self.asked += 1
        return [] if 'release' in labels.values() else self.held

    async def get(self, namespace, name):
        return {'metadata': {'annotations': {'headrace.io/epoch': '5'}}}

    async def write(self, lease):
        await asyncio.sleep(0)

    async def apply_status(self, ref, status, *, force=False):
        self.statuses.append((f'{ref.namespace}/{ref.name}', status))

    async def patch_service(self, namespace, name, body):
        self.patches.append((f'{namespace}/{name}', body))

    async def create_event(self, body):
        await asyncio.sleep(0)


def balanced(name, namespace, **annotations):
    """Return a Service of our loadBalancerClass."""
    spec = {
        'type': 'LoadBalancer',
        'loadBalancerClass': 'headrace.io/headrace',
        'ports': [{'name': 'http', 'port': 80}],
    }
    return parse.read(service(name, namespace, annotations=annotations, **spec)).object


def lead(script, *leases, **given):
    """Run a controller that leads beside a script, and return its calls."""

    async def run():
        calls = Calls(*leases)
        access = Access('http://127.0.0.1:1', tls=False, token=types.SimpleNamespace(), namespace='headrace')
        settings = Settings(**{'status_addresses': (VIP,), 'namespaces': ('aaa', 'zzz'), **given})
        made = Controller(Options(access, build_context.make(settings), 'headrace', 'one'), calls)
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
    """Let a controller see objects as they are now."""
    for item in objects:
        made.store.put(item)
    made._wake(0.0)
