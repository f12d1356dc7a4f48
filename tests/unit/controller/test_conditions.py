"""What a Service shall say of its errors: one condition, and an Event for each, the same for the same news."""

import dataclasses

import pytest

from headrace.controller import conditions
from headrace.controller.conditions import StatusRules, Subject
from headrace.diagnostics import WHOLE, Diagnostic, StatusPart
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.status import Condition
from support.objects import service

WEB = Ref('Service', 'shop', 'web')


def diagnostic(message='no', reason='InvalidValue', field='metadata.annotations[headrace.io/host]', ref=WEB):
    return Diagnostic(ref, reason, message, field)


def read(**given):
    return parse.read(service(**given)).object


def subject(**given):
    return conditions.of_service(read(**given))


def shown(*problems, served=''):
    """Return the condition of a Service, None for none."""
    found = conditions.conditions(subject(), problems, {WHOLE: served} if served else {})
    (condition,) = found.get(WHOLE, (None,))
    return condition


def test_without_an_error_there_is_nothing_to_say():
    assert conditions.conditions(subject(), ()) == {}
    assert conditions.occurrences(subject(), ()) == ()


def test_only_errors_are_told():
    said = [diagnostic(reason='NoEndpoints'), diagnostic(reason='TerminatingOnly'), diagnostic()]
    assert conditions.errors(said, [diagnostic(reason='CostlyHash')]) == (diagnostic(),)


def test_what_only_agents_can_know_is_taken_from_them_and_nothing_else():
    missing, refused = diagnostic('a Secret', 'SecretMissing'), diagnostic('HAProxy', 'RefusedByHaproxy')
    own = [diagnostic('host'), missing]
    told = [diagnostic('another host'), refused, refused]
    assert conditions.errors(own, told) == (diagnostic('host'), refused)


def test_the_condition_tells_the_first_reason_and_each_message():
    found = conditions.errors([diagnostic('two', 'UnknownPort'), diagnostic('one')], [])
    condition = shown(*found)
    assert (condition.type, condition.status, condition.reason) == ('headrace.io/Programmed', 'False', 'InvalidValue')
    assert condition.message == f'one; two [of {subject().digest}]'


@pytest.mark.parametrize(
    ('count', 'end'), [(5, 'no 4'), (6, 'no 4; and 1 more'), (9, 'no 4; and 4 more')], ids=['five', 'six', 'nine']
)
def test_of_many_errors_the_condition_tells_five_and_how_many_more(count, end):
    condition = shown(*(diagnostic(f'no {number}') for number in range(count)))
    assert condition.message.rpartition(' [of ')[0] == f'no 0; no 1; no 2; no 3; {end}'


def test_a_condition_has_a_length_that_kubernetes_allows_and_keeps_its_digest():
    condition = shown(diagnostic('x' * 5000))
    assert len(condition.message) < 32768
    assert condition.message.endswith(f' [of {subject().digest}]')


def test_a_condition_that_a_service_is_served_says_where():
    of = f' [of {subject().digest}]'
    assert shown() is None
    expected = Condition('headrace.io/Programmed', 'True', 'Programmed', f'served at the edge{of}')
    assert shown(served='served at the edge') == expected


def test_a_mistake_comes_before_what_is_served():
    assert shown(diagnostic(), served='served at the edge').status == 'False'


def test_what_a_service_waits_for_is_told_as_a_condition_and_is_no_mistake():
    waits = diagnostic('kube-proxy keeps it', 'HandoverPending')
    assert conditions.errors([waits], []) == ()
    assert conditions.pending([diagnostic(), waits]) == (waits,)
    assert (shown(waits).status, shown(waits).reason) == ('False', 'HandoverPending')


@pytest.mark.parametrize(
    'changed',
    [
        pytest.param({'annotations': {'host': 'a.example.com'}}, id='annotations'),
        pytest.param({'ports': [81]}, id='ports'),
        pytest.param({'type': 'LoadBalancer'}, id='type'),
        pytest.param({'loadBalancerClass': 'headrace.io/headrace'}, id='class'),
    ],
)
def test_the_digest_speaks_of_what_diagnostics_speak_of(changed):
    assert subject(**changed).digest != subject().digest


def test_the_digest_does_not_speak_of_what_the_controller_writes():
    written = {**service(), 'status': {'conditions': [{'type': 'headrace.io/Programmed', 'status': 'False'}]}}
    assert conditions.of_service(parse.read(written, statuses=True).object).digest == subject().digest


# --- other kinds ------------------------------------------------------------------------------------------------------

ROUTE = Ref('Route', 'shop', 'web')
GATEWAY = Ref('Gateway', 'edge', 'public')
HTTP, HTTPS = StatusPart(GATEWAY, 'http'), StatusPart(GATEWAY, 'https', 443)


@pytest.fixture
def kinds(monkeypatch):
    """A kind with conditions of its parents alone, and one with sections beside the whole."""
    types, reasons = ('Accepted', 'ResolvedRefs'), {'ServiceMissing': 'ResolvedRefs'}
    rows = {'Route': StatusRules(types, reasons, whole=False), 'Gateway': StatusRules(types)}
    monkeypatch.setattr(conditions, 'RULES', {**conditions.RULES, **rows})


def at(part, reason='InvalidValue', ref=ROUTE):
    return Diagnostic(ref, reason, 'no', part=part)


def brief(found):
    return {part: [(each.type, each.status, each.reason) for each in shown] for part, shown in found.items()}


def test_each_parent_of_a_route_has_conditions_of_its_own(kinds):
    found = conditions.conditions(Subject(ROUTE, generation=3), [at(HTTP)], {HTTP: 'served', HTTPS: 'served'})
    assert brief(found) == {
        HTTP: [('Accepted', 'False', 'InvalidValue'), ('ResolvedRefs', 'True', 'ResolvedRefs')],
        HTTPS: [('Accepted', 'True', 'Accepted'), ('ResolvedRefs', 'True', 'ResolvedRefs')],
    }
    assert {each.generation for shown in found.values() for each in shown} == {3}


def test_a_problem_of_a_whole_route_shows_at_each_parent(kinds):
    problems = [at(WHOLE), at(HTTPS, 'ServiceMissing')]
    assert brief(conditions.conditions(Subject(ROUTE), problems, {HTTP: 'served', HTTPS: 'served'})) == {
        HTTP: [('Accepted', 'False', 'InvalidValue'), ('ResolvedRefs', 'True', 'ResolvedRefs')],
        HTTPS: [('Accepted', 'False', 'InvalidValue'), ('ResolvedRefs', 'False', 'ServiceMissing')],
    }


def test_a_section_has_conditions_beside_those_of_the_whole(kinds):
    listener = StatusPart(section='https')
    problem = at(listener, ref=GATEWAY)
    assert brief(conditions.conditions(Subject(GATEWAY), [problem], {WHOLE: 'served'})) == {
        WHOLE: [('Accepted', 'True', 'Accepted'), ('ResolvedRefs', 'True', 'ResolvedRefs')],
        listener: [('Accepted', 'False', 'InvalidValue')],
    }


# --- Events -----------------------------------------------------------------------------------------------------------


def test_an_event_has_one_name_for_the_same_news_and_another_for_others():
    (first,), (again,), (other,) = (
        conditions.occurrences(subject(), [diagnostic(text)]) for text in ('no', 'no', 'never')
    )
    assert first == again
    assert first.name != other.name
    assert first.name.startswith('web.')


def test_an_object_that_is_made_again_has_events_of_its_own():
    (first,), (other,) = (conditions.occurrences(Subject(WEB, uid), [diagnostic()]) for uid in ('u-1', 'u-2'))
    assert first.name != other.name


def test_an_event_has_a_name_that_kubernetes_allows():
    (found,) = conditions.occurrences(Subject(Ref('Ingress', 'n' * 63, 's' * 253)), [diagnostic()])
    assert len(found.name) <= 253
    assert not found.name.endswith('.')


def test_a_kind_without_conditions_has_one_event_for_each_generation_that_sums_up():
    ref = Ref('Ingress', 'shop', 'web')
    problems = [diagnostic(f'no {number}', ref=ref) for number in range(7)]
    (first,), (again,), (later,) = (
        conditions.occurrences(Subject(ref, 'u', generation), problems) for generation in (1, 1, 2)
    )
    assert first == again
    assert first.name != later.name
    assert (first.reason, first.note, first.field) == ('InvalidValue', 'no 0; no 1; no 2; no 3; no 4; and 2 more', '')
    assert conditions.conditions(Subject(ref, 'u', 1), problems) == {}
    (alone,) = conditions.occurrences(Subject(ref, 'u', 1), problems[:1])
    assert alone.field == problems[0].field


def test_an_event_of_a_kind_without_namespace_is_in_the_one_that_it_names():
    (occurrence,) = conditions.occurrences(Subject(Ref('Namespace', '', 'lb')), [diagnostic()])
    event = conditions.event(Subject(Ref('Namespace', '', 'lb')), occurrence, 'Wait', 'one', 'now')
    assert (event['metadata']['namespace'], event['regarding']['namespace']) == ('lb', 'lb')
    assert 'uid' not in event['regarding']


NOW = '2026-05-01T12:00:00Z'
NO = Condition('headrace.io/Programmed', 'False', 'Conflict', 'no')


@pytest.mark.parametrize(
    ('before', 'since'),
    [
        pytest.param((), NOW, id='none before'),
        pytest.param((dataclasses.replace(NO, message='other', since='T1'),), 'T1', id='the same status'),
        pytest.param((dataclasses.replace(NO, status='True', since='T1'),), NOW, id='another status'),
        pytest.param((dataclasses.replace(NO, type='headrace.io/Other', since='T1'),), NOW, id='another type'),
    ],
)
def test_a_condition_is_written_as_the_api_takes_it(before, since):
    assert conditions.document(NO, before, NOW) == {
        'type': 'headrace.io/Programmed',
        'status': 'False',
        'reason': 'Conflict',
        'message': 'no',
        'lastTransitionTime': since,
    }


def test_a_condition_tells_the_generation_that_it_is_about():
    assert conditions.document(dataclasses.replace(NO, generation=4), (), NOW)['observedGeneration'] == 4
