"""The messages of netlink make the same table as nft makes of its text, byte for byte."""

import asyncio
import subprocess

import pytest

from headrace.nft import layout, live_state, messages
from headrace.nft.command import Nft
from headrace.nft.kernel import Reading
from headrace.nft.layout import NodeFacts
from headrace.nft.rules import Table
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

FACTS = NodeFacts(
    NODE[0],
    ('10.244.1.0/24', 'fd00:244:1::/64'),
    ('10.244.1.0/24', '10.244.2.0/24', '10.244.9.9', 'fd00:244::/32'),
    (10280, 10281, 10282, 10283, 10286, 10287),
)
KINDS = {
    'plain': {'said': {'datapath': 'haproxy'}},
    'http': {'said': {'mode': 'http'}},
    'kept': {},
    'dns': {'protocol': 'UDP'},
    'calls': {'protocol': 'SCTP'},
    'affine': {'sessionAffinity': 'ClientIP'},
    'none': {'addresses': []},
    'outer': {
        'type': 'LoadBalancer',
        'externalTrafficPolicy': 'Local',
        'loadBalancerSourceRanges': ['198.51.100.0/24', '203.0.113.5/32'],
        'externalIPs': ['203.0.113.9'],
    },
}


def documents(number, name, *, said=None, protocol='TCP', addresses=None, **spec):
    """Return a Service of both families, and its slices."""
    port = {'name': 'p', 'port': 80, 'protocol': protocol}
    spec = {'clusterIP': f'10.96.0.{number}', 'clusterIPs': [f'10.96.0.{number}', f'fd00:96::{number}'], **spec}
    made = service(name, annotations={'proxy': 'node', **(said or {})}, ports=[port], **spec)
    if 'type' in spec:
        made['status'] = {'loadBalancer': {'ingress': [{'ip': '203.0.113.7'}, {'ip': '2001:db8::7'}]}}
    yield made
    for family, usual in (('IPv4', ('10.244.1.5', '10.244.2.6')), ('IPv6', ('fd00:244:1::5', 'fd00:244:2::6'))):
        ends = usual if addresses is None else [end for end in addresses if (':' in end) == (family == 'IPv6')]
        yield endpoint_slice(
            name,
            addresses=ends,
            port=8080,
            port_name='p',
            protocol=protocol,
            name=f'{name}-{family.lower()}',
            family=family,
        )


def model(*kinds):
    """Return a table of Services of some kinds, with its store and state."""
    store, state = Store(), State(build_context.make(Settings(), role=Role.NODE, topology=Topology('n1')))
    for number, kind in enumerate(kinds, 1):
        put(store, *documents(number, kind, **KINDS[kind]))
    put(store, node('n1', addresses=NODE))
    state.update(store, store.take())
    return store, state, Table(of_state(state), FACTS)


def put(store, *made):
    for document in made:
        store.put(parse.read(document).object)


def there():
    """Return all that the kernel has: elements, and rules without handles and names of maps."""
    reading = Reading()
    try:
        elements = {name: sorted(reading.elements(name)) for name in layout.sets()}
        chains, rules = sorted(reading.chains()), sorted(reading.rules())
    finally:
        reading.close()
    text = subprocess.run(['nft', 'list', 'table', 'inet', 'headrace'], check=True, capture_output=True, text=True)
    # Elements have no order.
    return (
        elements,
        chains,
        rules,
        sorted(line for line in text.stdout.splitlines() if 'elements' not in line and ':' not in line),
    )


@pytest.fixture
def table(nodes):
    yield
    subprocess.run(['nft', 'delete', 'table', 'inet', 'headrace'], capture_output=True, check=False)


@pytest.mark.usefixtures('table')
def test_a_table_that_is_told_in_parts_is_the_one_of_its_text():
    _, _, made = model(*KINDS)

    async def work():
        nft = Nft('nft')
        await nft.apply(made.text())
        of_text = there()
        assert live_state.differences(made, await nft.live(made)) == []
        await nft.apply(made.frame())
        for part in made.parts():
            await nft.do(part)
        assert live_state.differences(made, await nft.live(made)) == []
        assert there() == of_text
        return of_text

    elements = asyncio.run(work())[0]
    for name, raws in elements.items():
        if messages.has_intervals(name):
            assert dict.fromkeys(messages.intervals(name, raws), '') == made.of_sets({name})
        else:
            found = dict(messages.text(name, raw) for raw in raws)
            assert found == made.of_sets({name})
            bare = sorted(map(messages.bare, raws)) if messages.is_counted(name) else raws
            assert sorted(messages.element(key, value) for (_, key), value in found.items()) == bare


@pytest.mark.usefixtures('table')
def test_changes_that_are_told_by_messages_leave_the_table_of_its_text():
    store, state, made = model(*KINDS)

    async def work():
        nft = Nft('nft')
        await nft.apply(made.text())
        for kind, ends in (
            ('kept', ['10.244.1.7']),
            ('plain', ['10.244.1.8', '10.244.1.9']),
            ('dns', []),
            ('kept', []),
        ):
            number = list(KINDS).index(kind) + 1
            put(store, *documents(number, kind, **{**KINDS[kind], 'addresses': ends}))
            for part in made.change(state.update(store, store.take())).split():
                assert messages.can_tell(part)
                await nft.do(part)
            assert live_state.differences(made, await nft.live(made)) == []
        await nft.apply(made.sweep())
        changed = there()
        await nft.apply(made.text())
        assert changed == there()

    asyncio.run(work())


@pytest.mark.usefixtures('table')
def test_what_the_kernel_refuses_is_not_done_and_says_why():
    _, _, made = model('plain')
    bad = next(part for part in made.parts() if part.additions)
    bad.additions['hit4', '10.96.0.77 . tcp . 80'] = 'goto b-nowhere'

    async def work():
        nft = Nft('nft')
        await nft.apply(made.frame())
        with pytest.raises(Exception, match='No such file'):
            await nft.do(bad)
        reading = Reading()
        assert list(reading.elements('far4')) == []
        reading.close()

    asyncio.run(work())
