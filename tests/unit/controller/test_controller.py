"""What the controller would have a Service say, from its own model and from what agents tell."""

import asyncio
import dataclasses

import pytest

from headrace.diagnostics import Diagnostic
from headrace.names import Ref
from headrace.objects import parse
from headrace.objects.kinds import Service
from headrace.objects.status import Condition, Status
from support.leading import agent, lead, put
from support.objects import node, service

WEB = Ref('Service', 'aaa', 'web')
HANDED = {'headrace.io/node': 'headrace', 'service.kubernetes.io/service-proxy-name': 'headrace'}
EDGE, NODE = agent('e', 'edge', 0, ''), agent('n', 'node', 5, 'n1')


def web(labels=None, programmed=None, **annotations):
    said = {key.replace('_', '-'): text for key, text in annotations.items()}
    found = parse.read(service('web', 'aaa', annotations=said, labels=labels, clusterIP='10.96.0.1')).object
    shown = (Condition('headrace.io/Programmed', *programmed),) if programmed else ()
    return dataclasses.replace(found, status=Status(conditions=shown))


def decided(made, *leases):
    """Return status, reason and message, without its digest, of what the Service shall say once it was settled."""
    found = []

    async def script(controller, calls):
        put(controller, parse.read(node('n1')).object, made)
        while controller._dirty or WEB not in controller.store._objects or controller.store._dirty:  # noqa: ASYNC110
            await asyncio.sleep(0)
        while 'aaa' in controller.handover._queue._ready:  # noqa: ASYNC110
            await asyncio.sleep(0)
        found.append(controller.decide(WEB))

    lead(script, *leases, node_role=True)
    (condition,) = (found[0] and found[0].conditions) or (None,)
    return condition and (condition.status, condition.reason, condition.message.partition(' [of ')[0])


@pytest.mark.parametrize(
    ('made', 'expected'),
    [
        pytest.param(web(host='a.example.com', mode='http'), ('True', 'Programmed', 'served at the edge'), id='edge'),
        pytest.param(web(HANDED, proxy='node', epoch='5'), ('True', 'Programmed', 'served by the nodes'), id='nodes'),
        pytest.param(
            web(HANDED, proxy='node', epoch='5', host='a.example.com', mode='http'),
            ('True', 'Programmed', 'served at the edge and by the nodes'),
            id='both',
        ),
        pytest.param(web(), None, id='not asked for'),
        pytest.param(web(proxy='node'), None, id='still with kube-proxy'),
        pytest.param(web(host='a.example.com', mode='http', enabled='false'), None, id='switched off'),
        pytest.param(web(**{'class': 'other', 'host': 'a.example.com'}), None, id='of another class'),
    ],
)
def test_a_service_that_is_served_says_where(made, expected):
    assert decided(made, EDGE, NODE) == expected


def test_a_mistake_comes_before_what_is_served():
    found = decided(web(host='a.example.com', mode='http', check_interval='soon'), EDGE)
    assert found[:2] == ('False', 'InvalidValue')
    refused = agent('e', 'edge', 0, '', Diagnostic(WEB, 'RefusedByHaproxy', 'no'))
    assert decided(web(host='a.example.com', mode='http'), refused) == ('False', 'RefusedByHaproxy', 'no')


@pytest.mark.parametrize(
    ('shown', 'expected'),
    [
        pytest.param(None, None, id='nothing before'),
        pytest.param(('True', 'Programmed', 'as before'), ('True', 'Programmed', 'as before'), id='served before'),
        pytest.param(('False', 'Conflict', 'as before'), None, id='a mistake before'),
    ],
)
def test_before_an_agent_of_the_edge_was_seen_a_condition_is_left_as_it_is(shown, expected):
    assert decided(web(programmed=shown, host='a.example.com', mode='http'), NODE) == expected


def test_services_say_that_they_are_served_once_an_agent_of_the_edge_is_seen(monkeypatch):
    monkeypatch.setattr('headrace.controller.controller._AGENTS_SECONDS', 0.05)

    async def script(controller, calls):
        put(controller, web(host='a.example.com', mode='http'))
        before = calls.asked
        while calls.asked < before + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert calls.statuses == []
        calls.held = (EDGE,)
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    ((name, status),) = lead(script).statuses
    assert (name, status['conditions'][0]['status']) == ('aaa/web', 'True')


def test_the_condition_goes_when_the_service_is_served_no_more(monkeypatch):

    async def script(controller, calls):
        shown = ('True', 'Programmed', 'served at the edge')
        put(controller, web(programmed=shown))
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert controller.store.get(WEB, Service).status.conditions[0].message == shown[2]

    assert lead(script, EDGE).statuses == [('aaa/web', {})]


def test_what_an_agent_said_stays_while_the_report_of_a_newer_one_cannot_be_read(monkeypatch):
    monkeypatch.setattr('headrace.controller.controller._AGENTS_SECONDS', 0.05)
    newer = agent('new', 'edge', 0, '')
    newer['metadata']['labels']['headrace.io/form'] = '99'

    async def script(controller, calls):
        put(controller, web(programmed=('False', 'SecretMissing', 'no'), host='a.example.com', mode='http'))
        before = calls.asked
        while calls.asked < before + 3:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert calls.statuses == []
        calls.held = (EDGE,)
        while not calls.statuses:  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    ((name, status),) = lead(script, newer).statuses
    assert (name, status['conditions'][0]['status']) == ('aaa/web', 'True')
