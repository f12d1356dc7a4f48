"""Diagnostics: values with a reason that is documented, and texts that never carry more than they should."""

import pytest

from headrace import diagnostics
from headrace.diagnostics import WHOLE, Diagnostic, Level, StatusPart
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


# --- as JSON ----------------------------------------------------------------------------------------------------------

PART = StatusPart(Ref('Gateway', 'edge', 'public'), 'https', 443)


@pytest.mark.parametrize('part', [WHOLE, PART], ids=['whole', 'a part'])
def test_a_diagnostic_is_read_as_it_was_written(part):
    said = Diagnostic(WEB, 'InvalidValue', 'no', 'metadata.annotations', part)
    assert diagnostics.parse(said.value, 100) == said


def test_a_diagnostic_as_a_value_names_its_object_and_its_part_where_it_has_one():
    assert Diagnostic(WEB, 'InvalidValue', 'no', part=PART).value == {
        'level': 'error',
        'reason': 'InvalidValue',
        'kind': 'Service',
        'namespace': 'shop',
        'name': 'web',
        'field': '',
        'message': 'no',
        'part': {
            'parent': {'kind': 'Gateway', 'namespace': 'edge', 'name': 'public'},
            'section': 'https',
            'port': 443,
        },
    }
    assert 'part' not in Diagnostic(WEB, 'InvalidValue', 'no').value


@pytest.mark.parametrize('value', [None, 5, [], {}, {'reason': 'Invented'}, {'reason': ['InvalidValue']}], ids=str)
def test_what_is_no_diagnostic_is_none(value):
    assert diagnostics.parse(value, 100) is None


@pytest.mark.parametrize(
    ('part', 'expected'),
    [
        ('text', WHOLE),
        ({'port': 'x'}, WHOLE),
        ({'parent': 5, 'section': 's' * 20}, StatusPart(section='s' * 10)),
    ],
    ids=str,
)
def test_texts_are_cut_and_what_is_no_part_is_the_whole(part, expected):
    found = diagnostics.parse({'reason': 'InvalidValue', 'message': 'm' * 20, 'part': part}, 10)
    assert found == Diagnostic(Ref('', '', ''), 'InvalidValue', 'm' * 10, part=expected)
