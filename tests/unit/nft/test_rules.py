"""The table as text, what a change of the model does to it, and how it is compared with what the kernel has."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from headrace.names import Ref
from headrace.nft import groups, live_state, messages, node_facts
from headrace.nft.layout import NodeFacts
from headrace.nft.rules import Table
from headrace.nft.transaction import Transaction
from headrace.objects import parse
from headrace.resolve.model_snapshot import of_state
from headrace.resolve.state import State
from headrace.settings.settings import Settings
from headrace.store import Store
from headrace.translate import build_context
from headrace.translate.build_context import Role
from headrace.translate.endpoints import Topology
from support.objects import endpoint_slice, node, service

CASE = Path(__file__).parents[2] / 'golden' / 'node'
SITE = NodeFacts('192.0.2.1', ('10.244.1.0/24',), ('10.244.0.0/16',), (10280, 10281, 10282, 10283, 10286, 10287))
HERE = {'role': Role.NODE, 'topology': Topology('n1')}


def world(*documents):
    """Return a store and a state of some documents."""
    store, state = Store(), State(build_context.make(Settings(), **HERE))
    for document in documents:
        store.put(parse.read(document).object)
    state.update(store, store.take())
    return store, state


def web(name='web', number=1, *, port=None, ends=('10.244.1.5',), said=None, **spec):
    """Return a Service that is taken over, and its slice; each endpoint is on the node n1, or n2 with an address of 10.244.2."""
    wanted = port or {'name': 'p', 'port': 80}
    endpoints = [{'addresses': [end], 'nodeName': 'n2' if end.startswith('10.244.2.') else 'n1'} for end in ends]
    protocol = wanted.get('protocol', 'TCP')
    haproxy = {} if spec.get('sessionAffinity') or (said or {}).get('client-ip') else {'datapath': 'haproxy'}
    return (
        service(
            name,
            annotations={'proxy': 'node', **haproxy, **(said or {})},
            ports=[wanted],
            clusterIP=f'10.96.0.{number}',
            **spec,
        ),
        endpoint_slice(name, port=8080, port_name=wanted['name'], protocol=protocol, endpoints=endpoints),
    )


def test_the_golden_case_is_the_table_that_is_kept(update_golden):
    documents = [each for each in yaml.safe_load_all((CASE / 'in.yaml').read_text()) if each]
    store, state = world(*documents)
    text = Table(of_state(state), node_facts.find(store.nodes(), state.context)).text()
    if update_golden:
        (CASE / 'table.nft').write_text(text)
    assert text == (CASE / 'table.nft').read_text()


def changed(table, store, state, *documents):
    """Return the transaction for documents that are new or others."""
    for document in documents:
        store.put(parse.read(document).object)
    return table.change(state.update(store, store.take()))


def test_one_more_service_costs_its_own_elements_and_no_chain():
    store, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    made = changed(table, store, state, *web('more', 2, ends=('10.244.1.6',)))
    assert made.removals == {}
    assert made.additions == {
        ('far4', '10.96.0.2 . tcp . 80'): '192.0.2.1 . 10282',
        **{('spare4', f'10.96.0.2 . tcp . 80 . {slot}'): '10.244.1.6 . 8080' for slot in range(16)},
        ('spareinner4', '10.96.0.2 . tcp . 80'): '',
        ('hairpin4', '10.244.1.6 . 10.244.1.6'): '',
    }
    # A chain that a map leads to makes the kernel walk all of them at each change.
    assert made.chains == {}


def test_an_endpoint_of_udp_that_changes_is_elements_and_no_chain_where_a_group_has_as_many_already():
    port = {'name': 'p', 'port': 80, 'protocol': 'UDP'}
    ends = ('10.244.1.5', '10.244.2.6')
    store, state = world(*web(port=port), *web('other', 2, port=port, ends=ends), node())
    table = Table(of_state(state), SITE)
    at = '10.96.0.1 . udp . 80'
    made = changed(table, store, state, *web(port=port, ends=ends))
    assert made.removals == {('hit4', at): 'goto draw4-1'}
    assert made.additions == {('hit4', at): 'goto draw4-2', ('ends4', f'{at} . 1'): '10.244.2.6 . 8080'}
    assert (made.chains, made.draws) == ({}, set())
    assert table.sweep() == 'delete chain inet headrace draw4-1\n'


def test_the_first_group_of_its_size_brings_the_chain_that_it_shares_with_later_ones():
    port = {'name': 'p', 'port': 80, 'protocol': 'UDP'}
    store, state = world(*web(port=port), node())
    table = Table(of_state(state), SITE)
    made = changed(table, store, state, *web(port=port, ends=('10.244.1.5', '10.244.2.6')))
    rule = 'dnat ip to ip daddr . meta l4proto . th dport . numgen random mod 2 map @ends4'
    assert [draw.chain.rules for draw in made.draws] == [(rule,)]
    # Its text is only in that of the whole table: nft takes it together with the map alone.
    assert 'draw4-2\n' not in made.text
    assert f'add rule inet headrace draw4-2 {rule}' in table.frame()
    # It is wanted again before it was swept.
    assert [draw.name for draw in changed(table, store, state, *web(port=port)).draws] == ['draw4-1']
    assert table.sweep() == 'delete chain inet headrace draw4-2\n'


def test_an_endpoint_on_another_node_cannot_meet_itself_here():
    _, state = world(*web(ends=('10.244.1.5', '10.244.2.6'), said=PRESERVE), node())
    assert {key for name, key in Table(of_state(state), SITE).elements if name == 'hairpin4'} == {
        '10.244.1.5 . 10.244.1.5'
    }


UDP = {'name': 'p', 'port': 80, 'protocol': 'UDP'}


def weighted(*weights, name='web'):
    """Return slices of one endpoint each, with these weights."""
    for number, weight in enumerate(weights, 5):
        item = endpoint_slice(
            name, port=8080, port_name='p', protocol='UDP', name=f'{name}-{number}', addresses=[f'10.244.1.{number}']
        )
        item['metadata']['annotations'] = {'headrace.io/weight': str(weight)}
        yield item


@pytest.mark.parametrize(
    ('weights', 'draws'),
    [
        pytest.param((7, 3), '0-45874 : 10.244.1.5 . 8080, 45875-65535 : 10.244.1.6 . 8080', id='two'),
        pytest.param((1, 0, 1), '0-32767 : 10.244.1.5 . 8080, 32768-65535 : 10.244.1.7 . 8080', id='none for one'),
        pytest.param((65535, 1), '0-65534 : 10.244.1.5 . 8080, 65535 : 10.244.1.6 . 8080', id='one draw'),
        pytest.param((10**12 - 1, 1), '0-65534 : 10.244.1.5 . 8080, 65535 : 10.244.1.6 . 8080', id='less than a draw'),
    ],
)
def test_endpoints_with_weights_have_their_shares_of_the_draws(weights, draws):
    _, state = world(web(port=UDP)[0], *weighted(*weights), node())
    rules = [
        rule
        for name, chain in Table(of_state(state), SITE).chains().items()
        if name.startswith('b-')
        for rule in chain.rules
    ]
    assert rules == [f'meta l4proto udp dnat ip to numgen random mod 65536 map {{ {draws} }}']


def test_endpoints_with_weights_remember_their_clients():
    _, state = world(web(port=UDP, sessionAffinity='ClientIP')[0], *weighted(3, 1), node())
    chains = {
        name: chain for name, chain in Table(of_state(state), SITE).chains().items() if name.startswith(('b-', 'e-'))
    }
    (spread,) = [rule for chain in chains.values() for rule in chain.rules if 'vmap' in rule]
    assert spread.startswith('numgen random mod 65536 vmap { 0-49151 : goto e-')
    assert len(chains) == 3


def test_a_weight_that_changes_is_one_chain_anew():
    store, state = world(web(port=UDP)[0], *weighted(1, 1), node())
    table = Table(of_state(state), SITE)
    made = changed(table, store, state, *weighted(1, 3))
    assert (made.removals, made.additions, len(made.chains)) == ({}, {}, 1)


def test_clients_that_stay_are_remembered_in_a_set_of_each_endpoint():
    _, state = world(*web(ends=('10.244.1.5', '10.244.2.6'), sessionAffinity='ClientIP'), node())
    remembered = {name: text for name, text in Table(of_state(state), SITE).sets().items() if name.startswith('a-')}
    assert len(remembered) == 2
    assert all('timeout 10800s' in text for text in remembered.values())


def test_a_virtual_address_is_shut_before_haproxy_is_told_and_opened_after():
    store, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    key = ('shut4', '10.96.0.1 . tcp . 80')
    first, rest = changed(table, store, state, *web(ends=())).split()
    assert first.additions == {key: 'goto refuse'}
    assert ('far4', key[1]) in first.removals
    assert not rest.additions
    first, rest = changed(table, store, state, *web()).split()
    assert not first
    assert (rest.removals, ('far4', key[1]) in rest.additions) == ({key: 'goto refuse'}, True)


AT = '10.96.0.1 . tcp . 80'
BALANCED = {('ends4', f'{AT} . 0'), *((name, AT) for name in ('hit4', 'inner4', 'opened4', 'received4', 'sent4'))}
PRESERVE = {'client-ip': 'preserve'}


def test_a_virtual_address_moves_to_the_kernel_before_haproxy_forgets_it_and_back_when_it_knows_it():
    store, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    first, rest = changed(table, store, state, *web(said=PRESERVE)).split()
    assert not rest
    assert {('far4', AT), ('spareinner4', AT)} < first.removals.keys()
    assert first.additions.keys() == BALANCED
    assert [f'goto {draw.name}' for draw in first.draws] == [first.additions['hit4', AT]]
    first, rest = changed(table, store, state, *web()).split()
    assert not first
    assert rest.removals.keys() == BALANCED
    assert {('far4', AT), ('spareinner4', AT)} < rest.additions.keys()


def test_a_virtual_address_of_the_kernel_opens_and_closes_before_haproxy_is_told_of_anything():
    store, state = world(*web(said=PRESERVE, ends=()), node())
    table = Table(of_state(state), SITE)
    first, rest = changed(table, store, state, *web(said=PRESERVE)).split()
    assert (first.removals, rest) == ({('shut4', AT): 'goto refuse'}, Transaction())
    assert {('hit4', AT), ('hairpin4', '10.244.1.5 . 10.244.1.5')} < first.additions.keys()
    first, rest = changed(table, store, state, *web(said=PRESERVE, ends=())).split()
    assert (first.additions, rest) == ({('shut4', AT): 'goto refuse'}, Transaction())
    assert ('hit4', AT) in first.removals


def test_an_endpoint_that_goes_costs_one_transaction_and_who_meets_himself_may_so_to_the_end():
    store, state = world(*web(ends=('10.244.1.5', '10.244.1.6')), node())
    table = Table(of_state(state), SITE)
    first, rest = changed(table, store, state, *web(ends=('10.244.1.6',))).split()
    assert not first
    assert ('hairpin4', '10.244.1.5 . 10.244.1.5') in rest.removals


def test_what_is_not_referenced_is_swept_later_and_chains_before_their_sets():
    affinity = {'sessionAffinity': 'ClientIP'}
    store, state = world(*web(ends=('10.244.1.5', '10.244.1.6'), **affinity), node())
    table = Table(of_state(state), SITE)
    made = changed(table, store, state, *web(ends=('10.244.1.5',), **affinity))
    assert 'delete chain' not in made.text
    verbs = [line.split(' ')[1:2] + line.split(' ')[-1][:2].split() for line in table.sweep().splitlines()]
    assert verbs == [['chain', 'e-'], ['set', 'a-']]
    assert table.sweep() == ''


def test_the_bypass_is_two_chains():
    _, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    on, off = table.switch(bypass=True), table.switch(bypass=False)
    assert 'map @spare4' in on
    assert off == 'flush chain inet headrace bypass\nflush chain inet headrace nearbypass\n'


def led(elements):
    """Return the virtual addresses that lead somewhere."""
    return {key for name, key in elements if name in ('far4', 'hit4', 'shut4')}


@pytest.mark.parametrize('seed', range(20))
def test_after_any_changes_the_table_is_the_one_made_from_scratch(seed):
    """And what the transactions did, applied to what was there, is that table too."""
    chance = random.Random(seed)
    store, state = world(node())
    table = Table(of_state(state), SITE)
    kernel, chains = dict(table.elements), {}
    for _ in range(40):
        name = chance.choice('abc')
        if chance.random() < 0.2:
            store.drop(Ref('Service', 'shop', name))
        else:
            ends = chance.sample(['10.244.1.5', '10.244.1.6', '10.244.2.7'], chance.randrange(4))
            spec = chance.choice([{}, {'sessionAffinity': 'ClientIP'}, {'externalTrafficPolicy': 'Local'}])
            port = {
                'name': chance.choice(('p', 'http')),
                'port': 80,
                'protocol': chance.choice(('TCP', 'UDP')),
                'nodePort': 30000,
            }
            extra = {'externalIPs': ['203.0.113.1'], 'type': 'NodePort'}
            said = chance.choice([{}, PRESERVE])
            for document in web(name, 'abc'.index(name) + 1, port=port, ends=ends, said=said, **extra, **spec):
                store.put(parse.read(document).object)
        made = table.change(state.update(store, store.take()))
        before = led(kernel)
        for part in made.split():
            for key in part.removals:
                del kernel[key]
            assert kernel.keys().isdisjoint(part.additions)
            kernel |= part.additions
            # What leads somewhere before and after leads somewhere at each moment, or is shut.
            assert before & led(table.elements) <= led(kernel)
        chains |= made.chains | {draw.name: draw.chain for draw in made.draws}
        fresh = Table(of_state(state), SITE)
        assert table.elements == fresh.elements == kernel
        assert table.chains() == fresh.chains()
        assert all(chains[name] == chain for name, chain in fresh.chains().items() if groups.order(name) >= 0)


class Kernel:
    """The kernel as it tells a table."""

    def __init__(self, table):
        self.held, self.comments = (
            dict(table.elements),
            [(name, comment) for name, chain in table.chains().items() for comment in chain.comments],
        )
        self.names = list(table.chains())

    def elements(self, name):
        if messages.has_intervals(name):
            return [networks(key) for where, key in self.held if where == name]
        return [messages.element(key, value) for (where, key), value in self.held.items() if where == name]

    def chains(self):
        return self.names

    def rules(self):
        return self.comments


def networks(key):
    """Return a network as the end of a set that has no other one."""
    assert key in ('10.244.1.0/24', '10.244.0.0/16')
    return messages.element(key.partition('/')[0], '')


def test_what_the_kernel_tells_is_compared_rule_by_rule_and_element_by_element_where_a_sum_differs(monkeypatch):
    monkeypatch.setattr(
        messages,
        'intervals',
        lambda name, raws: [(name, '10.244.1.0/24' if name == 'here4' else '10.244.0.0/16') for _ in raws],
    )
    _, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    kernel = Kernel(table)
    seen = live_state.read(kernel, table.sums)
    assert live_state.differences(table, seen) == []
    assert {name for name, _ in seen.elements} == {'here4', 'pods4'}
    kernel.comments.remove(('far', table.chains()['far'].comments[-1]))
    del kernel.held['far4', '10.96.0.1 . tcp . 80']
    kernel.held['shut4', '10.96.0.1 . tcp . 80'] = 'drop'
    assert live_state.differences(table, live_state.read(kernel, table.sums)) == [
        'chain far',
        'missing in far4: 10.96.0.1 . tcp . 80',
        'surplus in shut4: 10.96.0.1 . tcp . 80',
    ]
    kernel.names = []
    assert live_state.read(kernel, dict) == live_state.LiveState()


def test_an_element_that_leads_elsewhere_has_another_sum():
    at = '10.96.0.1 . tcp . 80'
    one, other = ([{('far4', at): f'192.0.2.1 . {port}'}] for port in (10282, 10284))
    assert messages.sums(one) == messages.sums(one) != messages.sums(other)


@pytest.mark.parametrize(
    ('element', 'value'),
    [
        (('far4', '10.96.0.1 . tcp . 80'), '192.0.2.1 . 10282'),
        (('spare6', 'fd00::1 . udp . 53 . 15'), 'fd00::2 . 5353'),
        (('hit6', 'fd00::1 . sctp . 9'), 'goto b-0123'),
        (('shut4', '10.96.0.1 . tcp . 65535'), 'drop'),
        (('nearshut4', '10.96.0.1 . tcp . 1'), 'accept'),
        (('inner4', '10.96.0.1 . tcp . 80'), ''),
        (('hairpin6', 'fd00::1 . fd00::1'), ''),
    ],
)
def test_an_element_as_the_kernel_tells_it_is_the_one_it_was_told(element, value):
    assert messages.text(element[0], messages.element(element[1], value)) == (element, value)


def test_another_network_of_pods_is_its_own_elements():
    _, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    wider = NodeFacts(SITE.address, SITE.local_pods, ('10.240.0.0/12',), SITE.ports)
    made = table.move(wider)
    assert {(name, key) for name, key in made.removals} == {('pods4', '10.244.0.0/16')}
    assert {(name, key) for name, key in made.additions} == {('pods4', '10.240.0.0/12')}
    assert table.elements == Table(of_state(state), wider).elements


@pytest.mark.parametrize(
    'facts',
    [
        pytest.param(NodeFacts('192.0.2.9', SITE.local_pods, SITE.pods, SITE.ports), id='another address'),
        pytest.param(NodeFacts(SITE.address, SITE.local_pods, SITE.pods, (1, 2, 3, 4, 5, 6)), id='other listeners'),
        pytest.param(
            NodeFacts(SITE.address, SITE.local_pods, (*SITE.pods, 'fd00:244::/32'), SITE.ports), id='pods of IPv6 too'
        ),
    ],
)
def test_a_site_whose_chains_differ_is_a_table_anew(facts):
    _, state = world(*web(), node())
    assert Table(of_state(state), SITE).move(facts) is None


def test_a_virtual_address_with_other_endpoints_for_clients_near_and_ranges_has_elements_of_both():
    ends = ['10.244.1.5', '10.244.2.7']
    wanted = {'type': 'LoadBalancer', 'externalTrafficPolicy': 'Local', 'loadBalancerSourceRanges': ['198.51.100.0/24']}
    document, slices = web(ends=ends, **wanted)
    document['status'] = {'loadBalancer': {'ingress': [{'ip': '203.0.113.7'}]}}
    _, state = world(document, slices, node())
    elements = Table(of_state(state), SITE).elements
    at = '203.0.113.7 . tcp . 80'
    assert elements['ranged4', at] == ''
    assert elements['ranges4', f'{at} . 198.51.100.0/24'] == ''
    assert ('near4', at) in elements
    assert ('far4', at) in elements


def test_a_table_that_leads_to_other_listeners_is_moved_element_by_element_and_another_is_made_anew():
    _, state = world(*web(), node())
    before = Table(of_state(state), replace(SITE, bypass=True))
    after = Table(of_state(state), replace(SITE, ports=(10288, 10289, 10290, 10291, 10294, 10295), closed=SITE.ports))
    seen = live_state.of_table(before, after.sums())
    transaction, switch = live_state.mending(after, seen)
    assert (transaction.text + switch).splitlines() == [
        'delete element inet headrace far4 { 10.96.0.1 . tcp . 80 }',
        'add element inet headrace far4 { 10.96.0.1 . tcp . 80 : 192.0.2.1 . 10290 }',
        'flush chain inet headrace nearbypass',
        'flush chain inet headrace bypass',
    ]
    transaction, switch = live_state.mending(before, live_state.of_table(before, before.sums()))
    assert (bool(transaction), switch) == (False, '')
    seen.chains['far'] = ()
    _, refill = live_state.mending(after, seen)
    assert 'flush chain inet headrace far\nadd rule inet headrace far jump bypass' in refill.replace(
        'flush chain inet headrace bypass\n', ''
    )
    del seen.chains['far']
    assert live_state.mending(after, seen) is None


def test_a_table_that_lacks_a_set_is_made_anew_at_once():
    _, state = world(*web(), node())
    table = Table(of_state(state), SITE)
    kernel = Kernel(table)
    told = kernel.elements
    monkey = {'ends4'}

    def elements(name):
        if name in monkey:
            raise FileNotFoundError
        return told(name) if not messages.has_intervals(name) else []

    kernel.elements = elements
    seen = live_state.read(kernel, table.sums)
    assert live_state.mending(table, seen) is None
    assert 'missing set ends4' in live_state.differences(table, seen)


def test_chains_of_groups_that_differ_are_made_again_and_those_of_another_version_are_swept():
    _, state = world(*web(said=PRESERVE), node())
    table = Table(of_state(state), SITE)
    seen = live_state.of_table(table, table.sums())
    seen.chains['draw4-1'] = ('another',)
    seen.chains['b-0123'] = ('of an earlier version',)
    transaction, _ = live_state.mending(table, seen)
    assert [draw.name for draw in transaction.draws] == ['draw4-1']
    assert table.sweep() == 'delete chain inet headrace b-0123\n'


def test_a_table_made_anew_knows_what_the_one_before_has_left_behind():
    affinity = {'sessionAffinity': 'ClientIP'}
    _, state = world(*web(ends=('10.244.1.5',), **affinity), node())
    before = Table(of_state(state), SITE)
    after = Table(of_state(world(node())[1]), SITE)
    after.inherit(before)
    assert {name[:2] for name in after.stale} == {'b-', 'e-', 'a-'}
    assert [line.split(' ')[1] for line in after.sweep().splitlines()] == ['chain', 'chain', 'set']


def test_a_site_is_the_nodes_address_and_as_few_networks_of_pods_as_there_are():
    documents = [node('n1'), node('n2', addresses=('192.0.2.2', 'fd00::2'))]
    for number, document in enumerate(documents):
        document['spec'] = {'podCIDRs': [f'10.244.{number}.0/24', 'no network']}
    store, state = world(*documents)
    assert node_facts.find(store.nodes(), state.context) == NodeFacts(
        '192.0.2.1', ('10.244.0.0/24',), ('10.244.0.0/23',), (10280, 10281, 10282, 10283, 10286, 10287)
    )
