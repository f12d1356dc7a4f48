"""Our own calls: typed refusals, what is tried again and how long, and lists page by page."""

import asyncio
import dataclasses
import time

import pytest

from headrace.kube import calls
from headrace.kube.calls import CallError, ConflictError, ForbiddenError, NotFoundError
from headrace.kube.resources import SERVICES

STATUS = {'kind': 'Status', 'message': 'said by the server', 'reason': 'Said'}


def call(server, answers, *arguments, **more):
    async def ask():
        async with server.calls(*answers) as made:
            return await made.call(*arguments, **more)

    return asyncio.run(ask())


def test_a_call_returns_what_the_server_answers(server):
    assert call(server, [(200, {'a': 1})], 'GET', '/x', query={'limit': '5'}) == {'a': 1}
    request, body = server.asked[0]
    assert (request.method, request.path_qs, body) == ('GET', '/x?limit=5', b'')


def test_a_body_is_sent_as_json(server):
    assert call(server, [(201, {})], 'POST', '/x', {'kind': 'Lease'}) == {}
    request, body = server.asked[0]
    assert (request.headers['Content-Type'], body) == ('application/json', b'{"kind":"Lease"}')


def test_an_answer_without_a_body_is_nothing(server):
    assert call(server, [(200, b'')], 'DELETE', '/x') is None


@pytest.mark.parametrize(
    ('status', 'kind'),
    [(404, NotFoundError), (409, ConflictError), (403, ForbiddenError), (422, CallError), (410, CallError)],
)
def test_a_refusal_is_told_at_once_with_its_kind_and_reason(server, status, kind):
    with pytest.raises(CallError) as found:
        call(server, [(status, STATUS)], 'GET', '/x')
    assert type(found.value) is kind
    assert (str(found.value), found.value.reason) == (f'GET /x: {status} said by the server', 'Said')
    assert len(server.asked) == 1


@pytest.mark.parametrize('body', [b'<html>blocked', b'["blocked"]', b'\xff blocked'])
def test_a_refusal_of_a_proxy_in_between_is_reported_as_it_is(server, body):
    with pytest.raises(ForbiddenError, match=r'GET /x: 403 .*blocked') as found:
        call(server, [(403, body)], 'GET', '/x')
    assert found.value.reason == ''


@pytest.mark.parametrize(
    ('status', 'headers'),
    [
        pytest.param(429, {}, id='busy'),
        pytest.param(429, {'Retry-After': '0'}, id='busy, and to be asked again at once'),
        pytest.param(503, {'Retry-After': 'Wed, 21 Oct 2026 07:28:00 GMT'}, id='away, with a date'),
        pytest.param(503, {'Retry-After': '²'}, id='away, with a digit that is no number'),
        pytest.param(500, {}, id='an error of the server'),
    ],
)
def test_what_may_pass_is_tried_again(server, status, headers):
    assert call(server, [(status, STATUS, headers), (200, {'a': 1})], 'PUT', '/x', {'b': 2}) == {'a': 1}
    assert [body for _, body in server.asked] == [b'{"b":2}'] * 2


def test_the_pause_that_the_server_asks_for_is_made(server):
    began = time.monotonic()
    call(server, [(429, STATUS, {'Retry-After': '1'}), (200, {})], 'GET', '/x')
    assert time.monotonic() - began >= 1


def test_a_server_that_asks_for_no_pause_is_not_asked_all_the_time(server, monkeypatch):
    monkeypatch.setattr(calls, '_DEADLINE_SECONDS', 1.0)
    with pytest.raises(CallError):
        call(server, [(429, STATUS, {'Retry-After': '0'})], 'GET', '/x')
    # Pauses of at least 0.1, 0.2 and 0.4 s fit into a second.
    assert len(server.asked) <= 4


def test_a_call_ends_at_its_deadline_and_says_why(server, monkeypatch):
    monkeypatch.setattr(calls, '_DEADLINE_SECONDS', 0.2)
    with pytest.raises(CallError) as found:
        call(server, [(503, STATUS)], 'GET', '/x')
    assert str(found.value) == 'GET /x: TimeoutError'


def test_a_server_that_is_not_there_is_told(server):
    async def ask():
        async with server.calls((200, {})) as made:
            pass
        async with server.calls((200, {})) as other:
            made._session = other._session
            await made.call('GET', '/x')

    with pytest.raises(CallError, match='GET /x: Cannot connect'):
        asyncio.run(ask())


def test_an_answer_that_is_no_json_is_told(server):
    with pytest.raises(CallError, match='GET /x: JSON is malformed'):
        call(server, [(200, b'<html>')], 'GET', '/x')


# --- lists ------------------------------------------------------------------------------------------------------------


def pages(server, answers, resource):
    async def ask():
        async with server.calls(*answers) as made:
            return [body['items'] async for body in made.pages('/list', resource, 2)]

    return asyncio.run(ask()), [dict(request.query) for request, _ in server.asked]


def page(*items, token=''):
    return (200, {'metadata': {'resourceVersion': '7', 'continue': token}, 'items': list(items)})


def test_a_list_is_read_page_by_page_to_its_end(server):
    answers = [page(1, 2, token='t1'), page(3, 4, token='t2'), page(5)]
    found, queries = pages(server, answers, SERVICES)
    assert found == [[1, 2], [3, 4], [5]]
    assert queries == [{'limit': '2'}, {'limit': '2', 'continue': 't1'}, {'limit': '2', 'continue': 't2'}]


def test_a_list_has_the_selectors_of_its_watch(server):
    chosen = dataclasses.replace(SERVICES, label_selector='a=b', field_selector='c!=d')
    _, queries = pages(server, [page()], chosen)
    assert queries == [{'limit': '2', 'labelSelector': 'a=b', 'fieldSelector': 'c!=d'}]


def test_a_list_that_has_gone_stale_on_the_way_is_told(server):
    with pytest.raises(CallError, match='410'):
        pages(server, [page(1, token='t1'), (410, {'reason': 'Expired'})], SERVICES)
