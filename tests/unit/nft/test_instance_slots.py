"""Which instance slot an agent gets on a node, and who holds the table there."""

import socket

import pytest

from headrace.nft import instance_slots
from headrace.nft.instance_slots import InstanceSlotError


def none(_):
    return ()


@pytest.fixture
def take(tmp_path):
    """What takes an instance slot on the node for the pod of this name; those that were taken are left at the end."""
    made = []

    def work(name, ports=none):
        made.append(instance_slots.take(tmp_path / 'node', tmp_path / name, ports))
        return made[-1]

    yield work
    for slot in made:
        slot.close()


def numbers(*found):
    return [slot.number for slot in found]


def test_each_agent_gets_a_seat_of_its_own_and_one_of_them_the_table(take, tmp_path):
    first, second = (take(name) for name in 'ab')
    assert numbers(first, second) == [0, 1]
    assert (first.hold(), second.hold(), first.hold()) == (True, False, True)
    first.release()
    assert (second.hold(), first.hold()) == (True, False)
    assert (tmp_path / 'b' / 'state').resolve() == (tmp_path / 'node' / '1').resolve()


def test_who_comes_again_finds_its_seat_and_what_is_in_it(take, tmp_path):
    first = take('a')
    second = take('b')
    (second.folder / 'current').touch()
    first.close()
    second.close()
    again = take('b')
    assert (again.number, [path.name for path in again.folder.iterdir()]) == (1, ['current'])


def test_a_seat_that_another_process_of_the_same_pod_has_is_not_shared(take, tmp_path):
    held = take('a')
    with pytest.raises(InstanceSlotError, match='another agent is in instance slot 0'):
        take('a')
    assert held.number == 0


def test_after_a_boot_the_last_good_seat_comes_first_and_is_kept_while_others_are_swept(take, tmp_path):
    first = take('a')
    second = take('b')
    for slot in (first, second):
        (slot.folder / 'current').touch()
    assert second.hold()
    first.close()
    second.close()
    # No socket outlives a boot.
    first = take('c')
    second = take('d')
    assert numbers(first, second) == [1, 0]
    assert (first.last, second.last) == (True, False)
    assert [[path.name for path in slot.folder.iterdir()] for slot in (first, second)] == [['current'], []]


def test_a_slot_with_ports_in_use_is_passed_over(take, tmp_path):
    with socket.create_server(('127.0.0.1', 0), reuse_port=True) as held:
        taken = held.getsockname()[1]
        found = take('a', lambda number: [] if number else [taken])
    assert found.number == 1


def test_there_are_as_many_instance_slots_as_there_are(take, tmp_path):
    held = [take(str(number)) for number in range(4)]
    with pytest.raises(InstanceSlotError, match='all instance slots are taken'):
        take('more')
    assert numbers(*held) == [0, 1, 2, 3]


@pytest.mark.parametrize('text', ['', 'x', '7', '-1'])
def test_what_is_no_number_of_a_seat_counts_for_none(take, tmp_path, text):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'a' / 'slot').write_text(text)
    assert take('a').number == 0


def test_the_last_one_sweeps_instance_slots_that_are_free_and_no_others(take, tmp_path):
    first, second, third = (take(name) for name in 'abc')
    for slot in (first, second, third):
        (slot.folder / 'key.pem').write_text('secret')
    second.close()
    third.sweep()
    assert sorted(path.parent.name for path in (tmp_path / 'node').glob('*/key.pem')) == ['0', '2']
    assert take('d').number == 1
