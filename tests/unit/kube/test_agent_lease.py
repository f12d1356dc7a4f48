"""An agent's Lease: what it says, how much at most, and that it is kept whatever happens to it."""

import asyncio
import contextlib
import datetime as dt
import json

import pytest

import headrace
from headrace.diagnostics import Diagnostic
from headrace.kube import agent_lease
from headrace.kube.agent_lease import AgentLease, Identity, Report
from headrace.kube.lease import EPOCH, Leases
from headrace.names import Ref

MINE = Identity('headrace', 'pod-1', 'headrace', 'edge', uid='u-1')
PATH = '/apis/coordination.k8s.io/v1/namespaces/headrace/leases'
OWN = f'{PATH}/headrace-edge-pod-1'
NOW = dt.datetime(2026, 5, 1, 12, 30, 15, 250, tzinfo=dt.timezone(dt.timedelta(hours=2)))


def refused(name='web', message='no', reason='RefusedByHaproxy', field='', namespace='shop'):
    return Diagnostic(Ref('Service', namespace, name), reason, message, field)


def annotations(*diagnostics):
    return agent_lease.annotations(0, diagnostics)


def told(*diagnostics):
    return json.loads(annotations(*diagnostics)['headrace.io/diagnostics'])


# --- what it says -----------------------------------------------------------------------------------------------------


def test_a_lease_says_whose_it_is_and_until_when_it_holds():
    assert agent_lease.document(MINE, agent_lease.annotations(7, ()), NOW) == {
        'apiVersion': 'coordination.k8s.io/v1',
        'kind': 'Lease',
        'metadata': {
            'name': 'headrace-edge-pod-1',
            'namespace': 'headrace',
            'labels': {
                'headrace.io/class': 'headrace',
                'headrace.io/role': 'edge',
                'headrace.io/form': '1',
                'app.kubernetes.io/version': headrace.__version__,
            },
            'annotations': {'headrace.io/epoch': '7', 'headrace.io/diagnostics': '[]'},
            'ownerReferences': [{'apiVersion': 'v1', 'kind': 'Pod', 'name': 'pod-1', 'uid': 'u-1'}],
        },
        'spec': {
            'holderIdentity': 'pod-1',
            'leaseDurationSeconds': 40,
            'acquireTime': '2026-05-01T10:30:15.000250Z',
            'renewTime': '2026-05-01T10:30:15.000250Z',
        },
    }


def test_outside_of_a_cluster_a_lease_belongs_to_no_pod():
    made = agent_lease.document(Identity('headrace', 'host', 'headrace', 'edge'), annotations(), NOW)
    assert 'ownerReferences' not in made['metadata']


@pytest.mark.parametrize('name', ['n' * 300, 'n' * 238 + '.' * 62])
def test_a_lease_has_a_name_that_kubernetes_allows(name):
    found = Identity('headrace', name, 'headrace', 'edge').lease
    assert len(found) <= 253
    assert found.endswith('n')


def test_a_diagnostic_is_told_with_all_that_an_event_needs():
    assert told(refused(field='metadata.annotations')) == [
        {
            'level': 'error',
            'kind': 'Service',
            'namespace': 'shop',
            'name': 'web',
            'reason': 'RefusedByHaproxy',
            'message': 'no',
            'field': 'metadata.annotations',
        }
    ]


# --- how much at most -------------------------------------------------------------------------------------------------


def test_of_more_than_a_hundred_diagnostics_the_worst_are_told():
    warnings = [refused(f'a-{number:03}', reason='CostlyHash') for number in range(80)]
    errors = [refused(f'z-{number:03}') for number in range(60)]
    found = told(*warnings, *errors)
    assert [item['name'] for item in found] == [
        *(f'z-{number:03}' for number in range(60)),
        *(f'a-{number:03}' for number in range(40)),
    ]


@pytest.mark.parametrize('message', ['x' * 1000, 'ü' * 1000, '"\\\n' * 500], ids=['ASCII', 'bytes count', 'escapes'])
def test_diagnostics_are_told_up_to_64_kilobytes(message):
    text = annotations(*(refused(f's-{n}', message) for n in range(100)))[agent_lease.DIAGNOSTICS]
    assert len(text.encode()) <= 65536
    # No more is left out than has to be.
    found = json.loads(text)
    assert 0 < len(found) < 100
    assert len(text.encode()) + len(json.dumps(found[0], ensure_ascii=False).encode()) > 65536


def test_a_long_message_is_cut_and_hides_no_other_diagnostic():
    found = told(refused('a', 'x' * 70000), refused('b'))
    assert [(item['name'], len(item['message'])) for item in found] == [('a', 1000), ('b', 2)]


@pytest.mark.parametrize('message', ['no', 'ü"' * 500], ids=['by number', 'by bytes'])
def test_diagnostics_of_one_namespace_hide_none_of_another_and_what_is_left_out_is_counted(message):
    many = [refused(f's-{number:03}', message, namespace='aaa') for number in range(150)]
    few = [refused(f's-{number}', namespace='zzz') for number in range(3)]
    made = annotations(*many, *few)
    found = json.loads(made[agent_lease.DIAGNOSTICS])
    assert [item['namespace'] for item in found[:7]] == ['aaa', 'zzz', 'aaa', 'zzz', 'aaa', 'zzz', 'aaa']
    assert len(found) == 100 or message != 'no'
    assert json.loads(made[agent_lease.OMITTED]) == {'aaa': 153 - len(found)}


def test_a_report_that_leaves_nothing_out_counts_nothing():
    assert agent_lease.OMITTED not in annotations(refused())


# --- how it is kept ---------------------------------------------------------------------------------------------------

MISSING = (404, {'reason': 'NotFound'})
TAKEN = (409, {'reason': 'Conflict'})


def held(version):
    return (200, {'metadata': {'resourceVersion': str(version)}})


ONCE = (Report(),)


def keep(server, *answers, reports=ONCE):
    """Write so many reports; return the requests, and whether the last report could not be written."""

    async def write():
        async with server.calls(*answers) as calls:
            kept = AgentLease(Leases(calls), MINE, Report)
            for report in reports:
                await kept._write(report)
        return kept

    kept = asyncio.run(write())
    versions = [json.loads(body)['metadata'].get('resourceVersion') if body else None for _, body in server.asked]
    return list(zip(server.lines, versions, strict=True)), kept._is_failing


def test_a_lease_that_is_not_there_is_made_and_then_renewed(server):
    found, failed = keep(server, MISSING, held(5), held(6), reports=(Report(), Report(epoch=2)))
    assert found == [(f'GET {OWN}', None), (f'PUT {OWN}', None), (f'PUT {OWN}', '5')]
    assert json.loads(server.asked[-1][1])['metadata']['annotations']['headrace.io/epoch'] == '2'
    assert not failed


def test_a_lease_of_an_agent_that_was_started_again_is_taken_over(server):
    found, _ = keep(server, held(5), held(6))
    assert found == [(f'GET {OWN}', None), (f'PUT {OWN}', '5')]


def test_a_lease_that_was_changed_is_read_again(server):
    found, failed = keep(server, held(5), TAKEN, held(8), held(9))
    assert found == [(f'GET {OWN}', None), (f'PUT {OWN}', '5'), (f'GET {OWN}', None), (f'PUT {OWN}', '8')]
    assert not failed


def test_a_lease_that_was_removed_is_made_again(server):
    found, failed = keep(server, held(5), MISSING, MISSING, held(9))
    assert found == [(f'GET {OWN}', None), (f'PUT {OWN}', '5'), (f'GET {OWN}', None), (f'PUT {OWN}', None)]
    assert not failed


def test_a_lease_that_another_writes_all_the_time_is_told_and_tried_again_later(server, caplog):
    found, failed = keep(server, held(5), TAKEN, held(6), TAKEN, held(7), held(8), reports=(Report(), Report()))
    assert [line for line, _ in found[:4]] == [f'GET {OWN}', f'PUT {OWN}'] * 2
    assert len(caplog.records) == 1
    assert not failed


def test_a_right_that_is_missing_is_told_once_while_it_is_missing(server, caplog):
    found, failed = keep(server, (403, {'message': 'leases is forbidden'}), reports=(Report(), Report()))
    assert [line for line, _ in found] == [f'GET {OWN}'] * 2
    assert failed
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert 'leases is forbidden' in caplog.records[0].error


@pytest.mark.parametrize('answer', [(200, {}), (403, {'message': 'forbidden'}), MISSING])
def test_an_agent_that_ends_removes_its_lease_if_it_can(server, answer):
    async def withdraw():
        async with server.calls(answer) as calls:
            await AgentLease(Leases(calls), MINE, Report).withdraw()

    asyncio.run(withdraw())
    assert server.lines == [f'DELETE {OWN}']


def run(server, monkeypatch, reports, count, **seconds):
    """Keep a Lease until `count` requests were made; return the epochs written."""
    for name, value in seconds.items():
        monkeypatch.setattr(agent_lease, name, value)

    async def keep_it():
        async with server.calls(held(1)) as calls:
            running = asyncio.create_task(AgentLease(Leases(calls), MINE, reports).run())
            async with asyncio.timeout(20):
                while len(server.asked) < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running

    asyncio.run(keep_it())
    return [json.loads(body)['metadata']['annotations'][EPOCH] for _, body in server.asked if body]


def test_a_lease_is_renewed_without_news(server, monkeypatch):
    found = run(server, monkeypatch, Report, 4, _RENEW_SECONDS=0.05, _STEP_SECONDS=0.01)
    assert found[:3] == ['0', '0', '0']


def test_news_go_before_the_renewal(server, monkeypatch):
    def reports():
        return Report(epoch=min(len(server.asked), 2))

    found = run(server, monkeypatch, reports, 3, _NEWS_SECONDS=0.05, _STEP_SECONDS=0.01)
    assert found == ['0', '2']


def test_diagnostics_are_put_into_the_lease_when_they_are_others_and_not_at_each_renewal(server, monkeypatch):
    asked = []

    def diagnostics():
        asked.append(len(server.asked))
        return [refused()]

    found = run(server, monkeypatch, lambda: Report(1, 7, diagnostics), 5, _RENEW_SECONDS=0.02, _STEP_SECONDS=0.005)
    assert len(found) > 2
    assert len(asked) == 1
