"""Who may see the pages for administrators."""

import asyncio

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from headrace.agent import guard
from headrace.kube.reviews import Answer, ReviewsBusyError, ReviewUnavailableError


class Transport:
    def __init__(self, peer):
        self._peer = peer

    def get_extra_info(self, name, default=None):
        return {'peername': self._peer}.get(name, default)


class Judge:
    """Says what it was made with about each token, and keeps them."""

    right = 'see'

    def __init__(self, answer):
        self.answer, self.tokens = answer, []

    async def judge(self, token, peer):
        assert peer in ('10.0.0.7', '127.0.0.1')
        self.tokens.append(token)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


async def page(_):
    return web.Response(text='page')


def asked(peer='127.0.0.1', host='127.0.0.1:8405', **headers):
    transport = Transport((peer, 40000) if peer else None)
    given = {'Host': host, **{name.replace('_', '-'): value for name, value in headers.items()}}
    return make_mocked_request('GET', '/status', headers=given, transport=transport)


def local(request):
    return asyncio.run(guard.local(page)(request)).status


@pytest.mark.parametrize(
    ('peer', 'host'),
    [
        pytest.param('127.0.0.1', '127.0.0.1:8405', id='IPv4'),
        pytest.param('127.0.0.5', 'localhost:8405', id='another address of it, and a name'),
        pytest.param('::1', '[::1]:8405', id='IPv6'),
        pytest.param('::1', '[::1]', id='IPv6 without a port'),
        pytest.param('::ffff:127.0.0.1', 'localhost', id='IPv4 in IPv6'),
    ],
)
def test_loopback_sees_the_pages(peer, host):
    assert local(asked(peer, host)) == 200


@pytest.mark.parametrize(
    ('peer', 'host'),
    [
        pytest.param('10.0.0.7', '127.0.0.1:8405', id='another host that says it is loopback'),
        pytest.param('::ffff:10.0.0.7', 'localhost', id='the same as IPv4 in IPv6'),
        pytest.param('127.0.0.1', 'shop.example.com', id='HAProxy, led here by a Service'),
        pytest.param('127.0.0.1', '10.0.0.7:8405', id='a proxy that was asked by the address of the pod'),
        pytest.param('127.0.0.1', 'localhost.example.com', id='a name that only begins so'),
        pytest.param('127.0.0.1', '', id='no host'),
        pytest.param('', '127.0.0.1', id='an unknown peer'),
    ],
)
def test_others_do_not(peer, host):
    assert local(asked(peer, host)) == 403


def by_token(judge, **headers):
    return asyncio.run(guard.by_token(page, judge)(asked('10.0.0.7', **headers))).status


@pytest.mark.parametrize(
    ('headers', 'token'),
    [
        pytest.param({'X_Headrace_Token': 'mine'}, 'mine', id='the own header'),
        pytest.param({'Authorization': 'Bearer mine'}, 'mine', id='the usual one'),
        pytest.param({'X_Headrace_Token': 'mine', 'Authorization': 'Bearer of the proxy'}, 'mine', id='the own first'),
    ],
)
def test_a_token_is_taken_from_its_own_header_or_the_usual_one(headers, token):
    judge = Judge(Answer.ALLOWED)
    assert by_token(judge, **headers) == 200
    assert judge.tokens == [token]


@pytest.mark.parametrize('headers', [{}, {'Authorization': 'Basic eDp5'}, {'X_Headrace_Token': ''}], ids=str)
def test_without_a_token_the_api_server_is_not_asked(headers):
    judge = Judge(Answer.ALLOWED)
    assert by_token(judge, **headers) == 401
    assert judge.tokens == []


def test_loopback_needs_a_token_too_where_tokens_are_asked_for():
    assert asyncio.run(guard.by_token(page, Judge(Answer.ALLOWED))(asked())).status == 401


@pytest.mark.parametrize(
    ('answer', 'status'),
    [
        (Answer.UNKNOWN, 401),
        (Answer.FORBIDDEN, 403),
        (ReviewsBusyError(), 429),
        (ReviewUnavailableError('away'), 503),
    ],
)
def test_a_token_that_is_not_let_in_is_told_why(answer, status):
    assert by_token(Judge(answer), X_Headrace_Token='mine') == status
