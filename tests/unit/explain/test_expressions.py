"""Expressions that take long: they get turns in a running agent, and an end."""

import pytest

from headrace.explain import expressions, tracing
from headrace.explain import request as requests
from headrace.explain.expressions import Judgements, PauseError
from headrace.explain.request import RequestError
from headrace.translate import regular_expressions
from support.explained import model
from support.objects import endpoint_slice, service

SLOW = '/(a|a)(a|a)*(a|aa)*(a|aa)*x'


def routes(*paths):
    """Return a Service with these expressions as its paths."""
    keys = {'host': 'a.com', 'path': ' '.join(paths), 'path-type': 'RegularExpression'}
    return service(annotations=keys, ports=[{'name': 'http', 'port': 80}]), endpoint_slice(
        addresses=['10.0.0.1'], port_name='http'
    )


def turns(*documents, path):
    """Return the expressions before which the explanation of a request paused, and its trace."""
    store, state = model(*documents)
    steps, forms = tracing.tracing(state, store, requests.parse(f'GET http://a.com{path}')), []
    while True:
        try:
            forms.append(next(steps))
        except StopIteration as done:
            return forms, done.value


@pytest.fixture
def long_turns(monkeypatch):
    """Turns that no busy machine ends."""
    monkeypatch.setattr(expressions, '_TURN_SECONDS', 600.0)


def test_short_expressions_need_no_pause(long_turns):
    forms, trace = turns(*routes('/x', '/y'), path='/x')
    assert (forms, trace.outcome.served) == ([], True)


def test_slow_expressions_pause_and_end_with_the_same_trace():
    documents = routes(*(f'{SLOW}{number}' for number in range(4)), '/a+')
    forms, trace = turns(*documents, path='/' + 'a' * 400)
    assert forms
    assert trace.outcome.served


def test_an_expression_that_takes_long_to_compile_is_compiled_between_turns(long_turns):
    alternatives = '|'.join('(a)' for _ in range(60))
    forms, trace = turns(*routes(f'/({alternatives})'), path='/a')
    assert forms == [regular_expressions.parse_beginning(f'/({alternatives})')]
    assert trace.outcome.served


def test_expressions_that_take_too_long_together_are_an_error(monkeypatch):
    monkeypatch.setattr(tracing, '_MOST_TURNS', 1)
    with pytest.raises(RequestError, match='too long together'):
        turns(*routes(*(f'{SLOW}{number}' for number in range(4))), path='/' + 'a' * 400)


def test_a_judgement_is_remembered_over_turns(long_turns):
    judgements = Judgements()
    with judgements.turn():
        assert expressions.match(r'(*LIMIT_MATCH=5000)\A(?:a)\z', 'a') == ('a',)
    judgements._end = 0.0
    assert judgements.match(r'(*LIMIT_MATCH=5000)\A(?:a)\z', 'a') == ('a',)
    with pytest.raises(PauseError):
        judgements.match(r'(*LIMIT_MATCH=5000)\A(?:a)\z', 'b')
