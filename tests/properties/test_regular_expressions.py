"""Regular expressions of users: what is accepted matches what Python says, and any text is accepted or refused."""

import re

from hypothesis import given
from hypothesis import strategies as st

from headrace.translate import regular_expressions as expressions
from headrace.translate.regular_expressions import Unsupported

CHARACTERS = st.sampled_from([*'abcAB01_- .]', '\t'])
LITERALS = CHARACTERS.map(re.escape)
CLASSES = st.sampled_from(
    [r'\d', r'\D', r'\w', r'\W', r'\s', '.', '[a-c]', '[^a-b]', r'[\d_-]', '[]a]', r'[^\w ]', 'é', r'\x41']
)
COUNTS = st.sampled_from(['', '', '*', '+', '?', '*?', '{2}', '{1,}', '{0,2}', '{1,2}?'])
TEXTS = st.lists(CHARACTERS | st.sampled_from(['é', 'ab', '11']), max_size=8).map(''.join)


def _larger(inner):
    branches = st.lists(inner, min_size=1, max_size=3)
    return st.builds(
        '{}{}{}'.format,
        st.builds('({}{})'.format, st.sampled_from(['', '?:']), branches.map('|'.join))
        | branches.map(''.join).map('({})'.format),
        COUNTS,
        inner | st.just(''),
    )


EXPRESSIONS = st.builds('{}{}'.format, LITERALS | CLASSES, COUNTS) | st.just('')
EXPRESSIONS = st.recursive(EXPRESSIONS, _larger, max_leaves=8)
WHOLE = st.builds(
    '{}{}{}{}'.format,
    st.sampled_from(['', '', '(?i)']),
    st.sampled_from(['', '^']),
    EXPRESSIONS,
    st.sampled_from(['', '$']),
)


def read(found):
    """Return what PCRE2 gets, compiled by Python, whose name for the end of a text is another one."""
    return re.compile(found.removeprefix(expressions.START).replace(r'\z', r'\Z').encode())


@given(WHOLE, TEXTS)
def test_an_accepted_expression_matches_as_python_says(text, subject):
    found = expressions.parse(text)
    if isinstance(found, Unsupported):
        return
    assert found.isascii()
    assert found.isprintable()
    wanted = re.compile(text.replace('é', '(?:é)').encode()).fullmatch(subject.encode())
    assert bool(read(found).search(subject.encode())) == bool(wanted), found


@given(st.text(st.sampled_from('ab01()[]{}^$*+?|\\.,-:=<!PiQ#é\n\0'), max_size=20) | st.text(max_size=20))
def test_any_text_is_accepted_in_a_form_that_compiles_or_refused(text):
    found = expressions.parse(text)
    if isinstance(found, Unsupported):
        assert found.reason.isprintable()
    else:
        assert found.isprintable()
        read(found)
