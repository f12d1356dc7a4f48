"""A node with as many Services as a large cluster has: all of them are in the kernel and in HAProxy, and stay there."""

import json
import subprocess

from support.live import until
from support.nodes import NODE, PODS, PORT
from support.objects import endpoint_slice, service

COUNT = 1200
# The datapath of a Service, by its number: HAProxy by TCP and by HTTP, the kernel, and none.
KINDS = ('tcp', 'http', 'kernel', 'dns', 'empty')
SAID = {'tcp': {'datapath': 'haproxy'}, 'http': {'mode': 'http'}}
# No pod answers at these: they are only written down.
FIRST, SECOND, THIRD = (f'10.244.9.{number}' for number in (1, 2, 3))


def kind(number):
    return KINDS[number % len(KINDS)]


def address(number):
    return f'10.96.{number // 200}.{number % 200 + 1}'


def ends(number):
    return [] if kind(number) == 'empty' else [FIRST, SECOND]


def protocol(number):
    return 'UDP' if kind(number) == 'dns' else 'TCP'


def one(number, addresses=None):
    """Return a Service, and its endpoints."""
    name, spoken = f'web-{number}', protocol(number)
    port = {'name': 'main', 'port': 80, 'protocol': spoken}
    said = {'proxy': 'node', **SAID.get(kind(number), {})}
    return (
        service(name, annotations=said, clusterIP=address(number), ports=[port]),
        endpoint_slice(name, addresses=addresses or ends(number), port=PORT, port_name='main', protocol=spoken),
    )


def listing():
    """Return the table as the kernel has it: what it holds, and the handles of all that has one."""
    command = ['nft', '-j', '-a', 'list', 'table', 'inet', 'headrace']
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)['nftables']


def elements(items):
    """Return the elements of sets and maps: keys as words, with what maps hold."""
    found = {}
    for item in items:
        for each in (item.get('map') or {}).get('elem', ()):
            key, value = each
            found.setdefault(item['map']['name'], {})[' '.join(map(str, key['concat']))] = value
        if 'set' in item:
            found[item['set']['name']] = item['set'].get('elem', [])
    return found


def listener(found):
    """Return the port of HAProxy's that an element leads to."""
    return found['concat'][1]


def test_every_virtual_address_is_in_the_kernel_and_in_haproxy_and_a_restart_changes_nothing(nodes, agent):
    numbers = range(COUNT)
    agent.put('many', *(document for number in numbers for document in one(number)))
    agent.put('last', *one(COUNT))
    agent.start()
    until(lambda: agent.metric('headrace_table_bypass') == 0, 'HAProxy serves')
    items = listing()
    found = elements(items)

    def virtual_addresses(*kinds):
        return {
            f'{address(number)} {protocol(number).lower()} 80' for number in (*numbers, COUNT) if kind(number) in kinds
        }

    assert found['far4'].keys() == virtual_addresses('tcp', 'http')
    assert {listener(found['far4'][key]) for key in virtual_addresses('tcp')} == {10282}
    assert {listener(found['far4'][key]) for key in virtual_addresses('http')} == {10280}
    assert found['hit4'].keys() == virtual_addresses('kernel', 'dns')
    assert found['shut4'].keys() == virtual_addresses('empty')
    assert len(found['spare4']) == 16 * len(virtual_addresses('tcp'))
    # One chain for all groups of two endpoints.
    chains = [item['chain']['name'] for item in items if 'chain' in item]
    assert [name for name in chains if name.startswith(('draw', 'b-'))] == ['draw4-2']
    assert len(found['ends4']) == 2 * len(found['hit4'])
    assert {key.rpartition(':')[0] for key in agent.routes('addresses')} == {
        address(number) for number in (*numbers, COUNT) if kind(number) in ('tcp', 'http')
    }
    served = agent.servers()
    assert len(served) == 2 * len(virtual_addresses('tcp', 'http'))

    agent.kill()
    agent.start()
    assert agent.metric('headrace_table_bypass') == 0
    assert agent.metric('headrace_table_transactions_total') == 0
    assert agent.reloads() == []
    assert listing() == items
    assert agent.servers() == served

    # One endpoint of a Service of HAProxy, and of one of the kernel; and one Service more.
    assert (kind(COUNT), kind(COUNT + 2)) == ('tcp', 'kernel')
    agent.put('last', *one(COUNT, [THIRD]))
    until(lambda: f'{THIRD}:{PORT}' in {found.rpartition('/')[2] for found in agent.servers()}, 'HAProxy knows it')
    until(lambda: _spares(COUNT) == {THIRD}, 'so does the kernel')
    agent.put('more', *one(COUNT + 2, [PODS['one'][0]]))
    said = until(lambda: _answered(nodes, address(COUNT + 2)), 'it serves')
    assert said == {'pod': 'one', 'client': PODS['client'][0]}
    agent.put('more', *one(COUNT + 2, [PODS['two'][0]]))
    until(lambda: _answered(nodes, address(COUNT + 2)) == {**said, 'pod': 'two'}, 'the other endpoint serves')
    assert agent.metric('headrace_table_repairs_total') == 0
    assert NODE[0] in {value['concat'][0] for value in elements(listing())['far4'].values()}


def _spares(number):
    """Return the endpoints that stand in for HAProxy."""
    spares = elements(listing())['spare4']
    return {value['concat'][0] for key, value in spares.items() if key.startswith(f'{address(number)} ')}


def _answered(nodes, where):
    try:
        return nodes.tcp('client', where, 80, seconds=1)
    except OSError:
        return None
