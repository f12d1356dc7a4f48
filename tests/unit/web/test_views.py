"""View models: what pages show of the answers of agents."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.web.views import (
    agents,
    answers,
    backends,
    certificates,
    explained,
    gateways,
    journal,
    lists,
    objects,
    problems,
    routes,
    texts,
)
from headrace.web.views.answers import Object

ASKED = lists.Wanted('/routes', search='a b', sort='-key', offset=100, more=(('level', 'error'),))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(-1e6, 1e6) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
KEYS = ('items', 'holder', 'waiting', 'backends', 'claims', 'outcome', 'steps', 'servers', 'worker', 'table', 'problems', 'kind',
        'candidates', 'targets', 'listeners', 'diagnostics', 'objects', 'at', 'names', 'users', 'notAfter', 'levels')  # fmt: skip


@given(
    st.dictionaries(
        st.sampled_from(KEYS), JSON | st.lists(st.dictionaries(st.sampled_from(KEYS), JSON, max_size=4), max_size=3)
    )
)
def test_no_answer_of_another_version_is_an_error(answer):
    agents.agent('a', '', answer, '')
    backends.backends(answer)
    certificates.certificates(answer, ASKED, 0.0)
    explained.trace(answer)
    gateways.gateways(answer, ASKED)
    journal.journal({'a': answer}, 10)
    objects.page(Object('shop', 'web', 'Service'), answer, answer)
    problems.problems(answer, ASKED)
    routes.routes(answer, ASKED)
    routes.route(answer)


def test_links_of_a_list_keep_what_was_asked_for():
    assert ASKED.link(offset='') == '/routes?search=a+b&sort=-key&level=error'
    assert ASKED.link(search='<script>', offset='').count('<') == 0


@pytest.mark.parametrize('offset', ['-1', 'x', '9' * 40, '٣', ''])
def test_a_place_in_a_list_that_cannot_be_is_its_beginning(offset):
    assert lists.wanted('/routes', {'offset': offset}, ()).offset == 0


def test_an_order_that_is_not_there_is_none():
    assert lists.wanted('/routes', {'sort': 'colour'}, ('key',)).sort == ''
    assert lists.wanted('/routes', {'sort': '-key'}, ('key',)).sort == '-key'


def test_the_place_of_a_page_and_its_neighbours():
    place = lists.pages(ASKED, {'matching': 200, 'total': 1000}, 50)
    assert (place.first, place.last, place.matching, place.total) == (101, 150, 200, 1000)
    assert 'offset=50' in place.previous
    assert 'offset=150' in place.following
    last = lists.pages(lists.Wanted('/routes', offset=50), {'matching': 60, 'total': 60}, 10)
    assert (last.following, last.previous) == ('', '/routes')


def test_a_heading_leads_to_the_other_order_once_it_is_chosen():
    first, second = lists.columns(ASKED, ('Key', 'key'), ('Object', 'object'))
    assert (first.order, 'sort=key' in first.link) == ('descending', True)
    assert (second.order, 'sort=object' in second.link) == ('', True)


def test_a_page_of_an_object_is_found_whatever_its_name():
    assert Object('shop', '../x?y#z', 'Service').path == '/objects/Service/shop/..%2Fx%3Fy%23z'
    assert Object('', 'n1', 'Node').path == ''
    assert answers.named('Service shop/web') == Object('shop', 'web', 'Service')


def test_the_model_is_that_of_an_edge_that_is_ready_unless_another_is_chosen():
    def one(name, **facts):
        return agents.agent(name, '', {'ready': True, 'role': 'edge', **facts}, '')

    every = [agents.agent('a', '', None, 'away'), one('b', role='node'), one('c', ready=False), one('d'), one('e')]
    assert agents.model_of(every).name == 'd'
    assert agents.model_of(every, 'b').name == 'b'
    assert agents.model_of(every, 'a').name == 'd'
    assert agents.model_of(every[:1]) is None


def test_a_certificate_tells_how_long_it_lasts():
    now = 1_800_000_000.0
    ends = {'2027-01-16T08:00:00+00:00': ('in 1 day', 'error'), '2027-02-05T08:00:00+00:00': ('in 21 days', 'warning'),
            '2028-01-15T08:00:00+00:00': ('in 365 days', 'ok'), '2027-01-14T08:00:00+00:00': ('1 day ago', 'error')}  # fmt: skip
    found = certificates.certificates({'items': [{'notAfter': each} for each in ends]}, ASKED, now)
    assert [(row.remaining, row.level) for row in found.rows] == [*ends.values()]


def test_changes_of_all_agents_stand_in_the_order_of_their_times():
    def change(at):
        return {
            'type': 'change',
            'at': at,
            'objects': [{'object': 'Service shop/web', 'action': 'changed'}],
            'commands': 1,
        }

    reload = {'type': 'reload', 'at': 2.5, 'good': False, 'error': 'no', 'reasons': ['profile: x']}
    found = journal.journal({'a': {'items': [change(3.0), reload]}, 'b': {'items': [change(2.0), change(4.0)]}}, 3)
    assert [(entry.agent, entry.order) for entry in found.entries] == [('b', 4.0), ('a', 3.0), ('a', 2.5)]
    assert found.entries[-1].effect == 'not reloaded: no'
    assert found.entries[0].effect == '1 command'


@pytest.mark.parametrize(
    ('shown', 'text'),
    [
        (texts.number(0), '0'),
        (texts.number(1234567), '1,234,567'),
        (texts.number(0.25), '0.25'),
        (texts.number(12.34), '12.3'),
        (texts.size(999), '999 B'),
        (texts.size(1_500_000), '1.5 MB'),
        (texts.duration(0.0123), '12.3 ms'),
        (texts.duration(2.5), '2.50 s'),
        (texts.span(90), '1 minute'),
        (texts.moment(0.0015), '1970-01-01 00:00:00.001'),
        (texts.moment(1e300), ''),
    ],
)
def test_numbers_are_shown_as_people_read_them(shown, text):
    assert shown == text
