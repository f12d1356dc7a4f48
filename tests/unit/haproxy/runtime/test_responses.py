"""What an answer means, and what of it is told to people."""

import pytest

from headrace.haproxy.encode import commands
from headrace.haproxy.encode.commands import Command, Phase
from headrace.haproxy.runtime import responses
from headrace.haproxy.runtime.responses import Outcome
from headrace.ir.policy import Entry, Map

HASH = '5E884898DA28047151D0E56F8DC6292773603D0D6AABBDD62A11EF721D1542D8'
USER = Entry(Map.AUTH, f'0123456789abcdef:{HASH[::-1]}:{HASH}', '1')
ABOUT_A_USER = [
    pytest.param(commands.set_entry(Phase.DATA, USER), id='set'),
    pytest.param(commands.del_entry(Phase.DATA_GONE, USER), id='del'),
    pytest.param(commands.add_entries(Phase.DATA, [USER])[0], id='add'),
]


@pytest.mark.parametrize('command', ABOUT_A_USER)
def test_the_hash_of_a_password_is_in_no_text_about_a_command(command):
    for text in (command.shown, command.named, repr(command)):
        assert 'maps/auth.map' in text
        assert HASH not in text


@pytest.mark.parametrize('command', ABOUT_A_USER)
@pytest.mark.parametrize('part', [HASH, HASH[:40], f'{USER.key} 1'])
def test_an_answer_that_repeats_a_hash_is_not_told(command, part):
    answered = responses.judge(command, f"Unknown command: '{part}', but maybe this one is a better match:")
    assert answered.outcome is Outcome.REFUSED
    assert answered.answer == 'an answer that repeats what is not shown'


@pytest.mark.parametrize('command', ABOUT_A_USER)
def test_an_answer_that_repeats_nothing_is_told(command):
    assert responses.judge(command, 'Unknown map identifier.').answer == "'Unknown map identifier.'"


def test_a_certificate_in_use_is_busy_and_one_that_is_not_there_is_gone():
    command = commands.del_certificate('shop')
    busy = "Can't remove the certificate: certificate 'certificates/shop.pem' in use, can't be deleted!"
    gone = "Can't remove the certificate: certificate 'certificates/shop.pem' doesn't exist!"
    assert responses.judge(command, busy).outcome is Outcome.BUSY
    assert responses.judge(command, gone).outcome is Outcome.DONE


def test_an_answer_about_a_certificate_is_told_unless_it_repeats_the_key():
    command = commands.set_certificate('shop', b'-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEF\n')[0]
    assert 'unable to load' in responses.judge(command, 'unable to load the certificate').answer
    assert 'MIIEvQ' not in responses.judge(command, 'Unknown command: MIIEvQIBADANBgkqhkiG9w0BAQEF').answer


@pytest.mark.parametrize(
    ('answer', 'outcome'),
    [
        pytest.param('New server registered.', Outcome.DONE, id='expected'),
        pytest.param('+ New server registered.\n', Outcome.DONE, id='after the mark of a payload'),
        pytest.param('+ + + New server registered.\n', Outcome.DONE, id='after the marks of a payload in parts'),
        pytest.param("warning about 'New'\nNew server registered.", Outcome.DONE, id='among warnings'),
        pytest.param('Already exists a server with the same name in backend.', Outcome.REFUSED, id='refused'),
        pytest.param('', Outcome.REFUSED, id='silent'),
        pytest.param('\x00\x7f garbage', Outcome.REFUSED, id='garbage'),
    ],
)
def test_a_command_with_an_expected_line_is_judged_by_it(answer, outcome):
    command = Command(Phase.ENDPOINTS, 'add server b/s 10.0.0.1:80', expected='New server registered.')
    assert responses.judge(command, answer).outcome is outcome


@pytest.mark.parametrize(
    ('answer', 'outcome'),
    [
        pytest.param('Server deleted.', Outcome.DONE, id='done'),
        pytest.param('No such server.', Outcome.DONE, id='gone before'),
        pytest.param('Server still has connections attached to it, cannot remove it.', Outcome.BUSY, id='busy'),
        pytest.param('x' * 1000, Outcome.BUSY, id='cut'),
        pytest.param('Permission denied', Outcome.REFUSED, id='refused'),
    ],
)
def test_a_removal_that_may_pass_later_is_busy(answer, outcome):
    command = Command(Phase.SERVERS_GONE, 'del server b/s', expected='Server deleted.', removes='b/s')
    assert responses.judge(command, answer).outcome is outcome
