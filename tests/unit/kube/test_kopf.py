"""What headrace leans on in kopf, one test each; where one fails, the pin of kopf must not be moved.

kopf promises few of these things. They were read in its source and tried against 1.45.2:

1.  a list is read by `response.json()`, page by page, and what that gives is what kopf handles: with the items taken
    away it handles none;
2.  the watch goes on from the version of the list's last page, with the same selectors, and asks for bookmarks;
3.  a watch is read by `content.iter_chunked()`;
4.  with a bookmark in the place of each event it handles none, and the version of the last bookmark is where the next
    watch begins;
5.  `ERROR 410` in a watch makes it list again, and ends nothing;
6.  a watch without a byte for `inactivity_timeout` is opened again, where it was;
7.  refusals are tried again as long as `error_backoffs` goes on, and at the time that `Retry-After` says;
8.  what ends a watch for good (404, an error other than 410) ends a root task whose name we know;
9.  after `stop_flag` nothing has to wait for it, and tasks that were there before it live on;
10. handlers of signals are set before it is ready, and not again;
11. it only reads: no request but GET, and only of what is watched and of the discovery;
12. what is added to its `insights` is watched from then on, what is taken out no longer, and a lost connection ends neither;
13. it can be loaded and used without the client `kubernetes`, which only a controller needs.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import os
import signal
import time

import pytest
from aiohttp import web

from headrace.kube import rights, session
from headrace.kube import watch as watches
from headrace.kube.resources import Resource, Scope
from headrace.kube.watch import Watch, WatchEndedError

SERVICES = Resource('Service', '', 'v1', 'services', label_selector='a=b', field_selector='metadata.name!=x')
PATH = '/api/v1/services'
DISCOVERY = {
    '/api': {'kind': 'APIVersions', 'versions': ['v1']},
    '/apis': {'kind': 'APIGroupList', 'groups': []},
    '/api/v1': {
        'kind': 'APIResourceList',
        'groupVersion': 'v1',
        'resources': [
            {'name': name, 'singularName': kind.lower(), 'namespaced': namespaced, 'kind': kind, 'verbs': ['list', 'watch']}
            # kopf waits for Namespaces to be there, although it reads none.
            for name, kind, namespaced in (('services', 'Service', True), ('namespaces', 'Namespace', False))
        ],
    },
}  # fmt: skip


def item(name, version):
    return {'metadata': {'name': name, 'namespace': 'shop', 'uid': f'uid-{name}', 'resourceVersion': str(version)}}


def page(version, *items, more=''):
    return {
        'kind': 'ServiceList',
        'metadata': {'resourceVersion': str(version), 'continue': more},
        'items': list(items),
    }


def event(kind, document):
    return json.dumps({'type': kind, 'object': {'kind': 'Service', 'apiVersion': 'v1', **document}}).encode() + b'\n'


def failed(code):
    return event('ERROR', {'kind': 'Status', 'code': code, 'metadata': {}})


class Heard:
    """Keeps what its path brings."""

    def __init__(self):
        self.pages, self.events, self.times, self.refusals, self.optional = [], [], 0, [], False

    async def page(self, body, *, first):
        self.pages.append((first, [each['metadata']['name'] for each in body['items']]))

    async def event(self, kind, document):
        self.events.append((kind, document['metadata']['name']))

    def heard(self):
        self.times += 1

    def note_refusal(self, status):
        self.refusals.append(status)

    def missing(self):
        return self.optional


class Play:
    """An API server that says what the test wants, and kopf as headrace starts it."""

    def __init__(self, lists):
        self.lists, self.refusals = list(lists), []
        self.asked, self.listener = [], Heard()
        self.said = asyncio.Queue()
        self.started = asyncio.Event()

    def watched(self):
        """Return the queries of the watches."""
        return [query for path, query, _ in self.asked if path == PATH and 'watch' in query]

    async def until(self, true):
        async with asyncio.timeout(10):
            while not true():  # noqa: ASYNC110
                await asyncio.sleep(0.005)

    async def answer(self, request):
        self.asked.append((request.path, dict(request.query), time.monotonic()))
        if request.path != PATH:
            return web.json_response(DISCOVERY.get(request.path, {'kind': 'APIResourceList', 'resources': []}))
        if self.refusals:
            status, headers = self.refusals.pop(0)
            return web.json_response({'kind': 'Status', 'code': status}, status=status, headers=headers)
        if 'watch' not in request.query:
            return web.json_response(self.lists.pop(0) if len(self.lists) > 1 else self.lists[0])
        response = web.StreamResponse()
        await response.prepare(request)
        while (said := await self.said.get()) is not None:
            await response.write(said)
        return response


def play(server, access_of, script, *lists, silence=70.0, resource=SERVICES):
    """Let kopf watch while a script goes on; return what has happened, and what the watch raised."""

    async def both():
        made = Play(lists or [page(5)])
        async with server.up(made.answer), session.make(access_of(server.url), {PATH: made.listener}) as held:
            before = asyncio.create_task(asyncio.sleep(60))

            watch = Watch(server.url, lambda: held, [Scope((resource,))], made.started.set, silence)
            made.watch = watch
            running = asyncio.create_task(watch.run())
            try:
                await script(made)
                began = time.monotonic()
                watch.stop()
                with contextlib.suppress(WatchEndedError):
                    await running
                made.stopped_in = time.monotonic() - began
                made.raised = running.exception()
                assert not before.done()
            finally:
                before.cancel()
                running.cancel()
                await asyncio.gather(before, running, return_exceptions=True)
        assert {request.method for request, _ in server.asked} == {'GET'}
        assert {path for path, _, _ in made.asked} <= {PATH, *rights.DISCOVERY}
        return made

    return asyncio.run(both())


def test_kopf_is_of_the_versions_that_were_tried():
    found = tuple(map(int, importlib.metadata.version('kopf').split('.')[:3]))
    assert (1, 45, 2) <= found < (1, 46)


def test_lists_are_taken_page_by_page_and_the_watch_goes_on_from_the_last(server, access_of):
    async def script(made):
        await made.until(made.watched)

    done = play(server, access_of, script, page(5, item('a', 1), more='next'), page(7, item('b', 2)))
    assert done.listener.pages == [(True, ['a']), (False, ['b'])]
    assert done.listener.events == []
    lists = [query for path, query, _ in done.asked if path == PATH and 'watch' not in query]
    assert [query.get('continue') for query in lists] == [None, 'next']
    (watched,) = done.watched()
    assert (watched['resourceVersion'], watched['allowWatchBookmarks']) == ('7', 'true')
    for query in (*lists, watched):
        assert (query['labelSelector'], query['fieldSelector']) == ('a=b', 'metadata.name!=x')


def test_events_and_bookmarks_move_the_version_and_kopf_handles_none(server, access_of, monkeypatch):
    handled = []

    async def handle(*, type, **_):  # noqa: A002  kopf's name
        handled.append(type)

    monkeypatch.setattr(watches, '_handle', handle)

    async def script(made):
        await made.until(made.watched)
        for kind, version in (('ADDED', 8), ('MODIFIED', 9), ('DELETED', 10)):
            made.said.put_nowait(event(kind, item('a', version)))
        await made.until(lambda: len(made.listener.events) == 3)
        made.said.put_nowait(None)
        await made.until(lambda: len(made.watched()) == 2)
        heard = made.listener.times
        made.said.put_nowait(event('BOOKMARK', item('a', 12)))
        await made.until(lambda: made.listener.times > heard)
        made.said.put_nowait(None)
        await made.until(lambda: len(made.watched()) == 3)

    done = play(server, access_of, script)
    assert done.listener.events == [('ADDED', 'a'), ('MODIFIED', 'a'), ('DELETED', 'a')]
    assert [query['resourceVersion'] for query in done.watched()] == ['5', '10', '12']
    assert handled == []


def test_a_version_that_is_too_old_makes_it_list_again(server, access_of):
    async def script(made):
        await made.until(made.watched)
        made.said.put_nowait(failed(410))
        await made.until(lambda: len(made.watched()) == 2)

    done = play(server, access_of, script, page(5, item('a', 1)), page(20, item('b', 19)))
    assert [names for _, names in done.listener.pages] == [['a'], ['b']]
    assert done.watched()[1]['resourceVersion'] == '20'
    assert done.raised is None


def test_a_silent_watch_is_opened_again_where_it_was(server, access_of):
    async def script(made):
        await made.until(lambda: len(made.watched()) == 3)

    done = play(server, access_of, script, silence=0.3)
    assert {query['resourceVersion'] for query in done.watched()} == {'5'}
    assert len(done.listener.pages) == 1


@pytest.mark.parametrize('status', [403, 429, 500, 503])
def test_refusals_are_tried_again_without_end(server, access_of, status, monkeypatch):
    monkeypatch.setattr(session, '_FIRST_PAUSES', (0.01,) * 30)

    async def script(made):
        made.refusals = [(status, {})] * 20
        await made.until(made.watched)

    done = play(server, access_of, script)
    assert done.listener.refusals == [status] * 20
    assert done.raised is None


def test_the_pause_that_the_server_asks_for_is_kept(server, access_of):
    async def script(made):
        made.refusals = [(429, {'Retry-After': '1'})]
        await made.until(made.watched)

    done = play(server, access_of, script)
    first, second = [at for path, query, at in done.asked if path == PATH and 'watch' not in query]
    assert second - first >= 1


@pytest.mark.parametrize('how', ['404', 'an error event'])
def test_what_ends_a_watch_for_good_ends_a_root_task(server, access_of, how):
    async def script(made):
        await made.until(made.watched)
        if how == '404':
            made.refusals = [(404, {})]
            made.said.put_nowait(None)
        else:
            made.said.put_nowait(failed(500))
        await made.until(lambda: not made.refusals)
        # Without the guard of the root tasks this would go unnoticed: kopf itself may go on.
        await asyncio.sleep(1)

    done = play(server, access_of, script)
    assert isinstance(done.raised, WatchEndedError)
    assert "kopf's" in str(done.raised)


OPTIONAL = Resource('Service', '', 'v1', 'services', optional=True)


def test_an_optional_resource_is_watched_from_its_addition_to_its_removal(server, access_of):
    async def script(made):
        made.listener.optional = True
        await made.started.wait()
        assert not made.watched()
        await made.watch.add(OPTIONAL)
        await made.until(lambda: len(made.watched()) == 1)
        made.said.put_nowait(event('ADDED', item('a', 8)))
        await made.until(lambda: made.listener.events)
        # It is gone: what was not found is tried again until it is taken out.
        made.refusals = [(404, {})] * 3
        made.said.put_nowait(None)
        await made.until(lambda: len(made.watched()) == 5)
        await made.watch.remove(OPTIONAL)
        await made.until(
            lambda: not [task for task in asyncio.all_tasks() if task.get_name().startswith('watcher for')]
        )
        count = len(made.watched())
        await made.watch.add(OPTIONAL)
        await made.until(lambda: len(made.listener.pages) == 2)
        await made.until(lambda: len(made.watched()) == count + 1)

    done = play(server, access_of, script, resource=OPTIONAL)
    assert done.raised is None
    assert done.listener.events == [('ADDED', 'a')]


def test_its_root_tasks_have_the_names_that_are_guarded(server, access_of):
    names = set()

    async def script(made):
        await made.started.wait()
        names.update(task.get_name() for task in asyncio.all_tasks())

    play(server, access_of, script)
    assert names >= watches._ROOTS


def test_when_it_is_told_to_end_it_is_not_waited_for_long(server, access_of):
    async def script(made):
        await made.until(made.watched)

    # It waits for all tasks that were made after it, as that of the server here; we do not.
    assert play(server, access_of, script).stopped_in < watches._STOP_SECONDS + 2


def test_handlers_of_signals_that_are_set_once_it_has_started_stay(server, access_of):
    seen = asyncio.Event()

    async def script(made):
        await made.started.wait()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, seen.set)
        await made.until(made.watched)
        os.kill(os.getpid(), signal.SIGTERM)
        await made.until(seen.is_set)
        asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)

    assert play(server, access_of, script).raised is None
