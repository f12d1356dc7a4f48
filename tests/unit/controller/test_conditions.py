"""What a Service shall say of its errors: one condition, and an Event for each, the same for the same news."""

import pytest

from headrace.controller import conditions
from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import parse
from support.objects import service

WEB = Ref('Service', 'shop', 'web')


def diagnostic(message='no', reason='InvalidValue', field='metadata.annotations[headrace.io/host]', ref=WEB):
    return Diagnostic(ref, reason, message, field)


def read(**given):
    return parse.read(service(**given)).object


def test_without_an_error_there_is_nothing_to_say():
    assert conditions.condition(read(), ()) is None
    assert conditions.occurrences(()) == ()


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
    status, reason, message = conditions.condition(read(), found)
    assert (status, reason) == ('False', 'InvalidValue')
    assert message.startswith('one; two [of ')


@pytest.mark.parametrize(
    ('count', 'end'), [(5, 'no 4'), (6, 'no 4; and 1 more'), (9, 'no 4; and 4 more')], ids=['five', 'six', 'nine']
)
def test_of_many_errors_the_condition_tells_five_and_how_many_more(count, end):
    _, _, message = conditions.condition(read(), tuple(diagnostic(f'no {number}') for number in range(count)))
    assert message.rpartition(' [of ')[0] == f'no 0; no 1; no 2; no 3; {end}'


def test_a_condition_has_a_length_that_kubernetes_allows_and_keeps_its_digest():
    _, _, message = conditions.condition(read(), (diagnostic('x' * 5000),))
    assert len(message) < 32768
    assert message.endswith(f' [of {conditions.digest(read())}]')


def test_a_condition_that_a_service_is_served_says_where():
    of = f' [of {conditions.digest(read())}]'
    assert conditions.served(read(), ()) is None
    assert conditions.served(read(), ['at the edge']) == ('True', 'Programmed', f'served at the edge{of}')
    assert conditions.served(read(), ['here', 'there'])[2] == f'served here and there{of}'


def test_what_a_service_waits_for_is_told_as_a_condition_and_is_no_mistake():
    waits = diagnostic('kube-proxy keeps it', 'HandoverPending')
    assert conditions.errors([waits], []) == ()
    assert conditions.pending([diagnostic(), waits]) == (waits,)
    assert conditions.condition(read(), (waits,))[:2] == ('False', 'HandoverPending')


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
    assert conditions.digest(read(**changed)) != conditions.digest(read())


def test_the_digest_does_not_speak_of_what_the_controller_writes():
    written = {**service(), 'status': {'conditions': [{'type': 'headrace.io/Programmed', 'status': 'False'}]}}
    assert conditions.digest(parse.read(written).object) == conditions.digest(read())


def test_an_event_has_one_name_for_the_same_news_and_another_for_others():
    (first,), (again,), (other,) = (conditions.occurrences([diagnostic(text)]) for text in ('no', 'no', 'never'))
    assert first == again
    assert first.name != other.name
    assert first.name.startswith('web.')


def test_an_event_has_a_name_that_kubernetes_allows():
    (found,) = conditions.occurrences([diagnostic(ref=Ref('Service', 'n' * 63, 's' * 63))])
    assert len(found.name) <= 253
    assert not found.name.endswith('.')


def test_a_condition_is_written_as_the_api_takes_it():
    assert conditions.document(('False', 'Conflict', 'held'), '2026-05-01T12:00:00Z') == {
        'type': 'headrace.io/Programmed',
        'status': 'False',
        'reason': 'Conflict',
        'message': 'held',
        'lastTransitionTime': '2026-05-01T12:00:00Z',
    }
