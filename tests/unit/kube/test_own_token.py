"""The token of an agent outside of the cluster: what it says, when it is renewed, and what is said when it cannot be."""

import asyncio
import json

import pytest

from headrace.kube.own_token import Claims, TokenError, TokenRenewal, claims
from support.tokens import token

PATH = '/api/v1/namespaces/headrace-system/serviceaccounts/headrace-external-lb-1/token'


def test_a_token_says_whose_it_is_and_until_when():
    assert claims(token()) == Claims('headrace-system', 'headrace-external-lb-1', 1000, 2000)


@pytest.mark.parametrize(
    'text',
    [
        '',
        'opaque',
        'a.b',
        'e30.e30.x',
        'e30.###.x',
        token(exp=0),
        token(sub='jane'),
        token(sub='system:serviceaccount:a'),
    ],
    ids=['empty', 'opaque', 'two parts', 'no claims', 'no base64', 'no end', 'a user', 'no name'],
)
def test_what_is_no_token_of_an_account_is_refused_and_not_shown(text):
    with pytest.raises(TokenError) as refused:
        claims(text)
    assert not text or text not in str(refused.value)


def step(server, path, *answers, at=1600, times=1):
    """Let the renewal look so often; return what stands in the way."""

    async def look():
        async with server.calls(*answers) as calls:
            renewal = TokenRenewal(calls, path, lambda: at)
            for _ in range(times):
                await renewal.step()
            return renewal.problem

    return asyncio.run(look())


@pytest.fixture
def path(tmp_path):
    path = tmp_path / 'token'
    path.write_text(token() + '\n')
    path.chmod(0o600)
    return path


def test_a_token_is_renewed_when_half_of_its_life_is_over(server, path):
    given = (201, {'status': {'token': 'n3w'}})
    assert step(server, path, given, at=1499) == ''
    assert server.asked == []
    assert step(server, path, given, at=1500) == ''
    assert server.lines == [f'POST {PATH}']
    assert json.loads(server.asked[0][1])['spec'] == {'expirationSeconds': 1000}
    assert path.read_text() == 'n3w'
    assert path.stat().st_mode & 0o777 == 0o600
    assert [each.name for each in path.parent.iterdir()] == ['token']


def test_a_right_that_is_missing_is_logged_once_and_is_trouble_near_the_end(server, path, caplog):
    refused = (403, {'message': 'serviceaccounts/token is forbidden'})
    assert step(server, path, refused, at=1899, times=3) == ''
    assert [record.levelname for record in caplog.records] == ['WARNING']
    assert 'forbidden' in caplog.records[0].error
    assert step(server, path, refused, at=1900).startswith('cannot be renewed, 100 s left: POST')
    assert path.read_text() == token() + '\n'


def test_a_folder_that_cannot_be_written_to_is_said_and_leaves_the_token(server, path, caplog, monkeypatch):
    def full(*_, **__):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('headrace.kube.own_token.tempfile.mkstemp', full)
    assert 'No space left' in step(server, path, (201, {'status': {'token': 'n3w'}}), at=1950)
    assert path.read_text() == token() + '\n'
    assert 'n3w' not in caplog.text


@pytest.mark.parametrize('text', ['opaque', token(exp=0)])
def test_a_token_without_an_end_is_left_alone(server, path, text):
    path.write_text(text)
    assert step(server, path, (201, {'status': {'token': 'n3w'}}), at=9000) == ''
    assert server.asked == []
    path.unlink()
    assert step(server, path, (201, {})) == ''
