"""What is read of statuses, for the controller alone."""

import pytest

from headrace.objects import parse, status
from headrace.objects.status import Condition, Status
from support.objects import ingress, service


def read(**shown):
    return parse.read({**service(), 'status': shown}, statuses=True).object.status


@pytest.mark.parametrize(
    ('ingress', 'expected'),
    [
        pytest.param([], (), id='none'),
        pytest.param([{'ip': '192.0.2.1'}], (('192.0.2.1', ''),), id='an address'),
        pytest.param([{'ip': '192.0.2.1', 'ipMode': 'Proxy'}], (('192.0.2.1', ''),), id='an address of a proxy'),
        pytest.param([{'hostname': 'lb.example.com'}], (('', 'lb.example.com'),), id='a host name'),
        pytest.param([{'ip': '192.0.2.1', 'hostname': 'a'}], (('192.0.2.1', 'a'),), id='both'),
        pytest.param([{'ip': 'FD00::1'}, {'ip': '192.0.2.1'}], (('FD00::1', ''), ('192.0.2.1', '')), id='as written'),
        pytest.param([{'ip': 5}, 'text', None, {}], (('', ''), ('', '')), id='other types'),
        pytest.param('text', (), id='a text for the list'),
    ],
)
def test_addresses_are_read_as_they_are_written(ingress, expected):
    assert read(loadBalancer={'ingress': ingress}).addresses == expected


OURS = {'type': 'headrace.io/Programmed', 'status': 'False', 'reason': 'Conflict', 'message': 'no'}
EXPECTED = Condition('headrace.io/Programmed', 'False', 'Conflict', 'no')
FULL = {**OURS, 'observedGeneration': 7, 'lastTransitionTime': '2026-05-01T12:00:00Z'}


@pytest.mark.parametrize(
    ('conditions', 'expected'),
    [
        pytest.param([], (), id='none'),
        pytest.param([{**OURS, 'type': 'Ready'}], (), id="others'"),
        pytest.param([{**OURS, 'type': 'Ready'}, OURS], (EXPECTED,), id='ours among others'),
        pytest.param(
            [{'type': 'headrace.io/Programmed'}], (Condition('headrace.io/Programmed', '', '', ''),), id='ours, empty'
        ),
        pytest.param(
            [{**OURS, 'reason': 5}], (Condition('headrace.io/Programmed', 'False', '', 'no'),), id='another type'
        ),
        pytest.param(
            [FULL], (Condition('headrace.io/Programmed', 'False', 'Conflict', 'no', 7),), id='with a generation'
        ),
        pytest.param([5, None], (), id='no conditions'),
        pytest.param('text', (), id='a text for the list'),
    ],
)
def test_the_conditions_that_our_controller_wrote_are_read(conditions, expected):
    assert read(conditions=conditions).conditions == expected


def test_the_time_of_a_transition_is_read_and_no_difference():
    (condition,) = read(conditions=[FULL]).conditions
    assert condition.since == '2026-05-01T12:00:00Z'


def test_uid_and_generation_are_read():
    document = service()
    document['metadata'] |= {'uid': 'u-1', 'generation': 4}
    assert status.read(document) == Status('u-1', 4)


def test_the_field_managers_of_headrace_that_own_a_part_of_a_status_are_read():
    document = service()
    document['metadata']['managedFields'] = [
        {'manager': 'headrace-web', 'subresource': 'status'},
        {'manager': 'headrace-headrace', 'subresource': 'status'},
        {'manager': 'headrace-edge'},
        {'manager': 'kube-controller-manager', 'subresource': 'status'},
        {'subresource': 'status'},
        None,
    ]
    assert status.read(document).managers == ('headrace-headrace', 'headrace-web')
    assert status.field_manager('web') == 'headrace-web'


@pytest.mark.parametrize('shown', [None, 5, 'text', []])
def test_a_status_of_another_type_shows_nothing(shown):
    assert parse.read({**service(), 'status': shown}, statuses=True).object.status == Status()


def test_a_status_is_read_on_request_and_no_part_of_what_a_service_says():
    document = {**service(), 'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1', 'ipMode': 'Proxy'}]}}}
    without, whole = parse.read(document).object, parse.read(document, statuses=True).object
    assert (without.status, without == whole) == (status.UNREAD, True)
    assert whole.status.addresses == (('192.0.2.1', ''),)


def test_the_status_of_an_ingress_is_read_on_request_too():
    document = {
        **ingress(hosts={'a.example.com': 'web'}),
        'status': {'loadBalancer': {'ingress': [{'ip': '192.0.2.1'}]}},
    }
    assert parse.read(document).object.status == status.UNREAD
    assert parse.read(document, statuses=True).object.status.addresses == (('192.0.2.1', ''),)


def test_equal_addresses_of_many_objects_are_one_value_unless_they_are_many():
    assert read(loadBalancer={'ingress': [{'ip': '192.0.2.1'}]}).addresses is (
        read(loadBalancer={'ingress': [{'ip': '192.0.2.1'}]}).addresses
    )
    assert len(read(loadBalancer={'ingress': [{'ip': '192.0.2.1'}] * 17}).addresses) == 17
