"""One rule joins lists and a watch: a list at a resource version is the truth at that version.

That it leads to the truth after any history is a property (tests/properties); here is each case by itself.
"""

import pytest

from headrace.kube.reflector import Difference, Reflector
from headrace.names import Ref
from headrace.objects.kinds import Namespace

A, B = Ref('Namespace', '', 'a'), Ref('Namespace', '', 'b')


def listed(version, name='a'):
    return (version, Namespace(name, labels=(('version', str(version)),)))


def listing(known, *items):
    made = known.begin()
    made.page(items)
    return made


@pytest.fixture
def known():
    """A reflector that has read a list at 10, which held `a` at 5."""
    made = Reflector()
    made.finish(listing(made, listed(5)), 10)
    return made


def test_before_the_first_list_nothing_counts_as_synced():
    fresh = Reflector()
    assert not fresh.synced
    fresh.finish(fresh.begin(), 1)
    assert fresh.synced


def test_the_first_list_is_taken_whole_from_all_its_pages():
    fresh = Reflector()
    made = fresh.begin()
    made.page([listed(5)])
    made.page([listed(7, 'b')])
    assert fresh.finish(made, 10) == Difference((listed(5)[1], listed(7, 'b')[1]), ())
    assert fresh.versions == {A: 5, B: 7}


def test_a_difference_is_true_where_there_is_one(known):
    assert not Difference()
    assert Difference(drop=(A,))
    assert Difference(put=(listed(5)[1],))


def test_a_list_that_finds_what_is_known_changes_nothing(known):
    assert known.finish(listing(known, listed(5)), 20) == Difference()


def test_a_list_finds_a_deletion_without_an_event(known):
    assert known.finish(known.begin(), 20) == Difference(drop=(A,))
    assert known.versions == {}


def test_a_list_finds_a_change_without_an_event(known):
    assert known.finish(listing(known, listed(15)), 20) == Difference(put=(listed(15)[1],))


def test_a_list_leaves_what_the_watch_has_told_since_its_moment(known):
    made = listing(known, listed(5))
    assert known.put(A, 21)
    assert known.put(B, 22)
    assert known.finish(made, 20) == Difference()
    assert known.versions == {A: 21, B: 22}


def test_what_the_watch_deleted_while_a_list_was_read_does_not_come_back_with_it(known):
    made = listing(known, listed(5))
    assert known.drop(A, 21)
    assert known.finish(made, 20) == Difference()


def test_an_object_made_again_while_a_list_was_read_comes_with_it(known):
    made = listing(known, listed(13))
    assert known.drop(A, 12)
    assert known.finish(made, 20) == Difference(put=(listed(13)[1],))


def test_a_deletion_that_is_told_late_does_not_hide_a_later_one_of_the_same_name(known):
    made = listing(known, listed(13))
    assert known.put(A, 13)
    assert known.drop(A, 14)
    assert not known.drop(A, 12)
    assert known.finish(made, 13) == Difference()


def test_a_list_older_than_the_last_one_changes_nothing(known):
    old, new = known.begin(), listing(known, listed(30))
    known.finish(new, 40)
    assert known.finish(old, 20) == Difference()
    assert (known.versions, known.version) == ({A: 30}, 40)


def test_an_abandoned_list_is_forgotten_and_may_be_abandoned_twice(known):
    made = known.begin()
    known.abandon(made)
    known.abandon(made)
    known.drop(A, 11)
    assert made.deletions == {}


@pytest.mark.parametrize(
    ('version', 'new'),
    [
        pytest.param(9, False, id='older than the list'),
        pytest.param(10, False, id='as old as the list'),
        pytest.param(11, True, id='newer than the list'),
    ],
)
def test_an_event_tells_only_what_is_newer_than_the_last_list(known, version, new):
    assert known.put(A, version) is new
    assert known.drop(A, version) is new


def test_an_event_about_an_object_tells_only_what_is_newer_than_the_last_one(known):
    assert known.put(A, 12)
    assert not known.put(A, 12)
    assert not known.put(A, 11)
    assert not known.drop(A, 11)
    assert known.versions == {A: 12}


def test_the_deletion_of_what_is_not_known_tells_nothing(known):
    assert not known.drop(B, 11)


def test_resource_versions_are_numbers_and_not_texts(known):
    assert known.put(A, 100)
    assert not known.put(A, 99)


def test_of_two_lists_that_have_read_the_same_only_the_one_meant_is_abandoned(known):
    first, second = known.begin(), known.begin()
    known.abandon(second)
    known.drop(A, 11)
    assert (first.deletions, second.deletions) == ({A: 11}, {})


def test_a_forgotten_object_is_told_again_by_the_next_list_and_is_not_gone(known):
    known.forget([A, B])
    assert known.finish(listing(known, listed(5)), 20) == Difference(put=(listed(5)[1],))
    assert known.finish(listing(known, listed(5)), 30) == Difference()
