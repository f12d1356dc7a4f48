"""The order of objects that are built: by rank, whenever they come."""

import pytest

from headrace.names import Ref
from headrace.resolve.order import Order


def ranked(*names):
    return [(('', 'shop', name, 'Service'), Ref('Service', 'shop', name)) for name in names]


def taken(order):
    found = []
    while order:
        found.append(order.pop().name)
    return found


@pytest.mark.parametrize('later', ['a', 'c', 'e', ['a', 'c', 'e', 'e']])
def test_objects_that_come_later_are_taken_in_their_place(later):
    order = Order(ranked('b', 'd'))
    for each in ranked(*later):
        order.push(*each)
    assert taken(order) == sorted(['b', 'd', *later])


def test_an_object_that_comes_while_others_are_taken_is_next_where_it_is_the_oldest():
    order = Order(ranked('b', 'c'))
    assert order.pop().name == 'b'
    order.push(*ranked('a')[0])
    assert taken(order) == ['a', 'c']
    assert not order
