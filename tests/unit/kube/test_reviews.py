"""Tokens of requests: what the API server is asked, how often at most, and what counts when it is away."""

import asyncio
import json

import pytest
from aiohttp import web

from headrace.kube import reviews
from headrace.kube.reviews import Answer, Reviews, ReviewsBusyError, ReviewUnavailableError

USER = {'username': 'jane', 'uid': 'u-1', 'groups': ['ops'], 'extra': {'scopes': ['a']}}
KNOWN = (201, {'status': {'authenticated': True, 'user': USER}})
UNKNOWN = (201, {'status': {'authenticated': False, 'error': 'expired'}})
ALLOWED = (201, {'status': {'allowed': True}})
DENIED = (201, {'status': {'allowed': False}})
TOKENS = 'POST /apis/authentication.k8s.io/v1/tokenreviews'
ACCESS = 'POST /apis/authorization.k8s.io/v1/subjectaccessreviews'


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def judge(server, answers, work):
    """Let a coroutine function work with reviews and a clock; return what it returns."""

    async def run():
        async with server.calls(*answers) as calls:
            clock = Clock()
            return await work(Reviews(calls, 'edge', clock), clock)

    return asyncio.run(run())


def once(server, *answers, token='t-1'):
    return judge(server, answers, lambda made, _: made.judge(token, 'p'))


def test_the_api_server_is_asked_who_it_is_and_whether_it_may(server):
    assert once(server, KNOWN, ALLOWED) is Answer.ALLOWED
    assert server.lines == [TOKENS, ACCESS]
    assert [json.loads(body)['spec'] for _, body in server.asked] == [
        {'token': 't-1'},
        {
            'user': 'jane',
            'uid': 'u-1',
            'groups': ['ops'],
            'extra': {'scopes': ['a']},
            'resourceAttributes': {
                'namespace': 'edge',
                'verb': 'get',
                'group': 'headrace.io',
                'resource': 'agents',
                'subresource': 'status',
            },
        },
    ]


@pytest.mark.parametrize(
    ('answers', 'answer'),
    [
        pytest.param((UNKNOWN,), Answer.UNKNOWN, id='a token that is none'),
        pytest.param(((201, {'status': {}}),), Answer.UNKNOWN, id='an answer that says nothing'),
        pytest.param((KNOWN, DENIED), Answer.FORBIDDEN, id='a user without the right'),
        pytest.param((KNOWN, (201, {'status': {}})), Answer.FORBIDDEN, id='a right of which nothing is said'),
        pytest.param((KNOWN, (201, {'status': {'allowed': 'true'}})), Answer.FORBIDDEN, id='a text is no truth'),
    ],
)
def test_nothing_but_a_clear_yes_lets_in(server, answers, answer):
    assert once(server, *answers) is answer


@pytest.mark.parametrize('token', ['tök', 'a\nb', '\udcff'], ids=ascii)
def test_what_can_be_no_token_is_not_sent(server, token):
    assert once(server, ALLOWED, token=token) is Answer.UNKNOWN
    assert not server.asked


@pytest.mark.parametrize(
    'answer',
    [
        pytest.param((403, {'message': 'tokenreviews is forbidden'}), id='the right is missing'),
        pytest.param((200, {}), id='another answer'),
        pytest.param((200, b'<html>'), id='no JSON'),
        pytest.param((503, {}), id='it is away'),
        pytest.param((201, {'status': {'authenticated': True}}), id='no user is authenticated'),
    ],
)
def test_an_api_server_that_does_not_review_lets_no_request_in(server, monkeypatch, caplog, answer):
    monkeypatch.setattr(reviews, '_DEADLINE_SECONDS', 0.5)

    async def twice(made, _):
        for _ in range(2):
            with pytest.raises(ReviewUnavailableError):
                await made.judge('t-1', 'p')

    judge(server, [answer], twice)
    # The token is in no line, and the same trouble is told once.
    assert len([record for record in caplog.records if record.name == reviews.log.name]) == 1
    assert 't-1' not in caplog.text


def test_an_answer_counts_for_ten_seconds(server):
    async def work(made, clock):
        found = [await made.judge('t-1', 'p'), await made.judge('t-1', 'p')]
        clock.now += 9.9
        found.append(await made.judge('t-1', 'p'))
        assert len(server.asked) == 2
        clock.now += 0.2
        return [*found, await made.judge('t-1', 'p')]

    assert judge(server, [KNOWN, ALLOWED, KNOWN, DENIED], work) == [Answer.ALLOWED] * 3 + [Answer.FORBIDDEN]
    assert len(server.asked) == 4


def test_requests_with_one_token_at_the_same_time_share_an_answer(server):
    async def work(made, _):
        return await asyncio.gather(*(made.judge('t-1', 'p') for _ in range(50)))

    assert judge(server, [KNOWN, ALLOWED], work) == [Answer.ALLOWED] * 50
    assert server.lines == [TOKENS, ACCESS]


def test_a_flood_of_bad_tokens_is_reviewed_at_a_bounded_rate_and_delays_no_known_token(server):
    async def work(made, clock):
        assert await made.judge('good', 'p') is Answer.ALLOWED
        busy = 0
        for number in range(1000):
            clock.now += 0.01
            try:
                await made.judge(f'bad-{number}', 'p')
            except ReviewsBusyError:
                busy += 1
        # Ten seconds at three a second, and the first six at once.
        assert 1000 - busy <= 37
        # Another peer has tokens of its own.
        assert await made.judge('other', 'q') is Answer.UNKNOWN
        clock.now += 0.01
        for number in range(100):
            with pytest.raises(ReviewsBusyError):
                [await made.judge(f'worse-{number}-{each}', 'p') for each in range(20)]
        assert await made.judge('good', 'p') is Answer.UNKNOWN
        assert len(made._refusals) <= 256

    judge(server, [KNOWN, ALLOWED, UNKNOWN], work)


def test_many_peers_together_ask_at_a_bounded_rate_and_few_at_once(server):
    now, most = 0, 0

    async def slow(_):
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.02)
        now -= 1
        return web.json_response(UNKNOWN[1], status=201)

    async def work(made, _):
        asked = [made.judge(f'bad-{number}', f'p{number}') for number in range(100)]
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert found.count(Answer.UNKNOWN) == 10
        assert all(each is Answer.UNKNOWN or isinstance(each, ReviewsBusyError) for each in found)
        assert most == 4

    judge(server, [slow], work)


def test_what_is_kept_is_bounded(server):
    async def work(made, clock):
        for number in range(300):
            clock.now += 1.0
            await made.judge(f't-{number}', 'p')
        return len(made._grants), len(made._refusals), len(made._tasks)

    assert judge(server, [(201, {'status': {'authenticated': True, 'user': USER, 'allowed': True}})], work) == (
        64,
        0,
        0,
    )
    assert judge(server, [UNKNOWN], work) == (0, 256, 0)


def test_who_stops_waiting_does_not_end_the_question_of_others(server):
    async def work(made, _):
        first, second = (asyncio.create_task(made.judge('t-1', 'p')) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        return await second

    assert judge(server, [KNOWN, ALLOWED], work) is Answer.ALLOWED
