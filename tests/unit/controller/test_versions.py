"""How the controller makes visible that agents run other versions, and what it does not write meanwhile."""

import asyncio

import pytest

from headrace.controller import versions
from headrace.controller.agents import Agent
from headrace.controller.conditions import Subject
from headrace.controller.gateways import GatewayWrite
from headrace.controller.versions import AgentVersions
from headrace.controller.writer import DesiredStatus
from headrace.kube.calls import CallError, ConflictError
from headrace.kube.lease import VERSION
from headrace.names import Ref
from headrace.objects.status import Condition, Status

WEB = Ref('Service', 'shop', 'web')
SERVED, BAD = Condition('P', 'True', 'P', 'served'), Condition('P', 'False', 'SecretMissing', 'no')
SAME = Agent('same', 'edge', 0, (), version=VERSION)
OLD, UNKNOWN = Agent('old', 'edge', 0, (), version='0.0.9'), Agent('unknown', 'edge', 0, ())
NEWER = [Agent(f'n{number}', 'node', 0, (), version='9.0', is_readable=False) for number in range(5)]


class Api:
    """The calls for Events."""

    def __init__(self, error=None):
        self.events, self.repeated, self._error = [], 0, error

    async def create_event(self, body):
        if self._error is not None:
            raise self._error
        self.events.append((body['reason'], body['note']))

    async def event_count(self, namespace, name):
        return 1

    async def repeat_event(self, namespace, name, count, at):
        self.repeated += 1


def noted(*rounds, api=None):
    """Return the Events of some rounds of agents."""
    api = api or Api()
    made = AgentVersions(api, 'headrace', 'headrace-system', 'one')

    async def note():
        for agents in rounds:
            await made.note(agents)

    asyncio.run(note())
    return api.events


def test_the_versions_of_agents_are_logged_when_they_change(caplog):
    with caplog.at_level('INFO'):
        assert noted([SAME], [SAME, OLD], [OLD], [OLD, OLD], [UNKNOWN], [SAME]) == []
    said = [record.others for record in caplog.records if record.message == 'agents of other versions']
    assert said == ['0.0.9 (1)', 'unknown (1)', 'none']


def test_a_version_that_stays_is_an_event(monkeypatch):
    monkeypatch.setattr(versions, '_PATIENCE_SECONDS', 0.0)
    note = f'agents run 0.0.9 (1), unknown (1), the controller {VERSION}'
    assert noted([OLD, UNKNOWN, SAME], [OLD, UNKNOWN, SAME]) == [('AgentsOfAnotherVersion', note)]


def test_a_report_that_cannot_be_read_is_an_event_at_once():
    ((reason, note),) = noted([SAME], NEWER, NEWER)
    assert reason == 'AgentsOfNewerVersion'
    assert note.startswith(f'agents run 9.0 (5), the controller {VERSION}; it cannot read what n0, n1, n2, … report')


@pytest.mark.parametrize('error', [CallError('no'), ConflictError('there')])
def test_an_event_that_cannot_be_written_stops_nothing(error):
    assert noted(NEWER[:1], api=Api(error)) == []


@pytest.mark.parametrize(
    ('write', 'expected'),
    [
        pytest.param(None, None, id='nothing'),
        pytest.param(
            DesiredStatus(Subject(WEB), Status(conditions=(BAD,)), (SERVED,), ()),
            DesiredStatus(Subject(WEB), Status(conditions=(BAD,)), (BAD,), ()),
            id='what agents said is not taken back',
        ),
        pytest.param(
            DesiredStatus(Subject(WEB), Status(), (BAD,), ()),
            DesiredStatus(Subject(WEB), Status(), (BAD,), ()),
            id='a mistake that the controller knows',
        ),
        pytest.param(
            GatewayWrite(WEB, '1', {'conditions': []}, {'kind': 'Service'}),
            GatewayWrite(WEB, '1', {}, {'kind': 'Service'}),
            id='of a Gateway its Service alone',
        ),
    ],
)
def test_what_agents_have_a_say_in_waits_until_their_reports_can_be_read(write, expected):
    assert versions.until_read(write) == expected
