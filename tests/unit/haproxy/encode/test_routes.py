"""Merged routes as entries of maps: no text of users can be read as anything else, and shares follow weights."""

from dataclasses import replace

import pytest

from headrace.haproxy.encode import routes, syntax
from headrace.ir.pointers import Pointer
from headrace.ir.policy import Entry, Map
from headrace.ir.routing import Canary, Split, WeightedBackend
from headrace.resolve.virtual_hosts import merged
from support.routed import candidate, conditions, route

HOSTILE = 'a,b!c;d e\nf\x1e\x1f\0g"h\'i\\j#k%l\ud800é'


def split(*weights, policy='p', flags=''):
    backends = tuple(WeightedBackend(f'n_b{number}_http', weight) for number, weight in enumerate(weights))
    return Split(backends, policy, flags)


def drawn(target):
    """Return how many of all draws each backend has, by looking each one up as HAProxy does."""
    found, entries = {}, routes.shares(target)
    for draw in range(routes.DRAWS):
        text = f'{target.policy}:{draw:03X}'
        (backend,) = {value.partition('|')[0] for key, value in entries.items() if text.startswith(key)}
        found[backend] = found.get(backend, 0) + 1
    return found


@pytest.mark.parametrize(
    ('place', 'key'),
    [
        pytest.param(route('/'), 'r.com/', id='root'),
        pytest.param(route('/a/b'), 'r.com/a/b/', id='prefix'),
        pytest.param(route('/a', match='exact'), 'r.com/a/#', id='exact'),
        pytest.param(route('/a', host='*.r.com'), '*.r.com/a/', id='wildcard'),
    ],
)
def test_the_key_of_a_route(place, key):
    assert place.key == key


def test_a_route_without_conditions_has_the_value_of_annotated_services():
    assert routes.value(route().key, merged([candidate('b')])) == 'shop_b_http||'


def test_a_route_with_conditions_lists_its_candidates():
    wanted = conditions('GET', [('x-a', '1'), ('x-b', '^y$', True)], [('q', '1'), ('r', '.*', True)], '^/a')
    found = routes.value(route('/a').key, merged([candidate('one', wanted), candidate('two')]))
    assert found == '?r.com/a/,shop_one_http||!m!GET!hx-a!1!Hx-b!^y$!qq!1!Qr!.*!p!^/a,shop_two_http||,'


def test_what_conditions_leave_of_a_reserved_host_is_told_last():
    found = replace(merged([candidate('one', conditions('GET'))]), reserved='shop')
    text = routes.value(route().key, found)
    assert text == '?r.com/,shop_one_http||!m!GET,shop_,'
    assert routes.read_value(text).pointers == (Pointer('shop_one_http', ''),)


def test_texts_of_users_hold_no_separator():
    wanted = conditions('!', [('x,', HOSTILE)], [(HOSTILE, HOSTILE)], HOSTILE)
    found = routes.value(route('/a!,').key, merged([candidate('b', wanted)]))
    assert found.count(',') == 2
    assert found.count('!') == 2 * 4
    assert found.isascii()
    assert syntax.escaped(found) == found


def test_a_route_whose_value_would_not_fit_a_command_is_closed():
    many = [candidate('b', conditions(headers=[('x', f'{number:0500}')]), rule=number) for number in range(16)]
    assert routes.value(route().key, merged(many)) == 'shop_b_http||X'
    assert len(routes.value(route().key, merged(many[:14]))) <= routes.MAX_VALUE


def test_a_split_is_a_flag_of_its_route():
    found = routes.value(route().key, merged([candidate('b', target=split(1, 1, flags='Sh'))]))
    assert found == 'n_b0_http|p|SWh'


@pytest.mark.parametrize(
    'target',
    [
        pytest.param(split(0, 0), id='all weights are zero'),
        pytest.param(split(), id='no backends'),
        pytest.param(split(*[1] * (routes.MAX_BACKENDS + 1)), id='too many backends'),
    ],
)
def test_a_split_that_cannot_be_served_is_closed(target):
    first = 'n_b0_http' if target.backends else ''
    assert routes.value(route().key, merged([candidate('b', target=target)])) == f'{first}|p|WX'
    assert routes.shares(target) == {}


def test_shares_are_those_of_the_weights():
    assert drawn(split(1, 2, 7)) == {'n_b0_http': 410, 'n_b1_http': 819, 'n_b2_http': 2867}


def test_a_backend_with_weight_zero_has_no_draw():
    assert drawn(split(0, 1, 0, 1)) == {'n_b1_http': 2048, 'n_b3_http': 2048}


def test_one_backend_of_a_split_has_all_draws_by_one_entry():
    assert routes.shares(split(5)) == {'p:': 'n_b0_http||'}


def test_most_backends_need_a_bounded_number_of_entries():
    weights = [2 * number + 1 for number in range(routes.MAX_BACKENDS)]
    assert len(routes.shares(split(*weights))) <= 16 + 30 * (routes.MAX_BACKENDS - 1)


def test_a_share_names_the_policy_of_its_backend():
    target = Split((WeightedBackend('n_a_http', 1, 'q', 'h'),), 'p')
    assert routes.shares(target) == {'p:': 'n_a_http|q|h'}


def test_a_candidate_with_conditions_can_be_split():
    found = merged([candidate('one', conditions('GET'), target=split(1)), candidate('two')])
    assert routes.value(route().key, found) == '?r.com/,n_b0_http|p|W!m!GET,shop_two_http||,'


def test_what_leads_a_policy_to_further_backends_is_data():
    assert routes.lead(split(5)) == [Entry(Map.SPLITS, 'p:', 'n_b0_http||')]
    canary = Canary('p', 500, Pointer('n_a_http', 'q', 'h'))
    assert routes.lead(canary) == [Entry(Map.CANARY, 'p', '500|n_a_http|q|h')]


def test_a_pointer_keeps_its_own_form():
    found = candidate('b', target=Pointer('n_a_http', 'p', 'h'))
    assert routes.value(route().key, merged([found])) == 'n_a_http|p|h'
