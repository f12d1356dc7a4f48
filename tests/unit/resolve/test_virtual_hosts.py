"""What stands at a route that several objects have candidates for.

Promises: the order of the Gateway API; equal conditions are served by the first and reported for the others; a route
whose first candidate has no conditions is plain.
"""

import pytest

from headrace.ir.pointers import Pointer
from headrace.names import Ref
from headrace.resolve.virtual_hosts import Shadowed, VirtualHosts, merge
from support.routed import NEW, OLD, candidate, conditions, route

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
    hosts = VirtualHosts()
    for item in (second, first):
        hosts.replace(Ref(item.owner.kind, item.owner.namespace, item.owner.name), [(route(), item)])
    if first.owner == second.owner:
        hosts.replace(first.owner, [(route(), second), (route(), first)])
    merged = hosts.at(route())
    assert (*merged.candidates, *(found.candidate for found in merged.shadowed)) == (first, second)


def test_of_equal_conditions_the_first_serves_and_the_other_is_reported():
    first, second = candidate('one', ONE, owner='a'), candidate('two', ONE, owner='b')
    merged = merge([first, second])
    assert merged.candidates == (first,)
    assert merged.shadowed == (Shadowed(second, first),)


def test_a_route_whose_first_candidate_has_no_conditions_is_plain():
    merged = merge([candidate('one')])
    assert merged.plain == Pointer('shop_one_http', '')
    assert not merged.falls_through


def test_a_route_with_conditions_is_not_plain_and_falls_through_without_a_last_resort():
    assert merge([candidate('one', ONE)]).plain is None
    assert merge([candidate('one', ONE)]).falls_through
    assert not merge([candidate('one', ONE), candidate('two')]).falls_through


def test_an_object_that_changes_touches_only_its_routes_that_become_others():
    hosts = VirtualHosts()
    kept, moved = (route('/kept'), candidate('x')), (route('/moved'), candidate('x'))
    assert hosts.replace(SHOP_A, [kept, moved]) == {kept[0], moved[0]}
    assert hosts.replace(SHOP_A, [kept, (route('/new'), candidate('x'))]) == {route('/moved'), route('/new')}
    assert hosts.at(route('/moved')) is None
    assert hosts.routes() == [route('/kept'), route('/new')]


def test_the_next_object_takes_over_when_the_first_one_leaves():
    hosts = VirtualHosts()
    first, second = candidate('one', owner='a'), candidate('two', owner='b')
    hosts.replace(SHOP_A, [(route(), first)])
    assert hosts.replace(SHOP_B, [(route(), second)]) == {route()}
    assert hosts.at(route()).candidates == (first,)
    assert hosts.replace(SHOP_A, []) == {route()}
    assert hosts.at(route()).candidates == (second,)


def test_an_object_without_candidates_leaves_nothing_behind():
    hosts = VirtualHosts()
    assert hosts.replace(SHOP_A, []) == set()
    hosts.replace(SHOP_A, [(route(), candidate('x'))])
    assert hosts.replace(SHOP_A, []) == {route()}
    assert hosts.routes() == []
    assert (hosts._merged, hosts._candidates, hosts._routes) == ({}, {}, {})


def test_an_age_of_a_shadowed_candidate_that_changes_nothing_served_is_still_a_change():
    hosts = VirtualHosts()
    hosts.replace(SHOP_A, [(route(), candidate('one', owner='a', created=OLD))])
    hosts.replace(SHOP_B, [(route(), candidate('two', owner='b', created=OLD))])
    assert hosts.replace(SHOP_B, [(route(), candidate('two', owner='b', created=NEW))]) == {route()}
    assert hosts.replace(SHOP_B, [(route(), candidate('two', owner='b', created=NEW))]) == set()
