"""A change is no repair: comparing the table while HAProxy is being told leaves what the kernel remembers alone."""

import asyncio
import json
import subprocess

import pytest

from headrace.nft.command import Nft
from headrace.nft.layout import NodeFacts
from headrace.nft.sync import TableSync
from headrace.objects import parse
from headrace.resolve.model_snapshot import of_state
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.nodes import NODE
from support.objects import endpoint_slice, node, service

SITE = NodeFacts(NODE[0], ('10.244.1.0/24',), ('10.244.0.0/16',), (10280, 10281, 10282, 10283))
CLIENT = '10.244.1.10'


@pytest.fixture
def table(nodes):
    yield
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)


def web(*ends):
    """Return a Service whose clients the kernel keeps with their endpoints."""
    plain = service('web', annotations={'proxy': 'node'}, clusterIP='10.96.0.1', sessionAffinity='ClientIP')
    return plain, endpoint_slice('web', addresses=ends, port=8080)


def clients():
    """Return the clients that the kernel remembers."""
    listed = subprocess.run(['nft', '-j', 'list', 'sets'], check=True, capture_output=True, text=True).stdout
    sets = [item['set'] for item in json.loads(listed)['nftables'] if 'set' in item]
    return [each['elem']['val'] for one in sets if one['name'].startswith('a-') for each in one.get('elem', ())]


class Told:
    """A state of some documents, the table that follows it, and what stands in its way."""

    def __init__(self, folder):
        self.store, self.state = Store(), State(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')))
        self.table_sync = TableSync(Nft('nft'), folder / 'table.nft', lambda *_: None, lambda: False)

    def change(self, *documents):
        for document in documents:
            self.store.put(parse.read(document).object)
        return self.state.update(self.store, self.store.take())


def remember(told):
    """Let the kernel remember a client of an endpoint."""
    name = next(name for name in told.table_sync.table.sets() if name.startswith('a-'))
    command = ['nft', 'add', 'element', 'inet', 'headrace', name, f'{{ {CLIENT} }}']
    subprocess.run(command, check=True, capture_output=True)


def flush():
    """Change the table as another program might."""
    subprocess.run(['nft', 'flush', 'map', 'inet', 'headrace', 'hit4'], check=True, capture_output=True)


@pytest.mark.usefixtures('table')
def test_a_comparison_while_haproxy_is_told_of_a_change_forgets_no_client(tmp_path):
    async def work():
        told = Told(tmp_path)
        told.change(*web('10.244.1.11'), node('n1'))
        await told.table_sync.begin(of_state(told.state), SITE)
        remember(told)
        change = told.change(*web('10.244.1.11', '10.244.1.12'))
        rest = await told.table_sync.begin_change(change)
        # HAProxy is being told, and the time for a comparison has come.
        await told.table_sync._compare()
        await told.table_sync.finish_change(rest, change)
        await told.table_sync._compare()
        return told.table_sync

    table_sync = asyncio.run(work())
    assert (table_sync.repairs, clients()) == (0, [CLIENT])


@pytest.mark.usefixtures('table')
def test_a_foreign_change_is_still_found_after_an_own_one(tmp_path):
    async def work():
        told = Told(tmp_path)
        told.change(*web('10.244.1.11'), node('n1'))
        await told.table_sync.begin(of_state(told.state), SITE)
        change = told.change(*web('10.244.1.12'))
        await told.table_sync.finish_change(await told.table_sync.begin_change(change), change)
        flush()
        await told.table_sync._compare()
        return told.table_sync

    assert asyncio.run(work()).repairs == 1
