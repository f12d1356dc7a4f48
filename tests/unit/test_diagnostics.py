"""Diagnostics: values with a reason that is documented, and texts that never carry more than they should."""

import pytest

from headrace import diagnostics
from headrace.diagnostics import Diagnostic, Level
from headrace.names import Ref

WEB = Ref('Service', 'shop', 'web')


@pytest.mark.parametrize(
    ('reason', 'level'), [('InvalidValue', Level.ERROR), ('UnknownKey', Level.WARNING), ('TerminatingOnly', Level.INFO)]
)
def test_a_diagnostic_has_the_level_of_its_reason(reason, level):
    assert Diagnostic(WEB, reason, 'message').level is level


@pytest.mark.parametrize('name', sorted(diagnostics.REASONS))
def test_a_reason_says_what_it_means_and_what_to_do(name):
    reason = diagnostics.REASONS[name]
    assert name.isalnum()
    assert name[0].isupper()
    for sentence in (reason.meaning, reason.remedy):
        assert sentence[0].isupper() or sentence.startswith(('headrace', '`'))
        assert sentence.endswith('.')


@pytest.mark.parametrize(
    ('value', 'expected'),
    [
        pytest.param('plain', "'plain'", id='text'),
        pytest.param('', "''", id='empty'),
        pytest.param("it's", '"it\'s"', id='single quote'),
        pytest.param('a\nb\r\t\0\x1b[31m', r"'a\nb\r\t\x00\x1b[31m'", id='control characters'),
        pytest.param('ä\u202e\ud800', r"'\xe4\u202e\ud800'", id='what a terminal may not have'),
        pytest.param('a' * 60, f"'{'a' * 60}'", id='as long as allowed'),
        pytest.param('a' * 61, f"'{'a' * 60}'…", id='longer'),
        pytest.param('a' * 1_000_000, f"'{'a' * 60}'…", id='1 MB'),
        pytest.param(80, "'80'", id='number'),
        pytest.param(1.5, "'1.5'", id='fraction'),
        pytest.param(True, "'True'", id='boolean'),
        pytest.param(None, "'None'", id='nothing'),
        pytest.param(10**5000, "'(int)'", id='a number of thousands of digits'),
        pytest.param(['pass', 'word'], "'(list)'", id='list'),
        pytest.param({'pass': 'word'}, "'(dict)'", id='mapping'),
        pytest.param(b'password', "'(bytes)'", id='bytes'),
    ],
)
def test_a_value_is_shown_short_quoted_and_printable(value, expected):
    found = diagnostics.shorten(value)
    assert found == expected
    assert found.isprintable()


def test_what_is_endless_or_vast_is_told_by_its_type():
    endless, bomb = [], ['a']
    endless.append(endless)
    for _ in range(64):
        bomb = [bomb, bomb]
    assert (diagnostics.shorten(endless), diagnostics.shorten(bomb)) == ("'(list)'", "'(list)'")


def test_diagnostics_sort_by_object_and_reason():
    first, second, third = (
        Diagnostic(Ref('Secret', 'shop', 'web'), 'UnknownKey', 'a'),
        Diagnostic(WEB, 'InvalidValue', 'b'),
        Diagnostic(WEB, 'UnknownKey', 'a'),
    )
    assert sorted((third, second, first)) == [first, second, third]
