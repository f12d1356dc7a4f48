"""Objects that wait: whose turn it is, and which epochs count."""

from headrace.agent.backlog import Backlog
from headrace.names import Ref


def refs(namespace, *names):
    return [Ref('Service', namespace, name) for name in names]


def test_a_namespace_waits_for_no_more_than_its_turn():
    held = Backlog()
    held.add(refs('b', *(f's{number}' for number in range(1000))), {})
    assert held.next(100) == sorted(refs('b', *(f's{number}' for number in range(100))))
    held.add(refs('a', 'web'), {})
    held.add(refs('c', 'x', 'y'), {})
    assert {*refs('a', 'web'), *refs('c', 'x', 'y')} < {*held.next(100)}


def test_all_namespaces_come_once_before_any_comes_twice():
    held = Backlog()
    for namespace in 'abc':
        held.add(refs(namespace, 'x', 'y'), {})
    found = [held.next(1)[0] for _ in range(6)]
    assert [ref.namespace for ref in found] == [*'abcabc']
    assert not held
    assert held.next(1) == []


def test_an_object_that_changes_again_keeps_its_place():
    held = Backlog()
    held.add(refs('b', 'm', 'n'), {})
    held.add(refs('b', 'a', 'n'), {})
    assert [held.next(1) for _ in range(3)] == [refs('b', 'm'), refs('b', 'n'), refs('b', 'a')]


def test_what_could_not_be_applied_waits_again():
    held = Backlog()
    held.add(refs('b', 'x'), {})
    held.put_back(held.next(1))
    assert held.next(1) == refs('b', 'x')


def test_an_epoch_counts_once_all_is_applied_that_was_taken_before_and_with_it():
    held = Backlog()
    first, second, third = refs('b', 'x', 'y', 'z')
    held.add([first, second], {first: 7, second: 0})
    held.add([third, second], {third: 8, second: 6})
    assert held.complete([third]) == {}
    assert held.complete([first]) == {}
    assert held.complete([second]) == {first: 7, second: 6, third: 8}


def test_what_was_applied_otherwise_waits_no_more():
    held = Backlog()
    held.add(refs('b', 'x', 'y'), dict.fromkeys(refs('b', 'x'), 3))
    assert held.clear() == dict.fromkeys(refs('b', 'x'), 3)
    assert not held
    assert held.complete([]) == {}


def test_a_batch_has_no_more_than_it_may_weigh_and_one_object_at_least():
    held = Backlog()
    held.add(refs('b', 'x', 'y', 'z'), {})
    weight = {'x': 2, 'y': 3, 'z': 9}
    found = [held.next(5, lambda ref: weight[ref.name]) for _ in range(2)]
    assert found == [refs('b', 'x', 'y'), refs('b', 'z')]


def test_objects_can_be_put_before_others_of_their_namespace():
    held = Backlog()
    held.add(refs('b', 'x', 'y'), {})
    held.put_first(refs('b', 'z', 'y'))
    assert [held.next(1) for _ in range(3)] == [refs('b', 'z'), refs('b', 'y'), refs('b', 'x')]
