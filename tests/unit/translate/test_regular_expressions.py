"""Which regular expressions of users are accepted, and what PCRE2 gets in their place."""

import re

import pytest

from headrace.translate import regular_expressions as expressions
from headrace.translate.regular_expressions import Unsupported


def written(text):
    """Return what is written for the expression alone, without the bound and the anchors around it."""
    found = expressions.parse(text)
    assert isinstance(found, str), found
    return found.removeprefix(r'(*LIMIT_MATCH=5000)\A').removesuffix(r'\z')


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        pytest.param('', '(?:)', id='nothing'),
        pytest.param('abc_1', '(?:abc_1)', id='literals'),
        pytest.param('a-b ]}', r'(?:a\x2db\x20\x5d\x7d)', id='signs'),
        pytest.param('a|b', '(?:a|b)', id='alternation stays in its group'),
        pytest.param('(?i)Ab', '(?i:Ab)', id='without case'),
        pytest.param('(a|)(?:b)', '(?:(?:a|)(?:b))', id='groups do not capture'),
        pytest.param('.', r'(?:[\x00-\x09\x0b-\xff])', id='any character'),
        pytest.param('^a$', r'(?:\Aa\z)', id='anchors'),
        pytest.param(r'\A\ba\B\z', r'(?:\A\ba\B\z)', id='anchors with a backslash'),
        pytest.param('a*b+?c?d{2}e{1,}f{1,3}', '(?:a*b+?c?d{2,2}e{1,}f{1,3})', id='counts'),
        pytest.param(r'\d\w\.\t\x41\x0a', r'(?:[0-9][0-9A-Z_a-z]\x2e\x09A\x0a)', id='escapes'),
        pytest.param(r'[a-c\d_-][^a]', r'(?:[\x2d0-9_a-c][\x00-\x60b-\xff])', id='classes'),
        pytest.param('[]a]', r'(?:[\x5da])', id='a bracket at the start of a class'),
        pytest.param('é+', r'(?:(?:\xc3\xa9)+)', id='a character that is not ASCII is repeated as one'),
        pytest.param('\ud800', r'(?:(?:\xed\xa0\x80))', id='half of a pair of UTF-16'),
        pytest.param('([a-z]+[.])+x', r'(?:(?:[a-z]+\x2e)+x)', id='a repetition of what ends it'),
        pytest.param('(a+)?(b{3}){2}', '(?:(?:a+)?(?:b{3,3}){2,2})', id='repetitions of one length'),
    ],
)
def test_an_expression_is_written_anew(text, wanted):
    assert written(text) == wanted


@pytest.mark.parametrize(
    ('text', 'reason'),
    [
        ('a' * 257, 'longer'),
        ('a)|(b', 'without a `\\(`'),
        ('(a', 'without a `\\)`'),
        ('(' * 11 + ')' * 11, 'more than 10 groups'),
        ('(?=a)', 'not supported'),
        ('(?<!a)b', 'not supported'),
        ('(?P<n>a)', 'not supported'),
        ('a(?i)b', 'not supported'),
        ('(*LIMIT_MATCH=9)a', 'nothing to repeat'),
        ('*a', 'nothing to repeat'),
        ('a|+', 'nothing to repeat'),
        ('a{x}', 'nothing to repeat'),
        (r'(a)\1', 'escape `1`'),
        (r'\pL', 'escape `p`'),
        (r'\Qa', 'escape `Q`'),
        ('\\', 'escape ``'),
        ('\\é', 'escape'),
        ('^*', 'anchor'),
        (r'\b+', 'anchor'),
        ('a**', 'repeats a repetition;'),
        ('a++', 'repeats a repetition;'),
        ('a{2}{2}', 'repeats a repetition;'),
        ('(a+)+', 'exponential'),
        ('(a|b*)*', 'exponential'),
        ('((a?)){30}', 'exponential'),
        ('(?:(?:a{1,9})?){9}', 'exponential'),
        ('a{101}', 'count'),
        ('a{1,999}', 'count'),
        ('a{3,2}', 'count'),
        ('(a{100}){11}', 'more than 1000'),
        ('(a{100}){9}(a{100}){9}', 'more than 1000'),
        ('[a', 'without a `]`'),
        ('[]', 'without a `]`'),
        ('[[:alpha:]]', r'`\[` in a class'),
        ('[é]', 'not ASCII'),
        ('[z-a]', 'range'),
        (r'[a-\d]', 'range'),
        (r'[\w-z]', 'range'),
        (r'[^\s\S]', 'without a character'),
    ],
)
def test_what_is_not_supported_is_refused_with_its_reason(text, reason):
    found = expressions.parse(text)
    assert isinstance(found, Unsupported), found
    assert re.search(reason, found.reason)


def test_the_end_of_an_expression_cannot_be_commented_out():
    assert written('a#') == r'(?:a\x23)'


@pytest.mark.parametrize(
    ('text', 'wanted'),
    [
        pytest.param('/a(b)', r'(?i:\x2fa(b))', id='groups capture'),
        pytest.param('(?i)(?:a)', '(?i:(?:a))', id='others do not'),
        pytest.param('(a)|b|(c)', '(?i:(?|(a)()|()b()|()(c)))', id='each branch has the groups of all'),
        pytest.param('a|b', '(?i:a|b)', id='branches without groups'),
        pytest.param('(a)?', '(?i:(?|(a)|()))', id='what may be left out is empty then'),
        pytest.param('(a)??(b)*?', '(?i:(?|()|(a))(?|()|(b)+?))', id='lazy'),
        pytest.param('((a)b)*', '(?i:(?|((a)b)+|()()))', id='groups in a repetition'),
        pytest.param('(a){0,3}(b){2}', '(?i:(?|(a){1,3}|())(b){2,2})', id='counts'),
        pytest.param('(a){0}', '(?i:())', id='none'),
    ],
)
def test_in_an_expression_of_a_beginning_all_groups_are_set_whenever_it_matches(text, wanted):
    assert expressions.parse_beginning(text) == rf'(*LIMIT_MATCH=5000)\A{wanted}'


@pytest.mark.parametrize('text', ['(a', '(a+)+', r'(a)\1', '(?=a)', 'a' * 257])
def test_what_is_not_supported_is_refused_in_an_expression_of_a_beginning(text):
    assert isinstance(expressions.parse_beginning(text), Unsupported)
