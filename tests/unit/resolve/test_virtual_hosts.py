"""What stands at a route that several objects have candidates for.

Promises: the order of the Gateway API; equal conditions are served by the first and reported for the others; a route
whose first candidate has no conditions is plain.
"""

from dataclasses import replace

import pytest

from headrace.ir.fragment import pointers
from headrace.ir.pointers import Pointer
from headrace.ir.routing import Candidates, Conditions
from headrace.names import Ref
from headrace.resolve import claims
from headrace.resolve.virtual_hosts import merged, serving
from support.routed import NEW, OLD, MadeUp, candidate, conditions, route

GET = conditions('GET')
ONE = conditions(headers=[('x', '1')])
TWO = conditions(headers=[('x', '1'), ('y', '1')])
ASKED = conditions(query=[('q', '1')])
WITH_PATH = conditions(path='^/a')
SHOP_A, SHOP_B = Ref('HTTPRoute', 'shop', 'a'), Ref('HTTPRoute', 'shop', 'b')


@pytest.mark.parametrize(
    ('first', 'second'),
    [
        pytest.param(candidate('x', WITH_PATH), candidate('x', GET), id='an expression of the path before a method'),
        pytest.param(
            candidate('x', Conditions(path='b', path_length=2), created=NEW),
            candidate('x', WITH_PATH),
            id='a longer one',
        ),
        pytest.param(candidate('x', GET), candidate('x', TWO), id='a method before headers'),
        pytest.param(candidate('x', TWO), candidate('x', ONE), id='more headers before fewer'),
        pytest.param(candidate('x', ONE), candidate('x', ASKED), id='headers before query parameters'),
        pytest.param(candidate('x', ASKED, created=NEW), candidate('x'), id='conditions before age'),
        pytest.param(candidate('x', owner='b'), candidate('x', owner='a', created=NEW), id='the older object'),
        pytest.param(
            candidate('x', namespace='a', owner='z'), candidate('x', namespace='b', owner='a'), id='the namespace'
        ),
        pytest.param(candidate('x', owner='a'), candidate('x', owner='b'), id='the name'),
        pytest.param(candidate('x', rule=2), candidate('x', rule=10), id='the first rule of one object'),
    ],
)
def test_candidates_have_the_order_of_the_gateway_api(first, second):
    # Of equal conditions the first is kept, of others both are.
    kept = list(serving([second, first]).values())
    assert kept == ([first, second] if first.candidate.conditions != second.candidate.conditions else [first])


def test_a_route_whose_first_candidate_has_no_conditions_has_one_target():
    assert merged([candidate('one'), candidate('two', owner='b')]) == Pointer('shop_one_http', '')


def test_a_route_with_conditions_has_all_candidates_that_can_serve():
    first, second, last = candidate('one', ONE), candidate('two', ONE, rule=1), candidate('three')
    assert merged([last, second, first]) == Candidates((first.candidate, last.candidate))


def test_an_object_that_changes_touches_only_its_routes_that_become_others():
    made = MadeUp()
    kept, moved = (route('/kept'), candidate('x')), (route('/moved'), candidate('x'))
    assert made.replace(SHOP_A, [kept, moved]) == {kept[0].key, moved[0].key}
    assert made.replace(SHOP_A, [kept, (route('/new'), candidate('x'))]) == {route('/moved').key, route('/new').key}
    assert made.at(route('/moved')) is None


def test_the_next_object_takes_over_when_the_first_one_leaves():
    made = MadeUp()
    first, second = candidate('one', owner='a'), candidate('two', owner='b')
    made.replace(SHOP_A, [(route(), first)])
    assert made.replace(SHOP_B, [(route(), second)]) == set()
    assert made.at(route()) == first.candidate.target
    assert made.replace(SHOP_A, []) == {route().key}
    assert made.at(route()) == second.candidate.target


def test_conditions_of_a_younger_object_of_the_namespace_go_before_a_route_without():
    made = MadeUp()
    plain, asked = candidate('one', owner='a', created=OLD), candidate('two', GET, owner='b', created=NEW)
    made.replace(SHOP_A, [(route(), plain)])
    made.replace(SHOP_B, [(route(), asked)])
    assert [pointer.backend for pointer in pointers(made.at(route()))] == ['shop_two_http', 'shop_one_http']
    assert made.claims.diagnostics(made.fragments[SHOP_B], made.fragments) == []


def test_conditions_of_another_namespace_take_nothing_of_a_route_even_where_hosts_are_shared():
    made, foreign = MadeUp(), Ref('HTTPRoute', 'other', 'b')
    made.replace(SHOP_A, [(route(), candidate('one', owner='a', created=OLD))])
    assert made.replace(foreign, [(route(), candidate('two', GET, namespace='other', owner='b', created=NEW))]) == set()
    (diagnostic,) = made.claims.diagnostics(made.fragments[foreign], made.fragments)
    assert diagnostic.reason == 'Conflict'


def test_equal_conditions_are_reported_for_the_younger_object():
    made = MadeUp()
    made.replace(SHOP_A, [(route(), candidate('one', ONE, owner='a')), (route(), candidate('one', owner='a'))])
    made.replace(SHOP_B, [(route(), candidate('two', ONE, owner='b')), (route(), candidate('two', GET, owner='b'))])
    (diagnostic,) = made.claims.diagnostics(made.fragments[SHOP_B], made.fragments)
    assert (diagnostic.reason, diagnostic.message) == ('Conflict', 'r.com/ (prefix) is held by HTTPRoute shop/a')
    assert made.claims.diagnostics(made.fragments[SHOP_A], made.fragments) == []


def test_objects_that_want_the_same_without_conditions_are_not_compared_with_each_other(monkeypatch):
    made, asked = MadeUp(), []
    for number in range(50):
        made.replace(Ref('HTTPRoute', 'shop', f'r{number:02}'), [(route(), candidate('x', owner=f'r{number:02}'))])
    made.fragments = {ref: plain(fragment) for ref, fragment in made.fragments.items()}
    for ref, fragment in made.fragments.items():
        key = [(claim.kind, claim.key) for claim in fragment.claims]
        made.claims.replace(ref, key, key, made.fragments)
    monkeypatch.setattr(claims, 'serving', lambda every: asked.append(every) or serving(every))
    found = [made.claims.diagnostics(fragment, made.fragments) for fragment in made.fragments.values()]
    assert [len(each) for each in found] == [0] + 49 * [1]
    assert asked == []


def test_who_serves_a_route_is_found_once_until_its_claims_change(monkeypatch):
    made, asked = MadeUp(), []
    monkeypatch.setattr(claims, 'serving', lambda every: asked.append(1) or serving(every))
    for number in range(10):
        ref = Ref('HTTPRoute', 'shop', f'r{number}')
        made.replace(ref, [(route(), candidate('x', ONE, owner=f'r{number}'))])
    for fragment in made.fragments.values():
        made.claims.diagnostics(fragment, made.fragments)
    assert len(asked) == 1
    made.replace(SHOP_A, [(route(), candidate('x', ONE, owner='a'))])
    (diagnostic,) = made.claims.diagnostics(made.fragments[Ref('HTTPRoute', 'shop', 'r0')], made.fragments)
    assert (len(asked), diagnostic.message) == (2, 'r.com/ (prefix) is held by HTTPRoute shop/a')


def plain(fragment):
    """Return a fragment whose routes are targets, and no candidates."""
    return replace(
        fragment, claims=tuple(replace(claim, value=claim.value.items[0].target) for claim in fragment.claims)
    )
