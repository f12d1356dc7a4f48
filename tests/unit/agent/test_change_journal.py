"""The journal of changes: what is told of a change, and what is kept."""

import json

from headrace import store
from headrace.agent import change_journal
from headrace.agent.change_journal import ChangeJournal
from headrace.haproxy.runtime.stats import PlanRecord, ReloadRecord, Stats
from headrace.objects import parse
from headrace.resolve import state
from headrace.settings.settings import Settings
from headrace.translate import build_context
from support.objects import endpoint_slice, service

PLAN = PlanRecord(1.0, ('Service shop/web',), 3, 1, ('profile: new',), 0.002)


class World:
    """A model that changes, and its journal."""

    def __init__(self):
        self.store, self.state = store.Store(), state.State(build_context.make(Settings()))
        self.journal = ChangeJournal()

    def put(self, *documents, plans=(PLAN,)):
        for document in documents:
            self.store.put(parse.read(document).object)
        return self.note(plans)

    def note(self, plans=(PLAN,)):
        change = self.state.update(self.store, self.store.take())
        self.journal.note(change, 0.004, plans)
        return self.journal.entries[-1]


def web(host='shop.example.com', name='web'):
    return service(name, 'shop', annotations={'host': host})


def slice_of(*addresses, name='web'):
    return endpoint_slice(name, namespace='shop', addresses=addresses, port=8080)


def told(entry):
    return [(item.object, item.action, item.parts) for item in entry.objects if item.object.startswith('Service shop')]


def test_a_new_object_is_told_with_its_size():
    world = World()
    world.put(web(), slice_of('10.0.0.1', '10.0.0.2'))
    entry = world.journal.entries[-1]
    assert told(entry) == [('Service shop/web', 'added', ('1 route', '1 backend', '2 endpoints'))]
    assert (entry.commands, entry.refused, entry.reasons) == (3, 1, ('profile: new',))
    assert entry.seconds == 0.004


def test_endpoints_that_come_and_go_are_counted():
    world = World()
    world.put(web(), slice_of('10.0.0.1', '10.0.0.2'))
    entry = world.put(slice_of('10.0.0.2', '10.0.0.3', '10.0.0.4'))
    assert told(entry) == [('Service shop/web', 'changed', ('+2 endpoints', '-1 endpoint'))]


def test_another_host_is_a_change_of_routes():
    world = World()
    world.put(web(), slice_of('10.0.0.1'))
    entry = world.put(web('other.example.com'))
    assert told(entry)[0][1:] == ('changed', ('routes',))


def test_an_object_that_goes_is_told():
    world = World()
    world.put(web(), slice_of('10.0.0.1'))
    world.store.drop(parse.read(web()).object.ref)
    assert told(world.note())[0][:2] == ('Service shop/web', 'removed')


def test_what_is_kept_is_bounded():
    world = World()
    for number in range(change_journal.KEPT + 20):
        world.put(web(f'h{number}.example.com'))
    assert len(world.journal.entries) == change_journal.KEPT
    found = json.loads(world.journal.page((), '', 50))
    assert len(found['items']) == 50
    assert found['items'][0]['number'] == change_journal.KEPT + 20
    many = world.put(*(web(f'm{number}.example.com', f'm{number}') for number in range(30)))
    assert len(many.objects) + many.more == 30
    assert len(many.objects) < 10


def test_reloads_stand_between_changes_and_a_search_is_for_objects():
    world = World()
    world.put(web(), slice_of('10.0.0.1'))
    world.put(web('other.example.com', 'other'))
    reload = ReloadRecord(world.journal.entries[0].at + 1e-7, ('profile: x',), 0.3, good=True)
    kinds = [item['type'] for item in json.loads(world.journal.page([reload], '', 50))['items']]
    assert sorted(kinds) == ['change', 'change', 'reload']
    found = json.loads(world.journal.page([reload], 'SHOP/other', 50))['items']
    assert [item['objects'][0]['object'] for item in found] == ['Service shop/other']


def test_plans_are_those_since_a_count():
    stats = Stats()
    for number in range(30):
        stats.plans['runtime'] += 1
        stats.last_plans.append(PlanRecord(float(number), (), 1, 0, (), 0.1))
    assert [plan.at for plan in stats.plans_since(28)] == [28.0, 29.0]
    assert stats.plans_since(30) == []
    assert len(stats.plans_since(0)) == 20
