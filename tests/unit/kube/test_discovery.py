"""Which optional kinds an API server serves, as it says over time."""

import asyncio

import pytest
from aiohttp import web

from headrace.kube import discovery
from headrace.kube.discovery import Discovery
from headrace.kube.resources import Resource

WIDGETS = Resource('Widget', 'a.example.com', 'v1', 'widgets', optional=True)
GADGETS = Resource('Gadget', 'a.example.com', 'v1', 'gadgets', optional=True)
GIZMOS = Resource('Gizmo', 'b.example.com', 'v1', 'gizmos', optional=True)
NOT_FOUND = (404, {'kind': 'Status', 'code': 404, 'reason': 'NotFound'})
BOTH = ['list', 'watch', 'get']


def served(*names, verbs=BOTH):
    return (200, {'kind': 'APIResourceList', 'resources': [{'name': name, 'verbs': verbs} for name in names]})


@pytest.fixture
def quick(monkeypatch):
    """Ask without pauses, so that a test need not wait."""
    monkeypatch.setattr(discovery, '_FIRST_PAUSE_SECONDS', 0.005)
    monkeypatch.setattr(discovery, '_LONGEST_PAUSE_SECONDS', 0.02)
    monkeypatch.setattr(discovery, '_CONFIRMED_SECONDS', 0.03)


class Seen:
    """What a discovery of some resources has reported, of an API server that answers as the test says."""

    def __init__(self):
        self.reported, self.says, self.asked = [], {}, 0

    async def answer(self, request):
        self.asked += 1
        status, body = self.says.get(request.path, NOT_FOUND)
        return web.json_response(body, status=status)

    async def come(self, resource):
        self.reported.append(('come', resource.kind))

    async def go(self, resource):
        self.reported.append(('go', resource.kind))

    async def until(self, reported):
        async with asyncio.timeout(10):
            while self.reported != reported:  # noqa: ASYNC110
                await asyncio.sleep(0.002)


def play(server, script, *resources):
    async def run():
        seen = Seen()
        async with server.calls(seen.answer) as calls:
            seen.discovery = Discovery(calls, resources, seen.come, seen.go)
            task = asyncio.create_task(seen.discovery.run())
            try:
                async with asyncio.timeout(10):
                    await seen.discovery.completed.wait()
                await script(seen)
                assert not task.done()
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())


@pytest.mark.usefixtures('quick')
def test_kinds_come_go_and_come_back(server):
    async def script(seen):
        assert seen.reported == []
        seen.says['/apis/a.example.com/v1'] = served('widgets', 'widgets/status')
        await seen.until([('come', 'Widget')])
        seen.says['/apis/a.example.com/v1'] = served('widgets', 'gadgets')
        seen.says['/apis/b.example.com/v1'] = served('gizmos')
        await seen.until([('come', 'Widget'), ('come', 'Gadget'), ('come', 'Gizmo')])
        del seen.says['/apis/b.example.com/v1']
        seen.discovery.doubt()
        await seen.until([('come', 'Widget'), ('come', 'Gadget'), ('come', 'Gizmo'), ('go', 'Gizmo')])
        seen.says['/apis/b.example.com/v1'] = served('gizmos')
        await seen.until(
            [('come', 'Widget'), ('come', 'Gadget'), ('come', 'Gizmo'), ('go', 'Gizmo'), ('come', 'Gizmo')]
        )

    play(server, script, WIDGETS, GADGETS, GIZMOS)


@pytest.mark.usefixtures('quick')
def test_a_kind_that_is_away_for_a_moment_does_not_go(server, monkeypatch):
    monkeypatch.setattr(discovery, '_CONFIRMED_SECONDS', 1000)

    async def script(seen):
        seen.says['/apis/a.example.com/v1'] = served('widgets')
        await seen.until([('come', 'Widget')])
        for _ in range(3):
            seen.says['/apis/a.example.com/v1'] = NOT_FOUND
            asked = seen.asked
            seen.discovery.doubt()
            async with asyncio.timeout(10):
                while seen.asked < asked + 3:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
            seen.says['/apis/a.example.com/v1'] = served('widgets')
            async with asyncio.timeout(10):
                while seen.discovery._missing_since:  # noqa: ASYNC110
                    await asyncio.sleep(0.002)
        assert seen.reported == [('come', 'Widget')]

    play(server, script, WIDGETS)


@pytest.mark.usefixtures('quick')
def test_nothing_is_asked_while_all_is_served(server):
    async def script(seen):
        seen.says['/apis/a.example.com/v1'] = served('widgets')
        await seen.until([('come', 'Widget')])
        asked = seen.asked
        # So many times the longest pause.
        await asyncio.sleep(0.2)
        assert seen.asked == asked

    play(server, script, WIDGETS)


@pytest.mark.usefixtures('quick')
@pytest.mark.parametrize(
    'answer',
    [
        pytest.param((403, {'kind': 'Status', 'code': 403, 'reason': 'Forbidden'}), id='refused'),
        pytest.param((200, {'kind': 'Status'}), id='no list'),
        pytest.param((200, {'resources': [{'name': 'widgets'}]}), id='a resource without verbs'),
        pytest.param((200, {'resources': 5}), id='a list of another type'),
    ],
)
def test_an_answer_that_says_nothing_changes_nothing(server, answer):
    async def script(seen):
        seen.says['/apis/a.example.com/v1'] = served('widgets')
        await seen.until([('come', 'Widget')])
        seen.says['/apis/a.example.com/v1'] = answer
        seen.discovery.doubt()
        seen.says['/apis/b.example.com/v1'] = served('gizmos')
        # Another group is judged all the same.
        await seen.until([('come', 'Widget'), ('come', 'Gizmo')])
        assert seen.discovery.served == {WIDGETS, GIZMOS}

    play(server, script, WIDGETS, GIZMOS)


@pytest.mark.usefixtures('quick')
def test_a_kind_that_cannot_be_watched_is_none(server):
    async def script(seen):
        seen.says['/apis/a.example.com/v1'] = served('widgets', verbs=['create'])
        asked = seen.asked
        async with asyncio.timeout(10):
            while seen.asked < asked + 3:  # noqa: ASYNC110
                await asyncio.sleep(0.002)
        assert seen.reported == []

    play(server, script, WIDGETS)
