"""Who may see the dashboard."""

import asyncio
import ipaddress

import pytest
from aiohttp.test_utils import make_mocked_request

from headrace.cli import dashboards
from headrace.kube.reviews import Answer, ReviewsBusyError, ReviewUnavailableError
from headrace.settings.settings import SettingsError
from headrace.web import access
from headrace.web.access import AccessError, OfProxy, OfThisHost, OfToken, Sessions

PROXY = OfProxy('X-Forwarded-User', (ipaddress.ip_network('10.1.0.0/16'),))


class Transport:
    def __init__(self, peer):
        self._peer = peer

    def get_extra_info(self, name, default=None):
        return {'peername': (self._peer, 40000)}.get(name, default)


class Judge:
    right = 'see'

    def __init__(self, answer):
        self.answer = answer

    async def judge(self, token, peer):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if token == 'good' else Answer.UNKNOWN


def status(judge, peer='127.0.0.1', host='127.0.0.1:8407', **headers):
    """Return the status of a refusal, 200 for none."""
    given = {'Host': host, **{name.replace('_', '-'): value for name, value in headers.items()}}
    request = make_mocked_request('GET', '/', headers=given, transport=Transport(peer))
    try:
        asyncio.run(judge.judge(request))
    except AccessError as error:
        return error.status
    return 200


def test_without_a_setting_it_is_for_this_host_and_no_page_of_another_one():
    assert status(OfThisHost()) == 200
    assert status(OfThisHost(), '::1', 'localhost:8407') == 200
    assert status(OfThisHost(), '10.0.0.7') == 403
    assert status(OfThisHost(), host='rebound.example.com:8407') == 403


def test_a_proxy_is_believed_by_its_address_and_one_header():
    assert status(PROXY, '10.1.2.3', X_Forwarded_User='jane') == 200
    assert status(PROXY, '::ffff:10.1.2.3', X_Forwarded_User='jane') == 200
    assert status(PROXY, '10.2.0.1', X_Forwarded_User='jane') == 403
    assert status(PROXY, '10.1.2.3') == 403
    assert status(PROXY, '10.1.2.3', X_Forwarded_User=' ') == 403


@pytest.mark.parametrize(
    ('answer', 'expected'),
    [
        (Answer.ALLOWED, 200),
        (Answer.FORBIDDEN, 403),
        (Answer.UNKNOWN, 401),
        (ReviewsBusyError(), 429),
        (ReviewUnavailableError('away'), 503),
    ],
)
def test_a_token_is_judged_by_the_api_server(answer, expected):
    assert status(OfToken(Judge(answer)), '10.0.0.7', Authorization='Bearer good') == expected


def test_without_a_token_users_sign_in():
    judge = OfToken(Judge(Answer.ALLOWED))
    assert status(judge) == 401
    assert status(judge, Authorization='Basic good') == 401
    assert status(judge, Cookie=f'{access.COOKIE}=guessed') == 401
    session = judge.sessions.begin('good')
    assert status(judge, Cookie=f'{access.COOKIE}={session}') == 200
    judge.sessions.end(session)
    assert status(judge, Cookie=f'{access.COOKIE}={session}') == 401


def test_sessions_end_and_are_bounded():
    now = 0.0
    sessions = Sessions(lambda: now)
    first = sessions.begin('good')
    names = [sessions.begin('good') for _ in range(access.MOST_SESSIONS)]
    assert sessions.token(first) == ''
    assert sessions.token(names[-1]) == 'good'
    now = access.SESSION_SECONDS + 1
    assert sessions.token(names[-1]) == ''


GIVEN = {'auth': '', 'trusted_proxy': (), 'certificate': None}


@pytest.mark.parametrize('listen', ['127.0.0.1:0', '[::1]:8407', 'localhost:8407'])
def test_this_host_needs_no_setting(listen):
    dashboards._judge(GIVEN, '', listen, None)


@pytest.mark.parametrize('listen', [':8407', '0.0.0.0:8407', '[::]:8407', '192.0.2.1:8407', 'example.com:8407'])
def test_beyond_loopback_it_has_to_be_said_who_may_see_it(listen):
    with pytest.raises(SettingsError, match='beyond loopback'):
        dashboards._judge(GIVEN, '', listen, None)
    dashboards._judge({**GIVEN, 'auth': 'token'}, '', listen, object())
    dashboards._judge({**GIVEN, 'auth': 'header:X-User', 'trusted_proxy': ('10.0.0.0/8',)}, '', listen, None)


@pytest.mark.parametrize(
    'given',
    [
        {'auth': 'none'},
        {'auth': 'header:'},
        {'auth': 'header:X-User'},
        {'trusted_proxy': ('10.0.0.0/8',)},
        {'auth': 'header:X-User', 'trusted_proxy': ('everywhere',)},
        {'auth': 'token'},
    ],
)
def test_settings_that_protect_nothing_are_refused(given):
    with pytest.raises(SettingsError):
        dashboards._judge({**GIVEN, **given}, '', '127.0.0.1:0', None)
