"""What the agents' Leases tell the controller, and how little a forged Lease can do."""

import asyncio
import datetime as dt
import json

import pytest

from headrace.controller import agents
from headrace.controller.agents import Agent, Agents
from headrace.diagnostics import Diagnostic
from headrace.kube import agent_lease, lease
from headrace.names import Ref

NOW = dt.datetime(2026, 5, 1, 12, tzinfo=dt.UTC)
WEB = Diagnostic(Ref('Service', 'shop', 'web'), 'RefusedByHaproxy', 'HAProxy says no', 'metadata.annotations')
ITEM = {
    'kind': 'Service',
    'namespace': 'shop',
    'name': 'web',
    'reason': 'RefusedByHaproxy',
    'message': 'no',
    'field': '',
}


def held(name='a', age=0, seconds=40, annotations=None, labels=None, **spec):
    at = lease.stamp(NOW - dt.timedelta(seconds=age))
    metadata = {'name': name, 'annotations': annotations, 'labels': labels}
    return {'metadata': metadata, 'spec': {'renewTime': at, 'leaseDurationSeconds': seconds, **spec}}


def living(found, now, *counter):
    known = Agents()
    asyncio.run(known.take(found, now, *counter))
    return known.living


def test_what_an_agent_writes_is_what_the_controller_reads():
    written = agent_lease.annotations(12, (WEB,))
    assert living([held(annotations=written, labels={'headrace.io/role': 'edge'})], NOW) == (
        Agent('a', 'edge', 12, (WEB,)),
    )


def test_agents_are_told_by_name():
    assert [agent.name for agent in living([held('b'), held('a')], NOW)] == ['a', 'b']


@pytest.mark.parametrize(
    ('found', 'lives'),
    [
        pytest.param(held(age=39), True, id='renewed in time'),
        pytest.param(held(age=40), False, id='run out'),
        pytest.param(held(seconds=None), False, id='without a duration'),
        pytest.param(held(renewTime=None), False, id='never renewed'),
        pytest.param({'metadata': {'name': 'a'}}, False, id='empty'),
    ],
)
def test_an_agent_lives_as_long_as_its_lease(found, lives):
    assert bool(living([found], NOW)) is lives


def test_a_lease_that_says_nothing_is_an_agent_that_has_applied_nothing():
    assert living([held()], NOW) == (Agent('a', '', 0, ()),)


def test_an_agent_that_tells_an_epoch_above_the_counter_has_applied_nothing_known():
    found = [held(name, annotations={lease.EPOCH: told}) for name, told in (('a', '5'), ('b', '6'))]
    assert [agent.epoch for agent in living(found, NOW, 5)] == [5, 0]


@pytest.mark.parametrize('epoch', ['', '-1', 'x', '²', '9' * 30])
def test_an_epoch_that_is_none_is_zero(epoch):
    assert living([held(annotations={lease.EPOCH: epoch})], NOW)[0].epoch == 0


@pytest.mark.parametrize(
    'text',
    [
        pytest.param('', id='nothing'),
        pytest.param('{"a": 1}', id='a mapping'),
        pytest.param('null', id='null'),
        pytest.param('[1, null, "x", []]', id='no diagnostics'),
        pytest.param(json.dumps([{**ITEM, 'reason': 'Invented'}]), id='a reason that there is not'),
        pytest.param(json.dumps([{**ITEM, 'reason': ['RefusedByHaproxy']}]), id='a reason that is a list'),
        pytest.param(json.dumps([{**ITEM, 'reason': {}}]), id='a reason that is a mapping'),
        pytest.param(json.dumps([{key: ITEM[key] for key in ITEM if key != 'reason'}]), id='no reason'),
        pytest.param('[' * 60000, id='deeper than the parser reads'),
        pytest.param(json.dumps([{**ITEM, 'message': 'x' * 70000}]), id='more than a Lease may hold'),
    ],
)
def test_what_is_no_diagnostic_is_left_out(text):
    assert agents.diagnostics(text) == ()


def test_a_good_diagnostic_beside_a_bad_one_is_taken():
    assert [diagnostic.ref.name for diagnostic in agents.diagnostics(json.dumps([{'reason': []}, ITEM]))] == ['web']


def test_texts_are_shortened_and_no_more_than_a_hundred_diagnostics_are_taken():
    many = agents.diagnostics(json.dumps([{**ITEM, 'name': f'{number:03}'} for number in range(150)]))
    assert len(many) == 100
    (long,) = agents.diagnostics(json.dumps([{**ITEM, 'message': 'x' * 5000, 'name': 5}]))
    assert (len(long.message), long.ref.name) == (1000, '5')


def test_what_is_not_said_of_a_diagnostic_is_empty():
    assert agents.diagnostics('[{"reason": "RefusedByHaproxy"}]') == (
        Diagnostic(Ref('', '', ''), 'RefusedByHaproxy', ''),
    )


# --- what they tell by object -----------------------------------------------------------------------------------------

OTHER = Diagnostic(Ref('Service', 'shop', 'other'), 'SecretMissing', 'no Secret')


def says(name, *said, role='node', node='', epoch=0, age=0):
    written = {**agent_lease.annotations(epoch, said), agent_lease.NODE: node}
    return held(name, age, annotations=written, labels={'headrace.io/role': role})


def take(known, *found, counter=100):
    return asyncio.run(known.take(found, NOW, counter))


def test_only_objects_of_which_something_else_is_told_have_changed():
    known = Agents()
    assert take(known, says('a', WEB, OTHER)) == {WEB.ref, OTHER.ref}
    assert take(known, says('a', WEB, OTHER)) == set()
    assert take(known, says('a', WEB, OTHER, epoch=7)) == set()
    assert take(known, says('a', WEB), says('b', WEB)) == {WEB.ref, OTHER.ref}
    assert (known.about(WEB.ref), known.about(OTHER.ref)) == ((WEB,), ())
    assert [agent.name for agent in known.living] == ['a', 'b']


def test_what_an_agent_has_told_goes_with_it():
    known = Agents()
    take(known, says('a', WEB), says('b', WEB, OTHER))
    assert take(known, says('a', WEB), says('b', WEB, OTHER, age=41)) == {WEB.ref, OTHER.ref}
    assert (known.about(WEB.ref), known.about(OTHER.ref)) == ((WEB,), ())
    take(known)
    assert (known.living, known._diagnostics, known._agents) == ((), {}, {})


def test_what_agents_of_one_role_tell_can_be_asked_for():
    known = Agents()
    take(known, says('a', WEB), says('b', OTHER, role='edge'))
    assert (known.about(WEB.ref, 'node'), known.about(OTHER.ref, 'node')) == ((WEB,), ())
    assert take(known, says('a', WEB), says('b', OTHER)) == {OTHER.ref}
    assert known.about(OTHER.ref, 'node') == (OTHER,)


def test_a_node_has_applied_what_the_furthest_of_its_agents_has():
    known = Agents()
    take(known, says('a', node='n1', epoch=5), says('b', node='n1', epoch=4), says('c', role='edge', epoch=9))
    assert known.applied_epochs == {'n1': 5}
    take(known, says('a', node='n1', epoch=101), says('d', epoch=7))
    assert known.applied_epochs == {'n1': 0}


def test_a_text_that_many_leases_hold_is_parsed_once():
    known = Agents()
    take(known, *(says(f'a-{number}', WEB) for number in range(9)))
    (first,) = {id(agent.diagnostics) for agent in known.living}
    take(known, *(says(f'a-{number}', WEB, epoch=3) for number in range(9)))
    assert {id(agent.diagnostics) for agent in known.living} == {first}


NEWER = {'headrace.io/form': '2', 'headrace.io/role': 'node', 'app.kubernetes.io/version': '9.0'}


def known(*found):
    agents_of_class = Agents()
    changes = asyncio.run(agents_of_class.take(found, NOW))
    return agents_of_class, changes


def test_of_a_report_of_a_newer_form_only_that_its_agent_lives_is_taken():
    written = {**agent_lease.annotations(12, (WEB,)), agent_lease.NODE: 'n1'}
    agents_of_class, changes = known(held(annotations=written, labels=NEWER))
    assert agents_of_class.living == (Agent('a', 'node', 0, (), version='9.0', is_readable=False),)
    assert (agents_of_class.applied_epochs, agents_of_class.about(WEB.ref), changes) == ({}, (), set())
    assert agents_of_class.has_unread
    assert agents_of_class.roles == {'node'}


@pytest.mark.parametrize('form', [{}, {'headrace.io/form': '1'}], ids=['of a version before forms', 'of this version'])
def test_a_report_of_a_known_form_is_read(form):
    written = {**agent_lease.annotations(12, (WEB,)), agent_lease.NODE: 'n1'}
    agents_of_class, changes = known(held(annotations=written, labels={'headrace.io/role': 'node', **form}))
    assert (agents_of_class.applied_epochs, agents_of_class.about(WEB.ref)) == ({'n1': 12}, (WEB,))
    assert (agents_of_class.has_unread, changes) == (False, {WEB.ref})


def test_a_mistake_with_a_reason_of_another_version_stays_a_mistake():
    items = [{**ITEM, 'reason': 'OfTheFuture', 'level': level} for level in ('error', 'warning')]
    (found,) = agents.diagnostics(json.dumps(items))
    assert (found.reason, found.message, found.level) == ('OfAnotherVersion', 'OfTheFuture: no', 'error')
